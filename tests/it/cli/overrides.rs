//! Environment variables that stand over the file: what they reach, and what is said of those that reach nothing.

use std::path::Path;

use tidemark::config::{Config, Environment};
use tidemark::pipeline::registry;

use super::Folder;

const FILE: &str = "\
[DEFAULT]
username = reader
retries = 7
[source shop]
type = mysql
hostname = db.example.com
password = ${NOBODY_SETS_THIS}
database = shop
[source eu.shop-2]
type = sqlite
path = eu.db
[destination lake]
type = local
path = lake
format = csv
[stream orders]
source = shop
destination = lake
table = orders
[stream rest]
source = eu.shop-2
destination = lake
tables = items
";

fn load<const N: usize>(file: &str, set: [(&str, &str); N]) -> Result<Config, String> {
    let environment = Environment::of(set);
    Config::parse(file, Path::new("pipeline.conf"), &registry(), &environment).map_err(|error| error.to_string())
}

/// With what makes [`FILE`] whole, and these.
fn with(name: &str, value: &str) -> Result<Config, String> {
    load(FILE, [("TIDEMARK_SOURCE_SHOP_PASSWORD", "p"), (name, value)])
}

#[test]
fn every_kind_of_section_is_reached() {
    let config = load(
        FILE,
        [
            // Over a value that cannot be had, with what would be another variable in a file.
            ("TIDEMARK_SOURCE_SHOP_PASSWORD", "hunter ${2} %"),
            // Over what [DEFAULT] says, and of a key that nobody sets.
            ("TIDEMARK_SOURCE_SHOP_USERNAME", "writer"),
            ("TIDEMARK_SOURCE_SHOP_PORT", "3307"),
            ("TIDEMARK_SOURCE_EU_SHOP_2_PATH", "other.db"),
            // Of sections that the file does not have.
            ("TIDEMARK_PIPELINE_PARALLEL", "9"),
            ("TIDEMARK_PIPELINE_COMMIT_ROWS", "5"),
            ("TIDEMARK_JOB_LOG_URL", "sqlite:elsewhere.db"),
            // What a stream takes over, and one that says it for itself.
            ("TIDEMARK_DESTINATION_LAKE_FORMAT", "json"),
            ("TIDEMARK_STREAM_REST_FORMAT", "parquet"),
            ("TIDEMARK_STREAM_ORDERS_COMMIT_ROWS", "6"),
            ("TIDEMARK_STREAM_REST_TABLES", "a, b\nc"),
            // None of ours.
            ("TIDEMARK_CONFIG", "x"),
            ("TIDEMARK_TEST_S3", "x"),
            ("TIDEMARK_SOURCES", "x"),
            ("tidemark_source_shop_port", "x"),
        ],
    )
    .unwrap();
    let shop = &config.sources["shop"].1;
    assert_eq!(shop.get("password"), Some("hunter ${2} %"));
    assert_eq!((shop.get("username"), shop.integer("port").unwrap()), (Some("writer"), 3307));
    assert_eq!(config.sources["eu.shop-2"].1.path("path"), Some("other.db".into()));
    assert_eq!((config.pipeline.get("parallel"), config.job_log.get("url")), (Some("9"), Some("sqlite:elsewhere.db")));
    let [orders, rest] = &config.streams[..] else { panic!("other streams") };
    assert_eq!((orders.section.get("format"), rest.section.get("format")), (Some("json"), Some("parquet")));
    assert_eq!((orders.section.get("commit_rows"), rest.section.get("commit_rows")), (Some("6"), Some("5")));
    assert_eq!(rest.section.list("tables"), ["a", "b", "c"]);
    assert_eq!(rest.section.get("retries"), Some("7"));
}

#[test]
fn a_type_and_the_ends_of_a_stream_are_keys_too() {
    let file = "[source a]\npath = a.db\n[source b]\ntype = mysql\npath = b.db\n[destination d]\ntype = local\npath = d\n\
                [stream s]\ndestination = d\ntable = t\n";
    let set =
        [("TIDEMARK_SOURCE_A_TYPE", "sqlite"), ("TIDEMARK_SOURCE_B_TYPE", "sqlite"), ("TIDEMARK_STREAM_S_SOURCE", "b")];
    let config = load(file, set).unwrap();
    assert_eq!((config.sources["b"].0.as_str(), config.streams[0].source.as_str()), ("sqlite", "b"));
}

