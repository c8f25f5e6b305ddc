//! Answers that are kept in a file, without secrets, and runs that are answered out of it when the server is gone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{assert_records, config, lines};
use crate::api::auth::{
    ACCESS_KEY, ADS_TOKEN, API_KEY, BEARER, CLIENT_ID, CLIENT_SECRET, PASSWORD, REFRESH_TOKEN, SECRET_KEY, USER,
};
use crate::api::{Fault, Rule, Server, Settings, Shape};
use crate::program::Folder;

const PAGES: &str =
    "path = /numbered\nrecords = data\npagination = page\ntotal = total\npage_size_param = per_page\npage_size = 10";

const REPLAY: &str = "run api --replay answers.jsonl --into replayed";

/// Has the folder's configuration say that the replay's folder is the stream's: for those who look into it.
fn look_into_replay(folder: &Folder, text: &str) {
    folder.configure(&text.replace("path = lake", "path = replayed"));
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    match path.is_dir() {
        true => std::fs::read_dir(path).unwrap().flat_map(|entry| files_below(&entry.unwrap().path())).collect(),
        false => vec![path.to_owned()],
    }
}

#[test]
fn a_replay_with_faults_brings_each_record_once_when_the_server_is_gone() {
    let server = Server::new();
    server.behave(Rule::new(Fault::Status(500)).every(7).at_most(1));
    let text = config(&server, "", PAGES);
    let folder = Folder::new(&text);
    let (_, said) = folder.run("record api answers.jsonl", 0);
    let asked = server.seen().requests;
    assert!(asked > 100 && said.contains(&format!("{asked} answers, 1,000 records")), "{said}");
    for made in ["lake", "tidemark.db"] {
        assert!(!folder.path().join(made).exists(), "a recording makes no {made}");
    }
    drop(server);

    let faults = "429 10%, 500 5%, reset 5%, truncated 5%, html 2%, seed 7";
    let replay = Command::new(env!("CARGO_BIN_EXE_tidemark"))
        .current_dir(folder.path())
        .args(REPLAY.split(' '))
        .args(["--faults", faults, "-v"])
        .env_remove("TIDEMARK_CONFIG")
        .env_remove("RUN_TYPE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&replay.stderr);
    assert_eq!(replay.status.code(), Some(0), "{said}");
    assert!(said.matches("asking again").count() > 10, "{said}");
    for made in ["lake", "tidemark.db"] {
        assert!(!folder.path().join(made).exists(), "a replay makes no {made}");
    }
    look_into_replay(&folder, &text);
    assert_records(&folder, Shape::Rich, 1..=1000);
}

/// Keys of a source with each kind of credentials, and of a stream behind them; whether the server repeats the secret.
fn logins(server: &Server) -> Vec<(String, String, bool)> {
    let linked = |kind: &str| {
        format!("path = /auth/{kind}/linked\npagination = link\npage_size_param = per_page\npage_size = 100")
    };
    let ads = |path: &str| {
        format!(
            "path = {path}\nrecords = data\npagination = link\nnext_link = paging.next\npage_size_param = limit\npage_size = 100"
        )
    };
    let token_url = server.url("/oauth/token");
    let client = format!("token_url = {token_url}\nclient_id = {CLIENT_ID}\nclient_secret = {CLIENT_SECRET}");
    let login = format!(
        "auth = login\nlogin_path = login\nusername = {USER}\npassword = {PASSWORD}\nusername_field = user\npassword_field = password"
    );
    let signed =
        format!("region = eu-west-1\nservice = execute-api\naccess_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}");
    vec![
        (format!("auth = basic\nusername = {USER}\npassword = {PASSWORD}"), linked("basic"), false),
        (format!("auth = header\nauth_name = X-Api-Key\ntoken = {API_KEY}"), linked("header"), false),
        (format!("auth = aws_sigv4\n{signed}"), linked("sigv4"), false),
        (format!("{login}\ntoken_cookie = session"), linked("session"), false),
        (format!("auth = query\nauth_name = api_key\ntoken = {API_KEY}"), linked("query"), true),
        (format!("auth = query\nauth_name = access_token\ntoken = {ADS_TOKEN}"), ads("/ads"), true),
        (format!("auth = bearer\ntoken = {BEARER}"), ads("/auth/bearer/ads"), true),
        (format!("auth = oauth2_client_credentials\n{client}"), ads("/auth/oauth/ads"), true),
        (
            format!("auth = oauth2_refresh_token\n{client}\nrefresh_token = {REFRESH_TOKEN}\ntoken_store = api.token"),
            ads("/auth/oauth/ads"),
            true,
        ),
        (format!("{login}\ntoken_path = token"), ads("/auth/session/ads"), true),
    ]
}

#[test]
fn no_secret_is_in_a_recording_whatever_the_credentials() {
    let basic = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let fixed = [PASSWORD, BEARER, API_KEY, ADS_TOKEN, CLIENT_SECRET, REFRESH_TOKEN, ACCESS_KEY, SECRET_KEY, &basic];
    // What tokens that are given out begin with; and the login's cookie.
    let given = ["access-", "refresh-", "session-", "session=", "Signature=", "pass%3Aword"];
    for case in 0.. {
        // Each token is good for a few requests: others are fetched on the way. Ads count two for each.
        let server = Server::with(Settings { token_uses: Some(4), ..Settings::default() });
        let Some((source, stream, repeats)) = logins(&server).into_iter().nth(case) else { break };
        let folder = Folder::new(&config(&server, &source, &stream));
        let (_, said) = folder.run("record api answers.jsonl", 0);
        assert!(said.contains("1,000 records"), "{source}: {said}");
        drop(server);
        let (_, said) = folder.run(REPLAY, 0);
        assert!(said.contains("\"rows\":1000"), "{source}: {said}");

        let kept = std::fs::read_to_string(folder.path().join("answers.jsonl")).unwrap();
        assert!(kept.lines().count() > 10 && kept.contains("HIDDEN") == repeats, "{source}: {kept}");
        let mut written = files_below(&folder.path().join("replayed"));
        written.push(folder.path().join("answers.jsonl"));
        for path in written {
            let bytes = std::fs::read(&path).unwrap();
            for secret in fixed.iter().chain(&given) {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{source}: {} has {secret}", path.display());
            }
        }
    }
}

#[test]
fn a_replay_needs_no_secret() {
    let server = Server::new();
    let keys = "auth = bearer\ntoken = ${TIDEMARK_LIVE_TOKEN}";
    let text = config(&server, keys, &PAGES.replace("/numbered", "/auth/bearer/numbered"));
    let with = Folder::new(&text).with("TIDEMARK_LIVE_TOKEN", BEARER);
    with.run("record api answers.jsonl", 0);
    let without = Folder::new(&text);
    std::fs::copy(with.path().join("answers.jsonl"), without.path().join("answers.jsonl")).unwrap();
    let (_, said) = without.run("run", 2);
    assert!(said.contains("TIDEMARK_LIVE_TOKEN"), "{said}");
    let before = server.seen().requests;
    without.run(REPLAY, 0);
    assert_eq!(server.seen().requests, before, "a replay asks nobody");
    look_into_replay(&without, &text.replace("${TIDEMARK_LIVE_TOKEN}", "none"));
    assert_records(&without, Shape::Rich, 1..=1000);
}

#[test]
fn a_recording_of_some_pages_ends_behind_them() {
    for more in ["", "concurrency = 4"] {
        let server = Server::new();
        let text = config(&server, "", &format!("{PAGES}\n{more}"));
        let folder = Folder::new(&text);
        let (_, said) = folder.run("record api answers.jsonl --pages 3", 0);
        assert!(said.contains("3 answers, 30 records"), "{said}");
        drop(server);
        folder.run(REPLAY, 0);
        look_into_replay(&folder, &text);
        assert_records(&folder, Shape::Rich, 1..=30);
    }
}

#[test]
fn what_was_not_recorded_is_an_error_that_names_it() {
    let server = Server::new();
    let text = config(&server, "", PAGES);
    let folder = Folder::new(&text);
    folder.run("record api answers.jsonl", 0);
    let (_, said) = folder.run("record api answers.jsonl", 2);
    assert!(said.contains("another file"), "{said}");
    drop(server);
    let other = text.replace("page_size = 10", "page_size = 20");
    folder.configure(&other);
    let (_, said) = folder.run(REPLAY, 2);
    for part in ["GET /numbered?", "`page`, `per_page`", "100 others", "record the stream again"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    look_into_replay(&folder, &other);
    assert!(!super::has_files(&folder));
}

#[test]
fn windows_of_time_end_where_they_ended_then() {
    let server = Server::with(Settings { records: 500, ..Settings::default() });
    let keys = "path = /events\nrecords = events\nmode = incremental\ncursor = updated_at\ncursor_param = updated_since\n\
                until_param = until\nstart = 2026-01-01T00:00:00Z\nstep = 30d\npagination = cursor\nnext_cursor = next_cursor\n\
                page_size_param = limit\npage_size = 100";
    let text = config(&server, "", keys);
    let folder = Folder::new(&text);
    folder.run("record api answers.jsonl", 0);
    drop(server);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    folder.run(REPLAY, 0);
    look_into_replay(&folder, &text);
    assert_eq!(lines(&folder).len(), 500);
}

#[test]
fn streams_that_are_read_for_each_record_of_another() {
    let server = Server::with(Settings { campaigns: 12, days: 5, ..Settings::default() });
    let paged = "records = data\npagination = cursor\nnext_cursor = paging.after\nnext_cursor_param = after\npage_size_param = limit\npage_size = 4";
    let child =
        format!("path = /campaigns/{{campaigns.id}}/insights\nfor_each = campaigns.id\nconcurrency = 3\n{paged}");
    let parents = format!("[stream campaigns]\nsource = web\ndestination = lake\npath = /campaigns\n{paged}\n");
    let text = format!("{}\n{parents}", config(&server, "", &child));
    let folder = Folder::new(&text);
    folder.run("record api answers.jsonl", 0);
    drop(server);
    folder.run(REPLAY, 0);
    look_into_replay(&folder, &text);
    assert_eq!(lines(&folder).len(), 12 * 5);
}
