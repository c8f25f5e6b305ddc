//! What the section of a stream says about CSV.

use super::{Dialect, Format};
use crate::config::Section;
use crate::error::Result;
use crate::format::keys;
use crate::format::text::Binary;

impl Format {
    /// Reads the keys of CSV; wrong ones are `Kind::Config`.
    pub fn of(section: &Section) -> Result<Self> {
        if section.is_set("flatten") && !section.flag("flatten")? {
            return Err(section.error("flatten", "cannot be `no` for CSV, which has no records"));
        }
        let dialect = Dialect {
            delimiter: delimiter(section.text("csv_delimiter")?).map_err(|m| section.error("csv_delimiter", m))?,
            header: section.flag("csv_header")?,
            null: section.text("csv_null")?.to_owned(),
            quote_all: section.text("csv_quote")? == "all",
            binary: match section.text("csv_bytes")? {
                "base64" => Binary::Base64,
                _ => Binary::Hex,
            },
            crlf: section.text("csv_line_end")? == "crlf",
        };
        let compression = keys::text_compression(section)?;
        let special = |byte: u8| byte == dialect.delimiter || matches!(byte, b'"' | b'\n' | b'\r');
        if dialect.null.bytes().any(special) {
            return Err(section.error("csv_null", "must not contain the delimiter, a quote or a line end"));
        }
        let separator = section.text("flatten_separator")?;
        Ok(Self::new(dialect, separator, compression))
    }
}

/// The byte that `csv_delimiter` stands for, or what it must be.
pub fn delimiter(text: &str) -> Result<u8, &'static str> {
    let byte = match text.as_bytes() {
        [byte] => Some(*byte),
        br"\t" => Some(b'\t'),
        [b'\\', b'x', high, low] => {
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            digit(high).zip(digit(low)).and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
        }
        _ => None,
    };
    let Some(byte) = byte.filter(u8::is_ascii) else {
        return Err(r"must be one ASCII character, `\t`, or a byte such as `\x01`");
    };
    // Numbers, dates and bytes are written without a look at the delimiter.
    let in_values = byte.is_ascii_alphanumeric() || b"+-.:/=".contains(&byte);
    if in_values || b"\"\n\r\\ \0".contains(&byte) {
        return Err("must not be a character that values or quoting need");
    }
    Ok(byte)
}
