//! How a table's columns differ from those that were written before. Of columns and types: no cell is looked at.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;

use super::sequence::SEQ;
use crate::destination::Destination;
use crate::error::{Error, Result};
use crate::record::{Commit, Event, Lag, Position, Publication, StreamId};
use crate::source::Reader;

/// What becomes of a stream whose columns are not those of what it wrote before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    Evolve,
    Warn,
    Fail,
}

impl OnChange {
    /// The value of `on_schema_change`.
    pub fn parse(text: &str) -> Self {
        match text {
            "evolve" => OnChange::Evolve,
            "fail" => OnChange::Fail,
            _ => OnChange::Warn,
        }
    }

    /// Tells a change of a table, or refuses it.
    fn meet(self, stream: &StreamId, table: &str, changes: &str) -> Result<()> {
        match self {
            OnChange::Evolve => tracing::info!(%stream, table, changes, "the columns have changed"),
            OnChange::Warn => {
                tracing::warn!(%stream, table, changes, "the columns have changed; new files have the new ones")
            }
            OnChange::Fail => {
                return Err(Error::schema(format!("the columns of table {table} have changed: {changes}")).hint(
                    "Nothing was written. Name the columns to read with `columns`, or set `on_schema_change = evolve` to take \
                     the change over.",
                ));
            }
        }
        Ok(())
    }
}

/// A load that is not published, because its table has other columns than what stands there.
pub fn unpublished(table: &str, changes: &str) -> Error {
    Error::schema(format!("the columns of table {table} have changed: {changes}")).hint(
        "The load was read and not published: what was there before stands. Set `on_schema_change = evolve` to publish it as \
         it is; or mend the table, or name the columns to read with `columns`, and run with `--full-refresh`, which reads it \
         anew.",
    )
}

/// A reader whose tables are compared, as they are announced, with what the stream wrote before.
pub struct Watched {
    pub reader: Box<dyn Reader>,
    pub stream: StreamId,
    /// By table; each is compared once.
    pub before: BTreeMap<String, Value>,
    pub on_change: OnChange,
}

#[async_trait]
impl Reader for Watched {
    async fn next(&mut self) -> Result<Option<Event>> {
        let event = self.reader.next().await?;
        if let Some(Event::Rows(rows)) = &event
            && let Some(before) = self.before.remove(&rows.table.name)
            && let Some(changes) = changes(&before, &rows.table.definition().1)
        {
            self.on_change.meet(&self.stream, &rows.table.name, &changes)?;
        }
        Ok(event)
    }

    async fn ack(&mut self, position: &Position) -> Result<()> {
        self.reader.ack(position).await
    }

    fn lag(&self) -> Option<Lag> {
        self.reader.lag()
    }

    fn holds(&self) -> u64 {
        self.reader.holds()
    }
}

/// How many entries without files are looked through for one with.
const LOOKS: u64 = 1_000;

