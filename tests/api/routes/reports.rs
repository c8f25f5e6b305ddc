//! Reports: ordered, waited for, fetched.

use serde::Deserialize;
use serde_json::json;

use super::super::http::{Encoding, Host, Reply};
use super::super::page::Format;
use super::super::record::{Shape, mix};
use super::{Call, not_found};

/// All reports that were ordered.
#[derive(Default)]
pub struct Reports(Vec<Report>);

struct Report {
    order: Order,
    polls_left: u64,
}

/// The body of `POST /reports`.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Order {
    /// `json`, `jsonl` or `csv`.
    format: String,
    /// The file is gzip, with a name and a type that say so, and without a Content-Encoding.
    gzip: bool,
    rows: u64,
    /// How often it is said to be running.
    polls: Option<u64>,
    /// The other host has the file.
    elsewhere: bool,
    /// In the end it is FAILED.
    fail: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self { format: "json".to_owned(), gzip: false, rows: 1000, polls: None, elsewhere: false, fail: false }
    }
}

pub fn order(call: &Call<'_>) -> Reply {
    let body = &call.request.body;
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    let order: Order = match serde_json::from_slice(body) {
        Ok(order) => order,
        Err(error) => return Reply::error(400, "bad_parameter", error),
    };
    let mut reports = call.state.reports.lock().unwrap();
    let polls_left = order.polls.unwrap_or(call.settings.polls);
    reports.0.push(Report { order, polls_left });
    let id = reports.0.len();
    Reply::value(202, &json!({"id": id.to_string(), "status": "PENDING"}))
}

pub fn status(call: &Call<'_>, id: &str) -> Reply {
    let mut reports = call.state.reports.lock().unwrap();
    let Some((number, report)) = find(&mut reports, id) else { return not_found() };
    if report.polls_left > 0 {
        report.polls_left -= 1;
        return Reply::value(200, &json!({"id": id, "status": "RUNNING"})).with("Retry-After", 1);
    }
    if report.order.fail {
        return Reply::value(200, &json!({"id": id, "status": "FAILED", "error": "the report could not be made"}));
    }
    let host = if report.order.elsewhere { Host::Other } else { Host::Own };
    let url = call.url(host, &format!("/reports/{id}/download?signature={}", signature(number)));
    Reply::value(200, &json!({"id": id, "status": "DONE", "rows": report.order.rows, "url": url}))
}

/// The link is its own permission: whoever has its signature gets the file, on either host.
pub fn download(call: &Call<'_>, id: &str) -> Reply {
    let mut reports = call.state.reports.lock().unwrap();
    let Some((number, report)) = find(&mut reports, id) else { return not_found() };
    if call.request.get("signature") != Some(&signature(number)) || report.polls_left > 0 || report.order.fail {
        return Reply::error(403, "forbidden", "this link is not good");
    }
    let Order { format, gzip, rows, .. } = report.order.clone();
    drop(reports);
    let (written, content_type) = match format.as_str() {
        "csv" => (Format::Csv, "text/csv"),
        "jsonl" => (Format::Lines, "application/x-ndjson"),
        _ => (Format::Array, "application/json"),
    };
    let file = call.made(written, Shape::Small, 0, 0..rows);
    if !gzip {
        return Reply::new(200, content_type, file);
    }
    let name = format!("attachment; filename=\"report-{id}.{format}.gz\"");
    Reply::new(200, "application/gzip", Encoding::Gzip.encode(&file)).with("Content-Disposition", name)
}

fn find<'a>(reports: &'a mut Reports, id: &str) -> Option<(u64, &'a mut Report)> {
    let number = id.parse::<usize>().ok()?;
    Some((number as u64, reports.0.get_mut(number.checked_sub(1)?)?))
}

fn signature(number: u64) -> String {
    format!("{:016x}", mix(4711, number))
}
