//! Parents, and what each of them has by day.

use std::fmt::Write as _;

use jiff::ToSpan as _;
use jiff::civil::{Date, date};

use super::super::http::Reply;
use super::super::record::mix;
use super::{Call, bad_parameter, cursors, not_found};

const FIRST: Date = date(2026, 1, 1);

pub fn list(call: &Call<'_>) -> Reply {
    let Some(start) = start(call) else { return bad_parameter("after") };
    let total = call.settings.campaigns;
    let end = start.saturating_add(call.count("limit", 10)).min(total);
    let mut out = String::new();
    for id in start + 1..=end {
        let comma = if id > start + 1 { "," } else { "" };
        let _ = write!(out, r#"{comma}{{"id":"{id}","name":"Campaign {id}","budget":{id}00.00}}"#);
    }
    enveloped(call, out, end, total)
}

/// Days from `since` up to `until`, which is not included.
pub fn insights(call: &Call<'_>, id: &str) -> Reply {
    let Some(id) = id.parse::<u64>().ok().filter(|id| (1..=call.settings.campaigns).contains(id)) else {
        return not_found();
    };
    let last = FIRST + (call.settings.days as i64).days();
    let bound = |name: &str, open: Date| match call.request.get(name) {
        None | Some("") => Some(open),
        Some(text) => text.parse::<Date>().ok(),
    };
    let (Some(since), Some(until)) = (bound("since", FIRST), bound("until", last)) else {
        return bad_parameter("since or until");
    };
    let Some(start) = start(call) else { return bad_parameter("after") };
    let days = |day: Date| u64::try_from((day - FIRST).get_days()).unwrap_or_default().min(call.settings.days);
    let (from, to) = (days(since), days(until));
    let total = to.saturating_sub(from);
    let end = start.saturating_add(call.count("limit", 100)).min(total);
    let mut out = String::new();
    for day in from + start..from + end {
        let comma = if day > from + start { "," } else { "" };
        let (chance, date) = (mix(id, day), FIRST + (day as i64).days());
        let _ = write!(
            out,
            r#"{comma}{{"campaign_id":"{id}","date":"{date}","impressions":{},"spend":{}.50}}"#,
            chance % 100_000,
            chance % 1000
        );
    }
    enveloped(call, out, end, total)
}

fn start(call: &Call<'_>) -> Option<u64> {
    call.request.get("after").filter(|after| !after.is_empty()).map_or(Some(0), |after| cursors::read(call, after))
}

fn enveloped(call: &Call<'_>, records: String, end: u64, total: u64) -> Reply {
    let after = cursors::write(call, end);
    let next = match end < total {
        true => format!("\"after\":\"{after}\",\"next\":\"{}\"", call.link(&[("after", Some(&after))])),
        false => String::new(),
    };
    Reply::new(200, "application/json", format!("{{\"data\":[{records}],\"paging\":{{{next}}}}}"))
}
