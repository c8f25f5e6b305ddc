//! Every kind of mistake in a file: the exact words, the exit code, and that nothing was touched before.

use std::net::TcpListener;

use tidemark::cli::docs;
use tidemark::config::{Config, Environment, Section};
use tidemark::destination;
use tidemark::destination::memory::Memory;
use tidemark::pipeline::registry;
use tidemark::record::Mode;
use tidemark::source::{SOURCES, STREAM_KEYS};

use super::Folder;

/// A file without mistakes, but that its server is ours to watch.
const GOOD: &str = "\
[source shop]
type = mysql
hostname = 127.0.0.1
port = PORT
username = reader
password = ${SHOP_PASSWORD:-x}
database = shop

[destination lake]
type = local
path = lake

[stream orders]
source = shop
destination = lake
table = orders
";

/// Runs the file with `from` replaced by `to`; it must be refused with these lines, before anything is touched.
#[track_caller]
fn refused(from: &str, to: &str, wanted: &str) {
    refused_to_run(from, to, wanted);
    refused_by("status", from, to, wanted);
}

/// As [`refused`], but those who only look are not refused.
#[track_caller]
fn refused_to_run(from: &str, to: &str, wanted: &str) {
    refused_by("run", from, to, wanted);
    refused_by("check", from, to, wanted);
}

#[track_caller]
fn refused_by(command: &str, from: &str, to: &str, wanted: &str) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replace(from, to).replace("PORT", &server.local_addr().unwrap().port().to_string());
    let folder = Folder::new(&text);
    let ended = folder.run(command).expect(2);
    assert_eq!(ended.err, format!("{wanted}\n"));
    if command.starts_with("run") {
        let summary = ended.summary();
        assert_eq!((&summary["state"], &summary["exit_code"]), (&"failed".into(), &2.into()));
        assert_eq!((&summary["error_kind"], &summary["error"]), (&"config".into(), &wanted.into()));
    }
    assert!(server.accept().is_err(), "it connected");
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["pipeline.conf"]);
}

#[test]
fn an_unknown_key() {
    refused("hostname", "hostnam", "pipeline.conf:3: [source shop] unknown key `hostnam` (did you mean `hostname`?)");
}

#[test]
fn an_unknown_key_of_a_stream() {
    refused(
        "table =",
        "tabel =",
        concat!(
            "pipeline.conf:13: [stream orders] needs one of `table`, `tables` or `query`\n",
            "pipeline.conf:16: [stream orders] unknown key `tabel` (did you mean `table`?)"
        ),
    );
}

#[test]
fn an_unknown_key_for_all() {
    refused(
        "[source",
        "[DEFAULT]\nhostnme = a\n[source",
        "pipeline.conf:2: [DEFAULT] unknown key `hostnme` (did you mean `hostname`?)",
    );
}

#[test]
fn a_missing_key() {
    refused("path = lake\n", "", "pipeline.conf:9: [destination lake] `path` is missing");
}

#[test]
fn a_missing_type() {
    refused("type = local\n", "", "pipeline.conf:9: [destination lake] `type` is missing: one of local, s3, gcs");
}

#[test]
fn a_wrong_type() {
    refused(
        "type = local",
        "type = locl",
        "pipeline.conf:10: [destination lake] `type` must be one of local, s3, gcs (did you mean `local`?)",
    );
}

#[test]
fn a_wrong_number() {
    refused(
        "port = PORT",
        "port = 70000",
        "pipeline.conf:4: [source shop] `port` must be a whole number from 1 to 65535",
    );
}

#[test]
fn a_wrong_word() {
    refused(
        "table =",
        "mode = delta\ntable =",
        "pipeline.conf:16: [stream orders] `mode` must be one of full, incremental, cdc",
    );
    refused(
        "table =",
        "format = parket\ntable =",
        "pipeline.conf:16: [stream orders] `format` must be one of csv, json, parquet (did you mean `parquet`?)",
    );
}

#[test]
fn an_unresolved_variable() {
    refused_to_run(
        "${SHOP_PASSWORD:-x}",
        "${TIDEMARK_TEST_NOT_SET}",
        concat!(
            "pipeline.conf:6: [source shop] `password`: environment variable TIDEMARK_TEST_NOT_SET is not set\n",
            "  Set TIDEMARK_TEST_NOT_SET, or write ${TIDEMARK_TEST_NOT_SET:-default}."
        ),
    );
}

#[test]
fn a_missing_password_file() {
    refused_to_run(
        "password = ${SHOP_PASSWORD:-x}",
        "password_file = no/such/file",
        "pipeline.conf:6: [source shop] `password_file`: no/such/file cannot be read: No such file or directory (os error 2)",
    );
}

