//! The clauses of `ALTER TABLE`.

use super::column::NewColumn;
use super::{Token, Words};
use crate::source::mysql::name::Name;

/// What a clause of `ALTER TABLE` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    Add {
        column: NewColumn,
        to: Place,
        is_optional: bool,
    },
    Drop {
        name: String,
    },
    /// The column has another definition; its name too, where it differs.
    Change {
        name: String,
        column: NewColumn,
        to: Place,
    },
    /// The table has another name.
    Rename(Name),
    /// Rows go to this table, and its rows to the altered one, or to nowhere.
    Exchanges(Name),
    /// What texts of later columns are written in, where those do not say.
    CharacterSet(String),
    /// Rows are others, or have other values, without a word of it in the log; or what it does is not known.
    Rewrites,
    /// Neither columns nor rows are others.
    Nothing,
}

/// Where a column goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Where it is; a new one to the end.
    Stays,
    First,
    After(String),
}

/// What may be added, dropped, renamed or altered besides columns and primary keys.
const INDEXES: [&str; 8] = ["index", "key", "unique", "fulltext", "spatial", "foreign", "constraint", "vector"];
/// Options of tables, and other words that a clause may begin with and that leave columns and rows as they are.
const HARMLESS: [&str; 44] = [
    "algorithm",
    "lock",
    "enable",
    "disable",
    "force",
    "with",
    "without",
    "order",
    "engine",
    "comment",
    "auto_increment",
    "row_format",
    "key_block_size",
    "max_rows",
    "min_rows",
    "avg_row_length",
    "checksum",
    "compression",
    "connection",
    "data",
    "delay_key_write",
    "encryption",
    "encrypted",
    "insert_method",
    "pack_keys",
    "stats_auto_recalc",
    "stats_persistent",
    "stats_sample_pages",
    "storage",
    "tablespace",
    "page_checksum",
    "page_compressed",
    "page_compression_level",
    "transactional",
    "encryption_key_id",
    "secondary_engine",
    "autoextend_size",
    "union",
    "remove",
    "analyze",
    "check",
    "rebuild",
    "reorganize",
    "coalesce",
];

pub fn clauses(words: &mut Words<'_>) -> Vec<Clause> {
    let parts = words.parts().into_iter().filter(|part| !part.rest.is_empty());
    parts.flat_map(|mut part| of_part(&mut part)).collect()
}

fn of_part(words: &mut Words<'_>) -> Vec<Clause> {
    if words.takes("add") {
        return added(words).unwrap_or_else(|| vec![Clause::Rewrites]);
    }
    let one = if words.takes("drop") {
        dropped(words)
    } else if words.takes("modify") {
        words.takes("column");
        words.optional_if();
        modified(words, None)
    } else if words.takes("change") {
        words.takes("column");
        words.optional_if();
        words.name().and_then(|name| modified(words, Some(name)))
    } else if words.takes("rename") {
        renamed(words)
    } else if words.takes("alter") {
        // Of a column: its default, or whether it is seen. Of an index or a check: whether that is.
        let is_seen = words.rest.iter().any(|token| token.is("invisible") || token.is("visible"));
        let is_column = !words.is("index") && !words.is("check") && !words.is("constraint");
        (!(is_seen && is_column)).then_some(Clause::Nothing)
    } else {
        Some(other(words))
    };
    vec![one.unwrap_or(Clause::Rewrites)]
}

fn added(words: &mut Words<'_>) -> Option<Vec<Clause>> {
    if words.takes("partition") || INDEXES.iter().any(|word| words.is(word)) {
        // A constraint may make JSON of a text, at MariaDB, and a primary key has a constraint's name in front.
        let is_more = words.rest.iter().any(|token| token.is("json_valid") || token.is("primary"));
        return Some(vec![if is_more { Clause::Rewrites } else { Clause::Nothing }]);
    }
    if words.is("primary") || words.is("period") || words.is("system") || words.is("check") {
        return None;
    }
    words.takes("column");
    let is_optional = words.optional_if();
    if words.takes_sign('(') {
        let inside = Words { rest: words.inside(), database: words.database };
        let columns = inside.parts().into_iter().map(|mut part| {
            let begins_otherwise = ["primary", "check"].iter().chain(&INDEXES).any(|word| part.is(word));
            (!begins_otherwise).then(|| new(&mut part, is_optional)).flatten()
        });
        return columns.collect();
    }
    new(words, is_optional).map(|clause| vec![clause])
}

