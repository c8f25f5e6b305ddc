//! What a full load is a load of, in a few digits: a load that one configuration began is not continued by another.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::config::{Key, Kind, Section, Value as Wants};
use crate::error::Result;
use crate::record::Mode;
use crate::source::masking::Masks;
use crate::{format, source};

/// Keys of a stream that may change while a load is under way.
///
/// The table is part of the stream's identity, and its section may come to have more of them; the mode is told by the
/// position. How large chunks are is frozen with the load. By what it is cut counts all the same: whoever names other
/// columns does not want to go on with a load that was cut by the first ones, or not at all. The others decide how files are cut and kept, not what a reader finds in them. Any key that is not named
/// here counts: a new one at worst makes a load begin again, and never lets two definitions mix.
const HARMLESS: &[&str] = &[
    "table",
    "tables",
    "mode",
    "chunk_rows",
    "max_query_time",
    "part_bytes",
    "keep_generations",
    "compression_level",
    "row_group_bytes",
    // Of incremental reading, which has a position of its own, but for [`OF_HANDOVER`].
    "cursor",
    "start",
    "lookback",
    "settle",
    "max_hold",
    "on_max_hold",
    "null_cursor",
    "max_ties",
    // Of APIs: what is asked for again, and what is left out of pages to come.
    "retry_when",
    "renew_when",
    "fail_when",
    "on_error",
    "max_failures",
    "concurrency",
    // Of change logs, which no load is of.
    "snapshot",
    "on_lost",
];

/// What decides which rows are in the load that an incremental stream begins with.
const OF_HANDOVER: &[&str] = &["cursor", "start"];

/// The digest of everything that decides which rows are read, what columns they have and what files hold them, of a
/// stream's section with all that it takes over.
///
/// Made of values as they are in force, defaults included, so that a program with other defaults sees another
/// definition; and of nothing that changes with the compiler or the order of keys, so that any other program sees the
/// same. Members of a family count in their order, which may be that of columns. `besides` is what the source says
/// ([`Source::definition`](source::Source::definition)).
pub fn digest(stream: &Section, mode: Mode, (source, besides): (&Kind, Value), destination: &Kind) -> Result<String> {
    let format = stream.text("format")?;
    let keys = [source::STREAM_KEYS, source::masking::KEYS, source.stream_keys, destination.stream_keys, format::KEYS];
    let mut values = BTreeMap::new();
    for key in keys.into_iter().flatten() {
        let is_handed = mode == Mode::Incremental && OF_HANDOVER.contains(&key.name);
        let is_harmless = HARMLESS.contains(&key.name) && !is_handed;
        let counts = !key.secret && !is_harmless && !is_of_another_format(key.name, format);
        if let Some(value) = in_force(stream, key).filter(|_| counts) {
            values.insert(key.name, value);
        }
    }
    // No load has hashes of two secrets.
    let masks = Masks::of(stream, mode)?;
    if let Some(id) = masks.key_id().filter(|_| !masks.is_empty()) {
        values.insert("mask_secret", id.into());
    }
    if !besides.is_null() {
        values.insert("source", besides);
    }
    let written = json!(values).to_string();
    Ok(Uuid::new_v5(&Uuid::NAMESPACE_OID, written.as_bytes()).simple().to_string())
}

/// `csv_null` says nothing about a Parquet file.
fn is_of_another_format(key: &str, format: &str) -> bool {
    let of = key.split_once('_').map_or("", |(of, _)| of);
    of != format && matches!(of, "csv" | "json" | "parquet")
}

