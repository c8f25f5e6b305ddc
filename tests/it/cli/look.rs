//! Commands that only look: what they need, what they leave, what they find.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Folder;

/// Each value from a variable of its own.
const CONFIG: &str = "\
[pipeline]
name = test
max_memory = ${MEMORY:-64 MiB}
[source shop]
type = sqlite
path = ${SHOP}
[destination lake]
type = local
path = ${LAKE}
format = ${FORMAT:-csv}
[destination other]
type = local
path = ${OTHER}
[stream orders]
source = shop
destination = lake
table = orders
[stream rest]
source = shop
destination = lake
tables = items, users
[stream far]
source = shop
destination = other
table = orders
part_bytes = ${PART}
";

const SHOP: &str = "
create table orders (id integer primary key, total decimal(10,2));
insert into orders values (1, '1.50'), (2, '20.00');
create table items (id integer primary key); insert into items values (1);
create table users (id integer primary key); insert into users values (1);
";

const SET: [(&str, &str); 4] = [("SHOP", "shop.db"), ("LAKE", "lake"), ("OTHER", "other"), ("PART", "1 MiB")];

fn folder() -> Folder {
    let folder = Folder::new(CONFIG);
    folder.shop(SHOP);
    folder
}

/// A folder in which everything has run.
fn run() -> Folder {
    let folder = folder();
    with(&folder, "run", &SET).expect(0);
    folder
}

fn with(folder: &Folder, line: &str, set: &[(&str, &str)]) -> super::Ended {
    folder.command(line).envs(set.iter().copied()).output().unwrap().into()
}

#[test]
fn status_needs_the_job_log_alone() {
    let folder = run();
    let status = with(&folder, "status", &[]).expect(0).out;
    assert!(status.contains("rest.items  full  done"), "{status}");
    let unset = CONFIG.replace("max_memory = ${MEMORY:-64 MiB}", "max_memory = ${MEMORY}");
    fs::write(folder.join("pipeline.conf"), format!("[job_log]\nurl = sqlite:${{LOG}}\n{unset}")).unwrap();
    let wanted = "pipeline.conf:2: [job_log] `url`: environment variable LOG is not set\n  \
                  Set LOG, or write ${LOG:-default}.\n";
    assert_eq!(with(&folder, "status", &[]).expect(2).err, wanted);
    assert_eq!(with(&folder, "status", &[("LOG", "tidemark.db")]).expect(0).out, status);
}

#[test]
fn files_need_their_own_destination_alone() {
    let folder = run();
    let lake = ("LAKE", "lake");
    assert_eq!(with(&folder, "files orders", &[lake]).expect(0).out.lines().count(), 1);
    assert_eq!(with(&folder, "files rest", &[lake]).expect(0).out.lines().count(), 2);
    assert_eq!(with(&folder, "files far", &[("OTHER", "other")]).expect(0).out.lines().count(), 1);
    let wanted = "pipeline.conf:9: [destination lake] `path`: environment variable LAKE is not set\n  \
                  Set LAKE, or write ${LAKE:-default}.\n";
    assert_eq!(with(&folder, "files orders", &[("OTHER", "other")]).expect(2).err, wanted);
}

#[test]
fn run_and_check_still_tell_every_variable_at_once() {
    let folder = folder();
    for command in ["run", "check", "run orders"] {
        let said = with(&folder, command, &[("LAKE", "lake")]).expect(2).err;
        let missing: Vec<_> = said.lines().filter(|line| line.ends_with("is not set")).collect();
        assert_eq!(missing.len(), 3, "{said}");
        assert_eq!(missing[0], "pipeline.conf:6: [source shop] `path`: environment variable SHOP is not set");
    }
    assert!(!folder.join("tidemark.db").exists() && !folder.join("lake").exists());
}

