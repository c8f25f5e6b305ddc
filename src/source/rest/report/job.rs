//! A report, from its order to its file.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use tokio::time::{Instant, sleep_until};

use super::{Answers, File, Ordered, Report, State, file, short, text, with_id};
use crate::error::{Error, Kind, Result};
use crate::source::rest::asking::{Asked, Asker};
use crate::source::rest::body::Envelope;
use crate::source::rest::endpoint::Endpoint;
use crate::source::rest::failure::Failure;
use crate::source::rest::pace;
use crate::source::rest::records::Records;
use crate::source::rest::request::Request;
use crate::source::rest::signed_link::{SignedLink, without_queries};

/// What it takes to order reports and to wait for them.
pub struct Job<'a> {
    pub asker: &'a Asker,
    /// Of the file.
    pub endpoint: &'a Arc<Endpoint>,
    pub report: &'a Report,
    pub answers: &'a Answers,
}

/// What an order came to.
#[derive(Debug)]
pub enum Placed {
    /// A report, which is not to be asked for sooner than after this wait.
    Report(Ordered, Duration),
    /// There will be none: nothing to report, or a failure.
    Not(Asked),
}

/// What a report came to.
#[derive(Debug)]
pub enum Outcome {
    /// Its file as the stream's page, or a failure that says nothing against the report and may pass.
    Came(Asked),
    /// This report is none, or will never be, or its file cannot be had; another one, of the same order, may.
    Gone(Failure),
}

impl Outcome {
    /// Of a report that is not ordered again.
    pub fn asked(self) -> Asked {
        match self {
            Outcome::Came(asked) => asked,
            Outcome::Gone(failure) => Asked::Failed(failure),
        }
    }
}

