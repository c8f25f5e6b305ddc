//! What the log cannot tell of the stream's tables, as they are defined now.

use tokio_postgres::types::Type as Oid;

use super::present::key_of;
use super::{Asker, History};
use crate::error::{Context, Error, Result};
use crate::record::Checkpoint;
use crate::source::postgres::connect::{Session, get};
use crate::source::postgres::name::Name;
use crate::source::{Selection, Stream, Tables, pattern};

/// The stream, with those tables besides that a pattern matched until they went: that is still to be told.
pub fn with_what_went(stream: &Stream, after: Option<&Checkpoint>, schema: &str) -> Result<Stream> {
    let mut stream = stream.clone();
    let Some(after) = after else { return Ok(stream) };
    for table in History::of(&after.state)?.followed() {
        let name = Name::of_display(&table)?;
        if !stream.tables.contains(&table) && is_matched(&stream.selection, &name, schema) {
            stream.tables.push(table);
        }
    }
    Ok(stream)
}

/// Whether a pattern of the selection matches a table.
fn is_matched(selection: &Selection, table: &Name, schema: &str) -> bool {
    let Tables::Many(texts) = &selection.tables else { return false };
    let patterns = texts.iter().filter(|text| pattern::is_pattern(text));
    let mut patterns = patterns.filter_map(|text| Name::parse(text, schema).ok());
    patterns
        .any(|wanted| pattern::matches(&wanted.schema, &table.schema) && pattern::matches(&wanted.table, &table.table))
}

/// Refuses tables whose changes would not tell which row they are of; warns of what cannot be changed at all.
pub async fn look(session: &Session, asker: &Asker) -> Result<()> {
    for (shown, name) in asker.names()? {
        // One that is not there tells nothing, and is read when it comes.
        let note = of(session, asker, &name, &shown).await.at(|| format!("table {shown}"))?;
        if let Some(note) = note {
            tracing::warn!(stream = %asker.stream.id, "table {shown}: {note}");
        }
    }
    Ok(())
}

/// What the log does not tell of a table.
pub async fn of(session: &Session, asker: &Asker, name: &Name, shown: &str) -> Result<Option<String>> {
    let Some(relation) = asker.find(session, name).await? else { return Ok(None) };
    let row = session.query(HAS_LOG, &[(&relation.oid, Oid::OID)]).await?;
    if !row.first().map_or(Ok(true), |row| get(row, "has_log"))? {
        let selection = &asker.stream.selection;
        let message = format!("names `{shown}`, which is a view or a foreign table: a log has the changes of tables");
        return Err(selection.section.error(selection.table_key(), message));
    }
    let Some(known) = asker.now(session, name).await? else { return Ok(None) };
    let defined = known.defined(session, shown, &asker.stream.selection).await?;
    let rows = session.query(IDENTITY, &[(&known.oid, Oid::OID)]).await?;
    // It may have gone by now.
    let Some(row) = rows.first() else { return Ok(None) };
    let (identity, columns): (String, Vec<String>) = (get(row, "identity")?, get(row, "columns")?);
    if let Some(reason) = none(&identity, &columns) {
        return Ok(Some(format!(
            "no key tells its rows apart in the log (REPLICA IDENTITY {reason}): the server refuses updates and deletes of it while it is \
             published, and inserts arrive. Its owner can run: ALTER TABLE {name} REPLICA IDENTITY FULL; which lets them be."
        )));
    }
    if identity != "f" && !defined.table.key.iter().all(|column| columns.contains(column)) {
        return Err(without_its_key(&(shown.to_owned(), name.clone()), &defined.table.key));
    }
    // With all of the old row nothing is left away.
    let is_found = !asker.fills || identity == "f" || key_of(session, known.oid, &defined.table.key).await?.is_some();
    Ok((!is_found).then(|| {
        "no unique index of the columns of its key is there to find its rows by: what the log leaves away stays null and in `_unchanged`, in \
         spite of `fill_unchanged`."
            .to_owned()
    }))
}

/// Why the log does not tell old rows of a table at all, if so.
fn none(identity: &str, columns: &[String]) -> Option<&'static str> {
    match identity {
        "n" => Some("NOTHING"),
        "d" if columns.is_empty() => Some("DEFAULT, without a primary key, or with a deferrable one"),
        "i" if columns.is_empty() => Some("USING INDEX, and the index is gone"),
        _ => None,
    }
}

/// Refuses to publish tables that are updated or deleted from, and whose old rows the log could not tell: the server would refuse what
/// others do there from then on.
pub async fn look_before_publishing(session: &Session, asker: &Asker) -> Result<()> {
    for (shown, name) in asker.names()? {
        let Some(relation) = asker.find(session, &name).await? else { continue };
        let rows = session.query(IDENTITY, &[(&relation.oid, Oid::OID)]).await?;
        let Some(row) = rows.first() else { continue };
        let (identity, columns): (String, Vec<String>) = (get(row, "identity")?, get(row, "columns")?);
        let sql = "SELECT pg_catalog.pg_stat_get_tuples_updated($1) AS updates, pg_catalog.pg_stat_get_tuples_deleted($1) AS deletes";
        let row = session.query_one(sql, &[(&relation.oid, Oid::OID)]).await?;
        let (updates, deletes): (i64, i64) = (get(&row, "updates")?, get(&row, "deletes")?);
        if let Some(reason) = none(&identity, &columns).filter(|_| updates + deletes > 0) {
            return Err(Error::config(format!(
                "table {shown} is updated and deleted from ({updates} and {deletes} rows, by the server's statistics), and no key tells its \
                 rows apart in the log (REPLICA IDENTITY {reason}): once it is published, the server refuses both"
            ))
            .hint(format!(
                "Give it a primary key; or its owner can run: ALTER TABLE {name} REPLICA IDENTITY FULL; Where it is only inserted into from \
                 now on, make the publication by hand."
            )));
        }
    }
    Ok(())
}

/// Of a table whose deletes do not tell the key of what they deleted.
pub fn without_its_key((shown, name): &(String, Name), key: &[String]) -> Error {
    Error::config(format!(
        "table {shown}: the log does not tell the key ({}) of rows that are deleted, by its REPLICA IDENTITY",
        key.join(", ")
    ))
    .hint(format!(
        "Its owner can run: ALTER TABLE {name} REPLICA IDENTITY DEFAULT; (or FULL). Or name the columns of its replica identity in \
         `primary_key`."
    ))
}

const HAS_LOG: &str = "SELECT c.relkind IN ('r', 'p') AS has_log FROM pg_catalog.pg_class AS c WHERE c.oid = $1";

/// By which columns the log knows an old row.
const IDENTITY: &str = "
SELECT c.relreplident::pg_catalog.text AS identity, coalesce((
    SELECT pg_catalog.array_agg(a.attname::pg_catalog.text)
    FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
), '{}') AS columns
FROM pg_catalog.pg_class AS c WHERE c.oid = $1";