#[test]
fn mistakes_of_the_file_are_told_to_those_who_look_too() {
    let folder = folder();
    fs::write(folder.join("pipeline.conf"), CONFIG.replace("table = orders\n[", "tabel = orders\n[")).unwrap();
    let said = with(&folder, "status", &[]).expect(2).err;
    assert!(said.contains("unknown key `tabel` (did you mean `table`?)"), "{said}");
}

#[test]
fn a_wrong_name_is_told_the_right_ones() {
    let folder = run();
    let known = "known streams: orders, rest.items, rest.users, far\n";
    for (command, wanted) in [
        ("run nope", format!("there is no stream `nope`; {known}")),
        ("files nope", format!("there is no stream `nope`; {known}")),
        ("run rest.nope", format!("there is no stream `rest.nope`; {known}")),
        ("run rest.itms", format!("there is no stream `rest.itms` (did you mean `rest.items`?); {known}")),
        ("run rest.items rest.nope", format!("there is no stream `rest.nope`; {known}")),
        ("run items", format!("there is no stream `items` (did you mean `rest.items`?); {known}")),
        (
            "run orders.orders",
            format!(
                "there is no stream `orders.orders` (did you mean `orders`?); {known}  \
                 [stream orders] is one stream, and its name is `orders`.\n"
            ),
        ),
        (
            "files rest.nope",
            "stream `rest.nope` has no published files yet\n  Streams of this section that have a commit log: \
             rest.items, rest.users.\n"
                .to_owned(),
        ),
    ] {
        let ended = with(&folder, command, &SET).expect(2);
        assert_eq!(ended.err, wanted, "{command}");
    }
    for command in ["run rest.items", "run rest", "run rest.*", "run rest.?sers", "run rest.ITEMS"] {
        assert!(!with(&folder, command, &SET).err.contains("known streams"), "{command}");
    }
}

#[test]
fn a_wrong_name_below_a_pattern_is_told_what_was_listed() {
    let folder = folder();
    fs::write(folder.join("pipeline.conf"), CONFIG.replace("items, users", "item*, user*")).unwrap();
    let ended = with(&folder, "run rest.items rest.nope", &SET).expect(2);
    let summary = ended.summary();
    let of = |name: &str| summary["streams"].as_array().unwrap().iter().find(|s| s["stream"] == name).cloned().unwrap();
    assert_eq!(of("rest.items")["state"], "done");
    let wanted = "there is no stream `rest.nope`; [stream rest] has: rest.items, rest.users";
    assert_eq!((&of("rest.nope")["error"], &of("rest.nope")["error_kind"]), (&wanted.into(), &"config".into()));
    let longer = CONFIG.replace("[stream orders]", "[stream rest.far]").replace("items, users", "item*, user*");
    fs::write(folder.join("pipeline.conf"), longer).unwrap();
    with(&folder, "run rest.far", &SET).expect(0);
    let status = with(&folder, "status", &SET).expect(0).out;
    assert!(!status.contains("rest.nope"), "a name that nothing has is no failure: {status}");
}

/// Every path below a folder.
fn tree(folder: &Path) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths.extend(tree(&path));
        }
        paths.insert(path.display().to_string());
    }
    paths
}

#[test]
fn check_leaves_nothing_behind() {
    let folder = folder();
    let deep = [SET[0], ("LAKE", "data/lake"), ("OTHER", "data/more/other"), SET[3]];
    let before = tree(folder.path());
    let said = with(&folder, "check", &deep).expect(0).out;
    assert_eq!(tree(folder.path()), before, "{said}");
    assert!(said.contains("tidemark.db, table version 3; the first run makes it"), "{said}");

    with(&folder, "run", &deep).expect(0);
    fs::create_dir(folder.join("empty")).unwrap();
    let before = tree(folder.path());
    with(&folder, "check", &[deep[0], deep[1], ("OTHER", "empty"), deep[3]]).expect(0);
    // Who closes a SQLite file last takes the files beside it away; a run may not come to that.
    let new: Vec<_> = tree(folder.path()).difference(&before).cloned().collect();
    assert!(new.is_empty() && folder.join("empty").exists(), "{new:?}");
}