#[test]
fn a_source_that_is_not_there() {
    refused(
        "source = shop",
        "source = shpo",
        "pipeline.conf:14: [stream orders] `source`: there is no [source shpo] (did you mean `shop`?)",
    );
}

#[test]
fn a_section_of_no_known_type() {
    refused(
        "[destination lake]",
        "[destinatoin lake]",
        concat!(
            "pipeline.conf:9: unknown section [destinatoin lake] (did you mean [destination]?)\n",
            "pipeline.conf:15: [stream orders] `destination`: there is no [destination lake]"
        ),
    );
}

#[test]
fn a_key_twice_and_a_line_that_is_none() {
    refused(
        "database = shop\n",
        "database = shop\ndatabase = shop\nnonsense\n",
        concat!(
            "pipeline.conf:8: key `database` is already set on line 7\n",
            "pipeline.conf:9: expected `key = value`, a [section] or a comment (# or ;)"
        ),
    );
}

#[test]
fn a_job_log_of_an_unknown_scheme() {
    refused(
        "[source shop]",
        "[job_log]\nurl = mongodb://u:hunter2@db/log\n[source shop]",
        concat!(
            "pipeline.conf:2: [job_log] `url` has the scheme `mongodb`, but job logs are kept in SQLite, PostgreSQL, \
             MySQL and MariaDB\n",
            "  Write `url = sqlite:tidemark.db`, or any other path."
        ),
    );
}

/// It has no keys but `url`, and no file where none is named.
#[test]
fn a_job_log_url_is_mended_in_its_own_words() {
    for (url, wanted) in [
        (
            "postgres://u:a@b/c@h/d",
            "has an `@` too many: in a password @ : / ? # % must be percent-encoded (`@` is `%40`)",
        ),
        ("mysql://u:a@b@h/d", "has an `@` too many: in a password @ : / ? # % must be percent-encoded (`@` is `%40`)"),
        ("tidemark.db", "must be a URL such as `sqlite:tidemark.db`"),
        ("sqlite:", "names no file\n  Write `url = sqlite:tidemark.db`, or any other path."),
    ] {
        refused(
            "[source shop]",
            &format!("[job_log]\nurl = {url}\n[source shop]"),
            &format!("pipeline.conf:2: [job_log] `url` {wanted}"),
        );
    }
    // A source has them.
    refused_to_run(
        "hostname = 127.0.0.1\nport = PORT\nusername = reader\npassword = ${SHOP_PASSWORD:-x}",
        "url = mysql://u:a@b@127.0.0.1:PORT/d",
        "pipeline.conf:3: [source shop] `url` has an `@` too many: in a password @ : / ? # % must be percent-encoded (`@` \
         is `%40`). Or leave the password out and use `password` or `password_file`",
    );
}

#[test]
fn all_mistakes_at_once_in_their_order() {
    let text = "type = mysql\nhostnam = a";
    refused(
        "type = mysql\nhostname = 127.0.0.1\nport = PORT",
        &format!("{text}\nport = many"),
        concat!(
            "pipeline.conf:3: [source shop] unknown key `hostnam` (did you mean `hostname`?)\n",
            "pipeline.conf:4: [source shop] `port` must be a whole number from 1 to 65535"
        ),
    );
}

#[test]
fn what_the_source_the_format_and_the_destination_refuse() {
    refused(
        "type = local\npath = lake\n\n[stream orders]\n",
        concat!(
            "type = gcs\nbucket = b\ncredentials_file = no.json\n\n",
            "[stream orders]\nmode = cdc\nwhere = a\nformat = csv\ncompression = snappy\ncsv_delimiter = ;;\n",
        ),
        concat!(
            "pipeline.conf:12: [destination lake] `credentials_file` cannot be used: ",
            "no.json: cannot be read: No such file or directory (os error 2)\n",
            "pipeline.conf:16: [stream orders] `where` says nothing of a change log: it has the changes of whole tables\n",
            "pipeline.conf:18: [stream orders] `compression` can be `snappy` for Parquet only\n",
            "pipeline.conf:19: [stream orders] `csv_delimiter` must be one ASCII character, `\\t`, or a byte such as `\\x01`"
        ),
    );
}

#[test]
fn a_value_that_nothing_uses() {
    refused(
        "path = lake",
        "path = lake\nformat = parquet\ncsv_delimiter = ;;",
        concat!(
            "pipeline.conf:13: [destination lake] `csv_delimiter` must be one ASCII character, `\\t`, ",
            "or a byte such as `\\x01`"
        ),
    );
}

