//! What is known while the log is read, event by event: transactions, the rows of them that are gathered, and the place.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Asker;
use super::captured::{Captured, Moment};
use super::place::{Executed, Gtid, Place};
use super::prepared::{self, Begun, Prepared, Recalled};
use super::undo::Undo;
use super::{Has, History};
use crate::error::{Context, Error, Result};
use crate::source::changes::Step;
use crate::source::mysql::binlog::{Entry, Event, Layout, Maps, Room, RowsEvent, TableMapEvent};
use crate::source::mysql::name::Name;

/// How long rows wait for more of later transactions, so that small ones come together.
const GATHER: Duration = Duration::from_millis(200);
/// How long nothing comes before that is said.
const IDLE: Duration = Duration::from_millis(25);
/// So many rows of all tables are handed on at the end of a transaction.
const MANY_ROWS: usize = 32_768;
/// So many bytes of all tables are gathered at most.
const MANY_BYTES: usize = 16 << 20;

/// What is known while it is read.
pub struct Reading {
    pub asker: Asker,
    pub history: History,
    pub prepared: Prepared,
    /// The tables that are read, as the stream has them.
    pub names: Vec<(String, Name)>,
    pub captured: Vec<Option<Captured>>,
    /// Of each table of the log: its place among those that are read, and how its rows lie.
    maps: Maps<Mapped>,
    room: Room,
    /// Where the last transaction ended.
    pub place: Place,
    /// The place that was handed on last.
    handed: Place,
    pub executed: Executed,
    /// Between two transactions.
    pub is_between: bool,
    /// In a transaction that says where it ends.
    pub is_in_block: bool,
    /// The name of the transaction, where it is to be prepared only and may yet come to nothing.
    pub xa: Option<String>,
    /// What it defines is not carried out, or not yet.
    pub is_half: bool,
    /// Rows of the tables that are read came in this transaction.
    pub has_rows: bool,
    /// What is known besides the place is another than at the last one: the next is handed on at once.
    pub is_news: bool,
    pub moment: Moment,
    /// When the last transaction that is over was committed.
    pub ended_at: Option<i64>,
    next: Option<Gtid>,
    pub undo: Undo,
    pending: usize,
    bytes: usize,
    pub since: Option<Instant>,
    /// A prepared transaction that is committed here, and is to be read before anything else.
    pub recalled: Option<Recalled>,
    /// It was said that statements change the stream's databases.
    pub has_warned: bool,
    pub ready: VecDeque<Step>,
}

impl Reading {
    pub fn of(asker: Asker, history: History, prepared: Prepared, place: Place) -> Result<Self> {
        let names = asker.names()?;
        let executed = Executed::of(&place, asker.is_mariadb)?;
        Ok(Self {
            captured: names.iter().map(|_| None).collect(),
            handed: place.clone(),
            asker,
            history,
            prepared,
            names,
            maps: Maps::default(),
            room: Room::default(),
            place,
            executed,
            is_between: true,
            is_in_block: false,
            xa: None,
            is_half: false,
            has_rows: false,
            is_news: false,
            moment: Moment::default(),
            ended_at: None,
            next: None,
            undo: Undo::default(),
            pending: 0,
            bytes: 0,
            since: None,
            recalled: None,
            has_warned: false,
            ready: VecDeque::new(),
        })
    }

    /// What is needed to go on, besides the place.
    pub fn state(&self) -> Value {
        let mut state = self.history.state();
        if !self.prepared.is_empty() {
            state["prepared"] = serde_json::to_value(&self.prepared).unwrap_or_default();
        }
        state
    }

    /// How long to wait for the log's next event.
    pub fn patience(&self) -> Duration {
        match (self.is_between, self.since) {
            (true, Some(since)) => GATHER.saturating_sub(since.elapsed()),
            _ => IDLE,
        }
    }

