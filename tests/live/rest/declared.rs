//! Columns that are declared hold what answers write as texts and numbers.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{folder, has_files, lines};
use crate::api::{Server, Settings, Shape, record};
use crate::program::Folder;

const TYPES: &str = "column.amount = decimal(10,2)\ncolumn.active = bool\ncolumn.updated_at = timestamp";

fn server() -> Server {
    Server::with(Settings { records: 50, shape: Shape::Small, ..Settings::default() })
}

/// The only file's records, each value as it is written.
fn records(folder: &Folder) -> Vec<BTreeMap<String, String>> {
    let record = |line: &String| {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(line).unwrap();
        fields.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()
    };
    lines(folder).iter().map(record).collect()
}

/// Every record is there, typed; its number is in the column `id`.
fn assert_typed(folder: &Folder, id: &str) {
    let all = records(folder);
    assert_eq!(all.len(), 50);
    for (number, fields) in (1..).zip(all) {
        let row = record::row(0, number);
        let at = row.updated_at.replace('Z', ".000000Z");
        let wanted = [
            (id, number.to_string()),
            ("name", serde_json::to_string(&row.name).unwrap()),
            ("amount", row.amount),
            ("active", row.active.to_string()),
            ("updated_at", format!("\"{at}\"")),
        ];
        for (name, wanted) in wanted {
            assert_eq!(fields[name], wanted, "{name} of {number}");
        }
    }
}

#[test]
fn texts_of_every_format_are_read_as_their_types() {
    let csv = "path = /csv\nresponse_format = csv";
    let xml = "path = /xml\nresponse_format = xml\nrecords = response.records.record";
    for (source, id) in
        [("path = /array", "id"), ("path = /lines\nresponse_format = json_lines", "id"), (csv, "id"), (xml, "@id")]
    {
        let server = server();
        // The others are found.
        let found = folder(&server, "", &format!("{source}\n{TYPES}\ncolumn.{id} = long"));
        found.run("run", 0);
        assert_typed(&found, id);
        let declared = format!("{source}\n{TYPES}\ncolumn.{id} = long\ncolumn.name = text\nschema = declared");
        let declared = folder(&server, "", &declared);
        declared.run("run", 0);
        assert_typed(&declared, id);
        let same: Vec<_> = records(&declared).iter().map(|fields| fields.keys().count()).collect();
        assert!(same.iter().all(|count| *count == 5), "{same:?}");
    }
}

#[test]
fn numbers_are_times_by_their_unit() {
    let server = server();
    let folder = folder(&server, "", "path = /array\ncolumn.id = epoch");
    folder.run("run", 0);
    assert_eq!(records(&folder)[6]["id"], "\"1970-01-01T00:00:07.000000Z\"");
}

#[test]
fn what_does_not_fit_is_told_by_check_and_by_the_run_without_the_value() {
    let server = server();
    for (column, said) in [
        ("column.id = timestamp", "field id: int, declared timestamp"),
        ("column.updated_at = date", "field updated_at: string in another form, declared date"),
        ("column.amount = decimal(3,2)", "field amount: "),
    ] {
        for schema in ["infer", "declared"] {
            let keys = format!("path = /array\nschema = {schema}\n{column}");
            let failing = folder(&server, "", &format!("{keys}\nretries = 0"));
            for command in ["check", "run"] {
                let ended = failing.start(command).end();
                assert!(ended.code != Some(0), "{command} of {keys}: {}", ended.said);
                assert!(ended.said.contains(said), "{command} of {keys}: {}", ended.said);
                assert!(!ended.said.contains("2026-01-01T"), "{}", ended.said);
            }
            assert!(!has_files(&failing));
        }
    }
}

#[test]
fn misfits_go_to_the_quarantine_beside_columns_that_are_found() {
    let server = server();
    let keys = "path = /array\nprimary_key = id\nmode = full\non_misfit = quarantine\ncolumn.active = bool\ncolumn.updated_at = date";
    let folder = folder(&server, "", keys);
    let (_, said) = folder.run("check", 0);
    assert!(said.contains("50 of its first 50 records do not fit what is declared"), "{said}");
    assert!(said.contains("field updated_at: string in another form, declared date"), "{said}");
    folder.run("run", 3);
    let reasons: Vec<_> = records(&folder).into_iter().filter_map(|fields| fields.get("reason").cloned()).collect();
    assert_eq!(reasons.len(), 50);
    assert!(reasons.iter().all(|reason| reason == "\"field updated_at: string in another form, declared date\""));
}