#[test]
fn a_secret_may_be_in_a_file_that_a_variable_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one"), "hush\n").unwrap();
    let one = folder.path().join("one").display().to_string();
    let config = load(FILE, [("TIDEMARK_SOURCE_SHOP_PASSWORD_FILE", &one)]).unwrap();
    assert_eq!(config.sources["shop"].1.get("password"), Some("hush"));
    // Over the file's other form.
    let file = FILE.replace("password = ${NOBODY_SETS_THIS}", "password_file = no/such");
    let config = load(&file, [("TIDEMARK_SOURCE_SHOP_PASSWORD", "p")]).unwrap();
    assert_eq!(config.sources["shop"].1.get("password"), Some("p"));
    let error = load(FILE, [("TIDEMARK_SOURCE_SHOP_PASSWORD_FILE", "no/such")]).unwrap_err();
    let wanted = "TIDEMARK_SOURCE_SHOP_PASSWORD_FILE: [source shop] `password_file`: the file cannot be read: ";
    assert!(error.starts_with(wanted) && !error.contains("no/such"), "{error}");
    let error = with("TIDEMARK_SOURCE_SHOP_PASSWORD_FILE", &one).unwrap_err();
    assert_eq!(error, "TIDEMARK_SOURCE_SHOP_PASSWORD_FILE: [source shop] `password` is set by another variable too");
}

#[test]
fn a_wrong_value_is_named_by_its_variable_and_not_shown() {
    for (name, value, wanted) in [
        ("TIDEMARK_SOURCE_SHOP_PORT", "70000", "[source shop] `port` must be a whole number from 1 to 65535"),
        ("TIDEMARK_SOURCE_SHOP_PORT", "", "[source shop] `port` must be a whole number from 1 to 65535"),
        (
            "TIDEMARK_DESTINATION_LAKE_FORMAT",
            "parquett",
            "[destination lake] `format` must be one of csv, json, parquet (did you mean `parquet`?)",
        ),
        (
            "TIDEMARK_DESTINATION_LAKE_TYPE",
            "locale",
            "[destination lake] `type` must be one of local, s3, gcs (did you mean `local`?)",
        ),
        (
            "TIDEMARK_STREAM_ORDERS_SOURCE",
            "shops",
            "[stream orders] `source`: there is no [source …] (did you mean `shop`?)",
        ),
        // What the connector finds.
        ("TIDEMARK_SOURCE_SHOP_TLS_CA", "hunter2.pem", "[source shop] `tls` cannot be set up: "),
        ("TIDEMARK_STREAM_REST_MODE", "cdc", "[stream rest] `mode` `…` needs a change log, and SQLite keeps none"),
        // Said once, of what both streams take over.
        (
            "TIDEMARK_DESTINATION_LAKE_COMPRESSION",
            "snappy",
            "[stream orders] `compression` can be `…` for Parquet only",
        ),
        ("TIDEMARK_PIPELINE_MAX_MEMORY", "10", "[pipeline] `max_memory` must be a size of at least 32 MiB"),
        ("TIDEMARK_JOB_LOG_URL", "mongodb://u:hunter2@db/log", "[job_log] `url` has the scheme `mongodb`"),
    ] {
        let error = with(name, value).unwrap_err();
        let place = if wanted.contains("`tls`") { "pipeline.conf:4" } else { name };
        assert!(error.starts_with(&format!("{place}: {wanted}")), "{name}: {error}");
        assert!(value.is_empty() || !error.replace(wanted, "").contains(value) || name.ends_with("CA"), "{error}");
    }
}

#[test]
fn the_same_mistake_in_two_variables_is_two_mistakes() {
    let set = [
        ("TIDEMARK_SOURCE_SHOP_PASSWORD", "p"),
        ("TIDEMARK_STREAM_ORDERS_FORMAT", "x"),
        ("TIDEMARK_STREAM_REST_FORMAT", "x"),
    ];
    let error = load(&FILE.replace("type = local", "type = locl"), set).unwrap_err();
    assert_eq!(error.lines().count(), 1, "of streams whose destination is wrong, nothing is said: {error}");
    let error = load(&FILE.replace("csv", "cvs"), set).unwrap_err();
    let places: Vec<_> = error.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(places, ["pipeline.conf:15", "TIDEMARK_STREAM_ORDERS_FORMAT", "TIDEMARK_STREAM_REST_FORMAT"]);
}

