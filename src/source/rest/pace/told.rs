//! What answers say of how long to wait: Retry-After, and the headers of what is left.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// How many requests are left, and how long it takes until there are others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub requests: u64,
    pub reset: Option<Duration>,
}

/// How long the server asks to wait: `Retry-After` in seconds or as a date, else the reset of what is used up.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let told = text(headers, RETRY_AFTER.as_str()).and_then(|text| seconds(text).or_else(|| until_date(text, headers)));
    told.or_else(|| left(headers).filter(|left| left.requests == 0)?.reset)
}

/// What is to be done about a request that has failed by [`too_long`].
pub const LATER: &str = "Run it again when that time is over, or raise `longest_wait`.";

/// Why a request has failed that is to wait for so long; `None` where it may.
pub fn too_long(told: Duration, longest: Duration) -> Option<String> {
    let until = || Some(Timestamp::now().checked_add(told).ok()?.strftime(" (until %Y-%m-%d %H:%M UTC)").to_string());
    (told > longest).then(|| {
        let (seconds, until) = (told.as_secs(), until().unwrap_or_default());
        format!("asks to wait for {seconds} s{until}, which `longest_wait` does not allow")
    })
}

/// What is left, by whichever headers tell.
pub fn left(headers: &HeaderMap) -> Option<Left> {
    // The draft of the IETF: `"default";r=50;t=30`, earlier `limit=100, remaining=50, reset=30`.
    if let Some(text) = text(headers, "ratelimit") {
        let of = |names: [&str; 2]| parameter(text, names[0]).or_else(|| parameter(text, names[1]));
        if let Some(requests) = of(["r", "remaining"]) {
            let reset = of(["t", "reset"]).map(Duration::from_secs);
            return Some(Left { requests, reset });
        }
    }
    ["x-ratelimit", "ratelimit", "x-rate-limit"].into_iter().find_map(|prefix| {
        let requests = text(headers, &format!("{prefix}-remaining"))?.split(',').next()?.trim().parse().ok()?;
        let reset = text(headers, &format!("{prefix}-reset")).and_then(|text| reset(text, headers));
        Some(Left { requests, reset })
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn parameter(text: &str, name: &str) -> Option<u64> {
    text.split([';', ','])
        .find_map(|part| part.trim().strip_prefix(name)?.trim_start().strip_prefix('=')?.trim().parse().ok())
}

/// Seconds, with or without a fraction.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Seconds from now, or a time: in seconds or milliseconds since 1970, or as a date.
fn reset(text: &str, headers: &HeaderMap) -> Option<Duration> {
    const EPOCH: f64 = 1e9;
    const EPOCH_MILLIS: f64 = 1e12;
    match text.parse::<f64>() {
        Ok(number) if number >= EPOCH_MILLIS => Some(until(number / 1e3, headers)),
        Ok(number) if number >= EPOCH => Some(until(number, headers)),
        Ok(number) => Duration::try_from_secs_f64(number).ok(),
        Err(_) => until_date(text, headers),
    }
}

fn until_date(text: &str, headers: &HeaderMap) -> Option<Duration> {
    let at = text.parse::<Timestamp>().ok().or_else(|| http_date(text))?;
    Some(until(at.as_microsecond() as f64 / 1e6, headers))
}

/// How long it is until a time of the server's clock, by its `Date` where it tells: ours may be another.
fn until(at: f64, headers: &HeaderMap) -> Duration {
    let now = text(headers, DATE.as_str()).and_then(http_date).unwrap_or_else(Timestamp::now);
    Duration::try_from_secs_f64((at - now.as_microsecond() as f64 / 1e6).max(0.0)).unwrap_or(Duration::MAX)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn who_asks_for_too_much_says_until_when() {
        let hour = Duration::from_secs(3600);
        assert_eq!(too_long(hour, hour), None);
        let said = too_long(2 * hour, hour).unwrap();
        assert!(said.starts_with("asks to wait for 7200 s (until 20") && said.contains(" UTC), which"), "{said}");
        assert!(too_long(Duration::MAX, hour).unwrap().contains("s, which"), "no clock has that time");
    }

    const NOW: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |text: &str| retry_after(&headers(&[NOW, ("retry-after", text)])).map(|wait| wait.as_secs_f64());
        assert_eq!(wait("7"), Some(7.0));
        assert_eq!(wait("0.5"), Some(0.5));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30.0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0.0));
        assert_eq!([wait("soon"), wait("-3")], [None, None]);
    }

    #[test]
    fn what_is_left_is_told_in_many_ways() {
        let told = |pairs: &[(&str, &str)]| left(&headers(&[&[NOW], pairs].concat()));
        let is = |requests, seconds: f64| Some(Left { requests, reset: Some(Duration::from_secs_f64(seconds)) });
        assert_eq!(told(&[("X-RateLimit-Remaining", "3"), ("X-RateLimit-Reset", "12")]), is(3, 12.0));
        assert_eq!(told(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "784111797")]), is(0, 784_111_797.0));
        let epoch = "1784111797";
        let at = format!("{}", 1_784_111_777);
        let date = Timestamp::from_second(1_784_111_777).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let later = headers(&[("date", &date), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", epoch)]);
        assert_eq!(left(&later), is(0, 20.0), "{at}");
        let millis =
            headers(&[("date", &date), ("x-rate-limit-remaining", "1"), ("x-rate-limit-reset", "1784111797500")]);
        assert_eq!(left(&millis), is(1, 20.5));
        assert_eq!(told(&[("RateLimit", r#""default";r=50;t=30"#)]), is(50, 30.0));
        assert_eq!(told(&[("ratelimit", "limit=100, remaining=5, reset=9")]), is(5, 9.0));
        assert_eq!(told(&[("ratelimit-remaining", "5"), ("ratelimit-reset", "9")]), is(5, 9.0));
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn a_reset_counts_where_nothing_is_left() {
        let of = |left: &str| retry_after(&headers(&[("x-ratelimit-remaining", left), ("x-ratelimit-reset", "9")]));
        assert_eq!([of("0"), of("1")], [Some(Duration::from_secs(9)), None]);
    }
}
