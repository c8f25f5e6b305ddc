//! Requests beyond a limit are refused and counted, and clients are told how long to wait.

use std::sync::Barrier;
use std::time::{SystemTime, UNIX_EPOCH};

use super::client::{Answer, Client, get};
use crate::api_server::{Fault, Limit, Rule, Server, Tell};

#[test]
fn no_more_than_the_limit_pass() {
    let server = Server::new();
    // A window that no test outlives, but at one moment of a year.
    let limit =
        Limit { seconds: 31_557_600.0, tell: Tell::Delta, path: "/numbered*".to_owned(), ..Limit::per_second(5) };
    server.limit(limit);
    let mut client = Client::of(&server);
    let answers: Vec<Answer> = (0..8).map(|_| client.get("/numbered")).collect();
    assert_eq!(
        answers.iter().map(|answer| answer.status).collect::<Vec<_>>(),
        [200, 200, 200, 200, 200, 429, 429, 429]
    );
    let left: Vec<_> = answers.iter().map(|answer| answer.header("x-ratelimit-remaining").unwrap()).collect();
    assert_eq!(left, ["4", "3", "2", "1", "0", "0", "0", "0"]);
    assert_eq!(client.get("/more").status, 200);
    let seen = server.seen();
    assert_eq!((seen.refused_by_limit, seen.page("/numbered").asked, seen.page("/numbered").served), (3, 8, 5));
}

#[test]
fn a_window_ends() {
    let server = Server::new();
    server.limit(Limit { seconds: 0.2, ..Limit::per_second(1) });
    let mut client = Client::of(&server);
    let mut until = |status: u16| (0..10_000).find(|_| client.get("/numbered?per_page=1").status == status).is_some();
    assert!(until(200) && until(429) && until(200));
}

#[test]
fn every_way_to_tell_says_the_same() {
    let told = |tell: Tell| {
        let server = Server::new();
        server.behave(Rule::new(Fault::SlowDown { status: 503, tell, seconds: 30.0 }));
        let answer = get(&server, "/numbered");
        assert_eq!(answer.status, 503);
        answer
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let is_due = |epoch: u64| (now + 30..=now + 40).contains(&epoch);
    assert_eq!(told(Tell::Nothing).header("retry-after"), None);
    assert_eq!(told(Tell::Seconds).header("retry-after"), Some("30"));
    let date = told(Tell::Date).header("retry-after").unwrap().to_owned();
    let date = jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", &date).unwrap();
    assert!(is_due(date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second() as u64));
    assert!(is_due(told(Tell::Epoch).header("x-ratelimit-reset").unwrap().parse().unwrap()));
    assert_eq!(told(Tell::Delta).header("x-ratelimit-reset"), Some("30"));
    assert_eq!(told(Tell::Draft).header("ratelimit-reset"), Some("30"));
    assert_eq!(told(Tell::NewDraft).header("ratelimit"), Some("\"default\";r=0;t=30"));
}

#[test]
fn the_most_at_once_are_counted() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Late { seconds: 0.7 }));
    let together = Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = Client::of(&server);
                together.wait();
                client.get("/numbered")
            });
        }
    });
    get(&server, "/numbered");
    assert_eq!(server.seen().most_at_once, 4);
}
