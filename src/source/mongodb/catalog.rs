//! Which collections there are, and what each of them is.

use mongodb::bson::{Bson, Document, RawDocument, doc};

use super::connect::Server;
use super::error;
use crate::config::{Section, nearest};
use crate::error::{Error, Result};
use crate::source::pattern;

/// A collection or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    pub name: String,
    pub kind: Kind,
    /// Tells it from another one that takes its name; `None` of views, and where we may not know.
    pub uuid: Option<String>,
    /// It keeps what documents were before changes, and after.
    pub keeps_images: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With an index on `_id` in the plain order of values.
    Plain,
    /// The order of `_id` is none that ranges can be of: of texts by a language, or of documents that are stored by it.
    Unordered,
    View,
    TimeSeries,
}

impl Collection {
    fn of(listed: &RawDocument) -> Option<Self> {
        let name = listed.get_str("name").ok()?.to_owned();
        let options = listed.get_document("options").ok();
        let has = |key: &str| options.is_some_and(|options| options.get(key).is_ok_and(|value| value.is_some()));
        let keeps = options.and_then(|options| options.get_document("changeStreamPreAndPostImages").ok());
        let info = listed.get_document("info").ok();
        let uuid = info.and_then(|info| info.get_binary("uuid").ok());
        let collation = options.and_then(|options| options.get_document("collation").ok());
        let is_of_language = collation.is_some_and(|of| of.get_str("locale").is_ok_and(|locale| locale != "simple"));
        let kind = match listed.get_str("type") {
            Ok("view") => Kind::View,
            Ok("timeseries") => Kind::TimeSeries,
            _ if has("timeseries") => Kind::TimeSeries,
            _ if has("clusteredIndex") || is_of_language => Kind::Unordered,
            _ => Kind::Plain,
        };
        Some(Self {
            name,
            kind,
            uuid: uuid.filter(|_| kind != Kind::View).map(|uuid| hex::encode(uuid.bytes)),
            keeps_images: keeps.is_some_and(|keeps| keeps.get_bool("enabled").unwrap_or(false)),
        })
    }

    /// Whether change streams tell of it.
    pub fn has_changes(&self) -> bool {
        !matches!(self.kind, Kind::View | Kind::TimeSeries)
    }

    /// Whether it is one of the server's own.
    fn is_internal(&self) -> bool {
        self.name.starts_with("system.")
    }
}

/// All of them, by name, but for the server's own.
pub async fn all(server: &Server) -> Result<Vec<Collection>> {
    list(server, Document::new()).await
}

/// One; `None` where it is not there.
pub async fn find(server: &Server, name: &str) -> Result<Option<Collection>> {
    Ok(list(server, doc! { "name": name }).await?.into_iter().next())
}

async fn list(server: &Server, filter: Document) -> Result<Vec<Collection>> {
    let command = doc! { "listCollections": 1, "filter": filter };
    let listed = match server.try_cursor(command.clone(), 0, None).await? {
        Err(e) if error::code(&e) == Some(error::UNAUTHORIZED) => {
            // Those that we may read, and no more of them than their names.
            let mut command = command;
            command.extend(doc! { "nameOnly": true, "authorizedCollections": true });
            server.cursor(command, 0, None).await?
        }
        listed => listed.map_err(|e| error::of(&e, &server.settings))?,
    };
    let mut replies = super::replies::Replies::of(listed);
    let mut found = Vec::new();
    while let Some(reply) = replies.next(&server.settings).await? {
        for document in reply.documents()? {
            let document = RawDocument::from_bytes(document).map_err(|e| Error::data(e.to_string()))?;
            found.extend(Collection::of(document).filter(|collection| !collection.is_internal()));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The collection that a section names.
pub fn named(section: &Section, key: &str, name: &str, all: &[Collection], database: &str) -> Result<Collection> {
    if let Some(collection) = all.iter().find(|collection| collection.name == name) {
        return Ok(collection.clone());
    }
    let meant = nearest(name, all.iter().map(|collection| collection.name.as_str()));
    let meant = meant.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
    let error = section.error(key, format!("names `{name}`, which is no collection of database {database}{meant}"));
    Err(match all.is_empty() {
        true => error
            .hint("We see no collection there at all: check `database`, and that the user may read it (role `read`)."),
        false => error,
    })
}

/// Those that a pattern matches.
pub fn matching(section: &Section, text: &str, all: &[Collection], database: &str) -> Result<Vec<Collection>> {
    let found: Vec<_> = all.iter().filter(|collection| pattern::matches(text, &collection.name)).cloned().collect();
    match found.is_empty() {
        true => Err(section
            .error("tables", format!("`{text}` matches no collection of database {database}"))
            .hint("Views and time series have no changes, and are passed over by patterns with `mode = cdc`.")),
        false => Ok(found),
    }
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The paths of its fields, in its order.
    pub fields: Vec<String>,
    /// No two documents have the same, also where they lack a field.
    pub is_unique: bool,
}

/// The indexes of all of a collection; none of views, and where we may not know.
pub async fn indexes(server: &Server, collection: &Collection) -> Result<Vec<Index>> {
    let Ok(listed) = server.try_cursor(doc! { "listIndexes": &collection.name }, 0, None).await? else {
        return Ok(Vec::new());
    };
    let mut replies = super::replies::Replies::of(listed);
    let mut found = Vec::new();
    while let Some(reply) = replies.next(&server.settings).await? {
        for index in reply.documents()? {
            let Ok(index) = RawDocument::from_bytes(index) else { continue };
            let Ok(key) = index.get_document("key") else { continue };
            let has = |option: &str| index.get_bool(option).unwrap_or(false);
            // One of a part of the documents is none of all of them.
            if has("sparse") || index.get("partialFilterExpression").is_ok_and(|part| part.is_some()) {
                continue;
            }
            let fields = key.iter().filter_map(|field| Some(field.ok()?.0.as_str().to_owned())).collect();
            found.push(Index { fields, is_unique: has("unique") });
        }
    }
    Ok(found)
}

/// How many documents there are, as the server counts them without reading any. Asked once in a run.
pub async fn count(server: &Server, collection: &Collection) -> Result<Option<u64>> {
    if collection.kind == Kind::View {
        return Ok(None);
    }
    let cell = server.counts.lock().await.entry(collection.name.clone()).or_default().clone();
    let ask = || async {
        let counted = server.try_run(doc! { "count": &collection.name }).await?;
        Ok(counted.ok().and_then(|counted| counted.get("n").and_then(number)))
    };
    cell.get_or_try_init(ask).await.copied()
}

/// Milliseconds within which sizes are told, or not: MongoDB has them at hand, others count, and a run can do without.
const SIZES_WITHIN: i32 = 200;

/// How many bytes a document has, on average over the whole collection, where the server tells within [`SIZES_WITHIN`].
pub async fn document_bytes(server: &Server, collection: &Collection) -> Result<Option<u64>> {
    // Of a time series it tells of buckets, which are many documents each.
    if matches!(collection.kind, Kind::View | Kind::TimeSeries) {
        return Ok(None);
    }
    let told = server.try_run(doc! { "collStats": &collection.name, "maxTimeMS": SIZES_WITHIN }).await?;
    Ok(told.ok().and_then(|told| told.get("avgObjSize").and_then(number)).filter(|bytes| *bytes > 0))
}

fn number(value: &Bson) -> Option<u64> {
    match value {
        Bson::Int32(number) => u64::try_from(*number).ok(),
        Bson::Int64(number) => u64::try_from(*number).ok(),
        Bson::Double(number) if *number >= 0.0 => Some(*number as u64),
        _ => None,
    }
}
