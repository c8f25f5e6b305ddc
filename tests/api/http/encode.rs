//! Bodies in the encodings that clients accept.

use std::io::{self, Write};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    Gzip,
    Deflate,
    /// Says `deflate`, and leaves the zlib wrapper away, as some servers do.
    DeflateRaw,
    Br,
    Zstd,
}

impl Encoding {
    /// As `Content-Encoding` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate | Self::DeflateRaw => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }

    /// The whole of `body`.
    pub fn encode(self, body: &[u8]) -> Bytes {
        let mut encoder = Encoder::new(self);
        encoder.write_all(body).unwrap();
        encoder.finish().into()
    }
}

/// The first of `offered` that `Accept-Encoding` has and does not refuse.
pub fn choose(accepted: Option<&str>, offered: &[Encoding]) -> Option<Encoding> {
    let accepted: Vec<&str> = accepted?
        .split(',')
        .filter_map(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let is_refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
            (!is_refused).then_some(name.trim())
        })
        .collect();
    offered.iter().copied().find(|encoding| accepted.iter().any(|name| [encoding.name(), "*"].contains(name)))
}

/// A body that is encoded while it is made.
pub struct Encoded {
    pieces: Box<dyn Iterator<Item = Bytes> + Send>,
    encoder: Option<Encoder>,
}

impl Encoded {
    pub fn new(pieces: Box<dyn Iterator<Item = Bytes> + Send>, encoding: Encoding) -> Self {
        Self { pieces, encoder: Some(Encoder::new(encoding)) }
    }
}

impl Iterator for Encoded {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let encoder = self.encoder.as_mut()?;
        for piece in self.pieces.by_ref() {
            encoder.write_all(&piece).unwrap();
            let ready = encoder.take();
            if !ready.is_empty() {
                return Some(ready.into());
            }
        }
        Some(self.encoder.take()?.finish().into())
    }
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    DeflateRaw(DeflateEncoder<Vec<u8>>),
    Br(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    fn new(encoding: Encoding) -> Self {
        let (fast, out) = (Compression::fast(), Vec::new());
        match encoding {
            Encoding::Gzip => Self::Gzip(GzEncoder::new(out, fast)),
            Encoding::Deflate => Self::Deflate(ZlibEncoder::new(out, fast)),
            Encoding::DeflateRaw => Self::DeflateRaw(DeflateEncoder::new(out, fast)),
            Encoding::Br => Self::Br(Box::new(CompressorWriter::new(out, 64 << 10, 2, 18))),
            Encoding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(out, 1).unwrap()),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(bytes),
            Self::Deflate(encoder) => encoder.write_all(bytes),
            Self::DeflateRaw(encoder) => encoder.write_all(bytes),
            Self::Br(encoder) => encoder.write_all(bytes),
            Self::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    /// What is ready to be sent.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Deflate(encoder) => encoder.get_mut(),
            Self::DeflateRaw(encoder) => encoder.get_mut(),
            Self::Br(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        })
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.finish().unwrap(),
            Self::Deflate(encoder) => encoder.finish().unwrap(),
            Self::DeflateRaw(encoder) => encoder.finish().unwrap(),
            Self::Br(encoder) => encoder.into_inner(),
            Self::Zstd(encoder) => encoder.finish().unwrap(),
        }
    }
}
