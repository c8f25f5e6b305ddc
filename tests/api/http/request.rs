//! What a client asks.

use std::io;

use serde_json::{Map, Value};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use url::form_urlencoded;

/// Which of the two listeners a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Own,
    Other,
}

#[derive(Debug, Clone)]
pub struct Request {
    pub to: Host,
    pub method: String,
    /// As it was sent, percent signs and all, without the query.
    pub path: String,
    /// As it was sent.
    pub raw_query: String,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Line and headers, byte for byte.
    pub head: Vec<u8>,
}

/// What POST may be used for as well as GET.
const PAGES_BY_POST: [&str; 3] = ["/numbered", "/offset", "/cursor"];

/// Longer heads are refused.
const LONGEST_HEAD: usize = 64 << 10;

impl Request {
    /// The next request of a connection, or None at its end. `buffer` holds what was read too much.
    pub async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>, to: Host) -> io::Result<Option<Self>> {
        let (mut request, head) = loop {
            if let Some(parsed) = Self::parse(buffer, to)? {
                break parsed;
            }
            if buffer.len() > LONGEST_HEAD || stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        };
        let length = request.header("content-length").map_or(Ok(0), str::parse::<usize>).map_err(io::Error::other)?;
        while buffer.len() < head + length {
            if stream.read_buf(buffer).await? == 0 {
                return Ok(None);
            }
        }
        request.head = buffer[..head].to_vec();
        request.body = buffer[head..head + length].to_vec();
        buffer.drain(..head + length);
        request.take_parameters();
        Ok(Some(request))
    }

    /// The head that `bytes` begin with, and its length. None where its end is still to come.
    pub fn parse(bytes: &[u8], to: Host) -> io::Result<Option<(Self, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
        let (path, raw_query) = {
            let target = head.path.unwrap_or_default();
            target.split_once('?').unwrap_or((target, ""))
        };
        let request = Self {
            to,
            method: head.method.unwrap_or_default().to_owned(),
            path: path.to_owned(),
            raw_query: raw_query.to_owned(),
            query: form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect(),
            headers: head
                .headers
                .iter()
                .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
                .collect(),
            body: Vec::new(),
            head: Vec::new(),
        };
        Ok(Some((request, length)))
    }

    /// Pages may be asked for with a JSON object as the body: its fields count as parameters of the query.
    fn take_parameters(&mut self) {
        if self.method != "POST" || !PAGES_BY_POST.iter().any(|page| self.path.ends_with(page)) {
            return;
        }
        let fields: Map<String, Value> = serde_json::from_slice(&self.body).unwrap_or_default();
        self.query.extend(fields.into_iter().map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        }));
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter of the query.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that is a number. What is none counts as not there, as careless servers have it.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// Names a request by what it asks for: the same page has the same name, whoever asks.
    pub fn name(&self) -> String {
        let mut query: Vec<_> = self.query.iter().filter(|(name, _)| !SECRET.contains(&name.as_str())).collect();
        query.sort();
        let mut out = match self.method.as_str() {
            "GET" => String::new(),
            method => format!("{method} "),
        };
        out.push_str(&self.path);
        for (place, (name, value)) in query.into_iter().enumerate() {
            out.push(if place == 0 { '?' } else { '&' });
            out.extend([name, "=", value]);
        }
        out
    }
}

/// Parameters that say who asks, not what for.
const SECRET: [&str; 3] = ["access_token", "api_key", "signature"];
