//! The keys of a `[stream]` that every source understands.

use super::{cursor, cut, following};
use crate::config::{Key, Value};

pub const STREAM_KEYS: &[Key] = &joined::<
    { SELECTION.len() + cut::KEYS.len() + cursor::KEYS.len() + following::KEYS.len() },
>(&[SELECTION, cut::KEYS, cursor::KEYS, following::KEYS]);

/// One list of several.
pub const fn joined<const N: usize>(lists: &[&[Key]]) -> [Key; N] {
    let mut all = [SELECTION[0]; N];
    let (mut list, mut at) = (0, 0);
    while list < lists.len() {
        let mut key = 0;
        while key < lists[list].len() {
            all[at] = lists[list][key];
            key += 1;
            at += 1;
        }
        list += 1;
    }
    all
}

/// Which table, and what of it.
const SELECTION: &[Key] = &[
    Key::new("table", Value::Text, "The table to read. One of `table`, `tables` and `query` is needed.")
        .example("orders"),
    Key::new(
        "tables",
        Value::List,
        "Several tables, each a stream of its own named `STREAM.TABLE`; `*` and `?` match any text.",
    )
    .example("customers, orders, inv_*"),
    Key::new("query", Value::Sql, "A query whose result is read as one table, named after the stream.")
        .example("select id, total from orders"),
    Key::new("as", Value::Text, "The table's name at the destination, in place of its own."),
    Key::new("mode", Value::OneOf(&["full", "incremental", "cdc"]), "How the stream is read.").default("full"),
    Key::new("columns", Value::List, "The columns to read, in this order; all of them where absent.")
        .example("id, name, price"),
    Key::new("exclude_columns", Value::List, "Columns to leave out.").example("password_hash"),
    Key::new("where", Value::Sql, "A condition on the rows to read, in the source's SQL.")
        .example("deleted_at is null"),
    Key::new("primary_key", Value::List, "The key's columns, where the source does not tell of them.").example("id"),
];

/// Keys of a `[source]` that is a server: how much of it reading may take.
pub const GENTLE_KEYS: &[Key] = &[
    Key::new(
        "max_connections",
        Value::Integer(1, 256),
        "At most so many connections read at once, over all streams; where absent, as many as `[pipeline] parallel` says.",
    ),
    Key::new(
        "rows_per_second",
        Value::Integer(1, i64::MAX),
        "At most so many rows are read in a second, over all streams.",
    ),
    Key::new(
        "max_running",
        Value::Integer(1, i64::MAX),
        "While more than so many of the server's sessions are at work, ours among them, reading pauses.",
    ),
];
