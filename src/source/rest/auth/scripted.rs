//! A server for tests of credentials: a function from requests to answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::source::rest::request::Request;
use crate::source::rest::transport::{Answer, Body, Broken, Transport};

type Answering = dyn Fn(&Request) -> Result<Answer, Broken> + Send + Sync;

pub struct Scripted {
    answer: Box<Answering>,
    pub asked: AtomicUsize,
    pub last: Mutex<Option<Request>>,
}

impl Scripted {
    pub fn new(answer: impl Fn(&Request) -> Result<Answer, Broken> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), asked: AtomicUsize::new(0), last: Mutex::default() })
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn last(&self) -> Request {
        self.last.lock().unwrap().clone().unwrap()
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, request: &Request) -> Result<Answer, Broken> {
        // As long as a server takes, so that others come meanwhile.
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.asked.fetch_add(1, Ordering::SeqCst);
        *self.last.lock().unwrap() = Some(request.clone());
        (self.answer)(request)
    }
}

pub fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Result<Answer, Broken> {
    let header =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    Ok(Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::from_iter(headers.iter().map(header)),
        body: Body::Memory(body.to_owned().into()),
        redirects: Vec::new(),
    })
}
