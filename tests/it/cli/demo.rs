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
