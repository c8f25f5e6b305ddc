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
    /// The task has ended, and was waited for.
    is_over: bool,
}

impl Replies {
    pub fn of(mut cursor: RawBatchCursor) -> Self {
        let (sender, received) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            // None is asked for before the one before it has been taken: two are at hand at most.
            while let Ok(place) = sender.reserve().await {
                let Some(reply) = cursor.next().await else { return };
                let is_last = reply.is_err();
                place.send(reply);
                if is_last {
                    return;
                }
            }
        });
        Self { received, task, is_over: false }
    }

    /// The next reply, which may have no documents; `None` at the cursor's end.
    pub async fn next(&mut self, settings: &Settings) -> Result<Option<Reply>> {
        self.try_next().await?.map_err(|e| error::of(&e, settings))
    }

    /// The same; what the server refuses comes as the driver's error.
    pub async fn try_next(&mut self) -> Result<Result<Option<Reply>, DriverError>> {
        match self.received.recv().await {
            Some(reply) => Ok(reply.map(|reply| Some(Reply(reply)))),
            None if self.is_over => Ok(Ok(None)),
            None => {
                self.is_over = true;
                match (&mut self.task).await {
                    Err(ended) if ended.is_panic() => Err(Error::bug(format!("reading a cursor panicked: {ended}"))),
                    _ => Ok(Ok(None)),
                }
            }
        }
    }
}

impl Drop for Replies {
    fn drop(&mut self) {
        // With it goes the cursor, which the driver ends at the server.
        self.task.abort();
    }
}
