//! Files in a store: parts, and the commit log that says which of them count.

pub mod store;
pub mod stores;
