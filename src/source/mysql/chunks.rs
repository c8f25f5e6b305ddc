//! Into what chunks a table is cut: by which columns, and how their values are written.

use async_trait::async_trait;

use super::catalog;
use super::client::{Column, ColumnFlags, ColumnType, Failure};
use super::config::Settings;
use super::connect::{Connection, text};
use super::error::{self, Doing};
use super::name::Name;
use super::plan::{Plan, Scope};
use super::survey::{self, Layout};
use super::types::Type;
use crate::error::{Context, Error, Result};
use crate::source::keyset::{Key, KeyColumn, Known, Span, Walk, lost};
use crate::source::masking;
use crate::source::{Chunks, Consistency, Selection, Stream, Tables};

/// The chunks of a stream.
pub async fn of(connection: &mut Connection, settings: &Settings, stream: &Stream) -> Result<Chunks> {
    let spans = spans(connection, settings, stream).await?;
    if spans.is_empty() {
        return Ok(Chunks::whole(Consistency::Statement));
    }
    let ranges = spans.iter().map(Span::range).collect();
    Ok(Chunks { ranges, ..Chunks::whole(Consistency::Chunk) })
}

/// As many as the server's statistics and index tell; none where all is read at once.
pub async fn spans(connection: &mut Connection, settings: &Settings, stream: &Stream) -> Result<Vec<Span>> {
    let selection = &*stream.selection;
    let whole = Ok(Vec::new());
    // Connections share no snapshot without locks: what is to be of one moment is read by one statement.
    if selection.cut.consistency != Consistency::Chunk {
        return whole;
    }
    let plan = Plan::of(connection, settings, stream).await?;
    let name = table_name(settings, stream)?;
    let columns = match (&selection.cut.by[..], &name) {
        ([], Some(name)) => primary_key(connection, name).await.at(|| plan.named())?,
        (by, _) => by.to_vec(),
    };
    let Some(key) = key(connection, &plan, selection, name.as_ref(), &columns).await? else { return whole };
    if has_no_order(connection, &plan, &columns).await? {
        return whole;
    }
    let looked = match &name {
        Some(name) => look(connection, name).await.at(|| plan.named())?,
        None => Looked::default(),
    };
    let rows = selection.cut.rows_of(looked.row_bytes);
    let known = match &name {
        Some(name) => survey::known(connection, &plan, (&key, rows), (name, &looked.layout)).await,
        None => Ok(Known::default()),
    };
    let known = known.at(|| plan.named())?;
    let mut walk = Walker { connection, plan: &plan, key: &key };
    let mut spans = key.spans(&mut walk, rows, known).await.at(|| plan.named())?;
    spans.iter_mut().for_each(|span| span.table = looked.made.clone());
    Ok(spans)
}

/// Why a stream is read by one statement, where that is not what was asked for.
pub async fn note(connection: &mut Connection, settings: &Settings, stream: &Stream, plan: &Plan) -> Option<String> {
    let cut = &stream.selection.cut;
    if cut.consistency != Consistency::Chunk {
        return None;
    }
    let name = table_name(settings, stream).ok().flatten();
    let columns = match (&cut.by[..], &name) {
        ([], Some(name)) => primary_key(connection, name).await.unwrap_or_default(),
        (by, _) => by.to_vec(),
    };
    match key(connection, plan, &stream.selection, name.as_ref(), &columns).await {
        Ok(Some(_)) if has_no_order(connection, plan, &columns).await.unwrap_or(false) => Some(format!(
            "One statement reads it: of UUIDs beside those of RFC 9562, which {} has, the server's order is not one.",
            columns.join(", ")
        )),
        Ok(Some(_)) => None,
        Ok(None) if columns.is_empty() => Some(
            "There is no primary key to cut it by: one statement reads it, unless `chunk_by` names columns.".to_owned(),
        ),
        Ok(None) => {
            Some(format!("One statement reads it: there are no ranges of the types of {}.", columns.join(", ")))
        }
        Err(error) => Some(error.message().to_owned()),
    }
}

