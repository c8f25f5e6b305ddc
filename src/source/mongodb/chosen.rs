//! Which fields of documents are read: by the server where it can be told, and here where it cannot.

use std::borrow::Cow;

use mongodb::bson::raw::CStr;
use mongodb::bson::{Document, RawArray, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};

use super::id::ID;
use crate::error::{Error, Result};
use crate::source::Selection;

/// Which fields of documents are read. One that lies within another is told by both paths.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// Paths of these alone.
    pub only: Option<Vec<String>>,
    /// Paths without these.
    pub except: Vec<String>,
}

impl Chosen {
    pub fn of_selection(selection: &Selection) -> Self {
        let except = selection.exclude_columns.clone();
        Self { only: selection.columns.clone(), except }
    }

    /// What the server is to send: what is chosen, and these paths besides; all where `None`. What it sends too much is left out by
    /// [`Chosen::of`].
    pub fn projection(&self, besides: &[String]) -> Option<Document> {
        let Some(only) = &self.only else {
            let is_needed =
                |path: &&String| !besides.iter().any(|needed| is_within(needed, path) || is_within(path, needed));
            let except: Document = self.except.iter().filter(is_needed).map(|path| (path.clone(), 0.into())).collect();
            return (!except.is_empty()).then_some(except);
        };
        // Of a path and another one within it, the server takes one.
        let all: Vec<&String> = only.iter().chain(besides).collect();
        let is_outermost = |path: &&&String| !all.iter().any(|other| *other != **path && is_within(path, other));
        let mut projection: Document =
            all.iter().filter(is_outermost).map(|path| ((*path).clone(), 1.into())).collect();
        if !projection.contains_key(ID) {
            projection.insert(ID, 0);
        }
        Some(projection)
    }

    /// Whether a projection cannot say it: some of what is named is left out again.
    pub fn is_beyond_the_server(&self) -> bool {
        self.only.is_some() && !self.except.is_empty()
    }

    pub fn is_all(&self) -> bool {
        self.only.is_none() && self.except.is_empty()
    }

