//! The demo's API: reviews of what the shop sells, page by page, from a server that once wants to be left alone.
//!
//! It speaks as much HTTP/1.1 as a friendly client in this very process needs, and is no server for anything else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::chance::Chance;
use super::rows::{GIVEN, ITEMS};
use crate::error::{Error, Result};

/// How many reviews there are: their ids are 1 to this.
pub const REVIEWS: u64 = 1_000;
/// The most of them on a page.
const PER_PAGE: u64 = 100;
/// The page that is answered with 429 when it is asked for first. So is everything else for as long as `Retry-After` says.
const BUSY_PAGE: u64 = 4;
const PATIENCE: Duration = Duration::from_secs(1);
const LONGEST_HEAD: usize = 16 << 10;

/// The API at work on a free port of the loopback device, until it is dropped.
pub struct Api {
    address: SocketAddr,
    desk: Arc<Mutex<Desk>>,
    task: JoinHandle<()>,
}

/// What came, and whether anybody is served at the moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Desk {
    pub requests: u64,
    /// Those that were answered with 429.
    pub refused: u64,
    closed_until: Option<Instant>,
}

impl Api {
    pub async fn start() -> Result<Self> {
        let failed = |e: std::io::Error| Error::unavailable(format!("the demo's API has no port on 127.0.0.1: {e}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let desk = Arc::<Mutex<Desk>>::default();
        let task = tokio::spawn(serve(listener, desk.clone()));
        Ok(Self { address, desk, task })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Desk {
        *self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, desk: Arc<Mutex<Desk>>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let desk = desk.clone();
        connections.spawn(async move {
            // A client that went away has its answer, or wants none.
            let _ = converse(stream, &desk).await;
        });
    }
}

/// Answers one request after the other.
async fn converse(mut stream: TcpStream, desk: &Mutex<Desk>) -> std::io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(end) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            if read.len() > LONGEST_HEAD || stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        read.drain(..end + 4);
        let (status, body) = answer(head.lines().next().unwrap_or_default(), desk);
        let (length, wait) = (body.len(), PATIENCE.as_secs());
        let wait = if status.starts_with("429") { format!("Retry-After: {wait}\r\n") } else { String::new() };
        // A body, which other methods may have, is not read: what follows it is no request.
        let is_last = !head.starts_with("GET ") || head.to_ascii_lowercase().contains("connection: close");
        let connection = if is_last { "close" } else { "keep-alive" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{wait}Connection: {connection}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        if is_last {
            return stream.shutdown().await;
        }
    }
}

/// The status and the body for a request's first line, such as `GET /reviews?page=2&per_page=100 HTTP/1.1`.
fn answer(line: &str, desk: &Mutex<Desk>) -> (&'static str, String) {
    let error = |status: &'static str| (status, json!({ "error": status }).to_string());
    let mut words = line.split(' ');
    let (Some("GET"), Some(target)) = (words.next(), words.next()) else { return error("405 Method Not Allowed") };
    let Some(("/reviews", query)) = target.split_once('?').or(Some((target, ""))) else {
        return error("404 Not Found");
    };
    let number = |name: &str, usual: u64| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(known, _)| *known == name).and_then(|(_, value)| value.parse().ok()).unwrap_or(usual).max(1)
    };
    let (page, per_page) = (number("page", 1), number("per_page", PER_PAGE).min(PER_PAGE));
    if !desk.lock().unwrap_or_else(PoisonError::into_inner).admits(page) {
        return error("429 Too Many Requests");
    }
    let first = (page - 1).saturating_mul(per_page).saturating_add(1);
    let ids = first..=first.saturating_add(per_page - 1).min(REVIEWS);
    ("200 OK", json!({ "total": REVIEWS, "data": ids.map(review).collect::<Vec<_>>() }).to_string())
}

impl Desk {
    fn admits(&mut self, page: u64) -> bool {
        let now = Instant::now();
        if self.closed_until.is_none() && page == BUSY_PAGE {
            self.closed_until = Some(now + PATIENCE);
        }
        let admits = self.closed_until.is_none_or(|until| until <= now);
        self.requests += 1;
        self.refused += u64::from(!admits);
        admits
    }
}

/// The review with this id, always the same one.
fn review(id: u64) -> Value {
    let chance = &mut Chance::new(id);
    let (sku, item) = chance.pick(&ITEMS);
    let (stars, name, is_verified) = (chance.between(1, 5), chance.pick(&GIVEN), chance.once_in(2));
    let text =
        ["Never again.", "Well…", "As described.", "“Good”, says my mother", "Лучший чай 🫖"][stars as usize - 1];
    json!({ "id": id, "sku": sku, "item": item, "stars": stars, "text": text, "by": { "name": name, "verified": is_verified } })
}