#[test]
fn check_still_says_that_the_job_log_cannot_be_made() {
    let folder = folder();
    fs::write(folder.join("pipeline.conf"), format!("[job_log]\nurl = sqlite:no/such/log.db\n{CONFIG}")).unwrap();
    let said = with(&folder, "check", &SET).expect(2).out;
    assert!(
        said.contains("job_log: failed (config)\n  job log no/such/log.db: folder no/such does not exist"),
        "{said}"
    );

    fs::create_dir_all(folder.join("no/such")).unwrap();
    let rights = |mode| fs::set_permissions(folder.join("no/such"), fs::Permissions::from_mode(mode)).unwrap();
    rights(0o555);
    // Who may write everywhere cannot be refused.
    if fs::write(folder.join("no/such/probe"), "").is_err() {
        let said = with(&folder, "check", &SET).expect(77).out;
        assert!(said.contains("job_log: failed (denied)\n  job log no/such/log.db: "), "{said}");
    }
    rights(0o755);
}

/// A run of a stream needs no other's source, destination or table, and neither does its check.
#[test]
fn check_looks_at_what_is_named_alone() {
    let folder = run();
    folder.shop("drop table users");
    fs::remove_dir_all(folder.join("other")).unwrap();
    fs::write(folder.join("other"), "no folder").unwrap();
    let check = |line: &str| with(&folder, line, &SET);
    let findings = |out: &str| {
        let headers = out.lines().filter(|line| line.ends_with(": ok") || line.contains(": failed"));
        headers.map(|line| line.split_once(": ").unwrap().0.to_owned()).skip(1).collect::<Vec<_>>()
    };
    assert!(check("check").code != Some(0));
    let orders = check("check orders").expect(0);
    assert_eq!(findings(&orders.out), ["job_log", "destination lake", "source shop", "stream orders"]);
    assert!(orders.out.contains("holds all live files of its streams: 1\n"), "{}", orders.out);
    let items = check("check rest.items").expect(0);
    assert_eq!(findings(&items.out), ["job_log", "destination lake", "source shop", "stream rest"]);
    assert!(items.out.contains("rest.items: reads items") && !items.out.contains("users"), "{}", items.out);
    let both = check("check orders rest").expect(2);
    assert!(both.out.contains("stream rest.users: failed (config)"), "{}", both.out);
    assert!(check("check far").code != Some(0));
    for (line, meant) in [("check ordes", "did you mean `orders`?"), ("check rest.item", "did you mean `rest.items`?")]
    {
        let refused = check(line).expect(2);
        assert!(refused.err.contains(meant) && refused.out.is_empty(), "{}{}", refused.out, refused.err);
    }
    // What only the source can tell.
    let tables = CONFIG.replace("tables = items, users", "tables = ite*");
    fs::write(folder.join("pipeline.conf"), tables).unwrap();
    let stranger = check("check rest.nope").expect(2);
    assert!(stranger.out.contains("stream rest.nope: failed (config)"), "{}", stranger.out);
    assert!(stranger.out.contains("[stream rest] has: rest.items"), "{}", stranger.out);
}

#[test]
fn check_counts_live_files_that_are_gone() {
    let folder = run();
    let said = with(&folder, "check", &SET).expect(0).out;
    assert!(said.contains("\ndestination lake: ok\n") && said.contains("\n  holds all live files of its streams: 3\n"));
    let files = with(&folder, "files rest.items", &SET).expect(0).out;
    fs::remove_file(files.trim()).unwrap();
    let said = with(&folder, "check", &SET).expect(73).out;
    let wanted = format!(
        "\nfiles of stream rest.items: failed (conflict)\n  1 of 1 live files are missing, the first of them {files}"
    );
    assert!(said.contains(&wanted), "{said}");
    assert!(said.contains("`tidemark run rest.items`: a full load writes all of them anew."), "{said}");
    assert!(!said.contains("files of stream orders") && !said.contains("files of stream rest.users"), "{said}");
    with(&folder, "run rest.items", &SET).expect(0);
    with(&folder, "check", &SET).expect(0);
}

