//! What S3 does too rarely to wait for it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tidemark::config::Section;
use tidemark::destination::files::store::{Created, Store};
use tidemark::destination::files::stores::s3::{MAKER, S3};
use tidemark::error::Kind;

use crate::scripted::{Answer, Request, Scripted};
use crate::store_suite::noise;

const MIB: usize = 1 << 20;

fn store(server: &Scripted, different: &[(&str, &str)]) -> S3 {
    let usual = [("endpoint", server.url.as_str()), ("bucket", "b"), ("access_key", "AK"), ("secret_key", "SK")];
    let values: Vec<_> = usual.into_iter().chain(different.iter().copied()).collect();
    S3::of(&Section::of_kind(&MAKER.kind, &values).unwrap()).unwrap()
}

fn body() -> Bytes {
    Bytes::from_static(b"body")
}

fn error(status: u16, code: &str) -> Answer {
    Answer::new(status, format!("<Error><Code>{code}</Code><Message>told</Message></Error>"))
}

#[tokio::test]
async fn a_create_is_one_conditional_request_with_its_checksum() {
    let server = Scripted::start(|_, _| Answer::new(200, "")).await;
    let keys = [("prefix", "raw"), ("sse", "aws:kms"), ("sse_kms_key_id", "k1"), ("storage_class", "STANDARD_IA")];
    assert_eq!(store(&server, &keys).create("t/1 a.json", body()).await.unwrap(), Created::Yes);
    let requests = server.requests();
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(request.line(), "PUT /b/raw/t/1%20a.json?x-id=PutObject");
    assert_eq!(request.header("if-none-match"), Some("*"));
    assert!(request.header("x-amz-checksum-crc32").is_some());
    assert_eq!(request.header("x-amz-server-side-encryption"), Some("aws:kms"));
    assert_eq!(request.header("x-amz-server-side-encryption-aws-kms-key-id"), Some("k1"));
    assert_eq!(request.header("x-amz-storage-class"), None, "the class is for data files");
    assert_eq!(request.body, b"body");
}

#[tokio::test]
async fn data_files_get_the_class_and_the_encryption() {
    let server = Scripted::start(|_, _| Answer::new(200, "")).await;
    let keys = [("sse", "AES256"), ("storage_class", "STANDARD_IA"), ("checksums", "when_required")];
    store(&server, &keys).upload("p").await.unwrap().finish().await.unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.header("x-amz-storage-class"), Some("STANDARD_IA"));
    assert_eq!(request.header("x-amz-server-side-encryption"), Some("AES256"));
    assert_eq!(request.header("x-amz-checksum-crc32"), None);
    assert_eq!(request.header("if-none-match"), None);
}

