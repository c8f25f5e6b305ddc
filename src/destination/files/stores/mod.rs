//! The stores, and their registry.
//!
//! A new store is a folder here and a line in [`STORES`]; `tests/conformance/store.rs` says whether it keeps the promises.

#[cfg(feature = "gcs")]
pub mod gcs;
mod key;
pub mod local;
pub mod memory;
#[cfg(any(feature = "s3", feature = "gcs"))]
mod prefix;
#[cfg(feature = "s3")]
pub mod s3;

use std::sync::Arc;

use super::store::Store;
use crate::config::{Key, Kind, Section};
use crate::error::{Error, Result};

/// How a store is made from its section.
pub struct Maker {
    pub kind: Kind,
    /// Checks what single keys do not tell. Connects to nothing.
    pub check: fn(&Section) -> Result<()>,
    /// Connects to nothing either: the first request does.
    pub make: fn(&Section) -> Result<Arc<dyn Store>>,
}

/// A kind of store, with the keys that streams of files have in every store.
const fn kind(name: &'static str, about: &'static str, keys: &'static [&'static [Key]]) -> Kind {
    Kind { name, about, keys, stream_keys: super::KEYS, aliases: &[] }
}

/// The registry.
pub const STORES: &[&Maker] = &[
    &local::MAKER,
    #[cfg(feature = "s3")]
    &s3::MAKER,
    #[cfg(feature = "gcs")]
    &gcs::MAKER,
];

/// The maker of a kind of store.
pub fn maker(kind: &str) -> Result<&'static Maker> {
    STORES
        .iter()
        .copied()
        .find(|maker| maker.kind.name == kind)
        .ok_or_else(|| Error::bug(format!("no store of type {kind}")))
}

/// The store that a `[destination]` section of this kind describes.
pub fn store(kind: &str, section: &Section) -> Result<Arc<dyn Store>> {
    (maker(kind)?.make)(section)
}

/// Checks such a section; connects to nothing.
pub fn check(kind: &str, section: &Section) -> Result<()> {
    (maker(kind)?.check)(section)
}

/// An upload was ended by a sweep that was not its own run's.
fn swept(place: &str) -> Error {
    Error::conflict(format!("{place}: the unfinished upload is gone"))
        .hint("Another run has opened this stream and cleared what was unfinished; let only one of them run.")
}

/// Whether an address is a scheme, a host and perhaps a port: no path, and no credentials, which would come to stand in
/// messages.
#[cfg(any(feature = "s3", feature = "gcs"))]
fn is_plain_endpoint(endpoint: &str) -> bool {
    url::Url::parse(endpoint).is_ok_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.path() == "/" && bare
    })
}

/// Whether an error says, somewhere within, that a server's certificate is not trusted.
#[cfg(any(feature = "s3", feature = "gcs"))]
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return matches!(error, rustls::Error::InvalidCertificate(_));
    }
    // An error within an I/O error is not among its sources.
    let inner = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
    inner.is_some_and(|inner| is_untrusted(inner))
}