#[test]
fn check_shows_what_each_stream_writes_and_where() {
    let folder = folder();
    let said = with(&folder, "check", &SET).expect(0).out;
    let lake = folder.path().canonicalize().unwrap().join("lake");
    let wanted = format!(
        "\nstream rest: ok\n  writes csv, not compressed\n  rest.items: reads items, about 1 rows\n  \
         rest.items: into {0}/items\n  rest.users: reads users, about 1 rows\n  rest.users: into {0}/users\n",
        lake.display()
    );
    assert!(said.contains(&wanted), "{said}");
    assert!(said.contains("\nstream far: ok\n  writes parquet, zstd\n"), "{said}");
}

/// A folder in which `rest` has run with these tables.
fn run_with_tables(tables: &str) -> Folder {
    let folder = folder();
    retable(&folder, tables);
    with(&folder, "run", &SET).expect(0);
    folder
}

fn retable(folder: &Folder, tables: &str) {
    fs::write(folder.join("pipeline.conf"), CONFIG.replace("items, users", tables)).unwrap();
}

#[test]
fn a_loss_of_a_table_that_was_dropped_is_no_failure() {
    let folder = run_with_tables("item*, users");
    let files = with(&folder, "files rest.users", &SET).expect(0).out;
    fs::remove_file(files.trim()).unwrap();
    with(&folder, "check", &SET).expect(73);
    retable(&folder, "item*");
    let said = with(&folder, "check", &SET).expect(0).out;
    let wanted = format!(
        "  holds all live files of its streams: 2\n  rest.users: 1 of 1 live files are missing, the first of them {}; \
         [stream rest] has no such table any more\n",
        files.trim()
    );
    assert!(said.contains(&wanted), "{said}");
    retable(&folder, "item*, USER?");
    with(&folder, "check", &SET).expect(73);
    retable(&folder, "items");
    with(&folder, "check", &SET).expect(0);
    let kept = with(&folder, "files rest", &SET).expect(0).out;
    assert_eq!(kept.lines().count(), 1, "{kept}");
    assert_eq!(with(&folder, "files rest.users", &SET).expect(0).out, files);
}

#[test]
fn a_longer_section_has_its_files_to_itself() {
    let longer = "[stream rest.eu]\nsource = shop\ndestination = lake\ntables = more\n";
    for tables in ["items, users", "item*, user*"] {
        let folder = folder();
        folder.shop("create table more (id integer primary key); insert into more values (1);");
        let config = format!("{}{longer}", CONFIG.replace("items, users", tables));
        fs::write(folder.join("pipeline.conf"), config).unwrap();
        with(&folder, "run", &SET).expect(0);
        let files = with(&folder, "files rest", &SET).expect(0).out;
        assert_eq!((files.lines().count(), files.contains("/more/")), (2, false), "{files}");
        for name in ["rest.eu", "rest.eu.more"] {
            let files = with(&folder, &format!("files {name}"), &SET).expect(0).out;
            assert_eq!((files.lines().count(), files.contains("/more/")), (1, true), "{files}");
        }
        let said = with(&folder, "check", &SET).expect(0).out;
        assert!(said.contains("\n  holds all live files of its streams: 4\n"), "{said}");
    }
}

#[test]
fn a_table_written_in_another_way_is_found() {
    let folder = run_with_tables("ITEMS, main.users");
    for tables in ["ITEMS, main.users", "items, USERS"] {
        retable(&folder, tables);
        assert_eq!(with(&folder, "files rest", &SET).expect(0).out.lines().count(), 2);
    }
    let files = with(&folder, "files rest.users", &SET).expect(0).out;
    fs::remove_file(files.trim()).unwrap();
    let said = with(&folder, "check", &SET).expect(73).out;
    assert!(said.contains("files of stream rest.users: failed"), "{said}");
}
