//! What statements that define tables mean for them: read as far as it takes to know the columns afterwards.
//!
//! Whatever is not known here to be harmless is taken to change the rows themselves, which are read anew then.

mod alter;
mod column;
mod tokens;

use crate::source::mysql::name::Name;

pub use self::alter::{Clause, Place as AlterPlace};
pub use self::column::NewColumn;
pub use self::tokens::{Token, next as first_token, tokens};

/// What a statement does to tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ddl {
    /// A table of this name is there from now on; only if there was none, where `is_optional`.
    Create {
        table: Name,
        is_optional: bool,
    },
    Drop(Vec<Name>),
    DropDatabase(String),
    /// In this order.
    Rename(Vec<(Name, Name)>),
    Truncate(Name),
    Alter {
        table: Name,
        clauses: Vec<Clause>,
    },
    /// It concerns no table's columns or rows.
    Nothing,
}

impl Ddl {
    /// What a statement that begins with ALTER, CREATE, DROP, RENAME or TRUNCATE does; `database` is the session's own. `None` where
    /// that cannot be told.
    pub fn of(sql: &str, database: &str, escapes: bool) -> Option<Self> {
        let tokens = tokens(sql, escapes);
        let mut words = Words { rest: &tokens, database };
        if words.takes("alter") {
            return alter(&mut words);
        }
        if words.takes("create") {
            return create(&mut words);
        }
        if words.takes("drop") {
            return drop(&mut words);
        }
        if words.takes("rename") {
            if !words.takes("table") && !words.takes("tables") {
                return Some(Ddl::Nothing);
            }
            words.optional_if();
            return renames(&mut words).map(Ddl::Rename);
        }
        if words.takes("truncate") {
            words.takes("table");
            return words.table().map(Ddl::Truncate);
        }
        None
    }
}

/// The table of an `INSERT` or `REPLACE`.
pub fn inserted(sql: &str, database: &str, escapes: bool) -> Option<Name> {
    let tokens = tokens(sql, escapes);
    let mut words = Words { rest: &tokens, database };
    (words.takes("insert") || words.takes("replace")).then_some(())?;
    while ["low_priority", "delayed", "high_priority", "ignore"].iter().any(|word| words.takes(word)) {}
    words.takes("into");
    words.table()
}

fn alter(words: &mut Words<'_>) -> Option<Ddl> {
    words.takes("online");
    // Rows that are in the way of a key are deleted without a word.
    let deletes = words.takes("ignore");
    if !words.takes("table") {
        return Some(Ddl::Nothing);
    }
    words.optional_if();
    let table = words.table()?;
    words.wait();
    let mut clauses = alter::clauses(words);
    clauses.extend(deletes.then_some(Clause::Rewrites));
    Some(Ddl::Alter { clauses, table })
}

fn create(words: &mut Words<'_>) -> Option<Ddl> {
    if words.takes("or") {
        words.takes("replace").then_some(())?;
    }
    // A temporary table hides another one from its own session only.
    if !words.takes("table") {
        return Some(Ddl::Nothing);
    }
    let is_optional = words.optional_if();
    Some(Ddl::Create { table: words.table()?, is_optional })
}

fn drop(words: &mut Words<'_>) -> Option<Ddl> {
    if words.takes("database") || words.takes("schema") {
        words.optional_if();
        return Some(Ddl::DropDatabase(words.name()?));
    }
    if words.takes("index") && words.name().is_some_and(|name| name.eq_ignore_ascii_case("primary")) {
        words.takes("on");
        return Some(Ddl::Alter { table: words.table()?, clauses: vec![Clause::Rewrites] });
    }
    if !words.takes("table") && !words.takes("tables") {
        return Some(Ddl::Nothing);
    }
    words.optional_if();
    let mut tables = vec![words.table()?];
    while words.takes_sign(',') {
        tables.push(words.table()?);
    }
    Some(Ddl::Drop(tables))
}

fn renames(words: &mut Words<'_>) -> Option<Vec<(Name, Name)>> {
    let mut renames = Vec::new();
    loop {
        let from = words.table()?;
        words.wait();
        words.takes("to").then_some(())?;
        renames.push((from, words.table()?));
        if !words.takes_sign(',') {
            return Some(renames);
        }
    }
}

