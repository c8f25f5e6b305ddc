//! Bodies as their `Content-Encoding` says: decoded to their end, or refused.
//!
//! Not by the client, which would do it for every other user of it too, takes half an encoded body for a whole one in some
//! encodings, and tells neither from a connection that broke.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use super::{Body, Broken, Spool, What};

/// What is sent as `Accept-Encoding`.
pub const ACCEPTED: &str = "gzip, deflate, br, zstd";

/// More, one over another, are somebody's joke.
const MOST: usize = 3;

/// What a window of Zstandard may take: what RFC 9659 has everybody keep to.
const WINDOW_LOG: u32 = 23;

const BUFFER: usize = 64 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstandard,
}

impl Coding {
    /// What the headers say, in the order in which it was done.
    pub fn of(headers: &HeaderMap) -> Result<Vec<Coding>, Broken> {
        let mut codings = Vec::new();
        for value in headers.get_all(CONTENT_ENCODING) {
            for name in value.to_str().unwrap_or("?").split(',').map(|name| name.trim().to_ascii_lowercase()) {
                match name.as_str() {
                    "" | "identity" => {}
                    "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                    "deflate" => codings.push(Coding::Deflate),
                    "br" => codings.push(Coding::Brotli),
                    "zstd" => codings.push(Coding::Zstandard),
                    _ => return Err(wrong("the body's Content-Encoding is none of gzip, deflate, br and zstd")),
                }
            }
        }
        match codings.len() > MOST {
            true => Err(wrong("the body is encoded too many times over")),
            false => Ok(codings),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstandard => "zstd",
        }
    }

    fn decoder(self, encoded: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
        let encoded = BufReader::with_capacity(BUFFER, encoded);
        Ok(match self {
            Coding::Gzip => Box::new(MultiGzDecoder::new(encoded)),
            Coding::Deflate => Box::new(Deflated { encoded, state: None, is_done: false }),
            Coding::Brotli => Box::new(brotli_decompressor::Decompressor::new(encoded, BUFFER)),
            Coding::Zstandard => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(encoded)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// The whole of a body, decoded. It blocks. An error of `encoded` is one of the encoding where there is any.
pub fn decoded(encoded: Box<dyn Read>, codings: &[Coding], most_in_memory: usize) -> Result<Body, Broken> {
    let mut reader = encoded;
    for coding in codings.iter().rev() {
        reader = coding.decoder(reader).map_err(|_| wrong(format!("the body is not {}", coding.name())))?;
    }
    let mut spool = Spool::new(most_in_memory);
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(spool.finish()),
            Ok(bytes) => spool.add(&buffer[..bytes]).map_err(|e| Broken::no_room(&e))?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(not_whole(codings, &e)),
        }
    }
}

fn not_whole(codings: &[Coding], error: &io::Error) -> Broken {
    let names = codings.iter().map(|coding| coding.name()).collect::<Vec<_>>().join(", ");
    match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong(format!("the body ends in the middle of its {names}")),
        _ => wrong(format!("the body is not the {names} that its Content-Encoding says")),
    }
}

fn wrong(message: impl Into<String>) -> Broken {
    Broken::new(What::Encoding, message)
}

/// `deflate`: zlib, as the standard says, or without its frame, as many servers send it.
///
/// Not a decoder of flate2's: those take the input's end for the stream's.
struct Deflated<R> {
    encoded: R,
    state: Option<Decompress>,
    is_done: bool,
}

impl<R: BufRead> Read for Deflated<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.is_done && !into.is_empty() {
            let input = self.encoded.fill_buf()?;
            if input.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            // The first byte tells: no raw deflate that anybody sends begins with that of zlib.
            let state = self.state.get_or_insert_with(|| Decompress::new(input[0] & 0x0f == 8 && input[0] >> 4 <= 7));
            let (before_in, before_out) = (state.total_in(), state.total_out());
            let status = state.decompress(input, into, FlushDecompress::None).map_err(io::Error::other)?;
            let (taken, given) = (state.total_in() - before_in, state.total_out() - before_out);
            self.is_done = status == Status::StreamEnd;
            self.encoded.consume(taken as usize);
            match (given, taken) {
                (0, 0) if !self.is_done => return Err(io::ErrorKind::InvalidData.into()),
                (0, _) => {}
                _ => return Ok(given as usize),
            }
        }
        Ok(0)
    }
}
