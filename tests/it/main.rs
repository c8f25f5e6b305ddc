//! Tests that need no service.

#[path = "../conformance/store.rs"]
mod store_suite;

mod crash;
mod faulty;
mod memory_log;
mod script;
mod sqlite;
mod stores;
