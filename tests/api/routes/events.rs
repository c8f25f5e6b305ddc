//! Records by the time of their last change, for incremental reading.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::super::http::Reply;
use super::super::record::{BEGINNING, time};
use super::{Call, bad_parameter, cursors};

/// Records in the order of their changes.
pub struct Events {
    all: Vec<Event>,
    /// Seconds after the beginning.
    now: u64,
}

#[derive(Clone, Copy)]
struct Event {
    id: u64,
    version: u64,
    updated: u64,
}

impl Events {
    /// Records that were made three at a time, each three a minute after those before them.
    pub fn new(count: u64) -> Self {
        let mut events = Self { all: Vec::new(), now: 0 };
        events.grow(count);
        events
    }

    pub fn grow(&mut self, count: u64) {
        let first = self.all.len() as u64;
        let begin = self.now + 60;
        for place in 0..count {
            self.now = begin + place / 3 * 60;
            self.all.push(Event { id: first + place + 1, version: 1, updated: self.now });
        }
    }

    /// Changes a record, a minute after the newest change. One that there is not stays that way.
    pub fn touch(&mut self, id: u64) {
        let Some(place) = self.all.iter().position(|event| event.id == id) else { return };
        let event = self.all.remove(place);
        self.now += 60;
        self.all.push(Event { version: event.version + 1, updated: self.now, ..event });
    }
}

/// `updated_since` is included, `until` is not; both are RFC 3339 or seconds of the epoch.
pub fn list(call: &Call<'_>) -> Reply {
    let bound = |name: &str, open: u64| match call.request.get(name) {
        None | Some("") => Some(open),
        Some(text) => seconds(text),
    };
    let Some(since) = bound("updated_since", 0) else { return bad_parameter("updated_since") };
    let Some(until) = bound("until", u64::MAX) else { return bad_parameter("until") };
    let cursor = call.request.get("cursor").filter(|cursor| !cursor.is_empty());
    let Some(start) = cursor.map_or(Some(0), |cursor| cursors::read(call, cursor)) else {
        return bad_parameter("cursor");
    };
    let limit = call.count("limit", 100) as usize;
    let events = call.state.events.lock().unwrap();
    let from = events.all.partition_point(|event| event.updated < since);
    let to = events.all.partition_point(|event| event.updated < until).max(from);
    let asked = &events.all[from..to];
    let start = (start as usize).min(asked.len());
    let end = (start + limit).min(asked.len());
    let mut out = String::from("{\"events\":[");
    for (place, Event { id, version, updated }) in asked[start..end].iter().enumerate() {
        let comma = if place > 0 { "," } else { "" };
        let at = time(*updated);
        let _ = write!(out, r#"{comma}{{"id":{id},"version":{version},"amount":{id}.50,"updated_at":"{at}"}}"#);
    }
    let next = if end < asked.len() { format!("\"{}\"", cursors::write(call, end as u64)) } else { "null".to_owned() };
    let _ = write!(out, "],\"next_cursor\":{next}}}");
    Reply::new(200, "application/json", out)
}

/// Seconds after the beginning, up to the next whole one.
fn seconds(text: &str) -> Option<u64> {
    let epoch = match text.parse::<i64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = text.parse::<Timestamp>().ok()?;
            at.as_second() + i64::from(at.subsec_nanosecond() > 0)
        }
    };
    Some(u64::try_from(epoch - BEGINNING).unwrap_or_default())
}
