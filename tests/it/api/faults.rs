//! Each fault looks on the wire as it is described.

use std::time::{Duration, Instant};

use super::client::{Answer, Client, Ended, get};
use crate::api_server::{Fault, Length, Rule, Server};

fn with(fault: Fault) -> (Answer, Server) {
    let server = Server::new();
    server.behave(Rule::new(fault));
    (get(&server, "/numbered"), server)
}

#[test]
fn answers_that_are_others() {
    for status in [500, 502, 503, 504] {
        assert_eq!(with(Fault::Status(status)).0.status, status);
    }
    for (fault, body) in [(Fault::Empty, ""), (Fault::Null, "null")] {
        let (answer, _) = with(fault);
        assert_eq!((answer.status, answer.text()), (200, body));
    }
    let (page, _) = with(Fault::LoginPage);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let (error, server) = with(Fault::BodyError { status: 200, code: 17 });
    assert_eq!((error.status, error.json()["error"]["code"].as_u64()), (200, Some(17)));
    let seen = server.seen();
    assert_eq!((seen.faults["body_error"], seen.page("/numbered").asked, seen.page("/numbered").served), (1, 1, 0));
}

#[test]
fn bodies_that_are_cut() {
    let whole = get(&Server::new(), "/numbered").body;
    let half = whole.len() / 2;
    for (length, ended) in [
        (Length::Whole, Ended::Early),
        (Length::Sent, Ended::Whole),
        (Length::Unsaid, Ended::Whole),
        (Length::Chunked, Ended::Early),
    ] {
        let (answer, _) = with(Fault::Cut { keep: 0.5, length });
        assert_eq!((answer.ended, &answer.body[..]), (ended, &whole[..half]), "{length:?}");
    }
    let (halved, _) = with(Fault::Halved { keep: 0.5 });
    assert_eq!((halved.ended, &halved.body[..]), (Ended::Whole, &whole[..half]));
}

#[test]
fn bodies_that_are_cut_within_gzip() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Cut { keep: 0.5, length: Length::Sent }).nth(1));
    server.behave(Rule::new(Fault::Halved { keep: 0.5 }).nth(2));
    server.behave(Rule::new(Fault::Mislabelled).nth(3));
    let mut client = Client::of(&server);
    let mut decode = || {
        let answer = client.send("GET", "/numbered", &[("Accept-Encoding", "gzip")], b"");
        assert_eq!((answer.ended, answer.header("content-encoding")), (Ended::Whole, Some("gzip")));
        let mut out = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&answer.body[..]), &mut out).map(|_| out)
    };
    assert!(decode().is_err(), "the gzip is cut");
    let halved = decode().unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&halved).is_err(), "the gzip is whole, the JSON is cut");
    assert!(decode().is_err(), "there is no gzip");
    assert!(serde_json::from_str::<serde_json::Value>(&decode().unwrap()).is_ok());
}

#[test]
fn connections_that_end() {
    assert_eq!(with(Fault::Reset).0.ended, Ended::Reset);
    let (within, _) = with(Fault::ResetWithin { keep: 0.5 });
    assert_eq!((within.status, within.ended, within.body.is_empty()), (200, Ended::Reset, false));
    let (closed, _) = with(Fault::Closed);
    assert_eq!((closed.status, closed.ended), (0, Ended::Early));
    let server = Server::new();
    server.behave(Rule::new(Fault::Silent { seconds: 60.0 }));
    let silent = Client::of(&server).patience(Duration::from_millis(200)).get("/numbered");
    assert_eq!((silent.status, silent.ended), (0, Ended::Silent));
}

/// Half of a body whose length is not known beforehand, too.
#[test]
fn a_large_page_that_is_cut() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Cut { keep: 0.5, length: Length::Whole }).first(1));
    let cut = get(&server, "/large?bytes=300000");
    assert_eq!(cut.ended, Ended::Early);
    let whole = get(&server, "/large?bytes=300000");
    assert_eq!((whole.ended, whole.header("transfer-encoding")), (Ended::Whole, Some("chunked")));
    assert_eq!(cut.body, whole.body[..whole.body.len() / 2]);
    let page = whole.json();
    assert_eq!(page["count"].as_u64().unwrap() as usize, page["data"].as_array().unwrap().len());
    assert!((300_000..301_000).contains(&whole.body.len()));
}

#[test]
fn answers_that_take_their_time() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Late { seconds: 0.1 }).nth(1));
    server.behave(Rule::new(Fault::Slow { bytes: 10_000, seconds: 0.02 }).nth(2));
    for _ in 0..2 {
        let begin = Instant::now();
        assert_eq!(get(&server, "/numbered").ended, Ended::Whole);
        assert!(begin.elapsed() >= Duration::from_millis(80));
    }
    assert_eq!(server.seen().page("/numbered").served, 2);
}

/// What was asked for is done even where the answer is lost.
#[test]
fn a_lost_answer_is_no_lost_request() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Reset).on("/reports"));
    assert_eq!(super::client::post(&server, "/reports", "{\"polls\":0}").ended, Ended::Reset);
    assert_eq!(get(&server, "/reports/1").json()["status"], "DONE");
}
