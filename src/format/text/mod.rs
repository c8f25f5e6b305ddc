//! What CSV and JSON Lines share: the text of single values, and the lines they stand in.

pub mod binary;
mod cell;
mod lines;
pub mod number;
mod out;
pub mod time;

pub use binary::Binary;
pub use cell::{Cell, Column, Quotes, Style, unsupported};
pub use lines::{Encoder, Lines, Rows};
pub use out::Out;
