//! One request, to its end: signed, paced, sent again where that may help.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::auth::{Auth, Credential};
use super::body::Envelope;
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::pace::{self, Pace};
use super::records::Records;
use super::request::Request;
use super::secrets::Known;
use super::transport::{self, Transport, What};
use super::verdict::{self, Verdict};
use crate::backoff::Backoff;
use crate::config::Section;
use crate::error::{Error, Kind, Result};

/// How often, and how patiently, a request is sent again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub retries: u32,
    /// The waits before these, where the server does not say how long to wait. It may not ask for a longer one than the longest.
    pub backoff: Backoff,
}

impl Patience {
    pub fn of(section: &Section) -> Result<Self> {
        Ok(Self {
            retries: u32::try_from(section.integer("request_retries")?).unwrap_or(u32::MAX),
            backoff: Backoff {
                first: section.duration("retry_wait")?,
                longest: section.duration("longest_wait")?,
                jitter: 0.5,
            },
        })
    }
}

/// Asks a server.
pub struct Asker {
    pub transport: Arc<dyn Transport>,
    pub auth: Arc<dyn Auth>,
    /// What nobody may see of what is answered.
    pub known: Arc<Known>,
    pub pace: Pace,
    pub patience: Patience,
    /// Requests under way.
    busy: AtomicUsize,
    told: Told,
}

/// What a request came to.
#[derive(Debug)]
pub enum Asked {
    /// A page, there to its end: its records, and what it says around them.
    Page(Box<Records>, Envelope),
    /// The server says that there is nothing.
    Nothing,
    Failed(Failure),
}

impl Asker {
    pub fn new(
        transport: Arc<dyn Transport>,
        auth: Arc<dyn Auth>,
        known: Arc<Known>,
        pace: Pace,
        patience: Patience,
    ) -> Self {
        Self { transport, auth, known, pace, patience, busy: AtomicUsize::new(0), told: Told::default() }
    }

    /// An error where nothing that is asked would come to anything.
    pub async fn ask(&self, request: &Request, endpoint: &Arc<Endpoint>) -> Result<Asked> {
        let (mut attempts, mut has_renewed) = (0, false);
        loop {
            self.pace.turn().await;
            let (credential, verdict) = self.once(request, endpoint).await?;
            attempts += 1;
            let (mut failure, asked) = match verdict {
                Verdict::Page(answer, envelope) => return Ok(Asked::Page(answer, envelope)),
                Verdict::Nothing => return Ok(Asked::Nothing),
                Verdict::Unauthorized(failure) => {
                    if !has_renewed && self.auth.refused(credential).await? {
                        has_renewed = true;
                        continue;
                    }
                    return Err(Failure { attempts, ..failure }.error(request));
                }
                Verdict::Failed(failure) => return Ok(Asked::Failed(Failure { attempts, ..failure })),
                Verdict::Again(failure, asked) => (failure, asked),
            };
            failure.attempts = attempts;
            if let Some(reason) = asked.and_then(|asked| pace::too_long(asked, self.patience.backoff.longest)) {
                failure.reason = format!("{}, and {reason}", failure.reason);
                return Ok(Asked::Failed(Failure { hint: Some(pace::LATER), is_lasting: true, ..failure }));
            }
            if attempts > self.patience.retries {
                return Ok(Asked::Failed(failure));
            }
            self.wait(request, &failure, asked).await;
        }
    }

    /// Until the request is sent again, after as long as the server has `asked` for.
    async fn wait(&self, request: &Request, failure: &Failure, asked: Option<Duration>) {
        let (shown, Failure { reason, attempts, .. }) = (request.shown(), failure);
        // Who says "now", or a time that is past, says nothing of use.
        let asked = asked.filter(|asked| !asked.is_zero());
        let wait = asked.unwrap_or_else(|| self.patience.backoff.wait(*attempts));
        let wait_seconds = wait.as_secs_f64();
        let Some(wait) = asked else {
            match self.told.is_due(wait) {
                true => tracing::info!(request = shown, reason, attempts, wait_seconds, "asking again"),
                false => tracing::debug!(request = shown, reason, attempts, wait_seconds, "asking again"),
            }
            return tokio::time::sleep(wait).await;
        };
        tracing::debug!(request = shown, reason, attempts, wait_seconds, "asking again");
        // It is the server that wants to be left alone, by all. One line for all of them.
        if self.pace.pause(wait) {
            tracing::info!(path = request.shown_path(), reason, wait_seconds, "the server asks to wait");
        }
    }

    async fn once(&self, request: &Request, endpoint: &Arc<Endpoint>) -> Result<(Credential, Verdict)> {
        let mut signed = request.clone();
        let credential = self.auth.sign(&mut signed).await?;
        let busy = Busy::count(&self.busy);
        let sent = self.transport.send(&signed).await;
        let others = busy.others();
        drop(busy);
        let answer = match sent {
            Ok(answer) => transport::unpacked(answer).await,
            broken => broken,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(broken) if broken.what == What::Cut => return Ok((credential, Verdict::Nothing)),
            Err(broken) => {
                let failure = Failure::of(broken);
                // What is wrong with us, or with this machine, is so for all requests.
                return match failure.kind {
                    Kind::Unavailable => Ok((credential, Verdict::Again(failure, None))),
                    _ => Err(failure.error(request)),
                };
            }
        };
        self.pace.learn(&answer.headers, others);
        let secrets = self.known.with(&signed).and(answer.permissions());
        let judged = match answer.body.in_memory() {
            Some(_) => verdict::judge(answer, endpoint, &secrets),
            None => {
                let endpoint = endpoint.clone();
                let judge = move || verdict::judge(answer, &endpoint, &secrets);
                let judged = tokio::task::spawn_blocking(judge).await;
                judged.map_err(|panic| Error::bug(format!("looking at an answer ended: {panic}")))?
            }
        };
        Ok((credential, judged))
    }
}

