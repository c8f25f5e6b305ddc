//! S3 and what speaks its protocol, by Amazon's own client.
//!
//! A create is one conditional request (`If-None-Match: *`); an upload is one request, or a multipart upload that shows
//! nothing until it is completed.

mod client;
mod error;
mod list;
mod settings;
mod upload;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use tokio::sync::{OnceCell, Semaphore};

use self::client::Connected;
use self::error::{Needs, Request, classify, code, status};
use self::settings::{KEYS, Settings};
use super::Maker;
use crate::config::Section;
use crate::destination::files::store::{Created, Store, Upload};
use crate::error::{Error, Result};

pub const MAKER: Maker = Maker {
    kind: super::kind(
        "s3",
        "A bucket on Amazon S3, or on a service that speaks its protocol and has conditional writes.",
        &[KEYS],
    ),
    check: |section| Settings::of(section).map(|_| ()),
    make: |section| Ok(Arc::new(S3::of(section)?)),
};

/// A bucket. Clones share the client and the bound of pieces on their way.
#[derive(Clone)]
pub struct S3 {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    connected: OnceCell<Connected>,
    /// A permit for each piece on its way.
    room: Arc<Semaphore>,
    /// The service does not take deletions by the thousand.
    deletes_singly: AtomicBool,
}

/// How often a create that met another one is tried, and a body that broke off is read again.
const TRIES: u32 = 6;

impl S3 {
    /// Connects to nothing.
    pub fn of(section: &Section) -> Result<Self> {
        let settings = Settings::of(section)?;
        let room = Arc::new(Semaphore::new(settings.concurrency));
        let shared = Shared { settings, connected: OnceCell::new(), room, deletes_singly: AtomicBool::new(false) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The keys of unfinished uploads that start with `prefix`.
    pub async fn unfinished_keys(&self, prefix: &str) -> Result<Vec<String>> {
        let found = self.shared.unfinished(prefix).await?;
        Ok(found.into_iter().map(|(key, _, _)| key).collect())
    }
}

impl Shared {
    async fn connected(&self) -> Result<&Connected> {
        self.connected.get_or_try_init(|| client::connect(&self.settings)).await
    }

    async fn client(&self) -> Result<&Client> {
        Ok(&self.connected().await?.client)
    }

    fn name(&self, key: &str) -> Result<String> {
        self.settings.prefix.name(key)
    }

    async fn create(&self, name: &str, body: Bytes) -> Result<Created> {
        let client = self.client().await?;
        let request = Request { name: "PutObject", needs: Needs::OnObjects("s3:PutObject"), object: name };
        let mut tries = 0;
        loop {
            tries += 1;
            let put = client.put_object().bucket(&self.settings.bucket).key(name).if_none_match("*");
            let put = put.set_server_side_encryption(self.settings.sse.clone());
            let put = put.set_ssekms_key_id(self.settings.sse_kms_key_id.clone());
            match put.body(ByteStream::from(body.clone())).send().await {
                Ok(_) => return Ok(Created::Yes),
                Err(e) if status(&e) == Some(412) => return Ok(Created::AlreadyThere),
                // Another create of this name is under way: which of the two it will be is not decided yet.
                Err(e) if status(&e) == Some(409) && tries < TRIES => pause(tries).await,
                Err(e) => return Err(classify(&e, request, &self.settings)),
            }
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let client = self.client().await?;
        let request = Request { name: "GetObject", needs: Needs::OnObjects("s3:GetObject"), object: name };
        let mut tries = 0;
        loop {
            tries += 1;
            let object = match client.get_object().bucket(&self.settings.bucket).key(name).send().await {
                Ok(object) => object,
                Err(e) if code(&e) == Some("NoSuchKey") => return Ok(None),
                Err(e) if status(&e) == Some(403) => {
                    let error = classify(&e, request, &self.settings);
                    let bucket = &self.settings.bucket;
                    let also =
                        format!("Without s3:ListBucket on arn:aws:s3:::{bucket}, what is not there is refused too.");
                    let advice = error.advice().map_or(also.clone(), |advice| format!("{advice} {also}"));
                    return Err(error.hint(advice));
                }
                Err(e) => return Err(classify(&e, request, &self.settings)),
            };
            // The SDK repeats requests, but not bodies that break off.
            match object.body.collect().await {
                Ok(body) => return Ok(Some(body.into_bytes())),
                Err(_) if tries < TRIES => pause(tries).await,
                Err(e) => {
                    let place = format!("s3://{}/{name}: GetObject", self.settings.bucket);
                    return Err(Error::unavailable(format!("{place}: the body broke off: {e}")));
                }
            }
        }
    }
}

/// 50 ms, 100 ms, 200 ms, …
async fn pause(tries: u32) {
    tokio::time::sleep(Duration::from_millis(25 << tries.min(8))).await;
}

#[async_trait]
impl Store for S3 {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        self.shared.create(&self.shared.name(key)?, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        self.shared.get(&self.shared.name(key)?).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
        self.shared.list(prefix, after).await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let names = keys.iter().map(|key| self.shared.name(key)).collect::<Result<Vec<_>>>()?;
        self.shared.delete(&names).await
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let name = self.shared.name(key)?;
        let connected = self.shared.connected().await?;
        Ok(Box::new(upload::Uploading::new(self.shared.clone(), connected, name)))
    }

    async fn sweep(&self, prefix: &str, dead: &(dyn for<'a> Fn(&'a str) -> bool + Sync)) -> Result<()> {
        for (key, name, id) in self.shared.unfinished(prefix).await? {
            if dead(&key) {
                self.shared.end(&name, &id).await?;
            }
        }
        Ok(())
    }

    fn url(&self, key: &str) -> String {
        let Settings { bucket, prefix, .. } = &self.shared.settings;
        format!("s3://{bucket}/{}{key}", prefix.as_str())
    }
}
