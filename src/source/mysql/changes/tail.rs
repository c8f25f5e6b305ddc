//! The log as steps: the changes of the tables that are read, gathered over transactions, and the places between.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;

use super::Asker;
use super::captured::{Captured, Moment};
use super::ddl::{Clause, Ddl};
use super::history::{Has, History};
use super::known::Altered;
use super::place::{Executed, Place};
use super::statement::Statement;
use crate::error::{Context, Error, Result};
use crate::record::change;
use crate::source::changes::{self, Step};
use crate::source::mysql::binlog::{Entry, Event, Layout, Log, Maps, Options, Query, Room, RowsEvent, TableMapEvent};
use crate::source::mysql::name::Name;

/// How long rows wait for more of later transactions, so that small ones come together.
const GATHER: Duration = Duration::from_millis(200);
/// So many rows of all tables are handed on at the end of a transaction.
const MANY_ROWS: usize = 32_768;
/// How long nothing comes before that is said.
const IDLE: Duration = Duration::from_millis(500);

/// The log from a place on.
pub struct Tail {
    log: Log,
    options: Options,
    reading: Reading,
    /// The end as it was has come.
    has_ended: bool,
    goes_on: bool,
}

/// What is known while it is read.
struct Reading {
    asker: Asker,
    history: History,
    /// The tables that are read, as the stream has them.
    names: Vec<(String, Name)>,
    captured: Vec<Option<Captured>>,
    /// Of each table of the log: its place among those that are read, and how its rows lie.
    maps: Maps<Option<(usize, Layout)>>,
    room: Room,
    /// Where the last transaction ended.
    place: Place,
    executed: Executed,
    /// Between two transactions.
    is_between: bool,
    /// In a transaction that says where it ends.
    is_in_block: bool,
    /// It is prepared only, and may yet come to nothing.
    is_prepared: bool,
    /// Rows of the tables that are read came in this transaction.
    has_rows: bool,
    moment: Moment,
    next: Option<Gtid>,
    pending: usize,
    since: Option<Instant>,
    ready: VecDeque<Step>,
}

/// The transaction that is being read.
enum Gtid {
    Mysql(crate::source::mysql::binlog::mysql::Gtid),
    Mariadb(crate::source::mysql::binlog::mariadb::Gtid),
}

impl Tail {
    /// Of a log that was opened with these options at this place.
    pub fn of(log: Log, asker: Asker, history: History, options: Options, place: Place) -> Result<Self> {
        let names = asker.names()?;
        let executed = Executed::of(&place, asker.is_mariadb)?;
        let captured = names.iter().map(|_| None).collect();
        let reading = Reading {
            asker,
            history,
            names,
            captured,
            maps: Maps::default(),
            room: Room::default(),
            place,
            executed,
            is_between: true,
            is_in_block: false,
            is_prepared: false,
            has_rows: false,
            moment: Moment::default(),
            next: None,
            pending: 0,
            since: None,
            ready: VecDeque::new(),
        };
        Ok(Self { log, options, reading, has_ended: false, goes_on: false })
    }

    /// How long to wait for the log's next event.
    fn patience(&self) -> Duration {
        match (self.reading.is_between, self.reading.since) {
            (true, Some(since)) => GATHER.saturating_sub(since.elapsed()),
            _ => IDLE,
        }
    }
}

#[async_trait]
impl changes::Log for Tail {
    async fn next(&mut self) -> Result<Step> {
        loop {
            if let Some(step) = self.reading.ready.pop_front() {
                return Ok(step);
            }
            if self.has_ended {
                if !std::mem::take(&mut self.goes_on) {
                    return Ok(Step::End);
                }
                self.options.start = self.reading.place.start(self.reading.asker.is_mariadb)?;
                self.log = self.reading.asker.log(&self.options).await?;
                self.reading.maps = Maps::default();
                self.has_ended = false;
            }
            let patience = self.patience();
            match tokio::time::timeout(patience, self.log.next()).await {
                Ok(entry) => match entry? {
                    Some(entry) => self.reading.take(entry).await?,
                    None if self.reading.is_between => {
                        self.has_ended = true;
                        self.reading.hand_on()?;
                    }
                    None => return Err(Error::unavailable("the server's log ended within a transaction")),
                },
                Err(_) if self.reading.is_between && self.reading.since.is_some() => self.reading.hand_on()?,
                Err(_) => return Ok(Step::Idle),
            }
        }
    }

