//! A session that may read the log: what it asks before, in the commands of the replication protocol and in SQL.
//! https://www.postgresql.org/docs/current/protocol-replication.html

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};

use super::super::config::Settings;
use super::super::connect::SETTINGS;
use super::super::name::literal;
use super::failure::Failure;
use super::log::{Log, Options};
use super::lsn::Lsn;
use super::slot::{NewSlot, Slot};
use super::socket::{Duplex, reach};
use super::timeline::{Ancestor, ancestors};
use super::wire::{Inlet, refusal, row};
use super::{login, refusal as refusals};
use crate::error::{Error, Result};
use crate::net::postgres::{error, major, quoted};

pub type Rows = Vec<Vec<Option<String>>>;

/// An open session with `replication=database`.
///
/// One thing is asked at a time, and waited for to its end: a call that was dropped leaves a session that is only to be
/// dropped too. Dropping it closes the connection.
pub struct Session {
    pub(super) inlet: Inlet<ReadHalf<Box<dyn Duplex>>>,
    pub(super) outlet: WriteHalf<Box<dyn Duplex>>,
    pub(super) settings: Arc<Settings>,
    version: u32,
    /// Who serves us, as it was said at the login.
    process: Option<u32>,
}

/// What `IDENTIFY_SYSTEM` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// The same for a server and its replicas.
    pub id: String,
    /// Another after each fail-over.
    pub timeline: u32,
    /// Where the log ends now, as far as it is on disk.
    pub end: Lsn,
}

impl Session {
    /// Connects and logs in; what values as text depend on is set as for every other reading.
    pub(in super::super) async fn connect(settings: &Arc<Settings>) -> Result<Self> {
        let endpoint = settings.endpoint();
        let connected = async {
            let reached = reach(&endpoint).await?;
            let (reader, mut outlet) = tokio::io::split(reached.stream);
            let mut inlet = Inlet::new(reader);
            let greeting = login::log_in(&mut inlet, &mut outlet, &endpoint, reached.binding).await?;
            Ok((inlet, outlet, greeting))
        };
        let (inlet, outlet, greeting) = match tokio::time::timeout(endpoint.connect_timeout, connected).await {
            Ok(connected) => connected.map_err(|failure: Failure| failure.connecting(&endpoint))?,
            Err(_) => return Err(error::too_slow(&endpoint)),
        };
        let version = major(greeting.version.as_deref());
        let mut session = Self { inlet, outlet, settings: settings.clone(), version, process: greeting.process };
        let set: String = SETTINGS.iter().map(|(name, value)| format!("SET {name} = {value};")).collect();
        // What is told by names is told as a query tells it.
        session.rows(&format!("{set}SET search_path = {};", quoted(&settings.schema))).await?;
        if session.version == 0 {
            // A pooler may keep it to itself at the login.
            session.version = major(Some(&session.show("server_version").await?));
        }
        Ok(session)
    }

    /// The server's major version.
    pub fn version(&self) -> u32 {
        self.version
    }

    pub async fn identify(&mut self) -> Result<System> {
        let identified = self.command("IDENTIFY_SYSTEM").await;
        let rows = identified.map_err(|failure| refusals::not_identified(&failure, &self.settings.endpoint()))?;
        let system = match rows.as_slice() {
            [row] => match row.as_slice() {
                [Some(id), Some(timeline), Some(end), ..] => {
                    let (timeline, end) = (timeline.parse().ok(), end.parse().ok());
                    timeline.zip(end).map(|(timeline, end)| System { id: id.clone(), timeline, end })
                }
                _ => None,
            },
            _ => None,
        };
        system.ok_or_else(|| Failure::Protocol("what system it is").running(&self.settings.endpoint()))
    }

    /// The timelines that the server's own comes from.
    pub async fn ancestors(&mut self, timeline: u32) -> Result<Vec<Ancestor>> {
        if timeline <= 1 {
            return Ok(Vec::new());
        }
        let rows = self.rows(&format!("TIMELINE_HISTORY {timeline}")).await?;
        let file = rows.first().and_then(|row| row.get(1)?.as_deref()).and_then(ancestors);
        file.ok_or_else(|| Failure::Protocol("the history of its timeline").running(&self.settings.endpoint()))
    }

    pub async fn is_standby(&mut self) -> Result<bool> {
        Ok(self.text("SELECT pg_catalog.pg_is_in_recovery()").await? == "t")
    }

    /// Whether somebody else than the server's process has answered our login: a pooler, which invents the process's number.
    pub async fn is_pooled(&mut self) -> Result<bool> {
        let process = self.text("SELECT pg_catalog.pg_backend_pid()").await?;
        Ok(self.process.is_some_and(|said| process != said.to_string()))
    }

    /// The value of a setting, with its unit, as `SHOW` has it.
    pub async fn show(&mut self, setting: &str) -> Result<String> {
        self.text(&format!("SHOW {}", quoted(setting))).await
    }

    /// The one value of a command.
    async fn text(&mut self, command: &str) -> Result<String> {
        let value = self.rows(command).await?.into_iter().flatten().next().flatten();
        value.ok_or_else(|| Failure::Protocol("a value").running(&self.settings.endpoint()))
    }

