//! Tests against real servers, which `tests/servers/up.sh` starts and names in the environment. Without its server a
//! test fails: none is skipped.
// What a killed process held is forgotten: dropping it would tidy up.
#![allow(clippy::mem_forget, clippy::unwrap_used)]

use std::fmt::Debug;
use std::str::FromStr;

#[cfg(feature = "rest")]
#[path = "../api/mod.rs"]
mod api;

#[path = "../conformance/store.rs"]
mod store_suite;

#[cfg(any(feature = "mysql", feature = "postgres"))]
#[path = "../conformance/interleaved.rs"]
mod interleaved;

#[cfg(any(feature = "mysql", feature = "postgres"))]
#[path = "../conformance/windows.rs"]
mod windows;

#[cfg(any(feature = "mysql", feature = "postgres"))]
mod backfill;
#[cfg(feature = "mysql")]
#[macro_use]
mod my;
mod formats;
#[cfg(all(feature = "gcs", feature = "s3"))]
mod from_config;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod job_log;
#[cfg(all(feature = "mysql", feature = "postgres", feature = "s3"))]
mod kill;
#[cfg(feature = "mysql")]
mod mariadb;
#[cfg(feature = "mongodb")]
mod mongo;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(all(feature = "mysql", feature = "postgres", feature = "s3"))]
mod plan;
#[cfg(feature = "postgres")]
mod postgres;
mod program;
#[cfg(any(feature = "mongodb", feature = "postgres"))]
mod render;
#[cfg(feature = "rest")]
mod rest;
#[cfg(feature = "s3")]
mod s3;
#[cfg(any(feature = "mysql", feature = "postgres"))]
mod statements;

/// The address or name that a server's variable holds.
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: start the servers with tests/servers"))
}

/// What a variable says, for a longer test than usual.
fn given<N: FromStr<Err: Debug>>(variable: &str, usual: N) -> N {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// A prefix that no other test, and no other run, uses.
fn fresh(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7())
}
