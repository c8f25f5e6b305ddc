//! What a table is at a place in the log: kept in the state of commits, and altered as the log tells.

use std::sync::Arc;

use arrow_schema::Schema;
use serde::{Deserialize, Serialize};

use super::ddl::{AlterPlace, Clause, NewColumn};
use crate::error::{Context, Error, Result};
use crate::record::Table;
use crate::source::Selection;
use crate::source::mysql::binlog::{self, Definition, Target};
use crate::source::mysql::catalog;
use crate::source::mysql::config::{Policies, Settings, ZeroDates};
use crate::source::mysql::connect::{Connection, text};
use crate::source::mysql::error::{self, Doing};
use crate::source::mysql::name::Name;
use crate::source::mysql::native::{self, base};
use crate::source::mysql::types::Type;

/// What a table is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// In the table's order, which is the log's.
    columns: Vec<Column>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    key: Vec<String>,
    /// Of columns to come that name none.
    character_set: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    native: String,
    /// Of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    character_set: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    may_be_null: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    is_hidden: bool,
    /// MariaDB: only JSON comes in.
    #[serde(default, skip_serializing_if = "is_false")]
    is_json: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What an alteration comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Altered {
    /// The rows that are there have the values that they had; a new column is null in them.
    Known(Known),
    /// They may have others: they are to be read anew.
    Rewritten,
}

impl Known {
    /// What the catalog says now. `None` where there is no such table.
    pub async fn of(connection: &mut Connection, table: &Name) -> Result<Option<Self>> {
        let reading = |failure| error::of(failure, Doing::Preparing);
        let sql = "select table_collation from information_schema.tables where table_schema = ? and table_name = ?";
        let found = connection.rows(sql, (&table.database, &table.table)).await.map_err(reading)?;
        let Some(found) = found.first() else { return Ok(None) };
        let character_set = text(found, 0).split('_').next().unwrap_or_default().to_owned();
        let of_json = catalog::columns(connection, table).await.map_err(reading)?;
        let sql = "select column_name, column_type, character_set_name, is_nullable, extra \
                   from information_schema.columns where table_schema = ? and table_name = ? order by ordinal_position";
        let rows = connection.rows(sql, (&table.database, &table.table)).await.map_err(reading)?;
        let columns = rows.iter().map(|row| {
            let name = text(row, 0);
            Column {
                native: text(row, 1),
                character_set: Some(text(row, 2)).filter(|set| !set.is_empty()),
                may_be_null: text(row, 3) == "YES",
                is_hidden: text(row, 4).to_ascii_uppercase().contains("INVISIBLE"),
                is_json: of_json.iter().any(|column| column.name == name && column.known.checked_json),
                name,
            }
        });
        let columns = columns.collect();
        let key = catalog::primary_key(connection, table).await.map_err(reading)?;
        Ok(Some(Self { columns, key, character_set }))
    }

    /// Its columns as changes of it are read by a stream, and the table that they make.
    pub fn defined(&self, table: &Name, selection: &Selection, settings: &Settings) -> Result<(Definition, Table)> {
        let name = table.display(&settings.database);
        let policies = Policies::of(&selection.section)?;
        let seen = self.columns.iter().filter(|column| !column.is_hidden || selection.columns.is_some());
        let all: Vec<_> = seen.map(|column| column.name.clone()).collect();
        let chosen = selection.choose_columns(&name, &all)?;
        let mut fields = Vec::with_capacity(chosen.len());
        let mut types = Vec::with_capacity(chosen.len());
        for column in chosen.iter().filter_map(|name| self.column(name)) {
            let of = column.of(&name, &policies).at(|| format!("table {name}"))?;
            fields.push(of.field(&column.name, &column.shown(of)));
            types.push(of);
        }
        let own_key = if selection.primary_key.is_empty() { &self.key } else { &selection.primary_key };
        let key = if own_key.iter().all(|name| chosen.contains(name)) { own_key.clone() } else { Vec::new() };
        let columns = self.columns.iter().map(|column| binlog::Column {
            name: column.name.clone(),
            native: column.native.clone(),
            character_set: column.character_set.clone(),
            target: chosen.iter().position(|name| *name == column.name).map(|index| Target { index, of: types[index] }),
        });
        let definition = Definition {
            columns: columns.collect(),
            zero_dates: policies.zero_dates,
            header: selection.section.header().to_owned(),
            name: name.clone(),
        };
        Ok((definition, Table::new(selection.output_name(&name), Arc::new(Schema::new(fields)), key)))
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn place_of(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.is(name))
    }

