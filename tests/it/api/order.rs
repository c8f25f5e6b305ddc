//! Orders over HTTP do what those within the process do.

use super::client::{get, post};
use crate::api_server::{Seen, Server};

#[test]
fn orders_over_http() {
    let server = Server::new();
    let order = r#"{"settings": {"records": 5}, "limits": [],
        "rules": [{"path": "/numbered", "query": {"page": "1"}, "name": "one", "when": {"first": 9}, "fault": {"status": 502}},
                  {"when": {"chance": {"share": 1.0, "seed": 1}}, "at_most": 1, "fault": "login_page"}]}"#;
    assert_eq!(post(&server, "/_control", order).status, 200);
    assert_eq!(get(&server, "/numbered?page=1").status, 502);
    assert_eq!(post(&server, "/_control", r#"{"repair": ["one"]}"#).status, 200);
    assert_eq!(get(&server, "/numbered?page=1").header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(get(&server, "/numbered?page=1").json()["total"], 5);
    let told: Seen = serde_json::from_slice(&get(&server, "/_control").body).unwrap();
    assert_eq!((told.requests, told.faults["one"], told.faults["login_page"]), (3, 1, 1));
    assert_eq!(post(&server, "/_control", r#"{"clear": true, "forget": true}"#).status, 200);
    assert_eq!(server.seen().requests, 0);
    for wrong in [r#"{"settings": {"colour": 1}}"#, r#"{"rules": [{"fault": "flood"}]}"#, "nonsense"] {
        assert_eq!(post(&server, "/_control", wrong).status, 400, "{wrong}");
    }
}
