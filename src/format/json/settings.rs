//! What the section of a stream says about JSON Lines.

use super::{Documents, Format, Options};
use crate::config::Section;
use crate::error::Result;
use crate::format::keys;
use crate::format::text::{Binary, Quotes, Style};

impl Format {
    /// Reads the keys of JSON Lines; wrong ones are `Kind::Config`.
    pub fn of(section: &Section) -> Result<Self> {
        let quotes = match section.text("json_numbers")? {
            "text" => Quotes::WideNumbers,
            _ => Quotes::Words,
        };
        let documents = match section.text("json_documents")? {
            "text" => Documents::Text,
            _ => Documents::Embed,
        };
        let options = Options { style: Style { quotes, binary: Binary::Base64 }, documents };
        Ok(Self::new(options, keys::flatten(section)?, keys::text_compression(section)?))
    }
}
