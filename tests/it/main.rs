//! Tests of whole rooms through their public faces, without servers.
#![allow(clippy::unwrap_used)]

#[path = "../conformance/store.rs"]
mod store_suite;

mod cli;
mod crash;
mod faulty;
mod formats;
mod job_log;
mod memory_log;
mod script;
mod sqlite;
mod stores;
