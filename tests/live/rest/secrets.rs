//! What nobody may see is in nothing that the program says or keeps, whatever a server says of it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{folder, has_files};
use crate::api::auth::{API_KEY, BEARER, CLIENT_ID, CLIENT_SECRET, PASSWORD, USER};
use crate::api::{Fault, Rule, Server};
use crate::program::Folder;

const PAGES: &str = "records = data\npagination = page\npage_size_param = per_page\npage_size = 100\nretries = 0";

/// Neither is any of these in what was said, nor in what the program has written.
#[track_caller]
fn assert_nowhere(folder: &Folder, said: &str, hidden: &[&str]) {
    for text in hidden {
        assert!(!said.contains(text), "{text}: {said}");
        for path in files_below(folder.path()).into_iter().filter(|path| !path.ends_with("pipeline.conf")) {
            let bytes = std::fs::read(&path).unwrap();
            let is_there = bytes.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!is_there, "{text} is in {}", path.display());
        }
    }
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_server_that_repeats_what_it_is_sent() {
    let server = Server::new();
    // Not where tokens are given out.
    server.behave(Rule::new(Fault::Echo { status: 400 }).with("page", 3));
    let login =
        format!("auth = login\nlogin_path = login\nusername = {USER}\npassword = {PASSWORD}\nusername_field = user");
    let token = server.url("/oauth/token");
    let encoded = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    for (source, kind, hidden) in [
        (format!("auth = basic\nusername = {USER}\npassword = {PASSWORD}"), "/auth/basic", &[PASSWORD, &encoded][..]),
        (format!("{login}\ntoken_cookie = session"), "/auth/session", &[PASSWORD, "session-"]),
        (
            format!("{login}\ntoken_path = token\ntoken_as = cookie\nauth_name = session"),
            "/auth/session",
            &["session-"],
        ),
        (format!("auth = header\nauth_name = X-Api-Key\ntoken = {API_KEY}"), "/auth/header", &[API_KEY]),
        (format!("auth = query\nauth_name = api_key\ntoken = {API_KEY}"), "/auth/query", &[API_KEY]),
        (
            "auth = query\nauth_name = my_sig\ntoken = abc/def/ghijkl==".to_owned(),
            "",
            &["ghijkl", "abc/def", r"abc\/def"],
        ),
        (format!("auth = bearer\ntoken = {BEARER}"), "/auth/bearer", &[BEARER]),
        (
            format!(
                "auth = oauth2_client_credentials\ntoken_url = {token}\nclient_id = {CLIENT_ID}\n\
                 client_secret = {CLIENT_SECRET}"
            ),
            "/auth/oauth",
            &["access-", CLIENT_SECRET],
        ),
    ] {
        let stream = format!("path = {kind}/numbered\n{PAGES}");
        for (more, code) in [("", 65), ("on_error = keep_going", 3)] {
            let folder = folder(&server, &source, &format!("{stream}\n{more}"));
            let (_, said) = folder.run("run -vv", code);
            assert!(code == 3 || said.contains("who are you?"), "{said}");
            assert_nowhere(&folder, &said, hidden);
            let kept = folder.count("job_log_failure", "excerpt like '%who are you?%HIDDEN%'");
            assert_eq!(kept, u32::from(code == 3), "{source}");
        }
    }
}

#[test]
fn a_secret_of_the_section_counts_whatever_was_sent() {
    let server = Server::new();
    let text = format!(r#"{{"error": "{USER} {CLIENT_SECRET}"}}"#);
    server.behave(Rule::new(Fault::Says { status: 400, text }).on("/auth/oauth/*"));
    let token = server.url("/oauth/token");
    let source = format!(
        "auth = oauth2_client_credentials\ntoken_url = {token}\nclient_id = {CLIENT_ID}\nclient_secret = {CLIENT_SECRET}"
    );
    let folder = folder(&server, &source, &format!("path = /auth/oauth/numbered\n{PAGES}"));
    let (_, said) = folder.run("run -vv", 65);
    assert!(said.contains(&format!("{USER} HIDDEN")), "{said}");
    assert_nowhere(&folder, &said, &[CLIENT_SECRET]);
}

#[test]
fn a_link_that_is_redirected_to_may_be_a_permission() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Echo { status: 400 }).on("/array"));
    let signature = "0123456789abcdefghij";
    let keys = format!("path = /redirect/302\nparam.host = other\nparam.to = /array?sig={signature}\nretries = 0");
    let folder = folder(&server, "", &keys);
    let (_, said) = folder.run("run -vv", 65);
    // The section itself says it here, and is no secret.
    assert!(said.contains("who are you?") && !said.contains(signature), "{said}");
}

#[test]
fn what_a_server_says_is_not_shown_where_values_are_masked() {
    let server = Server::new();
    let text = r#"{"error": "account ada@example.org is locked"}"#.to_owned();
    server.behave(Rule::new(Fault::Says { status: 400, text }).with("page", 3));
    let run = |more: &str, code: i32| {
        let folder = folder(&server, "", &format!("path = /numbered\n{PAGES}\n{more}"));
        let said = folder.run("run -vv", code).1;
        assert!(said.contains("400 (Bad Request)") && !(code == 65 && has_files(&folder)), "{said}");
        (folder, said)
    };
    assert!(run("", 65).1.contains("ada@example.org"), "what is masked is not this");
    for (more, code) in [("", 65), ("on_error = keep_going\n", 3)] {
        let (folder, said) = run(&format!("{more}mask.name = redact"), code);
        assert_nowhere(&folder, &said, &["ada@"]);
        assert!(!folder.print("status --stream api").contains("ada@"));
    }
}
