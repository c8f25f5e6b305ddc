//! Fewer wakes for a stream of small messages.
//!
//! A server that sends each message by itself wakes its reader for every one of them, and pays for the waking: where messages come
//! fast, the system is asked to wake us only when many bytes are there (`SO_RCVLOWAT`), or a moment has passed. What comes slowly
//! is read as it comes.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// So many bytes are worth waking for, where messages come fast.
const MANY_BYTES: u32 = 32 << 10;
/// What is less than that waits so long at most.
const MOMENT: Duration = Duration::from_millis(2);
/// So many reads, each of them within an eighth of a [`MOMENT`], are a fast stream.
const READS: u32 = 32;

/// Has the system wake whoever waits for a socket when so many bytes are there; at once, where they are.
pub type LowWater = fn(&TcpStream, u32) -> io::Result<()>;

static LOW_WATER: OnceLock<LowWater> = OnceLock::new();

/// By what the system is asked. Without it every message wakes.
pub fn are_asked_by(low_water: LowWater) {
    // Who asked first asks the same.
    let _ = LOW_WATER.set(low_water);
}

/// A connection whose reader is not woken for every message.
pub struct Gentle {
    stream: TcpStream,
    low_water: Option<LowWater>,
    /// Only many bytes wake us.
    is_high: bool,
    /// Since when we wait for them.
    moment: Option<Pin<Box<Sleep>>>,
    reads: u32,
    since: Instant,
}

impl Gentle {
    pub fn new(stream: TcpStream) -> Self {
        Self::asking(stream, LOW_WATER.get().copied())
    }

    fn asking(stream: TcpStream, low_water: Option<LowWater>) -> Self {
        Self { stream, low_water, is_high: false, moment: None, reads: 0, since: Instant::now() }
    }

    /// A system that refuses is not asked again.
    fn wakes_for(&mut self, bytes: u32) {
        let Some(low_water) = self.low_water else { return };
        self.is_high = bytes > 1;
        if low_water(&self.stream, bytes).is_err() {
            (self.is_high, self.low_water) = (false, None);
        }
    }

    /// Reads what is there, whether or not anybody was woken for it.
    fn look(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match (&*SockRef::from(&self.stream)).read(buffer.initialize_unfilled()) {
            Ok(bytes) => {
                buffer.advance(bytes);
                self.came();
                Poll::Ready(Ok(()))
            }
            // Whoever was woken last is woken for what comes.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Something was read.
    fn came(&mut self) {
        self.moment = None;
        if self.is_high || self.low_water.is_none() {
            return;
        }
        self.reads += 1;
        if self.reads >= READS {
            if self.since.elapsed() < MOMENT * READS / 8 {
                self.wakes_for(MANY_BYTES);
            }
            (self.reads, self.since) = (0, Instant::now());
        }
    }
}

impl AsyncRead for Gentle {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(context, buffer) {
            this.came();
            return Poll::Ready(read);
        }
        if this.is_high {
            let moment = this.moment.get_or_insert_with(|| Box::pin(tokio::time::sleep(MOMENT)));
            if moment.as_mut().poll(context).is_ready() {
                this.moment = None;
                this.wakes_for(1);
                // Not every system wakes us for what is there by now.
                return this.look(buffer);
            }
        }
        Poll::Pending
    }
}

impl AsyncWrite for Gentle {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_comes_fast_is_waited_for_and_all_of_it_comes() {
        static ASKED: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut gentle = Gentle::asking(
            near,
            Some(|_, bytes| {
                ASKED[usize::from(bytes > 1)].fetch_add(1, Ordering::Relaxed);
                Ok(())
            }),
        );
        let mut byte = [0];
        for at in 0..10 * READS {
            far.write_all(&[at as u8]).await.unwrap();
            gentle.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [at as u8]);
        }
        assert_eq!(ASKED[1].load(Ordering::Relaxed), 1, "it is asked for many once");
        let late = async {
            tokio::time::sleep(MOMENT * 20).await;
            far.write_all(&[7]).await.unwrap();
        };
        let (read, ()) = tokio::join!(gentle.read_exact(&mut byte), late);
        read.unwrap();
        assert_eq!((byte, ASKED[0].load(Ordering::Relaxed)), ([7], 1), "the moment passed");
        drop(far);
        assert_eq!(gentle.read(&mut byte).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_system_that_refuses_is_not_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut gentle = Gentle::asking(near, Some(|_, _| Err(io::ErrorKind::Unsupported.into())));
        gentle.wakes_for(MANY_BYTES);
        assert!(!gentle.is_high && gentle.low_water.is_none());
    }
}
