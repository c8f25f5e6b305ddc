use std::fs::{self, File};
use std::io::ErrorKind;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::error::classify;
use super::{Temporary, folders};
use crate::destination::files::store::Upload;
use crate::destination::files::stores::swept;
use crate::error::{Error, Result};

/// Written at once; tokio holds at most twice as much again.
const BUFFER: usize = 1 << 20;

/// A temporary file that is being written. Tokio's files write on threads that may block, one write ahead of us.
pub struct Uploading {
    file: BufWriter<tokio::fs::File>,
    temporary: Temporary,
}

impl Uploading {
    pub fn new(file: File, temporary: Temporary) -> Self {
        Self { file: BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(file)), temporary }
    }
}

#[async_trait]
impl Upload for Uploading {
    async fn write(&mut self, piece: Bytes) -> Result<()> {
        let written = self.file.write_all(&piece).await;
        written.map_err(|e| classify(&e, "cannot be written", &self.temporary.target))
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let Self { mut file, temporary } = *self;
        let synced = match file.flush().await {
            Ok(()) => file.get_mut().sync_all().await,
            Err(e) => Err(e),
        };
        synced.map_err(|e| classify(&e, "cannot be written", &temporary.target))?;
        let named = tokio::task::spawn_blocking(move || name(temporary)).await;
        named.unwrap_or_else(|_| Err(Error::bug("work on files panicked")))
    }

    async fn abort(self: Box<Self>) {}

    fn held(&self) -> usize {
        self.file.buffer().len() + 2 * BUFFER
    }
}

/// Gives a finished file its name.
fn name(mut temporary: Temporary) -> Result<()> {
    fs::rename(&temporary.path, &temporary.target).map_err(|e| match e.kind() {
        ErrorKind::NotFound => swept(&temporary.target.display().to_string()),
        _ => classify(&e, "cannot be named", &temporary.target),
    })?;
    temporary.is_named = true;
    folders::sync(temporary.folder()).map_err(|e| classify(&e, "cannot be synced", &temporary.target))
}
