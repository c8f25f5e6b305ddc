//! What document a row of a change has.

use std::borrow::Cow;
use std::collections::BTreeSet;

use mongodb::bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use super::event::{Event, Kind};
use crate::error::{Error, Result};
use crate::record::change::Op;
use crate::source::documents::json::{self, Form};

/// What rows of updates have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// The document, as it is when the change is read.
    Lookup,
    /// The document as the change left it.
    AfterImage,
    /// What the update set.
    Nothing,
}

/// What an update set and removed, as canonical Extended JSON, where rows have no more of it.
pub const UPDATE: &str = "_update";

/// A row of a change.
pub struct Changed<'a> {
    pub op: Op,
    pub document: Cow<'a, [u8]>,
    /// The fields that the server sent, where those are not all.
    pub sent: Option<BTreeSet<String>>,
}

/// The row of a change of a document; `None` of other events.
pub fn of<'a>(event: &Event<'a>, full: Full, chosen: &Chosen) -> Result<Option<Changed<'a>>> {
    let op = match event.kind {
        Kind::Insert => Op::Create,
        Kind::Update | Kind::Replace => Op::Update,
        Kind::Delete => Op::Delete,
        _ => return Ok(None),
    };
    let key = event.key.ok_or_else(|| Error::data("an event of the change stream does not say whose it is"))?;
    let whole = |document: &'a [u8]| Ok::<_, Error>(Changed { op, document: chosen.of(document)?, sent: None });
    Ok(Some(match (event.kind, event.document) {
        (Kind::Delete, _) => whole(event.before.unwrap_or(key))?,
        (_, Some(document)) => whole(document)?,
        (Kind::Update, None) if full == Full::Nothing => updated(op, key, event.update, chosen)?,
        (Kind::Update, None) if full == Full::AfterImage => return Err(no_image(event)),
        // It has gone since, which follows.
        _ => Changed { op, document: chosen.of(key)?, sent: Some(names(key)?) },
    }))
}

fn no_image(event: &Event<'_>) -> Error {
    Error::data(format!("collection {}: what an update left is not kept", event.collection)).hint(format!(
        "db.runCommand({{ collMod: \"{}\", changeStreamPreAndPostImages: {{ enabled: true }} }}) has it kept from then on, as long as its \
         `expireAfterSeconds` says. For what is gone, `tidemark run --snapshot` reads the collection anew; `full_document = lookup` needs no images.",
        event.collection
    ))
}

/// The key, the fields that were set whole, and all of the update as text. What was set within a field is in that text alone.
fn updated<'a>(op: Op, key: &[u8], update: Option<&[u8]>, chosen: &Chosen) -> Result<Changed<'a>> {
    let mut document = RawDocumentBuf::new();
    chosen.copy(raw(key)?, "", &mut document)?;
    let mut sent = names(key)?;
    if let Some(update) = update {
        let update = &chosen.of_update(raw(update)?)?;
        let is_whole = |name: &str| !name.contains('.');
        if let Ok(fields) = update.get_document("updatedFields") {
            for field in fields {
                let (name, value) = field.map_err(|_| torn())?;
                if is_whole(name.as_str()) && sent.insert(name.as_str().to_owned()) {
                    document.append(name, value);
                }
            }
        }
        if let Ok(removed) = update.get_array("removedFields") {
            for name in removed {
                if let Ok(RawBsonRef::String(name)) = name
                    && is_whole(name)
                {
                    sent.insert(name.to_owned());
                }
            }
        }
        let mut text = Vec::new();
        json::document(&mut text, update.as_bytes(), Form::Canonical).map_err(|_| torn())?;
        document.append(mongodb::bson::cstr!("_update"), String::from_utf8(text).map_err(|_| torn())?);
    }
    sent.insert(UPDATE.to_owned());
    Ok(Changed { op, document: Cow::Owned(document.into_bytes()), sent: Some(sent) })
}

fn names(document: &[u8]) -> Result<BTreeSet<String>> {
    raw(document)?.iter().map(|field| field.map(|(name, _)| name.as_str().to_owned()).map_err(|_| torn())).collect()
}

fn raw(bytes: &[u8]) -> Result<&RawDocument> {
    RawDocument::from_bytes(bytes).map_err(|_| torn())
}

fn torn() -> Error {
    Error::data("an event of the change stream is not BSON")
}

/// Which fields of documents are read, where that is not all of them: the change stream has whole documents.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// Paths of these alone.
    pub only: Option<Vec<String>>,
    /// Paths without these.
    pub except: Vec<String>,
}

