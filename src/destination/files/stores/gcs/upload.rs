//! One object on its way: in one request if it is small, through a resumable session if it is not.

use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use serde_json::json;
use tokio::task::JoinHandle;

use super::client::{Answer, Client, Request};
use super::object::Sum;
use super::tries;
use crate::destination::files::store::Upload;
use crate::error::{Error, Result};

/// One piece is collected while the one before it is on its way: a session takes them in order only.
pub struct Uploading {
    client: Arc<Client>,
    name: String,
    collected: BytesMut,
    state: State,
    failure: Option<Error>,
}

enum State {
    /// Nothing was sent yet.
    New,
    /// Nothing is on its way.
    Idle(Box<Session>),
    Sending(JoinHandle<(Box<Session>, Result<()>)>),
    Over,
}

impl Uploading {
    pub fn new(client: Arc<Client>, name: String) -> Self {
        Self { client, name, collected: BytesMut::new(), state: State::New, failure: None }
    }

    async fn take(&mut self, mut piece: Bytes) -> Result<()> {
        let wanted = self.client.settings.piece_bytes;
        while !piece.is_empty() {
            if self.collected.is_empty() {
                self.collected.reserve(wanted);
            }
            // A full piece waits for one byte more: the last piece is sent as such.
            if self.collected.len() == wanted {
                let full = mem::take(&mut self.collected).freeze();
                self.send(full).await?;
                continue;
            }
            let missing = wanted - self.collected.len();
            self.collected.extend_from_slice(&piece.split_to(missing.min(piece.len())));
        }
        Ok(())
    }

    /// Sends a piece that is not the last on its way, once the one before it has arrived.
    async fn send(&mut self, piece: Bytes) -> Result<()> {
        let mut session = self.session().await?;
        self.state = State::Sending(tokio::spawn(async move {
            let sent = session.send(piece, false).await.map(|_| ());
            (session, sent)
        }));
        Ok(())
    }

    /// The session, with nothing on its way; begun if there is none.
    async fn session(&mut self) -> Result<Box<Session>> {
        match mem::replace(&mut self.state, State::Over) {
            State::New => Ok(Box::new(Session::begin(self.client.clone(), &self.name).await?)),
            State::Idle(session) => Ok(session),
            State::Sending(sending) => {
                let (session, sent) = sending.await.map_err(|_| Error::bug("an upload's task panicked"))?;
                match sent {
                    Ok(()) => Ok(session),
                    Err(error) => {
                        self.state = State::Idle(session);
                        Err(error)
                    }
                }
            }
            State::Over => Err(Error::bug(format!("{}: a piece for an upload that is over", self.name))),
        }
    }

