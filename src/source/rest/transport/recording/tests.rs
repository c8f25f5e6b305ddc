use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};
use url::Url;

use super::{Recording, Replay, Sheet};
use crate::error::Result;
use crate::source::Reel;
use crate::source::rest::request::Request;
use crate::source::rest::signed_link::SignedLink;
use crate::source::rest::transport::faults::Faults;
use crate::source::rest::transport::{Answer, Body, Broken, Transport, What};

/// Answers with the token that it is sent, as some do in next links.
struct Echo;

#[async_trait]
impl Transport for Echo {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        let query = request.full_url().query().unwrap_or_default().to_owned();
        let mut headers = HeaderMap::new();
        headers.insert("x-next", HeaderValue::from_str(&query).unwrap());
        headers.insert(SET_COOKIE, HeaderValue::from_static("session=1"));
        let body = match query.contains("page=binary") {
            true => [b"\xff\xfe", query.as_bytes()].concat(),
            false => format!(r#"{{"next":"?{query}"}}"#).into_bytes(),
        };
        let body = Body::Memory(body.into());
        Ok(Answer { status: StatusCode::OK, headers, body, redirects: Vec::new() })
    }
}

fn request(page: &str) -> Request {
    let mut request = Request::get(Url::parse("https://api.example.com/v1/users").unwrap());
    request.set_param("page", page);
    request.set_param("a", "b");
    request
}

fn signed(page: &str) -> Request {
    let mut signed = request(page);
    signed.add_secret_query("my_sig", "s3/cr3t");
    signed
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body.head(1000).unwrap()).into_owned()
}

fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("answers.jsonl")
}

/// A recording of these pages, and how many answers it says that it has.
async fn recorded(path: &Path, most: Option<u64>, pages: &[&str]) -> (Vec<Result<Answer, Broken>>, u64) {
    let reel = Arc::new(Reel::of(most));
    let sheet = Sheet::create(path, "api.example.com", reel.clone()).unwrap();
    let recording = Recording::new(Arc::new(Echo), Arc::new(sheet), Arc::default());
    let mut answers = Vec::new();
    for page in pages {
        answers.push(recording.send(&signed(page)).await);
    }
    assert_eq!(reel.bytes(), std::fs::metadata(path).unwrap().len());
    (answers, reel.answers())
}

fn replay(path: &Path) -> Replay {
    Replay::of(path, Faults::default()).unwrap()
}

#[tokio::test]
async fn what_was_recorded_is_answered_again_and_no_secret_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let (_, answers) = recorded(&path, None, &["1", "2", "1", "binary"]).await;
    assert_eq!(answers, 4);
    let kept = std::fs::read_to_string(&path).unwrap();
    for secret in ["s3/cr3t", "s3%2Fcr3t", "session=1"] {
        assert!(!kept.contains(secret), "{kept}");
    }
    assert!(Sheet::create(&path, "", Arc::default()).is_err(), "it is there");
    let replay = replay(&path);
    for _ in 0..3 {
        let answer = replay.send(&request("1")).await.unwrap();
        assert_eq!(text(&answer), r#"{"next":"?page=1&a=b&my_sig=HIDDEN"}"#);
        assert_eq!(answer.headers["x-next"], "page=1&a=b&my_sig=HIDDEN");
    }
    let binary = replay.send(&request("binary")).await.unwrap();
    assert_eq!(binary.body.head(100).unwrap(), b"\xff\xfepage=binary&a=b&my_sig=HIDDEN");
    let unknown = replay.send(&request("3")).await.unwrap_err();
    assert_eq!(unknown.what, What::Refused);
    assert!(unknown.message.contains("`a`, `page`") && unknown.message.contains("3 others"), "{unknown}");
    // As a next link leads there, with what stands in it in place of the secret.
    let mut followed = request("2");
    followed.query.insert(0, ("my_sig".to_owned(), "HIDDEN".to_owned()));
    assert!(replay.send(&followed).await.is_ok());
}

#[tokio::test]
async fn a_recording_that_was_cut_ends_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let (answers, kept) = recorded(&path, Some(2), &["1", "2", "3"]).await;
    assert_eq!(kept, 2);
    assert_eq!(answers[2].as_ref().unwrap_err().what, What::Cut);
    let replay = replay(&path);
    let what = async |page| replay.send(&request(page)).await.map(drop).map_err(|broken| broken.what);
    assert_eq!(what("1").await, Ok(()));
    assert_eq!(what("4").await, Err(What::Refused), "not before it is there");
    assert_eq!(what("3").await, Err(What::Cut));
    assert_eq!(what("4").await, Err(What::Cut));
}

