//! What Google's service does too rarely to wait for it, and what its emulator does not do: sessions that resume, and
//! credentials.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidemark::config::Section;
use tidemark::destination::files::store::{Created, Store};
use tidemark::destination::files::stores::gcs::{Gcs, MAKER};
use tidemark::error::{Kind, Result};

use crate::scripted::{Answer, Request, Scripted};
use crate::store_suite::noise;

const KIB: usize = 1 << 10;

fn store(server: &Scripted, different: &[(&str, &str)]) -> Gcs {
    let usual = [("endpoint", server.url.as_str()), ("bucket", "b"), ("prefix", "raw"), ("piece_bytes", "256 KiB")];
    let values: Vec<_> = usual.into_iter().chain(different.iter().copied()).collect();
    Gcs::of(&Section::of_kind(&MAKER.kind, &values).unwrap()).unwrap()
}

fn body() -> Bytes {
    Bytes::from_static(b"123456789")
}

/// Of [`body`], by any table of CRC-32C check values: e3069283.
const CRC32C: &str = "4waSgw==";

fn error(status: u16) -> Answer {
    Answer::new(status, r#"{"error":{"code":0,"message":"told"}}"#)
}

fn stored(size: usize, crc32c: Option<&str>) -> Answer {
    let crc32c = crc32c.map(|sum| format!(r#","crc32c":"{sum}""#)).unwrap_or_default();
    Answer::new(200, format!(r#"{{"size":"{size}"{crc32c}}}"#))
}

#[tokio::test]
async fn a_create_is_one_request_with_precondition_and_checksum() {
    let server = Scripted::start(|_, before| if before == 0 { stored(9, None) } else { error(412) }).await;
    let store = store(&server, &[]);
    assert_eq!(store.create("t/1 a.json", body()).await.unwrap(), Created::Yes);
    assert_eq!(store.create("t/1 a.json", body()).await.unwrap(), Created::AlreadyThere);
    let request = &server.requests()[0];
    assert!(request.line().starts_with("POST /upload/storage/v1/b/b/o?uploadType=multipart"), "{}", request.line());
    assert!(request.path.contains("ifGenerationMatch=0"), "{}", request.path);
    assert_eq!(request.header("authorization"), None, "an endpoint is asked without credentials");
    let sent = String::from_utf8(request.body.clone()).unwrap();
    assert!(sent.contains("\"name\":\"raw/t/1 a.json\"") && sent.contains(CRC32C), "{sent}");
    assert!(sent.contains("\r\n\r\n123456789\r\n--"), "{sent}");
}

#[tokio::test]
async fn a_lost_answer_to_a_create_is_asked_for_again() {
    let server = Scripted::start(|_, before| match before {
        0 => Answer::lost(),
        1 => error(503),
        2 => error(409),
        _ => error(412),
    })
    .await;
    // The caller finds its own body there.
    assert_eq!(store(&server, &[]).create("k", body()).await.unwrap(), Created::AlreadyThere);
}

#[tokio::test]
async fn every_refusal_says_whose_move_it_is() {
    for (status, kind, told) in [
        (404, Kind::Config, "`bucket`"),
        (403, Kind::Denied, "storage.objects.create"),
        (401, Kind::Denied, "credentials"),
        (400, Kind::Config, "keys"),
    ] {
        let server = Scripted::start(move |_, _| error(status)).await;
        let text = store(&server, &[]).create("k", body()).await.unwrap_err();
        assert_eq!(text.kind(), kind, "{text}");
        let text = text.to_string();
        assert!(text.contains("gs://b/raw/k") && text.contains("told") && text.contains(told), "{text}");
    }
}

#[tokio::test]
async fn throttling_is_waited_for_and_then_unavailable() {
    let server = Scripted::start(|_, _| error(429)).await;
    let before = Instant::now();
    let error = store(&server, &[]).list("", None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert_eq!(server.requests().len(), 6);
    assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_server_is_left_alone_as_long_as_it_asks() {
    let server = Scripted::start(|_, before| match before {
        0 => error(429).with("retry-after", "2"),
        _ => Answer::new(200, "{}"),
    })
    .await;
    let before = Instant::now();
    store(&server, &[]).list("", None).await.unwrap();
    assert!(before.elapsed() >= Duration::from_secs(2), "{:?}", before.elapsed());
}

#[tokio::test]
async fn a_listing_pages_and_leaves_out_where_it_starts() {
    let server = Scripted::start(|request, _| match request.path.contains("pageToken=more") {
        true => Answer::new(200, r#"{"items":[{"name":"raw/t/3"}]}"#),
        false => Answer::new(200, r#"{"items":[{"name":"raw/t/1"},{"name":"raw/t/2"}],"nextPageToken":"more"}"#),
    })
    .await;
    assert_eq!(store(&server, &[]).list("t/", Some("t/1")).await.unwrap(), ["t/2", "t/3"]);
    assert!(server.requests()[0].path.contains("startOffset=raw%2Ft%2F1"), "{}", server.requests()[0].path);
}

/// What befalls a request to a session.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Taken,
    /// Only so many bytes of it, and only then does the connection hold.
    TakenInPart(usize),
    TakenAndLost,
    Lost,
    Failed,
    Gone,
}

/// Google's side of a session, whose requests that carry bytes meet these fates in turn, and then are taken.
struct Session {
    bytes: Vec<u8>,
    fates: std::vec::IntoIter<Fate>,
    done: bool,
}

impl Session {
    fn new(fates: &[Fate]) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { bytes: Vec::new(), fates: Vec::from(fates).into_iter(), done: false }))
    }

    fn answer(&mut self, request: &Request, url: &str) -> Answer {
        if request.path.contains("uploadType=resumable") {
            return Answer::new(200, "{}").with("location", format!("{url}/session?upload_id=hush"));
        }
        if request.method != "PUT" {
            return Answer::new(if request.method == "DELETE" { 499 } else { 400 }, "");
        }
        let range = request.header("content-range").unwrap().strip_prefix("bytes ").unwrap();
        let (span, total) = range.split_once('/').unwrap();
        let fate = if span == "*" { Fate::Taken } else { self.fates.next().unwrap_or(Fate::Taken) };
        let taken = match fate {
            Fate::Taken | Fate::TakenAndLost => request.body.len(),
            Fate::TakenInPart(bytes) => bytes,
            Fate::Lost | Fate::Failed | Fate::Gone => 0,
        };
        if let Some((from, _)) = span.split_once('-') {
            assert_eq!(from.parse::<usize>().unwrap(), self.bytes.len(), "a piece that does not follow");
            assert!(
                total != "*"
                    || request.body.len().is_multiple_of(256 * KIB)
                    || !self.bytes.len().is_multiple_of(256 * KIB)
            );
        }
        self.bytes.extend_from_slice(&request.body[..taken]);
        self.done |= total.parse::<usize>().is_ok_and(|total| total == self.bytes.len());
        match fate {
            Fate::TakenAndLost | Fate::Lost => Answer::lost(),
            Fate::Failed => error(503),
            Fate::Gone => error(410),
            _ if self.done => stored(self.bytes.len(), None),
            _ if self.bytes.is_empty() => Answer::new(308, ""),
            _ => Answer::new(308, "").with("range", format!("bytes=0-{}", self.bytes.len() - 1)),
        }
    }
}

/// Uploads a bit more than three pieces past these fates.
async fn past(fates: &[Fate]) -> (Result<()>, bool) {
    let session = Session::new(fates);
    let (shared, address) = (session.clone(), Arc::new(Mutex::new(String::new())));
    let url = address.clone();
    let server = Scripted::start(move |request, _| shared.lock().unwrap().answer(request, &url.lock().unwrap())).await;
    *address.lock().unwrap() = server.url.clone();
    let sent = noise(3 * 256 * KIB + 1000, 7);
    let work = async {
        let mut upload = store(&server, &[]).upload("k").await?;
        for piece in sent.chunks(100_000) {
            upload.write(Bytes::copy_from_slice(piece)).await?;
        }
        upload.finish().await
    };
    let result = work.await;
    let session = session.lock().unwrap();
    (result, session.done && session.bytes == sent)
}

#[tokio::test]
async fn a_session_goes_on_wherever_it_was_broken_off() {
    use Fate::{Failed, Lost, Taken, TakenAndLost, TakenInPart};
    let part = TakenInPart(256 * KIB - 1);
    for fates in [
        &[][..],
        &[Lost],
        &[TakenAndLost],
        &[Failed],
        &[TakenInPart(100)],
        &[Taken, TakenAndLost, Lost, Failed, part, TakenInPart(1)],
        &[Taken, Taken, Taken, TakenAndLost],
        &[Taken, Taken, Taken, Lost, TakenInPart(3), TakenAndLost],
        &[TakenInPart(0), TakenInPart(0), Taken],
    ] {
        let (result, whole) = past(fates).await;
        assert!(result.is_ok() && whole, "{fates:?}: {result:?}");
    }
}

#[tokio::test]
async fn a_session_that_does_not_go_on_is_unavailable_and_not_told() {
    let fates = [Fate::Lost, Fate::Failed, Fate::TakenInPart(0), Fate::Gone];
    let tries = fates.map(|fate| async move { past(&[fate; 40]).await });
    for (result, _) in futures_util::future::join_all(tries).await {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }
}

#[tokio::test]
async fn what_arrives_changed_is_deleted_and_sent_again_by_the_next_run() {
    let wrong = [(9, Some("AAAAAA==")), (8, None)];
    for (size, crc32c) in wrong {
        let server = Scripted::start(move |request, _| match request.method.as_str() {
            "DELETE" => Answer::new(204, ""),
            "PUT" => stored(size, crc32c),
            _ => Answer::new(200, "{}").with("location", format!("http://{}/s", request.header("host").unwrap())),
        })
        .await;
        let mut upload = store(&server, &[]).upload("k").await.unwrap();
        upload.write(noise(300 * KIB, 1)).await.unwrap_or_default();
        let error = upload.finish().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    }
}

#[tokio::test]
async fn an_aborted_session_is_ended() {
    let server = Scripted::start(|request, _| match request.method.as_str() {
        "PUT" => Answer::new(308, "").with("range", "bytes=0-262143"),
        "DELETE" => Answer::new(499, ""),
        _ => Answer::new(200, "{}").with("location", format!("http://{}/session", request.header("host").unwrap())),
    })
    .await;
    let mut upload = store(&server, &[]).upload("k").await.unwrap();
    upload.write(noise(300 * KIB, 1)).await.unwrap();
    upload.abort().await;
    assert_eq!(server.requests().last().unwrap().line(), "DELETE /session");
}

/// A credentials file that sends to `server` for its tokens.
fn credentials(folder: &Path, server: &Scripted, user: bool) -> String {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/gcs-service-account.json");
    let token_uri = format!("{}/token", server.url);
    let mut json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    if user {
        json = serde_json::json!({
            "type": "authorized_user", "client_id": "id", "client_secret": "hush", "refresh_token": "hush+more",
        });
    }
    json["token_uri"] = token_uri.into();
    let file = folder.join("credentials.json");
    std::fs::write(&file, json.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn granted(token: &str) -> Answer {
    Answer::new(200, format!(r#"{{"access_token":"{token}","expires_in":3599,"token_type":"Bearer"}}"#))
}

#[tokio::test]
async fn a_service_account_signs_in_once_for_many_requests() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::start(|request, _| match request.path.as_str() {
        "/token" => granted("t1"),
        _ => Answer::new(200, "{}"),
    })
    .await;
    let store = store(&server, &[("credentials_file", &credentials(folder.path(), &server, false))]);
    let lists = (0..5).map(|_| store.list("", None));
    futures_util::future::try_join_all(lists).await.unwrap();
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    let asked = String::from_utf8(requests[0].body.clone()).unwrap();
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=ey";
    assert!(requests[0].path == "/token" && asked.starts_with(grant), "{asked}");
    assert!(requests[1..].iter().all(|request| request.header("authorization") == Some("Bearer t1")));
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::start(|request, before| match (request.path.as_str(), request.header("authorization")) {
        ("/token", _) => granted(if before == 0 { "old" } else { "new" }),
        (_, Some("Bearer new")) => Answer::new(200, "{}"),
        _ => error(401),
    })
    .await;
    let file = credentials(folder.path(), &server, true);
    store(&server, &[("credentials_file", &file)]).list("", None).await.unwrap();
    let lines: Vec<_> = server.requests().iter().map(|request| request.path.contains("token")).collect();
    assert_eq!(lines, [true, false, true, false]);
    let asked = String::from_utf8(server.requests()[0].body.clone()).unwrap();
    assert_eq!(asked, "grant_type=refresh_token&client_id=id&client_secret=hush&refresh_token=hush%2Bmore");
}

#[tokio::test]
async fn credentials_that_are_refused_are_denied_and_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Scripted::start(|_, _| Answer::new(400, r#"{"error":"invalid_grant"}"#)).await;
    let file = credentials(folder.path(), &server, true);
    let error = store(&server, &[("credentials_file", &file)]).list("", None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
    let server = Scripted::start(|_, _| Answer::new(503, "")).await;
    let file = credentials(folder.path(), &server, true);
    let error = store(&server, &[("credentials_file", &file)]).list("", None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}
