//! What the threads and connections of one server share, and the way of a request through it.

use std::hash::Hasher;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use siphasher::sip::SipHasher13;

use super::auth::{self, Tokens};
use super::control;
use super::counts::Seen;
use super::fault::Fault;
use super::http::{Body, Delivery, Encoded, Encoding, Host, Reply, Request, choose};
use super::kept::Kept;
use super::limit::{Limiter, Verdict};
use super::page;
use super::routes::{self, Events, Reports};
use super::rule::Rules;
use super::settings::Settings;

pub struct State {
    pub own: SocketAddr,
    pub other: SocketAddr,
    pub settings: Mutex<Settings>,
    pub rules: Mutex<Rules>,
    pub limits: Mutex<Vec<Limiter>>,
    pub tokens: Mutex<Tokens>,
    pub events: Mutex<Events>,
    pub reports: Mutex<Reports>,
    pub pages: Kept<page::Key>,
    counts: Mutex<Seen>,
    /// By encoding and digest of the plain body.
    encoded: Kept<(Encoding, u64)>,
}

/// What becomes of a request.
pub enum Answer {
    Reply {
        reply: Reply,
        delivery: Delivery,
        /// Nothing was done to it.
        is_good: bool,
    },
    Silence(Duration),
}

/// A request that is under way.
pub struct UnderWay(Option<Arc<State>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.counts().end();
        }
    }
}

impl State {
    pub fn new(own: SocketAddr, other: SocketAddr, settings: Settings) -> Self {
        let events = Mutex::new(Events::new(settings.records));
        Self {
            own,
            other,
            settings: Mutex::new(settings),
            rules: Mutex::default(),
            limits: Mutex::default(),
            tokens: Mutex::default(),
            events,
            reports: Mutex::default(),
            pages: Kept::default(),
            counts: Mutex::default(),
            encoded: Kept::default(),
        }
    }

    pub fn counts(&self) -> MutexGuard<'_, Seen> {
        self.counts.lock().unwrap()
    }

    pub fn settings(&self) -> Settings {
        self.settings.lock().unwrap().clone()
    }

    pub fn address(&self, host: Host) -> SocketAddr {
        match host {
            Host::Own => self.own,
            Host::Other => self.other,
        }
    }

    /// Counts the request as under way until the guard is dropped.
    pub fn enter(self: &Arc<Self>, request: &Request) -> UnderWay {
        if control::is_for(request) {
            return UnderWay(None);
        }
        self.counts().begin();
        UnderWay(Some(Arc::clone(self)))
    }

    pub fn served(&self, request: &Request) {
        if !control::is_for(request) {
            self.counts().pages.entry(request.name()).or_default().served += 1;
        }
    }

    pub fn answer(&self, request: &Request) -> Answer {
        if control::is_for(request) {
            return plain(control::answer(self, request), true);
        }
        self.arrived(request);
        let headers = match self.limited(request) {
            Ok(headers) => headers,
            Err(reply) => return plain(reply, false),
        };
        let fault = self.rules.lock().unwrap().decide(request);
        if let Some((name, fault)) = &fault {
            *self.counts().faults.entry(name.clone()).or_default() += 1;
            match fault {
                Fault::Silent { seconds } => return Answer::Silence(Duration::from_secs_f64(*seconds)),
                Fault::Expired => self.tokens.lock().unwrap().expire(request),
                _ => {}
            }
        }
        let fault = fault.map(|(_, fault)| fault);
        let instead = fault.as_ref().and_then(|fault| fault.instead(request));
        let mut reply = instead.unwrap_or_else(|| routes::answer(self, request));
        if reply.status == 401 || reply.status == 403 {
            self.counts().refused_by_auth += 1;
        }
        reply.headers.extend(headers);
        if let Some(fault) = &fault {
            fault.spoil(&mut reply);
        }
        let reply = match fault {
            Some(Fault::Mislabelled) => reply.with("Content-Encoding", "gzip"),
            _ => self.encode(request, reply),
        };
        Answer::Reply {
            reply,
            delivery: fault.as_ref().map(Fault::delivery).unwrap_or_default(),
            is_good: fault.is_none_or(|fault| fault.is_harmless()),
        }
    }

    fn arrived(&self, request: &Request) {
        let leaks = request.to == Host::Other && self.tokens.lock().unwrap().has_secret(request);
        let mut counts = self.counts();
        counts.requests += 1;
        *counts.paths.entry(request.path.clone()).or_default() += 1;
        counts.pages.entry(request.name()).or_default().asked += 1;
        if let Some(authorization) = request.header("authorization") {
            counts.authorization.insert(authorization.to_owned());
        }
        if leaks {
            counts.leaks.push(request.name());
        }
    }

    /// Headers that the limits add to the answer, or a refusal.
    fn limited(&self, request: &Request) -> Result<Vec<(&'static str, String)>, Reply> {
        let mut headers = Vec::new();
        for limiter in self.limits.lock().unwrap().iter_mut() {
            match limiter.judge(request) {
                None => {}
                Some(Verdict::Passed(more)) => headers.extend(more),
                Some(Verdict::Refused(reply)) => {
                    self.counts().refused_by_limit += 1;
                    return Err(reply);
                }
            }
        }
        Ok(headers)
    }

    /// Encodes the body as the client accepts it. Whole bodies that were encoded before are kept.
    fn encode(&self, request: &Request, mut reply: Reply) -> Reply {
        let settings = self.settings();
        // A file that is compressed already is sent as it is.
        if reply.headers.iter().any(|(_, value)| value == "application/gzip") {
            return reply;
        }
        let Some(encoding) = choose(request.header("accept-encoding"), &settings.encodings) else { return reply };
        reply.body = match reply.body {
            Body::Whole(parts) if parts.iter().all(Bytes::is_empty) => Body::Whole(parts),
            Body::Whole(parts) => Body::Whole(vec![self.encoded(settings.kept_bytes, encoding, &parts)]),
            Body::Streamed(pieces) => Body::Streamed(Box::new(Encoded::new(pieces, encoding))),
        };
        reply.with("Content-Encoding", encoding.name()).with("Vary", "Accept-Encoding")
    }

    fn encoded(&self, most_bytes: usize, encoding: Encoding, parts: &[Bytes]) -> Bytes {
        let mut hasher = SipHasher13::new();
        parts.iter().for_each(|part| hasher.write(part));
        let key = (encoding, hasher.finish());
        self.encoded.get(most_bytes, key, || encoding.encode(&parts.concat()))
    }
}

fn plain(reply: Reply, is_good: bool) -> Answer {
    Answer::Reply { reply, delivery: Delivery::default(), is_good }
}
