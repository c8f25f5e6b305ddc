//! APIs over HTTP.
//!
//! What is asked is a [`request`], which [`auth`] signs and a [`transport`] sends; what comes back has a [`body`] with records.
#![allow(dead_code, reason = "the streams that use these rooms come with the configuration of sources and streams")]

mod auth;
pub mod body;
mod request;
pub mod transport;
