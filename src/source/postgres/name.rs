//! Names of relations, as SQL writes them and as people do.

use std::fmt;

use crate::error::{Error, Result};
pub use crate::net::postgres::{quoted, readable};

/// A table's full name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub schema: String,
    pub table: String,
}

/// The schema whose tables go without it at the destination.
const PLAIN_SCHEMA: &str = "public";

impl Name {
    /// Reads `table`, `schema.table` or either part in double quotes. What stands without quotes is taken as it is
    /// written; only a dot parts.
    pub fn parse(text: &str, default_schema: &str) -> std::result::Result<Self, String> {
        let mut parts = parts(text)?;
        let (table, schema) = (parts.pop(), parts.pop());
        match (table, schema, parts.is_empty()) {
            (Some(table), schema, true) => {
                Ok(Self { schema: schema.unwrap_or_else(|| default_schema.to_owned()), table })
            }
            _ => Err(format!(
                "`{text}` is not a table's name: write `table` or `schema.table`, quoted where it has dots"
            )),
        }
    }

    /// The name at the destination: the table's alone in `public`, else `schema.table`; a part with a dot in quotes, so
    /// that no two tables have the same name.
    pub fn display(&self) -> String {
        match self.schema == PLAIN_SCHEMA {
            true => part(&self.table),
            false => self.full(),
        }
    }

    /// `schema.table`, as it would be written in `pipeline.conf`.
    pub fn full(&self) -> String {
        format!("{}.{}", part(&self.schema), part(&self.table))
    }

    /// Reads what [`Name::display`] gave.
    pub fn of_display(text: &str) -> Result<Self> {
        Self::parse(text, PLAIN_SCHEMA).map_err(Error::bug)
    }
}

/// As SQL writes it, always quoted.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quoted(&self.schema), quoted(&self.table))
    }
}

/// A text in single quotes, whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    match text.contains('\\') {
        true => format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
        false => format!("'{}'", text.replace('\'', "''")),
    }
}

fn part(text: &str) -> String {
    match text.contains(['.', '"', ',']) || text.trim() != text {
        true => quoted(text),
        false => text.to_owned(),
    }
}

fn parts(text: &str) -> std::result::Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut chars = text.trim().chars().peekable();
    let mut quotes = false;
    while let Some(c) = chars.next() {
        let Some(part) = parts.last_mut() else { break };
        match c {
            '"' if quotes && chars.peek() == Some(&'"') => {
                chars.next();
                part.push('"');
            }
            '"' => quotes = !quotes,
            '.' if !quotes => parts.push(String::new()),
            other => part.push(other),
        }
    }
    if quotes {
        return Err(format!("`{text}` has an unclosed double quote"));
    }
    match parts.iter().any(String::is_empty) {
        true => Err(format!("`{text}` is not a table's name: a part of it is empty")),
        false => Ok(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> std::result::Result<(String, String), String> {
        Name::parse(text, "public").map(|name| (name.schema, name.table))
    }

    #[test]
    fn reads_plain_and_quoted_names() {
        for (text, schema, table) in [
            ("orders", "public", "orders"),
            ("sales.orders", "sales", "orders"),
            ("Orders", "public", "Orders"),
            ("\"a.b\".\"c \"\"d\"\"\"", "a.b", "c \"d\""),
            (" \"order items\" ", "public", "order items"),
        ] {
            assert_eq!(parsed(text), Ok((schema.to_owned(), table.to_owned())), "{text}");
        }
        for wrong in ["", "a.b.c", "a.", ".a", "\"a"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_it_writes_it_reads() {
        for (schema, table) in [("s.\"x", "t 1"), ("public", "x.y"), ("public", "plain"), ("s", " t")] {
            let name = Name { schema: schema.to_owned(), table: table.to_owned() };
            assert_eq!(Name::parse(&name.to_string(), "other").as_ref(), Ok(&name));
            assert_eq!(Name::of_display(&name.display()).unwrap(), name);
        }
    }

    #[test]
    fn quotes_for_people_only_where_needed() {
        assert_eq!(readable("orders_2"), "orders_2");
        assert_eq!(readable("Orders"), "\"Orders\"");
        assert_eq!(readable("order"), "\"order\"");
        assert_eq!(literal("it's a \\"), "E'it''s a \\\\'");
    }
}
