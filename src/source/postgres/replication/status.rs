//! What the server is told of us while it sends its log: that we are there, what we have received, what it may forget.
//!
//! By a task of its own, since whoever reads the log may be busy for minutes, and the server ends a session that it does not hear
//! of. The task has the connection's way out and nothing else: it reads nothing, so that what is not asked for stays at the server.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::{BufMut, BytesMut};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::lsn::Lsn;

/// As often as the server's own subscribers say it, and at least four times within what the server waits.
const INTERVAL: Duration = Duration::from_secs(10);

/// How far we are.
#[derive(Debug, Default)]
struct Progress {
    received: AtomicU64,
    confirmed: AtomicU64,
    is_over: AtomicBool,
    /// Something is to be said at once.
    now: Notify,
}

/// Tells the server, until it is dropped or asked for its way out.
pub struct Teller<W> {
    progress: Arc<Progress>,
    task: JoinHandle<io::Result<W>>,
}

impl<W: AsyncWrite + Send + Unpin + 'static> Teller<W> {
    /// `timeout` is how long the server waits for a word of ours.
    pub fn new(outlet: W, timeout: Option<Duration>) -> Self {
        let interval = timeout.map_or(INTERVAL, |timeout| INTERVAL.min(timeout / 4)).max(Duration::from_millis(1));
        let progress = Arc::new(Progress::default());
        let task = tokio::spawn(tell(outlet, progress.clone(), interval));
        Self { progress, task }
    }

    pub fn received(&self, lsn: Lsn) {
        self.progress.received.fetch_max(lsn.0, Ordering::Relaxed);
    }

    /// What the server may forget never grows less: some versions would take it back.
    pub fn confirmed(&self, lsn: Lsn) {
        if self.progress.confirmed.fetch_max(lsn.0, Ordering::Relaxed) < lsn.0 {
            self.now();
        }
    }

    pub fn now(&self) {
        self.progress.now.notify_one();
    }

    /// Tells a last time, and that we want no more. The way out is the caller's again.
    pub async fn end(&mut self) -> io::Result<W> {
        self.progress.is_over.store(true, Ordering::Relaxed);
        self.now();
        let ended = (&mut self.task).await;
        ended.unwrap_or_else(|e| Err(io::Error::other(e)))
    }
}

impl<W> Drop for Teller<W> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A failure to write is heard of where the log is read: there the connection has ended too.
async fn tell<W: AsyncWrite + Unpin>(mut outlet: W, progress: Arc<Progress>, interval: Duration) -> io::Result<W> {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut out = BytesMut::new();
    loop {
        tokio::select! {
            () = progress.now.notified() => {}
            _ = ticks.tick() => {}
        }
        let is_over = progress.is_over.load(Ordering::Relaxed);
        let (received, confirmed) = (&progress.received, &progress.confirmed);
        out.clear();
        status(received.load(Ordering::Relaxed), confirmed.load(Ordering::Relaxed), &mut out);
        if is_over {
            frontend::copy_done(&mut out);
        }
        outlet.write_all(&out).await?;
        outlet.flush().await?;
        if is_over {
            return Ok(outlet);
        }
    }
}

/// A standby status update: written, flushed and applied up to where, when, and whether an answer is asked for. Nothing
/// confirmed is zero, which leaves the slot where it is.
fn status(received: u64, confirmed: u64, out: &mut BytesMut) {
    const BODY_BYTES: u32 = 1 + 8 + 8 + 8 + 8 + 1;
    out.put_u8(b'd');
    out.put_u32(4 + BODY_BYTES);
    out.put_u8(b'r');
    out.put_u64(received.max(confirmed));
    out.put_u64(confirmed);
    out.put_u64(confirmed);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    out.put_i64(since.as_micros() as i64 - super::pgoutput::EPOCH);
    out.put_u8(0);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    const STATUS_BYTES: usize = 39;

    /// Written, flushed, applied.
    async fn heard(far: &mut tokio::io::DuplexStream) -> [u64; 3] {
        let mut status = [0; STATUS_BYTES];
        far.read_exact(&mut status).await.unwrap();
        assert_eq!(status[..6], *b"d\0\0\0\x26r");
        [6, 14, 22].map(|at| u64::from_be_bytes(*status[at..].first_chunk().unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_hears_of_us_by_itself_and_at_once() {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let teller = Teller::new(near, Some(Duration::from_secs(2)));
        assert_eq!(heard(&mut far).await, [0, 0, 0]);
        let before = tokio::time::Instant::now();
        teller.received(Lsn(7));
        assert_eq!(heard(&mut far).await, [7, 0, 0]);
        assert_eq!(before.elapsed(), Duration::from_millis(500));
        let before = tokio::time::Instant::now();
        for (confirmed, shown) in [(5, 5), (9, 9)] {
            teller.confirmed(Lsn(confirmed));
            assert_eq!(heard(&mut far).await, [shown.max(7), shown, shown]);
        }
        assert!(before.elapsed().is_zero());
        // Neither grows less, and what is known is not said again.
        teller.confirmed(Lsn(3));
        teller.received(Lsn(1));
        assert_eq!(heard(&mut far).await, [9, 9, 9]);
        assert!(!before.elapsed().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_said_after_the_last_word() {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        let mut teller = Teller::new(near, None);
        teller.confirmed(Lsn(8));
        drop(teller.end().await.unwrap());
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert!(all.ends_with(b"c\0\0\0\x04"));
        let last = &all[all.len() - 5 - STATUS_BYTES..];
        assert_eq!(u64::from_be_bytes(*last[14..].first_chunk().unwrap()), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_drops_it_says_nothing_more() {
        let (near, mut far) = tokio::io::duplex(1 << 10);
        drop(Teller::new(near, None));
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert!(all.len() <= STATUS_BYTES);
    }
}
