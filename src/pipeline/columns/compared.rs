//! Two definitions of a table, column by column.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::sequence::SEQ;
use crate::source::documents::together;

/// The columns of a table, as a definition or several of the same table have them.
///
/// Where columns were found in the rows, chunks of a load have those of their own rows each, and a column may be an integer
/// in one and a text in the other. Put together, such a column has all of these types (`Int64 or Utf8`, in the order of the
/// alphabet); the order of columns is that in which they appeared. Which rows are in which chunk changes from load to load
/// without a change in any row: so two such definitions are not compared by their types as they stand, but by what all rows
/// would be read as in one chunk ([`together`]), and neither by the columns' order nor by the source's own types, which
/// list whatever values there were.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    columns: Vec<Column>,
    key: Vec<String>,
    found: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    /// As people read them: `Decimal128(10, 2), decimal(10,2) at the source`. None where there was nothing but null in a
    /// column that is there all the same.
    types: BTreeSet<String>,
    /// How it is masked.
    mask: Option<String>,
    /// What it is made of, where that was found.
    inner: Vec<Column>,
}

impl Columns {
    /// Of a definition as [`Table::definition`](crate::record::Table::definition) writes it.
    pub fn of(definition: &Value) -> Self {
        let found = definition["found"] == true;
        let mut columns = columns(&definition["columns"], found);
        // The loop adds its own to a growing stream's rows.
        columns.retain(|column| column.name != SEQ);
        let key = list(&definition["key"]).iter().map(|name| text(name).to_owned()).collect();
        Self { columns, key, found }
    }

    /// Whether they were found in the rows, so that other rows may have others.
    pub fn is_found(&self) -> bool {
        self.found
    }

    /// What changed from these columns of all rows to the `new` ones of all rows, in words; `None` where nothing did.
    pub fn changes(&self, new: &Self) -> Option<String> {
        let mut changes = Vec::new();
        if self.found && new.found {
            found_changes(&self.columns, &new.columns, "", true, &mut changes);
        } else {
            declared_changes(&self.columns, &new.columns, &mut changes);
        }
        let is_known = |columns: &Self| !columns.found || !columns.key.is_empty();
        if self.key != new.key && is_known(self) && is_known(new) {
            changes.push(format!("the key was ({}), is ({})", self.key.join(", "), new.key.join(", ")));
        }
        (!changes.is_empty()).then(|| changes.join("; "))
    }

    /// As [`Columns::changes`], where the `new` columns are of later rows of a stream that grows. Of found ones, what later rows
    /// lack or hold in a narrower type is no change: nobody knows of rows to come.
    pub fn growth(&self, new: &Self) -> Option<String> {
        if !(self.found && new.found) {
            return self.changes(new);
        }
        let mut changes = Vec::new();
        found_changes(&self.columns, &new.columns, "", false, &mut changes);
        (!changes.is_empty()).then(|| changes.join("; "))
    }

    /// Takes the columns of other rows of the table: found ones come to those of both, declared ones are the new.
    pub fn grow(&mut self, new: Self) {
        if !(self.found && new.found) {
            *self = new;
            return;
        }
        grow(&mut self.columns, new.columns);
        if self.key.is_empty() {
            self.key = new.key;
        }
    }
}

impl Column {
    /// Its types in words.
    fn shown(&self) -> String {
        let types = match self.types.is_empty() {
            true => "nothing but null".to_owned(),
            false => self.types.iter().map(String::as_str).collect::<Vec<_>>().join(" or "),
        };
        match &self.mask {
            Some(mask) => format!("{types} masked by {mask}"),
            None => types,
        }
    }

    /// What all of its values may be read as together; with those of `other`.
    fn settled(&self, other: Option<&Self>) -> BTreeSet<String> {
        together(self.types.iter().chain(other.iter().flat_map(|other| &other.types)).map(String::as_str))
    }
}

fn grow(known: &mut Vec<Column>, new: Vec<Column>) {
    for column in new {
        match known.iter_mut().find(|known| known.name == column.name) {
            Some(known) => {
                known.types.extend(column.types);
                known.mask = column.mask;
                grow(&mut known.inner, column.inner);
            }
            None => known.push(column),
        }
    }
}

