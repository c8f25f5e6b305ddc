//! What a real run was answered, in a file, with the secrets taken out; and runs that are answered out of such a file.
//!
//! The file is JSON Lines: one that says what it is, and one for each answer, with the request that it was for. It can be read
//! and edited by people: that is why a request's body stands there, and not a digest of it.

mod asked;
mod keeping;
mod line;
mod replaying;
#[cfg(test)]
mod tests;

pub use self::keeping::{Recording, Sheet};
pub use self::replaying::Replay;
