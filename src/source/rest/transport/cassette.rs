//! What a real run was answered, in a file, with the secrets taken out; and runs that are answered out of such a file.
//!
//! The file is JSON Lines: a line for each answer, with the request that it was for. It can be read and edited by people.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::{Answer, Body, Broken, Transport, What};
use crate::error::{Error, Result};
use crate::source::rest::request::Request;
use crate::source::rest::signed_link::{SignedLink, without_queries};

/// What stands in place of a secret.
const HIDDEN: &str = "HIDDEN";

/// One answer, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    method: String,
    path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    query: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<String>,
    status: u16,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// In its place where it is not text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Which request a line is for.
type Asked = (String, String, Vec<(String, String)>, Option<String>);

fn asked(request: &Request) -> Asked {
    let is_kept = |(name, _): &&(String, String)| !request.added.query.contains(name);
    let query = match request.link {
        SignedLink::Followed => Vec::new(),
        _ => request.query.iter().filter(is_kept).cloned().collect(),
    };
    let sent = request.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
    (request.method.to_string(), request.url.path().to_owned(), query, sent)
}

/// Keeps what is answered over another transport.
pub struct Recording {
    inner: Arc<dyn Transport>,
    file: Mutex<File>,
}

impl Recording {
    /// The file must not be there yet; only its owner may read it.
    pub fn to(path: &Path, inner: Arc<dyn Transport>) -> Result<Self> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|e| Error::config(format!("{}: {e}", path.display())))?;
        Ok(Self { inner, file: Mutex::new(file) })
    }

    fn keep(&self, line: &Line) -> Result<(), Broken> {
        let failed = |e: String| Broken::new(What::NoRoom, format!("the answer cannot be kept: {e}"));
        let mut text = serde_json::to_vec(line).map_err(|e| failed(e.to_string()))?;
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&text).map_err(|e| failed(e.to_string()))
    }
}

#[async_trait]
impl Transport for Recording {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        let answer = self.inner.send(request).await?;
        let mut bytes = Vec::new();
        let read = answer.body.reader().and_then(|mut body| body.read_to_end(&mut bytes));
        read.map_err(|e| Broken::new(What::NoRoom, format!("the answer cannot be kept: {e}")))?;
        let secrets = request.secrets();
        let (method, path, query, sent) = asked(request);
        let (body, base64) = match String::from_utf8(bytes) {
            Ok(text) if request.link == SignedLink::Told => (Some(without_queries(&hide(text, &secrets))), None),
            Ok(text) => (Some(hide(text, &secrets)), None),
            Err(not_text) => (None, Some(STANDARD.encode(not_text.into_bytes()))),
        };
        let shown = |(name, value): (&HeaderName, &HeaderValue)| {
            let value = value.to_str().ok().filter(|_| name != SET_COOKIE)?;
            Some((name.to_string(), hide(value.to_owned(), &secrets)))
        };
        let headers = answer.headers.iter().filter_map(shown).collect();
        let sent = sent.map(|sent| hide(sent, &secrets));
        self.keep(&Line { method, path, query, sent, status: answer.status.as_u16(), headers, body, base64 })?;
        Ok(answer)
    }
}

/// The text without the secrets that a request was signed with: servers put them into next links.
fn hide(mut text: String, secrets: &[String]) -> String {
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        if text.contains(secret.as_str()) {
            text = text.replace(secret.as_str(), HIDDEN);
        }
    }
    text
}

/// Answers out of a file, in the order in which they were given to each request; the last one again and again.
pub struct Replay {
    answers: Mutex<HashMap<Asked, VecDeque<Line>>>,
    faults: Faults,
}

impl Replay {
    pub fn of(path: &Path, faults: Faults) -> Result<Self> {
        let wrong = |problem: String| Error::config(format!("{}: {problem}", path.display()));
        let file = File::open(path).map_err(|e| wrong(e.to_string()))?;
        let mut answers: HashMap<Asked, VecDeque<Line>> = HashMap::new();
        for (number, text) in BufReader::new(file).lines().enumerate() {
            let text = text.map_err(|e| wrong(e.to_string()))?;
            if text.trim().is_empty() {
                continue;
            }
            let line: Line = serde_json::from_str(&text)
                .map_err(|e| wrong(format!("line {} is no answer that was kept: {e}", number + 1)))?;
            let asked = (line.method.clone(), line.path.clone(), line.query.clone(), line.sent.clone());
            answers.entry(asked).or_default().push_back(line);
        }
        Ok(Self { answers: Mutex::new(answers), faults })
    }
}

