//! Google Cloud Storage, by a small client of its JSON API (docs/adr/0002-gcs-client.md says why not another).
//!
//! A create is one request with the precondition that the object has no generation yet; an upload is one request, or a
//! resumable session that shows nothing until its last piece.

mod auth;
mod client;
mod credentials;
mod object;
mod settings;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use self::client::{Client, Request};
use self::settings::{KEYS, Settings};
use super::Maker;
use crate::backoff::{Backoff, Tries};
use crate::config::Section;
use crate::destination::files::store::{Created, Store, Upload};
use crate::error::{Error, Result};

pub const MAKER: Maker = Maker {
    kind: super::kind("gcs", "A bucket on Google Cloud Storage.", &[KEYS]),
    check: |section| credentials::check(section, &Settings::of(section)?.credentials),
    make: |section| Ok(Arc::new(Gcs::of(section)?)),
};

const DELETES_AT_ONCE: usize = 8;

/// However long a server asks to be left alone, it is the longest of these.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(32), jitter: 0.5 };

/// Those of one request.
fn tries() -> Tries {
    Tries::new(BACKOFF, 6)
}

/// A bucket. Clones share the client.
#[derive(Clone)]
pub struct Gcs {
    client: Arc<Client>,
}

impl Gcs {
    /// Connects to nothing.
    pub fn of(section: &Section) -> Result<Self> {
        Ok(Self { client: Arc::new(Client::new(Settings::of(section)?)?) })
    }

    fn name(&self, key: &str) -> Result<String> {
        self.client.settings.prefix.name(key)
    }

    async fn delete_one(&self, name: String) -> Result<()> {
        self.client.delete(&name).await
    }
}

/// A page of a listing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default)]
    items: Vec<Named>,
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[async_trait]
impl Store for Gcs {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        self.client.create(&self.name(key)?, body).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let name = self.name(key)?;
        let request = Request { name: "objects.get", needs: "storage.objects.get", object: &name };
        let url = self.client.objects(Some(&name));
        let answer = self.client.send(request, |http| http.get(&url).query(&[("alt", "media")])).await?;
        match answer.status.as_u16() {
            200 => Ok(Some(answer.body)),
            // Also of a bucket that is not there: a listing or a create tells.
            404 => Ok(None),
            _ => Err(self.client.refused(request, &answer)),
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
        let own = &self.client.settings.prefix;
        let start = own.start(prefix);
        let request = Request { name: "objects.list", needs: "storage.objects.list", object: &start };
        let mut query = vec![("prefix", start.clone()), ("fields", "items(name),nextPageToken".to_owned())];
        // Inclusive, unlike ours.
        query.extend(after.map(|after| ("startOffset", own.start(after))));
        let (url, mut keys, mut token) = (self.client.objects(None), Vec::new(), None);
        loop {
            let mut query = query.clone();
            query.extend(token.map(|token| ("pageToken", token)));
            let answer = self.client.send(request, |http| http.get(&url).query(&query)).await?;
            if answer.status != 200 {
                return Err(self.client.refused(request, &answer));
            }
            let page: Page = serde_json::from_slice(&answer.body).map_err(|e| {
                Error::unavailable(format!("gs://{}/{start}: a listing that is none: {e}", self.client.settings.bucket))
            })?;
            let found = page.items.iter().filter_map(|item| own.key(&item.name));
            let wanted = found.filter(|key| key.starts_with(prefix) && after.is_none_or(|after| *key > after));
            keys.extend(wanted.map(str::to_owned));
            token = page.next_page_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let names = keys.iter().map(|key| self.name(key)).collect::<Result<Vec<_>>>()?;
        let deletes = stream::iter(names).map(|name| self.delete_one(name));
        deletes.buffer_unordered(DELETES_AT_ONCE).try_collect().await
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        Ok(Box::new(upload::Uploading::new(self.client.clone(), self.name(key)?)))
    }

    /// Nothing to do: unfinished uploads cannot be listed, show nothing, cost nothing, and expire after a week.
    async fn sweep(&self, _: &str, _: &(dyn for<'a> Fn(&'a str) -> bool + Sync)) -> Result<()> {
        Ok(())
    }

    fn url(&self, key: &str) -> String {
        let Settings { bucket, prefix, .. } = &self.client.settings;
        format!("gs://{bucket}/{}{key}", prefix.as_str())
    }
}