#[test]
fn a_variable_that_is_no_key_is_named_with_the_nearest() {
    for (name, wanted) in [
        ("TIDEMARK_SOURCE_SHOP_PASWORD", "is no key of [source shop] (did you mean TIDEMARK_SOURCE_SHOP_PASSWORD?)"),
        ("TIDEMARK_SOURCE_SHPO_PASSWORD", "is no key of any [source] (did you mean TIDEMARK_SOURCE_SHOP_PASSWORD?)"),
        ("TIDEMARK_SOURCE_SHOP_ZEBRA", "is no key of [source shop]"),
        ("TIDEMARK_SOURCE_SHOP", "is no key of any [source]"),
        (
            "TIDEMARK_SOURCE_EU_SHOP_2_PTH",
            "is no key of [source eu.shop-2] (did you mean TIDEMARK_SOURCE_EU_SHOP_2_PATH?)",
        ),
        // Of another type of source.
        ("TIDEMARK_SOURCE_EU_SHOP_2_PORT", "is no key of [source eu.shop-2]"),
        ("TIDEMARK_STREAM_REST_ITEMS_MODE", "is no key of [stream rest]"),
        ("TIDEMARK_PIPELINE_PARALEL", "is no key of [pipeline] (did you mean TIDEMARK_PIPELINE_PARALLEL?)"),
        ("TIDEMARK_JOB_LOG_URI", "is no key of [job_log] (did you mean TIDEMARK_JOB_LOG_URL?)"),
        ("TIDEMARK_DEFAULT_USERNAME", "[DEFAULT] is for the file alone: name the section itself"),
    ] {
        let error = with(name, "hunter2").unwrap_err();
        assert_eq!(error, format!("{name}: {wanted}"));
    }
    // Of a section whose keys cannot be told, nothing is said.
    let file = FILE.replace("type = sqlite", "type = sqlit");
    let set = [("TIDEMARK_SOURCE_SHOP_PASSWORD", "p"), ("TIDEMARK_SOURCE_EU_SHOP_2_PATH", "x")];
    let error = load(&file, set).unwrap_err();
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_variable_of_two_sections_is_refused_with_both() {
    let more = "[source eu_shop.2]\ntype = sqlite\npath = more.db\n[source shop_tls]\ntype = sqlite\npath = tls.db\n";
    let file = format!("{more}{FILE}");
    let set = |name, value| load(&file, [("TIDEMARK_SOURCE_SHOP_PASSWORD", "p"), (name, value)]);
    let error = set("TIDEMARK_SOURCE_EU_SHOP_2_BUSY_TIMEOUT", "never").unwrap_err();
    assert_eq!(
        error,
        "TIDEMARK_SOURCE_EU_SHOP_2_BUSY_TIMEOUT: is a key of [source eu_shop.2] and of [source eu.shop-2]\n  Give one of \
         them another name, or take the value from a variable of your own: `key = ${VARIABLE}`."
    );
    // A name that goes on where another ends is told by the keys that there are.
    let config = set("TIDEMARK_SOURCE_SHOP_TLS_PATH", "other.db").unwrap();
    assert_eq!(config.sources["shop_tls"].1.get("path"), Some("other.db"));
    let config = set("TIDEMARK_SOURCE_SHOP_TLS", "off").unwrap();
    assert_eq!(config.sources["shop"].1.get("tls"), Some("off"));
    // Nobody is bothered by what could be.
    load(&file, [("TIDEMARK_SOURCE_SHOP_PASSWORD", "p")]).unwrap();
}

#[test]
fn whoever_only_looks_needs_no_file_that_a_variable_names() {
    let folder = Folder::new(FILE);
    let status = |name: &str| super::Ended::from(folder.command("status").env(name, "no/such").output().unwrap());
    status("TIDEMARK_SOURCE_SHOP_PASSWORD_FILE").expect(0);
    let ended = status("TIDEMARK_JOB_LOG_URL_FILE").expect(2);
    assert!(ended.err.starts_with("TIDEMARK_JOB_LOG_URL_FILE: [job_log] `url_file`: "), "{}", ended.err);
    assert!(status("TIDEMARK_STREAM_ORDERS_TABEL").expect(2).err.contains("TIDEMARK_STREAM_ORDERS_TABLE?"));
}

#[cfg(unix)]
#[test]
fn what_is_not_text_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new(FILE);
    let broken = OsStr::from_bytes(b"\xff");
    let ended = folder.command("run").env("TIDEMARK_SOURCE_SHOP_PASSWORD", broken).output().unwrap();
    assert_eq!(super::Ended::from(ended).expect(2).err, "TIDEMARK_SOURCE_SHOP_PASSWORD: is not UTF-8\n");
}

#[test]
fn a_run_takes_them() {
    let folder = Folder::new(super::CONFIG);
    folder.shop("create table orders (id integer primary key); insert into orders values (1), (2)");
    let set = [("TIDEMARK_DESTINATION_LAKE_PATH", "bay"), ("TIDEMARK_STREAM_ORDERS_FORMAT", "json")];
    let ended: super::Ended = folder.command("run orders").envs(set).output().unwrap().into();
    assert_eq!(ended.expect(0).summary()["rows"], 2);
    let files: super::Ended = folder.command("files orders").envs(set).output().unwrap().into();
    let path = files.expect(0).out;
    assert!(path.contains("/bay/orders/") && path.trim().ends_with(".jsonl"), "{path}");
    assert!(!folder.join("lake").exists());
}
