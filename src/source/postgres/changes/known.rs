//! What a table is: its published columns, its key, and the rows that are published.
//!
//! The log names the columns of the rows it has, and their types, but not the key; nor does it say when values of rows that are
//! there changed without a change of the rows, by a default or another type. So the catalog is asked besides.

use arrow_schema::Schema;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type as Oid;

use super::publication::Publication;
use super::told::{self, Told};
use crate::error::Result;
use crate::record::Table;
use crate::source::Selection;
use crate::source::postgres::catalog::Relation;
use crate::source::postgres::config::Policies;
use crate::source::postgres::connect::{Session, get};
use crate::source::postgres::type_catalog::TypeCatalog;
use crate::source::postgres::types::{Resolver, Type};
use crate::source::postgres::{catalog, plan};

/// What a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Another table of the same name has another.
    pub oid: u32,
    /// Its rows are those of its partitions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_partitioned: bool,
    /// In which files its rows are, as one number: another one after what writes all of them anew.
    file: u32,
    /// What has it published: another one where it was not published in between, and nobody told of its changes.
    published: u32,
    /// Those that are published, in the table's order.
    columns: Vec<Column>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key: Vec<String>,
    /// The names of columns that went since its rows were read: these rows still have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gone: Vec<String>,
    /// Which rows are published; all where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What the composite types of its columns consist of, as one number.
    #[serde(default)]
    composites: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    /// Never another column's of the table.
    number: i16,
    oid: u32,
    modifier: i32,
    /// The server's own words for the type.
    #[serde(rename = "type")]
    native: String,
    /// Rows that were there before it may have a value in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_filled: bool,
}

/// What an alteration comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Altered {
    /// It is what it was, to us.
    Nothing(Known),
    /// The rows that are there have the values that they had; a new column is null in them.
    Known(Known),
    /// They may have others: they are to be read anew.
    Rewritten,
}

impl Known {
    /// What the catalog says now.
    pub async fn of(session: &Session, relation: &Relation, publication: &Publication) -> Result<Self> {
        let published = publication.of_table(session, &relation.name).await?;
        let rows = session.query(COLUMNS, &[(&relation.oid, Oid::OID)]).await?;
        let mut columns = Vec::with_capacity(rows.len());
        for row in &rows {
            let (name, is_generated): (String, bool) = (get(row, "name")?, get(row, "is_generated")?);
            let is_published = match &published.columns {
                // Version 15 names them where all columns are published, and sends none.
                Some(columns) => columns.contains(&name) && (!is_generated || session.version() >= SENDS_GENERATED),
                None => !is_generated,
            };
            if is_published {
                columns.push(Column {
                    name,
                    number: get(row, "number")?,
                    oid: get(row, "oid")?,
                    modifier: get(row, "modifier")?,
                    native: get(row, "native")?,
                    is_filled: get(row, "is_filled")?,
                });
            }
        }
        let mut key = catalog::primary_key(session, relation).await?;
        if key.is_empty() {
            let rows = session.query(IDENTITY_INDEX, &[(&relation.oid, Oid::OID)]).await?;
            key = rows.iter().map(|row| get(row, "name")).collect::<Result<_>>()?;
        }
        let row = session.query_one(FILES, &[(&relation.oid, Oid::OID)]).await?;
        let (is_partitioned, files): (bool, String) = (get(&row, "is_partitioned")?, get(&row, "files")?);
        let file = crc32fast::hash(files.as_bytes());
        let composites: String =
            get(&session.query_one(COMPOSITES, &[(&relation.oid, Oid::OID)]).await?, "composites")?;
        let composites = crc32fast::hash(composites.as_bytes());
        let (published, filter) = (publication.membership(session, relation.oid).await?, published.filter);
        let gone = Vec::new();
        Ok(Self { oid: relation.oid, is_partitioned, file, published, columns, key, gone, filter, composites })
    }

    /// The names of its columns that a stream reads, in the order in which it does.
    pub fn chosen(&self, shown: &str, selection: &Selection) -> Result<Vec<String>> {
        let all: Vec<_> = self.columns.iter().map(|column| column.name.clone()).collect();
        selection.choose_columns(shown, &all)
    }

