//! What a statement in the log means for the transaction that it stands in, and for the tables whose rows are read.

use super::ddl::{self, Ddl, Token};

/// What a statement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    Begin,
    /// The transaction ends.
    End,
    /// It ends, and what it changed in tables with transactions is as it was.
    Rollback,
    /// Part of a transaction that says nothing of rows.
    Within,
    /// What was changed since a savepoint is as it was.
    Back,
    /// Tables may be others by now; how, is not known where `None`.
    Define(Option<Ddl>),
    /// Rows were changed, and only the statement is in the log.
    Change,
    /// Nothing that matters to a reader of rows.
    Nothing,
}

impl Statement {
    /// `database` is the session's own; `escapes` is whether a backslash in its texts escapes.
    pub fn of(sql: &str, database: &str, escapes: bool) -> Self {
        let mut words = Vec::with_capacity(3);
        let mut rest = sql;
        while let Some((Token::Word(word), behind)) = ddl::first_token(rest, escapes).filter(|_| words.len() < 3) {
            words.push(word.to_ascii_lowercase());
            rest = behind;
        }
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        match (word(0), word(1)) {
            ("begin", _) | ("start", "transaction") => Statement::Begin,
            ("commit", _) => Statement::End,
            ("rollback", "to") => Statement::Back,
            ("rollback", "work") if word(2) == "to" => Statement::Back,
            ("rollback", _) => Statement::Rollback,
            ("xa", "commit" | "rollback") => Statement::End,
            ("xa" | "savepoint" | "release", _) => Statement::Within,
            ("alter" | "create" | "drop" | "rename" | "truncate", _) => {
                Statement::Define(Ddl::of(sql, database, escapes))
            }
            ("insert" | "update" | "delete" | "replace" | "load" | "with", _) => Statement::Change,
            _ => Statement::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_tell() {
        for (sql, expected) in [
            ("BEGIN", Statement::Begin),
            ("COMMIT /* implicit, from Xid_log_event */", Statement::End),
            ("rollback to `s`", Statement::Back),
            ("rollback work to s", Statement::Back),
            ("ROLLBACK", Statement::Rollback),
            ("XA START X'61',X'',1", Statement::Within),
            ("xa commit X'61'", Statement::End),
            ("SAVEPOINT `s`", Statement::Within),
            ("/*!50003 create trigger x */", Statement::Define(Some(Ddl::Nothing))),
            ("drop table", Statement::Define(None)),
            ("insert into t values (1)", Statement::Change),
            ("GRANT SELECT ON *.* TO x", Statement::Nothing),
            ("/* without an end", Statement::Nothing),
            ("", Statement::Nothing),
        ] {
            assert_eq!(Statement::of(sql, "d", true), expected, "{sql}");
        }
    }
}
