//! What sources, stores and the job log share of servers: TLS, URLs, the MySQL client, and how connections to MySQL and
//! PostgreSQL are made and fail.
//!
//! Knows nothing of what is read or written over a connection.

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub mod credentials;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod tls;
#[cfg(feature = "postgres")]
pub mod wakes;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// What is encoded in a piece of a URL, in its path as in its query: all but the characters that RFC 3986 calls unreserved. Of
/// all ways to write one, only this is read alike by everybody: a space as `%20`, which a plus sign is not to those that sign
/// requests.
pub const ENCODED_IN_URLS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