/// The tokens that are left.
pub struct Words<'a> {
    rest: &'a [Token<'a>],
    database: &'a str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a Token<'a>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn is(&self, keyword: &str) -> bool {
        self.rest.first().is_some_and(|token| token.is(keyword))
    }

    fn takes(&mut self, keyword: &str) -> bool {
        let is_it = self.is(keyword);
        if is_it {
            self.next();
        }
        is_it
    }

    /// All of these, or none.
    fn takes_all(&mut self, keywords: &[&str]) -> bool {
        let are = self.rest.len() >= keywords.len()
            && keywords.iter().zip(self.rest).all(|(keyword, token)| token.is(keyword));
        if are {
            self.rest = &self.rest[keywords.len()..];
        }
        are
    }

    fn takes_sign(&mut self, sign: char) -> bool {
        let is_it = self.rest.first().is_some_and(|token| token.is_sign(sign));
        if is_it {
            self.next();
        }
        is_it
    }

    /// `IF EXISTS` or `IF NOT EXISTS`.
    fn optional_if(&mut self) -> bool {
        self.takes_all(&["if", "exists"]) || self.takes_all(&["if", "not", "exists"])
    }

    /// MariaDB's `WAIT n` and `NOWAIT`.
    fn wait(&mut self) {
        if self.takes("wait") {
            self.next();
        }
        self.takes("nowait");
    }

    fn name(&mut self) -> Option<String> {
        self.next()?.name().map(str::to_owned)
    }

    /// `table` or `database.table`.
    fn table(&mut self) -> Option<Name> {
        let first = self.name()?;
        if !self.takes_sign('.') {
            return Some(Name { database: self.database.to_owned(), table: first });
        }
        Some(Name { database: first, table: self.name()? })
    }

    /// What stands between a parenthesis that was taken and the one that ends it.
    fn inside(&mut self) -> &'a [Token<'a>] {
        let mut depth = 1;
        let all = self.rest;
        for (at, token) in all.iter().enumerate() {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.rest = &all[at + 1..];
                return &all[..at];
            }
        }
        self.rest = &[];
        all
    }

    /// The parts between commas that stand in no parenthesis.
    fn parts(&self) -> Vec<Words<'a>> {
        let (mut parts, mut depth, mut begin) = (Vec::new(), 0, 0);
        for (at, token) in self.rest.iter().enumerate() {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') => depth -= 1,
                Token::Sign(',') if depth == 0 => {
                    parts.push(Words { rest: &self.rest[begin..at], database: self.database });
                    begin = at + 1;
                }
                _ => {}
            }
        }
        parts.push(Words { rest: &self.rest[begin..], database: self.database });
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(database: &str, table: &str) -> Name {
        Name { database: database.to_owned(), table: table.to_owned() }
    }

    #[test]
    fn what_is_inserted_into() {
        for (sql, expected) in [
            ("insert into t values (1)", Some(name("d", "t"))),
            ("REPLACE LOW_PRIORITY `p`.`checksums` (a) SELECT * FROM d.t", Some(name("p", "checksums"))),
            ("insert ignore into `in``to` select 1", Some(name("d", "in`to"))),
            ("delete from t", None),
        ] {
            assert_eq!(inserted(sql, "d", true), expected, "{sql}");
        }
    }

    #[test]
    fn tables_are_named() {
        for (sql, expected) in [
            ("truncate t", Ddl::Truncate(name("d", "t"))),
            ("TRUNCATE TABLE `other`.`odd name`", Ddl::Truncate(name("other", "odd name"))),
            ("truncate /* x */ table t NOWAIT", Ddl::Truncate(name("d", "t"))),
            ("truncate table `a``b`;", Ddl::Truncate(name("d", "a`b"))),
            ("DROP TABLE IF EXISTS `a`,`b`.c /* generated by server */", {
                Ddl::Drop(vec![name("d", "a"), name("b", "c")])
            }),
            ("drop temporary table a", Ddl::Nothing),
            ("drop view a", Ddl::Nothing),
            ("drop schema if exists `x`", Ddl::DropDatabase("x".to_owned())),
            ("create table if not exists t (a int)", Ddl::Create { table: name("d", "t"), is_optional: true }),
            ("create or replace table x.t like y", Ddl::Create { table: name("x", "t"), is_optional: false }),
            ("create temporary table t (a int)", Ddl::Nothing),
            ("create definer=`a`@`b` trigger x before insert on t", Ddl::Nothing),
            ("create unique index i on t (a)", Ddl::Nothing),
            ("rename table a to b, x.c to `x`.d", {
                Ddl::Rename(vec![(name("d", "a"), name("d", "b")), (name("x", "c"), name("x", "d"))])
            }),
            ("rename user a to b", Ddl::Nothing),
            ("alter database d character set utf8mb4", Ddl::Nothing),
        ] {
            assert_eq!(Ddl::of(sql, "d", true), Some(expected), "{sql}");
        }
        for sql in ["rename table a", "truncate", "select 1", "drop table"] {
            assert_eq!(Ddl::of(sql, "d", true), None, "{sql}");
        }
    }
}
