//! The chunks of a full load: found as earlier runs left them, and read side by side.

use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};

use super::columns::{self, Columns, Definitions};
use super::copy::{Copy, Ended};
use super::full::Load;
use super::retry;
use super::sequence::Numbering;
use super::session::{Account, Committed, Progress, Session, Totals};
use super::stop::Stop;
use crate::destination::Writer;
use crate::error::{Error, Kind, Result};
use crate::job_log::Lease;
use crate::record::{Checkpoint, Commit, Failures, Range, SetAside, Shortfall, StreamId, add_aside};
use crate::source::{Source, Stream};

/// How many logs of chunks are looked at together.
const LOOKING: usize = 8;

/// A chunk that is there to its end.
pub struct Loaded {
    pub name: String,
    /// The last entry of its log.
    pub last: u64,
    pub totals: Totals,
    /// Nothing of it was read earlier,
    pub read_at: Option<String>,
    /// and nothing later.
    pub read_until: String,
    /// What of it came to nothing.
    pub failures: Option<Failures>,
    /// Which of its rows were set aside.
    pub aside: SetAside,
}

/// What these chunks of a load came to short of all.
pub fn shortfall(load: &Load, chunks: &[Loaded]) -> Shortfall {
    let mut short = Shortfall::default();
    for chunk in chunks {
        short.failures.add(load.failures_of(&chunk.name, chunk.failures.clone().unwrap_or_default()));
        add_aside(&mut short.aside, &chunk.aside);
    }
    short
}

/// A chunk before this run has read any of it.
struct Open {
    name: String,
    id: StreamId,
    range: Option<Range>,
    numbering: Numbering,
    found: Found,
    /// What failed is asked for again, by this checkpoint, and nothing else.
    again: Option<Checkpoint>,
}

/// What there is of a chunk at the destination.
#[derive(Default)]
struct Found {
    last: Option<Commit>,
    totals: Totals,
    read_at: Option<String>,
    aside: SetAside,
}

impl Found {
    fn is_whole(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.complete)
    }

    /// Something of it is committed.
    fn is_begun(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.position.is_some())
    }
}

/// Reads all chunks that are not there; `None` if it was stopped. The first failure ends those that are being read.
pub async fn load(
    session: &Session,
    source: &dyn Source,
    lease: &dyn Lease,
    load: &Load,
) -> Result<Option<Vec<Loaded>>> {
    let (halt, halted) = Stop::new();
    let mut loader = Loader::new(session, source, lease, halted);
    let chunks = loader.finder.look(load).await?;
    loader.begin(&chunks).await?;
    tell_begun(session, load, &chunks);
    let count = chunks.len();
    // Boxed one by one: the compiler cannot tell of the closure's futures that they may go between threads.
    let chunks: Vec<BoxFuture<'_, _>> = chunks.into_iter().map(|chunk| loader.load(chunk).boxed()).collect();
    let mut loading = stream::iter(chunks).buffer_unordered(session.parallel);
    let (mut stop, mut is_halted) = (session.stop.clone(), false);
    let (mut loaded, mut failure) = (Vec::with_capacity(count), None::<Error>);
    loop {
        let ended = tokio::select! {
            () = stop.requested(), if !is_halted => {
                is_halted = true;
                halt.stop();
                continue;
            }
            ended = loading.next() => ended,
        };
        match ended {
            None => break,
            Some(Ok(Some(chunk))) => loaded.push(chunk),
            Some(Ok(None)) => {}
            Some(Err(error)) => {
                is_halted = true;
                halt.stop();
                // What no retry mends tells more than what the first failure made of the others.
                let is_better = |first: &Error| first.kind().is_retried() && !error.kind().is_retried();
                if failure.as_ref().is_none_or(is_better) {
                    failure = Some(error);
                }
            }
        }
    }
    match failure {
        Some(error) => Err(error),
        None if loaded.len() == count => Ok(Some(loaded)),
        None => {
            tell_stopped(session, load, loaded.len(), count, loader.progress.committed());
            Ok(None)
        }
    }
}

