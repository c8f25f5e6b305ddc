//! Reports are waited for, and fetched by their link alone.

use std::io::Read;

use super::client::{Client, get, post};
use crate::api_server::{Server, Shape, record};

#[test]
fn a_report_is_ordered_waited_for_and_fetched() {
    let server = Server::new();
    let order = "{\"format\":\"jsonl\",\"gzip\":true,\"rows\":50,\"polls\":2,\"elsewhere\":true}";
    let ordered = post(&server, "/reports", order);
    assert_eq!((ordered.status, ordered.json()["id"].as_str()), (202, Some("1")));
    let states: Vec<_> =
        (0..4).map(|_| get(&server, "/reports/1").json()["status"].as_str().unwrap().to_owned()).collect();
    assert_eq!(states, ["RUNNING", "RUNNING", "DONE", "DONE"]);
    let url = get(&server, "/reports/1").json()["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&server.other_url("")).expect("the other host has it");
    let file = Client::to(&url).send("GET", path, &[("Accept-Encoding", "br")], b"");
    assert_eq!(file.header("content-type"), Some("application/gzip"));
    assert_eq!(file.header("content-encoding"), None, "it is a file, and no encoding of one");
    let mut lines = String::new();
    flate2::read::GzDecoder::new(&file.body[..]).read_to_string(&mut lines).unwrap();
    assert_eq!(lines.lines().count(), 50);
    assert_eq!(lines.lines().last().unwrap(), record::json(Shape::Small, 0, 50));
    assert_eq!(get(&server, "/reports/1/download?signature=other").status, 403);
}

#[test]
fn a_report_fails() {
    let server = Server::new();
    post(&server, "/reports", "{\"fail\":true,\"polls\":0}");
    assert_eq!(get(&server, "/reports/1").json()["status"], "FAILED");
    assert_eq!(get(&server, "/reports/2").status, 404);
}
