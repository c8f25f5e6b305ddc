//! A stream that grows: everything after its last commit, and no entry where there is nothing.

use std::collections::VecDeque;

use async_trait::async_trait;

use super::columns::{self, Watched};
use super::copy::{Copy, Ended};
use super::readings::Permit;
use super::sequence::Numbering;
use super::session::{Account, Progress, Session};
use super::settle;
use crate::destination::Writer;
use crate::error::{Error, Result};
use crate::job_log::Lease;
use crate::record::{Checkpoint, Commit, Event, Lag, Mode, Position};
use crate::source::{Reader, Source};

/// How a growing stream begins.
pub enum Begun {
    /// Opened for writing, to be read from there on.
    Open(Box<dyn Writer>, Box<dyn Reader>, Permit),
    /// There is nothing after the last commit.
    NothingNew(Option<Position>),
    Stopped(Option<Position>),
}

/// Looks whether there is something new before the stream is opened for writing, which leaves an entry.
pub async fn begin(session: &mut Session, source: &dyn Source, lease: &dyn Lease) -> Result<Begun> {
    let newest = super::stream::newest(session).await?;
    let mut stop = session.stop.clone();
    let Some(permit) = session.readings.begin(&mut stop, lease).await? else {
        return Ok(Begun::Stopped(newest.and_then(|newest| newest.position)));
    };
    tokio::select! {
        calm = session.readings.pace.calm(source) => calm?,
        lost = lease.lost() => return Err(lost),
        () = stop.requested() => return Ok(Begun::Stopped(newest.and_then(|newest| newest.position))),
    }
    // An unfinished run may have left files, which only an opening sweeps; and a stream's first run is to leave its name.
    let Some(newest) = newest.filter(|newest| newest.complete) else {
        return open(session, source, None, permit).await;
    };
    let first = session.destination.range(&session.stream.id, 0, 0).await?;
    first.iter().try_for_each(|first| session.opening.refuse_stranger(first))?;
    let after = newest.checkpoint();
    let mut reader = source.open(&session.stream, after.as_ref()).await?;
    let news = tokio::select! {
        news = news(&mut *reader, after.as_ref(), is_quiet(session, &newest)) => news?,
        lost = lease.lost() => return Err(lost),
        () = stop.requested() => return Ok(Begun::Stopped(newest.position)),
    };
    match news {
        Some(first) => open(session, source, Some((after, Peeked { first, reader })), permit).await,
        None => {
            settle::catch_up(session, &newest).await?;
            session.stands(reader.lag());
            session.tell_lag().await?;
            Ok(Begun::NothingNew(newest.position))
        }
    }
}

/// Whether places alone are not worth an entry: a log always has others, and one is kept each `idle` time.
fn is_quiet(session: &Session, newest: &Commit) -> bool {
    let age = newest.at.parse::<jiff::Timestamp>().map(|at| jiff::Timestamp::now().duration_since(at).unsigned_abs());
    // One that is followed may have nothing else to tell for days.
    let may_wait = session.opening.mode == Mode::Cdc && !session.stream.following.goes_on;
    may_wait && age.is_ok_and(|age| age < session.limits.idle)
}

/// The first events, where any of them is worth a commit: rows, or another position than the one it was opened at, unless
/// it `is_quiet`.
async fn news(reader: &mut dyn Reader, after: Option<&Checkpoint>, is_quiet: bool) -> Result<Option<VecDeque<Event>>> {
    let mut first = VecDeque::new();
    let mut is_covered = false;
    while let Some(event) = reader.next().await? {
        let is_news = match &event {
            Event::Rows(rows) => rows.batch.num_rows() > 0,
            Event::Checkpoint(_) if is_quiet => false,
            Event::Checkpoint(checkpoint) => Some(checkpoint) != after,
        };
        is_covered = matches!(event, Event::Checkpoint(_));
        // Of places alone the last says all.
        if is_covered && matches!(first.back(), Some(Event::Checkpoint(_))) {
            first.pop_back();
        }
        first.push_back(event);
        if is_news {
            return Ok(Some(first));
        }
    }
    // A reader that broke off without a word is the loop's to refuse.
    Ok((!is_covered).then_some(first))
}

async fn open(
    session: &mut Session,
    source: &dyn Source,
    peeked: Option<(Option<Checkpoint>, Peeked)>,
    permit: Permit,
) -> Result<Begun> {
    let writer = super::stream::open(session).await?;
    let (after, last) = (writer.last().checkpoint(), writer.last().clone());
    let opened = async {
        let reader: Box<dyn Reader> = match peeked {
            Some((from, peeked)) if from == after => Box::new(peeked),
            // Somebody has committed since we looked.
            _ => source.open(&session.stream, after.as_ref()).await?,
        };
        let stream = session.stream.id.clone();
        let before = columns::before(&*session.destination, &stream, &last).await?;
        Ok::<_, Error>(Watched::new(reader, stream, before, session.on_schema_change))
    };
    match opened.await {
        Ok(reader) => Ok(Begun::Open(writer, Box::new(reader), permit)),
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

/// Copies what the reader gives, as fast as the source bears.
pub async fn copy(
    session: &Session,
    source: &dyn Source,
    reader: &mut dyn Reader,
    writer: &mut dyn Writer,
    lease: &dyn Lease,
) -> Result<Ended> {
    let progress = Progress::after(session.totals(), true);
    let mut account = Account::of_stream(session, &progress, source, &session.stream);
    let mut paced = session.readings.pace.keep(reader, source);
    let copy = Copy {
        reader: &mut paced,
        writer,
        lease,
        ledger: &mut account,
        limits: session.limits,
        numbering: Numbering::Growing,
        stop: session.stop.clone(),
    };
    copy.run().await
}

/// A reader whose first events were looked at.
struct Peeked {
    first: VecDeque<Event>,
    reader: Box<dyn Reader>,
}

#[async_trait]
impl Reader for Peeked {
    async fn next(&mut self) -> Result<Option<Event>> {
        match self.first.pop_front() {
            Some(event) => Ok(Some(event)),
            None => self.reader.next().await,
        }
    }

    async fn ack(&mut self, position: &Position) -> Result<()> {
        self.reader.ack(position).await
    }

    fn lag(&self) -> Option<Lag> {
        self.reader.lag()
    }

    fn holds(&self) -> u64 {
        self.reader.holds()
    }
}
