//! The S3 store against a real server: `TIDEMARK_TEST_S3`, with `_KEY`, `_SECRET` and `_BUCKET`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidemark::config::Section;
use tidemark::destination::files::store::{Created, Store};
use tidemark::destination::files::stores::s3::{MAKER, S3};
use tidemark::error::{Error, Kind};

use crate::store_suite::{conforms, noise};
use crate::{fresh, server};

const MIB: usize = 1 << 20;

/// The server's store, with some keys of its section other than usual.
fn store(different: &[(&str, &str)]) -> S3 {
    let (endpoint, bucket) = (server("TIDEMARK_TEST_S3"), server("TIDEMARK_TEST_S3_BUCKET"));
    let (key, secret) = (server("TIDEMARK_TEST_S3_KEY"), server("TIDEMARK_TEST_S3_SECRET"));
    let usual = [("endpoint", &endpoint), ("bucket", &bucket), ("access_key", &key), ("secret_key", &secret)];
    let usual = usual.iter().map(|(key, value)| (*key, value.as_str()));
    let values: Vec<_> = usual.chain(different.iter().copied()).collect();
    S3::of(&Section::of_kind(&MAKER.kind, &values).unwrap()).unwrap()
}

async fn create(store: &S3, key: &str) -> Result<Created, Error> {
    store.create(key, Bytes::from_static(b"body")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_conforms() {
    conforms(Arc::new(store(&[("prefix", "raw")])), &fresh("suite")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_conforms_with_small_pieces_one_at_a_time() {
    let different = [("piece_bytes", "5 MiB"), ("concurrency", "1"), ("checksums", "when_required")];
    conforms(Arc::new(store(&different)), &fresh("suite")).await;
}

#[tokio::test]
async fn a_wrong_secret_is_denied_and_not_told() {
    let error = create(&store(&[("secret_key", "not-the-secret")]), &fresh("x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(error.to_string().contains("SignatureDoesNotMatch") && !error.to_string().contains("not-the-secret"));
    assert!(error.advice().unwrap().contains("secret_key"), "{error}");
    let error = create(&store(&[("access_key", "AKNOBODY")]), &fresh("x")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
}

#[tokio::test]
async fn a_missing_bucket_is_a_matter_of_configuration() {
    let store = store(&[("bucket", "tidemark-no-such-bucket")]);
    let key = fresh("x");
    let errors = [
        create(&store, &key).await.unwrap_err(),
        store.get(&key).await.unwrap_err(),
        store.list("", None).await.unwrap_err(),
        store.upload(&key).await.unwrap().finish().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), Kind::Config, "{error}");
        assert!(error.message().contains("tidemark-no-such-bucket"), "{error}");
        assert!(error.advice().unwrap().contains("`bucket`"), "{error}");
    }
}

/// The servers' scripts make this user: it may read and list.
const READER: [(&str, &str); 2] = [("access_key", "AKRO"), ("secret_key", "SKRO")];

#[tokio::test]
async fn a_reader_is_told_which_right_is_missing() {
    let prefix = fresh("ro");
    let writer = store(&[("prefix", &prefix)]);
    create(&writer, "there").await.unwrap();
    let reader = store(&[READER.as_slice(), &[("prefix", &prefix)]].concat());
    assert_eq!(reader.get("there").await.unwrap().unwrap(), "body");
    assert_eq!(reader.list("", None).await.unwrap(), ["there"]);
    let bucket = server("TIDEMARK_TEST_S3_BUCKET");
    for error in [
        create(&reader, "new").await.unwrap_err(),
        reader.upload("new").await.unwrap().finish().await.unwrap_err(),
        reader.upload("new").await.unwrap().write(noise(9 * MIB, 1)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Denied, "{error}");
        let resource = format!("s3:PutObject on arn:aws:s3:::{bucket}/{prefix}/*");
        assert!(error.advice().unwrap().contains(&resource), "{error}");
    }
    let error = reader.delete(&["there".to_owned(), "too".to_owned()]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(error.advice().unwrap().contains("s3:DeleteObject"), "{error}");
    writer.delete(&["there".to_owned()]).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_down_is_unavailable_soon() {
    // A port that was free a moment ago: nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = store(&[("endpoint", &format!("http://127.0.0.1:{port}"))]);
    let before = Instant::now();
    let error = create(&store, "x").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.push(connection);
        }
    });
    let store = store(&[("endpoint", &format!("http://127.0.0.1:{port}")), ("timeout", "1s")]);
    let before = Instant::now();
    let error = create(&store, "x").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());
    silent.abort();
}

#[tokio::test]
async fn tls_towards_a_server_without_it_is_the_networks_kind_of_trouble() {
    let endpoint = server("TIDEMARK_TEST_S3").replace("http:", "https:");
    let error = create(&store(&[("endpoint", &endpoint)]), "x").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_kill_left_of_an_upload_is_gone_after_a_sweep() {
    let prefix = fresh("killed");
    let store = store(&[("prefix", &prefix)]);
    for key in ["t/s-1-1", "t/s-2-1"] {
        let mut upload = store.upload(key).await.unwrap();
        upload.write(noise(17 * MIB, 1)).await.unwrap();
        std::mem::forget(upload);
    }
    // The order is the server's own.
    let mut unfinished = store.unfinished_keys("").await.unwrap();
    unfinished.sort();
    assert_eq!(unfinished, ["t/s-1-1", "t/s-2-1"]);
    store.sweep("t/", &|key| key.starts_with("t/s-1-")).await.unwrap();
    assert_eq!(store.unfinished_keys("").await.unwrap(), ["t/s-2-1"]);
    store.sweep("", &|_| true).await.unwrap();
    assert!(store.unfinished_keys("").await.unwrap().is_empty());
    assert!(store.list("", None).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_aborted_or_dropped_leaves_nothing() {
    let store = store(&[("prefix", &fresh("dropped"))]);
    let begin = async |key: &str| {
        let mut upload = store.upload(key).await.unwrap();
        upload.write(noise(17 * MIB, 1)).await.unwrap();
        upload
    };
    begin("aborted").await.abort().await;
    assert!(store.unfinished_keys("").await.unwrap().is_empty());
    drop(begin("dropped").await);
    let before = Instant::now();
    while !store.unfinished_keys("").await.unwrap().is_empty() {
        assert!(before.elapsed() < Duration::from_secs(20), "a dropped upload stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_of_pieces_holds_over_all_uploads() {
    let store = store(&[("prefix", &fresh("bound")), ("concurrency", "2"), ("piece_bytes", "5 MiB")]);
    let uploads = (0..4).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut upload = store.upload(&format!("{n}")).await.unwrap();
            let mut most = 0;
            for seed in 0..20 {
                upload.write(noise(MIB, seed)).await.unwrap();
                most = most.max(upload.held());
            }
            upload.finish().await.unwrap();
            most
        })
    });
    for upload in futures_util::future::join_all(uploads).await {
        let held = upload.unwrap();
        assert!(held <= 2 * 5 * MIB, "one upload held {held} bytes");
    }
}
