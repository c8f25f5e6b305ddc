//! The API that other tests trust does what it says, wrong things too.

mod auth;
mod client;
mod encodings;
mod faults;
mod limits;
mod order;
mod paging;
mod reports;
mod rules;
