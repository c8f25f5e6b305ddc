//! What the log cannot tell of the stream's tables, as they are defined now.

use super::History;
use super::server::{Image, Settings};
use super::{Asker, cascades};
use crate::error::{Context, Error, Result};
use crate::record::Checkpoint;
use crate::source::mysql::connect::Connection;
use crate::source::mysql::error::{self, Doing};
use crate::source::mysql::name::Name;
use crate::source::mysql::{catalog, rights};
use crate::source::{Selection, Stream, Tables, pattern};

/// How to have all of each row in the log.
const WHOLE_ROWS: &str = "An administrator can run: SET GLOBAL binlog_row_image = 'FULL', and write the same below [mysqld] in the \
                          server's my.cnf. Sessions that are open keep what they have until they connect again.";

/// The stream, with those tables besides that a pattern matched until they went: the log is still to tell of their end.
pub fn with_what_went(stream: &Stream, after: Option<&Checkpoint>, database: &str) -> Result<Stream> {
    let mut stream = stream.clone();
    let Some(after) = after else { return Ok(stream) };
    for table in History::of(&after.state)?.followed() {
        let name = Name::parse(&table, database).map_err(Error::config)?;
        if !stream.tables.contains(&table) && is_matched(&stream.selection, &name, database) {
            stream.tables.push(table);
        }
    }
    Ok(stream)
}

/// Whether a pattern of the selection matches a table.
pub fn is_matched(selection: &Selection, table: &Name, database: &str) -> bool {
    let Tables::Many(texts) = &selection.tables else { return false };
    let patterns = texts.iter().filter(|text| pattern::is_pattern(text));
    let mut patterns = patterns.filter_map(|text| Name::parse(text, database).ok());
    patterns.any(|wanted| wanted.database == table.database && pattern::matches(&wanted.table, &table.table))
}

/// Refuses tables that cannot be followed, and warns of what the log does not tell of the others.
pub async fn look(
    connection: &mut Connection,
    settings: &Settings,
    asker: &Asker,
    after: Option<&Checkpoint>,
) -> Result<()> {
    let followed = after.map(|after| History::of(&after.state)).transpose()?.unwrap_or_default().followed();
    for (shown, name) in asker.names()? {
        // Where a view has the name of a table that is followed, the log tells of the table's end.
        if followed.contains(&shown) && is_view(connection, &name).await? {
            continue;
        }
        let note = of(connection, settings, &asker.stream.selection, (&shown, &name)).await?;
        if let Some(note) = note {
            tracing::warn!(stream = %asker.stream.id, table = shown, "{note}");
        }
    }
    Ok(())
}

/// What the log does not tell of a table. Refuses one whose rows it does not tell apart.
pub async fn of(
    connection: &mut Connection,
    settings: &Settings,
    selection: &Selection,
    (shown, table): (&str, &Name),
) -> Result<Option<String>> {
    let reading = |failure| error::of(failure, Doing::Preparing);
    let at = || format!("table {shown}");
    if is_view(connection, table).await.at(at)? {
        let message = format!("names `{shown}`, which is a view: a log has the changes of tables");
        return Err(selection.section.error(selection.table_key(), message));
    }
    rights::all_columns(connection, table).await?;
    if settings.image() != Image::Full {
        refuse_lean(connection, settings, selection, (shown, table)).await.at(at)?;
    }
    if settings.logs_cascades() {
        return Ok(None);
    }
    let actions = cascades::unlogged(connection, table).await.map_err(reading).at(at)?;
    Ok((!actions.is_empty()).then(|| cascades::note(&actions, &selection.name, shown)))
}

async fn is_view(connection: &mut Connection, table: &Name) -> Result<bool> {
    catalog::is_view(connection, table).await.map_err(|failure| error::of(failure, Doing::Preparing))
}

/// Of a log with parts of rows. A table that is not there tells nothing, and is read when it comes.
async fn refuse_lean(
    connection: &mut Connection,
    settings: &Settings,
    selection: &Selection,
    (shown, table): (&str, &Name),
) -> Result<()> {
    let reading = |failure| error::of(failure, Doing::Preparing);
    let columns = catalog::columns(connection, table).await.map_err(reading)?;
    if columns.is_empty() {
        return Ok(());
    }
    let key = catalog::primary_key(connection, table).await.map_err(reading)?;
    let is_long = |column: &&catalog::Column| is_blob(&column.known.data_type);
    let long: Vec<_> = columns.iter().filter(is_long).map(|column| column.name.as_str()).collect();
    refuse_partial(settings, selection, (shown, &key, &long))?;
    // Invisible columns are read where they are named.
    let names: Vec<_> = match selection.columns {
        Some(_) => columns.iter().map(|column| column.name.clone()).collect(),
        None => {
            let statement = connection.prepare(&format!("select * from {table}")).await.map_err(reading)?;
            statement.columns.iter().map(|column| column.name_str().into_owned()).collect()
        }
    };
    let read = selection.choose_columns(shown, &names)?;
    if selection.primary_key.is_empty() && !key.iter().all(|name| read.contains(name)) {
        return Err(unread(settings, shown, &key));
    }
    let mut lost = catalog::left_out_of_new_rows(connection, table).await.map_err(reading)?;
    lost.retain(|name| read.contains(name) && !key.contains(name));
    if settings.image() == Image::NoBlob {
        lost.retain(|name| long.contains(&name.as_str()));
    }
    refuse_lost(settings, shown, &lost)
}