#[test]
fn a_mistake_of_a_destination_is_said_once_for_all_its_streams() {
    refused(
        "path = lake\n",
        "path = lake\nformat = json\ncompression = snappy\n[stream a]\nsource = shop\ndestination = lake\ntable = a\n",
        "pipeline.conf:13: [stream a] `compression` can be `snappy` for Parquet only",
    );
}

#[test]
fn no_second_mistake_follows_from_the_first() {
    refused(
        "table =",
        "format = cvs\ncsv_header = no\ntable =",
        "pipeline.conf:16: [stream orders] `format` must be one of csv, json, parquet (did you mean `csv`?)",
    );
}

#[test]
fn an_as_for_several_tables() {
    refused(
        "table = orders",
        "tables = orders, items\nas = both",
        "pipeline.conf:17: [stream orders] `as` names one table and cannot stand with `tables`",
    );
}

#[test]
fn memory_without_its_unit() {
    refused(
        "[source shop]",
        "[pipeline]\nmax_memory = 10\n[source shop]",
        "pipeline.conf:2: [pipeline] `max_memory` must be a size of at least 32 MiB, such as `128 MiB`",
    );
}

#[test]
fn a_mode_of_the_command_line() {
    let text = "pipeline.conf:13: [stream orders] `mode` is `full`, and cannot be `cdc` for once: its files would not fit those that are \
                there\n  Give that a section of its own, with a name of its own for the table (`as`).";
    refused_by("run --mode cdc", "orders", "orders", text);
}

#[test]
fn two_streams_of_one_table() {
    let other = "[stream u]\nsource = shop\ndestination = lake\n";
    refused(
        "table = orders\n",
        &format!("table = orders\n{other}table = shop.orders\n"),
        "pipeline.conf:20: [stream u] writes to `orders`, as [stream orders] does: set `as`",
    );
    refused(
        "table = orders\n",
        &format!("table = inv_2024\n{other}table = inv_2025\nas = inv_2024\n"),
        "pipeline.conf:21: [stream u] writes to `inv_2024`, as [stream orders] does: set `as`",
    );
    refused(
        "table = orders\n",
        &format!("table = orders\n{other}tables = orders, inv_*\n"),
        concat!(
            "pipeline.conf:20: [stream u] writes to `orders`, as [stream orders] does: ",
            "read it in a section of its own, with `as`"
        ),
    );
}

#[test]
fn a_file_that_is_not_there() {
    let folder = Folder::new(GOOD);
    let ended = folder.run("run -c other.conf").expect(2);
    assert!(ended.err.starts_with("other.conf: cannot be read: No such file"), "{}", ended.err);
    assert_eq!(ended.summary()["exit_code"], 2);
    let ended = folder.command("status").env("TIDEMARK_CONFIG", "third.conf").output().unwrap();
    assert!(String::from_utf8(ended.stderr).unwrap().starts_with("third.conf: cannot be read"));
}

#[test]
fn a_stream_that_is_not_there() {
    let folder = Folder::new(&GOOD.replace("PORT", "1"));
    for command in ["run ordes", "files ordes", "status --stream ordes"] {
        let ended = folder.run(command).expect(2);
        assert!(
            ended.err.starts_with("there is no stream `ordes` (did you mean `orders`?); "),
            "{command}: {}",
            ended.err
        );
        assert!(ended.err.ends_with(": orders\n"), "{command}: {}", ended.err);
    }
    assert!(folder.run("status --stream ordes").err.ends_with("; known streams: orders\n"));
    assert_eq!(folder.run("run ordes").summary()["error_kind"], "config");
}

#[test]
fn a_wrong_command_line() {
    let folder = Folder::new(GOOD);
    let ended = folder.run("run --mode ful").expect(2);
    assert!(ended.err.contains("a similar value exists: 'full'"), "{}", ended.err);
    assert!(folder.run("--help").expect(0).out.contains("Usage: tidemark"));
}

#[test]
fn in_json_the_mistakes_are_an_event() {
    let ended = Folder::new(&GOOD.replace("hostname", "hostnam")).run("run --log-format json").expect(2);
    let event: serde_json::Value = serde_json::from_str(ended.err.trim()).unwrap();
    assert_eq!((&event["level"], &event["error_kind"]), (&"ERROR".into(), &"config".into()));
    assert!(event["message"].as_str().unwrap().starts_with("pipeline.conf:3: [source shop]"));
}

#[test]
fn the_reference_and_the_example_are_as_written() {
    let folder = Folder::new(GOOD);
    folder.run(&format!("docs --check --dir {}", env!("CARGO_MANIFEST_DIR"))).expect(0);
    folder.run("docs").expect(0);
    folder.run("docs --check").expect(0);
    let page = folder.join("docs/configuration.md");
    let text = std::fs::read_to_string(&page).unwrap();
    std::fs::write(&page, text.replacen("`port`", "`prot`", 1)).unwrap();
    let ended = folder.run("docs --check").expect(65);
    assert!(ended.err.contains("configuration.md:"), "{}", ended.err);
}

