//! One data file on its way: a task of its own that encodes batches and uploads what is finished, beside the reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::RecordBatch;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::store::{Store, Upload};
use crate::destination::memory::Share;
use crate::error::{Context, Error, Result};
use crate::format::Encoder;
use crate::record::PartInfo;

/// Batches that may wait for the encoder. One is enough to keep it busy.
const WAITING: usize = 1;
/// How long a part that is given up may take to end its upload in order. On a slow line a piece takes minutes.
const GIVING_UP: Duration = Duration::from_secs(2);

/// A part that is being written. Dropping it gives it up: nothing shows.
pub struct OpenPart {
    work: mpsc::Sender<Work>,
    task: JoinHandle<Result<PartInfo>>,
    size: Arc<AtomicU64>,
}

/// A part whose last batch has been handed in.
pub struct ClosingPart(JoinHandle<Result<PartInfo>>);

enum Work {
    Rows(RecordBatch),
    Finish,
}

/// What a part is before it has rows.
pub struct NewPart {
    pub path: String,
    pub table: String,
    pub schema: String,
}

impl OpenPart {
    /// Starts the task. Its failure is told to `failures` at once, and again by whoever waits for the part.
    pub fn begin(
        part: NewPart,
        encoder: Box<dyn Encoder>,
        store: Arc<dyn Store>,
        share: Share,
        failures: mpsc::UnboundedSender<Error>,
    ) -> Self {
        let (work, incoming) = mpsc::channel(WAITING);
        let size = Arc::new(AtomicU64::new(0));
        let progress = size.clone();
        let task = tokio::spawn(async move {
            let _share = share;
            let path = part.path.clone();
            let result = write(part, encoder, store, incoming, progress).await.at(|| format!("part {path}"));
            if let Err(error) = &result {
                // The writer may be gone already; then nobody waits.
                let _ = failures.send(error.clone());
            }
            result
        });
        Self { work, task, size }
    }

    /// Hands a batch in; waits while the encoder is busy. An error is the part's own, and final.
    pub async fn rows(&mut self, batch: RecordBatch) -> Result<()> {
        match self.work.send(Work::Rows(batch)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(ended(&mut self.task).await),
        }
    }

    /// Bytes of the file that are encoded so far.
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    /// No more rows come.
    pub async fn close(self) -> Result<ClosingPart> {
        let Self { work, mut task, .. } = self;
        match work.send(Work::Finish).await {
            Ok(()) => Ok(ClosingPart(task)),
            Err(_) => Err(ended(&mut task).await),
        }
    }

    /// Gives it up; waits a moment until its upload is.
    pub async fn abort(self) {
        drop(self.work);
        give_up(self.task).await;
    }
}

impl ClosingPart {
    /// Gives it up; waits a moment, in which it may still be finished.
    pub async fn abort(self) {
        give_up(self.0).await;
    }

    /// Waits until the file is durable.
    pub async fn finished(self) -> Result<PartInfo> {
        self.0.await.unwrap_or_else(|e| Err(Error::bug(format!("the encoding task ended: {e}"))))
    }
}

/// Ends a task, and waits until it has ended. What it leaves at the store, the next opening sweeps.
async fn give_up(mut task: JoinHandle<Result<PartInfo>>) {
    // One that has ended may have been asked already. Whatever it says, it is being given up.
    if !task.is_finished() && tokio::time::timeout(GIVING_UP, &mut task).await.is_err() {
        task.abort();
        let _ = task.await;
    }
}

/// Why a task that takes no more rows has ended.
async fn ended(task: &mut JoinHandle<Result<PartInfo>>) -> Error {
    match task.await {
        Ok(Err(error)) => error,
        Ok(Ok(_)) => Error::bug("a part was closed while it was still written to"),
        Err(panic) => Error::bug(format!("the encoding task ended: {panic}")),
    }
}

async fn write(
    part: NewPart,
    mut encoder: Box<dyn Encoder>,
    store: Arc<dyn Store>,
    mut incoming: mpsc::Receiver<Work>,
    size: Arc<AtomicU64>,
) -> Result<PartInfo> {
    let mut file = File { upload: store.upload(&part.path).await?, crc: crc32fast::Hasher::new(), bytes: 0 };
    let mut rows = 0;
    let result = loop {
        match incoming.recv().await {
            Some(Work::Rows(batch)) => {
                rows += batch.num_rows() as u64;
                if let Err(error) = file.encode(&mut *encoder, &batch).await {
                    break Err(error);
                }
                size.store(file.bytes + encoder.buffered() as u64, Ordering::Relaxed);
            }
            Some(Work::Finish) => break file.write_end(encoder).await,
            // The writer gave the part up.
            None => break Err(Error::unavailable("given up before it was finished")),
        }
    };
    match result {
        Ok(()) => {
            let (bytes, checksum) = (file.bytes, format!("crc32:{:08x}", file.crc.finalize()));
            file.upload.finish().await?;
            Ok(PartInfo { path: part.path, table: part.table, schema: part.schema, rows, bytes, checksum })
        }
        Err(error) => {
            file.upload.abort().await;
            Err(error)
        }
    }
}

struct File {
    upload: Box<dyn Upload>,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl File {
    /// On this very thread, although it burns CPU for milliseconds: a thread of its own costs more in waking it, and in
    /// what a server on the same machine loses to it, than doing it beside the reading gains (docs/benchmarks.md).
    async fn encode(&mut self, encoder: &mut dyn Encoder, batch: &RecordBatch) -> Result<()> {
        encoder.encode(batch)?;
        match encoder.take() {
            Some(piece) => self.write(piece).await,
            None => Ok(()),
        }
    }

    async fn write(&mut self, piece: Bytes) -> Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        self.crc.update(&piece);
        self.bytes += piece.len() as u64;
        self.upload.write(piece).await
    }

    async fn write_end(&mut self, encoder: Box<dyn Encoder>) -> Result<()> {
        self.write(encoder.finish()?).await
    }
}