/// Reads one chunk, unless it is there; `None` if it was stopped.
pub async fn load_one(
    session: &Session,
    source: &dyn Source,
    lease: &dyn Lease,
    load: &Load,
    name: &str,
) -> Result<Option<Loaded>> {
    let mut loader = Loader::new(session, source, lease, session.stop.clone());
    let chunk = loader.finder.look_at(load, name.to_owned(), load.range(name)?).await?;
    if chunk.found.is_whole() {
        tracing::info!(part = %chunk.id, "this part is there: nothing is read again");
    }
    loader.begin(std::slice::from_ref(&chunk)).await?;
    loader.load(chunk).await
}

/// Asks again for what failed of a chunk, by its checkpoint, into the chunk `name` beside it; whether that was there already,
/// as a killed retry left it. `None` if it was stopped.
pub async fn load_again(
    session: &Session,
    source: &dyn Source,
    lease: &dyn Lease,
    load: &Load,
    name: String,
    range: Option<Range>,
    at: Checkpoint,
) -> Result<Option<(Loaded, bool)>> {
    let loader = Loader::new(session, source, lease, session.stop.clone());
    let chunk = Open { again: Some(at), ..loader.finder.look_at(load, name, range).await? };
    let was_there = chunk.found.is_whole();
    Ok(loader.load(chunk).await?.map(|loaded| (loaded, was_there)))
}

/// Refuses a load whose chunks other processes are reading, as parts of a plan.
pub async fn refuse_at_work(session: &Session, generation: &str) -> Result<()> {
    let prefix = session.stream.id.chunk(generation, "").to_string();
    let holders = session.job_log.holders(&session.pipeline).await?;
    let Some(held) = holders.iter().find(|held| held.alive && held.stream.starts_with(&prefix)) else {
        return Ok(());
    };
    let (part, pid, host, since, why) = (&held.stream, held.pid, &held.host, &held.since, &held.why);
    Err(Error::conflict(format!("{part} is being read by process {pid} on {host} since {since} ({why})"))
        .hint("Parts of a plan are at work. Wait until they have ended: the last one publishes the load."))
}

/// Whether each chunk is there, by name.
pub async fn whole(session: &Session, load: &Load) -> Result<Vec<(String, bool)>> {
    let chunks = Finder::new(session).look(load).await?;
    Ok(chunks.into_iter().map(|chunk| (chunk.name, chunk.found.is_whole())).collect())
}

/// All chunks, where all are there. The first that is not ends the search, which begins behind the chunk `after`: it
/// is most likely there where chunks are read in their order.
pub async fn all(session: &Session, load: &Load, after: &str) -> Result<Option<Vec<Loaded>>> {
    let finder = Finder::new(session);
    let mut names = load.generation.chunks();
    let first = names.iter().position(|name| name == after).map_or(0, |at| at + 1);
    names.rotate_left(first);
    let looks: Vec<BoxFuture<'_, _>> = names.into_iter().map(|name| finder.look_at(load, name, None).boxed()).collect();
    let mut looking = stream::iter(looks).buffered(LOOKING);
    let mut chunks = Vec::new();
    while let Some(chunk) = looking.try_next().await? {
        if !chunk.found.is_whole() {
            return Ok(None);
        }
        chunks.extend(loaded(chunk.name, chunk.found));
    }
    Ok(Some(chunks))
}

/// Says what there is of the load that goes on.
fn tell_begun(session: &Session, load: &Load, chunks: &[Open]) {
    let (stream, count) = (&session.shown, chunks.len());
    if load.is_of_windows() {
        let left = chunks.iter().filter(|chunk| !chunk.found.is_whole()).count();
        tracing::info!(%stream, windows = count, left, "reading windows");
        return;
    }
    if load.is_new {
        if count > 1 {
            tracing::info!(%stream, chunks = count, "reading the table in chunks");
        }
        return;
    }
    let begun = load.generation.moment().unwrap_or_default();
    let left = chunks.iter().filter(|chunk| !chunk.found.is_whole()).count();
    if count > 1 {
        tracing::info!(%stream, chunks = count, left, "continuing the full load that was begun at {begun}");
    } else if chunks.iter().any(|chunk| chunk.found.is_begun()) {
        tracing::info!(%stream, "continuing the full load that was begun at {begun}");
    } else {
        tracing::info!(
            %stream,
            "reading the table again: nothing is committed of the full load that was begun at {begun}"
        );
    }
}

