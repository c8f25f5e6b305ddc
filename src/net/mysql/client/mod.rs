//! The client's side of the MySQL protocol, as far as a reader of tables and logs needs it.
//!
//! Why not mysql_async: docs/adr/0003-mysql-client.md. Packets are parsed by mysql_common; what is ours is the way of a
//! row, which is lent to its reader from the buffer that it was received into.

mod failure;
mod login;
mod packets;
mod replica;

use std::sync::Arc;
use std::time::Duration;

use mysql_common::constants::{CapabilityFlags, Command, StatusFlags};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{
    ComStmtClose, ComStmtExecuteRequestBuilder, CommonOkPacket, ErrPacket, OkPacketDeserializer, OkPacketKind,
    OldEofPacket, ResultSetTerminator, StmtPacket,
};
use mysql_common::proto::{Binary, MyDeserialize, MySerialize, Text};
use mysql_common::row::{Row, RowDeserializer};
use mysql_common::value::{ServerSide, Value};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

pub use self::failure::{Failure, Refusal};
pub use self::packets::Duplex;
use self::packets::Packets;
pub use self::replica::{Dump, Part};

pub use mysql_common::constants::{ColumnFlags, ColumnType};
pub use mysql_common::packets::Column;

/// Who logs in, and how.
pub struct Login<'a> {
    pub username: &'a str,
    pub password: &'a str,
    pub database: &'a str,
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Nobody else can read the connection even without TLS: it does not leave this machine's kernel.
    pub is_private: bool,
}

/// A statement that the server has parsed and resolved. Of one connection.
pub struct Statement {
    id: u32,
    pub placeholders: usize,
    pub columns: Arc<[Column]>,
}

/// One session.
pub struct Client {
    packets: Packets,
    capabilities: CapabilityFlags,
    /// How many warnings the last statement left.
    pub warnings: u16,
}

/// A statement's answer before its rows.
enum Answer {
    /// It has no rows.
    Done,
    Rows(Arc<[Column]>),
}

impl Client {
    /// Logs in over a connection. `silence` is how long the server may take to say anything, then and later.
    pub async fn log_in(stream: Box<dyn Duplex>, login: Login<'_>, silence: Duration) -> Result<Self, Failure> {
        let mut packets = Packets::new(stream, silence);
        let capabilities = login::log_in(&mut packets, login).await?;
        Ok(Self { packets, capabilities, warnings: 0 })
    }

