//! The server: two listeners and a thread.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use serde_json::Value;
use tokio::sync::oneshot;

use super::control::{self, Order};
use super::counts::Seen;
use super::http::{Host, serve};
use super::limit::Limit;
use super::rule::Rule;
use super::settings::Settings;
use super::state::State;

/// A server that runs until it is dropped.
pub struct Server {
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Ports that are free, and the usual settings.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        Self::at(0, 0, settings)
    }

    /// Listens on these ports of the loopback device. 0 is one that is free.
    pub fn at(port: u16, other: u16, settings: Settings) -> Self {
        let [own, other] = [port, other].map(|port| {
            let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        });
        let addresses = [&own, &other].map(|listener| listener.local_addr().unwrap());
        let state = Arc::new(State::new(addresses[0], addresses[1], settings));
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&state);
        let thread = thread::spawn(move || run(own, other, serving, stopped));
        Self { state, stop: Some(stop), thread: Some(thread) }
    }

    pub fn address(&self) -> SocketAddr {
        self.state.own
    }

    /// `http://127.0.0.1:…` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.state.own)
    }

    /// The same of the listener that plays another host.
    pub fn other_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.state.other)
    }

    /// Adds a rule behind those that are there; the first that applies to a request decides.
    pub fn behave(&self, rule: Rule) -> &Self {
        self.order(Order { rules: vec![rule], ..Order::default() })
    }

    /// Takes the rules of this name back.
    pub fn repair(&self, name: &str) -> &Self {
        self.order(Order { repair: vec![name.to_owned()], ..Order::default() })
    }

    /// Takes all rules and limits back.
    pub fn clear(&self) -> &Self {
        self.order(Order { clear: true, ..Order::default() })
    }

    /// Keeps this limit, in place of any other.
    pub fn limit(&self, limit: Limit) -> &Self {
        self.order(Order { limits: Some(vec![limit]), ..Order::default() })
    }

    /// Gives one of the [`Settings`] another value.
    pub fn set(&self, name: &str, value: impl Into<Value>) -> &Self {
        let settings = [(name.to_owned(), value.into())].into_iter().collect();
        self.order(Order { settings, ..Order::default() })
    }

    /// Carries out whatever can be asked for. Panics on settings that there are not.
    pub fn order(&self, order: Order) -> &Self {
        control::give(&self.state, order).unwrap();
        self
    }

    /// A refresh token of a login of its own.
    pub fn refresh_token(&self) -> String {
        self.state.tokens.lock().unwrap().login()
    }

    pub fn seen(&self) -> Seen {
        self.state.counts().clone()
    }

    /// Waits until the server ends, which it does not by itself.
    pub fn join(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(own: TcpListener, other: TcpListener, state: Arc<State>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let [own, other] = [own, other].map(|listener| tokio::net::TcpListener::from_std(listener).unwrap());
        tokio::select! {
            () = serve(own, Host::Own, Arc::clone(&state)) => {}
            () = serve(other, Host::Other, state) => {}
            _ = stopped => {}
        }
    });
    runtime.shutdown_background();
}
