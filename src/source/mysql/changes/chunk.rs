//! Chunks of tables that are proved to see everything up to a place in the log.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::Asker;
use super::captured::Captured;
use super::known::Known;
use super::place::Place;
use super::{Has, History};
use crate::error::{Context, Error, Result};
use crate::record::{Rows, Table, change};
use crate::source::changes::{self, Begun};
use crate::source::keyset::Span;
use crate::source::mysql::batch::Batch;
use crate::source::mysql::client::Failure;
use crate::source::mysql::connect::{Connection, number, text};
use crate::source::mysql::error::{self, Doing};
use crate::source::mysql::name::Name;
use crate::source::mysql::plan::Plan;
use crate::source::mysql::{chunks, snapshot};

/// Rows of a chunk, where no key says how many: reading one takes a moment, in which the log stands still.
const CHUNK_ROWS: u64 = 50_000;
/// How long a server is waited for to have carried out what its log tells already.
const PROOF_S: u64 = 1;

/// Reads tables in chunks by key.
pub struct Chunks {
    asker: Asker,
    history: History,
    reading: Option<Reading>,
    last: Option<Vec<String>>,
    /// A table that is not there any more, as it was.
    gone: Option<Arc<Table>>,
}

/// A chunk that is being read.
struct Reading {
    connection: Connection,
    plan: Plan,
    captured: Captured,
    batch: Batch,
    /// How many rows it has at most; none where it is all of the table.
    most: Option<u64>,
    position: String,
    /// The table itself has been told of, also if it is empty.
    is_told: bool,
}

impl Chunks {
    pub fn new(asker: Asker, history: History) -> Self {
        Self { asker, history, reading: None, last: None, gone: None }
    }

    async fn start(&mut self, table: &str, after: Option<&[String]>, at: &Place) -> Result<Begun> {
        let sources = Sources { asker: &self.asker, history: &self.history };
        let settings = &self.asker.settings;
        let mut connection = Connection::open(settings).await?;
        let name = self.asker.name(table)?;
        let mut gone = None;
        let known = match sources.known(&mut connection, table, &name, at, &mut gone).await? {
            Ok(known) => known,
            Err(begun) => {
                let captured = gone.map(|known| self.asker.captured(&(table.to_owned(), name), &known)).transpose()?;
                self.gone = captured.map(|captured| captured.table);
                return Ok(begun);
            }
        };
        let Some(lock) = sees(&mut connection, at).await? else { return Ok(Begun::NotYet) };
        let stream = self.asker.stream.of_table(table);
        let plan = match Plan::of(&mut connection, settings, &stream).await {
            Ok(plan) => plan,
            // What the log says of that comes.
            Err(error) => match self.asker.ask(&mut Connection::open(settings).await?, &name).await? {
                None => return Ok(Begun::Gone),
                Some(_) => return Err(error),
            },
        };
        let captured = self.asker.captured(&(table.to_owned(), name.clone()), &known)?;
        if !captured.is_of(&plan.table) {
            return sources.is_to_come(&name, at).await;
        }
        let columns = plan.table.key.clone();
        let span = Span { columns, after: after.map(<[String]>::to_vec), ..Span::default() };
        // Once it is read by ranges it stays so.
        let is_begun = span.after.is_some();
        let has_order = is_begun || !chunks::has_no_order(&mut connection, &plan, &span.columns).await?;
        let key = match span.columns.is_empty() || !has_order {
            true => None,
            false => chunks::key_of(&mut connection, settings, &stream, &plan, &span).await.ok().flatten(),
        };
        let scope = snapshot::scope(key.as_ref(), &span, None)?;
        let most = (!scope.marks.is_empty()).then(|| stream.selection.cut.rows.unwrap_or(CHUNK_ROWS));
        let limit = most.map(|most| format!(" limit {most}")).unwrap_or_default();
        let sql = format!("{}{limit}{lock}", plan.select(&scope));
        let begun = async {
            let statement = connection.prepare(&sql).await?;
            connection.execute(&statement).await
        };
        match begun.await {
            Ok(_) => {}
            Err(failure) if NOT_YET.contains(&error::number(&failure).unwrap_or(0)) => return Ok(Begun::NotYet),
            Err(failure) => return Err(failed(failure)).at(|| plan.named()),
        }
        let batch = Batch::new(&plan, scope.marks.len(), None);
        let position = at.shown();
        self.reading = Some(Reading { connection, plan, captured, batch, most, position, is_told: false });
        Ok(Begun::Reading)
    }
}

/// What is known of tables, and who is asked.
struct Sources<'a> {
    asker: &'a Asker,
    history: &'a History,
}

