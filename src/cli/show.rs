//! How numbers, sizes, times and positions are shown to people.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use crate::error::count;
use crate::pipeline::full_load_in_words;

/// `1 file`, `2 files`
pub fn of(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// How much came to something, with as many nines as it takes: `99.9 %`, `99.9999 %`. Never more than it was.
pub fn share(failed: u64, all: u64) -> String {
    let (failed, all) = (u128::from(failed), u128::from(all.max(failed)));
    if failed == 0 {
        return "100 %".to_owned();
    }
    let (mut digits, mut unit) = (1, 10);
    while failed * 100 * unit < all {
        (digits, unit) = (digits + 1, unit * 10);
    }
    let share = (all - failed) * 100 * unit / all;
    format!("{}.{:0digits$} %", share / unit, share % unit)
}

/// `12.3 MiB`
pub fn bytes(number: u64) -> String {
    let mut size = number as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        if size < 1024.0 || units.peek().is_none() {
            return if unit == "B" { format!("{number} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{number} B")
}

/// `0.4 s`, `2 min 5 s`, `3 h 4 min`
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How far a stream is behind its source: `12 s behind (3.4 MiB)`, `at the end of the log`.
pub fn lag(seconds: u64, bytes: Option<u64>) -> String {
    if seconds == 0 && bytes.unwrap_or(0) == 0 {
        return "at the end of the log".to_owned();
    }
    let time = match seconds {
        0..60 => format!("{seconds} s"),
        _ => duration(Duration::from_secs(seconds)),
    };
    let size = bytes.map(|bytes| format!(" ({})", self::bytes(bytes))).unwrap_or_default();
    format!("{time} behind{size}")
}

/// How long ago a time of the job log was: `12 s ago`, `3 min ago`, `2 h ago`, `5 d ago`.
pub fn age(at: &str, now: Timestamp) -> String {
    match age_seconds(at, now) {
        None => at.to_owned(),
        Some(seconds @ 0..60) => format!("{seconds} s ago"),
        Some(seconds @ 60..3600) => format!("{} min ago", seconds / 60),
        Some(seconds @ 3600..172_800) => format!("{} h ago", seconds / 3600),
        Some(seconds) => format!("{} d ago", seconds / 86_400),
    }
}

pub fn age_seconds(at: &str, now: Timestamp) -> Option<u64> {
    let at: Timestamp = at.parse().ok()?;
    Some(u64::try_from(now.duration_since(at).as_secs()).unwrap_or(0))
}

/// How long a run of the job log took.
pub fn took(started_at: &str, finished_at: &str) -> Option<Duration> {
    let (start, end): (Timestamp, Timestamp) = (started_at.parse().ok()?, finished_at.parse().ok()?);
    Some(end.duration_since(start).unsigned_abs())
}

/// The longest position that a table shows.
const POSITION_WIDTH: usize = 44;

/// A position in a few words. That of a full load is the pipeline's; others are JSON of their source's own making, of
/// which the plain members are shown, cut where they are long.
pub fn position(json: &str) -> String {
    if let Some(words) = full_load_in_words(json) {
        return words;
    }
    let shown = match serde_json::from_str(json) {
        // Of changes: where the log goes on, and the short members first, since the rest is cut.
        Ok(Value::Object(members)) if members.get("log").is_some_and(Value::is_object) => {
            let mut shown = members.get("log").and_then(Value::as_object).map(plain).unwrap_or_default();
            shown.sort_by_key(String::len);
            shown.join(" ")
        }
        Ok(Value::Object(members)) => plain(&members).join(" "),
        Ok(value) => scalar(&value).unwrap_or_else(|| json.to_owned()),
        Err(_) => json.to_owned(),
    };
    let shown = if shown.is_empty() { json.to_owned() } else { shown };
    match shown.char_indices().nth(POSITION_WIDTH) {
        Some((cut, _)) => format!("{}…", &shown[..cut]),
        None => shown,
    }
}

fn plain(members: &Map<String, Value>) -> Vec<String> {
    members.iter().filter_map(|(name, value)| Some(format!("{name}={}", scalar(value)?))).collect()
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        // Of a cursor of several columns.
        Value::Array(values) => values.iter().map(scalar).collect::<Option<Vec<_>>>().map(|values| values.join(", ")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1536, 5 << 30].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert_eq!([of(1, "file"), of(1000, "file")], ["1 file", "1,000 files"]);
    }

    #[test]
    fn shares_have_as_many_nines_as_it_takes() {
        let shown =
            [(0, 7), (1, 3), (1, 1_000), (3, 10_002), (1, 1_000_000), (7, 7), (2, 1)].map(|(f, all)| share(f, all));
        assert_eq!(shown, ["100 %", "66.6 %", "99.9 %", "99.97 %", "99.9999 %", "0.0 %", "0.0 %"]);
        for all in 1..2_000 {
            assert!(!share(1, all).starts_with("100"), "{all}");
        }
    }

    #[test]
    fn times() {
        let shown = [400, 125_000, 11_040_000].map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(shown, ["0.4 s", "2 min 5 s", "3 h 4 min"]);
        let now: Timestamp = "2026-01-03T00:00:00Z".parse().unwrap();
        assert_eq!(age("2026-01-02T23:59:50.000000Z", now), "10 s ago");
        assert_eq!(age("2026-01-02T00:00:00.000000Z", now), "24 h ago");
        assert_eq!(age("2026-01-04T00:00:00.000000Z", now), "0 s ago");
        assert_eq!(age("long ago", now), "long ago");
    }

    #[test]
    fn lags() {
        assert_eq!([lag(0, None), lag(0, Some(0))], ["at the end of the log", "at the end of the log"]);
        assert_eq!(lag(12, Some(3 << 20)), "12 s behind (3.0 MiB)");
        assert_eq!([lag(0, Some(9)), lag(150, None)], ["0 s behind (9 B)", "2 min 30 s behind"]);
    }

    #[test]
    fn positions() {
        assert_eq!(position(r#"{"file":"bin.7","pos":12,"more":{"a":1}}"#), "file=bin.7 pos=12");
        let of_changes =
            r#"{"again":"x","log":{"file":"bin.7","gtids":"3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5","pos":12}}"#;
        assert_eq!(position(of_changes), "pos=12 file=bin.7 gtids=3e11fa47-71ca-11e1-9…");
        assert_eq!(position(r#"{"chunks":{}}"#), r#"{"chunks":{}}"#);
        assert_eq!(
            position(r#"{"cursor":"at, id","mark":["2026-01-01 00:00:00", 7]}"#),
            "cursor=at, id mark=2026-01-01 00:00:00, 7"
        );
        assert_eq!(position("\"a\""), "a");
        assert!(position(&format!("\"{}\"", "ä".repeat(100))).ends_with("ä…"));
    }
}