/// The changes of declared columns: any other word for a type is one, and another order too.
fn declared_changes(before: &[Column], after: &[Column], changes: &mut Vec<String>) {
    for column in after {
        match find(before, &column.name) {
            None => changes.push(format!("{} came ({})", column.name, column.shown())),
            Some(was) if (&was.types, &was.mask) != (&column.types, &column.mask) => {
                changes.push(format!("{} was {}, is {}", column.name, was.shown(), column.shown()));
            }
            Some(_) => {}
        }
    }
    went(before, after, "", changes);
    let kept = |of: &[Column], other: &[Column]| {
        of.iter().filter(|column| find(other, &column.name).is_some()).map(|column| column.name.clone()).collect()
    };
    let (was, is): (Vec<_>, Vec<_>) = (kept(before, after), kept(after, before));
    if was != is {
        changes.push("the columns are in another order".to_owned());
    }
}

/// The changes of found columns, those of records within them too (`address.zip`). `all` says that the new ones are of all
/// rows that there are.
fn found_changes(before: &[Column], after: &[Column], within: &str, all: bool, changes: &mut Vec<String>) {
    for column in after {
        let name = format!("{within}{}", column.name);
        let Some(was) = find(before, &column.name) else {
            changes.push(format!("{name} came ({})", column.shown()));
            continue;
        };
        let (known, new) = (was.settled(None), column.settled((!all).then_some(was)));
        let is_same = (known == new || !known.is_disjoint(&new)) && was.mask == column.mask;
        if !is_same {
            changes.push(format!("{name} was {}, is {}", was.shown(), column.shown()));
        } else if !was.inner.is_empty() && !column.inner.is_empty() {
            found_changes(&was.inner, &column.inner, &format!("{name}."), all, changes);
        }
    }
    if all {
        went(before, after, within, changes);
    }
}

fn went(before: &[Column], after: &[Column], within: &str, changes: &mut Vec<String>) {
    for column in before.iter().filter(|column| find(after, &column.name).is_none()) {
        changes.push(format!("{within}{} went ({})", column.name, column.shown()));
    }
}

fn find<'c>(columns: &'c [Column], name: &str) -> Option<&'c Column> {
    columns.iter().find(|column| column.name == name)
}

/// The columns in their order, each with its type.
fn columns(described: &Value, found: bool) -> Vec<Column> {
    let column = |column: &Value| Column {
        name: text(&column["name"]).to_owned(),
        types: if found { found_type(column).into_iter().collect() } else { [declared_type(column)].into() },
        mask: column["mask"].as_str().map(str::to_owned),
        inner: columns(&column["fields"], found),
    };
    list(described).iter().map(column).collect()
}

fn declared_type(column: &Value) -> String {
    let mut of = plain_type(column);
    if column["nullable"] == false {
        of.push_str(" not null");
    }
    if let Some(native) = column["native"].as_str() {
        of.push_str(&format!(", {native} at the source"));
    }
    of
}

/// The type of what was found, without the source's own types; none of a column in which nothing was.
fn found_type(column: &Value) -> Option<String> {
    let is_empty = column["native"].is_null() && column["meaning"].is_null() && column["type"] == "Utf8";
    (!is_empty).then(|| plain_type(column))
}

