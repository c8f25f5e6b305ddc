//! Tests that need no service.

#[path = "../conformance/store.rs"]
mod store_suite;

mod faulty;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(feature = "s3")]
mod s3;
mod scripted;
mod stores;