/// A key without which nobody can tell whose part a part of a row is.
fn unread(settings: &Settings, table: &str, key: &[String]) -> Error {
    let (key, word) = (key.join(", "), settings.word("binlog_row_image"));
    let message = "is not read, and the log has only a part of each row";
    Error::config(format!("table {table}: its primary key ({key}) {message} (binlog_row_image = {word})"))
        .hint(format!("Have `columns` and `exclude_columns` leave it in; one that is invisible is named in `columns`. {WHOLE_ROWS}"))
}

/// Of a log with parts of rows: `key` is the table's own, and `long` what a log may leave out even then.
fn refuse_partial(
    settings: &Settings,
    selection: &Selection,
    (table, key, long): (&str, &[String], &[&str]),
) -> Result<()> {
    let word = settings.word("binlog_row_image");
    if key.is_empty() {
        let message = "has no primary key, and the log has only a part of each row";
        return Err(Error::config(format!("table {table}: it {message} (binlog_row_image = {word})"))
            .hint(format!("Give it a primary key, or leave it out of the stream. {WHOLE_ROWS}")));
    }
    let is_sent = |column: &String| {
        key.iter().any(|of| of.eq_ignore_ascii_case(column))
            || (settings.image() == Image::NoBlob && !long.iter().any(|of| of.eq_ignore_ascii_case(column)))
    };
    let unsent: Vec<_> = selection.primary_key.iter().filter(|column| !is_sent(column)).map(String::as_str).collect();
    if unsent.is_empty() {
        return Ok(());
    }
    let names = unsent.join(", ");
    let message = format!("names {names}, which the log leaves out of rows of {table} (binlog_row_image = {word})");
    Err(selection
        .section
        .error("primary_key", message)
        .hint(format!("Name columns of the table's own primary key ({}). {WHOLE_ROWS}", key.join(", "))))
}

/// Columns that are in no row of the log where a row took their default.
fn refuse_lost(settings: &Settings, table: &str, lost: &[String]) -> Result<()> {
    if lost.is_empty() {
        return Ok(());
    }
    let (names, word) = (lost.join(", "), settings.word("binlog_row_image"));
    let message = format!("the log leaves {names} out of new rows that take their default (binlog_row_image = {word})");
    Err(Error::config(format!("table {table}: {message}"))
        .hint(format!("{WHOLE_ROWS} Or leave these columns out with `exclude_columns`.")))
}

fn is_blob(data_type: &str) -> bool {
    data_type.contains("blob") || data_type.contains("text") || matches!(data_type, "json" | "geometry" | "vector")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Section;
    use crate::source::STREAM_KEYS;

    #[test]
    fn rows_that_are_not_told_apart_are_refused_by_name() {
        let refused = |image, key: &[&str], own: &str| {
            let keys = STREAM_KEYS.iter().collect();
            let mut values = vec![("mode", "cdc"), ("tables", "orders")];
            values.extend((!own.is_empty()).then_some(("primary_key", own)));
            let section = Section::of_keys("stream s", keys, &values).unwrap();
            let selection = Selection::of("s", &section, None).unwrap();
            let key: Vec<_> = key.iter().map(|column| (*column).to_owned()).collect();
            let settings = Settings::of_values(&[("binlog_row_image", image)]);
            refuse_partial(&settings, &selection, ("orders", &key, &["doc"])).err().map(|error| error.to_string())
        };
        assert_eq!(refused("MINIMAL", &["id"], ""), None);
        assert_eq!(refused("MINIMAL", &["id", "at"], "ID"), None);
        assert_eq!(refused("NOBLOB", &["id"], "id, email"), None);
        for (image, key, own, named) in [
            ("MINIMAL", &[][..], "", "table orders: it has no primary key"),
            ("NOBLOB", &[], "email", "table orders: it has no primary key"),
            ("MINIMAL", &["id"], "id, email", "names email, which the log leaves out of rows of orders"),
            ("NOBLOB", &["id"], "id, doc", "names doc, which"),
        ] {
            let said = refused(image, key, own).unwrap();
            assert!(said.contains(named) && said.contains("SET GLOBAL binlog_row_image = 'FULL'"), "{said}");
            assert!(said.contains(&format!("binlog_row_image = {image}")), "{said}");
        }
    }
}
