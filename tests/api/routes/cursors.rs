//! Paging by cursors: texts that only the server reads, ids, links.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::http::Reply;
use super::{Call, bad_parameter};

/// With `=` and `+` or `/` in some of them, which must be encoded in a query.
pub fn write(call: &Call<'_>, place: u64) -> String {
    STANDARD.encode(format!("~?>:{}:{place}", call.settings.cursors))
}

/// How many records are before the cursor. None where it is no cursor, or one that has expired.
pub fn read(call: &Call<'_>, cursor: &str) -> Option<u64> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    let (given, place) = text.strip_prefix("~?>:")?.split_once(':')?;
    (given.parse() == Ok(call.settings.cursors)).then(|| place.parse().ok())?
}

fn place(call: &Call<'_>) -> Option<u64> {
    match call.request.get("cursor") {
        None | Some("") => Some(0),
        Some(cursor) => read(call, cursor),
    }
}

/// `always`: even behind the last record there is a cursor, and an empty page behind it that has none.
pub fn in_body(call: &Call<'_>, always: bool) -> Reply {
    let Some(start) = place(call) else { return bad_parameter("cursor") };
    let range = call.range(start, call.count("limit", 100));
    let is_last = match always {
        true => range.is_empty(),
        false => range.end == call.settings.records,
    };
    let next = if is_last { "null".to_owned() } else { format!("\"{}\"", write(call, range.end)) };
    Reply::around("{\"data\":", call.records(range), format!(",\"meta\":{{\"next_cursor\":{next}}}}}"))
}

pub fn in_header(call: &Call<'_>) -> Reply {
    let Some(start) = place(call) else { return bad_parameter("cursor") };
    let range = call.range(start, call.count("limit", 100));
    let (end, is_last) = (range.end, range.end == call.settings.records);
    let reply = Reply::around("", call.records(range), "");
    if is_last { reply } else { reply.with("X-Next-Cursor", write(call, end)) }
}

pub fn keyset(call: &Call<'_>) -> Reply {
    let since = call.request.number("since_id").unwrap_or_default();
    let range = call.range(u64::try_from(since).unwrap_or_default(), call.count("limit", 100));
    Reply::around("{\"data\":", call.records(range), "}")
}

/// Next links that lead from a first page into a circle of `length` pages, named A, B, C and so on.
pub fn cycle(call: &Call<'_>) -> Reply {
    let length = call.count("length", 2).min(26);
    let name = |place: u64| char::from(b'A' + place as u8).to_string();
    let (here, next) = match call.request.get("at").and_then(|at| (0..length).find(|place| name(*place) == at)) {
        None => (0, 0),
        Some(place) => (place + 1, (place + 1) % length),
    };
    let page = call.records(call.range(here * 10, 10));
    let next = call.link(&[("at", Some(&name(next)))]);
    Reply::around("{\"data\":", page, format!(",\"next\":\"{next}\"}}"))
}
