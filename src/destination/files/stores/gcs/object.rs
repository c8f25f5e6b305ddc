//! Whole objects: sent in one request, compared with what arrived, deleted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::client::{Answer, Client, Request};
use crate::destination::files::store::Created;
use crate::error::{Error, Result};

/// The length and CRC-32C of what was sent.
pub struct Sum {
    bytes: u64,
    digest: Digest,
}

impl Sum {
    pub fn new() -> Self {
        Self { bytes: 0, digest: Digest::new(CrcAlgorithm::Crc32Iscsi) }
    }

    pub fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.digest.update(piece);
    }

    /// As Google writes it: base64 of the four bytes, the highest first.
    fn crc32c(&self) -> String {
        STANDARD.encode((self.digest.finalize() as u32).to_be_bytes())
    }
}

/// What Google says of an object.
#[derive(Deserialize)]
struct Stored {
    /// A number, as text.
    size: String,
    crc32c: Option<String>,
}

impl Client {
    /// Creates an object if there is none of that name.
    pub async fn create(&self, name: &str, body: Bytes) -> Result<Created> {
        let request = Request { name: "objects.insert", needs: "storage.objects.create", object: name };
        let mut conflicts = 0;
        loop {
            let answer = self.insert(request, &body, Some(("ifGenerationMatch", "0"))).await?;
            match answer.status.as_u16() {
                200 | 201 => return Ok(Created::Yes),
                412 => return Ok(Created::AlreadyThere),
                // Another request for this name is under way.
                409 if conflicts < 5 => {
                    conflicts += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(100 << conflicts)).await;
                }
                _ => return Err(self.refused(request, &answer)),
            }
        }
    }

    /// Puts a whole object, in place of one that may be there.
    pub async fn put(&self, name: &str, body: Bytes) -> Result<()> {
        let request = Request { name: "objects.insert", needs: "storage.objects.create", object: name };
        let answer = self.insert(request, &body, None).await?;
        match answer.status.as_u16() {
            200 | 201 => Ok(()),
            _ => Err(self.refused_write(request, &answer)),
        }
    }

    /// One request of two parts, as Google's `multipart` has it: what the object is to be, and its body. With the
    /// checksum in the first, a body that suffered on its way is refused.
    async fn insert(&self, request: Request<'_>, body: &Bytes, condition: Option<(&str, &str)>) -> Result<Answer> {
        let mut sum = Sum::new();
        sum.add(body);
        let about = json!({"name": request.object, "crc32c": sum.crc32c()});
        let border = format!("tidemark-{}", Uuid::now_v7());
        let head = format!(
            "--{border}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n{about}\r\n--{border}\r\n\
             content-type: application/octet-stream\r\n\r\n"
        );
        let mut whole = BytesMut::with_capacity(head.len() + body.len() + border.len() + 8);
        whole.extend_from_slice(head.as_bytes());
        whole.extend_from_slice(body);
        whole.extend_from_slice(format!("\r\n--{border}--\r\n").as_bytes());
        let (whole, url) = (whole.freeze(), self.uploads());
        let build = |http: &reqwest::Client| {
            let post = http.post(&url).query(&[("uploadType", "multipart"), ("fields", "size,crc32c")]);
            let post = post.query(condition.as_slice());
            post.header(CONTENT_TYPE, format!("multipart/related; boundary={border}")).body(whole.clone())
        };
        self.send(request, build).await
    }

    /// As [`Client::refused`], where what is refused may be that an object is replaced.
    pub fn refused_write(&self, request: Request<'_>, answer: &Answer) -> Error {
        let needs = "storage.objects.create and, to replace, storage.objects.delete";
        self.refused(Request { needs, ..request }, answer)
    }

    /// Deletes an object; one that is not there is no error.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let request = Request { name: "objects.delete", needs: "storage.objects.delete", object: name };
        let url = self.objects(Some(name));
        let answer = self.send(request, |http| http.delete(&url)).await?;
        match answer.status.as_u16() {
            200 | 204 | 404 => Ok(()),
            _ => Err(self.refused(request, &answer)),
        }
    }

    /// Compares what arrived with what was sent; where it differs, deletes it again.
    pub async fn compare(&self, name: &str, answer: &Answer, sent: &Sum) -> Result<()> {
        let place = format!("gs://{}/{name}", self.settings.bucket);
        let stored: Stored = serde_json::from_slice(&answer.body)
            .map_err(|e| Error::unavailable(format!("{place}: an answer to an upload that is none: {e}")))?;
        let same = stored.crc32c.is_none_or(|crc32c| crc32c == sent.crc32c());
        if same && stored.size == sent.bytes.to_string() {
            return Ok(());
        }
        self.delete(name).await?;
        Err(Error::unavailable(format!("{place}: what arrived is not what was sent")))
    }
}
