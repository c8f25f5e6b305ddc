//! What the section of a stream says about Parquet.

use parquet::basic::{Compression, GzipLevel, ZstdLevel};

use super::Format;
use crate::config::Section;
use crate::error::Result;
use crate::format::keys;

impl Format {
    /// Reads the keys of Parquet; wrong ones are `Kind::Config`.
    pub fn of(section: &Section) -> Result<Self> {
        Ok(Self {
            compression: compression(section)?,
            row_group_bytes: usize::try_from(section.bytes("row_group_bytes")?).unwrap_or(usize::MAX),
            plain: section.text("parquet_encoding")? == "plain",
            wide_decimals_as_text: section.text("parquet_wide_decimals")? == "text",
            flatten: keys::flatten(section)?,
        })
    }
}

fn compression(section: &Section) -> Result<Compression> {
    let out_of_bounds = |_| section.error("compression_level", "is out of bounds");
    match section.get("compression") {
        Some("none") => Ok(Compression::UNCOMPRESSED),
        Some("snappy") => Ok(Compression::SNAPPY),
        Some("gzip") => {
            let level = keys::level(section, "gzip", 9, keys::GZIP_LEVEL)?;
            GzipLevel::try_new(level.into()).map(Compression::GZIP).map_err(out_of_bounds)
        }
        _ => {
            let level = keys::level(section, "zstd", 19, keys::ZSTD_LEVEL)?;
            ZstdLevel::try_new(level.into()).map(Compression::ZSTD).map_err(out_of_bounds)
        }
    }
}
