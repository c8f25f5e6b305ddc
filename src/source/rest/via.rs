//! From where a source has its answers: its server, its server with each kept in a file, or such a file.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::auth::{self, Auth, Credential};
use super::config::Settings;
use super::request::Request;
use super::transport::{Discreet, Faults, Live, Recording, Replay, Sheet, Transport};
use crate::error::Result;
use crate::source::Exchange;

pub enum Via {
    Server,
    Recording(Arc<Sheet>),
    Replay(Arc<Replay>),
}

impl Via {
    /// Makes the file, or reads it.
    pub fn of(exchange: &Exchange, settings: &Settings) -> Result<Self> {
        Ok(match exchange {
            Exchange::Record { file, reel } => {
                Via::Recording(Arc::new(Sheet::create(file, &settings.identity, reel.clone())?))
            }
            Exchange::Replay { file, faults } => {
                let faults = Faults::parse(faults.as_deref().unwrap_or_default())?;
                Via::Replay(Arc::new(Replay::of(file, faults)?))
            }
        })
    }

    /// What sends requests, and what signs them. Connects to nothing; a replay needs no key that says who we are.
    pub fn connect(&self, settings: &Settings) -> Result<(Arc<dyn Transport>, Arc<dyn Auth>)> {
        if let Via::Replay(replay) = self {
            return Ok((replay.clone(), Arc::new(Unsigned)));
        }
        let Settings { section, base_url, known, .. } = settings;
        let live = Arc::new(Discreet::new(Arc::new(Live::of(section, base_url)?), known.clone()));
        // Tokens are fetched beside the recording: nothing of that is kept.
        let auth = auth::of(section, base_url, live.clone(), section.duration("longest_wait")?)?;
        Ok(match self {
            Via::Recording(sheet) => (Arc::new(Recording::new(live, sheet.clone(), known.clone())), auth),
            _ => (live, auth),
        })
    }

    /// What the source takes for now. A recording has one for all its requests, and its replay has the same: windows of time
    /// end where they ended then.
    pub fn now(&self) -> Timestamp {
        match self {
            Via::Server => Timestamp::now(),
            Via::Recording(sheet) => sheet.begun,
            Via::Replay(replay) => replay.begun,
        }
    }

    /// How many requests are under way at once, of as many as there may be. A recording of some pages has the first ones.
    pub fn width(&self, most: usize) -> usize {
        match self {
            Via::Recording(sheet) if sheet.has_end() => 1,
            _ => most,
        }
    }

    pub fn is_replay(&self) -> bool {
        matches!(self, Via::Replay(_))
    }
}

/// Who asks a file need not say who they are. Where the server had refused credentials, it was asked again with others: so is
/// the file, which has both answers.
struct Unsigned;

#[async_trait]
impl Auth for Unsigned {
    async fn sign(&self, _request: &mut Request) -> Result<Credential> {
        Ok(Credential::NONE)
    }

    async fn refused(&self, _credential: Credential) -> Result<bool> {
        Ok(true)
    }

    fn secret_names(&self) -> Vec<String> {
        Vec::new()
    }
}
