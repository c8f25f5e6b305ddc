//! What is known of a table besides what the log says of it, and what its columns are to become.

use super::super::cells::Cells;
use super::super::config::ZeroDates;
use super::super::connect::{Connection, text};
use super::super::error::{self, Doing};
use super::super::native::base;
use super::super::plan::Plan;
use super::super::types::Type;
use crate::error::{Context, Error, Result};

/// A table as it was when the log's changes of it were made.
#[derive(Debug, Clone)]
pub struct Definition {
    /// As people name it, for messages.
    pub name: String,
    /// All of them in the table's order, those too that are not read or not visible.
    pub columns: Vec<Column>,
    pub zero_dates: ZeroDates,
    /// The section that policies stand in, for messages.
    pub header: String,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// `enum('a','b') unsigned`, as the catalog has it: told to us in UTF-8, whatever the column's set.
    pub native: String,
    /// Of texts, and of labels.
    pub character_set: Option<String>,
    /// None where it is not read.
    pub target: Option<Target>,
}

/// Where a column goes: to this place in a batch, as cells of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub index: usize,
    pub of: Type,
}

impl Definition {
    /// What the catalog says now of the table that a plan reads.
    pub async fn of(connection: &mut Connection, plan: &Plan) -> Result<Self> {
        let Some(table) = &plan.relation else {
            return Err(Error::bug(format!("{}: a query has no changes", plan.name)));
        };
        let sql = "select column_name, column_type, character_set_name from information_schema.columns \
                   where table_schema = ? and table_name = ? order by ordinal_position";
        let rows = connection.rows(sql, (&table.database, &table.table)).await;
        let rows = rows.map_err(|failure| error::of(failure, Doing::Preparing)).at(|| plan.named())?;
        let columns = rows.iter().map(|row| {
            let name = text(row, 0);
            let index = plan.columns.iter().position(|planned| planned.name == name);
            Column {
                target: index.map(|index| Target { index, of: plan.columns[index].of }),
                native: text(row, 1),
                character_set: Some(text(row, 2)).filter(|set| !set.is_empty()),
                name,
            }
        });
        Ok(Self {
            name: plan.name.clone(),
            columns: columns.collect(),
            zero_dates: plan.policies.zero_dates,
            header: plan.header.clone(),
        })
    }

    /// An empty column for each one that is read, in the order of their places.
    pub fn cells(&self) -> Vec<Cells> {
        let mut targets: Vec<_> = self.columns.iter().filter_map(|column| column.target).collect();
        targets.sort_by_key(|target| target.index);
        targets.into_iter().map(|target| Cells::new(target.of, self.zero_dates)).collect()
    }
}

impl Column {
    /// The bare name of the type, in small letters.
    pub fn data_type(&self) -> &str {
        base(&self.native)
    }

    /// The labels of an ENUM or SET, as its type lists them.
    pub fn labels(&self) -> Vec<Vec<u8>> {
        let mut labels = Vec::new();
        let mut rest = self.native.split_once('(').map_or("", |(_, rest)| rest);
        while let Some(text) = rest.strip_prefix('\'') {
            let mut label = String::new();
            let mut chars = text.char_indices().peekable();
            let mut end = text.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                        chars.next();
                        label.push(c);
                    }
                    '\'' => {
                        end = at + 1;
                        break;
                    }
                    c => label.push(c),
                }
            }
            labels.push(label.into_bytes());
            rest = text[end..].trim_start_matches(',');
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_listed_in_the_type() {
        let column =
            |native: &str| Column { name: String::new(), native: native.to_owned(), character_set: None, target: None };
        let labels = |native: &str| {
            let labels = column(native).labels();
            labels.into_iter().map(|label| String::from_utf8(label).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(labels("enum('a','b''c','','d,e','é)')"), ["a", "b'c", "", "d,e", "é)"]);
        assert_eq!(labels("set('x')"), ["x"]);
        assert!(labels("int(11)").is_empty() && labels("enum('").len() <= 1);
        assert_eq!(column("enum('a')").data_type(), "enum");
        assert_eq!(column("int unsigned").data_type(), "int");
    }
}
