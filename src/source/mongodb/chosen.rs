//! Which fields of documents are read: by the server where it can be told, and here where it cannot.

use std::borrow::Cow;

use mongodb::bson::{Document, RawDocument};

use super::id::ID;
use crate::error::{Error, Result};
use crate::source::Selection;
use crate::source::documents;
use crate::source::documents::bson::{Elements, Torn, Value};
use crate::source::documents::chosen::{self, is_within};

/// Which fields of documents are read.
#[derive(Debug, Clone, Default)]
pub struct Chosen(pub documents::Chosen);

impl Chosen {
    pub fn of_selection(selection: &Selection) -> Self {
        Self(documents::Chosen::of_selection(selection))
    }

    /// What the server is to send: what is chosen, and these paths besides; all where `None`. What it sends too much is left out by
    /// [`Chosen::of`].
    pub fn projection(&self, besides: &[String]) -> Option<Document> {
        let documents::Chosen { only, except } = &self.0;
        let Some(only) = only else {
            let is_needed =
                |path: &&String| !besides.iter().any(|needed| is_within(needed, path) || is_within(path, needed));
            let except: Document = except.iter().filter(is_needed).map(|path| (path.clone(), 0.into())).collect();
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
        self.0.only.is_some() && !self.0.except.is_empty()
    }

    pub fn is_all(&self) -> bool {
        self.0.is_all()
    }

    /// The document as a query with the same fields has it.
    pub fn of<'a>(&self, document: &'a [u8]) -> Result<Cow<'a, [u8]>> {
        self.0.of(document).map_err(|_| torn())
    }

    /// What an update set of them, by paths, and removed: a document.
    pub fn of_update(&self, update: &[u8]) -> Result<Vec<u8>> {
        self.copy_update(update).map_err(|_| torn())
    }

    fn copy_update(&self, update: &[u8]) -> Result<Vec<u8>, Torn> {
        let mut out = Vec::with_capacity(update.len());
        let begin = chosen::begin(&mut out);
        let mut elements = Elements::of(update)?;
        while let Some(element) = elements.whole()? {
            match element.value {
                Value::Record(fields) if element.name == b"updatedFields" => {
                    chosen::name(&mut out, element.kind, element.name);
                    self.copy_updated(fields, &mut out)?;
                }
                _ => {
                    chosen::name(&mut out, element.kind, element.name);
                    out.extend_from_slice(element.bytes);
                }
            }
        }
        chosen::end(&mut out, begin)?;
        Ok(out)
    }

    fn copy_updated(&self, fields: &[u8], out: &mut Vec<u8>) -> Result<(), Torn> {
        let begin = chosen::begin(out);
        let mut elements = Elements::of(fields)?;
        while let Some(field) = elements.whole()? {
            // `items.3.card` is of the path `items.card`.
            let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let name = String::from_utf8_lossy(field.name);
            let parts = name.split('.').enumerate();
            let parts: Vec<_> = parts.filter(|(at, part)| *at == 0 || !is_number(part)).map(|(_, part)| part).collect();
            self.0.copy_field(&field, &parts.join("."), out)?;
        }
        chosen::end(out, begin)
    }
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

    fn of(only: Option<Vec<String>>, except: &[&str]) -> Chosen {
        Chosen(documents::Chosen { only, except: owned(except) })
    }

    #[test]
    fn the_server_sends_what_is_chosen_and_what_is_needed_besides() {
        let only = |paths: &[&str], besides: &[&str]| of(Some(owned(paths)), &[]).projection(&owned(besides)).unwrap();
        assert_eq!(only(&["a", "_id"], &[]), doc! { "a": 1, "_id": 1 });
        assert_eq!(only(&["a.b"], &["a", "at"]), doc! { "a": 1, "at": 1, "_id": 0 });
        let except = of(None, &["a", "b"]);
        assert_eq!(except.projection(&[]).unwrap(), doc! { "a": 0, "b": 0 });
        assert_eq!(except.projection(&owned(&["a.at"])).unwrap(), doc! { "b": 0 });
        assert_eq!(Chosen::default().projection(&owned(&["a"])), None);
    }

    #[test]
    fn updates_within_lists_are_of_the_same_fields() {
        let update = rawdoc! { "updatedFields": { "items.3": { "card": 1, "b": 2 }, "items.0.card": 5, "items.0.b": 6, "deep": [[{ "card": 7, "b": 8 }]] } };
        let chosen = of(None, &["items.card", "deep.card"]);
        let wanted = doc! { "updatedFields": { "items.3": { "b": 2 }, "items.0.b": 6, "deep": [[{ "b": 8 }]] } };
        assert_eq!(document(&chosen.of_update(update.as_bytes()).unwrap()), wanted);
    }
}
