//! HTTP APIs: requests that are signed, sent and taken to their end.
#![allow(dead_code, reason = "the reader of pages that uses this is yet to come")]

pub mod auth;
pub mod request;
pub mod transport;
