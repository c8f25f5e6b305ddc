//! When things go wrong can be said beforehand, and comes to the same each time.

use super::client::{Client, get};
use crate::api_server::{Fault, Rule, Server};

fn statuses(server: &Server, paths: impl IntoIterator<Item = String>) -> Vec<bool> {
    let mut client = Client::of(server);
    paths.into_iter().map(|path| client.get(&path).status == 500).collect()
}

fn wrong() -> Rule {
    Rule::new(Fault::Status(500))
}

fn pages(numbers: impl IntoIterator<Item = u64>) -> impl Iterator<Item = String> {
    numbers.into_iter().map(|page| format!("/numbered?page={page}&per_page=1"))
}

#[test]
fn by_count() {
    let of = |rule: Rule| {
        let server = Server::new();
        server.behave(rule.on("/numbered"));
        statuses(&server, ["/more".to_owned()].into_iter().chain(pages(1..=6)))
    };
    assert_eq!(of(wrong().nth(2)), [false, false, true, false, false, false, false]);
    assert_eq!(of(wrong().first(2)), [false, true, true, false, false, false, false]);
    assert_eq!(of(wrong().every(3)), [false, false, false, true, false, false, true]);
    assert_eq!(of(wrong()), [false, true, true, true, true, true, true]);
}

#[test]
fn until_it_is_repaired() {
    let server = Server::new();
    server.behave(wrong().on("/numbered").with("page", 17).named("17"));
    for _ in 0..3 {
        assert_eq!(statuses(&server, pages([16, 17, 18])), [false, true, false]);
    }
    server.repair("17");
    assert_eq!(statuses(&server, pages([16, 17, 18])), [false, false, false]);
    let page = server.seen().page("/numbered?page=17&per_page=1");
    assert_eq!((page.asked, page.served, server.seen().faults["17"]), (4, 1, 3));
}

#[test]
fn by_chance_that_does_not_depend_on_the_order() {
    let of = |numbers: Vec<u64>, seed| {
        let server = Server::new();
        server.behave(wrong().on("/numb*").chance(0.3, seed));
        let twice = pages(numbers.clone()).chain(pages(numbers.clone()));
        let mut found: Vec<_> = numbers.iter().chain(&numbers).zip(statuses(&server, twice)).enumerate().collect();
        let half = numbers.len();
        found.sort_by_key(|(place, (page, _))| (place / half, **page));
        found.into_iter().map(|(_, (_, is_wrong))| is_wrong).collect::<Vec<_>>()
    };
    let forth = of((1..=200).collect(), 7);
    assert_eq!(forth, of((1..=200).rev().collect(), 7));
    assert_ne!(forth, of((1..=200).collect(), 8));
    assert_ne!(forth[..200], forth[200..], "another try has another chance");
    let count = forth.iter().filter(|is_wrong| **is_wrong).count();
    assert!((80..160).contains(&count), "{count} of 400");
}

#[test]
fn so_often_for_the_same_page_at_most() {
    let server = Server::new();
    server.behave(wrong().at_most(2));
    assert_eq!(statuses(&server, pages([1, 1, 1, 2, 2, 2])), [true, true, false, true, true, false]);
}

#[test]
fn the_first_rule_decides_and_all_of_them_count() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Empty).nth(1)).behave(wrong().nth(2));
    assert_eq!(get(&server, "/numbered").text(), "");
    assert_eq!(get(&server, "/numbered").status, 500);
}
