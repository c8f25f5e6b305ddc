//! `tidemark demo`, in an empty folder.

use std::path::Path;

use rusqlite::Connection;

use super::Folder;

/// The folder that commands run in; the demo makes its own inside.
fn folder() -> Folder {
    let folder = Folder::new("");
    std::fs::remove_file(folder.join("pipeline.conf")).unwrap();
    folder
}

/// The live files of a stream, as the program lists them.
fn live(folder: &Folder, stream: &str) -> Vec<String> {
    let ended = folder.run(&format!("files {stream} -c tidemark-demo/pipeline.conf")).expect(0);
    ended.out.lines().map(str::to_owned).collect()
}

fn count(shop: &Path, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    Connection::open(shop).unwrap().query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// The cells of the table's line that begins with `name`.
fn line<'a>(out: &'a str, name: &str) -> Vec<&'a str> {
    let line = out.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("no line of {name} in {out}")).split_whitespace().collect()
}

fn number(cell: &str) -> i64 {
    cell.replace(',', "").parse().unwrap()
}

#[test]
fn the_first_call_copies_a_shop_and_the_second_picks_up_its_changes() {
    let folder = folder();
    let shop = folder.join("tidemark-demo/shop.db");
    let first = folder.run("demo").expect(0);
    for part in ["Made a small shop", "customers", "high-water mark", "tidemark-demo/files", "Next:", " demo "] {
        assert!(first.out.contains(part), "{part} in: {}", first.out);
    }
    let before = ["customers", "orders", "order_lines"].map(|table| count(&shop, table));
    let copied = ["customers", "orders", "order_lines"].map(|table| number(line(&first.out, table)[3]));
    assert_eq!((before[0], before[1], copied), (2_000, 10_000, before));
    let customers =
        live(&folder, "customers").iter().map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>();
    assert_eq!(customers.lines().count(), 2_000);
    let days =
        live(&folder, "revenue_by_day").iter().map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>();
    assert_eq!(days.lines().next(), Some("day,orders,revenue"));
    assert!(live(&folder, "orders").iter().all(|file| file.ends_with(".parquet")));
    assert!(live(&folder, "order_lines").iter().all(|file| file.ends_with(".csv.gz")));

    let second = folder.run("demo").expect(0);
    let picked_up = second.out.split("high-water mark").next().unwrap();
    for (table, was) in ["customers", "orders", "order_lines"].into_iter().zip(before) {
        let cells: Vec<_> = line(picked_up, table)[1..].iter().map(|cell| number(cell)).collect();
        let now = count(&shop, table);
        assert_eq!((cells[0], cells[4]), (was, now), "{picked_up}");
        assert_eq!(was + cells[1] - cells[3], now, "{picked_up}");
    }
}

#[test]
fn another_folder_can_be_named_and_other_peoples_are_refused() {
    let folder = folder();
    folder.run("demo --dir somewhere/else").expect(0);
    assert!(folder.join("somewhere/else/shop.db").exists());
    std::fs::write(folder.join("pipeline.conf"), "[source mine]\n").unwrap();
    let refused = folder.run("demo --dir .").expect(2);
    assert!(refused.err.contains("was not made by `tidemark demo`"), "{}", refused.err);
    assert!(!folder.join("shop.db").exists());
}

/// The API refuses whatever comes before the time that it said: one refusal is one wait that was long enough.
#[cfg(feature = "rest")]
#[test]
fn an_api_that_wants_to_be_left_alone_is_waited_for() {
    use std::collections::BTreeSet;

    let folder = folder();
    for _ in 0..2 {
        let ended = folder.run("demo").expect(0);
        assert!(ended.out.contains("Of 11 requests, 1 met 429"), "{}", ended.out);
        assert!(ended.out.contains("1,000 reviews are in the files, each once."), "{}", ended.out);
        assert_eq!(number(line(&ended.out, "reviews")[3]), 1_000);
        let waits: Vec<_> = ended.err.lines().filter(|line| line.contains("the server asks to wait")).collect();
        let [wait] = waits[..] else { panic!("{waits:?}") };
        for part in ["INFO", "path=\"/reviews\"", "429", "wait_seconds=1.0"] {
            assert!(wait.contains(part) && !wait.contains("page="), "{part} in: {wait}");
        }
        let listed = folder.run("files reviews -c tidemark-demo/reviews.conf").expect(0);
        let text: String = listed.out.lines().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_u64().unwrap();
        let ids: BTreeSet<_> = text.lines().map(id).collect();
        assert!(text.lines().count() == 1_000 && ids.into_iter().eq(1..=1_000));
    }
    // What its file says of itself.
    folder.run("status -c tidemark-demo/reviews.conf").expect(0);
    folder.run("run -c tidemark-demo/reviews.conf").expect(2);
}