    /// The table after `ALTER TABLE`, whose clauses are carried out in their order.
    pub fn altered(&self, clauses: &[Clause]) -> Altered {
        let mut known = self.clone();
        // They are of all columns of the statement, wherever they stand in it.
        let (sets, others): (Vec<_>, Vec<_>) = clauses.iter().partition(|c| matches!(c, Clause::CharacterSet(_)));
        match sets.into_iter().chain(others).try_for_each(|clause| known.alter(clause)) {
            Some(()) => Altered::Known(known),
            None => Altered::Rewritten,
        }
    }

    fn alter(&mut self, clause: &Clause) -> Option<()> {
        match clause {
            Clause::Nothing | Clause::Rename(_) => {}
            Clause::Rewrites | Clause::Exchanges(_) => return None,
            Clause::CharacterSet(set) => self.character_set.clone_from(set),
            Clause::Add { column, is_optional: true, .. } if self.place_of(&column.name).is_some() => {}
            Clause::Add { column, to, .. } => {
                column.is_null_everywhere.then_some(())?;
                let column = self.as_column(column);
                self.place(column, self.columns.len(), to)?;
            }
            Clause::Drop { name } => {
                if self.key.iter().any(|key| key.eq_ignore_ascii_case(name)) {
                    return None;
                }
                if let Some(at) = self.place_of(name) {
                    self.columns.remove(at);
                }
            }
            Clause::Change { name, column, to } => {
                let at = self.place_of(name)?;
                let new = self.as_column(column);
                // Another collation is another order.
                let is_ordered = self.columns[at].character_set.is_some() && self.key.contains(&self.columns[at].name);
                (!is_ordered && self.columns[at].becomes(&new)).then_some(())?;
                self.columns.remove(at);
                self.place(new, at, to)?;
            }
        }
        Some(())
    }

    fn place(&mut self, column: Column, at: usize, to: &AlterPlace) -> Option<()> {
        let at = match to {
            AlterPlace::Stays => at,
            AlterPlace::First => 0,
            AlterPlace::After(name) => self.place_of(name)? + 1,
        };
        self.columns.insert(at, column);
        Some(())
    }

    fn as_column(&self, column: &NewColumn) -> Column {
        let is_text = ["char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"]
            .contains(&base(&column.native));
        Column {
            name: column.name.clone(),
            native: column.native.clone(),
            character_set: match &column.character_set {
                Some(set) => Some(set.clone()),
                None if column.is_json => Some("utf8mb4".to_owned()),
                None => is_text.then(|| self.character_set.clone()),
            },
            may_be_null: column.may_be_null,
            is_hidden: column.is_hidden,
            is_json: column.is_json,
        }
    }
}

impl Column {
    fn is(&self, name: &str) -> bool {
        self.name == name || self.name.to_lowercase() == name.to_lowercase()
    }

    fn of(&self, table: &str, policies: &Policies) -> Result<Type> {
        let of = native::type_of(&self.native, self.character_set.as_deref(), self.is_json, policies);
        let of = of.ok_or_else(|| {
            Error::data(format!("column {}: an unknown type, {}", self.name, base(&self.native)))
                .hint("Leave it out with `exclude_columns`.")
        })?;
        let is_cast = matches!(of, Type::Text | Type::Json) && policies.as_bytes(table, &self.name);
        Ok(if is_cast { Type::Bytes } else { of })
    }

    fn shown(&self, of: Type) -> String {
        match of {
            Type::Json if self.native != "json" => format!("{} (json)", self.native),
            _ => self.native.clone(),
        }
    }

