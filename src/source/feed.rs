//! A reader that runs in a task of its own, behind one channel bounded by bytes: `next` is the channel's `recv`, so it is
//! cancel safe, and the protocol is served while nobody polls.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::Reader;
use crate::error::{Error, Result};
use crate::record::{Checkpoint, Event, Lag, Position};

/// How many bytes of batches may wait between the task and the reader.
const WAITING_BYTES: usize = 6 << 20;

/// The task's end: where it puts its events.
pub struct Outlet {
    events: mpsc::UnboundedSender<(Result<Event>, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    acked: watch::Receiver<Option<Position>>,
    lag: watch::Sender<Option<Lag>>,
    held: watch::Sender<u64>,
}

/// The reader is gone: the task should end.
#[derive(Debug)]
pub struct Closed;

/// Why a task ends before its rows do.
#[derive(Debug)]
pub enum Stop {
    Closed,
    Failed(Error),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Stop::Closed
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

/// How a task ended, as far as anybody wants to know; `None` where its reader is gone, and nobody does.
pub fn unless_closed<T>(ended: Result<T, Stop>) -> Result<Option<T>> {
    match ended {
        Ok(done) => Ok(Some(done)),
        Err(Stop::Closed) => Ok(None),
        Err(Stop::Failed(error)) => Err(error),
    }
}

impl Outlet {
    /// Waits for room, then hands the event on.
    pub async fn send(&self, event: Event) -> Result<(), Closed> {
        let wanted = match &event {
            Event::Rows(rows) => rows.batch.get_array_memory_size().clamp(1, WAITING_BYTES),
            Event::Checkpoint(_) => 1,
        };
        // The semaphore is never closed; were it, the reader would be gone.
        let permit = self.room.clone().acquire_many_owned(wanted as u32).await.map_err(|_| Closed)?;
        self.events.send((Ok(event), permit)).map_err(|_| Closed)
    }

    /// As [`Outlet::send`], from a thread that may block. Not from an async task.
    pub fn blocking_send(&self, event: Event) -> Result<(), Closed> {
        tokio::runtime::Handle::current().block_on(self.send(event))
    }

    /// The newest position that was acknowledged, as it changes.
    pub fn acked(&self) -> watch::Receiver<Option<Position>> {
        self.acked.clone()
    }

    /// Tells how far behind its source the task is, where that is known.
    pub fn stands(&self, lag: Option<Lag>) {
        if lag.is_some() {
            self.lag.send_replace(lag);
        }
    }

    /// Tells how much of its log the source keeps until the next commit.
    pub fn holds(&self, bytes: u64) {
        self.held.send_replace(bytes);
    }

    async fn fail(&self, error: Error) {
        if let Ok(permit) = self.room.clone().acquire_owned().await {
            // Nobody listens any more: then nobody wants the error either.
            let _ = self.events.send((Err(error), permit));
        }
    }
}

/// The reader's end.
struct Feed {
    inlet: Inlet,
    task: JoinHandle<()>,
    /// How it ended, once it has: a task can be waited for once, a reader may be asked again.
    ended: Option<Result<()>>,
}

/// Its ends of the channels.
struct Inlet {
    events: mpsc::UnboundedReceiver<(Result<Event>, OwnedSemaphorePermit)>,
    acked: watch::Sender<Option<Position>>,
    lag: watch::Receiver<Option<Lag>>,
    held: watch::Receiver<u64>,
}

impl Feed {
    fn new(inlet: Inlet, task: JoinHandle<()>) -> Self {
        Self { inlet, task, ended: None }
    }
}

/// A reader of a stream that was read to its end: there is nothing but where that was.
pub fn at_its_end(checkpoint: Checkpoint) -> Box<dyn Reader> {
    from_task(|outlet| async move {
        // A closed outlet means that nobody wants to know.
        let _ = outlet.send(Event::Checkpoint(checkpoint)).await;
        Ok(())
    })
}

/// Runs `produce` in a task of its own until it ends, fails, or the reader is dropped.
pub fn from_task<F, T>(produce: F) -> Box<dyn Reader>
where
    F: FnOnce(Arc<Outlet>) -> T,
    T: Future<Output = Result<()>> + Send + 'static,
{
    let (outlet, inlet) = channel();
    let work = produce(outlet.clone());
    let task = tokio::spawn(async move {
        if let Err(error) = work.await {
            outlet.fail(error).await;
        }
    });
    Box::new(Feed::new(inlet, task))
}

/// As [`from_task`], for a producer that blocks. It ends when it fails to send, at the latest at its next event.
pub fn from_thread<F>(produce: F) -> Box<dyn Reader>
where
    F: FnOnce(&Outlet) -> Result<()> + Send + 'static,
{
    let (outlet, inlet) = channel();
    let task = tokio::spawn(async move {
        let inner = outlet.clone();
        let result = tokio::task::spawn_blocking(move || produce(&inner)).await;
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => outlet.fail(error).await,
            Err(panic) => outlet.fail(Error::bug(format!("the reading thread ended: {panic}"))).await,
        }
    });
    Box::new(Feed::new(inlet, task))
}

fn channel() -> (Arc<Outlet>, Inlet) {
    let (sender, events) = mpsc::unbounded_channel();
    let (acks, acked) = watch::channel(None);
    let (stands, lag) = watch::channel(None);
    let (holds, held) = watch::channel(0);
    let room = Arc::new(Semaphore::new(WAITING_BYTES));
    let outlet = Outlet { events: sender, room, acked, lag: stands, held: holds };
    (Arc::new(outlet), Inlet { events, acked: acks, lag, held })
}

#[async_trait]
impl Reader for Feed {
    async fn next(&mut self) -> Result<Option<Event>> {
        if let Some(ended) = &self.ended {
            return ended.clone().map(|()| None);
        }
        let ended = match self.inlet.events.recv().await {
            Some((Ok(event), _permit)) => return Ok(Some(event)),
            Some((Err(error), _permit)) => Err(error),
            // The task has ended. It said all it had to say, unless it panicked or was cancelled.
            None => match (&mut self.task).await {
                Ok(()) => Ok(()),
                Err(panic) if panic.is_panic() => Err(Error::bug(format!("the reading task ended: {panic}"))),
                // Nobody but its reader cancels it, and that one is here: the runtime is going down.
                Err(_) => Err(Error::unavailable("the reading task was ended before its time")),
            },
        };
        self.ended = Some(ended.clone());
        ended.map(|()| None)
    }

    async fn ack(&mut self, position: &Position) -> Result<()> {
        // A task that has ended needs to know no more.
        self.inlet.acked.send_replace(Some(position.clone()));
        Ok(())
    }

    fn lag(&self) -> Option<Lag> {
        *self.inlet.lag.borrow()
    }

    fn holds(&self) -> u64 {
        *self.inlet.held.borrow()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[tokio::test]
    async fn an_end_stays_the_end() {
        let mut done = from_task(|_| async { Ok(()) });
        let mut failed = from_thread(|_| Err(Error::data("no")));
        let mut broken = from_task(|_| async { panic!("at once") });
        for _ in 0..3 {
            assert!(matches!(done.next().await, Ok(None)));
            // What failed must not pass for complete when it is asked again.
            assert_eq!(failed.next().await.map(drop).unwrap_err().kind(), Kind::Data);
            assert_eq!(broken.next().await.map(drop).unwrap_err().kind(), Kind::Bug);
        }
    }
}
