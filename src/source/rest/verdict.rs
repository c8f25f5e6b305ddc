//! What an answer means: a page, a reason to wait and ask again, or a failure.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::body::{self, Envelope, Fault, Unreadable, What, Wrong};
use super::endpoint::Endpoint;
use super::failure::{Failure, excerpt};
use super::pace;
use super::records::Records;
use super::rules::{Of, Rules};
use super::secrets::Secrets;
use super::transport::Answer;
use crate::error::Kind;

/// What is to be done about an answer.
#[derive(Debug)]
pub enum Verdict {
    /// A page that is there to its end, and what it says around its records.
    Page(Box<Records>, Envelope),
    /// `ignore_when` says that there is nothing.
    Nothing,
    /// The credentials are not accepted.
    Unauthorized(Failure),
    /// Asked for again, after so long where the server says.
    Again(Failure, Option<Duration>),
    Failed(Failure),
}

/// The most of an error's body that is looked at for an excerpt.
const HEAD: usize = 2048;

/// Judges an answer. It blocks where the body is a file. `secrets` are what it may repeat.
pub fn judge(answer: Answer, endpoint: &Endpoint, secrets: &Secrets) -> Verdict {
    let looked = match body::look(&answer, &endpoint.written, &endpoint.wanted) {
        Err(Unreadable::File(error)) => {
            return Verdict::Failed(Failure::passing(format!(
                "its answer cannot be read from its temporary file: {error}"
            )));
        }
        Err(Unreadable::Fault(fault)) => Err(fault),
        Ok(envelope) => Ok(envelope),
    };
    let envelope = looked.as_ref().ok();
    let status = answer.status.as_u16().to_string();
    let value = |of: &Of| value(of, &status, &answer.headers, endpoint, envelope);
    // Of a body that cannot be read, or is none, nobody knows what is missing in it.
    let is_read = envelope.is_some_and(|envelope| !matches!(envelope.what, What::Empty | What::Null));
    let holds = |rules: &Rules| match is_read {
        true => rules.hold(value),
        false => rules.clone().without_body().hold(value),
    };
    if holds(&endpoint.ignore_when) {
        return Verdict::Nothing;
    }
    let refused = |reason: String, kind| {
        // What may have records is not shown, and nobody knows which values of a record an error names.
        let is_error = !answer.status.is_success() || envelope.is_some_and(|envelope| envelope.records == 0);
        let head = answer.body.head(HEAD).ok().filter(|_| is_error && !endpoint.is_masked);
        let excerpt = head.and_then(|head| excerpt(head, answer.body.size() > HEAD as u64, secrets));
        Failure { status: Some(answer.status), excerpt, ..Failure::new(kind, reason) }
    };
    if holds(&endpoint.retry_when) {
        let wait = pace::retry_after(&answer.headers);
        return Verdict::Again(
            refused(format!("the answer ({status}) is one of `retry_when`"), Kind::Unavailable),
            wait,
        );
    }
    if holds(&endpoint.renew_when) {
        return unauthorized(refused(format!("the answer ({status}) is one of `renew_when`"), Kind::Denied));
    }
    // Last, so that `error exists` may stand beside rules on some errors.
    if holds(&endpoint.fail_when) {
        let failure = refused(format!("the answer ({status}) is one of `fail_when`"), Kind::Data);
        return Verdict::Failed(Failure { is_by_rule: true, ..failure });
    }
    match answer.status.as_u16() {
        200..=299 => success(answer, endpoint, looked),
        // As GitHub says that its limit is reached.
        403 if pace::retry_after(&answer.headers).is_some() => {
            Verdict::Again(refused(named(answer.status), Kind::Unavailable), pace::retry_after(&answer.headers))
        }
        401 => unauthorized(refused("the server answers 401 (Unauthorized)".to_owned(), Kind::Denied)),
        403 => Verdict::Failed(Failure {
            hint: Some(
                "These credentials may not read this: have it granted to them, or set `retry_when` where the API means \"slow down\" by it.",
            ),
            ..refused("the server answers 403 (Forbidden)".to_owned(), Kind::Denied)
        }),
        _ if answer.is_transient() => {
            Verdict::Again(refused(named(answer.status), Kind::Unavailable), pace::retry_after(&answer.headers))
        }
        404 | 410 => Verdict::Failed(Failure {
            hint: Some("Look at `base_url` and `path`; `ignore_when = status = 404` takes it for nothing."),
            ..refused(named(answer.status), Kind::Data)
        }),
        _ => Verdict::Failed(refused(named(answer.status), Kind::Data)),
    }
}