/// Says what the next run makes of a load that was stopped.
fn tell_stopped(session: &Session, load: &Load, whole: usize, count: usize, committed: bool) {
    let stream = &session.shown;
    if load.is_of_windows() {
        let left = count - whole;
        tracing::warn!(%stream, windows = count, left, "stopped: the same command goes on with those that are left");
    } else if count > 1 {
        let left = count - whole;
        tracing::warn!(%stream, chunks = count, left, "stopped before it was published: the next run reads the chunks that are left");
    } else if committed {
        tracing::warn!(%stream, "stopped before it was published: the next run goes on from what is committed");
    } else {
        tracing::warn!(%stream, "stopped before its end: the next run reads the table again from its beginning");
    }
}

/// What the chunks of a load have in common while they are read.
struct Loader<'a> {
    session: &'a Session,
    source: &'a dyn Source,
    lease: &'a dyn Lease,
    /// The stream's stop, or the end that another chunk's failure makes.
    stop: Stop,
    progress: Progress,
    finder: Finder<'a>,
}

/// Looks for chunks at the destination.
struct Finder<'a> {
    session: &'a Session,
    /// What the tables' columns are, as the first chunk has them; not of those whose columns are found.
    definitions: Mutex<Definitions>,
}

impl<'a> Finder<'a> {
    fn new(session: &'a Session) -> Self {
        Self { session, definitions: Mutex::default() }
    }

    /// What there is of each chunk.
    async fn look(&self, load: &Load) -> Result<Vec<Open>> {
        let named = load.generation.chunks().into_iter().zip(load.ranges.clone());
        let looks: Vec<BoxFuture<'_, _>> = named.map(|(name, range)| self.look_at(load, name, range).boxed()).collect();
        stream::iter(looks).buffered(LOOKING).try_collect().await
    }

    async fn look_at(&self, load: &Load, name: String, range: Option<Range>) -> Result<Open> {
        let (id, numbering) = load.sub_stream(&self.session.stream.id, &name);
        // A generation that has just been named has no log anywhere.
        let found = if load.is_new { Found::default() } else { self.find(&id, None).await? };
        Ok(Open { name, id, range, numbering, found, again: None })
    }

    /// Looks for a chunk at the destination. `after` is where to start looking.
    async fn find(&self, id: &StreamId, after: Option<u64>) -> Result<Found> {
        let destination = &self.session.destination;
        let mut found = Found { last: destination.last(id, after).await?, ..Found::default() };
        if let Some(last) = &found.last {
            for commit in destination.range(id, 0, last.seq).await? {
                found.totals.add(&commit);
                add_aside(&mut found.aside, &commit.parts_aside());
                found.read_at = read_after(&commit).or(found.read_at);
                self.compare_columns(columns::of_parts(&commit))?;
            }
        }
        Ok(found)
    }

    /// A table that is altered while its chunks are read would arrive with old columns and new ones. Where columns are found,
    /// nobody altered anything: each chunk has those of its rows.
    fn compare_columns(&self, definitions: impl IntoIterator<Item = (String, Columns)>) -> Result<()> {
        let mut known = self.definitions.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, columns) in definitions.into_iter().filter(|(_, columns)| !columns.is_found()) {
            let first = known.entry(table.clone()).or_insert_with(|| columns.clone());
            if let Some(changes) = first.changes(&columns) {
                let message = format!("table {table} was altered while it was loaded: {changes}");
                return Err(Error::new(Kind::Lost, message));
            }
        }
        Ok(())
    }
}

