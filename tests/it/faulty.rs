//! A store whose requests go wrong by plan: what networks and machines do to the real ones.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tidemark::destination::files::store::{Created, Store, Upload};
use tidemark::error::{Error, Result};

/// A request of the seam.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Create,
    Get,
    List,
    Delete,
    /// The beginning of an upload.
    Upload,
    Write,
    Finish,
    Abort,
    Sweep,
}

impl Op {
    pub const ALL: [Op; 9] =
        [Op::Create, Op::Get, Op::List, Op::Delete, Op::Upload, Op::Write, Op::Finish, Op::Abort, Op::Sweep];
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// It fails, and nothing was done.
    Refuse,
    /// It is done, and fails: the answer is lost.
    Lose,
    /// It fails, and is done later: when [`Held`] lets it land, perhaps after a restart.
    Hold,
    /// It is done, after a while.
    Slow(Duration),
}

/// Decides the fate of each request. For deletes and sweeps, `key` is the first key or the prefix.
pub trait Plan: Send {
    fn fault(&mut self, op: Op, key: &str) -> Fault;
}

impl<F: FnMut(Op, &str) -> Fault + Send> Plan for F {
    fn fault(&mut self, op: Op, key: &str) -> Fault {
        self(op, key)
    }
}

/// Faults at random, the same for the same seed.
pub struct Random {
    state: u64,
    /// How many requests of a thousand go wrong.
    per_mille: u64,
}

impl Random {
    pub fn new(seed: u64, per_mille: u64) -> Self {
        Self { state: seed, per_mille }
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

impl Plan for Random {
    fn fault(&mut self, _: Op, _: &str) -> Fault {
        if self.below(1000) >= self.per_mille {
            return Fault::None;
        }
        match self.below(4) {
            0 => Fault::Refuse,
            1 => Fault::Lose,
            2 => Fault::Hold,
            _ => Fault::Slow(Duration::from_millis(1 + self.below(5))),
        }
    }
}

/// Requests on their way whose callers have given up. Clones share them; they outlive the store and its run.
#[derive(Clone, Default)]
pub struct Held(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Held {
    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Lets one land, out of order if need be; `false` where there is none.
    pub async fn land(&self, index: usize) -> bool {
        let request = {
            let mut held = self.0.lock().unwrap();
            (index < held.len()).then(|| held.remove(index))
        };
        match request {
            Some(request) => request.await,
            None => return false,
        }
        true
    }

    pub async fn land_all(&self) {
        while self.land(0).await {}
    }

    /// They never arrive.
    pub fn forget(&self) {
        // An upload among them must look as after a kill, not as after a drop.
        std::mem::take(&mut *self.0.lock().unwrap()).into_iter().for_each(std::mem::forget);
    }

    fn push(&self, request: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap().push(Box::pin(request));
    }
}

/// Wraps a store.
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn Store>,
    plan: Arc<Mutex<dyn Plan>>,
    held: Held,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Store>, plan: impl Plan + 'static) -> Self {
        Self { inner, plan: Arc::new(Mutex::new(plan)), held: Held::default() }
    }

    /// The requests that are held, to let them land.
    pub fn held(&self) -> Held {
        self.held.clone()
    }

    fn fault(&self, op: Op, key: &str) -> Fault {
        self.plan.lock().unwrap().fault(op, key)
    }

    /// A request that borrows nothing, so that it can be done whenever.
    async fn request<T>(&self, op: Op, key: &str, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        match self.fault(op, key) {
            Fault::None => work.await,
            Fault::Refuse => Err(failed(op, key)),
            Fault::Lose => work.await.and(Err(failed(op, key))),
            Fault::Hold => {
                self.held.push(async move {
                    // Nobody is there to hear how it went.
                    let _ = work.await;
                });
                Err(failed(op, key))
            }
            Fault::Slow(time) => {
                tokio::time::sleep(time).await;
                work.await
            }
        }
    }

    fn uploading(&self, key: &str, inner: Box<dyn Upload>) -> Box<dyn Upload> {
        Box::new(Uploading { store: self.clone(), key: key.to_owned(), inner: Some(inner) })
    }
}

#[async_trait]
impl Store for Faulty {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        let (inner, owned) = (self.inner.clone(), key.to_owned());
        self.request(Op::Create, key, async move { inner.create(&owned, body).await }).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let (inner, owned) = (self.inner.clone(), key.to_owned());
        self.request(Op::Get, key, async move { inner.get(&owned).await }).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
        let (inner, owned, after) = (self.inner.clone(), prefix.to_owned(), after.map(str::to_owned));
        self.request(Op::List, prefix, async move { inner.list(&owned, after.as_deref()).await }).await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let (inner, owned) = (self.inner.clone(), keys.to_vec());
        let first = keys.first().map_or("", String::as_str);
        self.request(Op::Delete, first, async move { inner.delete(&owned).await }).await
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let inner = match self.fault(Op::Upload, key) {
            Fault::None => self.inner.upload(key).await?,
            Fault::Refuse => return Err(failed(Op::Upload, key)),
            Fault::Lose => {
                kill(self.inner.upload(key).await?);
                return Err(failed(Op::Upload, key));
            }
            Fault::Hold => {
                let (inner, owned) = (self.inner.clone(), key.to_owned());
                self.held.push(async move { inner.upload(&owned).await.map_or((), kill) });
                return Err(failed(Op::Upload, key));
            }
            Fault::Slow(time) => {
                tokio::time::sleep(time).await;
                self.inner.upload(key).await?
            }
        };
        Ok(self.uploading(key, inner))
    }

