//! A stream of a run, with what it is read from.

use std::sync::Arc;

use super::mask;
use super::session::Session;
use super::stream::{self, Sources};
use super::{Notice, StreamReport};
use crate::config::Section;
use crate::error::Result;
use crate::source::{Exchange, Source};

/// A stream that is ready to run.
pub struct Job {
    pub session: Session,
    pub sources: SourceMaker,
    pub retries: u32,
}

impl Job {
    pub fn announce(&self) {
        let (estimate, mode) = (self.session.stream.estimate, self.session.opening.mode);
        self.session.notice(Notice::Planned { estimate, mode });
    }

    pub async fn run(self) -> StreamReport {
        stream::run(self.session, &self.sources, self.retries).await
    }
}

/// The run's shared source for the first attempt; after a failure one of the stream's own, since what is shared (a
/// snapshot) may be what failed.
#[derive(Clone)]
pub struct SourceMaker {
    pub shared: Arc<dyn Source>,
    pub kind: String,
    pub section: Section,
    pub exchange: Option<Exchange>,
}

impl Sources for SourceMaker {
    fn source(&self, attempt: u32) -> Result<Arc<dyn Source>> {
        match attempt {
            0 => Ok(self.shared.clone()),
            _ => mask::make(&self.kind, &self.section, self.exchange.as_ref()),
        }
    }
}
