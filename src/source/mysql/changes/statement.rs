//! What a statement in the log means for the transaction that it stands in, and for the tables whose rows are read.

use super::ddl::{self, Ddl, Token};
use crate::source::mysql::binlog::Query;

/// What a statement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    Begin,
    /// The transaction ends.
    End,
    /// It ends, and what it changed in tables with transactions is as it was.
    Rollback,
    /// A distributed transaction begins, which is prepared before it is committed.
    Xa(String),
    /// One that was prepared ends.
    XaEnd {
        id: String,
        is_committed: bool,
    },
    /// Part of a transaction that says nothing of rows.
    Within,
    Savepoint(String),
    /// What was changed since the savepoint is as it was.
    Back(String),
    /// Tables may be others by now; how, is not known where `None`.
    Define(Option<Ddl>),
    /// Rows were changed, and only the statement is in the log.
    Change,
    /// The same by a function, which says nothing of tables.
    Call,
    /// Nothing that matters to a reader of rows.
    Nothing,
}

impl Statement {
    pub fn of_query(query: &Query<'_>) -> Self {
        Self::of(&query.text(), &query.database(), query.escapes())
    }

    /// `database` is the session's own; `escapes` is whether a backslash in its texts escapes.
    pub fn of(sql: &str, database: &str, escapes: bool) -> Self {
        if let Some(inner) = inner(sql, escapes) {
            return Self::of(inner, database, escapes);
        }
        let mut words = Vec::with_capacity(3);
        let mut rest = sql;
        let most = |words: &Vec<String>| if words.first().is_some_and(|first| first == "xa") { 2 } else { 3 };
        while let Some((Token::Word(word), behind)) =
            ddl::first_token(rest, escapes).filter(|_| words.len() < most(&words))
        {
            words.push(word.to_ascii_lowercase());
            rest = behind;
        }
        let word = |at: usize| words.get(at).map_or("", String::as_str);
        match (word(0), word(1)) {
            ("begin", _) | ("start", "transaction") => Statement::Begin,
            ("commit", _) => Statement::End,
            ("savepoint", _) => Statement::Savepoint(last_name(sql, escapes)),
            ("rollback", "to") => Statement::Back(last_name(sql, escapes)),
            ("rollback", "work") if word(2) == "to" => Statement::Back(last_name(sql, escapes)),
            ("rollback", _) => Statement::Rollback,
            ("xa", "start" | "begin") => Statement::Xa(xa_name(rest, escapes)),
            ("xa", "commit" | "rollback") => {
                Statement::XaEnd { id: xa_name(rest, escapes), is_committed: word(1) == "commit" }
            }
            ("xa" | "release", _) => Statement::Within,
            ("alter" | "create" | "drop" | "rename" | "truncate", _) => {
                Statement::Define(Ddl::of(sql, database, escapes))
            }
            ("insert" | "update" | "delete" | "replace" | "load" | "with", _) => Statement::Change,
            ("select" | "do", _) => Statement::Call,
            _ => Statement::Nothing,
        }
    }
}

/// MariaDB's `SET STATEMENT variable = value FOR statement`: the statement.
fn inner(sql: &str, escapes: bool) -> Option<&str> {
    let (first, rest) = ddl::first_token(sql, escapes)?;
    let (second, mut rest) = ddl::first_token(rest, escapes).filter(|_| first.is("set"))?;
    second.is("statement").then_some(())?;
    let mut depth = 0;
    loop {
        let (token, behind) = ddl::first_token(rest, escapes)?;
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            token if depth == 0 && token.is("for") => return Some(behind),
            _ => {}
        }
        rest = behind;
    }
}

/// The name that a statement ends with.
fn last_name(sql: &str, escapes: bool) -> String {
    ddl::tokens(sql, escapes).last().and_then(Token::name).unwrap_or_default().to_owned()
}

/// The name of a distributed transaction: `x'6131',x'',1`.
fn xa_name(sql: &str, escapes: bool) -> String {
    let mut name = String::new();
    for token in ddl::tokens(sql, escapes).iter().take_while(|token| !token.is("one")) {
        match token {
            Token::Text(text) => name.push_str(&format!("'{}'", text.to_ascii_lowercase())),
            Token::Word(word) => name.push_str(&word.to_ascii_lowercase()),
            Token::Sign(sign) => name.push(*sign),
            Token::Quoted(_) => {}
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_tell() {
        for (sql, expected) in [
            ("BEGIN", Statement::Begin),
            ("COMMIT /* implicit, from Xid_log_event */", Statement::End),
            ("rollback to `s`", Statement::Back("s".to_owned())),
            ("rollback work to s", Statement::Back("s".to_owned())),
            ("ROLLBACK", Statement::Rollback),
            ("XA START X'61',X'',1", Statement::Xa("x'61',x'',1".to_owned())),
            ("XA END X'61',X'',1", Statement::Within),
            ("XA COMMIT X'6A',X'',1", Statement::XaEnd { id: "x'6a',x'',1".to_owned(), is_committed: true }),
            ("XA ROLLBACK X'61',X'62',7", Statement::XaEnd { id: "x'61',x'62',7".to_owned(), is_committed: false }),
            ("SAVEPOINT `s`", Statement::Savepoint("s".to_owned())),
            ("/*!50003 create trigger x */", Statement::Define(Some(Ddl::Nothing))),
            ("drop table", Statement::Define(None)),
            (
                "SET STATEMENT max_statement_time = (60), x = 'for' FOR drop view v",
                Statement::Define(Some(Ddl::Nothing)),
            ),
            ("/*Migration 42*/ drop view v", Statement::Define(Some(Ddl::Nothing))),
            ("--\r\ndrop view v", Statement::Define(Some(Ddl::Nothing))),
            ("set names utf8mb4", Statement::Nothing),
            ("insert into t values (1)", Statement::Change),
            ("SELECT `d`.`f`(1)", Statement::Call),
            ("GRANT SELECT ON *.* TO x", Statement::Nothing),
            ("/* without an end", Statement::Nothing),
            ("", Statement::Nothing),
        ] {
            assert_eq!(Statement::of(sql, "d", true), expected, "{sql}");
        }
    }
}
