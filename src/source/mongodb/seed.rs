//! What the documents of a collection are like, by the first of them: so that files begin with the columns that most documents
//! need. Where a collection is cut into chunks, those that bounds are taken from tell too.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::Mutex;

use super::catalog;
use super::connect::Server;
use super::plan::{Plan, Scope};
use super::replies::Replies;
use crate::error::Result;
use crate::source::Stream;

/// How many documents are looked at.
const LOOKS: u32 = 300;

/// What is known of a stream's documents before they are read.
#[derive(Debug, Clone, Default)]
pub struct Seed {
    /// As [`Documents::state`](crate::source::documents::Documents::state) has it.
    pub known: Json,
    /// How many documents there are, where the server counts them without reading any.
    pub documents: Option<u64>,
    /// About how many bytes one has.
    pub document_bytes: Option<u64>,
}

/// By stream and collection ([`key`]), each looked for once in a run.
#[derive(Default)]
pub struct Seeds(Mutex<HashMap<String, Arc<Mutex<Option<Seed>>>>>);

pub fn key(stream: &Stream) -> String {
    format!("{} {}", stream.id.name(), stream.table())
}

impl Seeds {
    pub async fn of(&self, server: &Server, plan: &Plan, stream: &str) -> Result<Seed> {
        let cell = self.0.lock().await.entry(stream.to_owned()).or_default().clone();
        let mut seed = cell.lock().await;
        if let Some(seed) = seed.as_ref() {
            return Ok(seed.clone());
        }
        let found = look(server, plan).await?;
        Ok(seed.insert(found).clone())
    }

    /// Keeps what is known by more documents.
    pub async fn set(&self, stream: &str, seed: Seed) {
        let cell = self.0.lock().await.entry(stream.to_owned()).or_default().clone();
        *cell.lock().await = Some(seed);
    }
}

async fn look(server: &Server, plan: &Plan) -> Result<Seed> {
    let counted = catalog::count(server, &plan.collection).await?;
    let command = plan.find(&Scope { most: Some(LOOKS), ..Scope::default() }, LOOKS)?;
    let mut replies = Replies::of(server.cursor(command, LOOKS, None).await?);
    let (mut documents, mut document_bytes) = (plan.documents(&Json::Null)?, None);
    // What does not come with the first reply is too large to wait for.
    if let Some(reply) = replies.next(&server.settings).await? {
        let seen = reply.documents()?;
        let bytes: usize = seen.iter().map(|document| document.len()).sum();
        document_bytes = bytes.checked_div(seen.len()).and_then(|bytes| u64::try_from(bytes).ok());
        documents.observe(seen)?;
    }
    // Those to come may be larger than the first. Of some of their fields only the looks tell.
    if plan.chosen.is_all()
        && let Some(average) = catalog::document_bytes(server, &plan.collection).await?
    {
        document_bytes = Some(average);
    }
    Ok(Seed { known: documents.state()?, documents: counted, document_bytes })
}
