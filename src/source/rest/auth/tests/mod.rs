//! Every kind of credentials, from its keys to what its server gets to see.

mod fetched;
mod rotation;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::keys::{KEYS, KINDS};
use super::scripted::{Scripted, answer};
use super::{Auth, Credential, of};
use crate::config::Section;
use crate::error::{Error, Kind, Result};
use crate::source::rest::request::Request;

const BASE: &str = "https://api.example.com/v1";

/// For which whoever gives out credentials may ask.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

fn auth(values: &[(&str, &str)], transport: Arc<Scripted>) -> Result<Arc<dyn Auth>> {
    let section = Section::of_keys("source t", KEYS.iter().collect(), values)?;
    of(&section, &Url::parse(BASE).unwrap(), transport, LONGEST_WAIT)
}

fn unasked() -> Arc<Scripted> {
    Scripted::new(|_| panic!("nothing is fetched"))
}

fn refused(values: &[(&str, &str)]) -> Error {
    auth(values, unasked()).err().unwrap()
}

async fn signed(auth: &Arc<dyn Auth>) -> Result<(Request, Credential)> {
    let mut request = Request::get(format!("{BASE}/orders").parse().unwrap());
    request.query.push(("page".into(), "1".into()));
    let credential = auth.sign(&mut request).await?;
    Ok((request, credential))
}

