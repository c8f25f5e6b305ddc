//! The store seam: the little that the commit protocol asks of local disk, S3 and GCS.
//!
//! Keys are `/`-separated and relative to the destination's prefix; every store maps them to a place of its own. A key
//! has no empty, `.` or `..` segment and no control character, and is taken literally: what a table's name may not hold
//! is percent-encoded before it comes here.

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::Result;

#[async_trait]
pub trait Store: Send + Sync {
    /// Creates an object, whole and durable, only if there is none under `key` yet. Of several callers at once, in
    /// whatever processes, exactly one is answered [`Created::Yes`].
    ///
    /// `Kind::Unavailable` says that it is unknown whether the object was created. A store never answers
    /// [`Created::AlreadyThere`] to its own retried request without the caller being able to find its own body there.
    async fn create(&self, key: &str, body: Bytes) -> Result<Created>;

    /// The whole object, or `None` where there is none.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// The keys that start with `prefix` and are greater than `after`, in byte order, all of them below the prefix at any
    /// depth. A listing sees every object that was created before it began.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>>;

    /// Deletes objects; one that is not there is no error.
    async fn delete(&self, keys: &[String]) -> Result<()>;

    /// Begins an upload. The object shows under `key` only once it is finished, and is then durable.
    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>>;

    /// Ends unfinished uploads of keys for which `dead` says so, whoever began them, among those that start with
    /// `prefix`; also temporary files. Uploads of other keys are not touched.
    ///
    /// To finish an upload that was ended so is `Kind::Conflict`. A store whose unfinished uploads cannot be listed
    /// (Google's) ends none: they show nothing, and expire.
    async fn sweep(&self, prefix: &str, dead: &(dyn for<'a> Fn(&'a str) -> bool + Sync)) -> Result<()>;

    /// The absolute path or URL of a key, for people and for `tidemark files`.
    fn url(&self, key: &str) -> String;
}

/// How a [`Store::create`] went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is there, whole and durable, and it is ours.
    Yes,
    /// There was one already; it is untouched. It may be our own, from a request whose answer was lost.
    AlreadyThere,
}

/// An upload in pieces.
#[async_trait]
pub trait Upload: Send {
    /// Appends a piece, of any size. May return before the piece has arrived, within the store's own bound of pieces
    /// in flight; an error of an earlier piece comes back from a later call.
    async fn write(&mut self, piece: Bytes) -> Result<()>;

    /// Completes the object. An existing one under the same key is replaced.
    async fn finish(self: Box<Self>) -> Result<()>;

    /// Gives up: nothing shows, and what was uploaded is removed as far as that is possible.
    ///
    /// An upload that is dropped shows nothing either; what it leaves behind, [`Store::sweep`] ends.
    async fn abort(self: Box<Self>);

    /// How many bytes of pieces it holds in memory just now, about.
    fn held(&self) -> usize {
        0
    }
}
