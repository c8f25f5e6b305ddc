//! `tidemark run --from … --until … --step …`.

use super::Folder;

const CONFIG: &str = "\
[pipeline]
name = test
[source shop]
type = sqlite
path = shop.db
[destination lake]
type = local
path = lake
format = csv
[stream orders]
source = shop
destination = lake
table = orders
mode = incremental
cursor = day
";

const SHOP: &str = "
create table orders (id integer primary key, day date not null);
insert into orders values (1, '2024-03-01'), (2, '2024-03-02'), (3, '2024-03-02'), (4, '2024-03-05');
";

fn folder() -> Folder {
    let folder = Folder::new(CONFIG);
    folder.shop(SHOP);
    folder.run("run").expect(0);
    folder
}

#[test]
fn windows_are_read_again_and_the_mark_stays() {
    let folder = folder();
    let status = || folder.run("status --stream orders --json").expect(0).out;
    let mark = |text: &str| {
        let told: serde_json::Value = serde_json::from_str(text).unwrap();
        told["streams"].as_array().unwrap().iter().find(|row| row["stream"] == "orders").unwrap()["high_water_mark"]
            .clone()
    };
    let before = mark(&status());
    for (line, rows) in [
        ("run orders --from 2024-03-02 --until 2024-03-05 --step 1d", 2),
        ("run orders --from 2024-03-02", 3),
        ("run orders --until 2024-03-02", 1),
        ("run orders --step 2d", 4),
    ] {
        let summary = folder.run(line).expect(0).summary();
        assert_eq!((&summary["rows"], &summary["streams"][0]["note"]), (&rows.into(), &().into()), "{line}");
    }
    assert_eq!(mark(&status()), before);
    assert_eq!(folder.run("run").expect(0).summary()["rows"], 0);
}

#[test]
fn finished_backfills_do_not_stay_in_the_status() {
    let folder = folder();
    let backfills = |line: &str| folder.run(line).expect(0).out.lines().filter(|l| l.contains("orders@")).count();
    folder.run("run orders --until 2024-03-02").expect(0);
    assert_eq!(backfills("status"), 1, "what was just done is seen");
    folder.run("run orders --from 2024-03-02").expect(0);
    assert_eq!(backfills("status"), 1);
    folder.run("run").expect(0);
    assert_eq!((backfills("status"), backfills("status --stream orders")), (0, 0));
    assert_eq!(backfills("status --runs 1"), 2, "they are history");
}

/// Told, and read all the same.
#[test]
fn many_windows_are_told_beforehand() {
    let folder = folder();
    for (from, windows, is_told) in [("2023-08-19", 200, false), ("2023-08-18", 201, true)] {
        let ended = folder.run(&format!("run orders --from {from} --until 2024-03-06 --step 1d")).expect(0);
        assert_eq!(ended.summary()["rows"], 4);
        let lines: Vec<_> = ended.err.lines().collect();
        let many =
            lines.iter().position(|line| line.contains("WARN") && line.contains("a greater `--step` makes fewer"));
        let reading =
            lines.iter().position(|line| line.contains(&format!("windows={windows}")) && line.contains("INFO"));
        assert_eq!((many.is_some(), reading.is_some()), (is_told, true), "{}", ended.err);
        assert!(many < reading, "{}", ended.err);
    }
}

#[test]
fn a_backfill_of_nothing_says_so() {
    let ended = folder().run("run orders --from 2024-03-03 --until 2024-03-04").expect(0);
    assert_eq!(ended.summary()["streams"][0]["note"], "no rows lie in what was to be read again");
    assert!(ended.err.contains("no rows lie in what was to be read again"), "{}", ended.err);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let folder = folder();
    for (options, words) in [
        ("--from 2024-03-05 --until 2024-03-05", "`--from` does not lie before `--until`"),
        ("--from 2024-03-06", "lies behind the stream's mark"),
        ("--from yesterday", "`--from` is no value of the cursor"),
        ("--from 2024-03-01 --step many", "`--step` must be a duration"),
    ] {
        let ended = folder.run(&format!("run orders {options}")).expect(2);
        let summary = ended.summary();
        assert_eq!(summary["streams"][0]["error_kind"], "config", "{options}");
        assert!(summary["streams"][0]["error"].as_str().unwrap().contains(words), "{options}: {summary}");
    }
    // Nothing was begun.
    assert!(!folder.run("status --json").expect(0).out.contains("orders@"));
}