impl Sources<'_> {
    /// What the table is where the log stands; or why it is not read.
    async fn known(
        &self,
        connection: &mut Connection,
        table: &str,
        name: &Name,
        at: &Place,
        gone: &mut Option<Known>,
    ) -> Result<Result<Known, Begun>> {
        let is_mariadb = self.asker.is_mariadb;
        Ok(match self.history.get(table) {
            Some(Has::Known(known)) => Ok(known),
            Some(Has::From(place, known)) if at.has_come_to(&place, is_mariadb)? => Ok(known),
            Some(Has::From(..)) => Err(Begun::NotYet),
            Some(Has::Nothing(was)) => match self.asker.ask(connection, name).await? {
                Some((place, known)) => {
                    self.history.set(table, Has::From(place.clone(), known.clone()));
                    if at.has_come_to(&place, is_mariadb)? { Ok(known) } else { Err(Begun::NotYet) }
                }
                None => {
                    tracing::warn!(table, "the table is not there: it is read when it comes");
                    self.history.set(table, Has::Gone);
                    *gone = was;
                    Err(Begun::Gone)
                }
            },
            Some(Has::Gone | Has::Left(_)) | None => Err(Begun::Gone),
        })
    }

    /// The table is now another one than where the log stands. That is well where the log goes on and tells so.
    async fn is_to_come(&self, name: &Name, at: &Place) -> Result<Begun> {
        let mut connection = Connection::open(&self.asker.settings).await?;
        let now = self.asker.ask(&mut connection, name).await?;
        connection.close().await;
        match now {
            Some((place, _)) if at.has_come_to(&place, self.asker.is_mariadb)? => {
                let error = Error::schema("it is another one than the log tells: it was altered with sql_log_bin = 0");
                Err(error.hint(format!(
                    "Run `tidemark run {} --snapshot {}`, which reads it anew.",
                    self.asker.stream.selection.name,
                    name.display(&self.asker.settings.database)
                )))
            }
            _ => Ok(Begun::NotYet),
        }
    }
}

/// A table was altered after the snapshot was taken; rows are locked, by a transaction that is prepared and not ended say.
const NOT_YET: [u16; 2] = [1412, 1205];

/// Opens a transaction that sees everything up to a place of the log; what a statement in it has to end with. `None` where it does
/// not yet: a server sends what it has logged before others can see its rows.
async fn sees(connection: &mut Connection, at: &Place) -> Result<Option<&'static str>> {
    if connection.is_mariadb {
        connection.run("start transaction with consistent snapshot").await.map_err(failed)?;
        let rows = connection.texts("show status like 'binlog_snapshot_%'").await.map_err(failed)?;
        let value = |name: &str| {
            let row = rows.iter().find(|row| text(row, 0).eq_ignore_ascii_case(name));
            row.map(|row| text(row, 1)).unwrap_or_default()
        };
        let pos = value("binlog_snapshot_position").parse().unwrap_or(0);
        let seen = Place { file: value("binlog_snapshot_file"), pos, gtids: None };
        return Ok(seen.is_at_or_behind(at).then_some(""));
    }
    if let Some(gtids) = &at.gtids {
        let sql = "select wait_for_executed_gtid_set(?, ?)";
        let rows = connection.rows(sql, (gtids, PROOF_S)).await.map_err(failed)?;
        if rows.first().and_then(|row| number(row, 0)) != Some(0) {
            return Ok(None);
        }
        connection.run("start transaction with consistent snapshot, read only").await.map_err(failed)?;
        return Ok(Some(""));
    }
    // Whoever is in the midst of a commit holds the locks of its rows until others can see them.
    connection.run("start transaction").await.map_err(failed)?;
    Ok(Some(" for share"))
}

fn failed(failure: Failure) -> Error {
    error::of(failure, Doing::Reading)
}

#[async_trait]
impl changes::Chunks for Chunks {
    async fn begin(&mut self, table: &str, after: Option<&[String]>, at: &Value) -> Result<Begun> {
        (self.reading, self.last) = (None, None);
        let at = Place::of(at)?;
        self.start(table, after, &at).await.at(|| format!("table {table}"))
    }

    async fn next(&mut self) -> Result<Option<Rows>> {
        let Some(reading) = &mut self.reading else { return Ok(None) };
        let Reading { connection, plan, captured, batch, most, position, is_told } = reading;
        if !std::mem::replace(is_told, true) {
            return Ok(Some(Rows::none(captured.table.clone())));
        }
        if let Some(rows) = batch.next(connection, plan).await.at(|| plan.named())? {
            return captured.read(&rows, position).map(Some);
        }
        batch.warn(plan);
        let is_full = most.is_some_and(|most| batch.all_rows >= most);
        self.last = match batch.marks().filter(|_| is_full) {
            Some(marks) => marks.iter().cloned().collect(),
            None => None,
        };
        if let Some(reading) = self.reading.take() {
            reading.connection.close().await;
        }
        Ok(None)
    }

    fn last(&self) -> Option<Vec<String>> {
        self.last.clone()
    }

    fn gone(&mut self, at: &Value) -> Result<Option<Rows>> {
        let Some(table) = self.gone.take() else { return Ok(None) };
        change::truncate(&table, None, &Place::of(at)?.shown()).map(Some)
    }

    fn anew(&mut self, table: &str, at: &Value) -> Result<Rows> {
        let at = Place::of(at)?;
        let Some(reading) = &self.reading else { return Err(Error::bug(format!("table {table} is not being read"))) };
        change::truncate(&reading.captured.table, None, &at.shown())
    }
}
