//! Each way of paging leads to every record once, if one walks it as it is meant.

use std::collections::BTreeSet;

use serde_json::Value;

use super::client::{Answer, Client, get};
use crate::api_server::{Server, Settings, Shape, record};

fn ids(records: &Value) -> Vec<u64> {
    let id = |record: &Value| record["id"].as_u64().unwrap_or_else(|| record["id"].as_str().unwrap().parse().unwrap());
    records.as_array().unwrap().iter().map(id).collect()
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Walks from `first` on; `step` tells a page's records and the next path.
fn walk(server: &Server, first: &str, step: impl Fn(&Answer, usize) -> (Vec<u64>, Option<String>)) -> Vec<u64> {
    let (mut client, mut all, mut next) = (Client::of(server), Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let answer = client.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let (ids, following) = step(&answer, all.len());
        all.extend(ids);
        next = following;
    }
    assert_eq!(server.seen().connections, 1, "connections are kept");
    all
}

fn server() -> Server {
    Server::with(Settings { records: 250, shape: Shape::Small, ..Settings::default() })
}

fn path(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    rest[rest.find('/').unwrap()..].to_owned()
}

#[test]
fn pages_that_are_counted() {
    let all: Vec<u64> = (1..=250).collect();
    for (first, field) in
        [("/numbered?per_page=100", "data"), ("/numbered/zero?per_page=100", "data"), ("/more?limit=100", "results")]
    {
        let begin = u64::from(!first.contains("zero"));
        let found = walk(&server(), first, |answer, before| {
            let ids = ids(&answer.json()[field]);
            let next = (ids.len() == 100).then(|| format!("{first}&page={}", before / 100 + 1 + begin as usize));
            (ids, next)
        });
        assert_eq!(found, all, "{first}");
    }
    for (first, limit) in [("/offset", 100), ("/offset/short", 37)] {
        let found = walk(&server(), first, |answer, before| {
            let page = answer.json();
            assert_eq!(page["total"], 250);
            let ids = ids(&page["items"]);
            assert_eq!(ids.len(), limit.min(250 - before), "{first}");
            let end = before + ids.len();
            (ids, (end < 250).then(|| format!("{first}?offset={end}")))
        });
        assert_eq!(found, all, "{first}");
    }
}

#[test]
fn pages_that_are_asked_for_with_a_body() {
    let server = server();
    let page = super::client::post(&server, "/numbered", "{\"page\":3,\"per_page\":100}").json();
    assert_eq!(ids(&page["data"]), (201..=250).collect::<Vec<_>>());
    assert_eq!(server.seen().page("POST /numbered?page=3&per_page=100").served, 1);
}

#[test]
fn pages_behind_cursors_links_and_keys() {
    let all: Vec<u64> = (1..=250).collect();
    let by_cursor = |base: &'static str| {
        walk(&server(), base, move |answer, _| {
            let page = answer.json();
            let next = page["meta"]["next_cursor"].as_str().map(|cursor| format!("{base}?cursor={}", escaped(cursor)));
            (ids(&page["data"]), next)
        })
    };
    assert_eq!(by_cursor("/cursor"), all);
    assert_eq!(by_cursor("/cursor/last"), all);
    let by_header = walk(&server(), "/cursor/header", |answer, _| {
        let next = answer.header("x-next-cursor").map(|cursor| format!("/cursor/header?cursor={}", escaped(cursor)));
        (ids(&answer.json()), next)
    });
    assert_eq!(by_header, all);
    let by_link = walk(&server(), "/linked?per_page=100", |answer, _| {
        let link = answer.header("link").unwrap();
        let next = link.split(", <").find(|link| link.ends_with(">; rel=\"next\""));
        (ids(&answer.json()), next.map(|link| path(link.split('>').next().unwrap())))
    });
    assert_eq!(by_link, all);
    let by_key = walk(&server(), "/keyset?since_id=0", |answer, _| {
        let ids = ids(&answer.json()["data"]);
        let next = ids.last().map(|last| format!("/keyset?since_id={last}"));
        (ids, next)
    });
    assert_eq!(by_key, all);
}

