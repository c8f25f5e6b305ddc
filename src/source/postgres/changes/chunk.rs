//! Chunks of tables that are proved to see everything up to a place in the log.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::captured::Captured;
use super::known::{Altered, Known};
use super::place::Place;
use super::proof::{Proof, Writers};
use super::{Asker, Has, History};
use crate::error::{Context, Error, Result};
use crate::record::{Rows, Table, change};
use crate::source::changes::{self, Begun};
use crate::source::keyset::Span;
use crate::source::postgres::chunks;
use crate::source::postgres::connect::Session;
use crate::source::postgres::copy::Copying;
use crate::source::postgres::name::Name;
use crate::source::postgres::plan::Plan;

/// Rows of a chunk, where no key says how many: reading one takes a moment, in which the log stands still.
const CHUNK_ROWS: u64 = 50_000;

/// Reads tables in chunks by key.
pub struct Chunks {
    asker: Asker,
    history: History,
    proof: Proof,
    reading: Option<Reading>,
    last: Option<Vec<String>>,
    /// A table that was altered, where that was seen, and what it is since.
    altered: Option<(String, Place, Known)>,
    /// A table that is about to be read, and who was writing it when it was published.
    writers: Option<(String, Writers)>,
    /// A table that is not there any more, as it was.
    gone: Option<Arc<Table>>,
}

/// A chunk that is being read.
struct Reading {
    session: Session,
    copying: Copying,
    captured: Captured,
    /// How many rows it has at most; none where it is all of the table.
    most: Option<u64>,
    rows: u64,
    position: String,
    /// The table itself has been told of, also if it is empty.
    is_told: bool,
}

impl Chunks {
    pub fn new(asker: Asker, history: History, proof: Proof) -> Self {
        Self { asker, history, proof, reading: None, last: None, altered: None, writers: None, gone: None }
    }

    async fn start(&mut self, table: &str, after: Option<&[String]>, at: Place) -> Result<Begun> {
        let name = self.asker.name(table)?;
        let session = self.asker.look().await?;
        let known = match self.known(&session, table, &name, at).await? {
            Ok(known) => known,
            Err(begun) => {
                session.close().await;
                return Ok(begun);
            }
        };
        let stream = self.asker.published(table, &known)?;
        // From here on nobody alters it, or writes it anew.
        let mut plan = match Plan::make(&session, &stream).await {
            Ok(plan) => plan,
            Err(error) => {
                session.close().await;
                return self.why(error, table, &name, (&known, at)).await;
            }
        };
        if let Some(begun) = self.altered(&session, table, &name, (&known, at)).await? {
            session.close().await;
            return Ok(begun);
        }
        if !self.proof.is_given(&session).await? || !self.is_all_told(&session, table, (&known, after)).await? {
            session.close().await;
            return Ok(Begun::NotYet);
        }
        if !known.is_partitioned {
            plan.alone();
        }
        let captured = self.asker.captured(&session, table, &known).await?;
        if !captured.is_of(&plan.table) {
            return Err(Error::bug("its columns by the catalog are others than those of a query"));
        }
        let span = Span { columns: plan.table.key.clone(), after: after.map(<[String]>::to_vec), ..Span::default() };
        let key = chunks::key_of(&session, &plan, &stream.selection, &span).await.ok().flatten();
        let mut scope = chunks::scope(&plan, key.as_ref(), &span, None)?;
        let most = (!scope.marks.is_empty()).then(|| stream.selection.cut.rows.unwrap_or(CHUNK_ROWS));
        scope.most = most;
        let copying = Copying::begin(&session, &plan, &scope, None).await?;
        let position = at.to_string();
        self.reading = Some(Reading { session, copying, captured, most, rows: 0, position, is_told: false });
        Ok(Begun::Reading)
    }

    /// Whether the log tells all that the chunk cannot see, from the table's first row on.
    async fn is_all_told(
        &mut self,
        session: &Session,
        table: &str,
        (known, after): (&Known, Option<&[String]>),
    ) -> Result<bool> {
        if after.is_some() {
            return Ok(true);
        }
        let is_asked = self.writers.as_ref().is_some_and(|(of, _)| of == table);
        if !is_asked && let Some(since) = self.asker.publication.since(session, known.oid).await? {
            let mut writers = Writers::of(session, known.oid, since).await?;
            if !writers.have_ended(session).await? {
                tracing::info!(
                    table,
                    "the snapshot waits for transactions that wrote the table before it was published"
                );
            }
            self.writers = Some((table.to_owned(), writers));
        }
        let Some((_, writers)) = &mut self.writers else { return Ok(true) };
        let have_ended = writers.have_ended(session).await?;
        if have_ended {
            self.writers = None;
        }
        Ok(have_ended)
    }