impl Chosen {
    fn is_all(&self) -> bool {
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
    fn of_update(&self, update: &RawDocument) -> Result<RawDocumentBuf> {
        let mut out = RawDocumentBuf::new();
        for field in update {
            let (name, value) = field.map_err(|_| torn())?;
            match (name.as_str(), value) {
                ("updatedFields", RawBsonRef::Document(fields)) => {
                    let mut kept = RawDocumentBuf::new();
                    self.copy(fields, "", &mut kept)?;
                    out.append(name, kept);
                }
                (_, value) => out.append(name, value),
            }
        }
        Ok(out)
    }

    fn copy(&self, document: &RawDocument, above: &str, out: &mut RawDocumentBuf) -> Result<()> {
        for field in document {
            let (name, value) = field.map_err(|_| torn())?;
            let path = if above.is_empty() { name.as_str().to_owned() } else { format!("{above}.{}", name.as_str()) };
            match (self.takes(&path), value) {
                (Takes::Nothing, _) => {}
                (Takes::Parts, RawBsonRef::Document(inner)) => {
                    let mut part = RawDocumentBuf::new();
                    self.copy(inner, &path, &mut part)?;
                    out.append(name, part);
                }
                (Takes::Parts, RawBsonRef::Array(items)) => {
                    let mut kept = mongodb::bson::RawArrayBuf::new();
                    for item in items {
                        match item.map_err(|_| torn())? {
                            RawBsonRef::Document(inner) => {
                                let mut part = RawDocumentBuf::new();
                                self.copy(inner, &path, &mut part)?;
                                kept.push(part);
                            }
                            // A projection of parts leaves other items only where it leaves things out.
                            other if self.only.is_none() => kept.push(other),
                            _ => {}
                        }
                    }
                    out.append(name, kept);
                }
                (Takes::Parts, _) if self.only.is_some() && !above.is_empty() => {}
                (Takes::Parts, value) if self.only.is_none() => out.append(name, value),
                (Takes::Parts, _) => {}
                (Takes::All, value) => out.append(name, value),
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use mongodb::bson::{Document, doc, rawdoc};

    use super::*;

    fn document(bytes: &[u8]) -> Document {
        Document::try_from(raw(bytes).unwrap()).unwrap()
    }

    #[test]
    fn an_update_without_its_document_has_what_was_set() {
        let key = rawdoc! { "_id": 7 };
        let update = rawdoc! {
            "updatedFields": { "a": 1, "n.x": 2 }, "removedFields": ["gone", "n.y"], "truncatedArrays": [],
        };
        let event = Event {
            kind: Kind::Update,
            key: Some(key.as_bytes()),
            update: Some(update.as_bytes()),
            ..Event::default()
        };
        let changed = of(&event, Full::Nothing, &Chosen::default()).unwrap().unwrap();
        let found = document(&changed.document);
        assert_eq!(found.get_i32("a"), Ok(1));
        assert!(found.get_str("_update").unwrap().contains(r#""n.x""#) && !found.contains_key("n.x"));
        let sent: Vec<_> = changed.sent.unwrap().into_iter().collect();
        assert_eq!(sent, ["_id", "_update", "a", "gone"]);
        assert!(of(&event, Full::AfterImage, &Chosen::default()).is_err());
        let gone = of(&event, Full::Lookup, &Chosen::default()).unwrap().unwrap();
        assert_eq!((gone.op, document(&gone.document)), (Op::Update, doc! { "_id": 7 }));
        assert!(gone.sent.unwrap().contains("_id"));
    }

    #[test]
    fn what_an_update_set_of_other_fields_is_nowhere() {
        let (key, update) = (rawdoc! { "_id": 7 }, rawdoc! { "updatedFields": { "a": 1, "secret": 2, "n.secret": 3 } });
        let event = Event {
            kind: Kind::Update,
            key: Some(key.as_bytes()),
            update: Some(update.as_bytes()),
            ..Event::default()
        };
        let chosen = Chosen { only: None, except: vec!["secret".to_owned(), "n.secret".to_owned()] };
        let changed = of(&event, Full::Nothing, &chosen).unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&changed.document).contains("secret"));
        assert_eq!(document(&changed.document).get_i32("a"), Ok(1));
    }

    #[test]
    fn fields_are_chosen_as_a_query_does() {
        let whole = rawdoc! { "_id": 1, "a": { "b": 1, "c": 2 }, "l": [{ "b": 1, "c": 2 }, 3], "d": 4 };
        let of = |only: Option<&[&str]>, except: &[&str]| {
            let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
            let chosen = Chosen { only: only.map(owned), except: owned(except) };
            document(&chosen.of(whole.as_bytes()).unwrap())
        };
        assert_eq!(of(Some(&["_id", "a.b"]), &[]), doc! { "_id": 1, "a": { "b": 1 } });
        assert_eq!(of(Some(&["l.b", "d"]), &[]), doc! { "l": [{ "b": 1 }], "d": 4 });
        assert_eq!(of(None, &["a.b", "l.c", "d"]), doc! { "_id": 1, "a": { "c": 2 }, "l": [{ "b": 1 }, 3] });
        assert_eq!(of(None, &["a"]).contains_key("a"), false);
    }
}