fn plain_type(column: &Value) -> String {
    let of = text(&column["type"]);
    match column["meaning"].as_str() {
        Some(meaning) => format!("{of} ({meaning})"),
        None => of.to_owned(),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definition(columns: &[(&str, &str)], key: &[&str]) -> Columns {
        let column = |(name, of): &(&str, &str)| json!({ "name": name, "type": of, "nullable": true, "native": "n" });
        Columns::of(&json!({ "columns": columns.iter().map(column).collect::<Vec<_>>(), "key": key }))
    }

    /// A type of `-` is that of nothing; `{` begins a record of the fields that follow.
    fn found(columns: &[(&str, &str)]) -> Columns {
        let column = |(name, of): &(&str, &str)| match (of.split_once('{'), of.strip_suffix(" json")) {
            (Some((of, fields)), _) => {
                let field = |field: &str| json!({ "name": field, "type": "Utf8", "native": "string" });
                let fields: Vec<_> = fields.split_whitespace().map(field).collect();
                json!({ "name": name, "type": of, "fields": fields, "native": "object" })
            }
            (None, Some(of)) => json!({ "name": name, "type": of, "meaning": "json", "native": of }),
            _ if *of == "-" => json!({ "name": name, "type": "Utf8", "nullable": true }),
            _ => json!({ "name": name, "type": of, "nullable": true, "native": format!("{of} at {}", columns.len()) }),
        };
        let columns: Vec<_> = columns.iter().map(column).collect();
        let key = if columns.is_empty() { json!([]) } else { json!(["_id"]) };
        Columns::of(&json!({ "columns": columns, "key": key, "found": true }))
    }

    #[test]
    fn each_change_has_words() {
        let old = definition(&[("id", "Int64"), ("a", "Utf8"), ("b", "Utf8")], &["id"]);
        assert_eq!(old.changes(&old), None);
        for (new, wanted) in [
            (
                definition(&[("id", "Int64"), ("a", "Int32"), ("b", "Utf8")], &["id"]),
                "a was Utf8, n at the source, is Int32, n at the source",
            ),
            (
                definition(&[("c", "Utf8"), ("id", "Int64"), ("b", "Utf8")], &["id"]),
                "c came (Utf8, n at the source); a went (Utf8, n at the source)",
            ),
            (
                definition(&[("id", "Int64"), ("b", "Utf8"), ("a", "Utf8")], &["id", "a"]),
                "the columns are in another order; the key was (id), is (id, a)",
            ),
        ] {
            assert_eq!(old.changes(&new).as_deref(), Some(wanted));
            assert_eq!(old.growth(&new).as_deref(), Some(wanted), "what is declared is declared of rows to come");
        }
        let strict = json!({ "columns": [{ "name": "id", "type": "Utf8", "nullable": false, "meaning": "json" }] });
        let wanted = "id was Utf8 (json) not null, is Utf8";
        let loose = json!({ "columns": [{ "name": "id", "type": "Utf8", "nullable": true }] });
        assert_eq!(Columns::of(&strict).changes(&Columns::of(&loose)).as_deref(), Some(wanted));
    }

    /// The rows of both loads are the same, and cut elsewhere.
    #[test]
    fn where_a_load_was_cut_is_no_change() {
        let load = |chunks: &[&[(&str, &str)]]| {
            let mut all = Columns::of(&json!({ "columns": [], "key": [], "found": true }));
            chunks.iter().for_each(|chunk| all.grow(found(chunk)));
            all
        };
        let (a, b) = (("a", "Int32"), ("b", "Boolean"));
        for (one, other) in [
            (load(&[&[a, ("x", "Float64")], &[a, b]]), load(&[&[a, b, ("x", "Float64")]])),
            (load(&[&[("a", "Float64")], &[("a", "Int32")]]), load(&[&[("a", "Float64")], &[("a", "Float64")]])),
            (load(&[&[("a", "Boolean")], &[("a", "Int32")]]), load(&[&[("a", "Utf8")]])),
            (load(&[&[("a", "Struct{x y")], &[("a", "Struct{y z")]]), load(&[&[("a", "Struct{z y x")]])),
            (load(&[&[("a", "Utf8 json")], &[("a", "Struct{x")]]), load(&[&[("a", "Struct{x")]])),
            (load(&[&[("a", "-")], &[("a", "Int32")]]), load(&[&[("a", "Int32")]])),
            (load(&[&[], &[a]]), load(&[&[a]])),
        ] {
            assert_eq!((one.changes(&other), other.changes(&one)), (None, None), "{one:?} {other:?}");
        }
        let cut = load(&[&[("a", "Boolean"), b], &[("a", "Int32")]]);
        assert_eq!(cut.columns.iter().map(Column::shown).collect::<Vec<_>>(), ["Boolean or Int32", "Boolean"]);
        assert_eq!(cut.changes(&load(&[&[a, b]])).unwrap(), "a was Boolean or Int32, is Int32");
    }

    #[test]
    fn what_was_found_changes_with_the_rows() {
        let old = found(&[("_id", "Utf8"), ("a", "Struct{x y"), ("n", "Int32"), ("e", "-")]);
        for (new, wanted) in [
            (found(&[("_id", "Utf8"), ("n", "Int64"), ("e", "-")]), "n was Int32, is Int64; a went (Struct)"),
            (
                found(&[("_id", "Utf8"), ("a", "Struct{x z"), ("n", "Int32"), ("e", "Int32")]),
                "a.z came (Utf8); a.y went (Utf8); e was nothing but null, is Int32",
            ),
        ] {
            assert_eq!(old.changes(&new).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn later_rows_may_have_less() {
        let mut known = found(&[("_id", "Utf8"), ("n", "Float64"), ("a", "Struct{x y")]);
        assert_eq!(known.growth(&found(&[("n", "Int32"), ("a", "Struct{x")])), None);
        let wider = found(&[("n", "Utf8"), ("a", "Struct{x z"), ("b", "Boolean")]);
        let wanted = "n was Float64, is Utf8; a.z came (Utf8); b came (Boolean)";
        assert_eq!(known.growth(&wider).as_deref(), Some(wanted));
        known.grow(wider.clone());
        assert_eq!(known.growth(&wider), None, "it is told once");
        assert_eq!(known.growth(&found(&[("n", "Int32")])), None);
    }
}
