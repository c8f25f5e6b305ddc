use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use reqwest::header::{AUTHORIZATION, HeaderValue};

use super::server::{Asked, Server, Step, head, whole};
use super::*;
use crate::config::Section;
use crate::source::rest::request::Request;

fn live(server: &Server, values: &[(&str, &str)]) -> Live {
    let keys = keys::KEYS.iter().chain(crate::net::tls::KEYS).collect();
    Live::of(&Section::of_keys("source t", keys, values).unwrap(), &server.url).unwrap()
}

async fn get(server: &Server, path: &str) -> Result<Answer, Broken> {
    live(server, &[]).send(&Request::get(server.url.join(path).unwrap())).await
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.head(1 << 20).unwrap()).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn encoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => gzip(bytes),
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "raw" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(bytes, 1).unwrap(),
        // An encoder of Brotli is nowhere in the tree: pieces as they are, behind a head that says how large they are.
        "br" => brotli_stored(bytes),
        _ => bytes.to_vec(),
    }
}

/// RFC 7932, 9.2: a window of 16 bits, uncompressed meta-blocks of up to 65,536 bytes, an empty last one.
fn brotli_stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, piece) in bytes.chunks(1 << 16).enumerate() {
        // ISLAST = 0, MNIBBLES = 0 (four), MLEN - 1 in 16 bits, ISUNCOMPRESSED = 1; before the first, WBITS in one bit.
        let head = ((piece.len() as u32 - 1) << 3) | (1 << 19);
        let head = if index == 0 { head << 1 } else { head };
        out.extend_from_slice(&head.to_le_bytes()[..3]);
        out.extend_from_slice(piece);
    }
    out.push(if bytes.is_empty() { 0b0110 } else { 0b11 });
    out
}

const CODINGS: [&str; 5] = ["gzip", "deflate", "raw", "zstd", "br"];

fn header_of(coding: &str) -> &str {
    if coding == "raw" { "deflate" } else { coding }
}

fn decoded(coding: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Broken> {
    let headers =
        HeaderMap::from_iter([(reqwest::header::CONTENT_ENCODING, HeaderValue::from_str(header_of(coding)).unwrap())]);
    let codings = content::Coding::of(&headers)?;
    content::decoded(Box::new(io_cursor(bytes)), &codings, 1 << 20).map(|body| body.head(usize::MAX >> 1).unwrap())
}

fn io_cursor(bytes: Vec<u8>) -> std::io::Cursor<Vec<u8>> {
    std::io::Cursor::new(bytes)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_encoding_is_decoded_or_seen_to_be_cut(bytes in prop::collection::vec(any::<u8>(), 1..3000), times in 1..60_usize) {
        let bytes = bytes.repeat(times);
        for coding in CODINGS {
            let encoded = encoded(coding, &bytes);
            prop_assert!(decoded(coding, encoded.clone()).as_ref() == Ok(&bytes), "{}", coding);
            for cut in [1, encoded.len() / 2, encoded.len() - 1] {
                let broken = decoded(coding, encoded[..cut].to_vec());
                prop_assert!(broken.as_ref().is_err_and(|b| b.what == What::Encoding), "{} cut at {}", coding, cut);
            }
        }
    }
}

#[test]
fn encodings_may_be_one_over_another_and_others_are_refused() {
    let of = |value: &'static str| {
        let headers = HeaderMap::from_iter([(reqwest::header::CONTENT_ENCODING, HeaderValue::from_static(value))]);
        content::Coding::of(&headers)
    };
    let codings = of("deflate, identity, gzip").unwrap();
    let twice = gzip(&encoded("deflate", b"twice"));
    let body = content::decoded(Box::new(io_cursor(twice)), &codings, 100).unwrap();
    assert_eq!(body.in_memory().unwrap(), &b"twice"[..]);
    assert_eq!(of("compress").unwrap_err().what, What::Encoding);
    assert_eq!(of("gzip, gzip, gzip, gzip").unwrap_err().what, What::Encoding);
}

#[tokio::test]
async fn bodies_arrive_decoded_over_one_connection() {
    let server = Server::start(|asked: &Asked| {
        let coding = asked.path.trim_start_matches('/');
        whole(200, &[("content-encoding", header_of(coding)), ("x-page", "7")], &encoded(coding, b"{\"data\":[]}"))
    })
    .await;
    let live = live(&server, &[]);
    for coding in CODINGS {
        let answer = live.send(&Request::get(server.url.join(coding).unwrap())).await.unwrap();
        assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "{\"data\":[]}"), "{coding}");
        assert_eq!(answer.headers["x-page"], "7");
        assert!(!answer.headers.contains_key("content-encoding") && !answer.headers.contains_key("content-length"));
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    let asked = &server.asked()[0];
    assert_eq!(asked.headers["accept-encoding"], "gzip, deflate, br, zstd");
    assert!(asked.headers["user-agent"].starts_with("tidemark/"));
}

