//! The replies of a cursor, of which the next one is asked for while one is read.

use futures_util::StreamExt;
use mongodb::bson::{RawBsonRef, RawDocument};
use mongodb::error::Error as DriverError;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::config::Settings;
use super::error;
use crate::error::{Error, Result};

/// A reply: documents as the server sent them.
pub struct Reply(RawBatch);

impl Reply {
    /// Its documents, borrowed.
    pub fn documents(&self) -> Result<Vec<&[u8]>> {
        let slices = self.0.doc_slices().map_err(|e| Error::data(error::words(&e)))?;
        let bytes = |value| match value {
            Ok(RawBsonRef::Document(document)) => Ok(RawDocument::as_bytes(document)),
            _ => Err(Error::data("a reply of the server is no list of documents")),
        };
        slices.into_iter().map(bytes).collect()
    }

    /// What the server says besides.
    pub fn whole(&self) -> &RawDocument {
        self.0.as_raw_document()
    }
}

/// A cursor that is read to its end, or left.
pub struct Replies {
    received: mpsc::Receiver<Result<RawBatch, DriverError>>,
    task: JoinHandle<()>,
}

impl Replies {
    pub fn of(mut cursor: RawBatchCursor) -> Self {
        // One reply waits in the channel, and one in the task's hands at most.
        let (sender, received) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while let Some(reply) = cursor.next().await {
                let is_last = reply.is_err();
                if sender.send(reply).await.is_err() || is_last {
                    return;
                }
            }
        });
        Self { received, task }
    }

    /// The next reply, which may have no documents; `None` at the cursor's end.
    pub async fn next(&mut self, settings: &Settings) -> Result<Option<Reply>> {
        match self.received.recv().await {
            Some(reply) => reply.map(|reply| Some(Reply(reply))).map_err(|e| error::of(&e, settings)),
            None => Ok(None),
        }
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        // With it goes the cursor, which the driver ends at the server.
        self.task.abort();
    }
}
