//! Who gives out credentials: asked until they are given or refused.

use std::sync::Arc;
use std::time::Duration;

use crate::backoff::{Backoff, Tries};
use crate::error::{Error, Kind, Result};
use crate::source::rest::pace;
use crate::source::rest::request::Request;
use crate::source::rest::transport::{Answer, Broken, Transport, What};

/// An answer is a few hundred bytes; of a longer one so much is read.
pub const LONGEST_ANSWER: usize = 1 << 20;

/// However long other requests may take.
const PATIENCE: Duration = Duration::from_secs(60);

const FIRST_WAIT: Duration = Duration::from_millis(500);

/// How often whatever credentials need is tried. No wait is longer than `longest`.
pub fn tries(longest: Duration) -> Tries {
    Tries::new(Backoff { first: FIRST_WAIT, longest, jitter: 0.5 }, 5)
}

pub struct Issuer {
    pub transport: Arc<dyn Transport>,
    /// A request that it asks to wait for longer has failed.
    pub longest_wait: Duration,
}

impl Issuer {
    /// What `read` makes of the answer, after as many tries as make sense: what it calls `Unavailable` is asked for again, and so
    /// is what is transient by its status, which `read` does not get to see. Errors begin with `place`; `key` is the one that says
    /// where the request goes.
    pub async fn ask<T>(
        &self,
        (place, key): (&str, &str),
        request: &Request,
        read: impl Fn(&Answer) -> Result<T> + Send + Sync,
    ) -> Result<T> {
        let mut tries = tries(self.longest_wait);
        loop {
            let (error, told) = match self.once(request).await {
                Ok(answer) => {
                    let read = match answer.is_transient() {
                        true => Err(Error::unavailable(format!("{place}: {}", answer.status.as_u16()))),
                        false => read(&answer),
                    };
                    match read {
                        Ok(read) => return Ok(read),
                        Err(error) => (error, pace::retry_after(&answer.headers)),
                    }
                }
                Err(broken) => (failed(place, key, &broken), None),
            };
            if error.kind() != Kind::Unavailable {
                return Err(error);
            }
            if let Some(reason) = told.and_then(|told| pace::too_long(told, self.longest_wait)) {
                let message = format!("{}, and {reason}", error.message());
                return Err(Error::unavailable(message).hint(pace::LATER).lasting());
            }
            tries.pause(error, told).await?;
        }
    }

    async fn once(&self, request: &Request) -> Result<Answer, Broken> {
        let too_long = || Broken::new(What::Timeout, format!("no answer within {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, self.transport.send(request)).await.unwrap_or_else(|_| Err(too_long()))
    }
}

fn failed(place: &str, key: &str, broken: &Broken) -> Error {
    let (kind, hint) = broken.remedy();
    let error = Error::new(kind, format!("{place}: {broken}"));
    match (broken.what, hint) {
        (What::Refused, _) => error.hint(format!("Look at `{key}`.")),
        (_, Some(hint)) => error.hint(hint),
        (_, None) => error,
    }
}
