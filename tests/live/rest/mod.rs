//! APIs: every way of pages, and a server that misbehaves. The server is in this process: nothing has to be started for it.

mod changed;
mod charsets;
mod children;
mod declared;
mod examples;
mod failed;
mod fields;
mod incremental;
mod killed;
mod paging;
mod recorded;
mod reports;
mod secrets;
mod stuck;
mod trouble;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::api::{Server, Shape, record};
use crate::program::Folder;

/// A pipeline of one stream, `api`, into JSON Lines; `source` and `stream` are keys of these sections.
fn folder(server: &Server, source: &str, stream: &str) -> Folder {
    Folder::new(&config(server, source, stream))
}

fn config(server: &Server, source: &str, stream: &str) -> String {
    format!(
        "[source web]\ntype = rest\nbase_url = {}\nretry_wait = 10ms\n{source}\n\
         [destination lake]\ntype = local\npath = lake\nformat = json\ncompression = none\n\
         [stream api]\nsource = web\ndestination = lake\n{stream}\n",
        server.url("")
    )
}

/// Whether anything is live.
fn has_files(folder: &Folder) -> bool {
    match folder.start("files api").end().code {
        Some(0) => !folder.live_files("api").is_empty(),
        _ => false,
    }
}

/// The lines of the live files.
fn lines(folder: &Folder) -> Vec<String> {
    let read = |path: String| {
        let text = std::fs::read_to_string(folder.path().join(path)).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    folder.live_files("api").into_iter().flat_map(read).collect()
}

/// Every record once, each as the server has it: by its id.
fn assert_records(folder: &Folder, shape: Shape, ids: impl IntoIterator<Item = u64>) {
    let mut found: BTreeMap<u64, String> = BTreeMap::new();
    for line in lines(folder) {
        let id = id(&line);
        assert!(found.insert(id, line).is_none(), "record {id} is there twice");
    }
    let mut count = 0;
    for id in ids {
        let line = found.remove(&id).unwrap_or_else(|| panic!("record {id} is missing"));
        let mut fields = plain(&line);
        // Of a growing stream.
        fields.remove("._seq");
        assert_eq!(fields, plain(&record::json(shape, 0, id)));
        count += 1;
    }
    assert!(found.is_empty(), "{} records beside the {count}", found.len());
}

fn id(line: &str) -> u64 {
    let record: serde_json::Value = serde_json::from_str(line).unwrap();
    record["id"].as_u64().unwrap_or_else(|| panic!("no id: {line}"))
}

/// A record's fields by path, numbers as they are written but for zeros at their end; without nulls and what is empty.
fn plain(json: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    leaves(serde_json::from_str(json).unwrap(), String::new(), &mut fields);
    fields
}

fn leaves(value: &RawValue, path: String, out: &mut BTreeMap<String, String>) {
    let text = value.get();
    match text.as_bytes()[0] {
        b'{' => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).unwrap();
            for (name, inner) in fields {
                leaves(inner, format!("{path}.{name}"), out);
            }
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap();
            for (at, inner) in items.into_iter().enumerate() {
                leaves(inner, format!("{path}[{at}]"), out);
            }
        }
        b'"' => {
            let text: String = serde_json::from_str(text).unwrap();
            out.insert(path, number(&text).unwrap_or(text));
        }
        b'n' => {}
        _ => {
            out.insert(path, number(text).unwrap_or_else(|| text.to_owned()));
        }
    }
}

/// A decimal number in one form: a column that also has larger ones may have it as text.
fn number(text: &str) -> Option<String> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"-+.eE".contains(&byte));
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !is_number || whole.is_empty() {
        return None;
    }
    let sign = if whole.starts_with('-') { "-" } else { "" };
    let all = format!("{}{fraction}", whole.trim_start_matches('-'));
    let shift = exponent - i64::try_from(fraction.len()).ok()?;
    let kept = all.trim_end_matches('0');
    let shift = shift + i64::try_from(all.len() - kept.len()).ok()?;
    let kept = kept.trim_start_matches('0');
    Some(if kept.is_empty() { "0".to_owned() } else { format!("{sign}{kept}e{shift}") })
}