    /// Runs a statement in the text protocol; its rows, if it has any.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Failure> {
        self.command(Command::COM_QUERY, sql.as_bytes()).await?;
        let mut rows = Vec::new();
        if let Answer::Rows(columns) = self.answer().await? {
            while let Some(payload) = self.row().await? {
                rows.push(parse::<RowDeserializer<ServerSide, Text>>(payload, columns.clone(), "a row")?.into_inner());
            }
        }
        Ok(rows)
    }

    /// Has the server parse and resolve a statement.
    pub async fn prepare(&mut self, sql: &str) -> Result<Statement, Failure> {
        self.command(Command::COM_STMT_PREPARE, sql.as_bytes()).await?;
        let capabilities = self.capabilities;
        let payload = self.packets.next().await?;
        if is_refusal(payload) {
            return Err(refusal(payload, capabilities));
        }
        let packet: StmtPacket = parse(payload, (), "a prepared statement")?;
        let placeholders = self.columns(packet.num_params().into()).await?.len();
        let columns = self.columns(packet.num_columns().into()).await?;
        Ok(Statement { id: packet.statement_id(), placeholders, columns })
    }

    /// Runs a prepared statement with these values for its placeholders. Its rows are to be read with [`Client::row`],
    /// to the last, before anything else.
    pub async fn execute(&mut self, statement: &Statement, values: &[Value]) -> Result<Arc<[Column]>, Failure> {
        if statement.placeholders != values.len() {
            return Err(Failure::Placeholders);
        }
        let (request, _) = ComStmtExecuteRequestBuilder::new(statement.id).build(values);
        self.packets.command(|out| request.serialize(out)).await?;
        match self.answer().await? {
            Answer::Rows(columns) => Ok(columns),
            Answer::Done => Ok(Arc::from([])),
        }
    }

    /// The next row, undecoded; `None` after the last, which the server has confirmed to be the last.
    pub async fn row(&mut self) -> Result<Option<&[u8]>, Failure> {
        let capabilities = self.capabilities;
        let payload = self.packets.next().await?;
        // A row in the text protocol may begin so too, with a value of 16 MiB or more.
        let is_end = payload.first() == Some(&0xfe) && payload.len() < 0xff_ffff;
        if !is_end && !is_refusal(payload) {
            return Ok(Some(payload));
        }
        if is_refusal(payload) {
            return Err(refusal(payload, capabilities));
        }
        let (warnings, status) = match capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) {
            true => end::<ResultSetTerminator>(payload, capabilities)?,
            false => end::<OldEofPacket>(payload, capabilities)?,
        };
        if status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
            return Err(Failure::Protocol("one result"));
        }
        self.warnings = warnings;
        Ok(None)
    }

    /// Runs a statement in the protocol of prepared ones, and forgets it; its rows.
    pub async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Failure> {
        let statement = self.prepare(sql).await?;
        let columns = self.execute(&statement, values).await?;
        let mut rows = Vec::new();
        if !columns.is_empty() {
            while let Some(payload) = self.row().await? {
                rows.push(
                    parse::<RowDeserializer<ServerSide, Binary>>(payload, columns.clone(), "a row")?.into_inner(),
                );
            }
        }
        // It has no answer.
        self.packets.command(|out| ComStmtClose::new(statement.id).serialize(out)).await?;
        Ok(rows)
    }

    /// Says goodbye.
    pub async fn quit(mut self) -> Result<(), Failure> {
        self.command(Command::COM_QUIT, &[]).await
    }

    async fn command(&mut self, command: Command, payload: &[u8]) -> Result<(), Failure> {
        self.packets
            .command(|out| {
                out.push(command as u8);
                out.extend_from_slice(payload);
            })
            .await
    }

    async fn answer(&mut self) -> Result<Answer, Failure> {
        let capabilities = self.capabilities;
        let payload = self.packets.next().await?;
        match payload {
            [0xff, ..] => Err(refusal(payload, capabilities)),
            [0x00, ..] => {
                (self.warnings, _) = end::<CommonOkPacket>(payload, capabilities)?;
                Ok(Answer::Done)
            }
            // It asks for a local file, which we have said that we do not send.
            [0xfb, ..] => Err(Failure::Protocol("a result")),
            _ => {
                let count = ParseBuf(payload).checked_eat_lenenc_int().ok_or(Failure::Protocol("a result"))?;
                let count = usize::try_from(count).map_err(|_| Failure::Protocol("a result"))?;
                Ok(Answer::Rows(self.columns(count).await?))
            }
        }
    }

    /// The definitions of so many columns or placeholders.
    async fn columns(&mut self, count: usize) -> Result<Arc<[Column]>, Failure> {
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(parse::<Column>(self.packets.next().await?, (), "a column")?);
        }
        if count > 0 && !self.capabilities.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF) {
            match self.packets.next().await? {
                [0xfe, ..] => {}
                _ => return Err(Failure::Protocol("the end of the columns")),
            }
        }
        Ok(columns.into())
    }
}

fn is_refusal(payload: &[u8]) -> bool {
    payload.first() == Some(&0xff)
}

/// What an error packet says.
fn refusal(payload: &[u8], capabilities: CapabilityFlags) -> Failure {
    match ParseBuf(payload).parse::<ErrPacket<'_>>(capabilities) {
        Ok(ErrPacket::Error(error)) => Failure::Server(Refusal {
            code: error.error_code(),
            state: error.sql_state_ref().map(|state| state.as_str().into_owned()).unwrap_or_default(),
            message: error.message_str().into_owned(),
        }),
        _ => Failure::Protocol("an error"),
    }
}

/// Warnings and status of a packet that ends something.
fn end<T: OkPacketKind>(payload: &[u8], capabilities: CapabilityFlags) -> Result<(u16, StatusFlags), Failure> {
    let packet = parse::<OkPacketDeserializer<'_, T>>(payload, capabilities, "the end of a result")?.into_inner();
    Ok((packet.warnings(), packet.status_flags()))
}

/// Parses a whole payload; `what` it should be, for the error.
fn parse<'a, T: MyDeserialize<'a>>(payload: &'a [u8], context: T::Ctx, what: &'static str) -> Result<T, Failure> {
    ParseBuf(payload).parse(context).map_err(|_| Failure::Protocol(what))
}
