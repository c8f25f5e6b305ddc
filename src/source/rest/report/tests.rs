//! Reports against a server that answers as it is told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use tokio::time::Instant;
use url::Url;

use super::job::{Job, Outcome, Placed};
use super::*;
use crate::backoff::Backoff;
use crate::error::Kind;
use crate::record::Mode;
use crate::source::rest::asking::{Asked, Asker, Patience};
use crate::source::rest::pace::Pace;
use crate::source::rest::paging::Place;
use crate::source::rest::secrets::Known;
use crate::source::rest::target::Target;
use crate::source::rest::transport::{Answer, Body, Broken, Transport};
use crate::source::rest::{auth, config, unused};

const BASE: &str = "https://api.example.com/v1";

/// Answers the requests for one path, by how many there were before.
type Answering = dyn Fn(&Request, usize) -> Answer + Send + Sync;

struct Script {
    answering: Box<Answering>,
    asked: Mutex<Vec<Request>>,
}

impl Script {
    fn new(answering: impl Fn(&Request, usize) -> Answer + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answering: Box::new(answering), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// Methods and paths, in their order.
    fn paths(&self) -> Vec<String> {
        self.asked().iter().map(|request| format!("{} {}", request.method, request.url.path())).collect()
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.iter().filter(|known| known.url.path() == request.url.path()).count();
        asked.push(request.clone());
        Ok((self.answering)(request, before))
    }
}

fn answer(status: u16, body: &str) -> Answer {
    let (headers, body) = (HeaderMap::new(), Body::Memory(body.to_owned().into()));
    Answer { status: StatusCode::from_u16(status).unwrap(), headers, body, redirects: Vec::new() }
}

const URL: [(&str, &str); 5] = [
    ("report_id", "job.id"),
    ("report_status_path", "/reports/{id}?full=1"),
    ("report_status", "state"),
    ("report_done", "DONE, READY"),
    ("report_url", "url"),
];

const ALL: [(&str, &str); 5] =
    [("method", "post"), ("response_format", "csv"), ("auth", "bearer"), ("token", "s3cr3t"), ("report_poll", "2s")];

fn section(more: &[(&str, &str)]) -> Section {
    Section::of_kind(&config::KIND, more).unwrap()
}

fn endpoint(section: &Section) -> crate::error::Result<Endpoint> {
    Endpoint::of(section, (&Url::parse(BASE).unwrap(), "/reports"), Mode::Full)
}

/// What a report comes to that is ordered, or was.
async fn outcome(script: &Arc<Script>, more: &[(&str, &str)], known: Option<Ordered>) -> crate::error::Result<Outcome> {
    let section = section(&[&URL[..], &ALL[..], more].concat());
    let endpoint = Arc::new(endpoint(&section)?);
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let auth = auth::of(&section, &Url::parse(BASE).unwrap(), script.clone(), minute)?;
    let patience = Patience { retries: 2, backoff: Backoff { first: second, longest: minute, jitter: 0.5 } };
    let secrets = Arc::new(Known::of(&section));
    let asker = Asker::new(script.clone(), auth, secrets, Pace::new(Vec::new(), minute), patience);
    let (report, answers) = endpoint.report.as_ref().unwrap();
    let job = Job { asker: &asker, endpoint: &endpoint, report, answers };
    if let Some(known) = known {
        return job.outcome(&known, Duration::ZERO).await;
    }
    match job.order(&endpoint.request(&Target::at(Place::First))?).await? {
        Placed::Report(ordered, wait) => job.outcome(&ordered, wait).await,
        Placed::Not(asked) => Ok(Outcome::Came(asked)),
    }
}

fn ordered(ago: i64) -> Ordered {
    let at = Timestamp::now().checked_sub(SignedDuration::from_secs(ago)).unwrap().to_string();
    Ordered { id: "7/a".to_owned(), of: String::new(), at }
}

/// A server that makes a report after so many polls.
fn server(polls: usize, url: &'static str) -> Arc<Script> {
    Script::new(move |request, before| match request.url.path() {
        "/v1/reports" => answer(202, r#"{"job":{"id":17}}"#),
        "/v1/reports/17" | "/v1/reports/7%2Fa" if before < polls => answer(200, r#"{"state":"RUNNING"}"#),
        "/v1/reports/17" | "/v1/reports/7%2Fa" => answer(200, &format!(r#"{{"state":"Ready","url":"{url}"}}"#)),
        _ => answer(200, "id,name\n1,a\n2,b\n"),
    })
}

fn records(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Came(Asked::Page(_, envelope)) => envelope.records,
        other => panic!("{other:?}"),
    }
}

fn failure(outcome: Outcome) -> crate::source::rest::failure::Failure {
    match outcome {
        Outcome::Came(Asked::Failed(failure)) => failure,
        other => panic!("{other:?}"),
    }
}

fn gone(outcome: Outcome) -> crate::source::rest::failure::Failure {
    match outcome {
        Outcome::Gone(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_on_another_server_is_fetched_with_nothing_of_ours() {
    let script = server(2, "https://u:p@files.example.net/a.csv?sig=x%2fy#z");
    assert_eq!(records(outcome(&script, &[("header.x-tenant", "acme")], None).await.unwrap()), 2);
    assert_eq!(
        script.paths(),
        ["POST /v1/reports", "GET /v1/reports/17", "GET /v1/reports/17", "GET /v1/reports/17", "GET /a.csv"]
    );
    let asked = script.asked();
    for request in &asked[..4] {
        assert!(request.headers.contains_key(AUTHORIZATION) && request.headers["x-tenant"] == "acme");
        assert_eq!(request.full_url().origin(), Url::parse(BASE).unwrap().origin());
    }
    assert_eq!(asked[1].full_url().query(), Some("full=1"));
    assert_eq!(asked[4].full_url().as_str(), "https://files.example.net/a.csv?sig=x%2fy");
    assert_eq!(asked[4].headers.keys().collect::<Vec<_>>(), ["accept"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_on_the_same_server_is_asked_for_as_all_else() {
    for url in ["/files/17?sig=x", "https://api.example.com/files/17?sig=x"] {
        let script = server(0, url);
        assert_eq!(records(outcome(&script, &[], None).await.unwrap()), 2);
        let last = script.asked().pop().unwrap();
        assert!(last.headers.contains_key(AUTHORIZATION));
        assert_eq!(last.full_url().as_str(), "https://api.example.com/files/17?sig=x");
    }
}

#[tokio::test(start_paused = true)]
async fn links_that_must_not_be_followed_are_refused() {
    for url in ["http://files.example.net/a.csv?sig=s1gn", "file:///etc/passwd?s1gn", "https://?s1gn"] {
        let failure = gone(outcome(&server(0, url), &[], None).await.unwrap());
        assert!(
            !failure.reason.contains("s1gn") && failure.reason.starts_with("report 17: its file's URL"),
            "{}",
            failure.reason
        );
        assert_eq!(failure.kind, Kind::Data);
    }
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_are_the_servers_where_it_says_them() {
    let begun = Instant::now();
    assert_eq!(records(outcome(&server(4, "/f"), &[("report_poll_most", "4s")], None).await.unwrap()), 2);
    // Before the five polls: 2, 2, 3, 4 and 4 seconds.
    assert_eq!(begun.elapsed().as_secs(), 15);
    let script = Script::new(|request, before| match request.url.path() {
        "/v1/reports" => answer(202, r#"{"job":{"id":"17"}}"#),
        "/v1/reports/17" if before < 3 => {
            let mut answer = answer(200, r#"{"state":"RUNNING"}"#);
            // 0 says nothing.
            let wait = ["30", "0", "7"][before];
            answer.headers.insert(RETRY_AFTER, HeaderValue::from_static(wait));
            answer
        }
        "/v1/reports/17" => answer(200, r#"{"state":"DONE","url":"/f"}"#),
        _ => answer(200, "id\n1\n"),
    });
    let begun = Instant::now();
    assert_eq!(records(outcome(&script, &[], None).await.unwrap()), 1);
    assert_eq!(begun.elapsed().as_secs(), 2 + 30 + 3 + 7);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_fails_or_takes_too_long_says_so() {
    let script = Script::new(|request, _| match request.url.path() {
        "/v1/reports" => answer(202, r#"{"job":{"id":"17"}}"#),
        _ => answer(200, r#"{"state":"cancelled"}"#),
    });
    let failed = gone(outcome(&script, &[], None).await.unwrap());
    assert_eq!(failed.reason, "report 17: it is cancelled, which is one of `report_failed`");
    let script = Script::new(|request, _| match request.url.path() {
        "/v1/reports" => answer(202, r#"{"job":{"id":"17"}}"#),
        _ => answer(200, r#"{"state":"waiting for one that is good and not s3cr3t"}"#),
    });
    let late = gone(outcome(&script, &[("report_timeout", "1m")], None).await.unwrap());
    assert!(late.reason.contains("it is still waiting for one") && !late.reason.contains("s3c"), "{}", late.reason);
    let begun = Instant::now();
    let late = gone(outcome(&server(99, "/f"), &[("report_timeout", "1m")], None).await.unwrap());
    assert_eq!(late.reason, "report 17: it is still RUNNING after 60 s (`report_timeout`)");
    assert!((60..62).contains(&begun.elapsed().as_secs()));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_ordered_before_is_asked_for_at_once_and_at_least_once() {
    let begun = Instant::now();
    assert_eq!(records(outcome(&server(0, "/f"), &[], Some(ordered(7_000_000))).await.unwrap()), 2);
    gone(outcome(&server(1, "/f"), &[], Some(ordered(7_000_000))).await.unwrap());
    assert_eq!(begun.elapsed().as_secs(), 0);
    for status in [400, 404, 410] {
        let script = Script::new(move |_, _| answer(status, r#"{"error":"unknown"}"#));
        let unknown = gone(outcome(&script, &[("ignore_when", "status = 404")], Some(ordered(1))).await.unwrap());
        assert!(unknown.reason.starts_with("report 7/a: its status: the server answers"), "{}", unknown.reason);
        assert_eq!(script.paths(), ["GET /v1/reports/7%2Fa"]);
    }
    // That says nothing of the report.
    let script = Script::new(|_, _| answer(503, ""));
    assert_eq!(failure(outcome(&script, &[], Some(ordered(1))).await.unwrap()).attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_none_are_named() {
    for (body, wanted) in [
        ("<html><body>Log in</body></html>", "HTML"),
        (r#"{"state":"DO"#, "is cut off"),
        (r#"{"status":"DONE"}"#, "has no `state`, which `report_status` names"),
        (r#"{"state":{"is":"DONE"}}"#, "has no `state`"),
        (r#"{"state":"DONE"}"#, "has no `url`, which `report_url` names"),
    ] {
        let script = Script::new(move |_, _| answer(200, body));
        let told = gone(outcome(&script, &[], Some(ordered(1))).await.unwrap());
        assert!(told.reason.contains(wanted) && told.reason.starts_with("report 7/a: "), "{}", told.reason);
    }
    // A server that is being restarted: the report is kept.
    for (body, wanted) in [("", "is empty"), ("null", "is null")] {
        let script = Script::new(move |_, _| answer(200, body));
        let told = failure(outcome(&script, &[], Some(ordered(1))).await.unwrap());
        assert!(told.reason.contains(wanted) && told.reason.starts_with("report 7/a: "), "{}", told.reason);
    }
    for body in ["{}", r#"{"job":{"id":""}}"#, r#"{"job":{"id":null}}"#] {
        let script = Script::new(move |_, _| answer(200, body));
        let told = failure(outcome(&script, &[], None).await.unwrap());
        assert!(told.reason.contains("has no `job.id`, which `report_id` names"), "{}", told.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_had_or_read_says_so_of_its_report() {
    for (status, file, wanted) in [
        (403, "", "its file: the server answers 403"),
        (500, "", "its file: the server answers 500"),
        (200, r#"[{"id":1},{"id":NaN}]"#, ", within a record"),
    ] {
        let script = Script::new(move |request, _| match request.url.path() {
            "/v1/reports/7%2Fa" => answer(200, r#"{"state":"DONE","url":"/f"}"#),
            _ => answer(status, file),
        });
        let told = gone(outcome(&script, &[("response_format", "json")], Some(ordered(1))).await.unwrap());
        assert!(told.reason.contains(wanted), "{}", told.reason);
    }
}

#[tokio::test(start_paused = true)]
async fn rules_of_the_body_are_of_orders_and_polls_though_the_file_is_csv() {
    let rules = [("retry_when", "error.code in 17"), ("fail_when", "error exists"), ("ignore_when", "note = nothing")];
    let slow = || {
        Script::new(|request, before| match (request.url.path(), before) {
            ("/v1/reports" | "/v1/reports/17", 0) => answer(200, r#"{"error":{"code":17}}"#),
            ("/v1/reports", _) => answer(200, r#"{"job":{"id":17}}"#),
            ("/v1/reports/17", _) => answer(200, r#"{"state":"DONE","url":"/f"}"#),
            _ => answer(200, "error\n1\n"),
        })
    };
    assert!(failure(outcome(&slow(), &rules[1..2], None).await.unwrap()).reason.contains("`fail_when`"));
    assert_eq!(records(outcome(&slow(), &rules[..1], None).await.unwrap()), 1);
    let script = Script::new(|_, _| answer(200, r#"{"note":"nothing"}"#));
    assert!(matches!(outcome(&script, &rules[2..], None).await.unwrap(), Outcome::Came(Asked::Nothing)));
}

#[tokio::test(start_paused = true)]
async fn no_error_has_a_links_query() {
    let link = "https://files.example.net/a.csv?signature=0123456789abcdef";
    let script = Script::new(move |request, _| match request.url.path() {
        "/v1/reports" => answer(202, r#"{"job":{"id":"17"}}"#),
        "/v1/reports/17" => answer(200, &format!(r#"{{"state":"DONE","url":"{link}"}}"#)),
        _ => answer(403, "<Error><SignatureProvided>0123456789abcdef</SignatureProvided></Error>"),
    });
    let told = gone(outcome(&script, &[], None).await.unwrap());
    assert!(told.reason.contains("403") && told.excerpt.is_none(), "{told:?}");
    let told = gone(outcome(&script, &[("fail_when", "state = DONE")], None).await.unwrap());
    assert!(told.excerpt.is_none(), "{told:?}");
    let script = Script::new(move |_, _| answer(400, &format!(r#"{{"url":"{link}"}}"#)));
    let excerpt = failure(outcome(&script, &[], None).await.unwrap()).excerpt.unwrap();
    assert!(excerpt.contains("a.csv?") && !excerpt.contains("0123456789"), "{excerpt}");
}

#[test]
fn what_is_incomplete_says_what_to_add() {
    let without =
        |key: &str| -> Vec<(&'static str, &'static str)> { URL.into_iter().filter(|(name, _)| *name != key).collect() };
    let refused = |values: &[(&str, &str)], wanted: &str| {
        let section = section(values);
        let error = unused::refuse(&section).and_then(|()| endpoint(&section).map(drop)).unwrap_err();
        assert!(error.message().contains(wanted), "{error}");
    };
    assert!(endpoint(&section(&URL)).is_ok());
    assert!(endpoint(&section(&[("report_poll", "1s"), ("report_timeout", "1h")])).unwrap().report.is_none());
    refused(&without("report_id"), "is of `report_id`");
    for key in ["report_status_path", "report_status", "report_done", "report_url"] {
        refused(&without(key), &format!("needs `{key}`"));
    }
    let with = |more: (&'static str, &'static str)| [&URL[..], &[more]].concat();
    refused(&with(("report_path", "/f/{id}")), "in place of `report_url`");
    refused(&with(("report_failed", "done")), "which `report_done` has too");
    refused(&with(("report_poll", "0s")), "longer than nothing");
    refused(&with(("pagination", "page")), "has no pages");
    refused(&with(("has_more", "more")), "is of pages");
    let away = [&without("report_status_path")[..], &[("report_status_path", "https://evil.example/{id}")]].concat();
    refused(&away, "another server");
    for (key, value) in
        [("report_status_path", "/reports"), ("report_id", "$"), ("report_status", "a[*].b"), ("report_done", " ")]
    {
        assert!(Section::of_kind(&config::KIND, &[(key, value)]).is_err(), "{key}");
    }
}

#[test]
fn what_was_ordered_is_told_apart() {
    let of = |path: &str, body: &'static str| {
        let mut request = Request::post(Url::parse(BASE).unwrap().join(path).unwrap(), "application/json", body);
        request.query.push(("since".into(), "1".into()));
        Ordered::digest(&request)
    };
    assert_eq!(of("/a", "{}"), of("/a", "{}"));
    assert!(of("/a", "{}") != of("/b", "{}") && of("/a", "{}") != of("/a", "{ }"));
    let get = Request::get(Url::parse(BASE).unwrap());
    let mut later = get.clone();
    later.query.push(("since".into(), "1".into()));
    assert_ne!(Ordered::digest(&get), Ordered::digest(&later));
}
