//! Credentials are checked, tokens end, and what goes to another host is noticed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::client::{Answer, Client, get};
use crate::api_server::auth::{self, ACCESS_KEY, Keys, SECRET_KEY, verify};
use crate::api_server::{Fault, Host, Request, Rule, Server, Settings};

fn with(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    Client::of(server).send("GET", path, headers, b"")
}

fn token(server: &Server, form: &str) -> Answer {
    let form = format!("{form}&client_id={}&client_secret={}", auth::CLIENT_ID, auth::CLIENT_SECRET);
    super::client::post(server, "/oauth/token", &form)
}

fn bearer(server: &Server, token: &str) -> u16 {
    with(server, "/auth/oauth/numbered", &[("Authorization", &format!("Bearer {token}"))]).status
}

#[test]
fn fixed_credentials() {
    let server = Server::new();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", auth::USER, auth::PASSWORD)));
    let bearer = format!("Bearer {}", auth::BEARER);
    for (kind, name, value, refusal) in [
        ("basic", "Authorization", basic.as_str(), 401),
        ("bearer", "Authorization", &bearer, 401),
        ("header", "X-Api-Key", auth::API_KEY, 403),
    ] {
        let path = format!("/auth/{kind}/numbered");
        assert_eq!(with(&server, &path, &[(name, value)]).status, 200, "{kind}");
        assert_eq!(with(&server, &path, &[(name, "other")]).status, refusal, "{kind}");
        assert_eq!(get(&server, &path).status, refusal, "{kind}");
    }
    assert_eq!(get(&server, &format!("/auth/query/numbered?api_key={}", auth::API_KEY)).status, 200);
    assert_eq!(get(&server, "/auth/query/numbered?api_key=other").status, 403);
    assert_eq!(server.seen().refused_by_auth, 7);
    assert!(server.seen().authorization.contains(&basic));
}

#[test]
fn a_session_ends_after_its_uses() {
    let server = Server::with(Settings { token_uses: Some(2), ..Settings::default() });
    let login = format!("{{\"user\":\"{}\",\"password\":\"{}\"}}", auth::USER, auth::PASSWORD);
    let session = super::client::post(&server, "/login", &login).json()["token"].as_str().unwrap().to_owned();
    let ask = || with(&server, "/auth/session/numbered", &[("X-Session-Token", &session)]).status;
    assert_eq!([ask(), ask(), ask()], [200, 200, 401]);
    assert_eq!(super::client::post(&server, "/login", "{\"user\":\"reader\"}").status, 401);
}

#[test]
fn a_refresh_token_that_comes_twice_revokes_all_that_came_of_it() {
    let server = Server::new();
    let refresh = |token_: &str| token(&server, &format!("grant_type=refresh_token&refresh_token={token_}"));
    let first = refresh(auth::REFRESH_TOKEN).json();
    let second = refresh(first["refresh_token"].as_str().unwrap()).json();
    let access = second["access_token"].as_str().unwrap();
    assert_eq!(bearer(&server, access), 200);
    let other = server.refresh_token();
    let reused = refresh(auth::REFRESH_TOKEN);
    assert_eq!((reused.status, reused.json()["error"].as_str()), (400, Some("invalid_grant")));
    assert_eq!(bearer(&server, access), 401);
    assert_eq!(refresh(second["refresh_token"].as_str().unwrap()).status, 400);
    assert_eq!(refresh(&other).status, 200, "another login is not touched");
    assert_eq!((server.seen().refresh_reused, server.seen().tokens_given), (1, 3));
}

#[test]
fn tokens_of_a_client_expire() {
    let server = Server::with(Settings { token_seconds: Some(0.7), ..Settings::default() });
    let answer = token(&server, "grant_type=client_credentials").json();
    assert_eq!(answer["expires_in"], 1);
    let access = answer["access_token"].as_str().unwrap();
    assert_eq!(bearer(&server, access), 200);
    std::thread::sleep(std::time::Duration::from_millis(710));
    assert_eq!(bearer(&server, access), 401);
    server.set("token_seconds", serde_json::Value::Null);
    server.behave(Rule::new(Fault::Expired).on("/auth/*").nth(2));
    let answer = token(&server, "grant_type=client_credentials").json();
    let access = answer["access_token"].as_str().unwrap();
    assert_eq!([bearer(&server, access), bearer(&server, access), bearer(&server, access)], [200, 401, 401]);
    assert_eq!(super::client::post(&server, "/oauth/token", "grant_type=client_credentials").status, 401);
}

/// `get-vanilla` and `get-vanilla-query-order-key` of the test suite that AWS publishes with Signature Version 4.
#[test]
fn signatures_of_the_published_examples() {
    let at: Timestamp = "2015-08-30T12:36:00Z".parse().unwrap();
    let keys = Keys { access_key: ACCESS_KEY, secret_key: SECRET_KEY };
    let check = |target: &str, signature: &str| {
        let text = format!(
            "GET {target} HTTP/1.1\r\nHost:example.amazonaws.com\r\nX-Amz-Date:20150830T123600Z\r\nAuthorization: \
             AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}\r\n\r\n"
        );
        let (request, _) = Request::parse(text.as_bytes(), Host::Own).unwrap().unwrap();
        verify(&request, &keys, at)
    };
    let vanilla = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    assert_eq!(check("/", vanilla), Ok(()));
    let ordered = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
    assert_eq!(check("/?Param2=value2&Param1=value1", ordered), Ok(()));
    assert!(check("/?Param2=value2&Param1=value3", ordered).is_err());
    assert!(check("/other", vanilla).is_err());
    let text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (unsigned, _) = Request::parse(text.as_bytes(), Host::Own).unwrap().unwrap();
    assert!(verify(&unsigned, &keys, at).is_err());
}

#[test]
fn secrets_that_come_to_the_other_host_are_noticed() {
    let server = Server::new();
    for status in [302, 307, 308] {
        let to = get(&server, &format!("/redirect/{status}?host=other&to=/numbered"));
        assert_eq!((to.status, to.header("location")), (status, Some(server.other_url("/numbered").as_str())));
    }
    let near = get(&server, "/redirect/302?to=/numbered%3Fpage=2");
    assert_eq!(near.header("location"), Some("/numbered?page=2"));
    let mut other = Client::to(&server.other_url(""));
    assert_eq!(other.get("/numbered").status, 200);
    assert!(server.seen().leaks.is_empty());
    other.send("GET", "/numbered", &[("X-Anything", auth::API_KEY)], b"");
    other.get(&format!("/numbered?api_key={}", auth::API_KEY));
    other.send("GET", "/more", &[("Cookie", "a=b")], b"");
    let given = token(&server, "grant_type=client_credentials").json()["access_token"].as_str().unwrap().to_owned();
    other.get(&format!("/numbered?page=2&state={given}"));
    assert_eq!(server.seen().leaks.len(), 4, "{:?}", server.seen().leaks);
}
