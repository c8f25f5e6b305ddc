//! Bodies without an envelope.

use bytes::Bytes;

use super::super::http::{Body, Reply};
use super::super::page::Format;
use super::super::record;
use super::{Call, not_found};

pub fn array(call: &Call<'_>) -> Reply {
    Reply::around("", call.records(0..call.settings.records), "")
}

pub fn object(call: &Call<'_>) -> Reply {
    let id = call.request.number("id").unwrap_or(1);
    match u64::try_from(id) {
        Ok(id @ 1..) if id <= call.settings.records => {
            Reply::new(200, "application/json", record::json(call.shape(), 0, id))
        }
        _ => not_found(),
    }
}

/// Pages from 1 on; the first that is behind the last record has none. CSV and XML are of small records only. `charset=utf-16` has them in
/// that, and says so.
pub fn flat(call: &Call<'_>, format: Format) -> Reply {
    let per_page = call.count("per_page", 100);
    let page = u64::try_from(call.request.number("page").unwrap_or(1)).unwrap_or(1).max(1);
    let range = call.range((page - 1).saturating_mul(per_page), per_page);
    let body = call.made(format, call.shape(), 0, range.clone());
    let reply = match format {
        Format::Array => Reply::new(200, "application/json", body),
        Format::Lines => Reply::new(200, "application/x-ndjson", body),
        Format::Csv => Reply::new(200, "text/csv; charset=utf-8", body),
        Format::Xml => {
            let before = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<response page=\"{page}\"><records>");
            let mut reply = Reply::new(200, "application/xml", Bytes::new());
            let after = format!("</records><total>{}</total></response>", call.settings.records);
            reply.body = Body::Whole(vec![before.into(), body, after.into()]);
            reply
        }
    };
    match call.request.get("charset") {
        Some("utf-16") => in_utf_16(reply.body),
        _ => reply,
    }
}

/// Behind a byte order mark, and of a type that any server of files has.
fn in_utf_16(body: Body) -> Reply {
    let text = body.collect();
    let units = std::iter::once(0xFEFF).chain(String::from_utf8_lossy(&text).encode_utf16().collect::<Vec<_>>());
    Reply::new(200, "text/plain; charset=utf-16", units.flat_map(u16::to_le_bytes).collect::<Vec<_>>())
}