impl Job<'_> {
    /// Orders a report.
    pub async fn order(&self, request: &Request) -> Result<Placed> {
        let request = &Request { link: SignedLink::Told, ..request.clone() };
        let (answer, envelope) = match self.asker.ask(request, &self.answers.order).await? {
            Asked::Page(answer, envelope) => (answer, envelope),
            Asked::Failed(failure) => return Ok(Placed::Not(Asked::Failed(hidden(failure)))),
            Asked::Nothing => return Ok(Placed::Not(Asked::Nothing)),
        };
        let Some(id) = text(&self.answers.order, &envelope, &self.report.id) else {
            let reason = format!("the answer has no `{}`, which `report_id` names", self.report.id);
            return Ok(Placed::Not(Asked::Failed(unsaid(
                answer.status,
                reason,
                "Look at `report_id`: it is a path in the answer to the order.",
            ))));
        };
        let ordered = Ordered { id: id.to_owned(), of: Ordered::digest(request), at: Timestamp::now().to_string() };
        tracing::info!(report = ordered.id, path = request.shown_path(), "ordered a report");
        Ok(Placed::Report(ordered, told(&answer).unwrap_or(self.report.wait)))
    }

    /// Waits for a report, and fetches its file; `first` is the wait before it is asked for the first time.
    pub async fn outcome(&self, ordered: &Ordered, first: Duration) -> Result<Outcome> {
        let request = Request {
            link: SignedLink::Told,
            ..self.endpoint.beside(&with_id(&self.report.status_path, &ordered.id))?
        };
        let until = Instant::now() + self.left(ordered);
        let (mut wait, mut own) = (first, self.report.wait);
        loop {
            sleep_until(Instant::now().checked_add(wait).map_or(until, |at| at.min(until))).await;
            let (answer, envelope) = match self.asker.ask(&request, &self.answers.status).await? {
                Asked::Page(answer, envelope) => (answer, envelope),
                Asked::Failed(failure) => return Ok(unanswered(ordered, failure)),
                Asked::Nothing => return Err(Error::bug("the answer about a report is left out by a rule")),
            };
            let state = match self.report.state(self.answers.status.value(&envelope, &self.report.state)) {
                State::Done => return self.fetch(ordered, &request, (answer.status, &envelope)).await,
                State::Failed(state) => return Ok(Outcome::Gone(self.failed(ordered, &state))),
                // Whatever the key names, it is the server's word.
                State::Waiting(state) => short(&self.asker.known.with(&request).hidden(&state)),
                State::Unsaid => return Ok(self.stateless(ordered, answer.status)),
            };
            if Instant::now() >= until {
                return Ok(Outcome::Gone(self.late(ordered, &state)));
            }
            wait = told(&answer).unwrap_or(own);
            own = own.mul_f64(1.5).min(self.report.longest_wait);
            tracing::debug!(report = ordered.id, state, wait_seconds = wait.as_secs_f64(), "waiting for a report");
        }
    }

    /// How long the report may still take. A run that waits again for one that was ordered long ago asks for it once more at least.
    fn left(&self, ordered: &Ordered) -> Duration {
        let since = ordered.at.parse::<Timestamp>().map(|at| Timestamp::now().duration_since(at));
        let since = since.ok().and_then(|since| Duration::try_from(since).ok()).unwrap_or_default();
        self.report.timeout.saturating_sub(since)
    }

    async fn fetch(
        &self,
        ordered: &Ordered,
        asked: &Request,
        (status, envelope): (StatusCode, &Envelope),
    ) -> Result<Outcome> {
        let request = match &self.report.file {
            File::Path(path) => file::at_path(self.endpoint, &with_id(path, &ordered.id)),
            File::Url(path) => match text(&self.answers.status, envelope, path) {
                Some(link) => file::at_link(self.endpoint, link, &asked.url),
                None => {
                    let reason = format!("it is done, and the answer has no `{path}`, which `report_url` names");
                    let failure = unsaid(
                        status,
                        reason,
                        "Look at `report_url`: it is a path in the answer that says that it is done.",
                    );
                    return Ok(Outcome::Gone(of(ordered, failure)));
                }
            },
        };
        let request = match request {
            Ok(request) => request,
            Err(problem) => return Ok(Outcome::Gone(of(ordered, Failure::new(Kind::Data, problem)))),
        };
        Ok(match self.asker.ask(&request, self.endpoint).await? {
            Asked::Failed(failure) => {
                // What says nothing of a file.
                let is_of_path = failure.status.is_some_and(|status| matches!(status.as_u16(), 404 | 410));
                let hint = failure.hint.filter(|_| !is_of_path);
                let reason = format!("its file: {}", failure.reason);
                // Whoever keeps files says in his errors how a link was signed.
                Outcome::Gone(of(ordered, Failure { reason, excerpt: None, hint, ..failure }))
            }
            asked => Outcome::Came(asked),
        })
    }

    fn failed(&self, ordered: &Ordered, state: &str) -> Failure {
        let hint = "The server did not make it. Its own pages may say why; an order of less (a shorter `step`) may do.";
        let failure = Failure::passing(format!("it is {state}, which is one of `report_failed`"));
        of(ordered, Failure { hint: Some(hint), ..failure })
    }

    fn late(&self, ordered: &Ordered, state: &str) -> Failure {
        let seconds = self.report.timeout.as_secs_f64();
        let hint =
            "Set a longer `report_timeout`, or look whether the state is one of `report_done` or `report_failed`.";
        let failure = Failure::passing(format!("it is still {state} after {seconds} s (`report_timeout`)"));
        of(ordered, Failure { hint: Some(hint), ..failure })
    }

    fn stateless(&self, ordered: &Ordered, status: StatusCode) -> Outcome {
        let reason = format!("the answer has no `{}`, which `report_status` names", self.report.state);
        let hint = "Look at `report_status`: it is a path in the answer to `report_status_path`.";
        Outcome::Gone(of(ordered, unsaid(status, reason, hint)))
    }
}

/// Nobody can say how far the report is. What does not pass by itself is said of this report: the next look would come to the same.
fn unanswered(ordered: &Ordered, failure: Failure) -> Outcome {
    let passes = failure.kind == Kind::Unavailable;
    let is_unknown = failure.kind == Kind::Data && failure.status.is_some_and(|status| status.is_client_error());
    let hint = if is_unknown { Some("Look at `report_status_path`.") } else { failure.hint };
    let reason = format!("its status: {}", failure.reason);
    let failure = of(ordered, Failure { reason, ..hidden(failure) });
    match passes {
        true => Outcome::Came(Asked::Failed(failure)),
        false => Outcome::Gone(Failure { hint, ..failure }),
    }
}

/// An answer that lacks what a key names.
fn unsaid(status: StatusCode, reason: String, hint: &'static str) -> Failure {
    Failure { status: Some(status), hint: Some(hint), ..Failure::new(Kind::Data, reason) }
}

fn of(ordered: &Ordered, failure: Failure) -> Failure {
    Failure { reason: format!("report {}: {}", ordered.id, failure.reason), ..failure }
}

/// Without links that are permissions.
fn hidden(failure: Failure) -> Failure {
    Failure { excerpt: failure.excerpt.map(|excerpt| without_queries(&excerpt)), ..failure }
}

/// How long the server asks to wait. One that says nothing of use is asked at our own pace.
fn told(answer: &Records) -> Option<Duration> {
    pace::retry_after(&answer.headers).filter(|wait| !wait.is_zero())
}