    pub async fn take(&mut self, entry: Entry<'_>) -> Result<()> {
        let Entry { header, event, file, position } = entry;
        let at = || format!("{file}:{position}");
        match event {
            Event::Transaction(transaction) => {
                let seconds = i64::from(header.timestamp) * 1_000_000;
                let committed = i64::try_from(transaction.committed).ok().filter(|at| *at > 0);
                self.moment.committed_at = Some(committed.unwrap_or(seconds));
                match &transaction.gtid {
                    Some(gtid) => self.moment.stands(format_args!("{gtid}")),
                    None => self.moment.stands(format_args!("{file}:{position}")),
                }
                self.next = transaction.gtid.map(Gtid::Mysql);
                self.begin(false)?;
            }
            Event::MariadbTransaction(transaction) => {
                self.moment.committed_at = Some(i64::from(header.timestamp) * 1_000_000);
                self.moment.stands(format_args!("{}", transaction.gtid));
                self.is_half = transaction.is_half;
                let prepared = transaction.prepared.filter(|(_, is_prepared)| *is_prepared);
                self.xa = prepared.map(|(id, _)| prepared::name_of(&id));
                self.next = Some(Gtid::Mariadb(transaction.gtid));
                self.begin(!transaction.is_standalone)?;
            }
            Event::Query(query) => self.statement(&query, file, position).await.at(at)?,
            Event::Xid(_) => self.end(file, position)?,
            Event::XaPrepare(prepared) => {
                self.prepare(prepared::name_of(&prepared.id), prepared.is_one_phase, file, position)?
            }
            Event::TableMap(map) if !self.maps.knows(&map) => self.learn(&map).await.at(at)?,
            Event::Rows(event) => self.rows(event).at(at)?,
            Event::Rotate(_) | Event::Heartbeat(_) | Event::Stop if self.is_between => self.moves_to(file, position),
            // The beginning of a file, which is sent again before whatever is asked for in it.
            Event::Format(_) | Event::PreviousGtids(_) | Event::GtidList(_) | Event::Nothing
                if self.is_between && (self.place.file != file || self.place.pos < position) =>
            {
                self.moves_to(file, position);
            }
            _ => {}
        }
        Ok(())
    }

    /// The log goes on there, without a transaction in between. After a fail-over the files are another server's: chunks are
    /// proved by these, also where nobody writes.
    fn moves_to(&mut self, file: &str, position: u64) {
        if self.place.file != file && self.since.is_none() {
            self.since = Some(Instant::now());
        }
        self.place.stands(file, position);
    }

    fn begin(&mut self, is_in_block: bool) -> Result<()> {
        // A transaction without an end is what a server leaves that was killed.
        if !self.is_between && self.asker.may_go_back(&self.executed) {
            self.back(None)?;
        }
        (self.is_between, self.is_in_block, self.has_rows) = (false, is_in_block, false);
        let (handed, is_mariadb) = (&self.handed, self.asker.is_mariadb);
        if self.history.settle(|place| handed.has_come_to(place, is_mariadb))? {
            self.maps = Maps::default();
        }
        if self.asker.may_go_back(&self.executed) {
            self.undo.begin(&self.captured);
        }
        Ok(())
    }

    /// A distributed transaction is prepared. One whose end comes with that was told apart too late: it is read again as well.
    fn prepare(&mut self, id: String, is_committed: bool, file: &str, position: u64) -> Result<()> {
        let gtid = self.next.as_ref().map(Gtid::text);
        let begun = self.has_rows.then(|| Begun { place: self.before(), gtid });
        match begun {
            Some(begun) if is_committed => {
                self.recalled = Some(Recalled { begun: Some(begun), id, file: file.to_owned(), position });
                self.xa = None;
                Ok(())
            }
            _ if is_committed => self.end(file, position),
            begun => {
                self.prepared.add(id, begun);
                self.is_news = true;
                self.end(file, position)
            }
        }
    }

    /// A distributed transaction is committed, or came to nothing.
    pub fn decided(&mut self, id: &str, is_committed: bool, file: &str, position: u64) -> Result<()> {
        self.is_news = true;
        match self.prepared.end(id) {
            // Nothing of it concerns us.
            Some(None) => self.end(file, position),
            begun if is_committed => {
                let begun = begun.flatten();
                self.recalled = Some(Recalled { begun, id: id.to_owned(), file: file.to_owned(), position });
                Ok(())
            }
            _ => self.end(file, position),
        }
    }

    /// The place before the transaction that is being read.
    fn before(&self) -> Place {
        Place { gtids: self.executed.text(), ..self.place.clone() }
    }

    /// The transaction is over: everything before is covered by the place behind it.
    pub fn end(&mut self, file: &str, position: u64) -> Result<()> {
        // A place by file stays one: what was before it is not known by ids.
        self.executed.add(self.next.take());
        self.place.stands(file, position);
        (self.is_between, self.is_in_block, self.xa) = (true, false, None);
        self.ended_at = self.moment.committed_at;
        self.ready.extend(self.undo.let_go(true));
        if self.since.is_none() {
            self.since = Some(Instant::now());
        }
        // A place from which on a table is known is one that is handed on: no rows are gathered across it.
        let (here, is_mariadb) = (|| self.before(), self.asker.is_mariadb);
        self.is_news |= self.history.waits_for(|place| here().has_come_to(place, is_mariadb))?;
        let is_due = self.since.is_some_and(|since| since.elapsed() >= GATHER);
        if self.pending >= MANY_ROWS || is_due || self.is_news { self.hand_on() } else { Ok(()) }
    }