/// Not every source has a change log: whoever is offered that is told so.
#[test]
fn modes_that_are_not_there_are_said_to_be_so() {
    let stream = Section::of_keys("stream t", STREAM_KEYS.iter().collect(), &[("table", "t")]).unwrap();
    let reads = |source: &&&tidemark::source::Maker| (source.check_mode)(&stream, Mode::Cdc).is_ok();
    let names: Vec<_> = SOURCES.iter().filter(reads).map(|source| source.kind.name).collect();
    assert_eq!(names, ["mongodb", "mysql", "postgres"], "the pages below say who reads a change log");
    for page in [
        docs::reference(&registry()),
        include_str!("../../../docs/command-line.md").to_owned(),
        include_str!("../../../README.md").to_owned(),
    ] {
        let offers = page
            .split("\n\n")
            .any(|part| (part.contains("cdc") || part.contains("change data capture")) && part.contains("SQLite"));
        assert!(offers, "{page}");
    }
}

#[test]
fn the_example_works() {
    let text = docs::example(&registry());
    let names = text.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
    let set = names.map(|(name, _)| format!("{name}=x"));
    let environment = set.collect::<Vec<_>>();
    // What a variable is set to is the process's business; here all are.
    let text = environment.iter().fold(text.clone(), |text, set| {
        let name = set.trim_end_matches("=x");
        text.replace(&format!("${{{name}}}"), "x")
    });
    let config = Config::parse(&text, "pipeline.conf".as_ref(), &registry(), &Environment::of([]));
    let config = config.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.sources.len(), registry().sources.len());
    assert_eq!(config.destinations.len(), registry().destinations.len());
    assert_eq!(config.streams.len(), config.sources.len());
}

/// A destination takes what streams say of files: nothing that it asks for is unknown to its kind.
#[test]
fn each_kind_of_destination_serves_a_stream() {
    for kind in destination::kinds() {
        let needed = kind.keys.iter().copied().flatten().filter(|key| key.required);
        let section: String = needed.map(|key| format!("{} = {}\n", key.name, key.example)).collect();
        let text = format!(
            "[source s]\ntype = sqlite\npath = a.db\n[destination d]\ntype = {}\n{section}
[stream t]\nsource = s\ndestination = d\ntable = t\npart_bytes = 1 MiB\n",
            kind.name
        );
        let config = Config::parse(&text, "pipeline.conf".as_ref(), &registry(), &Environment::of([]));
        let config = config.unwrap_or_else(|e| panic!("{e}"));
        let (_, place) = &config.destinations["d"];
        let place = destination::place(kind.name, place).unwrap();
        let served = place.destination(&config.streams[0].section, &Memory::new(1 << 27, 1));
        assert!(served.is_ok(), "{}: {}", kind.name, served.err().unwrap());
    }
}

#[test]
fn what_connectors_say_of_themselves_is_true() {
    let registry = registry();
    let kinds = registry.sources.iter().chain(registry.destinations).chain([&registry.job_log]);
    let connectors = kinds.clone().flat_map(|kind| kind.keys.iter().copied().chain([kind.stream_keys]));
    let others = [
        registry.pipeline_keys,
        registry.pipeline_stream_keys,
        registry.format_keys,
        registry.stream_keys,
        registry.source_stream_keys,
    ];
    for kind in kinds.clone() {
        let keys = || kind.own_keys().chain(kind.stream_keys).chain(registry.stream_keys);
        // Where they stand, in streams, there are the keys of all others.
        let taken = |name: &str| keys().chain(others.iter().copied().flatten()).any(|key| key.name == name);
        for (alias, name) in kind.aliases {
            assert!(keys().any(|key| key.name == *name) && !taken(alias), "`{alias}` for `{name}` of {}", kind.name);
        }
    }
    for key in connectors.chain(others).flatten() {
        assert_eq!(key.name.ends_with('.'), key.family, "`{}`", key.name);
        assert!(!key.family || !(key.required || key.secret || key.default.is_some()), "`{}`", key.name);
        for value in [key.default, Some(key.example)].into_iter().flatten() {
            let is_filled_in = value.is_empty() || value.contains("${");
            assert!(is_filled_in || key.value.refusal(value).is_none(), "`{}` = {value}", key.name);
        }
        assert!(!key.about.is_empty() && !key.about.contains('\n'), "`{}`", key.name);
        assert!(!(key.required && key.default.is_some()), "`{}` is required and has a default", key.name);
        assert!(!key.required || !key.example.is_empty(), "`{}` is required and has no example", key.name);
    }
}
