//! Who is at work on the server: transactions that InnoDB knows, and statements that have not come to it yet. They have the
//! time of their beginning already, and may wait for a lock on a table's definition.
//!
//! What InnoDB tells is kept by the server for all who ask, and renewed only when nobody has asked for 100 ms. So each look
//! has a connection of its own, with a transaction of its own: what shows that one is not older than the look.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mysql_common::row::Row;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::Failure;
use super::config::Settings;
use super::connect::{Connection, number, text};
use super::error::{self, Doing};
use crate::error::{Error, Kind, Result};
use crate::source::cursor::Transaction;

/// How long nobody may have asked before the server looks anew, and a little more.
const RENEWED: Duration = Duration::from_millis(105);

/// How often is asked before others are said to ask too often.
const MOST_TRIES: u64 = 30;

/// Looks of one source at one server, one after the other: side by side none of them would see anything new.
pub type Turn = Arc<Mutex<Option<Instant>>>;

/// Looks at the server's sessions.
pub struct Sessions {
    pub settings: Arc<Settings>,
    pub turn: Turn,
}

/// What one look has seen.
#[derive(Debug, Default)]
pub struct Look {
    open: Vec<Open>,
    running: Vec<Running>,
}

/// A transaction that InnoDB knows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    /// 0 for one that is prepared and has left its session.
    thread: u64,
    user: String,
    started: String,
    /// The number that it has as soon as it has written, and keeps when it is prepared and when the server restarts.
    number: Option<u64>,
    /// The server lets it write nothing.
    only_reads: bool,
    age: Duration,
}

/// A statement under way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Running {
    thread: u64,
    user: String,
    /// When it began, where that is told of it and not of a statement within it.
    second: Option<u64>,
    age: Duration,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Id {
    Transaction { thread: u64, started: String, number: Option<u64> },
    Statement { thread: u64, second: Option<u64> },
}

impl Sessions {
    /// Who is at work now; `None` where we may not see others.
    pub async fn look(&self) -> Result<Option<Look>> {
        let mut last = self.turn.lock().await;
        let mut connection = Connection::open(&self.settings).await?;
        let rows = connection.rows("select connection_id()", ()).await.map_err(reading)?;
        let own = rows.first().and_then(|row| number(row, 0)).unwrap_or_default();
        // Statements first: one that has ended by the time that transactions are asked for has ended with its transaction,
        // or left it open.
        let (running, users) = running(&mut connection, own).await.map_err(reading)?;
        let begin = "start transaction with consistent snapshot, read only";
        connection.run(begin).await.map_err(reading)?;
        let open = open(&mut connection, own, &mut last).await;
        connection.close().await;
        let mut open = match open {
            Ok(open) => open,
            Err(error) if error.kind() == Kind::Denied => return Ok(None),
            Err(error) => return Err(error),
        };
        for open in &mut open {
            open.user = users.get(&open.thread).cloned().unwrap_or_default();
        }
        Ok(Some(Look::of(open, running)))
    }
}

/// The statements under way, and who is there, by the number of the session.
async fn running(connection: &mut Connection, own: u64) -> Result<(Vec<Running>, BTreeMap<u64, String>), Failure> {
    // MariaDB's times are those of the innermost statement.
    let tells_start = !connection.is_mariadb;
    let now = connection.rows("select unix_timestamp()", ()).await?;
    let now = now.first().and_then(|row| number(row, 0)).unwrap_or_default();
    let rows = connection.texts("show processlist").await?;
    let users = rows.iter().filter_map(|row| Some((number(row, 0)?, text(row, 1)))).collect();
    let running = rows.iter().filter_map(|row| {
        let (thread, user, command) = (number(row, 0)?, text(row, 1), text(row, 4));
        let idle = matches!(command.as_str(), "Sleep" | "Daemon" | "Binlog Dump" | "Binlog Dump GTID");
        let nobody = user == "unauthenticated user" || user == REPLICATION;
        let seconds = number(row, 5).unwrap_or_default();
        let second = tells_start.then(|| now.saturating_sub(seconds));
        let is_other = thread != own && !idle && !nobody;
        is_other.then(|| Running { thread, user, second, age: Duration::from_secs(seconds) })
    });
    Ok((running.collect(), users))
}

/// The open transactions of others, as of a moment after our own began.
async fn open(connection: &mut Connection, own: u64, last: &mut Option<Instant>) -> Result<Vec<Open>> {
    for attempt in 0..MOST_TRIES {
        if let Some(last) = *last {
            sleep_until(last + RENEWED).await;
        }
        let rows = transactions(connection).await?;
        *last = Some(Instant::now());
        let mut open: Vec<_> = rows.iter().map(Open::of).collect();
        if open.iter().any(|open| open.thread == own) {
            // Those of no session that have written nothing are the server's own.
            open.retain(|open| open.thread != own && !(open.thread == 0 && open.number.is_none()));
            return Ok(open);
        }
        // Others that ask in step with us would keep it as it is for ever.
        sleep(Duration::from_millis((own * 37 + attempt * 61) % (20 + attempt * 50))).await;
    }
    Err(Error::unavailable("others ask for information_schema.innodb_trx so often that the server never renews it"))
}

