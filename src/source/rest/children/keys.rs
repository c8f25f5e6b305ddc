//! The keys of streams that are read once for each record of another.

use crate::config::{Key, Value};

pub const KEYS: &[Key] = &[
    Key::new(
        "for_each",
        Value::List,
        "Another stream of the same source, and a field of its records: this stream is read once for each of them. `{campaigns.id}` in `path`, in values of `param.NAME` and in \
         `body` is the field's value, and so is the column `campaigns_id`. Several fields of one stream are separated by commas.",
    )
    .example("campaigns.id"),
    Key::new(
        "max_parents",
        Value::Integer(1, 1_000_000),
        "Of `for_each`: more records of the other stream than this are an error. All their values are in memory, and of an incremental stream a mark of each is in the commit log.",
    )
    .default("100000"),
];
