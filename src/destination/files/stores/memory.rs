//! A store in memory, for tests and for programs that embed the library: it keeps every promise of the seam except
//! that it outlives the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{key, swept};
use crate::destination::files::store::{Created, Store, Upload};
use crate::error::Result;

/// Clones share their objects, as two clients of one bucket do.
#[derive(Clone, Default)]
pub struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    /// The keys of unfinished uploads, by number.
    uploads: BTreeMap<u64, String>,
    begun: u64,
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// The keys of unfinished uploads, those of dropped ones among them, in the order in which they began.
    pub fn unfinished(&self) -> Vec<String> {
        self.state().uploads.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing between lock and unlock can leave the maps half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Memory {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        let key = key::checked(key)?;
        let mut state = self.state();
        if state.objects.contains_key(key) {
            return Ok(Created::AlreadyThere);
        }
        state.objects.insert(key.to_owned(), body);
        Ok(Created::Yes)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.state().objects.get(key::checked(key)?).cloned())
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
        let state = self.state();
        let from = after.unwrap_or_default().max(prefix);
        let keys = state.objects.range(from.to_owned()..).map(|(key, _)| key);
        let keys = keys.take_while(|key| key.starts_with(prefix));
        Ok(keys.filter(|key| Some(key.as_str()) != after).cloned().collect())
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let mut state = self.state();
        for key in keys {
            state.objects.remove(key::checked(key)?);
        }
        Ok(())
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let key = key::checked(key)?.to_owned();
        let mut state = self.state();
        state.begun += 1;
        let number = state.begun;
        state.uploads.insert(number, key.clone());
        Ok(Box::new(Uploading { store: self.clone(), number, key, body: BytesMut::new() }))
    }

    async fn sweep(&self, prefix: &str, dead: &(dyn for<'a> Fn(&'a str) -> bool + Sync)) -> Result<()> {
        self.state().uploads.retain(|_, key| !(key.starts_with(prefix) && dead(key)));
        Ok(())
    }

    fn url(&self, key: &str) -> String {
        format!("memory:{key}")
    }
}

/// Dropped, it stays unfinished until a sweep, as when its process was killed.
struct Uploading {
    store: Memory,
    number: u64,
    key: String,
    body: BytesMut,
}

#[async_trait]
impl Upload for Uploading {
    async fn write(&mut self, piece: Bytes) -> Result<()> {
        self.body.extend_from_slice(&piece);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        let mut state = self.store.state();
        if state.uploads.remove(&self.number).is_none() {
            return Err(swept(&self.key));
        }
        state.objects.insert(self.key, self.body.freeze());
        Ok(())
    }

    async fn abort(self: Box<Self>) {
        self.store.state().uploads.remove(&self.number);
    }

    fn held(&self) -> usize {
        self.body.len()
    }
}
