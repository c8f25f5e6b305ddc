//! Where a stream goes on.

use jiff::Timestamp;
use serde_json::Value as Json;

use super::endpoint::Endpoint;
use super::filter::Filter;
use super::incremental::{Incremental, Mark};
use super::position::Reached;
use super::sieve::Sieve;
use super::target::Target;
use crate::error::Result;
use crate::record::Checkpoint;
use crate::source::{Stream, masking};

/// The place from which pages are read, and what is known there of the records that were delivered.
pub struct Beginning {
    pub reached: Reached,
    pub filter: Filter,
    /// A page of a chain that other keys began, and that is begun anew.
    pub anew: Option<Target>,
}

impl Beginning {
    /// After a checkpoint; `None` where there is nothing to ask for.
    pub fn of(
        endpoint: &Endpoint,
        stream: &Stream,
        after: Option<&Checkpoint>,
        now: Timestamp,
    ) -> Result<Option<Self>> {
        let settings = endpoint.incremental.as_ref();
        let reached = after.map(|checkpoint| Reached::of(&checkpoint.position, settings)).transpose()?;
        let state = after.map_or(&Json::Null, |checkpoint| &checkpoint.state);
        match settings {
            Some(settings) => {
                let reached = reached.unwrap_or_else(|| Reached::following(settings));
                Self::following(endpoint, settings, (reached, state), now)
            }
            None => {
                let reached = reached.unwrap_or_else(|| Reached::load(endpoint.paging.first()));
                Self::of_load(stream, (reached, state))
            }
        }
    }

    /// Of a load, which other keys do not go on with: they are another definition.
    fn of_load(stream: &Stream, (reached, state): (Reached, &Json)) -> Result<Option<Self>> {
        let filter = match stream.selection.primary_key.is_empty() {
            true => Filter::All,
            false => Filter::repeats(state, masking::digest_key(&stream.selection.section))?,
        };
        let is_open = reached.next.is_some() || reached.parent.is_some();
        Ok(is_open.then_some(Self { reached, filter, anew: None }))
    }

    fn following(
        endpoint: &Endpoint,
        settings: &Incremental,
        (mut reached, state): (Reached, &Json),
        now: Timestamp,
    ) -> Result<Option<Self>> {
        if endpoint.children.is_some() && (reached.parent.is_none() || reached.next.is_none()) {
            return Ok(Some(Self { reached, filter: Filter::All, anew: None }));
        }
        let mut sieve = Sieve::new(settings.clone(), Filter::delivered(state)?);
        if reached.is_within(&endpoint.digest) {
            sieve.go_on(&state["delivered"])?;
            return Ok(Some(Self { reached, filter: Filter::New(Box::new(sieve)), anew: None }));
        }
        if reached.next.is_some() {
            sieve.restart(&state["delivered"])?;
        }
        let anew = reached.leave();
        let mark = reached.mark.clone().map(Mark);
        let Some(window) = settings.first(mark.as_ref(), now)? else {
            // The parents behind this one may have something.
            let reached = endpoint.children.is_some().then_some(reached);
            return Ok(reached.map(|reached| Self { reached, filter: Filter::All, anew }));
        };
        (reached.window, reached.next) = (Some(window), Some(endpoint.paging.first()));
        Ok(Some(Self { reached, filter: Filter::New(Box::new(sieve)), anew }))
    }
}
