//! Reports: files that a server makes while one waits. One is ordered, asked for until it is done, and fetched; its file is one page.
//!
//! What was ordered is kept in the position ([`Ordered`]), so that a run that is killed while it waits leaves it to the next one. An
//! order whose answer was lost, or that nobody had time to write down, is made again: the server makes a report that nobody fetches, and
//! no record comes twice.

mod file;
mod job;
mod keys;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::utf8_percent_encode;
use serde::{Deserialize, Serialize};

pub use self::keys::KEYS;
pub use self::stream::ask;
use super::body::{Envelope, Found, Path};
use super::endpoint::Endpoint;
use super::request::Request;
use crate::config::Section;
use crate::error::Result;
use crate::net::ENCODED_IN_URLS;

/// What stands for the id in a path.
const ID: &str = "{id}";

/// What a stream's section says of its reports.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where the answer to an order has the id.
    id: Path,
    /// With [`ID`].
    status_path: String,
    /// Where an answer about a report has the state.
    state: Path,
    states: States,
    file: File,
    /// Before a report is asked for the first time.
    wait: Duration,
    longest_wait: Duration,
    /// From the order on.
    timeout: Duration,
}

/// Where the file is.
#[derive(Debug, Clone)]
enum File {
    /// Where the answer that says that it is done has its URL.
    Url(Path),
    /// With [`ID`], behind the server's URL.
    Path(String),
}

/// States by what they mean, whatever their case.
#[derive(Debug, Clone)]
struct States {
    done: Vec<String>,
    failed: Vec<String>,
}

/// A report that was ordered. It is kept in positions, so nothing of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ordered {
    pub id: String,
    /// A digest of what was ordered: a report of anything else is not what is waited for.
    pub of: String,
    /// When: RFC 3339.
    pub at: String,
}

/// How the answers to orders, and those about reports, are judged; both are JSON, whatever the file is.
pub struct Answers {
    pub order: Arc<Endpoint>,
    pub status: Arc<Endpoint>,
}

/// What an answer says of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Done,
    /// There will be no file; the state as it was written.
    Failed(String),
    /// There is none yet.
    Waiting(String),
    /// The answer does not say.
    Unsaid,
}

impl Report {
    /// `None` where the section's stream is no report. Refuses what is incomplete.
    pub fn of(section: &Section) -> Result<Option<Self>> {
        keys::of(section)
    }

    /// What is looked for in the answer to an order, with the key that names it.
    pub fn of_order(&self) -> Vec<(&'static str, &Path)> {
        vec![("report_id", &self.id)]
    }

    /// What is looked for in the answer about a report, each with the key that names it.
    pub fn of_status(&self) -> Vec<(&'static str, &Path)> {
        let state = ("report_status", &self.state);
        match &self.file {
            File::Url(path) => vec![state, ("report_url", path)],
            File::Path(_) => vec![state],
        }
    }

    /// Paths with an id in them, for a check.
    pub fn paths(&self) -> impl Iterator<Item = (&'static str, String)> {
        let file = match &self.file {
            File::Path(path) => Some(("report_path", with_id(path, "1"))),
            File::Url(_) => None,
        };
        [("report_status_path", with_id(&self.status_path, "1"))].into_iter().chain(file)
    }

    fn state(&self, found: &Found) -> State {
        match (found.text(), found) {
            (Some(text), _) if self.states.is_done(text) => State::Done,
            (Some(text), _) if has(&self.states.failed, text) => State::Failed(text.to_owned()),
            (Some(text), _) => State::Waiting(text.to_owned()),
            (None, Found::Null) => State::Waiting("null".to_owned()),
            // Many leave a flag out where it is not set.
            (None, Found::Absent) if self.states.done == ["true"] => State::Waiting("not done".to_owned()),
            (None, _) => State::Unsaid,
        }
    }
}

impl States {
    fn is_done(&self, state: &str) -> bool {
        has(&self.done, state)
    }
}

fn has(states: &[String], state: &str) -> bool {
    states.iter().any(|known| known.eq_ignore_ascii_case(state))
}

/// The beginning of a state, in one line: it is a word, unless the key names something else.
fn short(state: &str) -> String {
    state.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn with_id(template: &str, id: &str) -> String {
    template.replace(ID, &utf8_percent_encode(id, ENCODED_IN_URLS).to_string())
}

impl Ordered {
    /// A digest of a request, before anybody signs it: whoever asks for the same gets the same.
    fn digest(request: &Request) -> String {
        let mut text = format!("{} {}\n", request.method, request.full_url().path()).into_bytes();
        text.extend(request.full_url().query().unwrap_or_default().as_bytes());
        text.push(b'\n');
        text.extend(request.body.as_deref().unwrap_or_default());
        format!("{:032x}", crate::source::cursor::digest(&text, (0, 0)))
    }
}

/// The value that an answer has at a path, where it is a text or a number and not empty.
fn text<'e>(endpoint: &Endpoint, envelope: &'e Envelope, path: &Path) -> Option<&'e str> {
    endpoint.value(envelope, path).text().filter(|text| !text.is_empty())
}