    /// The columns that a stream reads of it, with what they become, and the table that they make.
    pub async fn defined(&self, session: &Session, shown: &str, selection: &Selection) -> Result<Defined> {
        let policies = Policies::of(&selection.section)?;
        let catalog = TypeCatalog::load(session, self.columns.iter().map(|column| column.oid)).await?;
        let resolver = Resolver { catalog: &catalog, policies: &policies, table: shown };
        let mut chosen = self.chosen(shown, selection)?;
        // A type goes after its last column: what that had is asked for by nobody any more.
        chosen.retain(|name| self.column(name).is_some_and(|column| catalog.get(column.oid).is_some()));
        let mut columns = Vec::with_capacity(chosen.len());
        for column in chosen.iter().filter_map(|name| self.column(name)) {
            let of = resolver.column(&column.name, column.oid, column.modifier, column.native.clone())?;
            columns.push((column.name.clone(), of));
        }
        let own = if selection.primary_key.is_empty() { &self.key } else { &selection.primary_key };
        let key = if own.iter().all(|name| chosen.contains(name)) { own.clone() } else { Vec::new() };
        let fields: Vec<_> = columns.iter().map(|(name, of)| of.field(name)).collect();
        let table = Table::new(selection.output_name(shown), Schema::new(fields).into(), key);
        Ok(Defined { table, columns, policies })
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether the log tells of the same columns.
    pub fn is(&self, told: &Told) -> bool {
        let own = self.columns.iter().map(|column| (&column.name, column.oid, column.modifier));
        self.oid == told.oid && own.eq(told.columns.iter().map(|column| (&column.name, column.oid, column.modifier)))
    }

    /// What the log tells of, as far as `now`, the catalog of a later time, knows more of it than the log.
    pub async fn told(&self, session: &Session, told: &Told, now: Option<&Self>) -> Result<Self> {
        let now = now.filter(|now| now.oid == told.oid);
        // It says more than names: a column that went and came again has another number.
        if let Some(now) = now.filter(|now| now.is(told)) {
            return Ok(now.clone());
        }
        if self.is(told) {
            return Ok(self.clone());
        }
        let mut columns = self.columns_told(told, now);
        let types: Vec<_> = columns.iter().map(|column| (column.name.clone(), column.oid, column.modifier)).collect();
        for (column, native) in columns.iter_mut().zip(plan::natives(session, &types).await?) {
            column.native = native;
        }
        let of = now.unwrap_or(self);
        let is_there = |name: &String| columns.iter().any(|column| column.name == *name);
        let key = if of.key.iter().all(is_there) { of.key.clone() } else { Vec::new() };
        // What writes all rows anew may still be to come.
        let (gone, filter) = (Vec::new(), of.filter.clone());
        Ok(Self {
            oid: told.oid,
            is_partitioned: of.is_partitioned,
            file: self.file,
            published: of.published,
            columns,
            key,
            gone,
            filter,
            composites: of.composites,
        })
    }

    /// Columns by the names that the log has for them, which may have been others' before or may be by now: one whose number is not
    /// sure has none.
    fn columns_told(&self, told: &Told, now: Option<&Self>) -> Vec<Column> {
        let was_written = now.is_some_and(|now| now.file != self.file);
        let of = |told: &told::Column| {
            let (own, now) = (self.column(&told.name), now.and_then(|now| now.column(&told.name)));
            let number = match (own, now) {
                (Some(own), Some(now)) if own.number != now.number => 0,
                (own, now) => own.or(now).map_or(0, |column| column.number),
            };
            Column {
                name: told.name.clone(),
                number,
                oid: told.oid,
                modifier: told.modifier,
                native: String::new(),
                is_filled: own.or(now).is_none_or(|column| column.is_filled) || (own.is_none() && was_written),
            }
        };
        let mut columns: Vec<_> = told.columns.iter().map(of).collect();
        // The log has them in the order of their numbers.
        if !columns.is_sorted_by(|one, other| one.number < other.number) {
            columns.iter_mut().for_each(|column| column.number = 0);
        }
        columns
    }

    /// What becomes of the rows that are there when the table is `new` from now on.
    pub fn altered(&self, new: &Self) -> Altered {
        // Rows of before are not found by another key.
        if self.oid != new.oid || self.published != new.published || self.filter != new.filter || self.key != new.key {
            return Altered::Rewritten;
        }
        // Values of before have other fields.
        if self.composites != new.composites {
            return Altered::Rewritten;
        }
        let mut was_written = false;
        for column in &new.columns {
            match self.columns.iter().find(|own| own.number == column.number) {
                Some(own) if own.name != column.name || !own.holds(column) => return Altered::Rewritten,
                Some(_) => {}
                // Of a column that is gone again the catalog tells no number.
                None if column.number == 0 || column.is_filled || self.had(&column.name) => return Altered::Rewritten,
                None => was_written |= self.file != new.file,
            }
        }
        if was_written {
            return Altered::Rewritten;
        }
        let is_gone = |name: &&String| new.column(name).is_none();
        let went = self.columns.iter().map(|column| &column.name).filter(is_gone);
        let gone = self.gone.iter().chain(went).cloned().collect();
        let is_same = self.columns == new.columns;
        let new = Self { gone, ..new.clone() };
        if is_same { Altered::Nothing(new) } else { Altered::Known(new) }
    }

    /// Whether values of these columns are by `now` what they were: of the same rows of the same table, and of the same types.
    pub fn has_still<'a>(&self, now: &Self, mut columns: impl Iterator<Item = &'a String>) -> bool {
        let is_same = (self.oid, self.published, self.composites) == (now.oid, now.published, now.composites);
        let of = |known: &Self, name: &str| {
            let column = known.column(name).filter(|column| column.number != 0);
            column.map(|column| (column.number, column.oid, column.modifier))
        };
        is_same
            && (&self.filter, &self.key) == (&now.filter, &now.key)
            && columns.all(|name| of(self, name).is_some_and(|own| of(now, name) == Some(own)))
    }

