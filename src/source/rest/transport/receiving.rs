//! An answer's body, taken to its end before anybody looks at it.

use std::io::{self, Read};

use bytes::{Buf, Bytes, BytesMut};
use reqwest::Response;
use tokio::sync::mpsc;

use super::content::{Coding, decoded};
use super::{Body, Broken, What};

/// What a body may take in memory; beyond that it goes to a file.
pub(super) const IN_MEMORY: usize = 4 << 20;

/// How many pieces may wait for their decoding or writing: what bounds memory where a server is faster than the disk.
const WAITING: usize = 4;

/// The whole body, decoded.
pub async fn whole(mut response: Response) -> Result<Body, Broken> {
    let codings = Coding::of(response.headers())?;
    let mut length = Length { told: response.content_length(), came: 0 };
    let mut begun = BytesMut::with_capacity(length.told.unwrap_or_default().min(IN_MEMORY as u64) as usize);
    while let Some(piece) = response.chunk().await.map_err(Broken::of)? {
        length.add(&piece);
        begun.extend_from_slice(&piece);
        if begun.len() > IN_MEMORY {
            return aside(response, begun.freeze(), length, codings).await;
        }
    }
    length.check()?;
    match codings.is_empty() || begun.is_empty() {
        true => Ok(Body::Memory(begun.freeze())),
        false => blocking(move || decoded(Box::new(begun.freeze().reader()), &codings, IN_MEMORY)).await,
    }
}

/// A body of which there is too much for memory: what takes time is done where it holds up nobody.
async fn aside(mut response: Response, begun: Bytes, mut length: Length, codings: Vec<Coding>) -> Result<Body, Broken> {
    let (pieces, waiting) = mpsc::channel(WAITING);
    let body = blocking(move || {
        let encoded = begun.reader().chain(Pieces { waiting, piece: Bytes::new(), is_done: false });
        decoded(Box::new(encoded), &codings, IN_MEMORY)
    });
    let came = async move {
        while let Some(piece) = response.chunk().await.map_err(Broken::of)? {
            length.add(&piece);
            // Whoever does not want it any more says why.
            if pieces.send(Some(piece)).await.is_err() {
                return Ok(());
            }
        }
        length.check()?;
        // Its end is said, so that a connection that breaks is none.
        let _ = pieces.send(None).await;
        Ok(())
    };
    let (came, body) = tokio::join!(came, body);
    came.and(body)
}

pub(super) async fn blocking(work: impl FnOnce() -> Result<Body, Broken> + Send + 'static) -> Result<Body, Broken> {
    let ended = |_| Broken::new(What::CutOff, "the program is ending");
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

/// How much a body has, and how much was promised.
struct Length {
    told: Option<u64>,
    came: u64,
}

impl Length {
    fn add(&mut self, piece: &Bytes) {
        self.came += piece.len() as u64;
    }

    fn check(&self) -> Result<(), Broken> {
        match self.told {
            Some(told) if told != self.came => {
                let message = format!("the body has {} bytes of the {told} that were announced", self.came);
                Err(Broken::new(What::CutOff, message))
            }
            _ => Ok(()),
        }
    }
}

/// The pieces of a body as they come, read from a thread that may wait.
struct Pieces {
    /// `None` is the body's end.
    waiting: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    is_done: bool,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.is_done {
            match self.waiting.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => self.is_done = true,
                None => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let bytes = self.piece.len().min(into.len());
        self.piece.copy_to_slice(&mut into[..bytes]);
        Ok(bytes)
    }
}
