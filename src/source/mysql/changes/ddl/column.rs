//! The definition of a column, as statements write it.

use super::alter::Place;
use super::{Token, Words};

/// A column as a statement defines it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewColumn {
    pub name: String,
    /// As the catalog would have it: `int unsigned`, `enum('a','b')`.
    pub native: String,
    /// None where it says nothing of one, or is no text.
    pub character_set: Option<String>,
    pub may_be_null: bool,
    pub is_hidden: bool,
    /// MariaDB's JSON, or MySQL's.
    pub is_json: bool,
    /// As a new column it is null in all rows that are there: no default, nothing generated.
    pub is_null_everywhere: bool,
}

impl NewColumn {
    /// Reads what stands behind a column's name. `None` where any of it is not known.
    pub(super) fn of(name: String, words: &mut Words<'_>) -> Option<(Self, Place)> {
        let mut column = NewColumn { name, may_be_null: true, is_null_everywhere: true, ..Self::default() };
        column.data_type(words)?;
        let mut place = Place::Stays;
        let mut says_null = false;
        while !words.rest.is_empty() {
            if words.takes("first") {
                place = Place::First;
            } else if words.takes("after") {
                place = Place::After(words.name()?);
            } else if words.takes("null") {
                says_null = true;
            } else {
                column.attribute(words)?;
            }
        }
        // Older servers give such a column the present time where nothing is said.
        if column.native.starts_with("timestamp") && !says_null {
            (column.is_null_everywhere, column.may_be_null) = (false, false);
        }
        Some((column, place))
    }

    fn data_type(&mut self, words: &mut Words<'_>) -> Option<()> {
        let national = words.takes("national");
        let word = words.next()?.name()?.to_ascii_lowercase();
        if national || matches!(word.as_str(), "nchar" | "nvarchar") {
            self.character_set = Some("utf8mb3".to_owned());
        }
        let second = |words: &mut Words<'_>, keyword: &str| words.takes(keyword);
        let base = match word.as_str() {
            "int" | "integer" | "int4" => "int",
            "tinyint" | "int1" => "tinyint",
            "smallint" | "int2" => "smallint",
            "mediumint" | "int3" | "middleint" => "mediumint",
            "bigint" | "int8" => "bigint",
            "bool" | "boolean" => {
                self.native = "tinyint(1)".to_owned();
                return Some(());
            }
            "decimal" | "dec" | "numeric" | "fixed" => "decimal",
            "float" | "float4" => "float",
            "real" | "float8" => "double",
            "double" => {
                second(words, "precision");
                "double"
            }
            "char" | "character" | "nchar" => match second(words, "varying") || second(words, "varchar") {
                true => "varchar",
                false => "char",
            },
            "varchar" | "varcharacter" | "nvarchar" => "varchar",
            "long" => match second(words, "varbinary") {
                true => "mediumblob",
                false => {
                    second(words, "varchar");
                    "mediumtext"
                }
            },
            "json" => {
                self.is_json = true;
                "json"
            }
            other if KNOWN.contains(&other) => other,
            _ => return None,
        };
        self.native = base.to_owned();
        self.arguments(words)
    }

    /// What stands in parentheses behind a type's name.
    fn arguments(&mut self, words: &mut Words<'_>) -> Option<()> {
        let arguments = match words.takes_sign('(') {
            true => words.inside(),
            false => &[],
        };
        let number = |at: usize| match arguments.get(at) {
            Some(Token::Word(word)) => word.parse::<u32>().ok(),
            _ => None,
        };
        let length = number(0);
        self.native = match (self.native.as_str(), length) {
            ("enum" | "set", _) => {
                let labels = arguments.iter().filter(|token| !token.is_sign(','));
                let label = |token: &Token<'_>| Some(format!("'{}'", token.name()?.replace('\'', "''")));
                // A character set before a label, or a number for a text.
                let labels = labels.map(|token| if matches!(token, Token::Text(_)) { label(token) } else { None });
                format!("{}({})", self.native, labels.collect::<Option<Vec<_>>>()?.join(","))
            }
            ("decimal", _) => format!("decimal({},{})", length.unwrap_or(10), number(2).unwrap_or(0)),
            ("float", Some(25..)) if arguments.len() == 1 => "double".to_owned(),
            ("float" | "double", _) => self.native.clone(),
            ("bit" | "char" | "binary", _) => format!("{}({})", self.native, length.unwrap_or(1)),
            ("varchar" | "varbinary" | "datetime" | "timestamp" | "time" | "tinyint" | "vector", Some(length)) => {
                match (self.native.as_str(), length) {
                    ("datetime" | "timestamp" | "time", 0) => self.native.clone(),
                    // The one width of a whole number that says something.
                    ("tinyint", 2..) => self.native.clone(),
                    (base, length) => format!("{base}({length})"),
                }
            }
            (base, _) => base.to_owned(),
        };
        Some(())
    }

    fn attribute(&mut self, words: &mut Words<'_>) -> Option<()> {
        let word = words.next()?.name()?.to_ascii_lowercase();
        match word.as_str() {
            "unsigned" | "zerofill" => {
                if !self.native.ends_with("unsigned") {
                    self.native.push_str(" unsigned");
                }
            }
            "unique" => drop(words.takes("key")),
            "signed" | "visible" | "compressed" => {}
            "storage" | "column_format" | "comment" | "srid" | "engine_attribute" | "secondary_engine_attribute" => {
                words.takes_sign('=');
                words.next()?;
            }
            "charset" => self.character_set = Some(words.name()?.to_ascii_lowercase()),
            "character" | "char" if words.takes("set") => {
                self.character_set = Some(words.name()?.to_ascii_lowercase());
            }
            "collate" => self.collate(&words.name()?),
            "not" => {
                words.takes("null").then_some(())?;
                (self.may_be_null, self.is_null_everywhere) = (false, false);
            }
            "invisible" => self.is_hidden = true,
            "default" => self.default_value(words)?,
            "on" => {
                words.takes("update").then_some(())?;
                words.next()?;
                words.parenthesis();
            }
            "references" => {
                words.table()?;
                words.parenthesis();
                while words.takes_all(&["on", "delete"]) || words.takes_all(&["on", "update"]) {
                    let _ = words.takes_all(&["set", "null"])
                        || words.takes_all(&["set", "default"])
                        || words.takes_all(&["no", "action"])
                        || words.next().is_some();
                }
            }
            // Generated ones, keys, checks that may make JSON of a text, character sets by their old names.
            _ => return None,
        }
        Some(())
    }

    fn default_value(&mut self, words: &mut Words<'_>) -> Option<()> {
        if words.takes("null") {
            return Some(());
        }
        self.is_null_everywhere = false;
        if words.takes_sign('(') {
            words.inside();
            return Some(());
        }
        words.takes_sign('-');
        words.takes_sign('+');
        // `b'0'`, `_utf8mb4'x'`: a text behind its kind.
        if let Token::Word(_) = words.next()?
            && matches!(words.rest.first(), Some(Token::Text(_)))
        {
            words.next();
        }
        if words.takes_sign('.') {
            words.next();
        }
        words.parenthesis();
        Some(())
    }

    /// A collation's name begins with that of its character set, but for those of MariaDB that are of several.
    fn collate(&mut self, collation: &str) {
        let set = collation.split('_').next().unwrap_or_default().to_ascii_lowercase();
        if self.character_set.is_none() && set != "uca1400" {
            self.character_set = Some(set);
        }
    }
}