/// When people were last told that a server is waited for.
#[derive(Default)]
struct Told(Mutex<Option<Instant>>);

impl Told {
    /// Shorter waits are nothing to tell of.
    const LONG: Duration = Duration::from_secs(5);
    /// A line in this time is enough, however many requests wait.
    const PAUSE: Duration = Duration::from_secs(10);

    /// Whether to tell of a wait, which is taken for told then.
    fn is_due(&self, wait: Duration) -> bool {
        let (mut last, now) = (self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        let is_due = wait >= Self::LONG && last.is_none_or(|last| now.duration_since(last) >= Self::PAUSE);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// A request under way.
struct Busy<'a>(&'a AtomicUsize);

impl<'a> Busy<'a> {
    fn count(busy: &'a AtomicUsize) -> Self {
        busy.fetch_add(1, Ordering::Relaxed);
        Self(busy)
    }

    fn others(&self) -> usize {
        self.0.load(Ordering::Relaxed).saturating_sub(1)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_trait::async_trait;
    use reqwest::StatusCode;
    use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
    use url::Url;

    use super::*;
    use crate::record::Mode;
    use crate::source::rest::paging::Place;
    use crate::source::rest::target::Target;
    use crate::source::rest::transport::{Answer, Body, Broken};
    use crate::source::rest::{auth, config};

    /// Answers 500, and how long to wait where it has words for it.
    struct Failing(Option<&'static str>);

    #[async_trait]
    impl Transport for Failing {
        async fn send(&self, _: &Request) -> Result<Answer, Broken> {
            let wait = self.0.map(|wait| (RETRY_AFTER, HeaderValue::from_static(wait)));
            let (headers, body) = (HeaderMap::from_iter(wait), Body::Memory("{}".to_owned().into()));
            Ok(Answer { status: StatusCode::INTERNAL_SERVER_ERROR, headers, body, redirects: Vec::new() })
        }
    }

    /// What one request after another comes to.
    async fn failures(server: Failing, requests: usize) -> Vec<Failure> {
        let base = Url::parse("https://api.example.com/v1").unwrap();
        let keys = [("pagination", "page"), ("retry_wait", "20s"), ("longest_wait", "20s"), ("request_retries", "2")];
        let section = Section::of_kind(&config::KIND, &keys).unwrap();
        let endpoint = Arc::new(Endpoint::of(&section, (&base, "/orders"), Mode::Full).unwrap());
        let transport: Arc<dyn Transport> = Arc::new(server);
        let patience = Patience::of(&section).unwrap();
        let auth = auth::of(&section, &base, transport.clone(), patience.backoff.longest).unwrap();
        let pace = Pace::new(Vec::new(), patience.backoff.longest);
        let asker = Asker::new(transport, auth, Arc::new(Known::of(&section)), pace, patience);
        let request = endpoint.request(&Target::at(Place::Page(9731))).unwrap();
        let all = (0..requests).map(|_| asker.ask(&request, &endpoint));
        let came = futures_util::future::join_all(all).await;
        let failure = |asked: Result<Asked>| match asked.unwrap() {
            Asked::Failed(failure) => failure,
            other => panic!("{other:?}"),
        };
        came.into_iter().map(failure).collect()
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_is_not_waited_for_in_silence() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        // Three at once, each of which waits twice, for ten to twenty seconds: told of once in ten.
        failures(Failing(None), 3).await;
        drop(guard);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let told: Vec<_> = text.lines().filter(|line| line.contains("asking again")).collect();
        assert!((2..=3).contains(&told.len()), "{text}");
        for part in ["INFO", "GET /v1/orders?page=9731", "500", "attempts=", "wait_seconds="] {
            assert!(told[0].contains(part), "{part}: {text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn short_waits_are_not_told_of_and_long_ones_now_and_then() {
        let told = Told::default();
        let seconds = Duration::from_secs;
        assert_eq!([4, 5, 60].map(|wait| told.is_due(seconds(wait))), [false, true, false]);
        tokio::time::advance(seconds(10)).await;
        assert_eq!([60, 60].map(|wait| told.is_due(seconds(wait))), [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_too_long_a_wait_is_left_alone() {
        let begun = Instant::now();
        let failure = failures(Failing(Some("3600")), 1).await.remove(0);
        assert!(begun.elapsed() < Duration::from_secs(1) && failure.attempts == 1, "{failure:?}");
        let error = failure.error(&Request::get(Url::parse("https://api.example.com/v1").unwrap()));
        assert!(error.kind() == Kind::Unavailable && !error.is_retried(), "{error}");
        assert!(error.advice().is_some_and(|hint| hint.contains("`longest_wait`")), "{error}");
    }
}
