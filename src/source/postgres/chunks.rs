//! Into what chunks a table is cut: by which columns, or by the pages of its file.

use async_trait::async_trait;
use tokio_postgres::types::{Kind as TypeKind, Type as Oid};

use super::catalog::{self, Relation};
use super::connect::{Session, get};
use super::histogram;
use super::name::literal;
use super::plan::{Plan, Scope};
use crate::error::{Error, Kind, Result};
use crate::source::keyset::{Key, KeyColumn, Known, Span, Walk, lost};
use crate::source::masking;
use crate::source::{Consistency, Cut, Selection};

/// What stands for the pages of a table's file in `chunk_by`.
pub const PAGES: &str = "ctid";

/// Whether pages are what a stream's chunks are ranges of.
pub fn is_by_pages(cut: &Cut) -> bool {
    cut.by == [PAGES]
}

/// The oldest major version that reads a range of pages without reading the table.
const RANGES_OF_PAGES: u32 = 14;

/// The chunks of a plan's table; none where it is read whole.
pub async fn spans(session: &Session, plan: &Plan, selection: &Selection) -> Result<Vec<Span>> {
    let cut = &selection.cut;
    let size = match &plan.relation {
        Some(relation) => size(session, relation).await?,
        None => Size::default(),
    };
    let row_bytes = plan.relation.as_ref().and_then(|relation| relation.estimate).filter(|rows| *rows > 0);
    let row_bytes = row_bytes.map(|rows| size.bytes / rows);
    let shares_a_snapshot = cut.consistency != Consistency::Chunk;
    let has_ranges = session.version() >= RANGES_OF_PAGES;
    if is_by_pages(cut) || (cut.by.is_empty() && shares_a_snapshot && has_ranges && size.pages > 0) {
        if plan.relation.is_none() || size.pages == 0 {
            return Err(selection
                .section
                .error("chunk_by", "is `ctid`, and only a table with rows of its own has that"));
        }
        let bytes = cut.rows_of(row_bytes) * row_bytes.unwrap_or(TYPICAL_ROW);
        return Ok(by_pages(size.pages, (bytes / size.page_bytes.max(1)).max(1)));
    }
    let columns = columns(session, plan, cut).await?;
    let Some(key) = key(session, plan, selection, &columns).await? else { return Ok(Vec::new()) };
    let rows = cut.rows_of(row_bytes);
    let known = match &plan.relation {
        Some(relation) => histogram::known(session, relation, &key, rows).await?,
        None => Known::default(),
    };
    let mut walk = Walker { session, plan, key: &key };
    let mut spans = key.spans(&mut walk, rows, known).await?;
    let table = plan.relation.as_ref().map(|relation| relation.oid.to_string());
    spans.iter_mut().for_each(|span| span.table = table.clone());
    Ok(spans)
}

/// Bytes of a row of a table without statistics.
const TYPICAL_ROW: u64 = 128;

/// The last one goes on to the end, wherever that is by then.
fn by_pages(pages: u64, each: u64) -> Vec<Span> {
    let count = ((pages + each / 2) / each).max(1);
    if count == 1 {
        return Vec::new();
    }
    let span = |n: u64| Span { pages: Some((n * each, (n + 1 < count).then_some((n + 1) * each))), ..Span::default() };
    (0..count).map(span).collect()
}

/// Why a stream is read by one statement, where that is not what was asked for.
pub async fn note(session: &Session, plan: &Plan, selection: &Selection) -> Result<Option<String>> {
    if selection.cut.consistency != Consistency::Chunk {
        return Ok(None);
    }
    let columns = columns(session, plan, &selection.cut).await?;
    Ok(match key(session, plan, selection, &columns).await? {
        Some(_) => None,
        None if columns.is_empty() => Some(
            "There is no primary key to cut it by: one statement reads it, unless `chunk_by` names columns.".to_owned(),
        ),
        None => Some(format!("One statement reads it: there are no ranges of the types of {}.", columns.join(", "))),
    })
}

async fn columns(session: &Session, plan: &Plan, cut: &Cut) -> Result<Vec<String>> {
    match (&cut.by[..], &plan.relation) {
        ([], Some(relation)) => catalog::primary_key(session, relation).await,
        (by, _) => Ok(by.to_vec()),
    }
}

/// What a statement reads of a chunk behind these values, in an order in which another one can go on.
pub fn scope(plan: &Plan, key: Option<&Key>, span: &Span, behind: Option<&[String]>) -> Result<Scope> {
    if let Some((from, to)) = span.pages {
        let page = plan.column(PAGES);
        let from = format!("{page} >= '({from},0)'::pg_catalog.tid");
        let to = to.map(|to| format!(" AND {page} < '({to},0)'::pg_catalog.tid")).unwrap_or_default();
        return Ok(Scope { condition: Some(from + &to), ..Scope::default() });
    }
    let Some(key) = key else { return Ok(Scope::default()) };
    let condition = key.condition(span, behind)?;
    // A snapshot that all share has no end of its own: nobody goes on.
    let can_go_on = key.is_unique && !span.nulls && span.snapshot.is_none();
    let (order, marks) = if can_go_on { (key.order(), key.marks()) } else { Default::default() };
    Ok(Scope { condition, order, marks, most: None })
}

/// The key of a chunk of the plan's table.
pub async fn key_of(session: &Session, plan: &Plan, selection: &Selection, span: &Span) -> Result<Option<Key>> {
    span.check_table(plan.relation.as_ref().map(|relation| relation.oid.to_string()).as_deref())?;
    if span.columns.is_empty() {
        return Ok(None);
    }
    match key(session, plan, selection, &span.columns).await? {
        Some(key) => Ok(Some(key)),
        None => Err(lost("the types of its key have changed")),
    }
}