/// Whether the order of these columns contradicts itself, so that a range and the rest are not all of the table: MariaDB
/// sorts UUIDs of no known version one way in an index, and compares them another way.
pub async fn has_no_order(connection: &mut Connection, plan: &Plan, columns: &[String]) -> Result<bool> {
    let is_uuid = |name: &&String| plan.columns.iter().any(|column| column.name == **name && column.of == Type::Uuid);
    for column in columns.iter().filter(is_uuid) {
        let text = format!("cast({} as char)", plan.column(column));
        let sql = format!(
            "select 1 {} limit 1",
            plan.tail(&Scope {
                condition: Some(format!(
                    "(substr({text}, 15, 1) not between '1' and '8' or substr({text}, 20, 1) not in ('8', '9', 'a', 'b'))"
                )),
                ..Scope::default()
            })
        );
        let odd = connection.rows(&sql, ()).await;
        if !odd.map_err(|failure| error::of(failure, Doing::Reading)).at(|| plan.named())?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The key of a chunk of the plan's table.
pub async fn key_of(
    connection: &mut Connection,
    settings: &Settings,
    stream: &Stream,
    plan: &Plan,
    span: &Span,
) -> Result<Option<Key>> {
    if span.columns.is_empty() {
        return Ok(None);
    }
    check_table(connection, settings, stream, span).await?;
    let name = table_name(settings, stream)?;
    match key(connection, plan, &stream.selection, name.as_ref(), &span.columns).await? {
        Some(key) => Ok(Some(key)),
        None => Err(lost("the types of its key have changed")),
    }
}

/// Refuses another table than the one that was cut.
pub async fn check_table(connection: &mut Connection, settings: &Settings, stream: &Stream, span: &Span) -> Result<()> {
    match table_name(settings, stream)? {
        Some(name) if span.table.is_some() => span.check_table(look(connection, &name).await?.made.as_deref()),
        _ => Ok(()),
    }
}

/// The table's name; `None` of a query.
fn table_name(settings: &Settings, stream: &Stream) -> Result<Option<Name>> {
    match &stream.selection.tables {
        Tables::Query(_) => Ok(None),
        _ => Name::parse(stream.table(), &settings.database).map(Some).map_err(Error::config),
    }
}

async fn primary_key(connection: &mut Connection, name: &Name) -> Result<Vec<String>> {
    catalog::primary_key(connection, name).await.map_err(|failure| error::of(failure, Doing::Preparing))
}

/// The key of these columns; `None` where there are none, or their types have no ranges.
async fn key(
    connection: &mut Connection,
    plan: &Plan,
    selection: &Selection,
    name: Option<&Name>,
    columns: &[String],
) -> Result<Option<Key>> {
    if columns.is_empty() {
        return Ok(None);
    }
    masking::refuse(&selection.section, "the key that chunks are cut by", columns.iter().map(String::as_str))?;
    let names: Vec<_> = columns.iter().map(|column| plan.column(column)).collect();
    let asked = connection.prepare(&format!("select {} from {}", names.join(", "), plan.from())).await;
    let statement = asked.map_err(|failure| match error::number(&failure) {
        Some(error::UNKNOWN_COLUMN) => selection.section.error("chunk_by", "names what is no column of it"),
        _ => error::of(failure, Doing::Preparing).at(plan.named()),
    })?;
    let unique = match name {
        Some(name) => primary_key(connection, name).await?,
        None => Vec::new(),
    };
    let has_all = |of: &[String]| !of.is_empty() && of.iter().all(|column| columns.contains(column));
    let is_unique = has_all(&unique) || has_all(&selection.primary_key);
    let column = |(name, column): (&String, &Column)| {
        let sql = plan.column(name);
        let (mark, literal) = written(column, &sql)?;
        let is_nullable = !column.flags().contains(ColumnFlags::NOT_NULL_FLAG);
        let is_number = is_number(column.column_type());
        Some(KeyColumn { name: name.clone(), sql, mark, literal, is_nullable, is_number })
    };
    let columns: Option<Vec<_>> = columns.iter().zip(statement.columns.iter()).map(column).collect();
    // The optimiser makes no range of a comparison of rows.
    Ok(columns.map(|columns| Key { columns, is_unique, rows: false }))
}

/// Writes a value, as its mark has it.
type Literal = fn(&str) -> Result<String>;

/// The text of a column, and how it is written; `None` where the type has no ranges that are worth it, or its order is not
/// that of its comparisons, as with ENUM.
fn written(column: &Column, sql: &str) -> Option<(String, Literal)> {
    use ColumnType as C;
    const BINARY: u16 = 63;
    let plain = format!("cast({sql} as char)");
    match column.column_type() {
        C::MYSQL_TYPE_YEAR => Some((plain, number)),
        of if is_number(of) => Some((plain, number)),
        C::MYSQL_TYPE_DATE | C::MYSQL_TYPE_DATETIME | C::MYSQL_TYPE_TIMESTAMP | C::MYSQL_TYPE_TIME => {
            Some((plain, time))
        }
        _ if column.flags().intersects(ColumnFlags::ENUM_FLAG | ColumnFlags::SET_FLAG) => None,
        C::MYSQL_TYPE_STRING | C::MYSQL_TYPE_VAR_STRING | C::MYSQL_TYPE_VARCHAR => {
            match column.character_set() == BINARY {
                true => Some((format!("hex({sql})"), bytes)),
                false => Some((format!("hex(convert({sql} using utf8mb4))"), characters)),
            }
        }
        _ => None,
    }
}

/// Whether any number between two values lies between them. Not of years, of which 30 is another word for 2030.
fn is_number(of: ColumnType) -> bool {
    use ColumnType as C;
    matches!(
        of,
        C::MYSQL_TYPE_TINY
            | C::MYSQL_TYPE_SHORT
            | C::MYSQL_TYPE_INT24
            | C::MYSQL_TYPE_LONG
            | C::MYSQL_TYPE_LONGLONG
            | C::MYSQL_TYPE_NEWDECIMAL
    )
}

fn number(text: &str) -> Result<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.matches('.').count() <= 1
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_number { Ok(text.to_owned()) } else { Err(unlike("number")) }
}

fn time(text: &str) -> Result<String> {
    let is_time = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || " -:.".contains(c));
    if is_time { Ok(format!("'{text}'")) } else { Err(unlike("time")) }
}

