//! `pipeline.conf`: INI as Python's configparser writes it, checked whole against what the connectors say they take.
//!
//! Knows no connector: they describe themselves as [`Kind`]s, and what arrives at them is a [`Section`] whose every
//! value has been parsed once already.

mod expand;
mod ini;
mod key;
mod load;
mod names;
mod nearest;
mod overrides;
mod place;
mod problem;
mod section;
mod values;

pub use expand::Environment;
pub use key::{Key, Kind, Value, parse_bytes, parse_duration};
pub use load::{Config, Registry, StreamSection};
pub use nearest::nearest;
pub use section::Section;
