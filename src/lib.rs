//! Tidemark copies tables, collections and API endpoints into files that data platforms load, exactly once.
//!
//! Use goes one way: `cli` → `pipeline` → `source`, `destination`, `job_log` → `format`, `net` → `config`, `record`, `backoff` → `error`.
//! ARCHITECTURE.md says what each room is for.

#![forbid(unsafe_code)]

pub mod backoff;
pub mod cli;
pub mod config;
pub mod destination;
pub mod error;
pub mod format;
pub mod job_log;
pub mod net;
pub mod pipeline;
pub mod record;
pub mod source;