    async fn sweep(&self, prefix: &str, dead: &(dyn for<'a> Fn(&'a str) -> bool + Sync)) -> Result<()> {
        match self.fault(Op::Sweep, prefix) {
            Fault::None => self.inner.sweep(prefix, dead).await,
            Fault::Refuse => Err(failed(Op::Sweep, prefix)),
            Fault::Lose => self.inner.sweep(prefix, dead).await.and(Err(failed(Op::Sweep, prefix))),
            Fault::Hold => {
                // What is dead is decided now; it is ended later.
                let condemned = Mutex::new(Vec::new());
                let note = |key: &str| {
                    if dead(key) {
                        condemned.lock().unwrap().push(key.to_owned());
                    }
                    false
                };
                self.inner.sweep(prefix, &note).await?;
                let (inner, prefix, condemned) =
                    (self.inner.clone(), prefix.to_owned(), condemned.into_inner().unwrap());
                let error = failed(Op::Sweep, &prefix);
                self.held.push(async move {
                    let _ = inner.sweep(&prefix, &|key| condemned.iter().any(|dead| dead == key)).await;
                });
                Err(error)
            }
            Fault::Slow(time) => {
                tokio::time::sleep(time).await;
                self.inner.sweep(prefix, dead).await
            }
        }
    }

    fn url(&self, key: &str) -> String {
        self.inner.url(key)
    }
}

struct Uploading {
    store: Faulty,
    key: String,
    /// Gone once a held request has taken it along.
    inner: Option<Box<dyn Upload>>,
}

#[async_trait]
impl Upload for Uploading {
    async fn write(&mut self, piece: Bytes) -> Result<()> {
        let fault = self.store.fault(Op::Write, &self.key);
        let Some(inner) = &mut self.inner else { return Err(failed(Op::Write, &self.key)) };
        match fault {
            Fault::None => inner.write(piece).await,
            Fault::Refuse => Err(failed(Op::Write, &self.key)),
            Fault::Lose => inner.write(piece).await.and(Err(failed(Op::Write, &self.key))),
            Fault::Hold => {
                if let Some(mut inner) = self.inner.take() {
                    self.store.held.push(async move {
                        let _ = inner.write(piece).await;
                        kill(inner);
                    });
                }
                Err(failed(Op::Write, &self.key))
            }
            Fault::Slow(time) => {
                tokio::time::sleep(time).await;
                inner.write(piece).await
            }
        }
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        let Some(inner) = self.inner.take() else { return Err(failed(Op::Finish, &self.key)) };
        match self.store.fault(Op::Finish, &self.key) {
            Fault::Refuse => {
                kill(inner);
                Err(failed(Op::Finish, &self.key))
            }
            Fault::None => inner.finish().await,
            Fault::Lose => inner.finish().await.and(Err(failed(Op::Finish, &self.key))),
            Fault::Hold => {
                self.store.held.push(async move {
                    let _ = inner.finish().await;
                });
                Err(failed(Op::Finish, &self.key))
            }
            Fault::Slow(time) => {
                tokio::time::sleep(time).await;
                inner.finish().await
            }
        }
    }

    async fn abort(mut self: Box<Self>) {
        let Some(inner) = self.inner.take() else { return };
        match self.store.fault(Op::Abort, &self.key) {
            Fault::Refuse => kill(inner),
            Fault::None | Fault::Lose => inner.abort().await,
            Fault::Hold => self.store.held.push(inner.abort()),
            Fault::Slow(time) => {
                tokio::time::sleep(time).await;
                inner.abort().await;
            }
        }
    }

    fn held(&self) -> usize {
        self.inner.as_ref().map_or(0, |inner| inner.held())
    }
}

/// Neither finished nor aborted, nor dropped: as when the process dies.
fn kill(upload: Box<dyn Upload>) {
    std::mem::forget(upload);
}

fn failed(op: Op, key: &str) -> Error {
    Error::unavailable(format!("{op:?} of {key}: a fault by plan"))
}
