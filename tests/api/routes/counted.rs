//! Paging by numbers: of pages, of records.

use super::super::http::Reply;
use super::{Call, bad_parameter, not_found};

/// Pages from `first` on. Those from 1 on say how many there are.
pub fn numbered(call: &Call<'_>, first: u64) -> Reply {
    let per_page = call.count("per_page", 100);
    let Some(page) = page_number(call, first) else { return bad_parameter("page") };
    let records = call.records(call.range((page - first).saturating_mul(per_page), per_page));
    let total = call.settings.records;
    let after = match first {
        0 => format!(",\"page\":{page}}}"),
        _ => format!(
            ",\"page\":{page},\"per_page\":{per_page},\"total\":{total},\"total_pages\":{}}}",
            total.div_ceil(per_page)
        ),
    };
    Reply::around("{\"data\":", records, after)
}

fn page_number(call: &Call<'_>, first: u64) -> Option<u64> {
    let page = u64::try_from(call.request.number("page").unwrap_or(first as i64)).ok()?;
    (page >= first).then_some(page)
}

/// Behind the last page there is nothing.
pub fn ends(call: &Call<'_>) -> Reply {
    let per_page = call.count("per_page", 100);
    let Some(page) = page_number(call, 1) else { return bad_parameter("page") };
    match call.range((page - 1).saturating_mul(per_page), per_page) {
        range if range.is_empty() => not_found(),
        range => Reply::around("{\"data\":", call.records(range), "}"),
    }
}

pub fn stuck(call: &Call<'_>) -> Reply {
    let per_page = call.count("per_page", 100);
    Reply::around("{\"data\":", call.records(call.range(0, per_page)), "}")
}

/// Returns `most` records at most, without a word about it.
pub fn offset(call: &Call<'_>, most: u64) -> Reply {
    let limit = call.count("limit", 100);
    let Ok(offset) = u64::try_from(call.request.number("offset").unwrap_or_default()) else {
        return bad_parameter("offset");
    };
    let records = call.records(call.range(offset, limit.min(most)));
    let total = call.settings.records;
    Reply::around("{\"items\":", records, format!(",\"offset\":{offset},\"limit\":{limit},\"total\":{total}}}"))
}

/// A plain array, and how many there are in headers. The `Link` header begins with what a careless reader takes for a link to the next page.
pub fn linked(call: &Call<'_>) -> Reply {
    let per_page = call.count("per_page", 100);
    let Some(page) = page_number(call, 1) else { return bad_parameter("page") };
    let last = call.settings.records.div_ceil(per_page).max(1);
    let link = |page: u64, rel: &str| format!("<{}>; rel={rel}", call.link(&[("page", Some(&page.to_string()))]));
    let mut links = vec!["</docs?a=1,2>; rel=\"help\"; title=\"not, <this>; rel=\\\"next\\\"\"".to_owned()];
    if page > 1 {
        links.push(link(page - 1, "prev"));
    }
    if page < last {
        links.push(link(page + 1, "\"next\""));
    }
    links.push(link(1, "\"first start\""));
    links.push(link(last, "\"last\""));
    let records = call.records(call.range((page - 1).saturating_mul(per_page), per_page));
    let total = call.settings.records;
    Reply::around("", records, "").with("Link", links.join(", ")).with("X-Total", total).with("X-Total-Pages", last)
}

pub fn more(call: &Call<'_>) -> Reply {
    let limit = call.count("limit", 100);
    let Some(page) = page_number(call, 1) else { return bad_parameter("page") };
    let range = call.range((page - 1).saturating_mul(limit), limit);
    let has_more = range.end < call.settings.records;
    Reply::around("{\"results\":", call.records(range), format!(",\"has_more\":{has_more},\"is_last\":{}}}", !has_more))
}