impl<'a> Loader<'a> {
    fn new(session: &'a Session, source: &'a dyn Source, lease: &'a dyn Lease, stop: Stop) -> Self {
        let (progress, finder) = (Progress::default(), Finder::new(session));
        Self { session, source, lease, stop, progress, finder }
    }

    /// Counts what there is of the chunks.
    async fn begin(&mut self, chunks: &[Open]) -> Result<()> {
        let mut totals = Totals::default();
        chunks.iter().for_each(|chunk| totals += chunk.found.totals);
        self.progress = Progress::after(totals, chunks.iter().any(|chunk| chunk.found.is_begun()));
        if totals != self.session.totals() {
            self.session.progress(totals).await?;
        }
        Ok(())
    }

    /// Loads one chunk, or takes it as it was loaded. `None` if it was stopped.
    async fn load(&self, chunk: Open) -> Result<Option<Loaded>> {
        let Open { name, id, range, numbering, found, again } = chunk;
        if found.is_whole() {
            return Ok(loaded(name, found));
        }
        let mut stop = self.stop.clone();
        let Some(_permit) = self.session.readings.begin(&mut stop, self.lease).await? else { return Ok(None) };
        tokio::select! {
            calm = self.session.readings.pace.calm(self.source) => calm?,
            lost = self.lease.lost() => return Err(lost),
            () = stop.requested() => return Ok(None),
        }
        let mut opening = self.session.opening.clone();
        opening.after = found.last.as_ref().map(|last| last.seq);
        let mut writer = self.session.destination.open(&id, &opening).await?;
        match self.copy(&id, (range, numbering, again), found, &mut *writer).await {
            Ok((Ended::AtTheEnd, found)) => Ok(loaded(name, found)),
            Ok((Ended::Stopped, _)) => {
                writer.abort().await;
                Ok(None)
            }
            Err(error) => {
                writer.abort().await;
                Err(error)
            }
        }
    }

    async fn copy(
        &self,
        id: &StreamId,
        (range, numbering, again): (Option<Range>, Numbering, Option<Checkpoint>),
        mut found: Found,
        writer: &mut dyn Writer,
    ) -> Result<(Ended, Found)> {
        let expected = found.last.as_ref().map_or(0, |last| last.seq + 1);
        if writer.last().seq != expected {
            // Something of a killed run landed after we looked.
            let late = self.finder.find(id, Some(writer.last().seq)).await?;
            self.session.add(late.totals.since(found.totals)).await?;
            found = late;
        }
        found.read_at = read_after(writer.last()).or(found.read_at);
        let after = writer.last().checkpoint();
        let stream = Stream { range, ..self.session.stream.clone() };
        let mut reader = match again {
            None => self.source.open(&stream, after.as_ref()).await?,
            Some(failed) => retry::open(self.source, &stream, after.unwrap_or(failed)).await?,
        };
        let mut account = Account::of_chunk(self.session, &self.progress, self.source, &stream);
        let mut paced = self.session.readings.pace.keep(&mut *reader, self.source);
        let copy = Copy {
            reader: &mut paced,
            writer: &mut *writer,
            lease: self.lease,
            ledger: &mut account,
            limits: self.session.limits,
            numbering,
            stop: self.stop.clone(),
        };
        let ended = copy.run().await?;
        let Committed { totals, definitions, aside } = account.committed();
        found.totals += totals;
        add_aside(&mut found.aside, &aside);
        found.last = Some(writer.last().clone());
        self.finder.compare_columns(definitions)?;
        Ok((ended, found))
    }
}

fn loaded(name: String, found: Found) -> Option<Loaded> {
    let Found { last, totals, read_at, aside } = found;
    let last = last?;
    Some(Loaded { name, last: last.seq, totals, read_at, read_until: last.at, failures: last.failures, aside })
}

/// The time of an entry behind which the reading begins at the beginning. It is the fence's, so nothing is read earlier;
/// the moment itself is in a position that only the source understands.
fn read_after(commit: &Commit) -> Option<String> {
    commit.position.is_none().then(|| commit.at.clone())
}
