//! Pages of records, in every format.

use std::fmt::Write as _;
use std::ops::Range;

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

/// Format, shape, seed, and the range of numbers.
pub type Key = (Format, Shape, u64, Range<u64>);

/// The records with numbers from `start + 1` to `end` of the range.
pub fn render((format, shape, seed, ids): Key) -> String {
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