    /// Whether rows that were read have a column of the name.
    fn had(&self, name: &str) -> bool {
        self.column(name).is_some() || self.gone.iter().any(|gone| gone == name)
    }
}

impl Column {
    /// Whether a value keeps what it is to us when its column becomes another.
    fn holds(&self, other: &Self) -> bool {
        if self.oid == other.oid {
            // A text that was not cut; a number of the same digits after the point.
            return self.modifier == other.modifier || is_wider(self, other);
        }
        let wider: &[(Oid, &[Oid])] = &[
            (Oid::INT2, &[Oid::INT4, Oid::INT8]),
            (Oid::INT4, &[Oid::INT8]),
            (Oid::VARCHAR, &[Oid::TEXT]),
            (Oid::TEXT, &[Oid::VARCHAR]),
        ];
        let is = |of: &Oid, oid: u32| of.oid() == oid;
        let has_bound = other.oid == Oid::VARCHAR.oid() && other.modifier >= 0;
        !has_bound && wider.iter().any(|(of, to)| is(of, self.oid) && to.iter().any(|to| is(to, other.oid)))
    }
}

/// Whether all values of a column fit the same type with another modifier as they are.
fn is_wider(from: &Column, to: &Column) -> bool {
    let (varchar, numeric) = (Oid::VARCHAR.oid(), Oid::NUMERIC.oid());
    let has_digits = |column: &Column| column.modifier >= 4;
    match from.oid {
        oid if oid == varchar => to.modifier < 0 || (from.modifier >= 0 && to.modifier >= from.modifier),
        oid if oid == numeric && has_digits(from) && has_digits(to) => {
            let (from, to) = (from.modifier - 4, to.modifier - 4);
            from & 0x7ff == to & 0x7ff && to >> 16 >= from >> 16
        }
        _ => false,
    }
}

/// A table as a stream has it.
pub struct Defined {
    pub table: Table,
    pub columns: Vec<(String, Type)>,
    pub policies: Policies,
}

/// The oldest major version whose log has generated columns, where a publication wants them.
const SENDS_GENERATED: u32 = 18;

const COMPOSITES: &str = "
WITH RECURSIVE types AS (
    SELECT a.atttypid AS oid FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
    UNION SELECT n.oid FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid CROSS JOIN LATERAL (
        SELECT y.typelem UNION ALL SELECT y.typbasetype UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute AS a
        WHERE y.typtype = 'c' AND a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) AS n (oid) WHERE n.oid <> 0
)
SELECT coalesce(pg_catalog.string_agg(pg_catalog.concat_ws(':', y.oid, a.attnum, a.atttypid, a.atttypmod, a.attname), ' ' ORDER BY y.oid, a.attnum), '')
    AS composites
FROM types AS t JOIN pg_catalog.pg_type AS y ON y.oid = t.oid AND y.typtype = 'c'
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = y.typrelid AND a.attnum > 0 AND NOT a.attisdropped";

/// The columns that a table without a primary key is known by in the log.
const IDENTITY_INDEX: &str = "
SELECT a.attname::pg_catalog.text AS name FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisreplident
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
WHERE c.oid = $1 AND c.relreplident = 'i' ORDER BY a.attnum";

const FILES: &str = "
WITH RECURSIVE tree AS (
    SELECT c.oid, c.relkind FROM pg_catalog.pg_class AS c WHERE c.oid = $1
    UNION SELECT c.oid, c.relkind FROM tree AS t JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.oid
        JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid WHERE t.relkind = 'p'
)
SELECT coalesce(pg_catalog.bool_or(oid = $1 AND relkind = 'p'), false) AS is_partitioned,
       coalesce(pg_catalog.string_agg(pg_catalog.pg_relation_filenode(oid)::pg_catalog.text, ' ' ORDER BY oid), '') AS files