/// MySQL shows no transaction at all while the statement of one of them has bytes that are no text (error 3854): such a
/// statement ends, or the run is tried again. To take it for nobody would be to pass whoever is at work.
async fn transactions(connection: &mut Connection) -> Result<Vec<mysql_common::row::Row>> {
    let until = Instant::now() + UNSHOWN;
    loop {
        match connection.texts(OPEN).await {
            Err(failure) if error::number(&failure) == Some(NO_TEXT) && Instant::now() < until => {
                sleep(RENEWED).await;
            }
            Err(failure) if error::number(&failure) == Some(NO_TEXT) => {
                return Err(Error::unavailable(
                    "the server does not show open transactions while a statement with bytes that are no text runs (error 3854)",
                ));
            }
            rows => return rows.map_err(reading),
        }
    }
}

/// A text cannot be converted.
pub const NO_TEXT: u16 = 3854;
/// How long such a statement is waited for.
const UNSHOWN: Duration = Duration::from_secs(5);

/// The user of threads that write what another server sends.
pub const REPLICATION: &str = "system user";

/// All transactions, but those that are rolled back after a crash and will never be committed. InnoDB tells times of the
/// server's system zone, whatever the session's is.
const OPEN: &str = "select trx_mysql_thread_id, trx_started, trx_id, trx_is_read_only, \
    greatest(timestampdiff(second, trx_started, convert_tz(utc_timestamp(), '+00:00', 'SYSTEM')), 0) \
    from information_schema.innodb_trx where not (trx_mysql_thread_id = 0 and trx_state = 'ROLLING BACK')";

fn reading(failure: Failure) -> Error {
    error::of(failure, Doing::Reading)
}

impl Look {
    /// A session is at work with its transaction, or with its statement where it has none.
    fn of(open: Vec<Open>, mut running: Vec<Running>) -> Self {
        running.retain(|running| open.iter().all(|open| open.thread != running.thread));
        Self { open, running }
    }

    /// All who may write.
    pub fn at_work(&self) -> Vec<Transaction> {
        let open = self.open.iter().filter(|open| !open.only_reads).map(Open::transaction);
        open.chain(self.running.iter().map(|running| running.transaction(running.second))).collect()
    }

    /// Those of the noted that may be at work still, whatever they have become.
    pub fn still(&self, noted: &[String]) -> Vec<Transaction> {
        let mut left: Vec<Transaction> = Vec::new();
        let mut may_be_prepared = false;
        for id in noted.iter().filter_map(|text| Id::parse(text)) {
            match self.find(&id) {
                Some(found) => left.push(found),
                // What has written keeps its number when it is prepared.
                None => may_be_prepared |= !matches!(id, Id::Transaction { number: Some(_), .. }),
            }
        }
        if may_be_prepared {
            left.extend(self.open.iter().filter(|open| open.thread == 0).map(Open::transaction));
        }
        left.sort_by(|one, other| one.id.cmp(&other.id));
        left.dedup_by(|one, other| one.id == other.id);
        left
    }

    fn find(&self, id: &Id) -> Option<Transaction> {
        match id {
            Id::Transaction { .. } => self.open.iter().find(|open| open.may_be(id)).map(Open::transaction),
            Id::Statement { thread, second } => {
                // Its transaction may have begun since, and outlives it where there are several statements.
                if let Some(open) = self.open.iter().find(|open| open.thread == *thread) {
                    return (!open.only_reads).then(|| open.transaction());
                }
                let running = self.running.iter().find(|running| running.thread == *thread)?;
                let is_same = |(one, other): (u64, u64)| one.abs_diff(other) <= 1;
                let may_be = second.zip(running.second).is_none_or(is_same);
                may_be.then(|| running.transaction(*second))
            }
        }
    }
}

impl Open {
    /// A row of [`OPEN`].
    fn of(row: &Row) -> Self {
        Self {
            thread: number(row, 0).unwrap_or_default(),
            user: String::new(),
            started: text(row, 1),
            // Those that have written nothing have none, or a made up one beyond all others.
            number: number(row, 2).filter(|number| (1..1 << 48).contains(number)),
            only_reads: number(row, 3) == Some(1),
            age: Duration::from_secs(number(row, 4).unwrap_or_default()),
        }
    }

    fn may_be(&self, id: &Id) -> bool {
        let Id::Transaction { thread, started, number } = id else { return false };
        match (number, self.number) {
            (Some(noted), Some(number)) => *noted == number,
            // One that has written does not go back to having written nothing.
            (Some(_), None) => false,
            (None, _) => self.thread == *thread && self.started == *started,
        }
    }

    fn transaction(&self) -> Transaction {
        let (thread, started, number) = (self.thread, self.started.clone(), self.number);
        let shown = match (thread, number) {
            (0, Some(number)) => {
                format!("a transaction without a session, prepared perhaps (XA RECOVER), number {number}")
            }
            _ => format!("session {thread} of user {}", self.user),
        };
        Transaction { id: Id::Transaction { thread, started, number }.to_string(), shown, age: self.age }
    }
}

