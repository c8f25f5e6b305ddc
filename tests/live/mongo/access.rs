//! Logins, rights and addresses.

use mongodb::bson::doc;
use tidemark::error::Kind;

use super::{ALONE, Database, PLAIN, WITH_LOGIN, numbered, selection, source};
use crate::server;

/// Where the server with users is.
fn port(variable: &str) -> String {
    url::Url::parse(&server(variable)).unwrap().port().unwrap().to_string()
}

/// As a user of the server that has some.
fn keys<'a>(port: &'a str, ca: &'a str, user: &'a str, password: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("url", "mongodb://"),
        ("hostname", "localhost"),
        ("port", port),
        ("username", user),
        ("password", password),
        ("tls", "verify-full"),
        ("tls_ca", ca),
        ("database", "test"),
    ]
    .into_iter()
    .filter(|(key, _)| *key != "url")
    .collect()
}

async fn list(keys: &[(&str, &str)]) -> tidemark::error::Result<usize> {
    let listing = source(keys)?.streams(&[selection(&[("tables", "*")])?]).await?;
    Ok(listing.streams.len())
}

/// Has a collection in the database that all users may read.
async fn something_to_read() {
    let database = Database::at(WITH_LOGIN, "logins").await;
    let seen = database.client.database("test").collection::<mongodb::bson::Document>("seen");
    // Another test may have been faster.
    let upserted = seen.replace_one(doc! { "_id": 1 }, doc! { "n": 1 }).upsert(true).await;
    assert!(upserted.is_ok() || seen.count_documents(doc! {}).await.unwrap() > 0);
}

#[tokio::test]
async fn users_log_in_as_they_may() {
    something_to_read().await;
    let (port, ca) = (port(WITH_LOGIN), server("TIDEMARK_TEST_MONGO_CA"));
    for (user, password) in [("repl", "replpw"), ("cdc", "cdcpw"), ("reader", "readerpw")] {
        assert!(list(&keys(&port, &ca, user, password)).await.unwrap() > 0, "{user}");
    }
    let mut old = keys(&port, &ca, "old", "oldpw");
    old.push(("auth_mechanism", "scram-sha-1"));
    assert!(list(&old).await.unwrap() > 0);
    for (user, password) in [("repl", "wrong"), ("nobody", "replpw")] {
        let error = list(&keys(&port, &ca, user, password)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{error}");
        assert!(error.advice().unwrap().contains("auth_source") && !error.to_string().contains("replpw"), "{error}");
    }
    let mut elsewhere = keys(&port, &ca, "reader", "readerpw");
    elsewhere.retain(|(key, _)| *key != "database");
    elsewhere.push(("database", "tm_logins"));
    let error =
        source(&elsewhere).unwrap().streams(&[selection(&[("table", "c")]).unwrap()]).await.map(drop).unwrap_err();
    assert!(matches!(error.kind(), Kind::Denied | Kind::Config), "{error}");
}

#[tokio::test]
async fn a_certificate_logs_in() {
    something_to_read().await;
    let (port, ca) = (port(WITH_LOGIN), server("TIDEMARK_TEST_MONGO_CA"));
    let folder = std::path::Path::new(&ca).parent().unwrap();
    let both = tempfile::NamedTempFile::new().unwrap();
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    std::fs::write(both.path(), text("client.pem") + &text("client.key")).unwrap();
    let path = both.path().to_str().unwrap();
    let mut keys = keys(&port, &ca, "", "");
    keys.retain(|(key, _)| !matches!(*key, "username" | "password"));
    keys.extend([("auth_mechanism", "x509"), ("tls_cert", path), ("tls_key", path)]);
    list(&keys).await.unwrap();
}

#[tokio::test]
async fn servers_that_are_not_as_expected_are_named() {
    let (with_login, plain) = (port(WITH_LOGIN), port(PLAIN));
    let quick = ("connect_timeout", "1s");
    let of = |keys: &[(&'static str, &str)]| {
        let keys: Vec<(&str, String)> = keys.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        async move {
            let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
            list(&keys).await.map(drop).unwrap_err()
        }
    };
    let nobody = of(&[("hostname", "127.0.0.1"), ("port", "1"), ("database", "x"), quick]).await;
    assert_eq!(nobody.kind(), Kind::Unavailable, "{nobody}");
    let unknown_ca =
        of(&[("hostname", "localhost"), ("port", &with_login), ("database", "x"), ("tls", "verify-full"), quick]).await;
    assert_eq!(unknown_ca.kind(), Kind::Unavailable, "{unknown_ca}");
    let no_tls = of(&[("hostname", "localhost"), ("port", &plain), ("database", "x"), ("tls", "require"), quick]).await;
    assert_eq!(no_tls.kind(), Kind::Unavailable, "{no_tls}");
    let other_set =
        of(&[("hostname", "127.0.0.1"), ("port", &plain), ("database", "x"), ("replica_set", "other"), quick]).await;
    assert_eq!(other_set.kind(), Kind::Unavailable, "{other_set}");
}

#[tokio::test]
async fn a_server_alone_has_no_changes() {
    let database = Database::at(ALONE, "alone").await;
    database.insert("c", numbered(1, 3)).await;
    assert_eq!(database.read(&[("table", "c")], None).await.unwrap().rows().len(), 3);
    let error = database.read(&[("table", "c"), ("mode", "cdc")], None).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.message().contains("a server alone") && error.advice().unwrap().contains("rs.initiate()"), "{error}");
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    let refusal = |keys: &[(&str, &str)]| source(keys).map(drop).unwrap_err().to_string();
    let url = ("url", "mongodb://reader:s3cr%40t@db.example.com/shop");
    assert!(refusal(&[url, ("hostname", "x")]).contains("cannot stand with `url`"));
    assert!(refusal(&[url, ("password", "x")]).contains("`password` is also in `url`"));
    assert!(refusal(&[("url", "mongodb://db.example.com/")]).contains("`database` is missing"));
    assert!(refusal(&[("url", "postgres://db.example.com/x")]).contains("must begin with `mongodb://`"));
    let twice = refusal(&[("url", "mongodb://u:a@b@db.example.com/shop")]);
    assert!(twice.contains("percent-encoded") && !twice.contains("a@b"), "{twice}");
    assert!(refusal(&[("hostname", "h"), ("database", "d"), ("username", "u")]).contains("`password` is missing"));
    let odd = refusal(&[("url", "mongodb://u:hush@db.example.com:99999/shop")]);
    assert!(!odd.contains("hush"), "{odd}");
}
