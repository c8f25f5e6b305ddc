//! What sources and the job log share of servers: TLS, URLs with credentials, the MySQL client, and how connections to
//! MySQL and PostgreSQL are made and fail.
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
