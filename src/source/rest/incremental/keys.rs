//! The keys of incremental reading, beside those of all sources.

use super::mark::Format;
use crate::config::{Key, Value};

pub const KEYS: &[Key] = &[
    Key::new("cursor_param", Value::Text, "Of `mode = incremental`: the parameter that asks for records from a value of `cursor` on.")
        .example("updated_since"),
    Key::new("until_param", Value::Text, "The parameter that asks for records before a time, which bounds windows (`step`); up to now where there is none.")
        .example("until"),
    Key::new("until_inclusive", Value::Flag, "The server gives the records of that time too: it is asked for the one before.").default("no"),
    Key::new(
        "cursor_format",
        Value::Checked("`as_is`, `iso`, `date`, `epoch`, `epoch_ms` or a pattern (`%d/%m/%Y`)", |text| match Format::parse(text) {
            Some(_) => Ok(()),
            None => Err("must be `as_is`, `iso`, `date`, `epoch`, `epoch_ms` or a pattern such as `%Y-%m-%d %H:%M:%S`"),
        }),
        "How values of the cursor are sent: as records have them, or as times.",
    )
    .default("as_is"),
    Key::new("step", Value::Duration, "Windows of time are as long as this, one after the other; the run can stop and go on between them.").example("1d"),
];