fn unauthorized(failure: Failure) -> Verdict {
    Verdict::Unauthorized(Failure {
        hint: Some("The server does not accept the credentials: look at `auth` and its keys."),
        ..failure
    })
}

fn named(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("the server answers {} ({reason})", status.as_u16()),
        None => format!("the server answers {}", status.as_u16()),
    }
}

/// An answer that says of itself that all is well.
fn success(answer: Answer, endpoint: &Endpoint, looked: Result<Envelope, Fault>) -> Verdict {
    let envelope = match looked {
        Ok(envelope) => envelope,
        Err(fault) => return faulty(&answer, fault),
    };
    let is_empty = answer.status == StatusCode::NO_CONTENT;
    let complaint = match envelope.what {
        // Some leave the list out where it is empty; whoever knows that of them says so.
        What::Absent | What::NullThere if endpoint.records_may_be_absent => None,
        What::Empty if endpoint.records_may_be_absent && (is_empty || endpoint.written.format.is_of_lines()) => None,
        what => what.complaint(endpoint.wanted.records()),
    };
    let Some(complaint) = complaint else { return page(answer, envelope, endpoint) };
    if is_empty {
        return Verdict::Failed(Failure {
            status: Some(answer.status),
            hint: Some("`records_absent = empty` takes that for no records."),
            ..Failure::new(Kind::Data, "the server answers 204 (No Content)")
        });
    }
    let failure =
        Failure { status: Some(answer.status), ..Failure::new(Kind::Data, format!("the answer {complaint}")) };
    match envelope.what {
        // A server that is being restarted, or a proxy before it.
        What::Empty | What::Null => Verdict::Again(Failure { kind: Kind::Unavailable, ..failure }, None),
        _ => Verdict::Failed(Failure {
            hint: Some("Look at `records`; `records_absent = empty` takes that for no records."),
            ..failure
        }),
    }
}

/// A page is none where one of its records is broken.
fn page(answer: Answer, envelope: Envelope, endpoint: &Endpoint) -> Verdict {
    let status = Some(answer.status);
    match Records::of(answer, endpoint) {
        Ok(records) => Verdict::Page(Box::new(records), envelope),
        Err(Unreadable::Fault(fault)) => {
            let reason = format!("the answer {fault}, within a record");
            let failure = Failure { status, hint: fault.hint(), ..Failure::new(Kind::Data, reason) };
            match fault.wrong {
                Wrong::Unexpected | Wrong::NotText(_) | Wrong::Truncated => Verdict::Again(failure, None),
                _ => Verdict::Failed(failure),
            }
        }
        Err(why @ Unreadable::File(_)) => Verdict::Failed(Failure::passing(format!("the answer {why}"))),
    }
}

/// A body that is none of its format, with a status that says that all is well.
fn faulty(answer: &Answer, fault: Fault) -> Verdict {
    let is_html = fault.wrong == Wrong::Html || content_type(&answer.headers).starts_with("text/html");
    let reason = match (is_html, fault.wrong) {
        (true, _) => format!("the answer {}", Fault { wrong: Wrong::Html, ..fault }),
        (false, _) => format!("the answer {fault}"),
    };
    let hint = fault.hint().filter(|_| !is_html);
    let failure = Failure { status: Some(answer.status), hint, ..Failure::new(Kind::Data, reason) };
    match fault.wrong {
        Wrong::Truncated | Wrong::Html | Wrong::Other | Wrong::Trailing => Verdict::Again(failure, None),
        _ if is_html => Verdict::Again(failure, None),
        _ => Verdict::Failed(failure),
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn value<'v>(
    of: &Of,
    status: &'v str,
    headers: &'v HeaderMap,
    endpoint: &Endpoint,
    envelope: Option<&'v Envelope>,
) -> Option<&'v str> {
    match of {
        Of::Status => Some(status),
        Of::Header(name) => headers.get(name)?.to_str().ok(),
        Of::Body(path) => {
            let found = endpoint.value(envelope?, path);
            // An object or a list is there, whatever is in it.
            found.text().or_else(|| found.is_there().then_some(""))
        }
    }
}
