//! The keys of formats, and what they come to.

use super::compress::Compression;
use super::csv;
use crate::config::{Key, Section, Value};
use crate::error::{Error, Result};

/// Keys that may stand in a `[destination]` and in a `[stream]`, where the stream's win.
pub const KEYS: &[Key] = &[
    Key::new("format", Value::OneOf(&["csv", "json", "parquet"]), "How data files are written; `json` is JSON Lines.")
        .default("parquet")
        .example("parquet"),
    Key::new(
        "compression",
        Value::OneOf(&["none", "gzip", "snappy", "zstd"]),
        "How data files are compressed: by default `zstd` for Parquet and `none` for CSV and JSON. `snappy` is for \
         Parquet only.",
    )
    .example("zstd"),
    Key::new(
        "compression_level",
        Value::Integer(1, 19),
        "How hard to compress: 1 to 9 for gzip (by default 4), 1 to 19 for zstd (by default 1).",
    )
    .example("3"),
    Key::new(
        "flatten",
        Value::Flag,
        "Whether the fields of a record become columns, as they always do in CSV. Lists are left as they are.",
    )
    .default("no"),
    Key::new("flatten_separator", Value::Text, "What stands between the names of a record and of its field.")
        .default("."),
    Key::new(
        "csv_delimiter",
        Value::Checked("text", |text| csv::delimiter(text).map(drop)),
        "What stands between two values: one ASCII character that is part of no number or date. `\\t` is a tab, and \
         `\\x01` any byte by its number.",
    )
    .default(",")
    .example(";"),
    Key::new("csv_header", Value::Flag, "Whether the first line names the columns.").default("yes"),
    Key::new(
        "csv_null",
        Value::Text,
        "What stands for NULL, always without quotes; the same text as a value is in quotes. By default nothing at \
         all, while an empty text is `\"\"`.",
    )
    .default("")
    .example("\\N"),
    Key::new(
        "csv_quote",
        Value::OneOf(&["minimal", "all"]),
        "Which values stand in quotes: those that would be misread without, or all but NULL.",
    )
    .default("minimal"),
    Key::new("csv_bytes", Value::OneOf(&["hex", "base64"]), "How bytes are written.").default("hex"),
    Key::new("csv_line_end", Value::OneOf(&["lf", "crlf"]), "What ends a line. RFC 4180 has `crlf`; readers take both.")
        .default("lf"),
    Key::new(
        "json_numbers",
        Value::OneOf(&["exact", "text"]),
        "How integers of 64 bits and decimals are written: `exact` as numbers with all their digits, `text` as strings, \
         for readers that take every number for a double.",
    )
    .default("exact"),
    Key::new(
        "json_documents",
        Value::OneOf(&["embed", "text"]),
        "How the documents of a JSON column are written: as they are, or as strings.",
    )
    .default("embed"),
    Key::new(
        "row_group_bytes",
        Value::Bytes,
        "A Parquet row group is closed at about this encoded size, or before where memory is short.",
    )
    .default("16 MiB")
    .example("64 MiB"),
    Key::new(
        "parquet_encoding",
        Value::OneOf(&["compact", "plain"]),
        "`plain` keeps to the encodings of Parquet 1.0, for old readers; files are larger and slower to write.",
    )
    .default("compact"),
    Key::new(
        "parquet_wide_decimals",
        Value::OneOf(&["decimal", "text"]),
        "How decimals of more than 38 digits are written: as decimals, which many readers round or refuse, or as text.",
    )
    .default("decimal"),
];

/// Refuses keys that only another format has, where `format` is nowhere set: such a file was meant for that format.
///
/// Where it is set, they may well come from the destination, for other streams.
pub fn check_strays(section: &Section) -> Result<()> {
    if section.is_set("format") {
        return Ok(());
    }
    let default = section.text("format")?;
    let of_others = KEYS.iter().filter_map(|key| match key.name.split_once('_') {
        Some((format @ ("csv" | "json"), _)) if section.is_set(key.name) => Some((key.name, format)),
        _ => None,
    });
    match of_others.into_iter().next() {
        None => Ok(()),
        Some((key, format)) => Err(section
            .error(key, format!("is for `format = {format}`, and the format is `{default}` where none is set"))
            .hint(format!("Set `format = {format}`, or take the key away."))),
    }
}

/// What stands between the names of a record and its field; `None` where records stay.
pub fn flatten(section: &Section) -> Result<Option<String>> {
    let separator = section.text("flatten_separator")?.to_owned();
    Ok(section.flag("flatten")?.then_some(separator))
}

/// A compression level within bounds; `default` where none is set.
pub fn level(section: &Section, compression: &str, highest: u8, default: u8) -> Result<u8> {
    if !section.is_set("compression_level") {
        return Ok(default);
    }
    let level = section.integer("compression_level")?;
    u8::try_from(level)
        .ok()
        .filter(|level| (1..=highest).contains(level))
        .ok_or_else(|| section.error("compression_level", format!("must be from 1 to {highest} for {compression}")))
}