#[tokio::test]
async fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    recorded(&file(&folder), None, &[]).await;
    assert_eq!(std::fs::metadata(file(&folder)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn fields_of_a_body_are_hidden_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let sheet = Sheet::create(&path, "", Arc::default()).unwrap();
    let recording = Recording::new(Arc::new(Echo), Arc::new(sheet), Arc::default());
    let url = Url::parse("https://api.example.com/v1/users").unwrap();
    let post = |body: &str| Request::post(url.clone(), "application/json", body.to_owned());
    for body in [r#"{"in":{"api_key":"k3y-one"},"page":1}"#, "password=k3y-two&page=1"] {
        recording.send(&post(body)).await.unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(!kept.contains("k3y"), "{kept}");
    assert!(replay(&path).send(&post(r#"{"in":{"api_key":""},"page":1}"#)).await.is_ok());
}

/// Tells a link that is a permission, and answers what follows it.
struct Files;

#[async_trait]
impl Transport for Files {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        let told = br#"{"url":"https:\/\/files.example.net\/1.csv?a=1\u0026sig=s3cr3t","n":""#;
        // Page 2 is not UTF-8.
        let is_odd = request.full_url().query().is_some_and(|query| query.contains("page=2"));
        let body = match request.link {
            SignedLink::Followed => b"id\n1\n".to_vec(),
            _ => [&told[..], if is_odd { &b"\xE9"[..] } else { &b"e"[..] }, b"\"}"].concat(),
        };
        let (headers, body) = (HeaderMap::new(), Body::Memory(body.into()));
        Ok(Answer { status: StatusCode::OK, headers, body, redirects: Vec::new() })
    }
}

fn following(link: &str) -> Request {
    Request { link: SignedLink::Followed, ..Request::get(Url::parse(link).unwrap()) }
}

#[tokio::test]
async fn links_that_are_permissions_are_kept_without_their_queries_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let recording =
        Recording::new(Arc::new(Files), Arc::new(Sheet::create(&path, "", Arc::default()).unwrap()), Arc::default());
    let status = Request { link: SignedLink::Told, ..request("1") };
    recording.send(&status).await.unwrap();
    let odd = Request { link: SignedLink::Told, ..request("2") };
    recording.send(&odd).await.unwrap();
    recording.send(&following("https://files.example.net/1.csv?a=1&sig=s3cr3t")).await.unwrap();
    let mut own = following("https://api.example.com/1.csv");
    own.query.push(("sig".into(), "s3cr3t".into()));
    recording.send(&own).await.unwrap();
    assert!(!std::fs::read_to_string(&path).unwrap().contains("s3cr3t"));
    let replay = replay(&path);
    let told: serde_json::Value = serde_json::from_str(&text(&replay.send(&status).await.unwrap())).unwrap();
    assert!(text(&replay.send(&odd).await.unwrap()).contains("1.csv?HIDDEN"));
    let file = replay.send(&following(told["url"].as_str().unwrap())).await.unwrap();
    assert_eq!(text(&file), "id\n1\n");
}

#[test]
fn files_that_are_none_are_refused_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    Sheet::create(&path, "", Arc::default()).unwrap();
    let head = std::fs::read_to_string(&path).unwrap();
    let refused = |text: String| {
        std::fs::write(&path, text).unwrap();
        Replay::of(&path, Faults::default()).map(drop).unwrap_err().message().to_owned()
    };
    assert!(refused(format!("{head}\n{{\"method\":\"s3cret\"}}\n")).contains("line 3, column "));
    std::fs::write(&path, format!("{head}{{\"method\":\"GE")).unwrap();
    assert!(Replay::of(&path, Faults::default()).is_ok(), "who recorded it was killed");
    assert!(refused(head.replace("\"version\":1", "\"version\":2")).contains("version 2"));
    assert!(
        refused("id,name\n1,s3cret\n".to_owned())
            .ends_with("is no recording: its first line is not one of `tidemark record`")
    );
    assert!(refused(String::new()).ends_with("is empty"));
}
