//! One object on its way: in one request if it is small, in pieces if it is not.

use std::mem;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::Shared;
use super::client::Connected;
use super::error::{Needs, Request, classify, code};
use crate::destination::files::store::Upload;
use crate::destination::files::stores::swept;
use crate::error::{Error, Result};

/// Pieces grow with what was sent, so that 10,000 of them, which is all that S3 takes, suffice for its largest object:
/// 1,250 of the first size, then each 1/1,250 of what lies before it, come to more than 5 TiB from 5 MiB on.
const GROWTH: u64 = 1250;

/// The object's mark: which upload made it.
const MARK: &str = "tidemark-upload";

pub struct Uploading {
    shared: Arc<Shared>,
    client: Client,
    tls: bool,
    /// In the bucket.
    name: String,
    /// The piece that is being collected.
    collected: BytesMut,
    multipart: Option<Multipart>,
    failure: Option<Error>,
}

struct Multipart {
    id: String,
    mark: String,
    /// Pieces on their way.
    pieces: JoinSet<Result<CompletedPart>>,
    arrived: Vec<CompletedPart>,
    begun: i32,
    sent: u64,
}

impl Uploading {
    pub fn new(shared: Arc<Shared>, connected: &Connected, name: String) -> Self {
        let (client, tls) = (connected.client.clone(), connected.tls);
        Self { shared, client, tls, name, collected: BytesMut::new(), multipart: None, failure: None }
    }

    fn request(&self, name: &'static str) -> Request<'_> {
        Request { name, needs: Needs::OnObjects("s3:PutObject"), object: &self.name }
    }

    /// How large the piece that is being collected is to be.
    fn piece_bytes(&self) -> usize {
        let sent = self.multipart.as_ref().map_or(0, |multipart| multipart.sent);
        self.shared.settings.piece_bytes.max((sent / GROWTH) as usize)
    }

    async fn take(&mut self, mut piece: Bytes) -> Result<()> {
        while !piece.is_empty() {
            self.make_room().await?;
            let wanted = self.piece_bytes();
            let missing = wanted - self.collected.len();
            if self.collected.is_empty() && piece.len() >= wanted {
                self.send(piece.split_to(wanted)).await?;
                continue;
            }
            if self.collected.is_empty() {
                self.collected.reserve(wanted);
            }
            self.collected.extend_from_slice(&piece.split_to(missing.min(piece.len())));
            if self.collected.len() == wanted {
                let full = mem::take(&mut self.collected).freeze();
                self.send(full).await?;
            }
        }
        Ok(())
    }

    /// Waits until another piece may be collected beside those on their way: together they are `concurrency` at most.
    async fn make_room(&mut self) -> Result<()> {
        let bound = self.shared.settings.concurrency;
        let Some(multipart) = &mut self.multipart else { return Ok(()) };
        while let Some(arrived) = multipart.pieces.try_join_next() {
            multipart.arrived.push(joined(arrived)?);
        }
        while multipart.pieces.len() >= bound {
            let Some(arrived) = multipart.pieces.join_next().await else { break };
            multipart.arrived.push(joined(arrived)?);
        }
        Ok(())
    }

    /// Sends a whole piece on its way.
    async fn send(&mut self, piece: Bytes) -> Result<()> {
        if self.multipart.is_none() {
            self.multipart = Some(self.begin().await?);
        }
        // The semaphore is never closed.
        let permit = self.shared.room.clone().acquire_owned().await.map_err(|e| Error::bug(e.to_string()))?;
        let (shared, name, unsigned) = (self.shared.clone(), self.name.clone(), self.unsigned());
        let Some(multipart) = &mut self.multipart else { return Ok(()) };
        multipart.begun += 1;
        multipart.sent += piece.len() as u64;
        let number = multipart.begun;
        let upload = self.client.upload_part().bucket(&shared.settings.bucket).key(&name);
        let upload = upload.upload_id(&multipart.id).part_number(number).body(ByteStream::from(piece));
        multipart.pieces.spawn(async move {
            let answer = match unsigned {
                true => upload.customize().disable_payload_signing().send().await,
                false => upload.send().await,
            };
            drop(permit);
            let answer = answer.map_err(|e| match code(&e) {
                Some("NoSuchUpload") => swept(&format!("s3://{}/{name}", shared.settings.bucket)),
                _ => {
                    let needs = Needs::OnObjects("s3:PutObject");
                    classify(&e, Request { name: "UploadPart", needs, object: &name }, &shared.settings)
                }
            })?;
            let part = CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag);
            Ok(part.set_checksum_crc32(answer.checksum_crc32).build())
        });
        Ok(())
    }

    /// Whether the body need not be hashed for the signature: the checksum is signed, and TLS guards the way.
    fn unsigned(&self) -> bool {
        self.tls && self.shared.settings.checksums
    }

