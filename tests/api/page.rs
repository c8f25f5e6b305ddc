//! Pages of records, made once and kept, so that a benchmark measures its client.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;

use super::record::{self, Shape};

/// How a page's records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `[…,…]`
    Array,
    Lines,
    /// With a line of names.
    Csv,
    /// `<record …>` elements, without a root.
    Xml,
}

type Key = (Format, Shape, u64, u64, u64);

/// The pages that were made, up to a number of bytes. Those that come later are made each time.
#[derive(Default)]
pub struct Pages {
    kept: Mutex<(usize, HashMap<Key, Bytes>)>,
}

impl Pages {
    /// The records with numbers from `ids.start + 1` to `ids.end`.
    pub fn get(&self, most_bytes: usize, format: Format, shape: Shape, seed: u64, ids: Range<u64>) -> Bytes {
        let key = (format, shape, seed, ids.start, ids.end);
        if let Some(page) = self.kept.lock().unwrap().1.get(&key) {
            return page.clone();
        }
        let page = Bytes::from(render(format, shape, seed, ids));
        let mut kept = self.kept.lock().unwrap();
        if kept.0 + page.len() <= most_bytes {
            kept.0 += page.len();
            kept.1.insert(key, page.clone());
        }
        page
    }
}

fn render(format: Format, shape: Shape, seed: u64, ids: Range<u64>) -> String {
    let mut out = String::new();
    let ids = ids.start + 1..ids.end + 1;
    match format {
        Format::Array => {
            out.push('[');
            for id in ids.clone() {
                if id > ids.start {
                    out.push(',');
                }
                record::write_json(&mut out, shape, seed, id);
            }
            out.push(']');
        }
        Format::Lines => ids.for_each(|id| {
            record::write_json(&mut out, shape, seed, id);
            out.push('\n');
        }),
        Format::Csv => {
            out.push_str("id,name,amount,active,updated_at\n");
            ids.for_each(|id| csv(&mut out, &record::row(seed, id)));
        }
        Format::Xml => ids.for_each(|id| xml(&mut out, &record::row(seed, id))),
    }
    out
}

fn csv(out: &mut String, row: &record::Row) {
    let _ = writeln!(out, r#"{},"{}",{},{},{}"#, row.id, row.name, row.amount, row.active, row.updated_at);
}

fn xml(out: &mut String, row: &record::Row) {
    let name = row.name.replace('\'', "&apos;");
    let _ = write!(
        out,
        "<record id=\"{}\"><name>{name}</name><amount>{}</amount><active>{}</active>\
         <updated_at><![CDATA[{}]]></updated_at><note/></record>",
        row.id, row.amount, row.active, row.updated_at
    );
}