impl Running {
    fn transaction(&self, second: Option<u64>) -> Transaction {
        let id = Id::Statement { thread: self.thread, second }.to_string();
        Transaction { id, shown: format!("session {} of user {}", self.thread, self.user), age: self.age }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Transaction { thread, started, number: None } => write!(f, "transaction {thread} - {started}"),
            Id::Transaction { thread, started, number: Some(number) } => {
                write!(f, "transaction {thread} {number} {started}")
            }
            Id::Statement { thread, second: None } => write!(f, "statement {thread}"),
            Id::Statement { thread, second: Some(second) } => write!(f, "statement {thread} {second}"),
        }
    }
}

impl Id {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        match (words.next()?, words.next()?.parse().ok()?, words.next(), words.next()) {
            ("transaction", thread, Some(number), Some(started)) => {
                Some(Id::Transaction { thread, started: started.to_owned(), number: number.parse().ok() })
            }
            ("statement", thread, second, None) => {
                Some(Id::Statement { thread, second: second.and_then(|second| second.parse().ok()) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(thread: u64, number: Option<u64>, started: &str) -> Open {
        let (user, started) = ("app".to_owned(), format!("2026-01-01 00:00:{started}"));
        Open { thread, user, started, number, only_reads: false, age: Duration::ZERO }
    }

    fn running(thread: u64, second: Option<u64>) -> Running {
        Running { thread, user: "app".to_owned(), second, age: Duration::ZERO }
    }

    fn ids(transactions: &[Transaction]) -> Vec<&str> {
        transactions.iter().map(|transaction| transaction.id.as_str()).collect()
    }

    /// Who of a first look is taken to be there at a second.
    fn still(first: &Look, second: &Look) -> usize {
        let noted: Vec<_> = first.at_work().into_iter().map(|transaction| transaction.id).collect();
        second.still(&noted).len()
    }

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let look = Look::of(
            vec![open(7, None, "01"), open(8, Some(40), "02")],
            vec![running(8, Some(3)), running(9, Some(100)), running(10, None)],
        );
        let at_work = look.at_work();
        assert_eq!(
            ids(&at_work),
            [
                "transaction 7 - 2026-01-01 00:00:01",
                "transaction 8 40 2026-01-01 00:00:02",
                "statement 9 100",
                "statement 10"
            ]
        );
        for transaction in &at_work {
            assert_eq!(Id::parse(&transaction.id).unwrap().to_string(), transaction.id);
        }
        assert_eq!(still(&look, &look), 4);
    }

    #[test]
    fn a_transaction_is_known_by_its_number_or_its_beginning() {
        let only = |open: Open| Look::of(vec![open], Vec::new());
        let reading = only(open(7, None, "01"));
        // It writes from now on; or another one of the same session began.
        assert_eq!(still(&reading, &only(open(7, Some(40), "01"))), 1);
        assert_eq!(still(&reading, &only(open(7, Some(40), "02"))), 0);
        let writing = only(open(7, Some(40), "01"));
        for (then, left) in [
            (open(7, Some(40), "01"), 1),
            (open(7, Some(41), "01"), 0),
            (open(7, None, "01"), 0),
            // Prepared, and the server restarted.
            (open(0, Some(40), "09"), 1),
            (open(0, Some(41), "09"), 0),
        ] {
            assert_eq!(still(&writing, &only(then.clone())), left, "{then:?}");
        }
    }

    #[test]
    fn who_vanished_before_writing_may_be_prepared() {
        let prepared = || Look::of(vec![open(0, Some(40), "01")], Vec::new());
        assert_eq!(still(&Look::of(vec![open(7, None, "01")], Vec::new()), &prepared()), 1);
        assert_eq!(still(&Look::of(Vec::new(), vec![running(7, Some(100))]), &prepared()), 1);
        assert_eq!(still(&Look::of(Vec::new(), vec![running(7, Some(100))]), &Look::default()), 0);
    }

    #[test]
    fn a_statement_is_followed_into_its_transaction() {
        let first = Look::of(Vec::new(), vec![running(7, Some(100))]);
        let seen = |open: Vec<Open>, running: Vec<Running>| still(&first, &Look::of(open, running));
        assert_eq!(seen(vec![open(7, Some(40), "01")], Vec::new()), 1);
        assert_eq!(seen(Vec::new(), vec![running(7, Some(101))]), 1);
        assert_eq!(seen(Vec::new(), vec![running(7, Some(102))]), 0);
        assert_eq!(seen(vec![Open { only_reads: true, ..open(7, None, "01") }], vec![running(7, Some(100))]), 0);
        // Where its beginning is not told, it is followed until its session rests.
        let first = Look::of(Vec::new(), vec![running(7, None)]);
        assert_eq!(still(&first, &Look::of(Vec::new(), vec![running(7, None)])), 1);
        assert_eq!(still(&first, &Look::default()), 0);
    }
}
