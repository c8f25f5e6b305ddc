//! TLS against the usual server, whose certificate is for `localhost` and 127.0.0.1.

use tidemark::error::Kind;

use super::database::{Database, assert_error, make, refusal, streams};

/// The server by its parts, with other values for some of them.
fn keys(hostname: &str, different: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let url = url::Url::parse(&crate::server("TIDEMARK_TEST_POSTGRES")).unwrap();
    let mut keys = vec![
        ("hostname", hostname.to_owned()),
        ("port", url.port().unwrap().to_string()),
        ("username", url.username().to_owned()),
        ("password", url.password().unwrap().to_owned()),
        ("database", "postgres".to_owned()),
        ("application_name", uuid::Uuid::now_v7().to_string()),
    ];
    keys.retain(|(key, _)| different.iter().all(|(other, _)| other != key));
    keys.extend(different.iter().cloned());
    keys
}

fn ca() -> (&'static str, String) {
    ("tls_ca", crate::server("TIDEMARK_TEST_POSTGRES_CA"))
}

fn verified() -> (&'static str, String) {
    ("tls", "verify-full".to_owned())
}

async fn attempt(keys: &[(&'static str, String)]) -> Result<(), tidemark::error::Error> {
    let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
    streams(&*make(&keys), &[("query", "SELECT 1 AS n")]).await.map(drop)
}

/// Whether the connection that these keys make is encrypted, as the server sees it.
async fn is_encrypted(keys: &[(&'static str, String)]) -> bool {
    let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let source = make(&keys);
    let query = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let stream = streams(&*source, &[("query", query)]).await.unwrap().remove(0);
    let read = super::database::read(source.open(&stream, None).await.unwrap()).await.unwrap();
    read.column("ssl") == [Some("t".to_owned())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_its_authority_vouches_for() {
    assert!(is_encrypted(&keys("localhost", &[verified(), ca()])).await);
    assert!(is_encrypted(&keys("127.0.0.1", &[verified(), ca()])).await);
    assert!(is_encrypted(&keys("127.0.0.1", &[("tls", "require".to_owned())])).await);
    assert!(!is_encrypted(&keys("127.0.0.1", &[])).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_vouches_for() {
    // The system's authorities do not know it.
    let error = attempt(&keys("localhost", &[verified()])).await.unwrap_err();
    assert_error(&error, Kind::Config, &["`tls_ca`"]);
    // Another spelling of 127.0.0.1, which is not in the certificate, nor known as this machine.
    let error = attempt(&keys("0x7f000001", &[ca()])).await.unwrap_err();
    assert_error(&error, Kind::Config, &["another name", "`hostname`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ours() {
    let folder = std::path::PathBuf::from(ca().1).parent().unwrap().to_owned();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let cert = ("username", "cert".to_owned());
    let ours = [("tls_cert", file("client.pem")), ("tls_key", file("client.key"))];
    let with = keys("localhost", &[cert.clone(), verified(), ca(), ours[0].clone(), ours[1].clone()]);
    attempt(&with).await.unwrap();
    let error = attempt(&keys("localhost", &[cert, verified(), ca()])).await.unwrap_err();
    assert_error(&error, Kind::Denied, &["cert"]);
}

mod postgres_new {
    /// The newest server has no TLS.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_without_tls_is_named() {
        let database = super::Database::create(&crate::server("TIDEMARK_TEST_POSTGRES_NEW")).await;
        let source = super::make(&[("url", &format!("{}?sslmode=require", database.url))]);
        let error = super::refusal(&*source, &[("query", "SELECT 1 AS n")]).await;
        super::assert_error(&error, super::Kind::Config, &["does not speak TLS", "`tls = off`"]);
    }
}