fn bytes(text: &str) -> Result<String> {
    let is_hex = text.len().is_multiple_of(2) && text.chars().all(|c| c.is_ascii_hexdigit());
    if is_hex { Ok(format!("x'{text}'")) } else { Err(unlike("text")) }
}

/// Compared by the column's own collation, which outweighs that of a literal.
fn characters(text: &str) -> Result<String> {
    bytes(text).map(|hex| format!("_utf8mb4 {hex}"))
}

fn unlike(what: &str) -> Error {
    lost(&format!("a bound of its chunks is no {what}"))
}

/// What the catalog says of a table.
#[derive(Default)]
struct Looked {
    row_bytes: Option<u64>,
    /// When it was made, or made anew: another table of its name was made at another time.
    made: Option<String>,
    layout: Layout,
}

/// What a table's rows take on disk, by the server's statistics; `None` of a query or a view.
pub async fn size(connection: &mut Connection, settings: &Settings, stream: &Stream) -> Result<Option<u64>> {
    let Some(name) = table_name(settings, stream)? else { return Ok(None) };
    let sql =
        "select cast(data_length as char) from information_schema.tables where table_schema = ? and table_name = ?";
    let rows = connection.rows(sql, (&name.database, &name.table)).await;
    let rows = rows.map_err(|failure| error::of(failure, Doing::Preparing))?;
    Ok(rows.first().and_then(|row| text(row, 0).parse().ok()))
}