    async fn complete(&mut self) -> Result<()> {
        let last = mem::take(&mut self.collected).freeze();
        if matches!(self.state, State::New) {
            self.state = State::Over;
            return self.client.put(&self.name, last).await;
        }
        let mut session = self.session().await?;
        let done = session.send(last, true).await;
        match done {
            Ok(Some(answer)) => self.client.compare(&self.name, &answer, &session.sum).await,
            Ok(None) => Err(Error::bug(format!("{}: the last piece was not the last", self.name))),
            Err(error) => {
                self.state = State::Idle(session);
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Upload for Uploading {
    async fn write(&mut self, piece: Bytes) -> Result<()> {
        if let Some(error) = &self.failure {
            return Err(error.clone());
        }
        let taken = self.take(piece).await;
        self.failure = taken.as_ref().err().cloned();
        taken
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        let finished = match self.failure.take() {
            Some(error) => Err(error),
            None => self.complete().await,
        };
        if finished.is_err() {
            self.abort().await;
        }
        finished
    }

    async fn abort(mut self: Box<Self>) {
        let state = mem::replace(&mut self.state, State::Over);
        cancel(state).await;
    }

    fn held(&self) -> usize {
        let on_its_way = if matches!(self.state, State::Sending(_)) { self.client.settings.piece_bytes } else { 0 };
        self.collected.len() + on_its_way
    }
}

/// Ends a session; one that cannot be ended expires.
async fn cancel(state: State) {
    match state {
        State::Idle(session) => session.cancel().await,
        State::Sending(sending) => {
            if let Ok((session, _)) = sending.await {
                session.cancel().await;
            }
        }
        State::New | State::Over => {}
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        let state = mem::replace(&mut self.state, State::Over);
        if let (State::Idle(_) | State::Sending(_), Ok(runtime)) = (&state, tokio::runtime::Handle::try_current()) {
            runtime.spawn(cancel(state));
        }
    }
}

/// A resumable session.
struct Session {
    client: Arc<Client>,
    name: String,
    /// As good as a key to it: not to be shown.
    url: String,
    /// How much the server has taken for good.
    taken: u64,
    /// Over all that was to be sent.
    sum: Sum,
}

impl Session {
    async fn begin(client: Arc<Client>, name: &str) -> Result<Self> {
        let request = request(name);
        let url = client.uploads();
        let build = |http: &reqwest::Client| {
            let post = http.post(&url).query(&[("uploadType", "resumable"), ("name", name)]);
            post.query(&[("fields", "size,crc32c")]).json(&json!({"name": name}))
        };
        let answer = client.send(request, build).await?;
        let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        match (answer.status.as_u16(), location) {
            (200 | 201, Some(url)) => {
                Ok(Self { url: url.to_owned(), name: name.to_owned(), taken: 0, sum: Sum::new(), client })
            }
            _ => Err(client.refused_write(request, &answer)),
        }
    }

    /// Sends a piece until the server has all of it. The answer to the last one describes the object.
    async fn send(&mut self, mut piece: Bytes, last: bool) -> Result<Option<Answer>> {
        self.sum.add(&piece);
        let end = self.taken + piece.len() as u64;
        let total = if last { end.to_string() } else { "*".to_owned() };
        let (mut tries, mut ask) = (tries(), false);
        loop {
            let range = match ask || piece.is_empty() {
                true => format!("bytes */{total}"),
                false => format!("bytes {}-{}/{total}", self.taken, end - 1),
            };
            let body = if ask { Bytes::new() } else { piece.clone() };
            let answer = match self.put(range, body).await? {
                Ok(answer) => answer,
                Err((error, asked)) => {
                    // Lost on its way there or back: the server knows how much it has.
                    tries.pause(error, asked).await?;
                    ask = true;
                    continue;
                }
            };
            match answer.status.as_u16() {
                200 | 201 if last => return Ok(Some(answer)),
                200 | 201 => return Err(self.stuck("was completed before its end")),
                308 => {
                    let before = self.taken;
                    self.advance(&mut piece, &answer, end)?;
                    if self.taken == end && !last {
                        return Ok(None);
                    }
                    match self.taken > before {
                        true => tries.reset(),
                        false if ask => {}
                        false => tries.pause(self.stuck("does not go on"), None).await?,
                    }
                    ask = false;
                }
                _ => return Err(self.refused(&answer)),
            }
        }
    }

    async fn put(&self, range: String, body: Bytes) -> Result<Result<Answer, (Error, Option<std::time::Duration>)>> {
        let build = |http: &reqwest::Client| {
            let put = http.put(&self.url).header(CONTENT_RANGE, &range).header(CONTENT_LENGTH, body.len());
            put.body(body.clone())
        };
        self.client.send_once(request(&self.name), &build, &mut false).await
    }

    /// Takes note of how much the server has, and drops that from the piece.
    fn advance(&mut self, piece: &mut Bytes, answer: &Answer, end: u64) -> Result<()> {
        let range = answer.headers.get(RANGE).and_then(|range| range.to_str().ok());
        let last = range.and_then(|range| range.rsplit_once('-')).and_then(|(_, last)| last.parse::<u64>().ok());
        let taken = last.map_or(0, |last| last + 1);
        if taken < self.taken || taken > end {
            let place = format!("gs://{}/{}", self.client.settings.bucket, self.name);
            let (held, sent) = (self.taken, end);
            return Err(Error::unavailable(format!(
                "{place}: the upload holds {taken} bytes, where {held} had arrived and {sent} were sent"
            )));
        }
        piece.advance((taken - self.taken) as usize);
        self.taken = taken;
        Ok(())
    }

    fn stuck(&self, how: &str) -> Error {
        Error::unavailable(format!("gs://{}/{}: the upload {how}", self.client.settings.bucket, self.name))
    }

    fn refused(&self, answer: &Answer) -> Error {
        match answer.status.as_u16() {
            404 | 410 => self.stuck("has ended: its session is gone"),
            _ => self.client.refused_write(request(&self.name), answer),
        }
    }

    async fn cancel(self) {
        let build = |http: &reqwest::Client| http.delete(&self.url).header(CONTENT_LENGTH, 0);
        if self.client.send_once(request(&self.name), &build, &mut false).await.is_err() {
            tracing::debug!(name = self.name, "an upload's session is left to expire");
        }
    }
}

fn request(name: &str) -> Request<'_> {
    Request { name: "objects.insert", needs: "storage.objects.create", object: name }
}
