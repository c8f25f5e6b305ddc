//! Tests that need no service.

#[path = "../conformance/store.rs"]
mod store_suite;

mod faulty;
mod stores;