fn header(request: &Request, name: &str) -> String {
    request.headers[name].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn fixed_credentials_stand_in_their_places() {
    let bearer = auth(&[("auth", "bearer"), ("token", "t0ken")], unasked()).unwrap();
    let (request, credential) = signed(&bearer).await.unwrap();
    assert_eq!((header(&request, "authorization").as_str(), credential), ("Bearer t0ken", Credential::NONE));
    assert!(!bearer.refused(credential).await.unwrap());
    let basic = auth(&[("auth", "basic"), ("username", "Aladdin"), ("password", "open sesame")], unasked()).unwrap();
    let (request, _) = signed(&basic).await.unwrap();
    assert_eq!(header(&request, "authorization"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let key = auth(&[("auth", "header"), ("auth_name", "X-Api-Key"), ("token", "t0ken")], unasked()).unwrap();
    let (request, _) = signed(&key).await.unwrap();
    assert_eq!((header(&request, "x-api-key").as_str(), key.secret_names()), ("t0ken", vec!["x-api-key".to_owned()]));
    let query = auth(&[("auth", "query"), ("auth_name", "Api_Key"), ("token", "t0ken")], unasked()).unwrap();
    let (request, _) = signed(&query).await.unwrap();
    assert_eq!(request.full_url().query(), Some("page=1&Api_Key=t0ken"));
    assert_eq!(
        (request.added.query.as_slice(), query.secret_names()),
        (&["Api_Key".to_owned()][..], vec!["api_key".to_owned()])
    );
    let (request, _) = signed(&auth(&[], unasked()).unwrap()).await.unwrap();
    assert!(request.headers.is_empty() && request.query.len() == 1);
}

#[tokio::test]
async fn another_origin_is_never_signed() {
    let kinds: &[&[(&str, &str)]] = &[
        &[("auth", "bearer"), ("token", "s3cret")],
        &[("auth", "basic"), ("username", "u"), ("password", "s3cret")],
        &[("auth", "header"), ("auth_name", "X-Key"), ("token", "s3cret")],
        &[("auth", "query"), ("auth_name", "key"), ("token", "s3cret")],
        &[("auth", "aws_sigv4"), ("region", "r"), ("service", "s"), ("access_key", "a"), ("secret_key", "s3cret")],
        &[
            ("auth", "oauth2_client_credentials"),
            ("token_url", "https://auth.example.com/"),
            ("client_id", "c"),
            ("client_secret", "s3cret"),
        ],
        &[("auth", "login"), ("login_path", "l"), ("username", "u"), ("password", "s3cret"), ("token_path", "t")],
    ];
    for values in kinds {
        let auth = auth(values, unasked()).unwrap();
        for url in
            ["http://api.example.com/v1", "https://api.example.com:8443/v1", "https://api.example.com.evil.example/v1"]
        {
            let mut request = Request::get(url.parse().unwrap());
            assert_eq!(auth.sign(&mut request).await.unwrap(), Credential::NONE, "{url}");
            assert!(request.headers.is_empty() && request.query.is_empty(), "{values:?}");
        }
    }
}

#[test]
fn what_is_missing_is_named_with_the_kind_that_needs_it() {
    let mut missing = Vec::new();
    for kind in KINDS.iter().filter(|kind| **kind != "none") {
        let error = refused(&[("auth", kind)]);
        assert_eq!(error.kind(), Kind::Config);
        assert!(
            error.message().contains("is missing") && error.message().contains(&format!("`auth = {kind}`")),
            "{error}"
        );
        missing.push(error.message().to_owned());
    }
    assert!(missing[0].contains("`auth_name`") && missing[2].contains("`username`"), "{missing:?}");
}

#[test]
fn what_does_not_fit_is_refused_without_its_value() {
    for (values, key) in [
        (&[("token", "s3cret")][..], "`token` is not used with `auth = none`"),
        (&[("auth", "basic"), ("token_param.audience", "s3cret")], "`token_param.audience`"),
        (&[("auth", "header"), ("auth_name", "X Key"), ("token", "s3cret")], "`auth_name`"),
        (&[("auth", "bearer"), ("token", "s3cret\nline")], "`token`"),
        (&[("auth", "bearer"), ("token", "")], "`token` must not be empty"),
        (&[("auth", "aws_sigv4"), ("region", "r"), ("service", "s"), ("access_key", "a")], "`access_key` needs"),
        (
            &[
                ("auth", "oauth2_client_credentials"),
                ("client_secret", "s3cret"),
                ("client_id", "c"),
                ("token_url", "ftp://auth.example.com/s3cret"),
            ],
            "`token_url`",
        ),
        (
            &[
                ("auth", "login"),
                ("login_path", "l"),
                ("username", "u"),
                ("password", "s3cret"),
                ("token_path", "t"),
                ("token_cookie", "c"),
            ],
            "`token_cookie`",
        ),
        (
            &[
                ("auth", "login"),
                ("login_path", "l"),
                ("username", "u"),
                ("password", "s3cret"),
                ("token_path", "data["),
            ],
            "`token_path` must be the path of one value",
        ),
    ] {
        let error = refused(values).to_string();
        assert!(error.contains(key) && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn secrets_are_marked() {
    let secret: Vec<_> = KEYS.iter().filter(|key| key.secret).map(|key| key.name).collect();
    let wanted = ["token", "password", "client_secret", "refresh_token", "secret_key", "session_token"];
    assert_eq!(secret, wanted);
}

#[tokio::test]
async fn keys_of_amazon_sign_what_is_sent() {
    let values = [("auth", "aws_sigv4"), ("region", "eu-west-1"), ("service", "execute-api")];
    let keys = [("access_key", "AKIDEXAMPLE"), ("secret_key", "s3cret"), ("session_token", "s3ssion")];
    let auth = auth(&[values, keys].concat(), unasked()).unwrap();
    let (request, _) = signed(&auth).await.unwrap();
    assert!(header(&request, "authorization").contains("/eu-west-1/execute-api/aws4_request"));
    assert_eq!(header(&request, "x-amz-security-token"), "s3ssion");
    assert!(!format!("{request:?} {:?}", request.headers).contains("s3"), "{request:?}");
}

fn granted(access: &str) -> String {
    format!("{{\"access_token\":\"{access}\",\"token_type\":\"bearer\",\"expires_in\":3600}}")
}

fn body(request: &Request) -> String {
    String::from_utf8(request.body.clone().unwrap_or_default().to_vec()).unwrap()
}
