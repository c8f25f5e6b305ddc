//! What was asked for, and what of it came to nothing: kept in the commit log, so that just that can be asked for again.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::endpoint::Skip;
use super::failure::Failure;
use super::paging::Place;
use super::request::Request;
use super::target::Target;
use crate::error::{Error, Result};
use crate::record::{FailedRequest, Failures};

/// Counts of a stream, and its failed requests.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Pages that were asked for, each once.
    requests: u64,
    records: u64,
    /// The number of the next entry.
    next: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<Entry>,
    /// How many requests of this run came to something.
    #[serde(skip)]
    came: u64,
    #[serde(skip)]
    failed: u64,
}

/// A request that failed and is open.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    pub target: Target,
    /// The digest of the keys that it was asked by.
    #[serde(default)]
    pub of: String,
    /// The pages behind it are open too: where they are, only its answer tells.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rest: bool,
    /// Reading went on here: the pages up to there are open too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Place>,
    /// What the pages before it have delivered of its window, where that is known: the server may forget the place.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub delivered: Json,
    #[serde(flatten)]
    pub failed: FailedRequest,
}

const SET_BACK: &str = "Set the keys by which it asks (`base_url`, `path`, `param.NAME`, those of pages and windows) as they were, retry, and change \
                        them then. Or read all of it anew, once: `tidemark run STREAM --full-refresh`.";

/// So many requests fail at the beginning of a run before it is taken for one that comes to nothing.
const AT_FIRST: u64 = 3;

impl Ledger {
    /// Reads what [`Ledger::state`] gave; null is that of a stream that has not begun.
    pub fn of(state: &Json) -> Result<Self> {
        match &state["ledger"] {
            Json::Null => Ok(Self::default()),
            ledger => serde_json::from_value(ledger.clone())
                .map_err(|_| Error::conflict("the failed requests in the commit log cannot be read")),
        }
    }

    pub fn state(&self) -> Result<Json> {
        serde_json::to_value(self).map_err(|e| Error::bug(e.to_string()))
    }

    /// A page came, with so many records.
    pub fn page(&mut self, records: u64) {
        self.requests += 1;
        self.came(records);
    }

    /// Records of a request that was counted when it failed.
    pub fn came(&mut self, records: u64) {
        self.came += 1;
        self.records += records;
    }

    /// Notes a request of keys `of` this digest that failed, and `rest` that nobody knows what is behind it. Fails where there are more than may be.
    pub fn fail(
        &mut self,
        of: &str,
        (target, request): (Target, &Request),
        failure: &Failure,
        rest: bool,
        skip: Skip,
    ) -> Result<()> {
        self.requests += 1;
        self.failed += 1;
        if self.open.len() >= skip.most || (self.came == 0 && self.failed >= AT_FIRST) {
            let why = match self.came {
                0 => "all requests fail".to_owned(),
                _ => format!("more than {} requests have failed (`max_failures`)", skip.most),
            };
            let last = failure.error(request);
            let message = format!("{why}; the last one is {}", last.message());
            return Err(last.reworded(message));
        }
        self.next += 1;
        let failed = failed(self.next.to_string(), request, failure);
        tracing::warn!(
            request = failed.request,
            reason = failed.reason,
            attempts = failed.attempts,
            "a request failed; the others go on"
        );
        self.open.push(Entry { target, of: of.to_owned(), rest, until: None, delivered: Json::Null, failed });
        Ok(())
    }

    /// Notes more of the request that failed last.
    pub fn note(&mut self, until: Option<Place>, delivered: Json) {
        if let Some(last) = self.open.last_mut() {
            (last.until, last.delivered) = (until, delivered);
        }
    }

    /// Notes what an entry's window has delivered by now.
    pub fn delivered(&mut self, id: &str, delivered: Json) {
        if let Some(entry) = self.open.iter_mut().find(|entry| entry.failed.id == id) {
            entry.delivered = delivered;
        }
    }

    pub fn open(&self) -> &[Entry] {
        &self.open
    }

    /// Those that keys of this digest ask for. Refuses where there are others alone: these keys would bring other pages than those that
    /// are missing.
    pub fn open_of(&self, digest: &str) -> Result<Vec<Entry>> {
        let (same, others): (Vec<_>, Vec<_>) = self.open.iter().cloned().partition(|entry| entry.of == digest);
        match (same.is_empty(), others.len()) {
            (_, 0) => {}
            (true, others) => {
                let message = "the stream's keys in pipeline.conf have changed since";
                return Err(Error::config(format!("{message} {others} of its requests failed")).hint(SET_BACK));
            }
            (false, others) => tracing::warn!(
                requests = others,
                "requests that failed before the stream's keys were changed are not asked for by the new ones, and stay open"
            ),
        }
        Ok(same)
    }