/// The key of these columns; `None` where there are none, or their types have no ranges.
async fn key(session: &Session, plan: &Plan, selection: &Selection, columns: &[String]) -> Result<Option<Key>> {
    if columns.is_empty() {
        return Ok(None);
    }
    masking::refuse(&selection.section, "the key that chunks are cut by", columns.iter().map(String::as_str))?;
    let names: Vec<_> = columns.iter().map(|column| plan.column(column)).collect();
    let asked = session.client().prepare(&format!("SELECT {} FROM {}", names.join(", "), plan.from())).await;
    let statement = asked.map_err(|e| {
        let error = session.error(&e);
        match error.kind() {
            Kind::Schema => selection.section.error("chunk_by", format!("cannot be read: {}", error.message())),
            _ => error,
        }
    })?;
    if !statement.columns().iter().all(|column| has_ranges(column.type_())) {
        return Ok(None);
    }
    let (is_unique, not_null) = match &plan.relation {
        Some(relation) => (
            catalog::is_unique(session, relation, columns).await?,
            catalog::not_null(session, relation, columns).await?,
        ),
        None => (false, Vec::new()),
    };
    let named = &selection.primary_key;
    let is_named = !named.is_empty() && named.iter().all(|name| columns.contains(name));
    let column = |name: &String| KeyColumn {
        name: name.clone(),
        sql: plan.column(name),
        mark: plan.column(name),
        // The server takes it for whatever type the column has.
        literal: |text| Ok(literal(text)),
        is_nullable: !not_null.contains(name),
        is_number: false,
    };
    Ok(Some(Key { columns: columns.iter().map(column).collect(), is_unique: is_unique || is_named, rows: true }))
}

/// Types whose texts are exact, whose literals are of no other type, and of which an index has ranges.
fn has_ranges(of: &Oid) -> bool {
    match of.kind() {
        TypeKind::Domain(base) => has_ranges(base),
        TypeKind::Enum(_) => true,
        _ => RANGED.contains(of),
    }
}

const RANGED: [Oid; 16] = [
    Oid::BOOL,
    Oid::INT2,
    Oid::INT4,
    Oid::INT8,
    Oid::OID,
    Oid::NUMERIC,
    Oid::TEXT,
    Oid::VARCHAR,
    Oid::BPCHAR,
    Oid::NAME,
    Oid::BYTEA,
    Oid::UUID,
    Oid::DATE,
    Oid::TIME,
    Oid::TIMESTAMP,
    Oid::TIMESTAMPTZ,
];

/// What a table takes.
#[derive(Default)]
struct Size {
    /// With all partitions.
    bytes: u64,
    /// Of the largest of them.
    pages: u64,
    page_bytes: u64,
}

/// What a table takes on disk, with all partitions.
pub async fn bytes(session: &Session, relation: &Relation) -> Result<u64> {
    size(session, relation).await.map(|size| size.bytes)
}

async fn size(session: &Session, relation: &Relation) -> Result<Size> {
    let row = session.query_one(SIZE, &[(&relation.oid, Oid::OID)]).await?;
    let number = |column| get::<Option<i64>>(&row, column).map(|n| n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0));
    let (largest, page_bytes) = (number("largest")?, number("page")?);
    Ok(Size { bytes: number("bytes")?, pages: largest.div_ceil(page_bytes.max(1)), page_bytes })
}

const SIZE: &str = "
WITH RECURSIVE tree AS (
    SELECT $1 AS oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN tree ON i.inhparent = tree.oid
)
SELECT sum(pg_catalog.pg_table_size(t.oid))::int8 AS bytes, max(pg_catalog.pg_relation_size(t.oid))::int8 AS largest,
       pg_catalog.current_setting('block_size')::int8 AS page
FROM tree JOIN pg_catalog.pg_class AS t ON t.oid = tree.oid
WHERE t.relkind IN ('r', 'm')";

/// Goes along the key's index, whatever the stream's condition: only the index is looked at then.
struct Walker<'a> {
    session: &'a Session,
    plan: &'a Plan,
    key: &'a Key,
}

#[async_trait]
impl Walk for Walker<'_> {
    async fn nth(&mut self, condition: Option<&str>, nth: u64) -> Result<Option<Vec<String>>> {
        let condition = condition.map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
        let mark = |(n, mark): (usize, String)| format!("({mark})::pg_catalog.text AS k{n}");
        let marks: Vec<_> = self.key.marks().into_iter().enumerate().map(mark).collect();
        let sql = format!(
            "SELECT {} FROM {}{condition} ORDER BY {} LIMIT 1 OFFSET {nth}",
            marks.join(", "),
            self.plan.from(),
            self.key.order().join(", "),
        );
        let rows = self.session.query(&sql, &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let value = |n| get::<Option<String>>(row, &format!("k{n}"));
        let values = (0..self.key.columns.len()).map(value).collect::<Result<Option<Vec<_>>>>()?;
        values.map(Some).ok_or_else(|| Error::bug("a bound of a chunk is null"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_in_one_chunk() {
        for pages in 1..60 {
            for each in 1..20 {
                let spans = by_pages(pages, each);
                if spans.is_empty() {
                    assert!(pages * 2 < each * 3, "{pages} pages, {each} each");
                    continue;
                }
                let mut next = 0;
                for (n, span) in spans.iter().enumerate() {
                    let (from, to) = span.pages.unwrap();
                    assert_eq!((from, to.is_none()), (next, n + 1 == spans.len()));
                    next = to.unwrap_or(pages);
                }
                let last = pages - spans.last().unwrap().pages.unwrap().0;
                assert!(last * 2 >= each && last * 2 <= each * 3 + 1, "{pages} pages, {each} each");
            }
        }
    }
}
