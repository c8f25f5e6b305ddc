//! Bodies that are compressed files: gzip that no `Content-Encoding` tells of, which is of the file and not of its way here.

use std::io::Read;

use bytes::Buf;

use super::content::{self, Coding};
use super::receiving::{IN_MEMORY, blocking};
use super::{Answer, Body, Broken, What};

/// What gzip begins with, whatever its name and type are. No JSON, CSV or XML does, in any charset.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The answer with its body decompressed where that is gzip; through a file where it is large. A file that is broken, or ends too early,
/// is no answer.
pub async fn unpacked(answer: Answer) -> Result<Answer, Broken> {
    match &answer.body {
        Body::Memory(bytes) if !bytes.starts_with(&MAGIC) => Ok(answer),
        _ => {
            let Answer { status, headers, body, redirects } = answer;
            let body = blocking(move || unpack(body)).await?;
            Ok(Answer { status, headers, body, redirects })
        }
    }
}

fn unpack(body: Body) -> Result<Body, Broken> {
    let no_room = |e: std::io::Error| Broken::no_room(&e);
    if body.head(MAGIC.len()).map_err(no_room)? != MAGIC {
        return Ok(body);
    }
    let packed: Box<dyn Read> = match body {
        Body::Memory(bytes) => Box::new(bytes.reader()),
        Body::File { mut file, .. } => {
            std::io::Seek::rewind(&mut file).map_err(no_room)?;
            Box::new(file)
        }
    };
    content::decoded(packed, &[Coding::Gzip], IN_MEMORY).map_err(|broken| match broken.what {
        What::Encoding => Broken::new(What::Encoding, "the answer is a gzip file that is broken, or ends too early"),
        _ => broken,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn answer(body: Body) -> Answer {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body, redirects: Vec::new() }
    }

    fn in_file(bytes: &[u8]) -> Body {
        let mut spool = super::super::Spool::new(0);
        spool.add(bytes).unwrap();
        spool.finish()
    }

    async fn text(body: Body) -> Result<Vec<u8>, Broken> {
        Ok(unpacked(answer(body)).await?.body.head(1 << 30).unwrap())
    }

    #[tokio::test]
    async fn gzip_is_known_by_its_beginning() {
        let packed = gzip(b"id\n1\n");
        for body in [Body::Memory(packed.clone().into()), in_file(&packed)] {
            assert_eq!(text(body).await.unwrap(), b"id\n1\n");
        }
        // Some write one file behind the other.
        let two = [packed.clone(), gzip(b"2\n")].concat();
        assert_eq!(text(Body::Memory(two.into())).await.unwrap(), b"id\n1\n2\n");
        for plain in [&b""[..], b"\x1f", b"id\n1\n"] {
            assert_eq!(text(Body::Memory(plain.to_vec().into())).await.unwrap(), plain);
            assert_eq!(text(in_file(plain)).await.unwrap(), plain);
        }
    }

    #[tokio::test]
    async fn half_a_file_is_none() {
        let packed = gzip(&b"id,name\n1,a\n2,b\n".repeat(100));
        for end in [3, packed.len() / 2, packed.len() - 1] {
            for body in [Body::Memory(packed[..end].to_vec().into()), in_file(&packed[..end])] {
                assert_eq!(text(body).await.unwrap_err().what, What::Encoding, "{end} of {}", packed.len());
            }
        }
    }

    #[tokio::test]
    async fn what_is_large_unpacked_goes_to_a_file() {
        let packed = gzip(&vec![b'x'; 3 * IN_MEMORY]);
        let unpacked = unpacked(answer(Body::Memory(packed.into()))).await.unwrap();
        assert!(unpacked.body.in_memory().is_none());
        assert_eq!(unpacked.body.size(), 3 * IN_MEMORY as u64);
    }
}