    /// All that was gathered, and the place behind it.
    pub fn hand_on(&mut self) -> Result<()> {
        self.gathered()?;
        (self.pending, self.bytes, self.since, self.is_news) = (0, 0, None, false);
        self.place.gtids = self.executed.text();
        self.handed = self.place.clone();
        self.ready.push_back(Step::Position(self.place.position()?));
        Ok(())
    }

    /// Rows so far, without a place behind them.
    pub fn gathered(&mut self) -> Result<()> {
        for captured in self.captured.iter_mut().flatten().filter(|captured| !captured.is_empty()) {
            self.pending -= captured.len().min(self.pending);
            self.bytes -= captured.bytes().min(self.bytes);
            self.ready.push_back(Step::Rows(captured.finish()?));
        }
        Ok(())
    }

    /// Learns how the rows of a table lie in the log.
    pub async fn learn(&mut self, map: &TableMapEvent<'_>) -> Result<()> {
        let (database, table) = (String::from_utf8_lossy(map.database), String::from_utf8_lossy(map.name));
        let place = self.place_of(&database, &table);
        let (Some(at), Some(Some(Has::Known(known)))) = (place, place.map(|at| self.has(at))) else {
            self.maps.learn(map, if place.is_some() { Mapped::Unknown } else { Mapped::Other });
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
        self.maps.learn(map, Mapped::Known(at, layout));
        Ok(())
    }

    pub fn rows(&mut self, event: RowsEvent<'_>) -> Result<()> {
        let (at, layout) = match self.maps.get_mut(event.table) {
            Some(Mapped::Known(at, layout)) => (at, layout),
            // What is prepared now may be committed when the table is known.
            Some(Mapped::Unknown) => {
                self.has_rows = true;
                return Ok(());
            }
            Some(Mapped::Other) | None => return Ok(()),
        };
        let Some(captured) = &mut self.captured[*at] else { return Err(Error::bug("a table that was not learned")) };
        self.has_rows = true;
        if self.xa.is_some() {
            return Ok(());
        }
        let (before, bytes_before) = (captured.len(), captured.bytes());
        let (undo, at) = (&mut self.undo, *at);
        captured.take(layout, event, (&mut self.room, &self.moment), |rows| undo.hold(at, rows))?;
        self.pending = (self.pending + captured.len()).saturating_sub(before);
        self.bytes = (self.bytes + captured.bytes()).saturating_sub(bytes_before);
        if self.bytes > MANY_BYTES {
            self.make_room()?;
        }
        let is_settled = !self.asker.may_go_back(&self.executed);
        self.ready.extend(self.undo.let_go(is_settled));
        Ok(())
    }

    /// Hands on what was gathered of the table with the most of it.
    fn make_room(&mut self) -> Result<()> {
        let all = self.captured.iter().enumerate();
        let most = all.filter_map(|(at, captured)| Some((captured.as_ref()?.bytes(), at))).max();
        let Some((bytes, at)) = most else { return Ok(()) };
        if let Some(captured) = &mut self.captured[at] {
            self.pending -= captured.len().min(self.pending);
            self.bytes -= bytes.min(self.bytes);
            self.undo.hold(at, captured.finish()?);
        }
        Ok(())
    }

    /// What the transaction changed since a savepoint is as it was; all of it where `None`.
    pub fn back(&mut self, savepoint: Option<&str>) -> Result<()> {
        match !self.has_rows || self.undo.back(savepoint, &mut self.captured)? {
            true => Ok(()),
            false => Err(unfollowed("a large transaction that was taken back in part")),
        }
    }

    /// The next dump names tables by other numbers.
    pub fn forget_maps(&mut self) {
        self.maps = Maps::default();
    }
}

/// A table of the log.
enum Mapped {
    /// None of the stream's.
    Other,
    /// One of the stream's; what it is by now is not known.
    Unknown,
    /// Its place among those that are read, and how its rows lie.
    Known(usize, Layout),
}

pub fn unfollowed(what: &str) -> Error {
    Error::schema(format!("{what} cannot be followed")).hint(
        "Run `tidemark run --full-refresh` with the stream's name, which reads all of its tables anew from now on.",
    )
}
