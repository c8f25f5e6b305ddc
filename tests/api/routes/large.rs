//! One page as large as it is asked for, made while it is sent.

use bytes::Bytes;

use super::super::http::{Body, Reply};
use super::super::record::{self, Shape};
use super::Call;

/// Up to a piece; a body of any size takes no more memory.
const PIECE: usize = 64 << 10;

/// `{"data":[…],"count":N}` of records from 1 on, of `bytes` bytes or one record more.
pub fn page(call: &Call<'_>) -> Reply {
    let bytes = call.request.number("bytes").and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(1_000_000);
    let mut reply = Reply::new(200, "application/json", Bytes::new());
    reply.body = Body::Streamed(Box::new(Records { shape: call.shape(), bytes, sent: 0, count: 0, is_over: false }));
    reply
}

struct Records {
    shape: Shape,
    bytes: u64,
    sent: u64,
    count: u64,
    is_over: bool,
}

impl Iterator for Records {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let mut out = String::with_capacity(PIECE + 1024);
        if self.sent == 0 {
            out.push_str("{\"data\":[");
        }
        while out.len() < PIECE && !self.is_over {
            if self.count > 0 {
                out.push(',');
            }
            self.count += 1;
            record::write_json(&mut out, self.shape, 0, self.count);
            let end = format!("],\"count\":{}}}", self.count);
            self.is_over = self.sent + (out.len() + end.len()) as u64 >= self.bytes;
            if self.is_over {
                out.push_str(&end);
            }
        }
        self.sent += out.len() as u64;
        Some(out.into())
    }
}
