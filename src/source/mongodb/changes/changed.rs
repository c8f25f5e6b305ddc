//! What document a row of a change has.

use std::borrow::Cow;
use std::collections::BTreeSet;

use mongodb::bson::{RawBsonRef, RawDocumentBuf};

use super::event::{Event, Kind};
use crate::error::{Error, Result};
use crate::record::change::Op;
use crate::source::documents::json::{self, Form};
use crate::source::mongodb::chosen::{Chosen, raw, torn};

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

/// The row of a change of a document; `None` of other events. `has_before` where deletions are to have what was there.
pub fn of<'a>(event: &Event<'a>, (full, has_before): (Full, bool), chosen: &Chosen) -> Result<Option<Changed<'a>>> {
    let op = match event.kind {
        Kind::Insert => Op::Create,
        Kind::Update | Kind::Replace => Op::Update,
        Kind::Delete => Op::Delete,
        _ => return Ok(None),
    };
    let key = event.key.ok_or_else(|| Error::data("an event of the change stream does not say whose it is"))?;
    let own = own_key(key)?;
    let keyed = |sent| Ok::<_, Error>(Changed { op, document: Cow::Owned(chosen.of(&own)?.into_owned()), sent });
    let whole = |document: &'a [u8]| Ok::<_, Error>(Changed { op, document: chosen.of(document)?, sent: None });
    Ok(Some(match (event.kind, event.document) {
        (Kind::Delete, _) => match event.before {
            Some(before) => whole(before)?,
            None if has_before => return Err(no_image(event)),
            None => keyed(None)?,
        },
        (_, Some(document)) => whole(document)?,
        (Kind::Update, None) if full == Full::Nothing => updated(op, &own, event.update, chosen)?,
        (Kind::Update, None) if full == Full::AfterImage => return Err(no_image(event)),
        // It has gone since, which follows.
        _ => keyed(Some(names(&own)?))?,
    }))
}

/// The key that tells documents apart: of a sharded collection its shard key stands beside, by paths where it lies within
/// fields, which are no columns.
fn own_key(key: &[u8]) -> Result<Cow<'_, [u8]>> {
    let document = raw(key)?;
    let has_paths = document.iter().any(|field| field.is_ok_and(|(name, _)| name.as_str().contains('.')));
    if !has_paths {
        return Ok(Cow::Borrowed(key));
    }
    let mut own = RawDocumentBuf::new();
    for field in document {
        let (name, value) = field.map_err(|_| torn())?;
        if !name.as_str().contains('.') {
            own.append(name, value);
        }
    }
    Ok(Cow::Owned(own.into_bytes()))
}

fn no_image(event: &Event<'_>) -> Error {
    Error::data(format!("collection {}: what a document was is not kept, or no longer", event.collection)).hint(format!(
        "db.runCommand({{ collMod: \"{}\", changeStreamPreAndPostImages: {{ enabled: true }} }}) has it kept from then on, as long as \
         `expireAfterSeconds` says. What is gone is read again with `tidemark run --full-refresh`; `full_document = lookup` and `before_images = no` \
         need no images.",
        event.collection
    ))
}

/// The key, the fields that were set whole, and all of the update as text. What was set within a field is in that text alone.
fn updated<'a>(op: Op, key: &[u8], update: Option<&[u8]>, chosen: &Chosen) -> Result<Changed<'a>> {
    let mut document = RawDocumentBuf::from_bytes(chosen.of(key)?.into_owned()).map_err(|_| torn())?;
    let mut sent = names(key)?;
    if let Some(update) = update {
        let update = chosen.of_update(update)?;
        let update = raw(&update)?;
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

/// The names of a document's fields.
pub fn names(document: &[u8]) -> Result<BTreeSet<String>> {
    raw(document)?.iter().map(|field| field.map(|(name, _)| name.as_str().to_owned()).map_err(|_| torn())).collect()
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
        let changed = of(&event, (Full::Nothing, false), &Chosen::default()).unwrap().unwrap();
        let found = document(&changed.document);
        assert_eq!(found.get_i32("a").unwrap(), 1);
        assert!(found.get_str("_update").unwrap().contains(r#""n.x""#) && !found.contains_key("n.x"));
        let sent: Vec<_> = changed.sent.unwrap().into_iter().collect();
        assert_eq!(sent, ["_id", "_update", "a", "gone"]);
        assert!(of(&event, (Full::AfterImage, false), &Chosen::default()).is_err());
        let gone = of(&event, (Full::Lookup, false), &Chosen::default()).unwrap().unwrap();
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
        let except = vec!["secret".to_owned(), "n.secret".to_owned()];
        let chosen = Chosen(crate::source::documents::Chosen { only: None, except });
        let changed = of(&event, (Full::Nothing, false), &chosen).unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&changed.document).contains("secret"));
        assert_eq!(document(&changed.document).get_i32("a").unwrap(), 1);
    }
}
