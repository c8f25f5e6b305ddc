//! A server for tests, which answers as it is told to: rightly, wrongly, late, or not at all.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// With its query.
    pub path: String,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
}

/// What happens on the connection then.
#[derive(Debug, Clone)]
pub enum Step {
    Send(Vec<u8>),
    /// The same bytes, so many times.
    Repeat(Vec<u8>, usize),
    Wait(Duration),
    Close,
    /// The other side finds out by an error.
    Reset,
}

pub struct Server {
    pub url: Url,
    pub asked: Arc<Mutex<Vec<Asked>>>,
    pub connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer with the length of its body.
pub fn whole(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<Step> {
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    all.push(("content-length", &length));
    vec![Step::Send([head(status, &all).as_slice(), body].concat())]
}

/// What comes before a body.
pub fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} x\r\n");
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    (text + "\r\n").into_bytes()
}

impl Server {
    pub async fn start(answer: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let (asked, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (all, count, answer) = (asked.clone(), connections.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (all, answer) = (all.clone(), answer.clone());
                tokio::spawn(async move { serve(stream, &all, &*answer).await });
            }
        });
        Self { url, asked, connections, task }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, all: &Mutex<Vec<Asked>>, answer: &(dyn Fn(&Asked) -> Vec<Step> + Send + Sync)) {
    let mut read = Vec::new();
    while let Ok(Some(asked)) = next(&mut stream, &mut read).await {
        all.lock().unwrap().push(asked.clone());
        for step in answer(&asked) {
            let done = match step {
                Step::Send(bytes) => stream.write_all(&bytes).await,
                Step::Repeat(bytes, times) => repeat(&mut stream, &bytes, times).await,
                Step::Wait(time) => {
                    tokio::time::sleep(time).await;
                    Ok(())
                }
                Step::Close => return,
                Step::Reset => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
            };
            if done.is_err() {
                return;
            }
        }
    }
}

async fn repeat(stream: &mut TcpStream, bytes: &[u8], times: usize) -> io::Result<()> {
    for _ in 0..times {
        stream.write_all(bytes).await?;
    }
    Ok(())
}

/// The next request on the connection; `None` at its end.
async fn next(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<Asked>> {
    let end = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&read[..end]).into_owned();
    read.drain(..end + 4);
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let path = first.nth(1).unwrap_or_default();
    let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: BTreeMap<_, _> = lines.filter_map(header).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while read.len() < length {
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
    read.drain(..length);
    Ok(Some(Asked { path, headers }))
}