#[async_trait]
impl Transport for Replay {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        if let Some(fault) = self.faults.next() {
            return fault.answer();
        }
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let line = answers.get_mut(&asked(request)).and_then(|lines| match lines.len() {
            0 | 1 => lines.front().cloned(),
            _ => lines.pop_front(),
        });
        let Some(line) = line else {
            let (method, path) = (&request.method, request.url.path());
            return Err(Broken::new(
                What::Refused,
                format!("the file has no answer to {method} {path} with these parameters"),
            ));
        };
        line.answer()
    }
}

impl Line {
    fn answer(self) -> Result<Answer, Broken> {
        let odd = |what: &str| Broken::new(What::Refused, format!("an answer of the file has {what}"));
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = name.parse::<HeaderName>().map_err(|_| odd("a header without a name"))?;
            headers.append(name, HeaderValue::from_str(value).map_err(|_| odd("a header that is none"))?);
        }
        let body = match (self.body, self.base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).map_err(|_| odd("a body that is no base64"))?,
            (None, None) => Vec::new(),
        };
        let status = StatusCode::from_u16(self.status).map_err(|_| odd("a status that is none"))?;
        Ok(Answer { status, headers, body: Body::Memory(body.into()) })
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    /// Answers with the token that it is sent, as some do in next links.
    struct Echo;

    #[async_trait]
    impl Transport for Echo {
        async fn send(&self, request: &Request) -> Result<Answer, Broken> {
            let query = request.full_url().query().unwrap_or_default().to_owned();
            let mut headers = HeaderMap::new();
            headers.insert("x-next", HeaderValue::from_str(&query).unwrap());
            headers.insert(SET_COOKIE, HeaderValue::from_static("session=1"));
            let body = Body::Memory(format!(r#"{{"next":"?{query}"}}"#).into());
            Ok(Answer { status: StatusCode::OK, headers, body })
        }
    }

    fn request(page: &str) -> Request {
        let mut request = Request::get(Url::parse("https://api.example.com/v1/users").unwrap());
        request.set_param("page", page);
        request
    }

    fn text(answer: &Answer) -> String {
        String::from_utf8(answer.body.head(1000).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn what_was_recorded_is_answered_again_and_no_secret_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let recording = Recording::to(&path, Arc::new(Echo)).unwrap();
        for page in ["1", "2", "1"] {
            let mut signed = request(page);
            signed.add_secret_query("access_token", "s3cr3t");
            recording.send(&signed).await.unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap();
        assert!(!kept.contains("s3cr3t") && !kept.contains("session=1"), "{kept}");
        assert!(Recording::to(&path, Arc::new(Echo)).is_err(), "it is there");
        let replay = Replay::of(&path, Faults::default()).unwrap();
        for _ in 0..3 {
            let answer = replay.send(&request("1")).await.unwrap();
            assert_eq!(text(&answer), r#"{"next":"?page=1&access_token=HIDDEN"}"#);
            assert_eq!(answer.headers["x-next"], "page=1&access_token=HIDDEN");
        }
        let unknown = replay.send(&request("3")).await.unwrap_err();
        assert_eq!(unknown.what, What::Refused);
    }

    /// Tells a link that is a permission, and answers what follows it.
    struct Files;

    #[async_trait]
    impl Transport for Files {
        async fn send(&self, request: &Request) -> Result<Answer, Broken> {
            let body = match request.link {
                SignedLink::Followed => "id\n1\n",
                _ => r#"{"url":"https:\/\/files.example.net\/1.csv?a=1\u0026sig=s3cr3t"}"#,
            };
            let (headers, body) = (HeaderMap::new(), Body::Memory(body.into()));
            Ok(Answer { status: StatusCode::OK, headers, body })
        }
    }

    fn following(link: &str) -> Request {
        Request { link: SignedLink::Followed, ..Request::get(Url::parse(link).unwrap()) }
    }

    #[tokio::test]
    async fn links_that_are_permissions_are_kept_without_their_queries_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        let recording = Recording::to(&path, Arc::new(Files)).unwrap();
        let status = Request { link: SignedLink::Told, ..request("1") };
        recording.send(&status).await.unwrap();
        recording.send(&following("https://files.example.net/1.csv?a=1&sig=s3cr3t")).await.unwrap();
        let mut own = following("https://api.example.com/1.csv");
        own.query.push(("sig".into(), "s3cr3t".into()));
        recording.send(&own).await.unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("s3cr3t"));
        let replay = Replay::of(&path, Faults::default()).unwrap();
        let told: serde_json::Value = serde_json::from_str(&text(&replay.send(&status).await.unwrap())).unwrap();
        let file = replay.send(&following(told["url"].as_str().unwrap())).await.unwrap();
        assert_eq!(text(&file), "id\n1\n");
    }

    #[tokio::test]
    async fn files_that_are_none_are_refused_by_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\n{\"method\":1}\n").unwrap();
        let error = Replay::of(file.path(), Faults::default()).map(drop).unwrap_err();
        assert!(error.message().contains("line 2"), "{error}");
    }
}
