//! A client without opinions: it tells what came, byte for byte, and how it ended.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::api_server::Server;

pub struct Client {
    stream: TcpStream,
    host: String,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// As its head said.
    Whole,
    /// The connection was closed before that.
    Early,
    Reset,
    /// Nothing more for as long as the client waits.
    Silent,
}

#[derive(Debug)]
pub struct Answer {
    /// 0 where there was no head.
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
    pub ended: Ended,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Asks on a connection of its own.
pub fn get(server: &Server, path: &str) -> Answer {
    Client::of(server).send("GET", path, &[], b"")
}

pub fn post(server: &Server, path: &str, body: &str) -> Answer {
    Client::of(server).send("POST", path, &[], body.as_bytes())
}

impl Client {
    pub fn of(server: &Server) -> Self {
        Self::to(&server.url(""))
    }

    pub fn to(url: &str) -> Self {
        let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        let stream = TcpStream::connect(&host).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, host }.patience(Duration::from_secs(20))
    }

    /// How long it waits for the next byte.
    pub fn patience(self, patience: Duration) -> Self {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        self
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut out = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            out.extend([*name, ": ", value, "\r\n"]);
        }
        if !body.is_empty() {
            out.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        out.push_str("\r\n");
        self.stream.write_all(&[out.as_bytes(), body].concat()).unwrap();
        self.receive()
    }

    fn receive(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if let Err(ended) = self.read(&mut head, 1) {
                return Answer { status: 0, head: String::new(), body: Vec::new(), ended };
            }
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new(), ended: Ended::Whole };
        let mut body = Vec::new();
        let ended = match answer.header("content-length").map(|length| length.parse().unwrap()) {
            Some(length) => self.read(&mut body, length),
            None if answer.header("transfer-encoding").is_some() => self.read_chunks(&mut body),
            None => match self.read(&mut body, usize::MAX) {
                Err(Ended::Early) => Ok(()),
                other => other,
            },
        };
        (answer.body, answer.ended) = (body, ended.err().unwrap_or(Ended::Whole));
        answer
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> Result<(), Ended> {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                self.read(&mut line, 1)?;
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
            self.read(body, size)?;
            self.read(&mut Vec::new(), 2)?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// So many bytes more.
    fn read(&mut self, into: &mut Vec<u8>, mut count: usize) -> Result<(), Ended> {
        let mut piece = [0; 64 << 10];
        while count > 0 {
            let most = count.min(piece.len());
            match self.stream.read(&mut piece[..most]) {
                Ok(0) => return Err(Ended::Early),
                Ok(read) => {
                    into.extend_from_slice(&piece[..read]);
                    count -= read;
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(Ended::Reset),
                Err(_) => return Err(Ended::Silent),
            }
        }
        Ok(())
    }
}
