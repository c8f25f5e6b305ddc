//! How a stream is read: which documents of what collection, which of their fields, and what table they become.

use mongodb::bson::{Document, RawDocumentBuf, doc};
use serde_json::Value as Json;

use super::catalog::{self, Collection, Kind};
use super::chosen::Chosen;
use super::config;
use super::connect::Server;
use super::id::{self, ID};
use super::shape;
use crate::error::{Error, Result};
use crate::source::documents::{self, Documents, Schema};
use crate::source::{Selection, Stream};

pub struct Plan {
    pub collection: Collection,
    /// The table's name at the destination.
    pub output: String,
    pub settings: documents::Settings,
    filter: Option<Document>,
    /// Which fields are read.
    pub chosen: Chosen,
}

/// Which documents a command reads besides the stream's own condition, and how.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    pub condition: Option<Document>,
    /// From this `_id` on, as a text,
    pub from: Option<String>,
    /// and up to before this one.
    pub until: Option<String>,
    /// In the order of `_id`, as its index has it.
    pub by_id: bool,
    pub sort: Option<Document>,
    pub most: Option<u32>,
    /// Fields that are needed besides those that are chosen.
    pub besides: Vec<String>,
    /// What is read sees everything up to this time of the cluster.
    pub after: Option<mongodb::bson::Timestamp>,
}

impl Plan {
    /// Looks the stream's collection up.
    pub async fn make(server: &Server, stream: &Stream) -> Result<Self> {
        let selection = &stream.selection;
        let name = stream.table();
        let database = &server.settings.database;
        let collection = match catalog::find(server, name).await? {
            Some(collection) => collection,
            None => {
                let all = catalog::all(server).await?;
                catalog::named(&selection.section, selection.table_key(), name, &all, database)?
            }
        };
        Self::of(collection, selection)
    }

    pub fn of(collection: Collection, selection: &Selection) -> Result<Self> {
        let section = &selection.section;
        let filter = config::filter(section, "where")?.map(|bytes| document(&bytes)).transpose()?;
        let settings = shape::settings(selection)?;
        Ok(Self {
            output: selection.output_name(&collection.name),
            chosen: Chosen::of_selection(selection),
            settings,
            filter,
            collection,
        })
    }

    /// The table as it is with nothing known of its documents but this.
    pub fn documents(&self, known: &Json) -> Result<Documents> {
        Documents::of(&self.output, self.settings.clone(), known)
    }

    /// Whether it is read by ranges of `_id`.
    pub fn has_ranges(&self) -> bool {
        self.collection.kind == Kind::Plain
    }

    /// The command that reads a scope, `batch` documents with its first reply.
    pub fn find(&self, scope: &Scope, batch: u32) -> Result<Document> {
        let mut concern = doc! { "level": "majority" };
        if let Some(after) = scope.after {
            concern.insert("afterClusterTime", after);
        }
        let mut command = doc! {
            "find": &self.collection.name,
            "filter": self.condition(scope.condition.as_ref()),
            "batchSize": i64::from(batch),
            "readConcern": concern,
        };
        if let Some(projection) = self.chosen.projection(&scope.besides) {
            command.insert("projection", projection);
        }
        if scope.from.is_some() || scope.until.is_some() || scope.by_id {
            // Bounds of an index go across types, which comparisons do not. In the order of keys, a document that goes and comes again
            // meanwhile is not read twice.
            command.insert("hint", doc! { ID: 1 });
        }
        if let Some(from) = &scope.from {
            command.insert("min", id::document(from)?);
        }
        if let Some(until) = &scope.until {
            command.insert("max", id::document(until)?);
        }
        if let Some(sort) = &scope.sort {
            command.insert("sort", sort.clone());
        }
        if let Some(most) = scope.most {
            command.insert("limit", i64::from(most));
        }
        Ok(command)
    }

    /// Has texts compared byte by byte, as marks are, whatever the collection's own way.
    pub fn compare_plainly(&self, command: &mut Document) {
        if self.collection.kind == Kind::Unordered {
            command.insert("collation", doc! { "locale": "simple" });
        }
    }

    fn condition(&self, more: Option<&Document>) -> Document {
        match (&self.filter, more) {
            (Some(own), Some(more)) if !more.is_empty() => doc! { "$and": [own.clone(), more.clone()] },
            (Some(own), _) => own.clone(),
            (None, Some(more)) => more.clone(),
            (None, None) => Document::new(),
        }
    }

    pub fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }

    /// The stream's own condition.
    pub fn filter(&self) -> Option<&Document> {
        self.filter.as_ref()
    }

    /// What a user should know of how this stream arrives.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match self.collection.kind {
            Kind::View => notes.push("It is a view: it is read at once, and a load of it that was killed begins again.".to_owned()),
            Kind::TimeSeries => {
                notes.push("It is a time series: it is read at once, and a load of it that was killed begins again.".to_owned());
            }
            Kind::Unordered => notes.push(
                "Its documents are kept in an order that is not the plain one of `_id` (a collation, or a clustered collection): it is read at once, and a \
                 load of it that was killed begins again."
                    .to_owned(),
            ),
            Kind::Plain => {}
        }
        if matches!(self.settings.schema, Schema::Infer | Schema::Beside(_)) {
            notes.push(
                "Its columns are found in the documents: these are those of some of them, and more may come."
                    .to_owned(),
            );
        }
        if self.settings.key.is_none() {
            notes.push("`_id` is not among the fields, so that nothing tells its rows apart.".to_owned());
        }
        notes
    }
}

fn document(bytes: &[u8]) -> Result<Document> {
    let raw = RawDocumentBuf::from_bytes(bytes.to_vec()).map_err(|e| Error::bug(e.to_string()))?;
    Document::try_from(raw.as_ref()).map_err(|e| Error::bug(e.to_string()))
}
