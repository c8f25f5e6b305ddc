//! The log as steps: the changes of the tables that are read, gathered over transactions, and the places between.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::captured::{Captured, Moment};
use super::place::{Known, Place};
use super::statement::Statement;
use super::{Asker, Tables};
use crate::error::{Context, Error, Result};
use crate::record::change;
use crate::source::changes::{self, Step};
use crate::source::mysql::binlog::{Entry, Event, Layout, Log, Maps, Options, Room, RowsEvent, TableMapEvent};
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
    tables: Tables,
    /// The tables that are read, as the stream has them.
    names: Vec<(String, Name)>,
    captured: Vec<Option<Captured>>,
    /// Of each table of the log: its place among those that are read, and how its rows lie.
    maps: Maps<Option<(usize, Layout)>>,
    room: Room,
    /// Where the last transaction ended.
    place: Place,
    known: Known,
    /// Between two transactions.
    is_between: bool,
    /// In a transaction that says where it ends.
    is_in_block: bool,
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
    pub async fn open(asker: Asker, tables: Tables, options: Options, place: Place) -> Result<Self> {
        let names = asker.names()?;
        let known = Known::of(&place, asker.is_mariadb)?;
        let log = asker.log(&options).await?;
        let captured = names.iter().map(|_| None).collect();
        let reading = Reading {
            asker,
            tables,
            names,
            captured,
            maps: Maps::default(),
            room: Room::default(),
            place,
            known,
            is_between: true,
            is_in_block: false,
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
        let names: Vec<_> = self.reading.names.iter().map(|(table, _)| table).collect();
        json!({ "tables": names })
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
                self.begin(false);
            }
            Event::MariadbTransaction(transaction) => {
                self.moment.committed_at = Some(i64::from(header.timestamp) * 1_000_000);
                self.moment.position = transaction.gtid.to_string();
                if transaction.prepared.is_some_and(|(_, is_prepared)| is_prepared) {
                    return Err(unfollowed("a distributed transaction (XA)")).at(at);
                }
                self.next = Some(Gtid::Mariadb(transaction.gtid));
                self.begin(!transaction.is_standalone);
            }
            Event::Query(query) => {
                let (sql, database) = (String::from_utf8_lossy(query.sql), String::from_utf8_lossy(query.database));
                self.statement(&sql, &database, file, position).await.at(at)?;
            }
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
            Event::Rotate(_) | Event::Heartbeat(_) | Event::Stop if self.is_between => {
                (self.place.file, self.place.pos) = (file.to_owned(), position);
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, is_in_block: bool) {
        (self.is_between, self.is_in_block, self.has_rows) = (false, is_in_block, false);
    }

    /// The transaction is over: everything before is covered by the place behind it.
    fn end(&mut self, file: &str, position: u64) -> Result<()> {
        match (self.next.take(), &mut self.known) {
            (Some(Gtid::Mysql(gtid)), Known::Mysql(known)) => known.add(&gtid),
            (Some(Gtid::Mysql(gtid)), known) => {
                let mut first = crate::source::mysql::binlog::mysql::Gtids::default();
                first.add(&gtid);
                *known = Known::Mysql(first);
            }
            (Some(Gtid::Mariadb(gtid)), Known::Mariadb(known)) => known.add(gtid),
            (Some(Gtid::Mariadb(gtid)), known) => {
                let mut first = crate::source::mysql::binlog::mariadb::Gtids::default();
                first.add(gtid);
                *known = Known::Mariadb(first);
            }
            (None, _) => {}
        }
        (self.place.file, self.place.pos) = (file.to_owned(), position);
        (self.is_between, self.is_in_block) = (true, false);
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
        self.place.gtids = self.known.text();
        self.ready.push_back(Step::Position(self.place.position()?));
        Ok(())
    }

    async fn statement(&mut self, sql: &str, database: &str, file: &str, position: u64) -> Result<()> {
        let is_alone = !self.is_in_block;
        match Statement::of(sql, database) {
            Statement::Begin => {
                (self.is_between, self.is_in_block) = (false, true);
                return Ok(());
            }
            Statement::End => return self.end(file, position),
            Statement::Within => return Ok(()),
            Statement::Back if self.has_rows => return Err(unfollowed("a transaction that went back to a savepoint")),
            Statement::Change if self.may_mean_ours(sql, database) => {
                return Err(unfollowed("a change of a session with `binlog_format = STATEMENT`"));
            }
            Statement::Truncate(name) => {
                if let Some(at) = self.place_of(&name.database, &name.table) {
                    self.truncate(at).await?;
                }
            }
            Statement::Define => {
                self.gathered()?;
                self.maps = Maps::default();
            }
            Statement::Back | Statement::Change | Statement::Nothing => {}
        }
        // A DDL is a transaction of its own, without a word at its end.
        if is_alone { self.end(file, position) } else { Ok(()) }
    }

    /// Rows so far, without a place behind them.
    fn gathered(&mut self) -> Result<()> {
        for captured in self.captured.iter_mut().flatten().filter(|captured| !captured.is_empty()) {
            self.pending -= captured.len().min(self.pending);
            self.ready.push_back(Step::Rows(captured.finish()?));
        }
        Ok(())
    }

    async fn truncate(&mut self, at: usize) -> Result<()> {
        self.gathered()?;
        let table = match &self.captured[at] {
            Some(captured) => captured.table.clone(),
            // Nothing was heard of it so far: what it is now is as good for a row without values.
            None => {
                let (plan, definition) = self.asker.define(&self.names[at].0, None).await?;
                Captured::of(&plan, definition)?.table
            }
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
        let is_it = |name: &Name| name.database == database && name.table == table;
        let exact = self.names.iter().position(|(_, name)| is_it(name));
        exact.or_else(|| {
            let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
            let is_it = |name: &Name| same(&name.database, database) && same(&name.table, table);
            self.names.iter().position(|(_, name)| is_it(name)).filter(|_| self.asker.ignores_case)
        })
    }

    /// Learns how the rows of a table lie in the log.
    async fn learn(&mut self, map: &TableMapEvent<'_>) -> Result<()> {
        let (database, table) = (String::from_utf8_lossy(map.database), String::from_utf8_lossy(map.name));
        let Some(at) = self.place_of(&database, &table) else {
            self.maps.learn(map, None);
            return Ok(());
        };
        let read = map.read().map_err(|_| Error::data(format!("table {table}: what the log says of it is torn")))?;
        if let Some(captured) = &self.captured[at]
            && let Ok(layout) = Layout::of(&read, &captured.definition, self.asker.sets())
        {
            self.maps.learn(map, Some((at, layout)));
            return Ok(());
        }
        let name = self.names[at].0.clone();
        let (plan, definition) = self.asker.define(&name, Some(&read)).await?;
        let layout = Layout::of(&read, &definition, self.asker.sets())?;
        let captured = Captured::of(&plan, definition)?;
        self.gathered()?;
        self.tables.tell(&name, &captured.table);
        self.captured[at] = Some(captured);
        self.maps.learn(map, Some((at, layout)));
        Ok(())
    }

    fn rows(&mut self, event: RowsEvent<'_>) -> Result<()> {
        let Some(Some((at, layout))) = self.maps.get_mut(event.table) else { return Ok(()) };
        let Some(captured) = &mut self.captured[*at] else { return Err(Error::bug("a table that was not learned")) };
        self.has_rows = true;
        let before = captured.len();
        let ready = &mut self.ready;
        captured.take(layout, event, (&mut self.room, &self.moment), |rows| ready.push_back(Step::Rows(rows)))?;
        self.pending = (self.pending + captured.len()).saturating_sub(before);
        Ok(())
    }
}

fn unfollowed(what: &str) -> Error {
    Error::schema(format!("{what} cannot be followed"))
        .hint("Take a new snapshot of the tables, from a place behind it.")
}
