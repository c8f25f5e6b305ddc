//! Masked values are nowhere: in no file, no entry of a commit log, no row of the job log, no message.

use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Folder;

const PLANTED: &str = "planted-4c7d";
const NUMBER: i64 = 404_142_434_445;
const FORMATS: [&str; 3] = ["csv", "json", "parquet"];

/// What people and machines may look for.
const MASKS: &str = "\
mask.email = hash
mask.phone = truncate(3)
mask.note = drop
mask.number = redact
";

const SHOP: &str = "
create table users (id integer primary key, version integer not null, email text, phone text, note text, number integer);
insert into users values
  (1, 1, 'planted-4c7d@example.org', '555-planted-4c7d', 'planted-4c7d', 404142434445),
  (2, 2, null, null, null, null),
  (3, 3, 'planted-4c7d@example.org', '5', 'a planted-4c7d', 404142434445);
";

/// A full load and an incremental stream into each format, nothing of it compressed.
fn config(masks: &str) -> String {
    let mut text = format!(
        "[pipeline]\nname = test\nretries = 0\n[source shop]\ntype = sqlite\npath = shop.db\n\
         mask_secret = 0123456789abcdef\n{masks}"
    );
    for format in FORMATS {
        text += &format!(
            "[destination {format}]\ntype = local\npath = {format}\nformat = {format}\ncompression = none\n\
             [stream full_{format}]\nsource = shop\ndestination = {format}\ntable = users\nas = full_users\n\
             [stream new_{format}]\nsource = shop\ndestination = {format}\ntable = users\nas = new_users\n\
             mode = incremental\ncursor = version\nlookback = 1000\nsettle = 1ms\n"
        );
    }
    text
}

fn folder(masks: &str) -> Folder {
    let folder = Folder::new(&config(masks));
    folder.shop(SHOP);
    folder
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The files that have a planted value in them, but for those that it was planted in.
fn carriers(folder: &Folder) -> Vec<PathBuf> {
    let needles = [PLANTED.as_bytes().to_vec(), NUMBER.to_string().into_bytes(), NUMBER.to_le_bytes().to_vec()];
    let has = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle.as_slice()))
    };
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name != "pipeline.conf" && !name.starts_with("shop.db")
    };
    files_below(folder.path()).into_iter().filter(|path| is_ours(path) && has(path)).collect()
}

/// The columns of all rows, by name, as texts.
fn rows(folder: &Folder, stream: &str, format: &str) -> Vec<Vec<(String, Option<String>)>> {
    let paths = folder.run(&format!("files {stream}")).expect(0).out;
    let mut rows = Vec::new();
    for path in paths.lines() {
        match format {
            "csv" => {
                let mut reader = csv::Reader::from_path(path).unwrap();
                let names = reader.headers().unwrap().clone();
                for row in reader.records() {
                    let row = row.unwrap();
                    let cells = row.iter().map(|cell| Some(cell.to_owned()).filter(|cell| !cell.is_empty()));
                    rows.push(names.iter().map(str::to_owned).zip(cells).collect());
                }
            }
            "json" => {
                for line in fs::read_to_string(path).unwrap().lines() {
                    let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
                    let text = |value: &serde_json::Value| match value {
                        serde_json::Value::Null => None,
                        serde_json::Value::String(text) => Some(text.clone()),
                        other => Some(other.to_string()),
                    };
                    let mut row: Vec<_> = row.iter().map(|(name, value)| (name.clone(), text(value))).collect();
                    row.sort();
                    rows.push(row);
                }
            }
            _ => {
                let bytes = Bytes::from(fs::read(path).unwrap());
                let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
                rows.extend(batches.flat_map(|batch| texts(&batch.unwrap())));
            }
        }
    }
    rows
}

fn texts(batch: &RecordBatch) -> Vec<Vec<(String, Option<String>)>> {
    let schema = batch.schema();
    let cell = |at: usize, row: usize| {
        let text = batch.column(at).as_string_opt::<i32>().filter(|_| batch.column(at).is_valid(row));
        (schema.field(at).name().clone(), text.map(|texts| texts.value(row).to_owned()))
    };
    (0..batch.num_rows()).map(|row| (0..batch.num_columns()).map(|at| cell(at, row)).collect()).collect()
}

/// Of `planted-4c7d@example.org`, by that secret.
const HASH: &str = "e6c4d9beca2be420e017b2b0c6685b142aa18303e2ae77a6a12e22832c67a728";