fn new(words: &mut Words<'_>, is_optional: bool) -> Option<Clause> {
    let name = words.name()?;
    let (column, to) = NewColumn::of(name, words)?;
    Some(Clause::Add { column, to, is_optional })
}

fn dropped(words: &mut Words<'_>) -> Option<Clause> {
    let is_other = INDEXES.iter().any(|word| words.is(word)) || words.is("check");
    if is_other {
        let is_key =
            words.rest.iter().any(|token| token.name().is_some_and(|name| name.eq_ignore_ascii_case("primary")));
        return (!is_key).then_some(Clause::Nothing);
    }
    if words.is("primary") || words.is("partition") || words.is("period") || words.is("system") {
        return None;
    }
    words.takes("column");
    words.optional_if();
    Some(Clause::Drop { name: words.name()? })
}

fn modified(words: &mut Words<'_>, old: Option<String>) -> Option<Clause> {
    let new = words.name()?;
    let (column, to) = NewColumn::of(new.clone(), words)?;
    Some(Clause::Change { name: old.unwrap_or(new), column, to })
}

fn renamed(words: &mut Words<'_>) -> Option<Clause> {
    if words.is("index") || words.is("key") {
        return Some(Clause::Nothing);
    }
    // The values that were under the one name are under the other.
    if words.takes("column") {
        return None;
    }
    if !words.takes("to") {
        words.takes("as");
    }
    words.takes_sign('=');
    words.table().map(Clause::Rename)
}

fn other(words: &mut Words<'_>) -> Clause {
    if words.takes("exchange") || words.takes("convert") {
        let table = words.rest.iter().position(|token| token.is("table"));
        let is_of_partitions = words.rest.iter().any(|token| token.is("partition"));
        words.rest = table.map_or(&[][..], |at| &words.rest[at + 1..]);
        return words.table().filter(|_| is_of_partitions).map_or(Clause::Rewrites, Clause::Exchanges);
    }
    if let Some(set) = character_set(words) {
        return Clause::CharacterSet(set);
    }
    words.takes("default");
    // One of several collations, of the set that there is.
    if words.is("collate") {
        return Clause::Nothing;
    }
    // `PARTITION BY` moves rows about; `… PARTITION p` with any other word may take rows away.
    if words.takes("partition") {
        return if words.is("by") { Clause::Nothing } else { Clause::Rewrites };
    }
    let takes_rows_away = |token: &Token<'_>| ["exchange", "truncate", "discard", "import"].iter().any(|w| token.is(w));
    let is_known = words.rest.first().is_some_and(|token| HARMLESS.iter().any(|word| token.is(word)));
    match is_known && !words.rest.iter().any(takes_rows_away) {
        true => Clause::Nothing,
        false => Clause::Rewrites,
    }
}

