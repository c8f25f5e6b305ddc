//! The Google store against a server that speaks its API: `TIDEMARK_TEST_GCS`, with `_BUCKET`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidemark::config::Section;
use tidemark::destination::files::store::Store;
use tidemark::destination::files::stores::gcs::{Gcs, MAKER};
use tidemark::error::Kind;

use crate::store_suite::{conforms_without_sweep, noise};
use crate::{fresh, server};

const MIB: usize = 1 << 20;

fn store(different: &[(&str, &str)]) -> Gcs {
    let (endpoint, bucket) = (server("TIDEMARK_TEST_GCS"), server("TIDEMARK_TEST_GCS_BUCKET"));
    let usual = [("endpoint", endpoint.as_str()), ("bucket", bucket.as_str())];
    let values: Vec<_> = usual.into_iter().chain(different.iter().copied()).collect();
    Gcs::of(&Section::of_kind(&MAKER.kind, &values).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_conforms() {
    conforms_without_sweep(Arc::new(store(&[("prefix", "raw")])), &fresh("suite")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_conforms_with_small_pieces() {
    conforms_without_sweep(Arc::new(store(&[("piece_bytes", "1 MiB")])), &fresh("suite")).await;
}

#[tokio::test]
async fn a_missing_bucket_is_a_matter_of_configuration() {
    let store = store(&[("bucket", "tidemark-no-such-bucket")]);
    let key = fresh("x");
    let mut large = store.upload(&key).await.unwrap();
    large.write(noise(9 * MIB, 1)).await.unwrap_or_default();
    let errors = [
        store.create(&key, Bytes::from_static(b"x")).await.unwrap_err(),
        store.list("", None).await.unwrap_err(),
        store.upload(&key).await.unwrap().finish().await.unwrap_err(),
        large.finish().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), Kind::Config, "{error}");
        assert!(error.message().contains("tidemark-no-such-bucket"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_soon() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = store(&[("endpoint", &format!("http://127.0.0.1:{port}"))]);
    let before = Instant::now();
    let error = store.create("x", Bytes::new()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());
}
