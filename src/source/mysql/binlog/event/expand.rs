//! MariaDB's compressed events (`log_bin_compress`), and what of it its compressed columns share.

use flate2::{Decompress, FlushDecompress, Status};

use super::super::bytes::{Bytes, Torn, big};
use super::super::fault::Fault;
use super::format::Format;
use super::kind;
use super::rows::RowsEvent;

/// Zlib, in the high bits of the first byte.
const ZLIB: u8 = 0x80;
/// What is made room for at once.
const STEP: usize = 64 << 10;

/// Writes a compressed event's body as that of a plain one, and returns the plain one's type; `None` for an event that is
/// not compressed.
pub fn expand(of: u8, body: &[u8], format: &Format, out: &mut Vec<u8>) -> Result<Option<u8>, Fault> {
    let torn = Fault::torn(of);
    let (plain, tail) = match of {
        kind::QUERY_COMPRESSED => (kind::QUERY, super::Query::of(body).map_err(&torn)?.sql),
        kind::WRITE_ROWS_COMPRESSED_V1..=kind::DELETE_ROWS_COMPRESSED_V1 => {
            (of - kind::WRITE_ROWS_COMPRESSED_V1 + kind::WRITE_ROWS_V1, rows(of, body, format).map_err(&torn)?)
        }
        kind::WRITE_ROWS_COMPRESSED..=kind::DELETE_ROWS_COMPRESSED => {
            (of - kind::WRITE_ROWS_COMPRESSED + kind::WRITE_ROWS, rows(of, body, format).map_err(&torn)?)
        }
        _ => return Ok(None),
    };
    out.clear();
    out.extend_from_slice(&body[..body.len() - tail.len()]);
    let mut bytes = Bytes(tail);
    let head = bytes.u8().map_err(&torn)?;
    if head & 0xf0 != ZLIB {
        return Err(Fault::Method("compression of events"));
    }
    let length = bytes.take((head & 0x07).into()).map_err(&torn)?;
    inflate(bytes.rest(), big(length), true, out).map_err(|Torn| Fault::Compressed)?;
    Ok(Some(plain))
}

fn rows<'a>(of: u8, body: &'a [u8], format: &Format) -> Result<&'a [u8], Torn> {
    RowsEvent::of(of, body, format).map(|event| event.rows)
}

/// Adds what is compressed to `out`, which must be so many bytes. Room is made as bytes come, not as they are announced.
pub fn inflate(bytes: &[u8], length: u64, has_header: bool, out: &mut Vec<u8>) -> Result<(), Torn> {
    let length = usize::try_from(length).map_err(|_| Torn)?;
    let begin = out.len();
    let mut inflater = Decompress::new(has_header);
    loop {
        let missing = length.checked_sub(out.len() - begin).ok_or(Torn)?;
        // One more than there should be, so that more is noticed.
        out.reserve(STEP.min(missing + 1));
        let taken = usize::try_from(inflater.total_in()).map_err(|_| Torn)?;
        let before = (inflater.total_in(), inflater.total_out());
        let status = inflater.decompress_vec(&bytes[taken..], out, FlushDecompress::None).map_err(|_| Torn)?;
        if status == Status::StreamEnd {
            return if out.len() - begin == length { Ok(()) } else { Err(Torn) };
        }
        if before == (inflater.total_in(), inflater.total_out()) {
            return Err(Torn);
        }
    }
}
