//! People, in the manner of a fake-data API.

use super::super::http::Reply;
use super::super::page::Format;
use super::super::record::Shape;
use super::Call;

/// `_quantity` is granted up to 1,000, and means ten below zero; `total` is what was granted. Of that no more than
/// `users_most` come, from `_offset` on.
pub fn list(call: &Call<'_>) -> Reply {
    let granted = match call.request.number("_quantity") {
        Some(quantity @ 0..) => (quantity as u64).min(1000),
        _ => 10,
    };
    let seed = call.request.number("_seed").unwrap_or_default() as u64;
    let start = call.request.number("_offset").and_then(|offset| u64::try_from(offset).ok()).unwrap_or_default();
    let end = start.saturating_add(call.settings.users_most.unwrap_or(granted)).min(granted);
    let page = call.made(Format::Array, Shape::User, seed, start.min(end)..end);
    Reply::around(format!("{{\"status\":\"OK\",\"code\":200,\"total\":{granted},\"data\":"), page, "}")
}