#[test]
fn a_masked_value_is_nowhere() {
    let folder = folder(MASKS);
    let first = folder.run("run -vv").expect(0);
    folder.shop(
        "insert into users values (4, 4, 'planted-4c7d@example.org', '777-planted-4c7d', 'planted-4c7d', 404142434445)",
    );
    let second = folder.run("run -vv").expect(0);
    let status = folder.run("status --json --runs 9").expect(0);
    for ended in [first, second, status, folder.run("check -vv").expect(0), folder.run("plan --json").expect(0)] {
        assert!(!ended.out.contains(PLANTED) && !ended.err.contains(PLANTED), "{}{}", ended.out, ended.err);
    }
    assert_eq!(carriers(&folder), Vec::<PathBuf>::new());
    assert!(files_below(&folder.join("csv/_commits")).len() > 3, "the commit logs were looked through");
    for stream in ["full", "new"] {
        for format in FORMATS {
            let rows = rows(&folder, &format!("{stream}_{format}"), format);
            assert_eq!(rows.len(), 4, "{stream}_{format}: {rows:?}");
            let of = |name: &str| -> Vec<Option<&str>> {
                let cell = |row: &'_ Vec<(String, Option<String>)>| row.iter().position(|(column, _)| column == name);
                let mut cells: Vec<_> = rows.iter().map(|row| row[cell(row).unwrap()].1.as_deref()).collect();
                cells.sort_unstable();
                cells
            };
            assert_eq!(of("email"), [None, Some(HASH), Some(HASH), Some(HASH)], "{stream}_{format}");
            assert_eq!(of("phone"), [None, Some("5"), Some("555"), Some("777")], "{stream}_{format}");
            assert_eq!(of("number"), [None, Some("***"), Some("***"), Some("***")], "{stream}_{format}");
            assert!(rows.iter().flatten().all(|(name, _)| name != "note"));
        }
    }
}

/// The test above would see them: without masks they are in every format, of both modes.
#[test]
fn an_unmasked_value_is_found() {
    let folder = folder("");
    folder.run("run").expect(0);
    let found = carriers(&folder);
    for format in FORMATS {
        for table in ["full_users", "new_users"] {
            let below = folder.join(format).join(table);
            assert!(found.iter().any(|path| path.starts_with(&below)), "{format} {table}: {found:?}");
        }
    }
}

/// What is kept of rows that are read again can be made by nobody who lacks the secret.
#[test]
fn digests_of_rows_are_keyed() {
    let seen = |masks: &str| {
        let folder = folder(masks);
        folder.run("run new_csv").expect(0);
        let entries = files_below(&folder.join("csv/_commits"));
        let texts: String = entries.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let (_, rest) = texts.split_once("\"seen\":\"").expect("digests are kept");
        rest.split_once('"').unwrap().0.to_owned()
    };
    assert_ne!(seen(""), seen("mask.note = drop\n"));
    assert_eq!(seen(""), seen(""));
}

#[test]
fn check_shows_columns_as_they_will_be() {
    let out = folder(MASKS).run("check full_csv").expect(0).out;
    assert!(out.contains("masked: hash, key ") && out.contains("masked: truncate(3)"), "{out}");
    assert!(!out.contains("note"), "{out}");
}

#[test]
fn masks_that_cannot_be_put_on_are_refused_before_anything_is_written() {
    for (masks, words) in [
        ("mask.emial = hash\n", "`mask.emial` names no column of"),
        ("mask.id = hash\n", "`mask.id` masks id, which is of the table's key"),
        ("mask.email = hash\nmask_secret_file = nowhere\n", "nowhere cannot be read"),
        ("mask.number = truncate(2)\n", "truncates a text"),
    ] {
        let folder = folder(masks);
        for line in ["check", "run"] {
            let ended = folder.run(line);
            assert_eq!(ended.code, Some(2), "{line}: {masks}{}{}", ended.out, ended.err);
            let said = format!("{}{}", ended.out, ended.err);
            assert!(said.contains(words), "{line}: {said}");
        }
        let written: Vec<_> = FORMATS
            .iter()
            .flat_map(|format| {
                let lake = folder.join(format);
                if lake.exists() { files_below(&lake) } else { Vec::new() }
            })
            .collect();
        assert_eq!(written, Vec::<PathBuf>::new(), "{masks}");
    }
    let folder = folder("mask.version = redact\n");
    let ended = folder.run("run");
    assert!(
        ended.code == Some(2) && ended.err.contains("masks version, which is of cursor"),
        "{}{}",
        ended.out,
        ended.err
    );
}

#[test]
fn another_mask_is_another_column() {
    let folder = folder(MASKS);
    folder.run("run").expect(0);
    let other = MASKS.replace("mask.phone = truncate(3)", "mask.phone = redact");
    fs::write(folder.join("pipeline.conf"), format!("{}on_schema_change = fail\n", config(&other))).unwrap();
    folder.shop("insert into users values (5, 5, 'x', 'y', 'z', 1)");
    let ended = folder.run("run new_parquet").expect(65);
    assert!(ended.err.contains("phone was") && ended.err.contains("masked by truncate(3)"), "{}", ended.err);
}
