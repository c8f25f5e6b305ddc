//! Names of tables and columns, as SQL writes them and as people do.

use std::fmt;

/// A table's full name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    pub database: String,
    pub table: String,
}

impl Name {
    /// Reads `table`, `database.table`, or either part in backticks. What stands without them is taken as it is
    /// written; only a dot parts. Wildcards are no concern here.
    pub fn parse(text: &str, default_database: &str) -> Result<Self, String> {
        let mut parts = parts(text)?;
        match (parts.pop(), parts.pop(), parts.is_empty()) {
            (Some(table), database, true) => {
                Ok(Self { database: database.unwrap_or_else(|| default_database.to_owned()), table })
            }
            _ => Err(format!(
                "`{text}` is not a table name: write `table` or `database.table`, in backticks where it has dots"
            )),
        }
    }

    /// The name at the destination: the table's alone in the source's own database, else `database.table`.
    pub fn display(&self, default_database: &str) -> String {
        match self.database == default_database {
            true => self.table.clone(),
            false => format!("{}.{}", self.database, self.table),
        }
    }

    /// The shortest text that [`Name::parse`] reads as this name.
    pub fn written(&self, default_database: &str) -> String {
        let part = |text: &str| match text.contains(['.', '`']) || text.trim() != text {
            true => quoted(text),
            false => text.to_owned(),
        };
        match self.database == default_database {
            true => part(&self.table),
            false => format!("{}.{}", part(&self.database), part(&self.table)),
        }
    }
}

/// As SQL writes it, always quoted: what [`Name::parse`] reads back.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", quoted(&self.database), quoted(&self.table))
    }
}

/// An identifier in backticks.
pub fn quoted(identifier: &str) -> String {
    format!("`{}`", identifier.replace('`', "``"))
}

/// `user@host` as the server tells it, in quotes: for GRANT statements.
pub fn account(current_user: &str) -> String {
    let (user, host) = current_user.rsplit_once('@').unwrap_or((current_user, "%"));
    format!("'{}'@'{}'", user.replace('\'', "''"), host.replace('\'', "''"))
}

fn parts(text: &str) -> Result<Vec<String>, String> {
    let mut parts = vec![String::new()];
    let mut chars = text.trim().chars().peekable();
    let mut quotes = false;
    while let Some(c) = chars.next() {
        let Some(part) = parts.last_mut() else { break };
        match c {
            '`' if quotes && chars.peek() == Some(&'`') => {
                chars.next();
                part.push('`');
            }
            '`' => quotes = !quotes,
            '.' if !quotes => parts.push(String::new()),
            other => part.push(other),
        }
    }
    if quotes {
        return Err(format!("`{text}` has an unclosed backtick"));
    }
    match parts.iter().any(String::is_empty) {
        true => Err(format!("`{text}` is not a table name: a part of it is empty")),
        false => Ok(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(String, String), String> {
        Name::parse(text, "shop").map(|name| (name.database, name.table))
    }

    #[test]
    fn reads_plain_and_quoted_names() {
        for (text, database, table) in [
            ("orders", "shop", "orders"),
            ("sales.orders", "sales", "orders"),
            ("`a.b`.`c ``d```", "a.b", "c `d`"),
            (" `order items` ", "shop", "order items"),
            ("sales.inv_*", "sales", "inv_*"),
        ] {
            assert_eq!(parsed(text), Ok((database.to_owned(), table.to_owned())), "{text}");
        }
        for wrong in ["", "a.b.c", "a.", ".a", "`a"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_it_writes_it_reads() {
        let name = Name { database: "s.`x".to_owned(), table: "t 1".to_owned() };
        assert_eq!(Name::parse(&name.to_string(), "shop"), Ok(name.clone()));
        assert_eq!(name.display("shop"), "s.`x.t 1");
        assert_eq!(name.written("shop"), "`s.``x`.t 1");
        assert_eq!(Name::parse(&name.written("shop"), "shop"), Ok(name.clone()));
        assert_eq!(name.display("s.`x"), "t 1");
    }

    #[test]
    fn an_account_is_quoted_for_a_grant() {
        assert_eq!(account("reader@%"), "'reader'@'%'");
        assert_eq!(account("a@b@10.0.0.%"), "'a@b'@'10.0.0.%'");
    }
}