    async fn begin(&self) -> Result<Multipart> {
        let settings = &self.shared.settings;
        let mark = Uuid::now_v7().to_string();
        let begin = self.client.create_multipart_upload().bucket(&settings.bucket).key(&self.name);
        let begin = begin
            .metadata(MARK, &mark)
            .set_checksum_algorithm(settings.checksums.then_some(ChecksumAlgorithm::Crc32))
            .set_server_side_encryption(settings.sse.clone())
            .set_ssekms_key_id(settings.sse_kms_key_id.clone())
            .set_storage_class(settings.storage_class.clone());
        let request = self.request("CreateMultipartUpload");
        let begun = begin.send().await.map_err(|e| classify(&e, request, settings))?;
        let id = begun.upload_id.ok_or_else(|| Error::bug(format!("{}: an upload without an id", self.name)))?;
        Ok(Multipart { id, mark, pieces: JoinSet::new(), arrived: Vec::new(), begun: 0, sent: 0 })
    }

    async fn put_whole(&mut self) -> Result<()> {
        let settings = &self.shared.settings;
        let body = mem::take(&mut self.collected).freeze();
        let put = self.client.put_object().bucket(&settings.bucket).key(&self.name).body(ByteStream::from(body));
        let put = put
            .set_server_side_encryption(settings.sse.clone())
            .set_ssekms_key_id(settings.sse_kms_key_id.clone())
            .set_storage_class(settings.storage_class.clone());
        let answer = match self.unsigned() {
            true => put.customize().disable_payload_signing().send().await,
            false => put.send().await,
        };
        answer.map(|_| ()).map_err(|e| classify(&e, self.request("PutObject"), settings))
    }

    async fn complete(&mut self) -> Result<()> {
        if !self.collected.is_empty() {
            self.make_room().await?;
            let last = mem::take(&mut self.collected).freeze();
            self.send(last).await?;
        }
        let Some(multipart) = &mut self.multipart else { return Ok(()) };
        while let Some(arrived) = multipart.pieces.join_next().await {
            multipart.arrived.push(joined(arrived)?);
        }
        let mut parts = mem::take(&mut multipart.arrived);
        parts.sort_unstable_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let (id, mark) = (multipart.id.clone(), multipart.mark.clone());
        let complete = self.client.complete_multipart_upload().bucket(&self.shared.settings.bucket);
        match complete.key(&self.name).upload_id(id).multipart_upload(parts).send().await {
            Ok(_) => Ok(()),
            // Gone: completed by an earlier try of this very request whose answer was lost, or ended by somebody.
            Err(e) if code(&e) == Some("NoSuchUpload") => match self.is_ours(&mark).await? {
                true => Ok(()),
                false => Err(swept(&format!("s3://{}/{}", self.shared.settings.bucket, self.name))),
            },
            Err(e) => Err(classify(&e, self.request("CompleteMultipartUpload"), &self.shared.settings)),
        }
    }

    /// Whether the object is there and this upload made it.
    async fn is_ours(&self, mark: &str) -> Result<bool> {
        let head = self.client.head_object().bucket(&self.shared.settings.bucket).key(&self.name).send().await;
        let request = Request { name: "HeadObject", needs: Needs::OnObjects("s3:GetObject"), object: &self.name };
        match head {
            Ok(head) => Ok(head.metadata().and_then(|metadata| metadata.get(MARK)).is_some_and(|found| found == mark)),
            Err(e) if super::error::status(&e) == Some(404) => Ok(false),
            Err(e) => Err(classify(&e, request, &self.shared.settings)),
        }
    }
}

fn joined(result: Result<Result<CompletedPart>, tokio::task::JoinError>) -> Result<CompletedPart> {
    result.unwrap_or_else(|_| Err(Error::bug("an upload's task panicked")))
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
        let finished = match (self.failure.take(), &self.multipart) {
            (Some(error), _) => Err(error),
            (None, None) => self.put_whole().await,
            (None, Some(_)) => self.complete().await,
        };
        match finished {
            Ok(()) => self.multipart = None,
            Err(_) => self.abort().await,
        }
        finished
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(mut multipart) = self.multipart.take() {
            multipart.pieces.shutdown().await;
            end(&self.shared, &self.name, &multipart.id).await;
        }
    }

    fn held(&self) -> usize {
        let on_their_way = self.multipart.as_ref().map_or(0, |multipart| multipart.pieces.len());
        self.collected.len() + on_their_way * self.piece_bytes()
    }
}

/// Ends a multipart upload as far as that is possible; else a sweep or the bucket's lifecycle rule does.
async fn end(shared: &Shared, name: &str, id: &str) {
    if let Err(error) = shared.end(name, id).await {
        tracing::debug!(%error, "an unfinished upload stays");
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        let (Some(multipart), Ok(runtime)) = (self.multipart.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let (shared, name) = (self.shared.clone(), mem::take(&mut self.name));
        runtime.spawn(async move {
            let Multipart { id, mut pieces, .. } = multipart;
            pieces.shutdown().await;
            end(&shared, &name, &id).await;
        });
    }
}
