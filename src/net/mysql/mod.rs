//! Servers of MySQL and MariaDB: their client, their addresses, and how they are connected to.

pub mod client;
mod endpoint;
pub mod error;
pub mod url;

pub use self::endpoint::{Endpoint, Server};