/// The same for values that say the same in other words: `yes` and `true`, lists with other spaces.
fn in_force(stream: &Section, key: &Key) -> Option<Value> {
    if key.family {
        let members: Vec<_> = stream.members(key.name).map(|(name, text)| json!([name, text.trim()])).collect();
        return (!members.is_empty()).then(|| json!(members));
    }
    let text = stream.get(key.name)?;
    Some(match key.value {
        Wants::List => json!(stream.list(key.name)),
        Wants::Flag => stream.flag(key.name).map_or_else(|_| json!(text), Value::Bool),
        _ => json!(text.trim()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { name: "k", about: "", keys: &[], stream_keys: &[], aliases: &[] };

    const FAMILIES: Kind = Kind {
        name: "f",
        stream_keys: &[Key::new("default.", Wants::Text, "").family(), Key::new("column.", Wants::Text, "").family()],
        aliases: &[("fields", "columns")],
        ..KIND
    };

    /// Of a source that has families and other names of keys.
    fn of_families(values: &[(&str, &str)]) -> String {
        let keys = source::STREAM_KEYS.iter().chain(format::KEYS).chain(FAMILIES.stream_keys).collect();
        digest(&Section::of_keys("stream s", keys, values).unwrap(), Mode::Full, (&FAMILIES, Value::Null), &KIND)
            .unwrap()
    }

    #[test]
    fn members_of_families_count_in_their_order() {
        let (a, b) = (("column.a", "int"), ("column.B", "text"));
        assert_eq!(of_families(&[]), of(&[]));
        let all = [of_families(&[]), of_families(&[a, b]), of_families(&[b, a]), of_families(&[a]), {
            of_families(&[("default.a", "int")])
        }];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn masks_and_their_secret_count() {
        let of = |values: &[(&str, &str)]| {
            let keys = source::STREAM_KEYS.iter().chain(format::KEYS).chain(source::masking::KEYS).collect();
            digest(&Section::of_keys("stream s", keys, values).unwrap(), Mode::Full, (&KIND, Value::Null), &KIND)
                .unwrap()
        };
        let (mask, secret) = (("mask.a", "hash"), ("mask_secret", "a secret of some length"));
        let all = [of(&[]), of(&[mask, secret]), of(&[mask, ("mask_secret", "another of some length")]), {
            of(&[("mask.a", "drop"), secret])
        }];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
        assert_eq!(of(&[secret]), of(&[]));
    }

    fn of(values: &[(&str, &str)]) -> String {
        let keys = source::STREAM_KEYS.iter().chain(format::KEYS).collect();
        digest(&Section::of_keys("stream s", keys, values).unwrap(), Mode::Full, (&KIND, Value::Null), &KIND).unwrap()
    }

    /// Whoever changes this makes every load that is under way begin again: let it be a default that has changed.
    #[test]
    fn is_the_same_in_every_build() {
        let values = [("where", "a = 1"), ("format", "csv"), ("columns", "id, a"), ("csv_header", "no")];
        assert_eq!(of(&values), "3dc995c7884859b696bcbe2fc0899f51");
    }

    #[test]
    fn what_the_source_says_besides_counts() {
        let section =
            Section::of_keys("stream s", source::STREAM_KEYS.iter().chain(format::KEYS).collect(), &[]).unwrap();
        let with = |besides: &str| digest(&section, Mode::Full, (&KIND, besides.into()), &KIND).unwrap();
        assert_ne!(with("a"), with("b"));
        assert_ne!(with("a"), of(&[]));
    }

    #[test]
    fn keys_of_other_formats_do_not_count() {
        assert_eq!(of(&[("csv_null", "x")]), of(&[]));
        assert_ne!(of(&[("parquet_encoding", "plain")]), of(&[]));
        assert_ne!(of(&[("format", "csv"), ("csv_null", "x")]), of(&[("format", "csv")]));
    }

    #[test]
    fn every_harmless_key_is_a_key() {
        let known: Vec<_> =
            source::STREAM_KEYS.iter().chain(format::KEYS).chain(crate::destination::files::KEYS).collect();
        let of_sources = || source::SOURCES.iter().flat_map(|maker| maker.kind.stream_keys);
        let is_known = |name: &&str| known.iter().copied().chain(of_sources()).any(|key| key.name == *name);
        assert!(cfg!(not(feature = "rest")) || HARMLESS.iter().all(is_known));
    }
}