#[tokio::test]
async fn what_is_not_whole_is_no_answer() {
    let server = Server::start(|asked: &Asked| match asked.path.split('?').next().unwrap() {
        "/half-gzip" => {
            let bytes = gzip(&[b'x'; 10_000]);
            whole(200, &[("content-encoding", "gzip")], &bytes[..bytes.len() - 9])
        }
        "/no-gzip" => whole(200, &[("content-encoding", "gzip")], b"{\"data\":[]}"),
        "/short" => vec![Step::Send(head(200, &[("content-length", "100")])), Step::Send(vec![b'x'; 99]), Step::Close],
        "/short-large" => vec![
            Step::Send(head(200, &[("content-length", "9000001")])),
            Step::Send(vec![b'x'; 9_000_000]),
            Step::Close,
        ],
        "/reset-gzip" => {
            let bytes = gzip(&[b'x'; 10_000]);
            vec![
                Step::Send(head(200, &[("content-encoding", "gzip"), ("content-length", "99999")])),
                Step::Send(bytes),
                Step::Reset,
            ]
        }
        "/half-chunk" => vec![
            Step::Send(head(200, &[("transfer-encoding", "chunked")])),
            Step::Send(b"5\r\nabcde\r\n".to_vec()),
            Step::Close,
        ],
        "/reset" => vec![
            Step::Send(head(200, &[("content-length", "100")])),
            Step::Wait(Duration::from_millis(50)),
            Step::Reset,
        ],
        "/closed" => vec![Step::Close],
        "/no-http" => vec![Step::Send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n".to_vec()), Step::Close],
        _ => whole(404, &[], b""),
    })
    .await;
    for (path, what) in [
        ("half-gzip", What::Encoding),
        ("no-gzip", What::Encoding),
        ("short", What::CutOff),
        ("short-large", What::CutOff),
        ("reset-gzip", What::CutOff),
        ("half-chunk", What::CutOff),
        ("reset", What::CutOff),
        ("closed", What::CutOff),
        ("no-http", What::CutOff),
    ] {
        let broken = get(&server, &format!("{path}?token=s3cret")).await.unwrap_err();
        assert_eq!(broken.what, what, "{path}: {broken}");
        let shown = format!("{broken} {broken:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("127.0.0.1"), "{shown}");
    }
    assert_eq!(get(&server, "elsewhere").await.unwrap().status.as_u16(), 404);
}

#[tokio::test]
async fn silence_and_slowness_come_to_an_end() {
    let server = Server::start(|asked: &Asked| match asked.path.as_str() {
        "/silent" => vec![Step::Wait(Duration::from_secs(30))],
        "/stops" => vec![Step::Send(head(200, &[("content-length", "100")])), Step::Wait(Duration::from_secs(30))],
        _ => {
            let drop = [Step::Send(vec![b'x']), Step::Wait(Duration::from_millis(100))];
            let mut steps = vec![Step::Send(head(200, &[("content-length", "100")]))];
            (0..100).for_each(|_| steps.extend(drop.clone()));
            steps
        }
    })
    .await;
    let live = live(&server, &[("silence_timeout", "300ms"), ("timeout", "1s")]);
    for (path, least, most) in [("silent", 250, 900), ("stops", 250, 900), ("slow", 950, 2500)] {
        let begun = Instant::now();
        let broken = live.send(&Request::get(server.url.join(path).unwrap())).await.unwrap_err();
        let took = begun.elapsed().as_millis();
        assert_eq!(broken.what, What::Timeout, "{path}: {broken}");
        assert!((least..most).contains(&took), "{path} took {took} ms");
    }
}

#[tokio::test]
async fn a_closed_port_and_an_unknown_name_are_no_connection() {
    let server = Server::start(|_: &Asked| Vec::new()).await;
    let live = live(&server, &[]);
    for place in ["127.0.0.1:1", "nowhere.invalid:80"] {
        let url = format!("http://{place}/?token=s3cret");
        let broken = live.send(&Request::get(url.parse().unwrap())).await.unwrap_err();
        assert_eq!(broken.what, What::Connect, "{broken}");
        assert!(broken.message.starts_with(&format!("cannot reach {place}: ")), "{broken}");
        assert!(!broken.message.contains("s3cret") && !broken.message.contains("client error"), "{broken}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_down_is_named_without_its_password() {
    let server = Server::start(|_: &Asked| Vec::new()).await;
    let live = live(&server, &[("proxy", "http://reader:s3cret@127.0.0.1:1")]);
    for (url, place) in [("http://a.invalid/x", "a.invalid:80"), ("https://a.invalid/x", "a.invalid:443")] {
        let broken = live.send(&Request::get(url.parse().unwrap())).await.unwrap_err();
        assert_eq!(broken.what, What::Connect, "{broken}");
        let said = format!("cannot reach {place} through the proxy 127.0.0.1:1: ");
        assert!(broken.message.starts_with(&said), "{broken}");
        assert!(!broken.message.contains("s3cret") && !broken.message.contains("reader"), "{broken}");
    }
}

fn signed(server: &Server) -> Request {
    let mut request = Request::get(server.url.join("here").unwrap());
    request.query.push(("page".into(), "1".into()));
    request.add_secret_header(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"));
    request.add_secret_query("key", "s3cret");
    request
}

#[tokio::test]
async fn a_redirect_to_another_port_has_no_secret() {
    let other = Server::start(|_: &Asked| whole(200, &[], b"other")).await;
    let elsewhere = other.url.join("there?page=1&key=s3cret").unwrap().to_string();
    let server = Server::start(move |asked: &Asked| match asked.path.starts_with("/here") {
        true => whole(302, &[("location", &elsewhere)], b"moved"),
        false => whole(500, &[], b""),
    })
    .await;
    let answer = live(&server, &[]).send(&signed(&server)).await.unwrap();
    assert_eq!(text(&answer), "other");
    assert_eq!(answer.redirects, [other.url.join("there?page=1").unwrap()]);
    let (first, second) = (&server.asked()[0], &other.asked()[0]);
    assert_eq!(
        (first.path.as_str(), first.headers["authorization"].as_str()),
        ("/here?page=1&key=s3cret", "Bearer s3cret")
    );
    assert_eq!(second.path, "/there?page=1");
    assert!(!format!("{second:?}").contains("s3cret"), "{second:?}");
}

#[tokio::test]
async fn a_redirect_on_the_same_server_keeps_them() {
    let server = Server::start(|asked: &Asked| match asked.path.starts_with("/here") {
        true => whole(307, &[("location", "/there?page=1")], b"moved"),
        false => whole(200, &[], b"same"),
    })
    .await;
    let live = live(&server, &[]);
    assert_eq!(text(&live.send(&signed(&server)).await.unwrap()), "same");
    let second = &server.asked()[1];
    assert_eq!(
        (second.path.as_str(), second.headers["authorization"].as_str()),
        ("/there?page=1&key=s3cret", "Bearer s3cret")
    );
    let stays = Request { follows: false, ..signed(&server) };
    assert_eq!(live.send(&stays).await.unwrap().status.as_u16(), 307);
}

#[tokio::test]
async fn redirects_without_an_end_are_refused() {
    let server = Server::start(|_: &Asked| whole(302, &[("location", "/again")], b"")).await;
    assert_eq!(get(&server, "here").await.unwrap_err().what, What::Refused);
    assert_eq!(server.asked().len(), 11);
}

/// The most memory that this process has had, in bytes.
#[cfg(target_os = "linux")]
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_takes_little_memory() {
    const MIB: usize = 1 << 20;
    let packed = zstd::encode_all(&vec![b'x'; MIB][..], 1).unwrap();
    let server = Server::start(move |asked: &Asked| match asked.path.as_str() {
        "/plain" => vec![
            Step::Send(head(200, &[("content-length", &(200 * MIB).to_string())])),
            Step::Repeat(vec![b'x'; 64 << 10], 200 * MIB / (64 << 10)),
        ],
        // Frames one after another are one body.
        _ => {
            let length = (packed.len() * 200).to_string();
            vec![
                Step::Send(head(200, &[("content-encoding", "zstd"), ("content-length", &length)])),
                Step::Repeat(packed.clone(), 200),
            ]
        }
    })
    .await;
    let live = live(&server, &[]);
    let before = peak();
    for path in ["plain", "packed"] {
        let answer = live.send(&Request::get(server.url.join(path).unwrap())).await.unwrap();
        assert_eq!(answer.body.size(), 200 * MIB as u64, "{path}");
        assert!(answer.body.in_memory().is_none());
        assert_eq!(answer.body.head(3).unwrap(), b"xxx");
    }
    let grown = peak() - before;
    assert!(grown < 48 * MIB as u64, "{} MiB more", grown >> 20);
}