    /// The document as a query with the same fields has it.
    pub fn of<'a>(&self, document: &'a [u8]) -> Result<Cow<'a, [u8]>> {
        if self.is_all() {
            return Ok(Cow::Borrowed(document));
        }
        let mut out = RawDocumentBuf::new();
        self.copy(raw(document)?, "", &mut out)?;
        Ok(Cow::Owned(out.into_bytes()))
    }

    /// What an update set of them, by paths, and removed.
    pub fn of_update(&self, update: &RawDocument) -> Result<RawDocumentBuf> {
        let mut out = RawDocumentBuf::new();
        for field in update {
            let (name, value) = field.map_err(|_| torn())?;
            match (name.as_str(), value) {
                ("updatedFields", RawBsonRef::Document(fields)) => {
                    let mut kept = RawDocumentBuf::new();
                    for field in fields {
                        let (name, value) = field.map_err(|_| torn())?;
                        // `items.3.card` is of the path `items.card`.
                        let is_number =
                            |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
                        let parts = name.as_str().split('.').enumerate();
                        let parts: Vec<_> =
                            parts.filter(|(at, part)| *at == 0 || !is_number(part)).map(|(_, part)| part).collect();
                        self.copy_field((name, value), &parts.join("."), &mut kept)?;
                    }
                    out.append(name, kept);
                }
                (_, value) => out.append(name, value),
            }
        }
        Ok(out)
    }

    pub fn copy(&self, document: &RawDocument, above: &str, out: &mut RawDocumentBuf) -> Result<()> {
        for field in document {
            let (name, value) = field.map_err(|_| torn())?;
            let path = if above.is_empty() { name.as_str().to_owned() } else { format!("{above}.{}", name.as_str()) };
            self.copy_field((name, value), &path, out)?;
        }
        Ok(())
    }

    fn copy_field(&self, (name, value): (&CStr, RawBsonRef<'_>), path: &str, out: &mut RawDocumentBuf) -> Result<()> {
        match (self.takes(path), value) {
            (Takes::Nothing, _) => {}
            (Takes::Parts, RawBsonRef::Document(inner)) => {
                let mut part = RawDocumentBuf::new();
                self.copy(inner, path, &mut part)?;
                out.append(name, part);
            }
            (Takes::Parts, RawBsonRef::Array(items)) => out.append(name, self.items(items, path)?),
            // A value in which nothing lies has no parts to leave out, and none to take.
            (Takes::Parts, value) if self.only.is_none() => out.append(name, value),
            (Takes::Parts, _) => {}
            (Takes::All, value) => out.append(name, value),
        }
        Ok(())
    }

    /// Of a list, parts of the documents in it, however deep.
    fn items(&self, items: &RawArray, path: &str) -> Result<RawArrayBuf> {
        let mut kept = RawArrayBuf::new();
        for item in items {
            match item.map_err(|_| torn())? {
                RawBsonRef::Document(inner) => {
                    let mut part = RawDocumentBuf::new();
                    self.copy(inner, path, &mut part)?;
                    kept.push(part);
                }
                RawBsonRef::Array(inner) => kept.push(self.items(inner, path)?),
                other if self.only.is_none() => kept.push(other),
                _ => {}
            }
        }
        Ok(kept)
    }

    fn takes(&self, path: &str) -> Takes {
        let is_within =
            |path: &str, of: &str| path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
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
fn is_within(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

pub fn raw(bytes: &[u8]) -> Result<&RawDocument> {
    RawDocument::from_bytes(bytes).map_err(|_| torn())
}

pub fn torn() -> Error {
    Error::data("a document is not BSON")
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{doc, rawdoc};

    use super::*;

    fn document(bytes: &[u8]) -> Document {
        Document::try_from(raw(bytes).unwrap()).unwrap()
    }

    fn owned(paths: &[&str]) -> Vec<String> {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn the_server_sends_what_is_chosen_and_what_is_needed_besides() {
        let only = |paths: &[&str], besides: &[&str]| {
            Chosen { only: Some(owned(paths)), except: Vec::new() }.projection(&owned(besides)).unwrap()
        };
        assert_eq!(only(&["a", "_id"], &[]), doc! { "a": 1, "_id": 1 });
        assert_eq!(only(&["a.b"], &["a", "at"]), doc! { "a": 1, "at": 1, "_id": 0 });
        let except = Chosen { only: None, except: owned(&["a", "b"]) };
        assert_eq!(except.projection(&[]).unwrap(), doc! { "a": 0, "b": 0 });
        assert_eq!(except.projection(&owned(&["a.at"])).unwrap(), doc! { "b": 0 });
        assert_eq!(Chosen::default().projection(&owned(&["a"])), None);
    }

    #[test]
    fn fields_are_chosen_as_a_query_does() {
        let whole = rawdoc! { "_id": 1, "a": { "b": 1, "c": 2 }, "l": [{ "b": 1, "c": 2 }, 3], "d": 4 };
        let of = |only: Option<&[&str]>, except: &[&str]| {
            let chosen = Chosen { only: only.map(owned), except: owned(except) };
            document(&chosen.of(whole.as_bytes()).unwrap())
        };
        assert_eq!(of(Some(&["_id", "a.b"]), &[]), doc! { "_id": 1, "a": { "b": 1 } });
        assert_eq!(of(Some(&["l.b", "d"]), &[]), doc! { "l": [{ "b": 1 }], "d": 4 });
        assert_eq!(of(None, &["a.b", "l.c", "d"]), doc! { "_id": 1, "a": { "c": 2 }, "l": [{ "b": 1 }, 3] });
        assert!(!of(None, &["a"]).contains_key("a"));
    }

    #[test]
    fn updates_within_lists_are_of_the_same_fields() {
        let update = rawdoc! { "updatedFields": { "items.3": { "card": 1, "b": 2 }, "items.0.card": 5, "items.0.b": 6, "deep": [[{ "card": 7, "b": 8 }]] } };
        let chosen = Chosen { only: None, except: owned(&["items.card", "deep.card"]) };
        let wanted = doc! { "updatedFields": { "items.3": { "b": 2 }, "items.0.b": 6, "deep": [[{ "b": 8 }]] } };
        assert_eq!(document(chosen.of_update(&update).unwrap().as_bytes()), wanted);
    }
}
