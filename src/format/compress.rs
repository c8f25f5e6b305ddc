//! Compression of text formats, as a stream. (Parquet compresses page by page, on its own.)

use std::io::{self, Write as _};

use flate2::write::GzEncoder;

use crate::error::{Error, Result};

/// How a text file is compressed, and how hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip(u32),
    Zstd(i32),
}

impl Compression {
    /// `base` with what the compression adds to it: `csv.gz`.
    pub fn extension(self, base: &str) -> String {
        match self {
            Compression::None => base.to_owned(),
            Compression::Gzip(_) => format!("{base}.gz"),
            Compression::Zstd(_) => format!("{base}.zst"),
        }
    }

    /// The compressor of a file; `None` where it is not compressed.
    pub fn compressor(self) -> Result<Option<Compressor>> {
        Ok(match self {
            Compression::None => None,
            Compression::Gzip(level) => {
                Some(Compressor::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(level))))
            }
            Compression::Zstd(level) => {
                let mut encoder = zstd::Encoder::new(Vec::new(), level).map_err(failed)?;
                encoder.include_checksum(true).map_err(failed)?;
                Some(Compressor::Zstd(encoder))
            }
        })
    }
}

/// Takes text, and collects what it becomes.
pub enum Compressor {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    pub fn write(&mut self, text: &[u8]) -> Result<()> {
        match self {
            Compressor::Gzip(encoder) => encoder.write_all(text),
            Compressor::Zstd(encoder) => encoder.write_all(text),
        }
        .map_err(failed)
    }

    /// The bytes that have come out so far: to be taken away at any time.
    pub fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Compressor::Gzip(encoder) => encoder.get_mut(),
            Compressor::Zstd(encoder) => encoder.get_mut(),
        }
    }

    /// How many bytes have come out and were not taken away.
    pub fn waiting(&self) -> usize {
        match self {
            Compressor::Gzip(encoder) => encoder.get_ref().len(),
            Compressor::Zstd(encoder) => encoder.get_ref().len(),
        }
    }

    /// The end of the file.
    pub fn finish(self) -> Result<Vec<u8>> {
        match self {
            Compressor::Gzip(encoder) => encoder.finish(),
            Compressor::Zstd(encoder) => encoder.finish(),
        }
        .map_err(failed)
    }
}

fn failed(error: io::Error) -> Error {
    Error::bug(format!("compression: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn unpacked(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        match compression {
            Compression::None => text.extend_from_slice(bytes),
            Compression::Gzip(_) => {
                flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
            }
            Compression::Zstd(_) => text = zstd::decode_all(bytes).unwrap(),
        }
        text
    }

    #[test]
    fn what_is_taken_on_the_way_and_the_end_read_back() {
        for compression in [Compression::Gzip(4), Compression::Zstd(1)] {
            let mut compressor = compression.compressor().unwrap().unwrap();
            let (mut text, mut got, mut taken) = (Vec::new(), Vec::new(), 0);
            for n in 0..100_000u64 {
                let digits = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string();
                compressor.write(digits.as_bytes()).unwrap();
                text.extend_from_slice(digits.as_bytes());
                if compressor.waiting() > 10_000 {
                    got.append(compressor.output());
                    taken += 1;
                }
            }
            got.append(&mut compressor.finish().unwrap());
            assert!(taken > 10 && got.len() < text.len());
            assert_eq!(unpacked(compression, &got), text);
        }
    }

    #[test]
    fn an_empty_file_is_a_valid_one() {
        for compression in [Compression::Gzip(4), Compression::Zstd(1)] {
            let bytes = compression.compressor().unwrap().unwrap().finish().unwrap();
            assert!(!bytes.is_empty() && unpacked(compression, &bytes).is_empty());
        }
        assert!(Compression::None.compressor().unwrap().is_none());
    }
}