    /// What an error comes to: the table is gone by now, or another one, or it is told by name.
    async fn why(&mut self, error: Error, table: &str, name: &Name, (known, at): (&Known, Place)) -> Result<Begun> {
        let session = self.asker.look().await?;
        let begun = match self.asker.ask(&session, name).await? {
            Some(_) => self.altered(&session, table, name, (known, at)).await?,
            None => {
                tracing::warn!(table, "the table is not there any more");
                self.history.set(table, Has::Gone);
                self.gone = Some(self.asker.described(table, known).await?);
                Some(Begun::Gone)
            }
        };
        session.close().await;
        begun.ok_or(error)
    }

    /// Whether the table is another one by now than where the log stands. Rows are read once the log has come to that, since those that it
    /// tells before are of what the table was.
    async fn altered(
        &mut self,
        session: &Session,
        table: &str,
        name: &Name,
        (known, at): (&Known, Place),
    ) -> Result<Option<Begun>> {
        let Some(now) = self.asker.now(session, name).await? else { return Ok(Some(Begun::NotYet)) };
        let altered = known.altered(&now);
        if matches!(altered, Altered::Nothing(_)) {
            return Ok(None);
        }
        match &mut self.altered {
            Some((of, place, seen)) if of == table && *seen == now && at >= *place => {}
            Some((of, place, seen)) if of == table && *seen == now => {
                *place = (*place).min(Place(self.asker.behind_commits(session).await?));
                return Ok(Some(Begun::NotYet));
            }
            _ => {
                self.altered = Some((table.to_owned(), Place(self.asker.behind_commits(session).await?), now));
                return Ok(Some(Begun::NotYet));
            }
        }
        self.altered = None;
        let (now, begun) = match altered {
            Altered::Nothing(new) | Altered::Known(new) => (new, Begun::NotYet),
            Altered::Rewritten => (now, Begun::Another),
        };
        self.history.set(table, Has::Known(now));
        Ok(Some(begun))
    }

    /// What the table is where the log stands; or why it is not read.
    async fn known(&mut self, session: &Session, table: &str, name: &Name, at: Place) -> Result<Result<Known, Begun>> {
        Ok(match self.history.get(table) {
            Some(Has::Known(known)) => Ok(known),
            Some(Has::From(place, known)) if at >= place => Ok(known),
            Some(Has::From(place, known)) => {
                let behind = Place(self.asker.behind_commits(session).await?);
                if behind < place {
                    self.history.set(table, Has::From(behind, known));
                }
                Err(Begun::NotYet)
            }
            Some(Has::Nothing(was)) => match self.asker.ask(session, name).await? {
                Some((place, known)) => {
                    self.history.set(table, Has::From(place, known.clone()));
                    if at >= place { Ok(known) } else { Err(Begun::NotYet) }
                }
                None => {
                    tracing::warn!(table, "the table is not there: it is read when it comes");
                    self.history.set(table, Has::Gone);
                    self.gone = match was {
                        Some(was) => Some(self.asker.described(table, &was).await?),
                        None => None,
                    };
                    Err(Begun::Gone)
                }
            },
            Some(Has::Gone | Has::Left(_)) | None => Err(Begun::Gone),
        })
    }
}

#[async_trait]
impl changes::Chunks for Chunks {
    async fn begin(&mut self, table: &str, after: Option<&[String]>, at: &Value) -> Result<Begun> {
        (self.reading, self.last) = (None, None);
        let at = Place::of(at)?;
        self.start(table, after, at).await.at(|| format!("table {table}"))
    }

    async fn next(&mut self) -> Result<Option<Rows>> {
        let Some(reading) = &mut self.reading else { return Ok(None) };
        let Reading { session, copying, captured, most, rows, position, is_told } = reading;
        if !std::mem::replace(is_told, true) {
            return Ok(Some(Rows::none(captured.table.clone())));
        }
        if let Some(next) = copying.next(session).await.at(|| format!("table {}", captured.table.name))? {
            *rows += next.batch.num_rows() as u64;
            return captured.read(&next, position).map(Some);
        }
        copying.report();
        let is_full = most.is_some_and(|most| *rows >= most);
        self.last = match copying.marks()?.filter(|_| is_full) {
            Some(marks) => marks.into_iter().collect(),
            None => None,
        };
        if let Some(reading) = self.reading.take() {
            reading.session.run("COMMIT").await?;
            reading.session.close().await;
        }
        Ok(None)
    }

    fn last(&self) -> Option<Vec<String>> {
        self.last.clone()
    }

    fn gone(&mut self, at: &Value) -> Result<Option<Rows>> {
        let Some(table) = self.gone.take() else { return Ok(None) };
        change::truncate(&table, None, &Place::of(at)?.to_string()).map(Some)
    }

    fn anew(&mut self, table: &str, at: &Value) -> Result<Rows> {
        let at = Place::of(at)?;
        let Some(reading) = &self.reading else { return Err(Error::bug(format!("table {table} is not being read"))) };
        change::truncate(&reading.captured.table, None, &at.to_string())
    }
}