FROM tree";

/// A column that was added with a default is in the rows that were there, which the table or its partitions remember; one whose default
/// each row had its own of was written to all of them.
const COLUMNS: &str = "
WITH RECURSIVE tree AS (
    SELECT $1 AS oid UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN tree ON i.inhparent = tree.oid
)
SELECT a.attname::text AS name, a.attnum AS number, a.atttypid AS oid, a.atttypmod AS modifier,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS native, a.attgenerated <> '' AS is_generated,
       a.atthasdef OR a.attidentity <> '' OR EXISTS (
           SELECT FROM tree AS t JOIN pg_catalog.pg_attribute AS b ON b.attrelid = t.oid
           WHERE b.attname = a.attname AND b.atthasmissing) AS is_filled
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum";

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, number: i16, of: &Oid, modifier: i32) -> Column {
        Column {
            name: name.to_owned(),
            number,
            oid: of.oid(),
            modifier,
            native: of.name().to_owned(),
            is_filled: false,
        }
    }

    fn known(columns: Vec<Column>) -> Known {
        Known {
            oid: 1,
            is_partitioned: false,
            file: 1,
            published: 1,
            columns,
            key: vec!["id".to_owned()],
            gone: Vec::new(),
            filter: None,
            composites: 1,
        }
    }

    #[test]
    fn what_keeps_its_values_is_followed() {
        let id = || column("id", 1, &Oid::INT4, -1);
        let was = known(vec![id(), column("name", 2, &Oid::VARCHAR, 24)]);
        assert_eq!(was.altered(&was), Altered::Nothing(was.clone()));
        for now in [
            Known { gone: vec!["name".to_owned()], ..known(vec![id()]) },
            known(vec![column("id", 1, &Oid::INT8, -1), column("name", 2, &Oid::VARCHAR, 24)]),
            known(vec![id(), column("name", 2, &Oid::VARCHAR, 34)]),
            known(vec![id(), column("name", 2, &Oid::TEXT, -1)]),
            known(vec![id(), column("name", 2, &Oid::VARCHAR, 24), column("more", 3, &Oid::INT4, -1)]),
        ] {
            let new = Known { gone: Vec::new(), ..now.clone() };
            assert_eq!(was.altered(&new), Altered::Known(now.clone()), "{now:?}");
        }
    }

    #[test]
    fn what_may_have_other_values_is_read_anew() {
        let id = || column("id", 1, &Oid::INT4, -1);
        let was = known(vec![id(), column("price", 2, &Oid::NUMERIC, ((10 << 16) | 2) + 4)]);
        let price = |modifier| column("price", 2, &Oid::NUMERIC, modifier);
        let filled = Column { is_filled: true, ..column("more", 3, &Oid::INT4, -1) };
        for columns in [
            vec![id(), column("cost", 2, &Oid::NUMERIC, ((10 << 16) | 2) + 4)],
            vec![id(), price(((10 << 16) | 3) + 4)],
            vec![id(), price(((9 << 16) | 2) + 4)],
            vec![id(), price(-1)],
            vec![id(), column("price", 2, &Oid::TEXT, -1)],
            vec![id(), price(((10 << 16) | 2) + 4), filled],
            // Gone again, or renamed since: nobody knows what it was.
            vec![id(), price(((10 << 16) | 2) + 4), column("more", 0, &Oid::INT4, -1)],
        ] {
            let now = known(columns);
            assert_eq!(was.altered(&now), Altered::Rewritten, "{now:?}");
        }
        let wider = known(vec![id(), price(((12 << 16) | 2) + 4)]);
        assert_eq!(was.altered(&wider), Altered::Known(wider.clone()));
        let more = known(vec![id(), price(((10 << 16) | 2) + 4), column("more", 3, &Oid::INT4, -1)]);
        assert_eq!(was.altered(&Known { file: 2, ..more.clone() }), Altered::Rewritten);
        // Rows that are there have another column's values by that name.
        let went = Known { gone: vec!["more".to_owned()], ..was.clone() };
        assert_eq!(went.altered(&more), Altered::Rewritten);
        let again = known(vec![id(), column("price", 3, &Oid::NUMERIC, ((10 << 16) | 2) + 4)]);
        assert_eq!(was.altered(&again), Altered::Rewritten);
        for now in [
            Known { oid: 2, ..was.clone() },
            Known { published: 2, ..was.clone() },
            Known { key: Vec::new(), ..was.clone() },
            Known { filter: Some("id > 1".to_owned()), ..was.clone() },
        ] {
            assert_eq!(was.altered(&now), Altered::Rewritten, "{now:?}");
        }
    }
}
