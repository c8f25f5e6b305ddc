//! `fields` and `exclude_fields`: which columns there are, and of which types.

use super::{folder, lines};
use crate::api::{Server, Settings, Shape, record};

const RECORDS: &str = "path = /numbered\nrecords = data\n";

/// What a record has in place of all of it.
fn city_and_id(id: u64) -> String {
    let whole: serde_json::Value = serde_json::from_str(&record::json(Shape::Rich, 0, id)).unwrap();
    format!(r#"{{"address":{{"city":{}}},"id":{id}}}"#, whole["address"]["city"])
}

#[test]
fn paths_are_kept_in_their_order_and_nothing_is_written_before_records() {
    let server = Server::with(Settings { records: 3, ..Settings::default() });
    let stream = |more: &str| folder(&server, "", &format!("{RECORDS}fields = address.city, id\n{more}"));
    let json = stream("");
    json.run("run", 0);
    assert_eq!(lines(&json), [1, 2, 3].map(city_and_id));
    assert_eq!(json.live_files("api").len(), 1, "a file without rows is there");
    let parquet = stream("format = parquet");
    parquet.run("run", 0);
    assert_eq!(parquet.live_files("api").len(), 1, "a file without rows is there");
    // Where records are flat, no column has the name of another.
    let csv = stream("format = csv");
    csv.run("run", 0);
    let (lines, header) = (lines(&csv), "address.city,id");
    assert_eq!((lines[0].as_str(), lines.len()), (header, 4), "{lines:?}");
}

#[test]
fn a_load_without_records_has_no_columns() {
    let server = Server::with(Settings { records: 0, ..Settings::default() });
    let folder = folder(&server, "", &format!("{RECORDS}fields = id\nformat = parquet"));
    let before = folder.start("files api").end();
    assert_eq!(before.code, Some(2), "{}", before.said);
    assert!(before.said.contains("has no published files yet"), "{}", before.said);
    folder.run("run", 0);
    assert!(folder.live_files("api").is_empty());
    let (_, said) = folder.run("files api", 0);
    assert!(said.contains("what was read had no rows"), "{said}");
}

/// Its load, which is there for readers alone, has no rows, and so no columns.
#[test]
fn a_stream_that_is_begun_anew_has_no_file_without_rows() {
    let server = Server::with(Settings { records: 10, ..Settings::default() });
    let events = "path = /events\nrecords = events\nmode = incremental\ncursor = updated_at\ncursor_param = updated_since\n\
                  fields = id, updated_at";
    let folder = folder(&server, "", events);
    folder.run("run", 0);
    folder.run("run --full-refresh", 0);
    assert_eq!(lines(&folder).len(), 10);
    for path in folder.live_files("api") {
        let length = std::fs::metadata(folder.path().join(&path)).unwrap().len();
        assert!(length > 0, "{path} has no rows");
    }
}

#[test]
fn a_check_shows_what_a_run_would_write() {
    let server = Server::new();
    let check = |more: &str| folder(&server, "", &format!("{RECORDS}{more}")).run("check", 0).1;
    let shown = |said: &str, column: &str| said.lines().any(|line| line.split_whitespace().next() == Some(column));
    let said = check("fields = id, nope");
    assert!(shown(&said, "id") && !shown(&said, "name") && !shown(&said, "nope"), "{said}");
    assert!(said.contains("None of the first 100 records has anything at `nope`, which `fields` names."), "{said}");
    let said = check("exclude_fields = balance, address.geo");
    assert!(shown(&said, "id") && shown(&said, "address") && !shown(&said, "balance"), "{said}");
    assert!(!said.contains("geo Struct") && !said.contains("has anything at"), "{said}");
    let said = check("mode = incremental\ncursor = nope\ncursor_param = since");
    assert!(said.contains("None of the first 100 records has anything at `nope`, which `cursor` names."), "{said}");
    // A cursor need not be among the fields.
    let said = check("mode = incremental\ncursor = updated_at\ncursor_param = since\nfields = id");
    assert!(!said.contains("has anything at"), "{said}");
}
