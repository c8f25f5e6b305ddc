//! SIGINT and SIGTERM: the first asks the streams to stop at a safe place, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::pipeline::Stopper;

/// Listens until it is dropped.
pub struct Signals {
    first: Arc<AtomicU8>,
    second: oneshot::Receiver<u8>,
    listener: JoinHandle<()>,
}

impl Signals {
    pub fn listen(stopper: Stopper) -> Self {
        let (tell, second) = oneshot::channel();
        let first = Arc::new(AtomicU8::new(0));
        let seen = first.clone();
        let listener = tokio::spawn(async move {
            let Some(mut source) = Source::new() else { return };
            let signal = source.next().await;
            seen.store(signal, Ordering::Relaxed);
            tracing::warn!(signal, "stopping at the next safe point; a second signal ends the run at once");
            stopper.stop();
            let _ = tell.send(source.next().await);
        });
        Self { first, second, listener }
    }

    /// The first signal that came, if any has.
    pub fn first(&self) -> Option<u8> {
        Some(self.first.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }

    /// Resolves with the second signal.
    pub async fn second(&mut self) -> u8 {
        match (&mut self.second).await {
            Ok(signal) => signal,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// The exit code of a process that a signal ended, as shells have it.
pub fn exit_code(signal: u8) -> u8 {
    128 + signal
}

#[cfg(unix)]
struct Source {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Source {
    fn new() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            (Ok(interrupt), Ok(terminate)) => Some(Self { interrupt, terminate }),
            _ => None,
        }
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 2,
            _ = self.terminate.recv() => 15,
        }
    }
}

#[cfg(not(unix))]
struct Source;

#[cfg(not(unix))]
impl Source {
    fn new() -> Option<Self> {
        Some(Self)
    }

    async fn next(&mut self) -> u8 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 2,
            Err(_) => std::future::pending().await,
        }
    }
}