    /// Whether the rows that are there have the values that they had when the column is another one.
    fn becomes(&self, new: &Self) -> bool {
        // A null of a column that is never null any more is something else by then.
        let keeps_nulls = new.may_be_null || !self.may_be_null;
        self.is(&new.name)
            && keeps_nulls
            && self.character_set == new.character_set
            && self.is_json == new.is_json
            && is_wider(&self.native, &new.native)
    }
}

/// Whether every value of one type is the same one in another.
fn is_wider(old: &str, new: &str) -> bool {
    if old == new {
        return true;
    }
    let policies = Policies { zero_dates: ZeroDates::Null, tinyint1_is_boolean: false, bytes_columns: Vec::new() };
    let of = |native| native::type_of(native, None, false, &policies);
    let length = |native: &str| -> u32 {
        let inside = native.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
        inside.and_then(|(inside, _)| inside.parse().ok()).unwrap_or(0)
    };
    match (of(old), of(new)) {
        (Some(Type::Signed(old)), Some(Type::Signed(new))) | (Some(Type::Unsigned(old)), Some(Type::Unsigned(new))) => {
            old <= new
        }
        _ if base(old) != base(new) => false,
        _ if matches!(base(old), "enum" | "set") => {
            old.strip_suffix(')').is_some_and(|labels| new.starts_with(&format!("{labels},")))
        }
        _ => matches!(base(old), "varchar" | "varbinary") && length(old) <= length(new),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ddl::Ddl;
    use super::*;

    fn column(name: &str, native: &str) -> Column {
        let character_set = (native.contains("char") || native.contains("enum")).then(|| "utf8mb4".to_owned());
        let (name, native) = (name.to_owned(), native.to_owned());
        Column { name, native, character_set, may_be_null: true, is_hidden: false, is_json: false }
    }

    fn known() -> Known {
        let mut id = column("id", "int(11)");
        id.may_be_null = false;
        let columns = vec![id, column("v", "varchar(20)"), column("e", "enum('a','b')")];
        Known { columns, key: vec!["id".to_owned()], character_set: "utf8mb4".to_owned() }
    }

    fn after(sql: &str) -> Option<Vec<String>> {
        let Some(Ddl::Alter { clauses, .. }) = Ddl::of(&format!("alter table t {sql}"), "d", true) else {
            panic!("{sql}")
        };
        match known().altered(&clauses) {
            Altered::Known(known) => {
                Some(known.columns.iter().map(|column| format!("{} {}", column.name, column.native)).collect())
            }
            Altered::Rewritten => None,
        }
    }

    #[test]
    fn columns_come_and_go_and_move() {
        let of = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let (id, v, e) = ("id int(11)", "v varchar(20)", "e enum('a','b')");
        assert_eq!(after("add x int"), of(&[id, v, e, "x int"]));
        assert_eq!(after("add x int first, add y date after ID"), of(&["x int", id, "y date", v, e]));
        assert_eq!(after("drop V, add column if not exists E int"), of(&[id, e]));
        assert_eq!(after("modify v varchar(50) first"), of(&["v varchar(50)", id, e]));
        assert_eq!(after("change id id bigint not null after e"), of(&[v, e, "id bigint"]));
        assert_eq!(after("modify e enum('a','b','c'), add index (v)"), of(&[id, v, "e enum('a','b','c')"]));
    }

    #[test]
    fn values_that_may_be_others_are_told() {
        for sql in [
            "add x int not null default 5",
            "drop id",
            "change v w varchar(20)",
            "modify v varchar(10)",
            "modify v varchar(20) not null",
            "modify v varchar(20) character set latin1",
            "modify v text",
            "modify id int unsigned",
            "modify e enum('b','a')",
            "modify nowhere int",
            "convert to character set latin1",
        ] {
            assert_eq!(after(sql), None, "{sql}");
        }
    }

    #[test]
    fn comes_back_from_the_state() {
        let text = serde_json::to_string(&known()).unwrap();
        assert_eq!(serde_json::from_str::<Known>(&text).unwrap(), known());
        assert!(
            text.contains(r#"{"name":"v","type":"varchar(20)","character_set":"utf8mb4","may_be_null":true}"#),
            "{text}"
        );
    }
}
