//! Tokens that are fetched: OAuth 2 client credentials, and logins.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::time::Instant;

use super::*;
use crate::source::rest::transport::{Answer, Broken, Transport, What};

const CLIENT: [(&str, &str); 4] = [
    ("auth", "oauth2_client_credentials"),
    ("token_url", "https://auth.example.com/token"),
    ("client_id", "tide mark"),
    ("client_secret", "s3cret&"),
];

fn client(more: &[(&str, &str)], transport: Arc<Scripted>) -> Arc<dyn Auth> {
    auth(&[&CLIENT, more].concat(), transport).unwrap()
}

#[tokio::test(start_paused = true)]
async fn fifty_requests_take_one_token_and_renew_it_once() {
    let given = AtomicUsize::new(0);
    let server =
        Scripted::new(move |_| answer(200, &[], &granted(&format!("t{}", given.fetch_add(1, Ordering::SeqCst)))));
    let auth = client(&[], server.clone());
    let all = join_all((0..50).map(|_| signed(&auth))).await;
    assert!(all.iter().all(|one| header(&one.as_ref().unwrap().0, "authorization") == "Bearer t0"));
    assert_eq!(server.asked(), 1);
    // All of them are refused; each then signs again.
    let again = all.into_iter().map(async |one| {
        assert!(auth.refused(one.unwrap().1).await.unwrap());
        header(&signed(&auth).await.unwrap().0, "authorization")
    });
    assert!(join_all(again).await.iter().all(|value| value == "Bearer t1"));
    assert_eq!(server.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_client_says_who_it_is_in_the_form_or_in_a_header() {
    let server = Scripted::new(|_| answer(200, &[], &granted("t")));
    signed(&client(&[("scope", "a b"), ("token_param.audience", "x")], server.clone())).await.unwrap();
    let form = "grant_type=client_credentials&scope=a+b&audience=x&client_id=tide+mark&client_secret=s3cret%26";
    assert_eq!(body(&server.last()), form);
    signed(&client(&[("client_auth", "basic")], server.clone())).await.unwrap();
    assert_eq!(body(&server.last()), "grant_type=client_credentials");
    // base64 of `tide+mark:s3cret%26`
    assert_eq!(header(&server.last(), "authorization"), "Basic dGlkZSttYXJrOnMzY3JldCUyNg==");
}

#[tokio::test(start_paused = true)]
async fn a_busy_token_endpoint_is_asked_again_and_a_refusal_stands() {
    let tries = AtomicUsize::new(0);
    let server = Scripted::new(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => answer(503, &[("retry-after", "2")], "s3cret"),
        1 => Err(Broken::new(What::CutOff, "gone")),
        _ => answer(200, &[], &granted("t")),
    });
    signed(&client(&[], server.clone())).await.unwrap();
    assert_eq!(server.asked(), 3);
    for (status, said, kind, asked) in [
        (503, "s3cret", Kind::Unavailable, 5),
        (429, "{}", Kind::Unavailable, 5),
        (501, "s3cret", Kind::Config, 1),
        (400, r#"{"error":"invalid_grant","error_description":"s3cret"}"#, Kind::Denied, 1),
        (401, r#"{"error":"invalid_client"}"#, Kind::Denied, 1),
        (401, "s3cret", Kind::Denied, 1),
        (400, r#"{"error":"invalid_scope"}"#, Kind::Config, 1),
        (200, r#"{"error":"bad_verification_code"}"#, Kind::Denied, 1),
        (200, r#"{"error":"S3cret s3cret"}"#, Kind::Config, 1),
        (200, "<html>s3cret</html>", Kind::Config, 1),
    ] {
        let server = Scripted::new(move |_| answer(status, &[], said));
        let error = signed(&client(&[], server.clone())).await.err().unwrap();
        assert_eq!((error.kind(), server.asked()), (kind, asked), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    // What looks like the code of an error, and is what was sent.
    let server = Scripted::new(|_| answer(400, &[], r#"{"error":"no_hunter_secret"}"#));
    let values = [&CLIENT[..3], &[("client_secret", "hunter_secret")]].concat();
    let error = signed(&auth(&values, server).unwrap()).await.err().unwrap();
    assert_eq!(error.message(), "no token from auth.example.com: 400 no_HIDDEN");
    let server = Scripted::new(|_| Err(Broken::new(What::Untrusted, "invalid peer certificate: UnknownIssuer")));
    let error = signed(&client(&[], server.clone())).await.err().unwrap();
    assert_eq!((error.kind(), server.asked()), (Kind::Config, 1));
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_ends_also_where_its_life_is_text() {
    for (lasts, asked) in [("\"3600\"", 2), ("3600.0", 2), ("0", 1), ("null", 1)] {
        let said = format!("{{\"access_token\":\"t\",\"expires_in\":{lasts}}}");
        let server = Scripted::new(move |_| answer(200, &[], &said));
        let auth = client(&[], server.clone());
        signed(&auth).await.unwrap();
        tokio::time::advance(std::time::Duration::from_secs(3590)).await;
        signed(&auth).await.unwrap();
        assert_eq!(server.asked(), asked, "{lasts}");
    }
}

const LOGIN: [(&str, &str); 4] =
    [("auth", "login"), ("login_path", "/auth/login"), ("username", "reader"), ("password", "s3cret")];

#[tokio::test(start_paused = true)]
async fn a_login_gives_its_token_in_body_header_or_cookie() {
    let server = Scripted::new(|_| {
        let headers = [("x-session", "th"), ("set-cookie", "lang=en; Path=/")];
        let mut answer = answer(200, &headers, r#"{"data":[{"token":"tb","id":7}]}"#)?;
        answer.headers.append("set-cookie", "sid=tc; Path=/; HttpOnly".parse().unwrap());
        Ok(answer)
    });
    for (more, name, value) in [
        (&[("token_path", "data[0].token")][..], "authorization", "Bearer tb"),
        (&[("token_path", "$.data[0]['id']"), ("token_as", "header"), ("auth_name", "X-Id")], "x-id", "7"),
        (&[("token_header", "X-Session")], "authorization", "Bearer th"),
        (&[("token_cookie", "sid")], "cookie", "sid=tc"),
        (&[("token_header", "X-Session"), ("token_as", "cookie"), ("auth_name", "s")], "cookie", "s=th"),
    ] {
        let auth = auth(&[&LOGIN, more].concat(), server.clone()).unwrap();
        let (request, credential) = signed(&auth).await.unwrap();
        assert_eq!(header(&request, name), value);
        assert_eq!(auth.secret_names(), [name]);
        assert!(auth.refused(credential).await.unwrap());
    }
    let asked = server.last();
    assert_eq!((asked.url.as_str(), asked.method.as_str()), ("https://api.example.com/v1/auth/login", "POST"));
    assert_eq!(body(&asked), r#"{"password":"s3cret","username":"reader"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_login_is_sent_as_the_server_wants_it() {
    let server = Scripted::new(|_| answer(200, &[], r#"{"t":"x"}"#));
    for (how, method, sent) in [
        ("form", "POST", "user=reader&password=s3cret"),
        ("basic_post", "POST", ""),
        ("basic_get", "GET", ""),
        ("query", "GET", ""),
    ] {
        let more = [("login_send", how), ("token_path", "t"), ("username_field", "user")];
        signed(&auth(&[&LOGIN[..], &more].concat(), server.clone()).unwrap()).await.unwrap();
        let asked = server.last();
        assert_eq!((asked.method.as_str(), body(&asked).as_str()), (method, sent), "{how}");
        assert_eq!(asked.headers.contains_key("authorization"), how.starts_with("basic"));
        assert_eq!(asked.full_url().query(), (how == "query").then_some("user=reader&password=s3cret"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_fails_says_why_and_shows_nothing() {
    for (status, said, kind, asked) in [
        (401, "s3cret", Kind::Denied, 1),
        (404, "", Kind::Config, 1),
        (200, r#"{"error":"wrong password s3cret"}"#, Kind::Denied, 1),
        (200, r#"{"t":null}"#, Kind::Denied, 1),
        (502, "", Kind::Unavailable, 5),
        (501, "s3cret", Kind::Config, 1),
    ] {
        let server = Scripted::new(move |_| answer(status, &[], said));
        let auth = auth(&[&LOGIN[..], &[("token_path", "t")]].concat(), server.clone()).unwrap();
        let error = signed(&auth).await.err().unwrap();
        assert_eq!((error.kind(), server.asked()), (kind, asked), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

/// A client whose credentials an OAuth server gives out, and one who logs in. Both understand [`granted`].
const BOTH: [&[(&str, &str)]; 2] = [
    &CLIENT,
    &[
        ("auth", "login"),
        ("login_path", "/auth/login"),
        ("username", "reader"),
        ("password", "s3cret"),
        ("token_path", "access_token"),
    ],
];

#[tokio::test(start_paused = true)]
async fn whoever_gives_out_credentials_is_left_alone_for_as_long_as_it_asks() {
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (header, least) in [
        (("retry-after", "Sun, 06 Nov 1994 08:51:07 GMT"), 90),
        (("retry-after", "89.5"), 89),
        (("x-ratelimit-remaining", "0"), 100),
    ] {
        for values in BOTH {
            let begun = Instant::now();
            let server = Scripted::new(move |_| match begun.elapsed().as_secs() >= least {
                true => answer(200, &[], &granted("t")),
                false => answer(429, &[date, header, ("x-ratelimit-reset", "100")], "{}"),
            });
            signed(&auth(values, server.clone()).unwrap()).await.unwrap();
            let waited = begun.elapsed().as_secs();
            assert!(server.asked() == 2 && waited <= least + 1, "{header:?}: {} in {waited} s", server.asked());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_longer_than_may_be_asked_for_ends_it_at_once() {
    for values in BOTH {
        let server = Scripted::new(|_| answer(429, &[("retry-after", "601")], "s3cret"));
        let error = signed(&auth(values, server.clone()).unwrap()).await.err().unwrap();
        assert_eq!((error.kind(), server.asked()), (Kind::Unavailable, 1), "{error}");
        assert!(error.message().contains("429, and asks to wait for 601 s (until 2"), "{error}");
        assert!(error.message().ends_with("which `longest_wait` does not allow"), "{error}");
        assert!(error.advice().is_some_and(|hint| hint.contains("Run it again")) && !error.is_retried(), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_not_trusted_is_said_in_the_same_words_wherever_credentials_come_from() {
    for values in BOTH {
        let server = Scripted::new(|_| Err(Broken::new(What::Untrusted, "invalid peer certificate: UnknownIssuer")));
        let error = signed(&auth(values, server.clone()).unwrap()).await.err().unwrap();
        assert_eq!((error.kind(), server.asked()), (Kind::Config, 1), "{error}");
        assert!(error.advice().is_some_and(|hint| hint.contains("`tls_ca`")), "{error}");
    }
}

/// Takes requests, and never answers.
struct Silent(AtomicUsize);

#[async_trait]
impl Transport for Silent {
    async fn send(&self, _request: &Request) -> Result<Answer, Broken> {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_not_waited_for_without_an_end() {
    for values in BOTH {
        let silent = Arc::new(Silent(AtomicUsize::new(0)));
        let section = Section::of_keys("source t", KEYS.iter().collect(), values).unwrap();
        let auth = of(&section, &Url::parse(BASE).unwrap(), silent.clone(), LONGEST_WAIT).unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(3600), signed(&auth)).await;
        let error = ended.expect("it waits for ever").err().unwrap();
        assert_eq!((error.kind(), silent.0.load(Ordering::SeqCst)), (Kind::Unavailable, 5), "{error}");
    }
}
