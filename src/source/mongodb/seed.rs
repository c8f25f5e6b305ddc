//! What the documents of a collection are like, by some of them: so that the first files have the columns that most documents
//! need, and chunks that are read side by side have the same ones.

use std::collections::HashMap;
use std::sync::Arc;

use mongodb::bson::{Document, doc};
use serde_json::Value as Json;
use tokio::sync::{Mutex, OnceCell};

use super::catalog::{self, Kind, Size};
use super::connect::Server;
use super::plan::{Plan, Scope};
use super::replies::Replies;
use crate::error::Result;

/// How many documents are looked at.
const LOOKS: u32 = 300;
/// A sample of a collection that is not larger is a sort of all of it.
const LARGE: u64 = 20 * LOOKS as u64;

/// What is known of a stream's documents before they are read.
#[derive(Debug, Clone, Default)]
pub struct Seed {
    /// As [`Documents::state`](crate::source::documents::Documents::state) has it.
    pub known: Json,
    pub size: Size,
}

/// By the stream's id, each looked for once in a run.
#[derive(Default)]
pub struct Seeds(Mutex<HashMap<String, Arc<OnceCell<Seed>>>>);

impl Seeds {
    pub async fn of(&self, server: &Server, plan: &Plan, stream: &str) -> Result<Seed> {
        let cell = self.0.lock().await.entry(stream.to_owned()).or_default().clone();
        cell.get_or_try_init(|| look(server, plan)).await.cloned()
    }
}

async fn look(server: &Server, plan: &Plan) -> Result<Seed> {
    let mut size = catalog::size(server, &plan.collection).await?;
    let is_large = size.documents.is_some_and(|documents| documents > LARGE);
    let is_sampled = is_large && !plan.is_filtered() && matches!(plan.collection.kind, Kind::Plain | Kind::Unordered);
    let command = match is_sampled {
        true => sample(plan),
        false => plan.find(&Scope { most: Some(LOOKS), ..Scope::default() }, LOOKS)?,
    };
    let mut replies = Replies::of(server.cursor(command, LOOKS, None).await?);
    let mut documents = plan.documents(&Json::Null)?;
    // What does not come with the first reply is too large to wait for.
    if let Some(reply) = replies.next(&server.settings).await? {
        let seen = reply.documents()?;
        let bytes: usize = seen.iter().map(|document| document.len()).sum();
        if size.document_bytes.is_none() && !seen.is_empty() {
            size.document_bytes = u64::try_from(bytes / seen.len()).ok();
        }
        documents.observe(seen)?;
    }
    Ok(Seed { known: documents.state()?, size })
}

fn sample(plan: &Plan) -> Document {
    let sample = doc! { "$sample": { "size": i64::from(LOOKS) } };
    let projection = plan.projection().map(|fields| doc! { "$project": fields.clone() });
    let pipeline: Vec<_> = [sample].into_iter().chain(projection).collect();
    doc! {
        "aggregate": &plan.collection.name,
        "pipeline": pipeline,
        "cursor": { "batchSize": i64::from(LOOKS) },
        "readConcern": { "level": "majority" },
    }
}
