//! Tests of whole rooms through their public faces, without servers.
#![allow(clippy::unwrap_used)]

mod cli;
mod job_log;
