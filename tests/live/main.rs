//! Tests against real servers. One that finds no server fails.

#[cfg(feature = "postgres")]
mod postgres;

/// The address or name that a server's variable holds.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: start the servers with tests/servers"))
}
