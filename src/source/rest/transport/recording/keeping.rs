//! Keeps what a server answers.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::asked::Asked;
use super::line::{Head, Line};
use crate::error::{Error, Result};
use crate::source::Reel;
use crate::source::rest::request::Request;
use crate::source::rest::secrets::{Known, Secrets};
use crate::source::rest::signed_link::SignedLink;
use crate::source::rest::transport::{Answer, Broken, Transport, What};

/// The file of a recording, which grows with each answer: killed, it has those that came.
pub struct Sheet {
    file: Mutex<Written>,
    reel: Arc<Reel>,
    /// When it was begun: what the source takes for now.
    pub begun: Timestamp,
}

struct Written {
    file: File,
    /// Up to the end of the last whole line.
    bytes: u64,
}

impl Sheet {
    /// Makes the file, which must not be there yet, and which only its owner may read. `server` is what the source is.
    pub fn create(path: &Path, server: &str, reel: Arc<Reel>) -> Result<Self> {
        let begun = Timestamp::now();
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = |error: &io::Error| {
            let failed = Error::config(format!("{}: {error}", path.display()));
            match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    failed.hint("A recording is written over nothing: name another file, or remove this one.")
                }
                _ => failed,
            }
        };
        let file = options.open(path).map_err(|error| failed(&error))?;
        let sheet = Self { file: Mutex::new(Written { file, bytes: 0 }), reel, begun };
        sheet.write(&Head::new(server, begun)).map_err(|error| failed(&error))?;
        Ok(sheet)
    }

    /// Whether it is cut behind some pages.
    pub fn has_end(&self) -> bool {
        self.reel.has_end()
    }

    fn write(&self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let mut written = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let end = written.bytes;
        if let Err(error) = written.file.write_all(&text) {
            // Half a line would spoil those behind it. Where that fails too, the first error says more.
            let _ = written.file.set_len(end).and_then(|()| written.file.seek(SeekFrom::Start(end)));
            return Err(error);
        }
        written.bytes += text.len() as u64;
        self.reel.grown(written.bytes);
        Ok(())
    }

    fn keep(&self, asked: Asked, answer: &Answer, secrets: &Secrets, link: SignedLink) -> io::Result<()> {
        self.write(&Line::of(asked, answer, secrets, link)?)?;
        self.reel.kept();
        Ok(())
    }
}

/// Keeps on a sheet what is answered over another transport. Credentials are not to be fetched over it.
pub struct Recording {
    inner: Arc<dyn Transport>,
    sheet: Arc<Sheet>,
    known: Arc<Known>,
}

impl Recording {
    pub fn new(inner: Arc<dyn Transport>, sheet: Arc<Sheet>, known: Arc<Known>) -> Self {
        Self { inner, sheet, known }
    }
}

#[async_trait]
impl Transport for Recording {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        let sheet = self.sheet.clone();
        let asked = Asked::of(request, &self.known.with(request));
        if !sheet.reel.take() {
            sheet.write(&Line::cut(asked)).map_err(|error| not_kept(&error))?;
            return Err(Broken::cut());
        }
        let answer = self.inner.send(request).await;
        if !answer.as_ref().is_ok_and(|answer| answer.status.is_success()) {
            sheet.reel.give_back();
        }
        let answer = answer?;
        // Other requests may have brought new ones meanwhile.
        let (mut secrets, link) = (self.known.with(request), request.link);
        if !answer.status.is_success() {
            // Whoever refuses such a link may say how it was signed. A page has dates too, which nobody wants hidden.
            secrets = secrets.and(answer.permissions());
        }
        // A large body is in a file, and all of it is looked through.
        let kept = tokio::task::spawn_blocking(move || {
            let kept = sheet.keep(asked, &answer, &secrets, link);
            kept.map(|()| answer).map_err(|error| not_kept(&error))
        });
        kept.await.map_err(|_| Broken::new(What::CutOff, "the program is ending"))?
    }
}

fn not_kept(error: &io::Error) -> Broken {
    Broken::new(What::NoRoom, format!("the answer cannot be kept: {error}"))
}
