//! Tests against real servers. One that finds no server fails.

#[path = "../conformance/store.rs"]
mod store_suite;

mod formats;
#[cfg(feature = "s3")]
mod s3;

/// The address or name that a server's variable holds.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: start the servers with tests/servers"))
}

/// A prefix that no other test, and no other run, uses.
fn fresh(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7())
}
