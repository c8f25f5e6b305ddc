//! One request, to its end: signed, paced, sent again where that may help.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
        Self { transport, auth, known, pace, patience, busy: AtomicUsize::new(0) }
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
                return Ok(Asked::Failed(failure));
            }
            if attempts > self.patience.retries {
                return Ok(Asked::Failed(failure));
            }
            // Who says "now", or a time that is past, says nothing of use.
            let asked = asked.filter(|asked| !asked.is_zero());
            let wait = asked.unwrap_or_else(|| self.patience.backoff.wait(attempts));
            let (request, reason) = (request.shown(), &failure.reason);
            let wait_seconds = wait.as_secs_f64();
            tracing::debug!(request, reason, attempts, wait_seconds, "asking again");
            match asked {
                // It is the server that wants to be left alone, by all. One line for all of them.
                Some(_) => {
                    if self.pace.pause(wait) {
                        tracing::info!(request, reason, wait_seconds, "the server asks to wait");
                    }
                }
                None => tokio::time::sleep(wait).await,
            }
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
