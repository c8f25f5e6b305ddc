//! What is encoded decodes to what it was.

use std::io::Read;

use super::client::{Client, get};
use crate::api_server::{Encoding, Server};

fn decode(name: &str, is_raw: bool, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match (name, is_raw) {
        ("gzip", _) => flate2::read::GzDecoder::new(body).read_to_end(&mut out),
        ("deflate", true) => flate2::read::DeflateDecoder::new(body).read_to_end(&mut out),
        ("deflate", false) => flate2::read::ZlibDecoder::new(body).read_to_end(&mut out),
        ("br", _) => brotli::Decompressor::new(body, 4096).read_to_end(&mut out),
        ("zstd", _) => zstd::stream::read::Decoder::new(body).unwrap().read_to_end(&mut out),
        _ => panic!("{name}"),
    }
    .unwrap();
    out
}

#[test]
fn every_encoding_of_every_kind_of_body() {
    let server = Server::new();
    for path in ["/numbered?per_page=1000", "/large?bytes=500000"] {
        let plain = get(&server, path);
        assert_eq!(plain.header("content-encoding"), None);
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::DeflateRaw, Encoding::Br, Encoding::Zstd] {
            server.set("encodings", serde_json::json!([encoding]));
            // The second time it is there already.
            for _ in 0..2 {
                let mut client = Client::of(&server);
                let answer = client.send("GET", path, &[("Accept-Encoding", "gzip, deflate, br;q=0.5, zstd")], b"");
                let name = answer.header("content-encoding").unwrap();
                assert_eq!(name, encoding.name());
                assert!(answer.body.len() < plain.body.len() / 2);
                assert_eq!(decode(name, encoding == Encoding::DeflateRaw, &answer.body), plain.body, "{encoding:?}");
            }
        }
    }
}

#[test]
fn what_is_refused_is_not_taken() {
    let server = Server::new();
    let chosen = |accepted: &str| {
        let answer = Client::of(&server).send("GET", "/numbered", &[("Accept-Encoding", accepted)], b"");
        answer.header("content-encoding").map(str::to_owned)
    };
    assert_eq!(chosen("gzip;q=0, br"), Some("br".to_owned()));
    assert_eq!(chosen("identity"), None);
}
