//! Which fields of documents are kept.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::bson::{Element, Elements, Torn, Value, kind};
use crate::source::Selection;

/// Which fields are kept. One that lies within another is told by both paths; within a list, by the list's path and its own.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// Paths of these alone.
    pub only: Option<Vec<String>>,
    /// Paths without these.
    pub except: Vec<String>,
}

impl Chosen {
    pub fn of_selection(selection: &Selection) -> Self {
        Self { only: selection.columns.clone(), except: selection.exclude_columns.clone() }
    }

    pub fn is_all(&self) -> bool {
        self.only.is_none() && self.except.is_empty()
    }

    /// The fields at a document's top that the paths lead into, each once, in their order; none where all there are.
    pub fn tops(&self) -> Vec<String> {
        let is_left_out = |path: &str| self.except.iter().any(|except| is_within(path, except));
        let paths = self.only.iter().flatten().filter(|path| !is_left_out(path));
        let tops = paths.map(|path| path.split_once('.').map_or(path.as_str(), |(top, _)| top));
        let mut seen = BTreeSet::new();
        tops.filter(|top| seen.insert(*top)).map(str::to_owned).collect()
    }

    /// The document without what is not kept.
    pub fn of<'a>(&self, document: &'a [u8]) -> Result<Cow<'a, [u8]>, Torn> {
        if self.is_all() {
            return Ok(Cow::Borrowed(document));
        }
        let mut out = Vec::with_capacity(document.len());
        self.copy(document, "", &mut out)?;
        Ok(Cow::Owned(out))
    }

    /// Writes what is kept of a document that lies at a path.
    pub fn copy(&self, document: &[u8], above: &str, out: &mut Vec<u8>) -> Result<(), Torn> {
        let begin = begin(out);
        let mut elements = Elements::of(document)?;
        while let Some(element) = elements.whole()? {
            let name = String::from_utf8_lossy(element.name);
            let path = if above.is_empty() { name.into_owned() } else { format!("{above}.{name}") };
            self.copy_field(&element, &path, out)?;
        }
        end(out, begin)
    }

    /// Writes what is kept of a field that lies at a path.
    pub fn copy_field(&self, field: &Element<'_>, path: &str, out: &mut Vec<u8>) -> Result<(), Torn> {
        match (self.takes(path), field.value) {
            (Takes::Nothing, _) => {}
            (Takes::Parts, Value::Record(inner)) => {
                name(out, field.kind, field.name);
                self.copy(inner, path, out)?;
            }
            (Takes::Parts, Value::List(items)) => {
                name(out, field.kind, field.name);
                self.items(items, path, out)?;
            }
            // A value in which nothing lies has no parts to leave out, and none to take.
            (Takes::Parts, _) if self.only.is_some() => {}
            (Takes::Parts | Takes::All, _) => {
                name(out, field.kind, field.name);
                out.extend_from_slice(field.bytes);
            }
        }
        Ok(())
    }

    /// Of a list, parts of the documents in it, however deep.
    fn items(&self, items: &[u8], path: &str, out: &mut Vec<u8>) -> Result<(), Torn> {
        let begin = begin(out);
        let (mut elements, mut count) = (Elements::of(items)?, 0u64);
        while let Some(item) = elements.whole()? {
            let is_plain = !matches!(item.value, Value::Record(_) | Value::List(_));
            if is_plain && self.only.is_some() {
                continue;
            }
            name(out, item.kind, count.to_string().as_bytes());
            count += 1;
            match item.value {
                Value::Record(inner) => self.copy(inner, path, out)?,
                Value::List(inner) => self.items(inner, path, out)?,
                _ => out.extend_from_slice(item.bytes),
            }
        }
        end(out, begin)
    }

    fn takes(&self, path: &str) -> Takes {
        if self.except.iter().any(|except| is_within(path, except)) {
            return Takes::Nothing;
        }
        let has_parts = |paths: &[String]| paths.iter().any(|of| is_within(of, path) && of != path);
        match &self.only {
            Some(only) if only.iter().any(|of| is_within(path, of)) => match has_parts(&self.except) {
                true => Takes::Parts,
                false => Takes::All,
            },
            Some(only) if has_parts(only) => Takes::Parts,
            Some(_) => Takes::Nothing,
            None if has_parts(&self.except) => Takes::Parts,
            None => Takes::All,
        }
    }
}

enum Takes {
    All,
    Parts,
    Nothing,
}

/// Whether a path is another one, or leads into it.
pub fn is_within(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Begins a document, whose length is not known yet.
pub fn begin(out: &mut Vec<u8>) -> usize {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    begin
}

/// Ends the document that was begun there.
pub fn end(out: &mut Vec<u8>, begin: usize) -> Result<(), Torn> {
    out.push(0);
    let length = u32::try_from(out.len() - begin).map_err(|_| Torn)?;
    out[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Writes what stands before a value.
pub fn name(out: &mut Vec<u8>, kind: u8, name: &[u8]) {
    out.push(kind);
    out.extend_from_slice(name);
    out.push(0);
}

/// A field that holds a document.
pub fn record(out: &mut Vec<u8>, of: &[u8], document: &[u8]) {
    name(out, kind::RECORD, of);
    out.extend_from_slice(document);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::documents::write::{self, Dialect};

    fn owned(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn fields_are_chosen_as_a_query_does() {
        let bson = |json: &str| write::document(json, Dialect::Extended).unwrap();
        let whole = bson(r#"{"_id":1,"a":{"b":1,"c":2},"l":[{"b":1,"c":2},3],"d":4}"#);
        let check = |only: Option<&[&str]>, except: &[&str], wanted: &str| {
            let chosen = Chosen { only: only.map(owned), except: owned(except) };
            assert_eq!(*chosen.of(&whole).unwrap(), *bson(wanted), "{only:?} {except:?}");
        };
        check(None, &[], r#"{"_id":1,"a":{"b":1,"c":2},"l":[{"b":1,"c":2},3],"d":4}"#);
        check(Some(&["_id", "a.b"]), &[], r#"{"_id":1,"a":{"b":1}}"#);
        check(Some(&["l.b", "d"]), &[], r#"{"l":[{"b":1}],"d":4}"#);
        check(Some(&["a"]), &["a.b"], r#"{"a":{"c":2}}"#);
        check(None, &["a.b", "l.c", "d"], r#"{"_id":1,"a":{"c":2},"l":[{"b":1},3]}"#);
        check(None, &["a"], r#"{"_id":1,"l":[{"b":1,"c":2},3],"d":4}"#);
    }

    #[test]
    fn columns_are_the_fields_at_the_top() {
        let only = owned(&["d", "a.b", "_id", "a.c.d", "e.f"]);
        let chosen = Chosen { only: Some(only), except: owned(&["a.b", "e"]) };
        assert_eq!(chosen.tops(), ["d", "_id", "a"]);
        assert!(Chosen { except: owned(&["a"]), ..Chosen::default() }.tops().is_empty());
    }
}