    /// What the server knows of a slot; `None` where there is none of the name.
    pub async fn slot(&mut self, name: &str) -> Result<Option<Slot>> {
        // As JSON, since each version has more columns than the one before.
        let sql = "SELECT pg_catalog.to_jsonb(s) FROM pg_catalog.pg_replication_slots AS s WHERE slot_name = ";
        let rows = self.rows(&format!("{sql}{}", literal(name))).await?;
        let Some(text) = rows.into_iter().flatten().next().flatten() else { return Ok(None) };
        let slot = Slot::of(&text);
        slot.map(Some).ok_or_else(|| Failure::Protocol("what a slot is").running(&self.settings.endpoint()))
    }

    /// Makes a slot that reads by `pgoutput`, without a snapshot, and tells from where on it has the log: every transaction
    /// that is committed behind this place.
    ///
    /// Waits until the transactions that are open have ended, however long that takes.
    pub async fn create_slot(&mut self, slot: &NewSlot<'_>) -> Result<Lsn> {
        let made = self.command(&slot.command(self.version)).await;
        let rows = match made {
            Ok(rows) => rows,
            Err(failure) => return Err(refusals::not_created(self, failure, slot.name).await),
        };
        let place = rows.first().and_then(|row| row.get(1)?.as_deref()?.parse().ok());
        place.ok_or_else(|| Failure::Protocol("the place of a slot").running(&self.settings.endpoint()))
    }

    /// Drops a slot: the server keeps no log for it any more.
    pub async fn drop_slot(&mut self, name: &str) -> Result<()> {
        match self.command(&format!("DROP_REPLICATION_SLOT {}", quoted(name))).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(refusals::of_slot(self, failure, name).await),
        }
    }

    /// Has the server send its log. On an error the session is over, and a slot is as it was.
    pub async fn start(mut self, options: &Options) -> Result<Log> {
        let patience = self.sender_timeout().await?;
        let command = options.command(self.version)?;
        match self.begin(&command).await {
            Ok(()) => Ok(Log::new(self, patience)),
            Err(failure) => Err(refusals::of_slot(&mut self, failure, &options.slot).await),
        }
    }

    /// How long the server waits for a word of ours; `None` where it waits for ever.
    async fn sender_timeout(&mut self) -> Result<Option<Duration>> {
        let sql = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'";
        let millis: u64 = self
            .text(sql)
            .await?
            .parse()
            .map_err(|_| Error::bug("wal_sender_timeout is not in milliseconds").at(self.settings.address()))?;
        Ok(Some(Duration::from_millis(millis)).filter(|timeout| !timeout.is_zero()))
    }

    /// Asks for the log; what follows is no answer but the log.
    async fn begin(&mut self, command: &str) -> Result<(), Failure> {
        self.ask(command).await?;
        loop {
            let (kind, place) = self.inlet.next().await?;
            match kind {
                b'W' => return Ok(()),
                b'E' => {
                    let refused = Failure::Refused(refusal(self.inlet.body(&place)));
                    return Err(self.until_ready(refused).await);
                }
                b'N' | b'S' => {}
                _ => return Err(Failure::Protocol("the beginning of the log")),
            }
        }
    }

    /// The session can be asked again once the server has said so.
    async fn until_ready(&mut self, failure: Failure) -> Failure {
        loop {
            match self.inlet.next().await {
                Ok((b'Z', _)) => return failure,
                Ok(_) => {}
                // What it refused says more than that it ended the session over it.
                Err(_) => return failure,
            }
        }
    }

    pub(super) async fn rows(&mut self, command: &str) -> Result<Rows> {
        let asked = self.command(command).await;
        asked.map_err(|failure| failure.running(&self.settings.endpoint()))
    }

    /// Runs a command, or statements of SQL; the rows of all of them.
    async fn command(&mut self, command: &str) -> Result<Rows, Failure> {
        self.ask(command).await?;
        let mut rows = Vec::new();
        loop {
            let (kind, place) = self.inlet.next().await?;
            let body = self.inlet.body(&place);
            match kind {
                b'D' => rows.push(row(body).ok_or(Failure::Protocol("a row"))?),
                b'E' => {
                    let refused = Failure::Refused(refusal(body));
                    return Err(self.until_ready(refused).await);
                }
                b'Z' => return Ok(rows),
                // The columns, the end of each statement, and what may come at any time.
                b'T' | b'C' | b'I' | b'N' | b'S' => {}
                _ => return Err(Failure::Protocol("an answer to a command")),
            }
        }
    }

    async fn ask(&mut self, command: &str) -> Result<(), Failure> {
        let mut out = BytesMut::new();
        frontend::query(command, &mut out)?;
        self.outlet.write_all(&out).await?;
        Ok(self.outlet.flush().await?)
    }

    /// Says goodbye, and waits until the server has ended the session: whatever it held for us is free then.
    pub async fn close(mut self) -> Result<()> {
        let endpoint = self.settings.endpoint();
        let goodbye = async {
            let mut out = BytesMut::new();
            frontend::terminate(&mut out);
            // It may have ended it before.
            let _ = self.outlet.write_all(&out).await;
            let _ = self.outlet.flush().await;
            while self.inlet.next().await.is_ok() {}
        };
        let ended = tokio::time::timeout(endpoint.connect_timeout, goodbye).await;
        ended.map_err(|_| Error::unavailable("the server did not end our session").at(endpoint))
    }
}
