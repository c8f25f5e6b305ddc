//! Advertisements, in the manner of a marketing API.

use super::super::auth::Standing;
use super::super::fault::body_error;
use super::super::http::Reply;
use super::super::page::Format;
use super::super::record::Shape;
use super::{Call, cursors};

/// The most that may be asked for.
const LIMIT: i64 = 500;

/// The token is a parameter or a bearer's. Errors are in the body, with status 400.
pub fn list(call: &Call<'_>) -> Reply {
    let token = call.request.get("access_token").or(call.request.bearer()).unwrap_or_default();
    if call.state.tokens.lock().unwrap().check(token) != Standing::Good {
        return body_error(400, 190);
    }
    let limit = call.request.number("limit").unwrap_or(25);
    let start = match call.request.get("after") {
        None | Some("") => Some(0),
        Some(after) => cursors::read(call, after),
    };
    let (Some(start), 1..=LIMIT) = (start, limit) else { return body_error(400, 100) };
    let range = call.range(start, limit as u64);
    let page = call.made(Format::Array, Shape::Ad, 0, range.clone());
    let (before, after) = (cursors::write(call, range.start), cursors::write(call, range.end));
    let next = match range.end < call.settings.records {
        // The token is in the link whichever way it came, as marketing APIs do it.
        true => {
            let link = call.link(&[
                ("access_token", Some(token)),
                ("limit", Some(&limit.to_string())),
                ("after", Some(&after)),
            ]);
            format!(",\"next\":\"{}\"", link.replace('/', "\\/"))
        }
        false => String::new(),
    };
    Reply::around(
        "{\"data\":",
        page,
        format!(",\"paging\":{{\"cursors\":{{\"before\":\"{before}\",\"after\":\"{after}\"}}{next}}}}}"),
    )
}
