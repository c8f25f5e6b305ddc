//! Streams and tables whose names look like those of windows and chunks.

use serde_json::Value;

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
[stream a]
source = shop
destination = lake
table = a
mode = incremental
cursor = id
[stream odd]
source = shop
destination = lake
tables = x/y, x@3, x%40y, x/g0123456789abcdef0123456789abcdef/0
";

const SHOP: &str = "
create table a (id integer primary key);
insert into a values (1), (2), (3), (4);
create table b (id integer primary key);
insert into b values (1), (2);
create table \"x/y\" (id integer primary key);
create table \"x@3\" (id integer primary key);
create table \"x%40y\" (id integer primary key);
create table \"x/g0123456789abcdef0123456789abcdef/0\" (id integer primary key);
insert into \"x@3\" values (7);
";

fn status(folder: &Folder, options: &str) -> Vec<(String, String, Value, Value)> {
    let out = folder.run(&format!("status --json {options}")).expect(0).out;
    let report: Value = serde_json::from_str(&out).unwrap();
    let streams = report["streams"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    streams.map(|s| (text(&s["stream"]), text(&s["state"]), s["rows"].clone(), s["high_water_mark"].clone())).collect()
}

#[test]
fn a_stream_is_not_taken_for_a_window_of_another() {
    // Whichever number the backfill comes to have, there is a stream of that name.
    let streams: String =
        (0..9).map(|n| format!("[stream a@{n}]\nsource = shop\ndestination = lake\ntable = b\nas = b{n}\n")).collect();
    let folder = Folder::new(&format!("{}{streams}", CONFIG.replace("[stream odd]", "[stream unread]")));
    folder.shop(SHOP);
    folder.run("run a a@*").expect(0);
    let before = status(&folder, "");
    let summary = folder.run("run a --from 2 --until 4").expect(0).summary();
    let window = summary["streams"][0]["stream"].as_str().unwrap().to_owned();
    assert!(window.starts_with("a@"), "{window}");

    let after = status(&folder, "");
    let others = |rows: &[(String, String, Value, Value)]| {
        rows.iter().filter(|row| row.0 != window && row.0 != "a").cloned().collect::<Vec<_>>()
    };
    assert_eq!(others(&after), others(&before), "no other stream's row has changed");
    assert!(after.iter().any(|row| row.0 == window && row.2 == 2), "{after:?}");
    let namesake = after.iter().find(|row| row.0 == window.replace('@', "%40")).unwrap();
    assert_eq!((namesake.1.as_str(), &namesake.2), ("done", &2.into()));

    // By its own name it is found, and the window by its stream's.
    let by_name = status(&folder, &format!("--stream {window}"));
    assert_eq!(by_name.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), [window.replace('@', "%40")]);
    assert_eq!(status(&folder, "--stream a").len(), 2);
    for name in [window.clone(), window.replace('@', "%40")] {
        assert_eq!(folder.run(&format!("run {name}")).expect(0).summary()["rows"], 2, "{name}");
        assert_eq!(folder.run(&format!("files {window}")).expect(0).out.lines().count(), 1, "{name}");
    }
}

#[test]
fn tables_may_have_any_name() {
    let folder = Folder::new(CONFIG);
    folder.shop(SHOP);
    let first = folder.run("run").expect(0).summary();
    let streams: Vec<_> =
        first["streams"].as_array().unwrap().iter().map(|stream| stream["stream"].as_str().unwrap()).collect();
    let chunk = "odd.x%2Fg0123456789abcdef0123456789abcdef%2F0";
    assert_eq!(streams, ["a", "odd.x%2540y", chunk, "odd.x/y", "odd.x%403"]);
    let names = |folder: &Folder| {
        let mut names: Vec<_> = status(folder, "").into_iter().map(|row| (row.0, row.1)).collect();
        names.sort();
        names
    };
    let of_status = names(&folder);
    assert_eq!(of_status.len(), 5, "{of_status:?}");
    assert!(of_status.iter().all(|(_, state)| state == "done"), "{of_status:?}");
    assert_eq!(folder.run("run odd.x%403").expect(0).summary()["rows"], 1);
    assert_eq!(folder.run("files odd.x@3").expect(0).out.lines().count(), 1);

    // A job log that is made anew has the same names.
    std::fs::remove_file(folder.join("tidemark.db")).unwrap();
    folder.run("status --rebuild").expect(0);
    assert_eq!(names(&folder), of_status);
}