/// The definitions of a growing stream's tables, as the newest entry with files up to `last` has them, or the load that it
/// grew from.
pub async fn before(
    destination: &dyn Destination,
    stream: &StreamId,
    last: &Commit,
) -> Result<BTreeMap<String, Value>> {
    let load = last.generations.live();
    let first = load.map_or(0, |load| load.seq).max(last.seq.saturating_sub(LOOKS));
    for seq in (first..=last.seq).rev() {
        let entry = destination.range(stream, seq, seq).await?;
        let found: BTreeMap<_, _> = entry.iter().flat_map(of_parts).collect();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    match load {
        Some(load) => definitions(destination, stream, load).await,
        None => Ok(BTreeMap::new()),
    }
}

/// The definitions of a generation's tables, by table: as the newest entry with parts has them, of its first chunk that has
/// one. All of a generation is of one definition.
pub async fn definitions(
    destination: &dyn Destination,
    stream: &StreamId,
    publication: &Publication,
) -> Result<BTreeMap<String, Value>> {
    for (chunk, last) in &publication.chunks {
        let id = stream.chunk(&publication.generation, chunk);
        // Most often the last entry, or the one before it.
        for seq in (0..=*last).rev() {
            let entry = destination.range(&id, seq, seq).await?;
            let found: BTreeMap<_, _> = entry.iter().flat_map(of_parts).collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    Ok(BTreeMap::new())
}

/// The definitions of the tables that have a part in an entry.
pub fn of_parts(commit: &Commit) -> impl Iterator<Item = (String, Value)> {
    commit.parts.iter().filter_map(|part| Some((part.table.clone(), commit.schemas.get(&part.schema)?.clone())))
}

/// What changed from one definition to the other, in words; `None` where nothing did.
pub fn changes(old: &Value, new: &Value) -> Option<String> {
    let (before, after) = (columns(old), columns(new));
    let find = |columns: &[(String, String)], name: &str| {
        columns.iter().find(|(column, _)| column == name).map(|(_, of)| of.clone())
    };
    let mut changes = Vec::new();
    for (name, of) in &after {
        match find(&before, name) {
            None => changes.push(format!("{name} came ({of})")),
            Some(was) if was != *of => changes.push(format!("{name} was {was}, is {of}")),
            Some(_) => {}
        }
    }
    for (name, was) in before.iter().filter(|(name, _)| find(&after, name).is_none()) {
        changes.push(format!("{name} went ({was})"));
    }
    let kept = |of: &[(String, String)], other: &[(String, String)]| {
        of.iter().map(|(name, _)| name.clone()).filter(|name| find(other, name).is_some()).collect::<Vec<_>>()
    };
    if kept(&before, &after) != kept(&after, &before) {
        changes.push("the columns are in another order".to_owned());
    }
    let (was, is) = (key(old), key(new));
    if was != is {
        changes.push(format!("the key was ({was}), is ({is})"));
    }
    (!changes.is_empty()).then(|| changes.join("; "))
}

/// The columns in their order, each with its type as people read it: `Decimal128(10, 2), decimal(10,2) at the source`.
fn columns(definition: &Value) -> Vec<(String, String)> {
    let columns = definition["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
    // The loop adds its own to a growing stream's rows.
    let theirs = columns.iter().filter(|column| column["name"] != SEQ);
    theirs.map(|column| (text(&column["name"]).to_owned(), type_of(column))).collect()
}

fn type_of(column: &Value) -> String {
    let mut of = text(&column["type"]).to_owned();
    if let Some(meaning) = column["meaning"].as_str() {
        of.push_str(&format!(" ({meaning})"));
    }
    if column["nullable"] == false {
        of.push_str(" not null");
    }
    if let Some(native) = column["native"].as_str() {
        of.push_str(&format!(", {native} at the source"));
    }
    of
}

fn key(definition: &Value) -> String {
    let key = definition["key"].as_array().map(Vec::as_slice).unwrap_or_default();
    key.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(columns: &[(&str, &str)], key: &[&str]) -> Value {
        let column = |(name, of): &(&str, &str)| json!({ "name": name, "type": of, "nullable": true, "native": "n" });
        json!({ "columns": columns.iter().map(column).collect::<Vec<_>>(), "key": key })
    }

    #[test]
    fn each_change_has_words() {
        let old = definition(&[("id", "Int64"), ("a", "Utf8"), ("b", "Utf8")], &["id"]);
        assert_eq!(changes(&old, &old), None);
        for (new, wanted) in [
            (
                definition(&[("id", "Int64"), ("a", "Int32"), ("b", "Utf8")], &["id"]),
                "a was Utf8, n at the source, is Int32, n at the source",
            ),
            (
                definition(&[("c", "Utf8"), ("id", "Int64"), ("b", "Utf8")], &["id"]),
                "c came (Utf8, n at the source); a went (Utf8, n at the source)",
            ),
            (
                definition(&[("id", "Int64"), ("b", "Utf8"), ("a", "Utf8")], &["id", "a"]),
                "the columns are in another order; the key was (id), is (id, a)",
            ),
        ] {
            assert_eq!(changes(&old, &new).as_deref(), Some(wanted));
        }
        let strict = json!({ "columns": [{ "name": "id", "type": "Utf8", "nullable": false, "meaning": "json" }] });
        let wanted = "id was Utf8 (json) not null, is Utf8";
        let loose = json!({ "columns": [{ "name": "id", "type": "Utf8", "nullable": true }] });
        assert_eq!(changes(&strict, &loose).as_deref(), Some(wanted));
    }
}