#[tokio::test]
async fn a_conflict_of_creates_is_tried_until_it_is_decided() {
    let server = Scripted::start(|_, before| match before {
        0 | 1 => error(409, "ConditionalRequestConflict"),
        _ => error(412, "PreconditionFailed"),
    })
    .await;
    assert_eq!(store(&server, &[]).create("k", body()).await.unwrap(), Created::AlreadyThere);
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_lost_answer_to_a_create_is_asked_for_again() {
    let server = Scripted::start(|_, before| match before {
        0 => Answer::lost(),
        _ => error(412, "PreconditionFailed"),
    })
    .await;
    // The caller finds its own body there.
    assert_eq!(store(&server, &[]).create("k", body()).await.unwrap(), Created::AlreadyThere);
}

#[tokio::test]
async fn every_refusal_says_whose_move_it_is() {
    for (status, code, kind, told) in [
        (404, "NoSuchBucket", Kind::Config, "`bucket`"),
        (403, "AccessDenied", Kind::Denied, "s3:PutObject on arn:aws:s3:::b/raw/*"),
        (403, "InvalidAccessKeyId", Kind::Denied, "access_key"),
        (403, "RequestTimeTooSkewed", Kind::Denied, "clock"),
        (400, "ExpiredToken", Kind::Denied, "expired"),
        (501, "NotImplemented", Kind::Config, "does not offer"),
        (400, "InvalidStorageClass", Kind::Config, "keys"),
        (409, "ConditionalRequestConflict", Kind::Unavailable, "told"),
    ] {
        let server = Scripted::start(move |_, _| error(status, code)).await;
        let error = store(&server, &[("prefix", "raw")]).create("k", body()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.contains("s3://b/raw/k") && text.contains(code) && text.contains(told), "{text}");
        assert!(!text.contains("SK"), "{text}");
    }
}

#[tokio::test]
async fn a_bucket_elsewhere_is_named_with_its_region() {
    let server =
        Scripted::start(|_, _| error(301, "PermanentRedirect").with("x-amz-bucket-region", "eu-north-1")).await;
    let error = store(&server, &[]).create("k", body()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{error}");
    assert!(error.advice().unwrap().contains("eu-north-1"), "{error}");
}

#[tokio::test]
async fn throttling_is_waited_for_and_then_unavailable() {
    let server = Scripted::start(|_, before| match before {
        0 => error(503, "SlowDown"),
        _ => Answer::new(200, ""),
    })
    .await;
    assert_eq!(store(&server, &[]).create("k", body()).await.unwrap(), Created::Yes);
    let server = Scripted::start(|_, _| error(503, "SlowDown")).await;
    let before = Instant::now();
    let error = store(&server, &[]).create("k", body()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(before.elapsed() < Duration::from_secs(60), "{:?}", before.elapsed());
}

/// A bucket's side of one multipart upload, but for its completion.
fn multipart(request: &Request) -> Answer {
    match (request.method.as_str(), request.path.contains("uploadId=")) {
        ("POST", false) => Answer::new(
            200,
            "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u1</UploadId></InitiateMultipartUploadResult>",
        ),
        ("PUT", true) => Answer::new(200, "").with("etag", "\"e\"").with("x-amz-checksum-crc32", "AAAAAA=="),
        ("DELETE", true) => Answer::new(204, ""),
        _ => panic!("{}", request.line()),
    }
}

async fn upload(store: &S3) -> tidemark::error::Result<()> {
    let mut upload = store.upload("k").await?;
    upload.write(noise(17 * MIB, 1)).await?;
    upload.finish().await
}

fn is_completion(request: &Request) -> bool {
    request.method == "POST" && request.path.contains("uploadId=")
}

#[tokio::test]
async fn a_completion_that_fails_after_its_200_is_a_failure() {
    // S3 sends the status before it knows, and the error in the body.
    let server = Scripted::start(|request, _| match is_completion(request) {
        true => error(200, "InternalError"),
        false => multipart(request),
    })
    .await;
    let error = upload(&store(&server, &[])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    let last = server.requests().last().unwrap().line();
    assert!(last.starts_with("DELETE /b/k?") && last.contains("uploadId=u1"), "it is aborted: {last}");
}

/// What a completion finds whose upload is gone: `ours` says whether the object there bears the upload's mark.
async fn completion_of_a_gone_upload(ours: bool) -> tidemark::error::Result<()> {
    let mark = std::sync::Mutex::new(String::new());
    let server = Scripted::start(move |request, _| {
        let mut mark = mark.lock().unwrap();
        if let Some(sent) = request.header("x-amz-meta-tidemark-upload") {
            *mark = sent.to_owned();
        }
        match (is_completion(request), request.method.as_str(), ours) {
            (true, ..) => error(404, "NoSuchUpload"),
            (_, "HEAD", true) => Answer::new(200, "").with("x-amz-meta-tidemark-upload", mark.clone()),
            (_, "HEAD", false) => Answer::new(200, "").with("x-amz-meta-tidemark-upload", "another"),
            _ => multipart(request),
        }
    })
    .await;
    upload(&store(&server, &[])).await
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_found_out() {
    completion_of_a_gone_upload(true).await.unwrap();
    let error = completion_of_a_gone_upload(false).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
}

#[tokio::test]
async fn pieces_are_completed_in_their_order_with_their_checksums() {
    let server = Scripted::start(|request, _| match is_completion(request) {
        true => Answer::new(200, "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"),
        false => multipart(request),
    })
    .await;
    upload(&store(&server, &[("concurrency", "3")])).await.unwrap();
    let requests = server.requests();
    let begun = requests.first().unwrap();
    assert_eq!(begun.header("x-amz-checksum-algorithm"), Some("CRC32"));
    let sizes: Vec<_> = requests.iter().filter(|r| r.method == "PUT").map(|r| r.body.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 17 * MIB);
    assert!(sizes.iter().all(|size| *size <= 8 * MIB) && sizes.len() == 3, "{sizes:?}");
    let completion = String::from_utf8(requests.iter().find(|r| is_completion(r)).unwrap().body.clone()).unwrap();
    let order: Vec<_> = completion.match_indices("<PartNumber>").map(|(at, _)| &completion[at + 12..at + 13]).collect();
    assert_eq!(order, ["1", "2", "3"]);
    assert_eq!(completion.matches("<ChecksumCRC32>AAAAAA==</ChecksumCRC32>").count(), 3);
}

#[tokio::test]
async fn an_error_of_a_piece_comes_back_and_stays() {
    let server = Scripted::start(|request, _| match request.method.as_str() {
        "PUT" => error(403, "AccessDenied"),
        _ => multipart(request),
    })
    .await;
    let mut upload = store(&server, &[]).upload("k").await.unwrap();
    let mut failed = None;
    for seed in 0..200 {
        failed = upload.write(noise(MIB, seed)).await.err();
        if failed.is_some() {
            break;
        }
    }
    assert_eq!(failed.expect("an error").kind(), Kind::Denied);
    assert_eq!(upload.write(body()).await.unwrap_err().kind(), Kind::Denied);
    assert_eq!(upload.finish().await.unwrap_err().kind(), Kind::Denied);
    assert!(server.requests().iter().any(|request| request.method == "DELETE"), "it is aborted");
}

#[tokio::test]
async fn deletes_go_one_by_one_where_a_service_wants_that() {
    let server = Scripted::start(|request, _| match request.method.as_str() {
        "POST" => error(400, "MissingContentMD5"),
        _ => Answer::new(204, ""),
    })
    .await;
    let store = store(&server, &[]);
    let keys: Vec<_> = (0..5).map(|n| format!("k{n}")).collect();
    store.delete(&keys).await.unwrap();
    store.delete(&keys).await.unwrap();
    let count = |method: &str| server.requests().iter().filter(|r| r.method == method).count();
    assert_eq!((count("POST"), count("DELETE")), (1, 10), "it is asked once only");
}

#[tokio::test]
async fn what_could_not_be_deleted_is_told() {
    let server = Scripted::start(|request, _| match request.method.as_str() {
        "POST" => {
            Answer::new(200, "<DeleteResult><Error><Key>k1</Key><Code>AccessDenied</Code></Error></DeleteResult>")
        }
        _ => error(403, "AccessDenied"),
    })
    .await;
    let keys = ["k0".to_owned(), "k1".to_owned()];
    let error = store(&server, &[]).delete(&keys).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.message().contains("s3://b/k1"), "{error}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_read_again() {
    let server = Scripted::start(|_, before| match before {
        0 => Answer::new(200, "half").with("x-amz-checksum-crc32", "AAAAAA=="),
        _ => Answer::new(200, "whole"),
    })
    .await;
    assert_eq!(store(&server, &[]).get("k").await.unwrap().unwrap(), "whole");
}

#[tokio::test]
async fn a_sweep_pages_and_ends_only_what_is_dead() {
    let page =
        |uploads: &str, more: &str| format!("<ListMultipartUploadsResult>{uploads}{more}</ListMultipartUploadsResult>");
    let upload = |key: &str, id: &str| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>");
    let first = page(
        &(upload("raw/t/1", "a") + &upload("raw/t/2", "b")),
        "<IsTruncated>true</IsTruncated><NextKeyMarker>raw/t/2</NextKeyMarker><NextUploadIdMarker>b</NextUploadIdMarker>",
    );
    let second = page(&(upload("raw/t/2", "c") + &upload("elsewhere", "d")), "<IsTruncated>false</IsTruncated>");
    let server = Scripted::start(move |request, _| match request.method.as_str() {
        "DELETE" => Answer::new(204, ""),
        _ if request.path.contains("upload-id-marker=b") => Answer::new(200, second.clone()),
        _ => Answer::new(200, first.clone()),
    })
    .await;
    store(&server, &[("prefix", "raw")]).sweep("t/", &|key| key == "t/2").await.unwrap();
    let requests = server.requests();
    let ended: Vec<_> = requests.iter().filter(|r| r.method == "DELETE").map(|r| r.path.clone()).collect();
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert!(ended.iter().all(|path| path.starts_with("/b/raw/t/2?")), "{ended:?}");
}

#[tokio::test]
async fn a_service_that_lists_no_uploads_sweeps_nothing() {
    let server = Scripted::start(|_, _| error(501, "NotImplemented")).await;
    store(&server, &[]).sweep("t/", &|_| true).await.unwrap();
}