/// The level of gzip, whatever the format: half as fast again at a better size than 3, and nearly that of 6.
pub const GZIP_LEVEL: u8 = 4;
/// The level of zstd, whatever the format: the size of 3 or nearly so, in two thirds of the time.
pub const ZSTD_LEVEL: u8 = 1;

/// The compression of a text format.
pub fn text_compression(section: &Section) -> Result<Compression> {
    match section.get("compression") {
        Some("gzip") => Ok(Compression::Gzip(level(section, "gzip", 9, GZIP_LEVEL)?.into())),
        Some("zstd") => Ok(Compression::Zstd(level(section, "zstd", 19, ZSTD_LEVEL)?.into())),
        Some("snappy") => Err(section.error("compression", "can be `snappy` for Parquet only")),
        None if section.is_set("compression_level") => Err(no_level(section)),
        _ => Ok(Compression::None),
    }
}

/// A level where nothing is compressed.
fn no_level(section: &Section) -> Error {
    section
        .error("compression_level", "means nothing where `compression` is not set: this format is not compressed then")
        .hint("Set `compression = zstd` or `gzip`, or take the level away.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::format::{Format, format};

    fn made(values: &[(&str, &str)]) -> Result<Box<dyn Format>> {
        format(&Section::of_keys("stream s", KEYS.iter().collect(), values)?)
    }

    fn extension(values: &[(&str, &str)]) -> String {
        made(values).unwrap().extension().to_owned()
    }

    /// The message about the one key that is wrong.
    fn refusal(key: &str, values: &[(&str, &str)]) -> String {
        let Err(error) = made(values) else { panic!("{values:?} was taken") };
        assert!(error.kind() == Kind::Config && error.message().contains(&format!("`{key}`")), "{error}");
        error.to_string()
    }

    #[test]
    fn every_format_has_its_extension() {
        assert_eq!(extension(&[]), "parquet");
        assert_eq!(extension(&[("compression", "gzip")]), "parquet");
        assert_eq!(extension(&[("format", "csv")]), "csv");
        assert_eq!(extension(&[("format", "csv"), ("compression", "gzip")]), "csv.gz");
        assert_eq!(extension(&[("format", "json"), ("compression", "zstd")]), "jsonl.zst");
        assert_eq!(extension(&[("format", "json"), ("compression", "none")]), "jsonl");
    }

    #[test]
    fn every_default_is_a_value_of_its_key() {
        for key in KEYS {
            let refusal = key.default.and_then(|default| key.value.refusal(default));
            assert_eq!(refusal, None, "{}", key.name);
        }
    }

    #[test]
    fn levels_have_the_bounds_of_their_compression() {
        assert!(made(&[("compression_level", "19")]).is_ok());
        assert!(made(&[("compression", "gzip"), ("compression_level", "9")]).is_ok());
        for format in ["csv", "json", "parquet"] {
            let values = [("format", format), ("compression", "gzip"), ("compression_level", "10")];
            assert!(refusal("compression_level", &values).contains("1 to 9"));
        }
        assert!(refusal("compression_level", &[("format", "csv"), ("compression_level", "3")]).contains("zstd"));
        assert!(refusal("compression", &[("format", "csv"), ("compression", "snappy")]).contains("Parquet only"));
        // Set for other streams of the destination, where this one is not compressed.
        assert!(made(&[("format", "csv"), ("compression", "none"), ("compression_level", "3")]).is_ok());
    }

    #[test]
    fn keys_of_another_format_are_refused_where_no_format_is_set() {
        assert!(refusal("csv_delimiter", &[("csv_delimiter", ";")]).contains("Set `format = csv`"));
        assert!(refusal("json_numbers", &[("json_numbers", "text")]).contains("Set `format = json`"));
        assert!(made(&[("format", "parquet"), ("csv_delimiter", ";")]).is_ok());
        refusal("flatten", &[("format", "csv"), ("flatten", "no")]);
    }

    #[test]
    fn csv_has_one_plain_byte_between_values() {
        for fine in [",", ";", "|", "\\t", "\\x01", "\\x1F"] {
            assert!(made(&[("format", "csv"), ("csv_delimiter", fine)]).is_ok(), "{fine}");
        }
        for wrong in ["", ",,", "ä", "\"", "0", "e", "-", ".", ":", "\\", "\\xff", "\\x0a", "\\x+1", "\n"] {
            refusal("csv_delimiter", &[("format", "csv"), ("csv_delimiter", wrong)]);
        }
        assert!(made(&[("format", "csv"), ("csv_null", "\\N")]).is_ok());
        refusal("csv_null", &[("format", "csv"), ("csv_null", "a,b")]);
        refusal("csv_null", &[("format", "csv"), ("csv_null", "\"\"")]);
    }
}