    async fn extend(&mut self) -> Result<()> {
        self.goes_on = true;
        Ok(())
    }

    fn state(&self) -> Value {
        self.reading.history.state()
    }
}

impl Reading {
    async fn take(&mut self, entry: Entry<'_>) -> Result<()> {
        let Entry { header, event, file, position } = entry;
        let at = || format!("{file}:{position}");
        match event {
            Event::Transaction(transaction) => {
                let seconds = i64::from(header.timestamp) * 1_000_000;
                let committed = i64::try_from(transaction.committed).ok().filter(|at| *at > 0);
                self.moment.committed_at = Some(committed.unwrap_or(seconds));
                self.moment.position = transaction.gtid.as_ref().map_or_else(at, ToString::to_string);
                self.next = transaction.gtid.map(Gtid::Mysql);
                self.begin(false)?;
            }
            Event::MariadbTransaction(transaction) => {
                self.moment.committed_at = Some(i64::from(header.timestamp) * 1_000_000);
                self.moment.position = transaction.gtid.to_string();
                self.is_prepared = transaction.prepared.is_some_and(|(_, is_prepared)| is_prepared);
                self.next = Some(Gtid::Mariadb(transaction.gtid));
                self.begin(!transaction.is_standalone)?;
            }
            Event::Query(query) => self.statement(&query, file, position).await.at(at)?,
            Event::Xid(_) => self.end(file, position)?,
            Event::XaPrepare(prepared) => {
                if self.has_rows && !prepared.is_one_phase {
                    return Err(unfollowed("a distributed transaction (XA)")).at(at);
                }
                self.end(file, position)?;
            }
            Event::TableMap(map) if !self.maps.knows(&map) => self.learn(&map).await.at(at)?,
            Event::Rows(event) => self.rows(event).at(at)?,
            Event::OfStatement if !self.is_between => {
                return Err(unfollowed("a change of a statement-based log")).at(at);
            }
            Event::Format(_) | Event::Rotate(_) | Event::Heartbeat(_) | Event::Stop if self.is_between => {
                // After a fail-over the files are another server's: chunks are proved by these, also where nobody writes.
                if self.place.file != file && self.since.is_none() {
                    self.since = Some(Instant::now());
                }
                (self.place.file, self.place.pos) = (file.to_owned(), position);
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, is_in_block: bool) -> Result<()> {
        (self.is_between, self.is_in_block, self.has_rows) = (false, is_in_block, false);
        let here = || Place { gtids: self.executed.text(), ..self.place.clone() };
        if self.history.settle(|place| here().has_come_to(place, self.asker.is_mariadb))? {
            self.maps = Maps::default();
        }
        Ok(())
    }

    /// The transaction is over: everything before is covered by the place behind it.
    fn end(&mut self, file: &str, position: u64) -> Result<()> {
        match (self.next.take(), &mut self.executed) {
            (Some(Gtid::Mysql(gtid)), Executed::Mysql(executed)) => executed.add(&gtid),
            (Some(Gtid::Mariadb(gtid)), Executed::Mariadb(executed)) => executed.add(gtid),
            // A place by file stays one: what was before it is not known by ids.
            _ => {}
        }
        (self.place.file, self.place.pos) = (file.to_owned(), position);
        (self.is_between, self.is_in_block, self.is_prepared) = (true, false, false);
        if self.since.is_none() {
            self.since = Some(Instant::now());
        }
        let is_due = self.since.is_some_and(|since| since.elapsed() >= GATHER);
        if self.pending >= MANY_ROWS || is_due { self.hand_on() } else { Ok(()) }
    }

    /// All that was gathered, and the place behind it.
    fn hand_on(&mut self) -> Result<()> {
        for captured in self.captured.iter_mut().flatten().filter(|captured| !captured.is_empty()) {
            self.ready.push_back(Step::Rows(captured.finish()?));
        }
        (self.pending, self.since) = (0, None);
        self.place.gtids = self.executed.text();
        self.ready.push_back(Step::Position(self.place.position()?));
        Ok(())
    }

    async fn statement(&mut self, query: &Query<'_>, file: &str, position: u64) -> Result<()> {
        let is_alone = !self.is_in_block;
        let (sql, database) = (decoded(query.sql), decoded(query.database));
        match Statement::of(&sql, &database, query.escapes()) {
            Statement::Begin => {
                (self.is_between, self.is_in_block) = (false, true);
                return Ok(());
            }
            Statement::Rollback if self.has_rows => {
                return Err(unfollowed("a transaction that was rolled back in part"));
            }
            Statement::End | Statement::Rollback => return self.end(file, position),
            Statement::Within => return Ok(()),
            Statement::Back if self.has_rows => return Err(unfollowed("a transaction that went back to a savepoint")),
            Statement::Change if self.may_mean_ours(&sql, &database) => {
                return Err(unfollowed("a change of a session with `binlog_format = STATEMENT`"));
            }
            Statement::Define(None) if self.may_mean_ours(&sql, &database) => {
                return Err(unfollowed("a statement that may define a table of the stream, and is not known"));
            }
            Statement::Define(Some(ddl)) => {
                self.gathered()?;
                self.define(ddl)?;
            }
            Statement::Back | Statement::Change | Statement::Nothing | Statement::Define(None) => {}
        }
        // A DDL is a transaction of its own, without a word at its end.
        if is_alone { self.end(file, position) } else { Ok(()) }
    }

    /// What the tables are from here on.
    fn define(&mut self, ddl: Ddl) -> Result<()> {
        self.maps = Maps::default();
        match ddl {
            Ddl::Nothing => {}
            Ddl::Truncate(table) => {
                if let Some(at) = self.place_of(&table.database, &table.table) {
                    self.emptied(at)?;
                }
            }
            Ddl::Create { table, is_optional } => {
                let Some(at) = self.place_of(&table.database, &table.table) else { return Ok(()) };
                if !(is_optional && matches!(self.has(at), Some(Has::Known(_)))) {
                    self.is_another(at)?;
                }
            }
            Ddl::Drop(tables) => tables.iter().try_for_each(|table| self.leaves(table))?,
            Ddl::DropDatabase(database) => {
                let all: Vec<_> = self.names.iter().map(|(_, name)| name.clone()).collect();
                let of_it = all.iter().filter(|name| self.asker.is_same(&name.database, &database));
                of_it.cloned().collect::<Vec<_>>().iter().try_for_each(|table| self.leaves(table))?;
            }
            Ddl::Rename(renames) => renames.iter().try_for_each(|(from, to)| self.renamed(from, to))?,
            Ddl::Alter { table, clauses } => self.altered(&table, &clauses)?,
        }
        Ok(())
    }

    fn altered(&mut self, table: &Name, clauses: &[Clause]) -> Result<()> {
        for clause in clauses {
            if let Clause::Rename(to) = clause {
                return self.renamed(table, to);
            }
        }
        let Some(at) = self.place_of(&table.database, &table.table) else { return Ok(()) };
        let Some(Has::Known(known)) = self.has(at) else { return Ok(()) };
        match known.altered(clauses) {
            Altered::Known(new) if new == known => {}
            Altered::Known(new) => {
                self.captured[at] = None;
                self.history.set(&self.names[at].0, Has::Known(new));
            }
            Altered::Rewritten => self.is_another(at)?,
        }
        Ok(())
    }

    fn renamed(&mut self, from: &Name, to: &Name) -> Result<()> {
        self.leaves(from)?;
        match self.place_of(&to.database, &to.table) {
            Some(at) => self.is_another(at),
            None => Ok(()),
        }
    }

    /// There is no table of this name any more.
    fn leaves(&mut self, table: &Name) -> Result<()> {
        let Some(at) = self.place_of(&table.database, &table.table) else { return Ok(()) };
        if let Some(Has::Known(_)) = self.has(at) {
            self.emptied(at)?;
            self.captured[at] = None;
            self.history.set(&self.names[at].0, Has::Gone);
        }
        Ok(())
    }

    /// The rows that are there are others, or have other values: the log does not tell them, a snapshot does.
    fn is_another(&mut self, at: usize) -> Result<()> {
        let table = self.names[at].0.clone();
        match self.has(at) {
            // It is to be asked for yet, or what was asked is of a place that is still to come.
            Some(Has::Nothing | Has::From(..)) => return Ok(()),
            Some(Has::Known(_)) => self.emptied(at)?,
            Some(Has::Gone | Has::Left) | None => {}
        }
        tracing::info!(table, position = self.moment.position, "the table is another one: it is read anew");
        self.captured[at] = None;
        self.history.set(&table, Has::Nothing);
        self.ready.push_back(Step::Anew(table));
        Ok(())
    }

    fn has(&self, at: usize) -> Option<Has> {
        self.history.get(&self.names[at].0)
    }

    /// Rows so far, without a place behind them.
    fn gathered(&mut self) -> Result<()> {
        for captured in self.captured.iter_mut().flatten().filter(|captured| !captured.is_empty()) {
            self.pending -= captured.len().min(self.pending);
            self.ready.push_back(Step::Rows(captured.finish()?));
        }
        Ok(())
    }

    /// All rows of a table went.
    fn emptied(&mut self, at: usize) -> Result<()> {
        let Some(Has::Known(known)) = self.has(at) else { return Ok(()) };
        let table = match &self.captured[at] {
            Some(captured) => captured.table.clone(),
            None => self.asker.captured(&self.names[at], &known)?.table,
        };
        let rows = change::truncate(&table, self.moment.committed_at, &self.moment.position)?;
        self.ready.push_back(Step::Rows(rows));
        Ok(())
    }

    fn may_mean_ours(&self, sql: &str, database: &str) -> bool {
        let sql = sql.to_lowercase();
        self.names.iter().any(|(_, name)| {
            (name.database == database || sql.contains(&name.database.to_lowercase()))
                && sql.contains(&name.table.to_lowercase())
        })
    }

    /// Which of the tables that are read it is.
    fn place_of(&self, database: &str, table: &str) -> Option<usize> {
        let is_it =
            |name: &Name| self.asker.is_same(&name.database, database) && self.asker.is_same(&name.table, table);
        self.names.iter().position(|(_, name)| is_it(name))
    }

    /// Learns how the rows of a table lie in the log.
    async fn learn(&mut self, map: &TableMapEvent<'_>) -> Result<()> {
        let (database, table) = (String::from_utf8_lossy(map.database), String::from_utf8_lossy(map.name));
        let place = self.place_of(&database, &table);
        let (Some(at), Some(Some(Has::Known(known)))) = (place, place.map(|at| self.has(at))) else {
            self.maps.learn(map, None);
            return Ok(());
        };
        let read = map.read().map_err(|_| Error::data(format!("table {table}: what the log says of it is torn")))?;
        if self.captured[at].is_none() {
            self.captured[at] = Some(self.asker.captured(&self.names[at], &known)?);
        }
        let Some(captured) = &self.captured[at] else { return Err(Error::bug("a table that was not learned")) };
        self.asker.learn(&Layout::sets(&read, &captured.definition, self.asker.sets())).await?;
        let layout = Layout::of(&read, &captured.definition, self.asker.sets());
        let layout = layout.map_err(|error| {
            let table = &self.names[at].0;
            error.hint(format!(
                "It was altered without a word in the log (sql_log_bin = 0), or by a word that is not known. Run `tidemark run {} \
                 --snapshot {table}`, which reads it anew.",
                self.asker.stream.selection.name
            ))
        })?;
        self.maps.learn(map, Some((at, layout)));
        Ok(())
    }

    fn rows(&mut self, event: RowsEvent<'_>) -> Result<()> {
        let Some(Some((at, layout))) = self.maps.get_mut(event.table) else { return Ok(()) };
        let Some(captured) = &mut self.captured[*at] else { return Err(Error::bug("a table that was not learned")) };
        if self.is_prepared {
            return Err(unfollowed("a distributed transaction (XA)"));
        }
        self.has_rows = true;
        let before = captured.len();
        let ready = &mut self.ready;
        captured.take(layout, event, (&mut self.room, &self.moment), |rows| ready.push_back(Step::Rows(rows)))?;
        self.pending = (self.pending + captured.len()).saturating_sub(before);
        Ok(())
    }
}

/// Statements are in the character set of who sent them, which is nearly always UTF-8.
fn decoded(text: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(text) {
        Ok(text) => text.into(),
        Err(_) => text.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

fn unfollowed(what: &str) -> Error {
    Error::schema(format!("{what} cannot be followed")).hint(
        "Run `tidemark run --full-refresh` with the stream's name, which reads all of its tables anew from now on.",
    )
}
