//! Tests of whole rooms through their public faces, without servers.
// What a killed process held is forgotten: dropping it would tidy up.
#![allow(clippy::mem_forget, clippy::unwrap_used)]

#[path = "../api/mod.rs"]
mod api_server;

#[path = "../conformance/store.rs"]
mod store_suite;

#[path = "../conformance/interleaved.rs"]
mod interleaved;

#[path = "../conformance/windows.rs"]
mod windows;

mod api;
mod chunks;
mod cli;
mod commit_log;
mod crash;
mod failing;
mod faulty;
mod formats;
mod found;
#[cfg(feature = "gcs")]
mod gcs;
mod generations;
mod handover;
mod job_log;
mod keys;
mod memory_log;
mod messages;
mod parts;
mod recovery;
#[cfg(feature = "s3")]
mod retry;
mod s3;
mod script;
mod scripted;
mod sqlite;
mod stopping;
mod stores;
mod tidy;
