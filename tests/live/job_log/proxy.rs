//! Stands between a job log and its server, and goes away at the worst moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct State {
    /// The next commit reaches the server, and its answer nobody.
    swallow: AtomicBool,
    swallowed: AtomicU32,
    /// How many connections there are, and how many there were at most.
    open: AtomicU32,
    most: AtomicU32,
    /// Nothing passes any more, and nothing is closed.
    is_dead: AtomicBool,
}

pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

impl Proxy {
    /// Listens, and passes everything on to a port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(State::default());
        let proxy = Self { port: listener.local_addr().unwrap().port(), state: state.clone() };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = state.clone();
                state.most.fetch_max(state.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::spawn(async move {
                    pass(client, port, state.clone()).await;
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        proxy
    }

    pub fn swallow_the_next_commit(&self) {
        self.state.swallow.store(true, Ordering::SeqCst);
    }

    pub fn swallowed(&self) -> u32 {
        self.state.swallowed.load(Ordering::SeqCst)
    }

    pub fn most(&self) -> u32 {
        self.state.most.load(Ordering::SeqCst)
    }

    pub fn die(&self) {
        self.state.is_dead.store(true, Ordering::SeqCst);
    }
}

async fn pass(client: TcpStream, port: u16, state: Arc<State>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let (mut asked, mut said) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            count = from_client.read(&mut asked) => {
                let count = count.unwrap_or(0);
                if count == 0 {
                    return;
                }
                live(&state).await;
                let is_commit = asked[..count].windows(6).any(|word| word == b"COMMIT");
                if to_server.write_all(&asked[..count]).await.is_err() {
                    return;
                }
                if is_commit && state.swallow.swap(false, Ordering::SeqCst) {
                    // The server has had the time to carry it out; then both connections break.
                    let _ = from_server.read(&mut said).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    state.swallowed.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            count = from_server.read(&mut said) => {
                let count = count.unwrap_or(0);
                live(&state).await;
                if count == 0 || to_client.write_all(&said[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Never returns once the proxy is dead.
async fn live(state: &State) {
    if state.is_dead.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
}