#[test]
fn pages_that_never_end() {
    let server = server();
    assert_eq!(get(&server, "/numbered/stuck?page=9").body, get(&server, "/numbered/stuck?page=1").body);
    let mut at = vec!["/cycle?length=3".to_owned()];
    for _ in 0..5 {
        let next = get(&server, at.last().unwrap()).json()["next"].as_str().map(path).unwrap();
        at.push(next);
    }
    assert_eq!(at[1..3], at[4..6], "{at:?}");
    assert_eq!(at[..4].iter().collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn users_as_a_fake_data_api_has_them() {
    let server = server();
    let count = |path: &str| {
        let answer = get(&server, path).json();
        (answer["total"].as_u64().unwrap(), answer["data"].as_array().unwrap().len())
    };
    assert_eq!(count("/users"), (10, 10));
    assert_eq!(count("/users?_quantity=-1"), (10, 10));
    assert_eq!(count("/users?_quantity=5000"), (1000, 1000));
    server.set("users_most", 100);
    assert_eq!(count("/users?_quantity=1000"), (1000, 100));
    assert_eq!(count("/users?_quantity=1000&_offset=950"), (1000, 50));
    assert_ne!(get(&server, "/users?_seed=1").body, get(&server, "/users?_seed=2").body);
}

#[test]
fn ads_as_a_marketing_api_has_them() {
    let token = crate::api_server::auth::ADS_TOKEN;
    let found = walk(&server(), &format!("/ads?access_token={token}&limit=100"), |answer, _| {
        let page = answer.json();
        let next = page["paging"]["next"].as_str();
        assert!(next.is_none_or(|next| next.contains(&format!("access_token={token}"))));
        (ids(&page["data"]), next.map(path))
    });
    assert_eq!(found.len(), 250);
    let code = |path: &str| get(&server(), path).json()["error"]["code"].as_u64();
    assert_eq!(code("/ads?access_token=other"), Some(190));
    assert_eq!(code(&format!("/ads?access_token={token}&limit=0")), Some(100));
    assert_eq!(code(&format!("/ads?access_token={token}&after=nonsense")), Some(100));
}

#[test]
fn records_are_what_their_numbers_say() {
    let server = Server::new();
    let page = get(&server, "/numbered?per_page=1000").text().to_owned();
    let records: Vec<String> = (1..=1000).map(|id| record::json(Shape::Rich, 0, id)).collect();
    assert!(page.starts_with(&format!("{{\"data\":[{}]", records.join(","))));
    let all: Vec<Value> = records.iter().map(|record| serde_json::from_str(record).unwrap()).collect();
    assert!(all.iter().any(|record| record["nickname"].is_null()));
    assert!(all.iter().any(|record| record.get("note").is_none()));
    assert!(all.iter().all(|record| record["views"].as_u64() > Some(i64::MAX as u64)));
    assert!(records.iter().all(|record| record.contains(r#""price":9.90"#)));
    let lines = get(&server, "/lines?shape=small").text().to_owned();
    let expected: Vec<String> = (1..=100).map(|id| record::json(Shape::Small, 0, id) + "\n").collect();
    assert_eq!(lines, expected.concat());
    let csv = get(&server, "/csv?page=2").body;
    let mut rows = csv::Reader::from_reader(&csv[..]);
    let names: Vec<_> = rows.records().map(|row| row.unwrap()[1].to_owned()).collect();
    assert_eq!(names, (101..=200).map(|id| record::row(0, id).name).collect::<Vec<_>>());
    assert!(get(&server, "/xml").text().contains("<total>1000</total></response>"));
}

#[test]
fn changes_begin_at_since_and_end_before_until() {
    let server = Server::with(Settings { records: 30, ..Settings::default() });
    let ids_of = |path: &str| ids(&get(&server, path).json()["events"]);
    assert_eq!(ids_of("/events"), (1..=30).collect::<Vec<_>>());
    // Three at a time share a minute.
    assert_eq!(ids_of("/events?updated_since=2026-01-01T00:02:00Z&until=2026-01-01T00:04:00Z"), [4, 5, 6, 7, 8, 9]);
    assert_eq!(ids_of("/events?updated_since=2026-01-01T00:02:00.5Z&until=1767225840"), [7, 8, 9]);
    server.order(crate::api_server::Order { grow: 1, touch: vec![2, 2], ..Default::default() });
    assert_eq!(ids_of("/events?updated_since=2026-01-01T00:11:00Z"), [31, 2]);
    let last = get(&server, "/events?updated_since=2026-01-01T00:13:00Z").json()["events"][0].clone();
    assert_eq!((last["id"].as_u64(), last["version"].as_u64()), (Some(2), Some(3)));
    assert_eq!(get(&server, "/events?updated_since=yesterday").status, 400);
}

#[test]
fn children_by_day() {
    let server = Server::new();
    let days = |path: &str| get(&server, path).json()["data"].as_array().unwrap().len();
    assert_eq!(days("/campaigns?limit=100"), 25);
    assert_eq!(days("/campaigns/7/insights"), 90);
    assert_eq!(days("/campaigns/7/insights?since=2026-01-31&until=2026-02-02"), 2);
    let first = get(&server, "/campaigns/7/insights?limit=40").json();
    let second = get(&server, &path(first["paging"]["next"].as_str().unwrap())).json();
    assert_eq!(second["data"][0]["date"], "2026-02-10");
    assert_eq!(get(&server, "/campaigns/26/insights").status, 404);
}