async fn look(connection: &mut Connection, name: &Name) -> Result<Looked> {
    let sql = "select cast(avg_row_length as char), cast(create_time as char), cast(table_rows as char), engine, \
               create_options from information_schema.tables where table_schema = ? and table_name = ?";
    let rows = connection.rows(sql, (&name.database, &name.table)).await;
    let rows = rows.map_err(|failure| error::of(failure, Doing::Preparing))?;
    let cell = |index| rows.first().map(|row| text(row, index)).filter(|text| !text.is_empty());
    let layout = Layout {
        rows: cell(2).and_then(|text| text.parse().ok()).unwrap_or_default(),
        engine: cell(3).unwrap_or_default().to_lowercase(),
        is_partitioned: cell(4).is_some_and(|options| options.contains("partitioned")),
    };
    let row_bytes = cell(0).and_then(|text| text.parse().ok()).filter(|bytes| *bytes > 0);
    Ok(Looked { row_bytes, made: cell(1), layout })
}

/// Goes along the key's index, whatever the stream's condition: only the index is looked at then.
struct Walker<'a> {
    connection: &'a mut Connection,
    plan: &'a Plan,
    key: &'a Key,
}

#[async_trait]
impl Walk for Walker<'_> {
    async fn nth(&mut self, condition: Option<&str>, nth: u64) -> Result<Option<Vec<String>>> {
        let condition = condition.map(|condition| format!(" where {condition}")).unwrap_or_default();
        let sql = format!(
            "select {} from {}{condition} order by {} limit 1 offset {nth}",
            self.key.marks().join(", "),
            self.plan.from(),
            self.key.order().join(", "),
        );
        let failed = |failure: Failure| error::of(failure, Doing::Reading);
        let rows = self.connection.rows(&sql, ()).await.map_err(failed)?;
        Ok(rows.first().map(|row| (0..self.key.columns.len()).map(|index| text(row, index)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn a_bound_is_never_taken_for_sql() {
        for text in ["0", "-5", "18446744073709551615", "-0.50", "00012"] {
            assert_eq!(number(text).unwrap(), text);
        }
        assert_eq!(time("2024-02-30 00:00:00.000001").unwrap(), "'2024-02-30 00:00:00.000001'");
        assert_eq!(characters("C3A927").unwrap(), "_utf8mb4 x'C3A927'");
        assert_eq!(bytes("").unwrap(), "x''");
        let wrong: [(Literal, &str); 9] = [
            (number, "1 or 1=1"),
            (number, ""),
            (number, "."),
            (number, "1e5"),
            (number, "--1"),
            (time, "'"),
            (time, ""),
            (bytes, "abc"),
            (characters, "27'"),
        ];
        for (literal, text) in wrong {
            assert_eq!(literal(text).unwrap_err().kind(), Kind::Lost, "{text}");
        }
    }

    #[test]
    fn types_without_ranges_have_none() {
        let of = |kind, flags| written(&Column::new(kind).with_flags(flags).with_character_set(255), "c").is_some();
        assert!(of(ColumnType::MYSQL_TYPE_LONGLONG, ColumnFlags::UNSIGNED_FLAG));
        assert!(of(ColumnType::MYSQL_TYPE_VAR_STRING, ColumnFlags::empty()));
        assert!(!of(ColumnType::MYSQL_TYPE_STRING, ColumnFlags::ENUM_FLAG));
        for kind in [ColumnType::MYSQL_TYPE_DOUBLE, ColumnType::MYSQL_TYPE_BIT, ColumnType::MYSQL_TYPE_JSON] {
            assert!(!of(kind, ColumnFlags::empty()));
        }
    }
}
