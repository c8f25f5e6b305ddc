//! Faults that a replayed run meets by choice: so that people see beforehand what becomes of theirs.

use std::sync::Mutex;
use std::sync::PoisonError;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use super::{Answer, Body, Broken, What};
use crate::error::{Error, Result};

const KNOWN: &str = "A fault is a status from 400 to 599, `timeout`, `reset`, `truncated`, `html` or `empty`, with its share of the requests; \
                     `seed N` has the same requests meet them again: `429 10%, reset 5%, seed 7`.";

/// Which faults come how often; none by default.
#[derive(Debug, Default)]
pub struct Faults {
    /// Each with its share of all requests.
    shares: Vec<(Fault, f64)>,
    /// The state of a generator of random numbers (splitmix64).
    random: Mutex<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Status(u16),
    Timeout,
    Reset,
    /// A body that breaks off.
    Truncated,
    /// A page for people, with a status that says that all is well.
    Html,
    Empty,
}

impl Faults {
    /// `429 10%, reset 5%, seed 7`: what `--faults` says.
    pub fn parse(text: &str) -> Result<Self> {
        let mut faults = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            faults.add(part).map_err(|problem| Error::config(format!("--faults: `{part}` {problem}")).hint(KNOWN))?;
        }
        let total: f64 = faults.shares.iter().map(|(_, share)| share).sum();
        match total <= 1.0 {
            true => Ok(faults),
            false => Err(Error::config("--faults: their shares are more than 100% together").hint(KNOWN)),
        }
    }

    fn add(&mut self, part: &str) -> Result<(), &'static str> {
        let (name, value) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let value = value.trim();
        if name == "seed" {
            self.random = Mutex::new(value.parse().map_err(|_| "needs a whole number")?);
            return Ok(());
        }
        let fault = Fault::parse(name).ok_or("is no fault")?;
        let percent: Option<f64> = value.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        self.shares.push((fault, percent.ok_or("needs a share, such as `10%`")? / 100.0));
        Ok(())
    }

    /// The fault that the next request meets, if any.
    pub fn next(&self) -> Option<Fault> {
        let mut at = self.fraction();
        self.shares.iter().find_map(|(fault, share)| {
            at -= share;
            (at < 0.0).then_some(*fault)
        })
    }

    fn fraction(&self) -> f64 {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*random ^ (*random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Fault {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "timeout" => Fault::Timeout,
            "reset" => Fault::Reset,
            "truncated" => Fault::Truncated,
            "html" => Fault::Html,
            "empty" => Fault::Empty,
            status => Fault::Status(status.parse().ok().filter(|status| (400..600).contains(status))?),
        })
    }

    pub fn answer(self) -> Result<Answer, Broken> {
        let said = |status: u16, body: &'static str| {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut headers = HeaderMap::new();
            if status == StatusCode::TOO_MANY_REQUESTS {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("0"));
            }
            Ok(Answer { status, headers, body: Body::Memory(body.into()), redirects: Vec::new() })
        };
        match self {
            Fault::Status(status) => said(status, r#"{"error":"a fault of the replay"}"#),
            Fault::Html => said(200, "<!doctype html><title>Log in</title>"),
            Fault::Empty => said(200, ""),
            Fault::Timeout => Err(Broken::new(What::Timeout, "nothing came for too long (a fault of the replay)")),
            Fault::Reset => Err(Broken::new(What::CutOff, "the connection was reset (a fault of the replay)")),
            Fault::Truncated => Err(Broken::new(What::CutOff, "the answer broke off (a fault of the replay)")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_they_are_to_and_the_same_again() {
        let all = |text: &str| {
            let faults = Faults::parse(text).unwrap();
            (0..10_000).map(|_| faults.next()).collect::<Vec<_>>()
        };
        let text = "429 10%, reset 5%, seed 7";
        let met = all(text);
        let count = |wanted| met.iter().filter(|fault| **fault == Some(wanted)).count();
        assert!((900..1100).contains(&count(Fault::Status(429))) && (400..600).contains(&count(Fault::Reset)));
        assert_eq!(all(text), met);
        assert!(all("").iter().all(Option::is_none));
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for wrong in ["429", "200 5%", "reset 60%, empty 60%", "odd 5%", "reset 5", "seed x", "429 -1%"] {
            let error = Faults::parse(wrong).unwrap_err().to_string();
            assert!(error.starts_with("--faults: ") && error.contains("`truncated`"), "{wrong}: {error}");
        }
    }
}
