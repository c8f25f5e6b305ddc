//! From the bytes of an event to what it says.

mod expand;
pub mod format;
pub mod header;
pub mod kind;
pub mod metadata;
pub mod payload;
pub mod query;
pub mod rows;
pub mod table_map;

use self::format::Format;
use self::header::Header;
use self::query::Query;
use self::rows::RowsEvent;
use self::table_map::TableMapEvent;
use super::bytes::{Bytes, Torn};
use super::fault::Fault;
use super::gtid::event::{MariadbTransaction, Transaction, XaPrepare};
use super::gtid::{mariadb, mysql};

pub use self::expand::{expand, inflate};

/// What an event says.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// How the events of this file are formed, from its beginning on.
    Format(Format),
    /// The log goes on there.
    Rotate(Rotate<'a>),
    /// A transaction of MySQL begins.
    Transaction(Transaction),
    /// A transaction of MariaDB begins.
    MariadbTransaction(MariadbTransaction),
    /// Everything before this file, of MySQL.
    PreviousGtids(mysql::Gtids),
    /// Everything before this place, of MariaDB.
    GtidList(mariadb::Gtids),
    Query(Query<'a>),
    /// A transaction is committed.
    Xid(u64),
    XaPrepare(XaPrepare),
    TableMap(TableMapEvent<'a>),
    Rows(RowsEvent<'a>),
    /// The server has nothing new; we have seen everything up to here.
    Heartbeat(Heartbeat<'a>),
    /// The server was stopped.
    Stop,
    /// Nothing that matters to a reader of rows.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotate<'a> {
    pub file: &'a [u8],
    pub position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat<'a> {
    pub file: &'a [u8],
    /// Not told by the first version: the header has its lowest 32 bits then.
    pub position: Option<u64>,
}

impl<'a> Event<'a> {
    /// Reads an event's body, without its checksum, and expanded where it was compressed ([`expand`]).
    pub fn of(header: &Header, body: &'a [u8], format: &Format) -> Result<Self, Fault> {
        let kind = header.kind;
        match kind {
            kind::INCIDENT => return Err(Fault::Incident),
            kind::PRE_GA_WRITE_ROWS..=kind::PRE_GA_DELETE_ROWS => return Err(Fault::Old(kind)),
            _ => {}
        }
        match Self::read(header, body, format).map_err(Fault::torn(kind))? {
            Some(event) => Ok(event),
            None if header.is_ignorable() => Ok(Event::Nothing),
            None => Err(Fault::Unknown(kind)),
        }
    }

    /// `None` for what is not known.
    fn read(header: &Header, body: &'a [u8], format: &Format) -> Result<Option<Self>, Torn> {
        let kind = header.kind;
        Ok(Some(match kind {
            kind::QUERY => Event::Query(Query::of(body)?),
            kind::STOP => Event::Stop,
            kind::FORMAT_DESCRIPTION => Event::Format(format.clone()),
            kind::ROTATE => {
                let mut bytes = Bytes(body);
                let position = bytes.u64()?;
                Event::Rotate(Rotate { file: bytes.rest(), position })
            }
            kind::XID => Event::Xid(Bytes(body).u64()?),
            kind::TABLE_MAP => Event::TableMap(TableMapEvent::of(body, format)?),
            kind::GTID => Event::Transaction(Transaction::of(body, false)?),
            kind::ANONYMOUS_GTID => Event::Transaction(Transaction::of(body, true)?),
            kind::GTID_TAGGED => Event::Transaction(Transaction::of_tagged(body)?),
            kind::PREVIOUS_GTIDS => Event::PreviousGtids(mysql::Gtids::decode(body)?),
            kind::MARIADB_GTID => Event::MariadbTransaction(MariadbTransaction::of(body, header.server_id)?),
            kind::GTID_LIST => Event::GtidList(mariadb::Gtids::decode(body)?),
            kind::XA_PREPARE => Event::XaPrepare(XaPrepare::of(body)?),
            kind::HEARTBEAT => Event::Heartbeat(Heartbeat { file: body, position: None }),
            kind::HEARTBEAT_V2 => Event::Heartbeat(heartbeat(Bytes(body))?),
            _ if rows::change(kind).is_some() => Event::Rows(RowsEvent::of(kind, body, format)?),
            kind::EXECUTE_LOAD_QUERY => Event::Query(Query::of_load(body)?),
            // Values and files of a statement that follows.
            kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::APPEND_BLOCK
            | kind::DELETE_FILE
            | kind::BEGIN_LOAD_QUERY => Event::Nothing,
            // Statements beside the rows that they changed; what groups of servers and other replicas tell each other. An
            // encrypted log is decrypted before it is sent.
            kind::IGNORABLE
            | kind::ROWS_QUERY
            | kind::TRANSACTION_CONTEXT
            | kind::VIEW_CHANGE
            | kind::ANNOTATE_ROWS
            | kind::BINLOG_CHECKPOINT
            | kind::START_ENCRYPTION => Event::Nothing,
            _ => return Ok(None),
        }))
    }
}

/// The second version: fields with their number and length before them, up to a zero.
fn heartbeat(mut bytes: Bytes<'_>) -> Result<Heartbeat<'_>, Torn> {
    let mut heartbeat = Heartbeat { file: &[], position: None };
    loop {
        match bytes.length()? {
            0 => return Ok(heartbeat),
            1 => heartbeat.file = bytes.counted()?,
            2 => heartbeat.position = Some(Bytes(bytes.counted()?).length()?),
            _ => drop(bytes.counted()?),
        }
    }
}