    /// The pages of a chain are asked for anew: what failed of them is.
    pub fn forget(&mut self, chain: &Target) {
        self.open.retain(|entry| !entry.target.is_beside(chain));
    }

    /// What an entry is of has come.
    pub fn close(&mut self, id: &str) {
        self.open.retain(|entry| entry.failed.id != id);
    }

    /// An entry has failed again, at this page.
    pub fn stays(&mut self, id: &str, (target, request): (Target, &Request), failure: &Failure) {
        if let Some(entry) = self.open.iter_mut().find(|entry| entry.failed.id == id) {
            let attempts = entry.failed.attempts;
            entry.failed = failed(id.to_owned(), request, failure);
            entry.failed.attempts = entry.failed.attempts.saturating_add(attempts);
            entry.target = target;
        }
    }

    pub fn failures(self) -> Failures {
        Failures {
            requests: self.requests,
            records: self.records,
            failed: self.open.into_iter().map(|entry| entry.failed).collect(),
        }
    }
}

fn failed(id: String, request: &Request, failure: &Failure) -> FailedRequest {
    FailedRequest {
        id,
        request: request.shown(),
        status: failure.status.map(|status| status.as_u16()),
        reason: failure.reason.clone(),
        excerpt: failure.excerpt.clone(),
        attempts: failure.attempts,
        at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::error::Kind;

    fn request() -> Request {
        let mut request = Request::get(Url::parse("https://api.example.com/v1/orders").unwrap());
        request.query = [("page", "17"), ("api_key", "s3cr3t")].map(|(n, v)| (n.into(), v.into())).to_vec();
        request
    }

    fn fail(ledger: &mut Ledger, page: i64, most: usize) -> Result<()> {
        let target = Target::at(Place::Page(page));
        ledger.fail("d", (target, &request()), &Failure::passing("the server answers 500"), false, Skip { most })
    }

    #[test]
    fn what_failed_comes_back_from_its_state() {
        let mut ledger = Ledger::default();
        ledger.page(100);
        fail(&mut ledger, 17, 10).unwrap();
        fail(&mut ledger, 18, 10).unwrap();
        let state = serde_json::json!({ "ledger": ledger.state().unwrap() });
        assert!(!state.to_string().contains("s3cr3t"), "{state}");
        let mut again = Ledger::of(&state).unwrap();
        assert_eq!(again.open()[0].target, Target::at(Place::Page(17)));
        again.close("1");
        again.came(7);
        again.stays("2", (Target::at(Place::Page(18)), &request()), &Failure::passing("no answer"));
        fail(&mut again, 19, 10).unwrap();
        let failures = again.failures();
        let shown: Vec<_> = failures.failed.iter().map(|failed| (failed.id.as_str(), failed.attempts)).collect();
        assert_eq!((failures.requests, failures.records, shown), (4, 107, vec![("2", 2), ("3", 1)]));
        assert!(failures.failed[0].request.starts_with("GET /v1/orders?page=17"));
        assert!(Ledger::of(&Json::Null).unwrap().open().is_empty());
    }

    #[test]
    fn what_other_keys_asked_for_is_not_asked_for() {
        let mut ledger = Ledger::default();
        ledger.page(1);
        fail(&mut ledger, 1, 10).unwrap();
        assert_eq!(ledger.open_of("d").unwrap().len(), 1);
        assert_eq!(ledger.open_of("e").unwrap_err().kind(), Kind::Config);
        let target = Target::at(Place::Page(2));
        let skip = Skip { most: 10 };
        ledger.fail("e", (target.clone(), &request()), &Failure::passing("no answer"), false, skip).unwrap();
        assert_eq!(ledger.open_of("e").unwrap()[0].target, target);
        ledger.forget(&Target { parent: Some(Vec::new()), ..target.clone() });
        assert_eq!(ledger.open().len(), 2);
        ledger.forget(&target);
        assert!(ledger.open_of("f").unwrap().is_empty());
    }

    #[test]
    fn more_than_may_be_are_an_error() {
        let mut ledger = Ledger::default();
        ledger.page(1);
        fail(&mut ledger, 1, 1).unwrap();
        assert!(fail(&mut ledger, 2, 1).unwrap_err().message().contains("`max_failures`"));
        let target = Target::at(Place::Page(3));
        let gone = Failure { hint: Some("Look at `path`."), ..Failure::passing("the server answers 404") };
        let error = ledger.fail("d", (target, &request()), &gone, false, Skip { most: 1 }).unwrap_err();
        assert_eq!(error.advice(), Some("Look at `path`."));
        let mut nothing = Ledger::default();
        fail(&mut nothing, 1, 100).unwrap();
        fail(&mut nothing, 2, 100).unwrap();
        assert!(fail(&mut nothing, 3, 100).unwrap_err().message().starts_with("all requests fail"));
    }
}
