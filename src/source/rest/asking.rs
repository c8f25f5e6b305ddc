//! One request, to its end: signed, paced, sent again where that may help.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::auth::{Auth, Credential};
use super::body::{Envelope, Unreadable, Wrong};
use super::endpoint::Endpoint;
use super::failure::Failure;
use super::pace::Pace;
use super::records::Records;
use super::request::Request;
use super::transport::{self, Answer, Transport, What};
use super::verdict::{self, Verdict};
use crate::config::Section;
use crate::error::{Error, Kind, Result};

/// How often, and how patiently, a request is sent again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub retries: u32,
    pub first_wait: Duration,
    /// However long a server asks to wait.
    pub longest_wait: Duration,
}

impl Patience {
    pub fn of(section: &Section) -> Result<Self> {
        Ok(Self {
            retries: u32::try_from(section.integer("request_retries")?).unwrap_or(u32::MAX),
            first_wait: section.duration("retry_wait")?,
            longest_wait: section.duration("longest_wait")?,
        })
    }

    /// The wait before a retry: it doubles with each, and is anything from half of that to all of it.
    fn wait(&self, retry: u32) -> Duration {
        let wait = self.first_wait.saturating_mul(1 << retry.min(16)).min(self.longest_wait);
        let random = uuid::Uuid::now_v7().as_u64_pair().1 as u32;
        wait.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX) / 2.0)
    }
}

/// Asks a server.
pub struct Asker {
    pub transport: Arc<dyn Transport>,
    pub auth: Arc<dyn Auth>,
    pub pace: Pace,
    pub patience: Patience,
    /// Requests under way.
    busy: AtomicUsize,
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
    pub fn new(transport: Arc<dyn Transport>, auth: Arc<dyn Auth>, pace: Pace, patience: Patience) -> Self {
        Self { transport, auth, pace, patience, busy: AtomicUsize::new(0) }
    }

    /// An error where nothing that is asked would come to anything.
    pub async fn ask(&self, request: &Request, endpoint: &Arc<Endpoint>) -> Result<Asked> {
        let (mut attempts, mut has_renewed) = (0, false);
        loop {
            self.pace.turn().await;
            let (credential, verdict) = self.once(request, endpoint).await?;
            attempts += 1;
            let (mut failure, asked) = match verdict {
                Judged::Page(answer, envelope) => return Ok(Asked::Page(answer, envelope)),
                Judged::Nothing => return Ok(Asked::Nothing),
                Judged::Unauthorized(failure) => {
                    if !has_renewed && self.auth.refused(credential).await? {
                        has_renewed = true;
                        continue;
                    }
                    return Err(Failure { attempts, ..failure }.error(request));
                }
                Judged::Failed(failure) => return Ok(Asked::Failed(Failure { attempts, ..failure })),
                Judged::Again(failure, asked) => (failure, asked),
            };
            failure.attempts = attempts;
            if let Some(asked) = asked.filter(|asked| *asked > self.patience.longest_wait) {
                let seconds = asked.as_secs();
                failure.reason = format!(
                    "{}, and asks to wait for {seconds} s, which `longest_wait` does not allow",
                    failure.reason
                );
                return Ok(Asked::Failed(failure));
            }
            if attempts > self.patience.retries {
                return Ok(Asked::Failed(failure));
            }
            // Who says "now", or a time that is past, says nothing of use.
            let asked = asked.filter(|asked| !asked.is_zero());
            let wait = asked.unwrap_or_else(|| self.patience.wait(attempts - 1));
            let (path, reason) = (request.shown_path(), &failure.reason);
            let wait_seconds = wait.as_secs_f64();
            tracing::debug!(path, reason, attempts, wait_seconds, "asking again");
            match asked {
                // It is the server that wants to be left alone, by all. One line for all of them.
                Some(_) => {
                    if self.pace.pause(wait) {
                        tracing::info!(path, reason, wait_seconds, "the server asks to wait");
                    }
                }
                None => tokio::time::sleep(wait).await,
            }
        }
    }

    async fn once(&self, request: &Request, endpoint: &Arc<Endpoint>) -> Result<(Credential, Judged)> {
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
            Err(broken) if broken.what == What::Cut => return Ok((credential, Judged::Nothing)),
            Err(broken) => {
                let failure = Failure::of(broken);
                // What is wrong with us, or with this machine, is so for all requests.
                return match failure.kind {
                    Kind::Unavailable => Ok((credential, Judged::Again(failure, None))),
                    _ => Err(failure.error(request)),
                };
            }
        };
        self.pace.learn(&answer.headers, others);
        let secrets = signed.secrets();
        let judged = match answer.body.in_memory() {
            Some(_) => Judged::of(verdict::judge(&answer, endpoint, &secrets), answer, endpoint),
            None => {
                let endpoint = endpoint.clone();
                let judge = move || Judged::of(verdict::judge(&answer, &endpoint, &secrets), answer, &endpoint);
                let judged = tokio::task::spawn_blocking(judge).await;
                judged.map_err(|panic| Error::bug(format!("looking at an answer ended: {panic}")))?
            }
        };
        Ok((credential, judged))
    }
}

/// A verdict, with the records where it is a page.
enum Judged {
    Page(Box<Records>, Envelope),
    Nothing,
    Unauthorized(Failure),
    Again(Failure, Option<Duration>),
    Failed(Failure),
}

impl Judged {
    fn of(verdict: Verdict, answer: Answer, endpoint: &Endpoint) -> Self {
        match verdict {
            Verdict::Page(envelope) => Self::page(answer, envelope, endpoint),
            Verdict::Nothing => Judged::Nothing,
            Verdict::Unauthorized(failure) => Judged::Unauthorized(failure),
            Verdict::Again(failure, wait) => Judged::Again(failure, wait),
            Verdict::Failed(failure) => Judged::Failed(failure),
        }
    }

    /// A page is none where one of its records is broken.
    fn page(answer: Answer, envelope: Envelope, endpoint: &Endpoint) -> Self {
        let status = Some(answer.status);
        match Records::of(answer, endpoint) {
            Ok(records) => Judged::Page(Box::new(records), envelope),
            Err(Unreadable::Fault(fault)) => {
                let reason = format!("the answer {fault}, within a record");
                let failure = Failure { status, ..Failure::new(Kind::Data, reason) };
                match fault.wrong {
                    Wrong::Unexpected | Wrong::NotText | Wrong::Truncated => Judged::Again(failure, None),
                    _ => Judged::Failed(failure),
                }
            }
            Err(why @ Unreadable::File(_)) => Judged::Failed(Failure::passing(format!("the answer {why}"))),
        }
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
