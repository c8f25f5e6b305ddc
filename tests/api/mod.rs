//! An HTTP API for tests, benchmarks and examples: honest until it is told to misbehave.
//!
//! [`Server::new`] listens on two ports of the loopback device, its own and one that plays another host, from a thread of its
//! own: it serves synchronous tests too, and tests that stop tokio's clock. Records are made from their numbers
//! ([`record`]), so that a test knows what must arrive. [`Rule`]s say which requests go wrong and how, [`Limit`]s how many are
//! let through, and [`Seen`] what came. All of it can be asked for over HTTP as well (`POST /_control`, `GET /_control`), for
//! `examples/api.rs`, which serves this as a program.
//!
//! It speaks HTTP/1.1 on bare sockets rather than through a library, which would not let it lie about a length.
// Each program that takes this in uses a part of it.
#![allow(dead_code, unused_imports, clippy::unwrap_used)]

pub mod auth;
mod control;
mod counts;
mod fault;
mod http;
mod kept;
mod limit;
mod page;
pub mod record;
mod routes;
mod rule;
mod server;
mod settings;
mod state;

pub use self::control::Order;
pub use self::counts::{Page, Seen};
pub use self::fault::{Fault, Length};
pub use self::http::{Encoding, Host, Request};
pub use self::limit::{Limit, Tell};
pub use self::record::Shape;
pub use self::routes::PATHS;
pub use self::rule::{Rule, When};
pub use self::server::Server;
pub use self::settings::Settings;