/// The character set that options of a table name, which may stand side by side without commas.
fn character_set(words: &Words<'_>) -> Option<String> {
    let (mut rest, mut set) = (Words { rest: words.rest, database: words.database }, None);
    while !rest.rest.is_empty() {
        let is_set = rest.takes("charset") || rest.takes_all(&["character", "set"]);
        let is_collation = !is_set && rest.takes("collate");
        if !is_set && !is_collation {
            rest.next();
            continue;
        }
        rest.takes_sign('=');
        let name = rest.name()?.to_ascii_lowercase();
        match name.split('_').next().map(str::to_owned) {
            _ if is_set => set = Some(name),
            // Those of MariaDB that are of several sets do not say of which.
            Some(prefix) if prefix != "uca1400" => set = set.or(Some(prefix)),
            _ => {}
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::super::Ddl;
    use super::*;

    fn of(sql: &str) -> Vec<Clause> {
        match Ddl::of(&format!("alter table t {sql}"), "d", true) {
            Some(Ddl::Alter { clauses, .. }) => clauses,
            other => panic!("{sql}: {other:?}"),
        }
    }

    fn name_and_place(clause: &Clause) -> (String, Place) {
        match clause {
            Clause::Add { column, to, .. } => (column.name.clone(), to.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn columns_come_with_their_place() {
        let added = of("add column a int, add `b` varchar(3) default null first, add c text after `a`, lock = none");
        let added: Vec<_> = added[..3].iter().map(name_and_place).collect();
        let expected = [("a", Place::Stays), ("b", Place::First), ("c", Place::After("a".to_owned()))];
        assert_eq!(added, expected.map(|(name, place)| (name.to_owned(), place)));
        let added = of("add (x enum('a,b', 'c)') , y decimal(10, 2) null)");
        assert_eq!(added.iter().map(|clause| name_and_place(clause).0).collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn what_leaves_columns_and_rows_as_they_are_is_nothing() {
        for sql in [
            "add index i (a)",
            "add unique key (a, b)",
            "add constraint f foreign key (a) references x (b) on delete cascade",
            "add fulltext index (x)",
            "drop index i",
            "drop foreign key f",
            "rename index a to b",
            "rename key a to b",
            "alter column a set default 5",
            "alter index i invisible",
            "engine = innodb",
            "ENGINE=InnoDB",
            "comment 'truncate, discard'",
            "auto_increment = 100",
            "algorithm = inplace, lock = none",
            "force",
            "order by a",
            "partition by hash (a) partitions 4",
            "add partition (partition p3 values less than (30))",
            "reorganize partition p into (partition a values less than (1))",
            "remove partitioning",
            "",
        ] {
            assert!(of(sql).iter().all(|clause| *clause == Clause::Nothing), "{sql}: {:?}", of(sql));
        }
    }

    #[test]
    fn what_changes_rows_without_a_word_is_told() {
        for sql in [
            "rename column a to b",
            "drop primary key",
            "add primary key (a)",
            "add constraint p primary key (a)",
            "add constraint check (json_valid(a))",
            "convert to character set utf8mb4",
            "drop partition p",
            "truncate partition p",
            "discard tablespace",
            "import tablespace",
            "add system versioning",
            "add column a int not null",
            "add (a int, primary key (a))",
            "something new",
        ] {
            let clauses = of(sql);
            let rewrites = |clause: &Clause| match clause {
                Clause::Add { column, .. } => !column.is_null_everywhere,
                other => *other == Clause::Rewrites,
            };
            assert!(clauses.iter().any(rewrites), "{sql}: {clauses:?}");
        }
    }

    #[test]
    fn other_names_and_sets_are_told() {
        let x = Name { database: "d".to_owned(), table: "x".to_owned() };
        assert_eq!(of("rename to x"), [Clause::Rename(x.clone())]);
        assert_eq!(of("rename as `x`"), [Clause::Rename(x.clone())]);
        assert_eq!(of("rename x"), [Clause::Rename(x)]);
        assert_eq!(of("default character set = latin1"), [Clause::CharacterSet("latin1".to_owned())]);
        let x = Name { database: "d".to_owned(), table: "x".to_owned() };
        assert_eq!(of("exchange partition p with table x without validation"), [Clause::Exchanges(x.clone())]);
        assert_eq!(of("convert partition p to table x"), [Clause::Exchanges(x)]);
        assert_eq!(
            of("engine=InnoDB DEFAULT CHARSET=UTF8MB4 comment='x'"),
            [Clause::CharacterSet("utf8mb4".to_owned())]
        );
        assert_eq!(of("collate = uca1400_ai_ci"), [Clause::Nothing]);
        assert_eq!(of("alter column a set invisible"), [Clause::Rewrites]);
        assert_eq!(of("drop index `PRIMARY`"), [Clause::Rewrites]);
        assert_eq!(of("charset utf8mb4"), [Clause::CharacterSet("utf8mb4".to_owned())]);
        assert_eq!(of("collate latin1_bin"), [Clause::CharacterSet("latin1".to_owned())]);
        assert_eq!(of("drop column if exists a, drop b").len(), 2);
        let [Clause::Change { name, column, .. }] = &of("change a b bigint unsigned")[..] else { panic!() };
        assert_eq!((name.as_str(), column.name.as_str(), column.native.as_str()), ("a", "b", "bigint unsigned"));
    }
}
