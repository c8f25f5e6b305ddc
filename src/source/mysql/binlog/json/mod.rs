//! MySQL's JSON as it stores it, to the text that it sends of it. (MariaDB's JSON is text.)

mod diff;
mod scalar;
mod stored;

pub use self::diff::apply;
pub use self::stored::write;
