//! What a replica asks a server: to be known as one, and to be sent the log.

use mysql_common::constants::Command;

use super::{Answer, Client, Failure, is_refusal, refusal};

/// From where, and how, a log is sent.
#[derive(Debug, Clone, Copy)]
pub struct Dump<'a> {
    pub server_id: u32,
    /// The file to begin in; empty where the server finds it by transactions.
    pub file: &'a [u8],
    pub position: u32,
    /// MySQL: the transactions that are not to be sent, encoded.
    pub without: Option<&'a [u8]>,
    /// Ends where the log ends now, in place of waiting for more.
    pub ends: bool,
}

/// What came, to be looked at with [`Client::lent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// An event, or as much of its front as is in one packet: then the rest comes in the next.
    Event { goes_on: bool },
    /// The log's end.
    End,
}

/// Ends in place of waiting.
const NON_BLOCKING: u16 = 1;
/// Begins by transactions.
const THROUGH_GTIDS: u16 = 4;

impl Client {
    /// Tells the server that this is a replica, so that its `SHOW REPLICAS` lists it.
    pub async fn register(&mut self, server_id: u32) -> Result<(), Failure> {
        let register = |out: &mut Vec<u8>| {
            out.push(Command::COM_REGISTER_SLAVE as u8);
            out.extend_from_slice(&server_id.to_le_bytes());
            // Neither host, user nor password of ours, nor a port to ask us on; no rank, and the server's id left to it.
            out.extend_from_slice(&[0; 3 + 2 + 4 + 4]);
        };
        self.packets.command(register).await?;
        match self.answer().await? {
            Answer::Done => Ok(()),
            Answer::Rows(_) => Err(Failure::Protocol("an answer to a replica")),
        }
    }

    /// Asks for the log. What follows is read with [`Client::part`], and there is no way back to statements.
    pub async fn dump(&mut self, dump: Dump<'_>) -> Result<(), Failure> {
        let flags = if dump.ends { NON_BLOCKING } else { 0 };
        let request = |out: &mut Vec<u8>| match dump.without {
            None => {
                out.push(Command::COM_BINLOG_DUMP as u8);
                out.extend_from_slice(&dump.position.to_le_bytes());
                out.extend_from_slice(&flags.to_le_bytes());
                out.extend_from_slice(&dump.server_id.to_le_bytes());
                out.extend_from_slice(dump.file);
            }
            Some(without) => {
                out.push(Command::COM_BINLOG_DUMP_GTID as u8);
                out.extend_from_slice(&(flags | THROUGH_GTIDS).to_le_bytes());
                out.extend_from_slice(&dump.server_id.to_le_bytes());
                out.extend_from_slice(&(dump.file.len() as u32).to_le_bytes());
                out.extend_from_slice(dump.file);
                out.extend_from_slice(&u64::from(dump.position).to_le_bytes());
                out.extend_from_slice(&(without.len() as u32).to_le_bytes());
                out.extend_from_slice(without);
            }
        };
        self.packets.command(request).await
    }

    /// The next packet of the log. Cancel safe.
    pub async fn part(&mut self) -> Result<Part, Failure> {
        let goes_on = self.packets.part().await?;
        match self.packets.lent() {
            [0x00, ..] => Ok(Part::Event { goes_on }),
            [0xfe, rest @ ..] if rest.len() < 8 => Ok(Part::End),
            payload if is_refusal(payload) => Err(refusal(payload, self.capabilities)),
            _ => Err(Failure::Protocol("an event")),
        }
    }

    /// The packet after a part that goes on: more of the same event. Cancel safe. Returns whether that goes on too.
    pub async fn rest(&mut self) -> Result<bool, Failure> {
        self.packets.part().await
    }

    /// What the last call gave: with [`Client::part`] there is a zero before the event.
    pub fn lent(&self) -> &[u8] {
        self.packets.lent()
    }
}