impl Words<'_> {
    fn parenthesis(&mut self) {
        if self.takes_sign('(') {
            self.inside();
        }
    }
}

/// Types under their own names.
const KNOWN: [&str; 33] = [
    "bit",
    "date",
    "datetime",
    "timestamp",
    "time",
    "year",
    "binary",
    "varbinary",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "enum",
    "set",
    "geometry",
    "point",
    "linestring",
    "polygon",
    "multipoint",
    "multilinestring",
    "multipolygon",
    "geometrycollection",
    "geomcollection",
    "vector",
    "uuid",
    "inet4",
    "inet6",
    "json",
    "xmltype",
];

#[cfg(test)]
mod tests {
    use super::super::tokens;
    use super::*;

    fn read(sql: &str) -> Option<(NewColumn, Place)> {
        let tokens = tokens(sql, true);
        NewColumn::of("c".to_owned(), &mut Words { rest: &tokens, database: "d" })
    }

    #[test]
    fn types_are_as_the_catalog_has_them() {
        for (sql, native) in [
            ("INT", "int"),
            ("integer(11) unsigned zerofill", "int unsigned"),
            ("bool", "tinyint(1)"),
            ("tinyint(1)", "tinyint(1)"),
            ("tinyint(4)", "tinyint"),
            ("numeric", "decimal(10,0)"),
            ("decimal(12, 2) unsigned", "decimal(12,2) unsigned"),
            ("double precision", "double"),
            ("float(30)", "double"),
            ("float(7,4)", "float"),
            ("character varying(20)", "varchar(20)"),
            ("char", "char(1)"),
            ("datetime(6)", "datetime(6)"),
            ("datetime(0)", "datetime"),
            ("enum('a', 'b,c', 'it''s')", "enum('a','b,c','it''s')"),
            ("long varbinary", "mediumblob"),
            ("text(300)", "text"),
            ("bit", "bit(1)"),
            ("vector(3)", "vector(3)"),
        ] {
            assert_eq!(read(sql).map(|(column, _)| column.native).as_deref(), Some(native), "{sql}");
        }
        assert_eq!(read("serial"), None);
        assert_eq!(read("int generated always as (a + 1) virtual"), None);
    }

    #[test]
    fn what_rows_have_that_are_there_is_told() {
        for (sql, is_null) in [
            ("int", true),
            ("int null", true),
            ("int default null", true),
            ("varchar(20) character set latin1 collate latin1_bin comment 'first' after `x`", true),
            ("datetime default null on update current_timestamp(6)", true),
            ("int unique key", true),
            ("int references x (a) on delete set null on update cascade", true),
            ("timestamp null", true),
            ("timestamp", false),
            ("int default 5", false),
            ("int default -5.5", false),
            ("int not null", false),
            ("varchar(3) default 'x' first", false),
            ("varchar(36) default (uuid())", false),
            ("bit(1) default b'0'", false),
            ("datetime default current_timestamp(3)", false),
        ] {
            let column = read(sql);
            assert_eq!(column.map(|(column, _)| column.is_null_everywhere), Some(is_null), "{sql}");
        }
    }

    #[test]
    fn places_and_sets_are_told() {
        let (column, place) = read("varchar(20) charset latin1 first").unwrap();
        assert_eq!((column.character_set.as_deref(), place), (Some("latin1"), Place::First));
        let (column, place) = read("text collate utf8mb4_0900_ai_ci invisible after `a b`").unwrap();
        assert_eq!((column.character_set.as_deref(), column.is_hidden), (Some("utf8mb4"), true));
        assert_eq!(place, Place::After("a b".to_owned()));
        assert_eq!(read("text collate uca1400_ai_ci").unwrap().0.character_set, None);
        assert_eq!(read("nvarchar(3)").unwrap().0.character_set.as_deref(), Some("utf8mb3"));
        assert!(read("json").unwrap().0.is_json);
    }
}
