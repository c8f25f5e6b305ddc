//! What failed is asked for once more, and nothing else: what `tidemark retry` does.

mod load;
mod place;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt;

use self::place::AtOnePlace;
use super::columns::{self, Watched};
use super::copy::Ended;
use super::plan::{Around, Plan};
use super::session::Session;
use super::stream::{self, Outcome, Shared, Sources, Work};
use super::{Observer, Request, Stop, StreamReport, append, settle};
use crate::config::Config;
use crate::destination::Writer;
use crate::error::{Error, Result};
use crate::job_log::Lease;
use crate::record::{Checkpoint, Failures};
use crate::source::{Reader, Source, Stream};

/// The note of a stream of which nothing had failed.
const NOTHING: &str = "nothing to ask again";

/// Retries the streams that `wanted` names. A stream that fails does not stop the others: its error is in its report.
///
/// Fails itself for what concerns no single stream.
pub async fn retry(
    config: &Config,
    wanted: &[String],
    observer: Arc<dyn Observer>,
    stop: Stop,
) -> Result<Vec<StreamReport>> {
    let request = Request { streams: wanted.to_vec(), ..Request::default() };
    let plan = Plan::of(config, &request)?;
    let around = Around { job_log: plan.job_log().await?, observer, stop };
    let (jobs, mut reports) = plan.jobs(&around).await;
    let each = jobs.into_iter().map(|job| async move { retry_stream(job.session, &job.sources, job.retries).await });
    reports.extend(futures_util::stream::iter(each).buffer_unordered(plan.parallel).collect::<Vec<_>>().await);
    reports.sort_by(|a, b| a.stream.cmp(&b.stream));
    Ok(reports)
}

/// Retries one stream and says how it went. Never fails itself: a failure is in the report.
pub async fn retry_stream(mut session: Session, sources: &dyn Sources, retries: u32) -> StreamReport {
    let started = Instant::now();
    let (id, mut note) = (session.stream.id.clone(), None);
    let done = leased(&mut session, sources, retries, &mut note).await;
    StreamReport { note, ..stream::report(&session, id, started, done) }
}

/// Takes the lease; where nothing failed, nothing is written, not even a fence.
async fn leased(
    session: &mut Session,
    sources: &dyn Sources,
    retries: u32,
    note: &mut Option<&'static str>,
) -> Result<Outcome> {
    let name = session.stream.id.to_string();
    let lease = session.job_log.lease(&session.pipeline, &name).await?;
    let done = async {
        let newest = stream::newest(session).await?;
        if let Some(newest) = newest.as_ref().filter(|newest| has_any(&newest.open_failures())) {
            tracing::info!(stream = %name, requests = newest.open_failures().failed.len(), "asking again for what failed");
            return stream::kept(session, name, sources, &*lease, retries, &Again).await;
        }
        *note = Some(NOTHING);
        tracing::info!(stream = %name, "{NOTHING}");
        if let Some(newest) = &newest {
            settle::catch_up(session, newest).await?;
        }
        let high_water_mark = newest.and_then(|newest| Some(newest.position?.to_string()));
        Ok(Outcome { ended: Ended::AtTheEnd, high_water_mark })
    };
    let done = done.await;
    lease.release().await;
    done
}

/// A reader of what failed by this checkpoint, which stays at its position.
pub async fn open(source: &dyn Source, stream: &Stream, at: Checkpoint) -> Result<Box<dyn Reader>> {
    let reader = source.open_failed(stream, &at).await?;
    Ok(Box::new(AtOnePlace::new(reader, at.position)))
}

fn has_any(failures: &Failures) -> bool {
    !failures.failed.is_empty()
}

/// Asks again for what is open as of the newest entry.
struct Again;

#[async_trait]
impl Work for Again {
    async fn once(&self, session: &mut Session, source: &Shared<'_>, lease: &dyn Lease) -> Result<Outcome> {
        let mut writer = stream::open(session).await?;
        let asked = ask(session, source, &mut *writer, lease).await;
        let high_water_mark = writer.last().position.as_ref().map(ToString::to_string);
        if !matches!(asked, Ok(Ended::AtTheEnd)) {
            writer.abort().await;
        }
        asked.map(|ended| Outcome { ended, high_water_mark })
    }
}

/// First for what the live load lacks, then for what has failed since.
async fn ask(session: &Session, source: &dyn Source, writer: &mut dyn Writer, lease: &dyn Lease) -> Result<Ended> {
    let of_load = writer.last().generations.live().and_then(|live| live.failures.as_ref());
    if of_load.is_some_and(has_any) && load::retry(session, source, writer, lease).await? == Ended::Stopped {
        return Ok(Ended::Stopped);
    }
    match writer.last().failures.as_ref().is_some_and(has_any) {
        true => grow(session, source, writer, lease).await,
        false => Ok(Ended::AtTheEnd),
    }
}

/// Into the stream's own log, by the loop that all rows go through: rows of their own numbers, at the position that stands.
async fn grow(session: &Session, source: &dyn Source, writer: &mut dyn Writer, lease: &dyn Lease) -> Result<Ended> {
    let at = writer.last().checkpoint();
    let at = at.ok_or_else(|| Error::bug("requests failed in a stream that has no position"))?;
    let mut stop = session.stop.clone();
    let Some(_permit) = session.readings.begin(&mut stop, lease).await? else { return Ok(Ended::Stopped) };
    let reader = open(source, &session.stream, at).await?;
    let stream = session.stream.id.clone();
    let before = columns::before(&*session.destination, &stream, writer.last()).await?;
    let mut watched = Watched::new(reader, stream, before, session.on_schema_change);
    append::copy(session, source, &mut watched, writer, lease).await
}
