//! The server's log as it is sent, beside what the server says of it by SQL.

mod content;
#[cfg(all(feature = "mysql", feature = "s3"))]
mod logins;
mod slots;
mod status;
mod values;

use std::time::Duration;

use tidemark::config::Section;
use tidemark::error::Result;
use tidemark::source::postgres::replication::{
    self, Entry, Event, Log, Lsn, Message, NewSlot, Options, Parser, Relation, Session, Truncate, Tuple,
};
use tokio::time::timeout;

use super::database::{Database, connect, maker};

pub use content::*;
pub use slots::*;
pub use status::*;
pub use values::*;

/// Nothing here takes longer, unless it never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The option by which transactions are streamed before they end, at a size that tests reach.
pub const SMALL: &str = "logical_decoding_work_mem = '64kB'";

pub fn section(keys: &[(&str, &str)]) -> Section {
    Section::of_kind(&maker().kind, keys).unwrap()
}

pub async fn session(url: &str) -> Session {
    replication::connect(&section(&[("url", url)])).await.unwrap()
}

pub fn slot(name: &str) -> NewSlot<'_> {
    NewSlot { name, is_temporary: false, two_phase: true, failover: false }
}

impl Database {
    /// A slot of this database's own, and the publication `pub` of all its tables.
    pub async fn with_slot(server: &str) -> (Self, String) {
        let database = Self::create(server).await;
        database.run("CREATE PUBLICATION pub FOR ALL TABLES WITH (publish_via_partition_root = true)").await;
        let name = database.text("SELECT current_database()").await;
        let mut session = session(&database.url).await;
        session.create_slot(&slot(&name)).await.unwrap();
        session.close().await.unwrap();
        (database, name)
    }

    /// Has a setting of ours hold for sessions that begin from now on.
    pub async fn set(&self, setting: &str) {
        self.run(&format!("ALTER DATABASE {} SET {setting}", self.text("SELECT current_database()").await)).await;
    }

    /// Reads from where the slot stands.
    pub async fn start(&self, slot: &str) -> Log {
        session(&self.url).await.start(&options(slot)).await.unwrap()
    }

    /// The place that a slot has confirmed, as SQL says it.
    pub async fn confirmed(&self, slot: &str) -> Lsn {
        let sql = format!("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '{slot}'");
        self.text(&sql).await.parse().unwrap()
    }

    /// What the server itself shows of its log, without moving the slot.
    pub async fn peek(&self, slot: &str, is_binary: bool) -> Vec<(Lsn, Vec<u8>)> {
        let version = self.version().await;
        let protocol = if version >= 16 { 4 } else { 3 };
        let sql = format!(
            "SELECT lsn || ' ' || encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL, \
             'proto_version', '{protocol}', 'publication_names', 'pub', 'messages', 'true', 'streaming', 'on', 'two_phase', 'on', \
             'binary', '{is_binary}')"
        );
        let peeked = self.texts(&sql).await.into_iter().map(|line| {
            let line = line.unwrap();
            let (lsn, data) = line.split_once(' ').unwrap();
            (lsn.parse().unwrap(), hex::decode(data).unwrap())
        });
        peeked.collect()
    }

    /// A mark in the log, of a transaction of its own.
    pub async fn mark(&self, mark: &str) {
        self.run(&format!("SELECT pg_logical_emit_message(true, 'mark', '{mark}')")).await;
    }
}

pub fn options(slot: &str) -> Options {
    let publications = vec!["pub".to_owned()];
    Options { slot: slot.to_owned(), publications, start: Lsn::NONE, binary: false, two_phase: true, messages: true }
}

/// The next message, keepalives aside.
pub async fn next(log: &mut Log) -> Result<Shown> {
    loop {
        let event = timeout(PATIENCE, log.next()).await.expect("a message in time")?;
        if let Event::Message(entry) = event {
            return Ok(Shown::of(&entry));
        }
    }
}

/// All messages up to a mark and the commit of its transaction.
pub async fn until_mark(log: &mut Log, mark: &str) -> Vec<Shown> {
    let mut all = Vec::new();
    loop {
        let shown = next(log).await.unwrap();
        let is_mark = shown.text == format!("message mark {mark}");
        all.push(shown);
        if is_mark {
            let end = next(log).await.unwrap();
            assert!(end.text.starts_with("commit"), "{}", end.text);
            all.push(end);
            return all;
        }
    }
}

/// Whether these are the same messages at the same places, where we are told any.
pub fn assert_same(got: &[Shown], expected: &[Shown]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        let lsn = if got.lsn == Lsn::NONE { expected.lsn } else { got.lsn };
        assert_eq!(&Shown { lsn, ..got.clone() }, expected);
    }
}

/// A message, as text that shows all it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub lsn: Lsn,
    pub xid: Option<u32>,
    pub text: String,
    /// Of a message that ends a transaction: what may be confirmed then.
    pub end: Option<Lsn>,
    pub committed_at: Option<i64>,
}

impl Shown {
    pub fn of(entry: &Entry<'_>) -> Self {
        let (end, committed_at) = match entry.message {
            Message::Commit(commit) => (Some(commit.end), Some(commit.committed_at)),
            Message::StreamCommit(commit) => (Some(commit.commit.end), Some(commit.commit.committed_at)),
            Message::CommitPrepared(prepared) => (Some(prepared.end), Some(prepared.at)),
            _ => (None, None),
        };
        Self { lsn: entry.lsn, xid: entry.xid, text: text(&entry.message), end, committed_at }
    }

    /// Of what [`Database::peek`] gave.
    pub fn all(peeked: &[(Lsn, Vec<u8>)]) -> Vec<Self> {
        let mut parser = Parser::default();
        let shown = peeked.iter().map(|(lsn, data)| {
            let (xid, message) = parser.parse(data).unwrap();
            Self::of(&Entry { lsn: *lsn, sent_at: 0, xid, message, raw: data })
        });
        shown.collect()
    }
}

fn text(message: &Message<'_>) -> String {
    match message {
        Message::Relation(relation) => of_relation(relation),
        Message::Truncate(truncate) => of_truncation(truncate),
        Message::Insert(insert) => format!("insert {}", of_row(&insert.new)),
        Message::Logical(logical) => {
            let text = String::from_utf8_lossy;
            format!("message {} {}", text(logical.prefix), text(logical.content))
        }
        Message::Commit(commit) => format!("commit {}", commit.lsn),
        other => format!("{other:?}"),
    }
}

fn of_relation(relation: &Relation<'_>) -> String {
    let columns: Vec<_> =
        relation.columns().map(|column| format!("{}{}", if column.is_key { "*" } else { "" }, column.name)).collect();
    format!("relation {}.{} {:?} {}", relation.schema, relation.name, relation.identity, columns.join(","))
}

fn of_truncation(truncate: &Truncate<'_>) -> String {
    let Truncate { cascade, restart_identity, .. } = truncate;
    format!("truncate {} cascade={cascade} restart={restart_identity}", truncate.relations().count())
}

pub fn of_row(row: &Tuple<'_>) -> String {
    let cells: Vec<_> = row.cells().map(|cell| format!("{cell:?}")).collect();
    cells.join("|")
}

/// What the texts of messages are, without their places.
pub fn texts(all: &[Shown]) -> Vec<&str> {
    all.iter().map(|shown| shown.text.as_str()).collect()
}

/// Waits for what is true after a moment.
pub async fn comes_true<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    for _ in 0..200 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came true: {what}");
}
