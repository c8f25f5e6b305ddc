//! A server's log as it is sent: event by event, out of whatever they are packed in.

use std::ops::Range;
use std::time::Duration;

use uuid::Uuid;

use super::super::client::{Client, Dump, Part};
use super::event::format::Format;
use super::event::header::{HEADER_BYTES, Header, checked};
use super::event::payload::Payload;
use super::event::{Event, expand, kind};
use super::fault::Fault;
use super::gtid::{mariadb, mysql};
use super::refusal::{not_begun, refused};
use super::sum::Sum;
use crate::error::{Error, Result};

/// From where, and as whom, a log is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// No other replica of the server may have it.
    pub server_id: u32,
    /// MySQL ends the dump of an older connection that says the same.
    pub uuid: Uuid,
    pub start: Start,
    /// How often the server says that it is there while it has nothing to say.
    pub heartbeat: Duration,
    /// How long the server waits for us while we are busy.
    pub write_timeout: Duration,
    /// Ends where the log ends now.
    pub ends: bool,
}

/// Where a log is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The oldest place is 4.
    File {
        file: String,
        position: u64,
    },
    /// After these transactions.
    Mysql(mysql::Gtids),
    Mariadb(mariadb::Gtids),
}

impl Start {
    /// At the beginning of a file.
    pub fn of_file(file: &str) -> Self {
        Start::File { file: file.to_owned(), position: FIRST }
    }
}

/// An event, and the place behind it.
#[derive(Debug)]
pub struct Entry<'a> {
    pub header: Header,
    pub event: Event<'a>,
    pub file: &'a str,
    /// Where the log goes on after it: of an event of a compressed transaction, after all of that.
    pub position: u64,
}

/// A log that is being read.
pub struct Log {
    client: Client,
    file: String,
    position: u64,
    format: Format,
    /// An event of several packets, put together, and whether more of them are to come.
    long: Vec<u8>,
    is_joining: bool,
    /// An event that was compressed by itself.
    room: Vec<u8>,
    payload: Option<Packed>,
    has_come: bool,
}

/// A compressed transaction that is being read.
struct Packed {
    payload: Payload,
    sum: Sum,
    /// What of the packet that was lent last was not decompressed yet.
    input: Range<usize>,
    goes_on: bool,
}

/// Where the body of an event lies.
enum Body {
    Packet(Range<usize>),
    Long(Range<usize>),
    Window(Range<usize>),
    Room,
}

/// No server sends a longer event: its `max_allowed_packet` cannot be set higher.
const LONGEST: usize = 1 << 30;
/// Room above this goes back after use.
const KEPT: usize = 1 << 20;
const FIRST: u64 = 4;

impl Log {
    /// Asks for the log over a connection that has just logged in. A place that the server does not have is `Kind::Lost`.
    pub async fn open(mut client: Client, is_mariadb: bool, options: &Options) -> Result<Self> {
        let (file, position) = match &options.start {
            Start::File { file, position } => (file.clone(), *position),
            Start::Mysql(_) | Start::Mariadb(_) => (String::new(), FIRST),
        };
        let first = u32::try_from(position).map_err(|_| {
            Error::config(format!("{file}:{position} lies beyond 4 GiB, from where servers send no log by place"))
                .hint("Begin by transactions (GTIDs), or at the beginning of that file.")
        })?;
        let mut encoded = Vec::new();
        let without = match &options.start {
            Start::Mysql(gtids) => {
                gtids.encode(&mut encoded);
                Some(encoded.as_slice())
            }
            _ => None,
        };
        let dump =
            Dump { server_id: options.server_id, file: file.as_bytes(), position: first, without, ends: options.ends };
        let asked = async {
            for statement in session(is_mariadb, options) {
                client.query(&statement).await?;
            }
            client.register(options.server_id).await?;
            client.dump(dump).await
        };
        if let Err(failure) = asked.await {
            return Err(not_begun(client, failure).await);
        }
        let format = Format { server: String::new(), has_checksums: false, table_id_bytes: 6 };
        let mut log = Self {
            client,
            file,
            position,
            format,
            long: Vec::new(),
            is_joining: false,
            room: Vec::new(),
            payload: None,
            has_come: false,
        };
        // Each dump begins with the name of the file that it is read from: where there is no dump, that is said here.
        log.advance().await?;
        Ok(log)
    }

    /// The next event; `None` at the end, where the log is read to its end only. While a live log is idle, there is a heartbeat
    /// now and then. Cancel safe: a dropped call loses nothing. After an error there is no way on.
    pub async fn next(&mut self) -> Result<Option<Entry<'_>>> {
        match self.advance().await {
            Ok(Some((header, body))) => {
                let body = match body {
                    Body::Packet(range) => &self.client.lent()[range],
                    Body::Long(range) => &self.long[range],
                    Body::Window(range) => {
                        self.payload.as_ref().map_or(&[][..], |packed| &packed.payload.window()[range])
                    }
                    Body::Room => &self.room,
                };
                let event = Event::of(&header, body, &self.format);
                let event =
                    event.map_err(|fault| Error::from(fault).at(format_args!("{}:{}", self.file, self.position)))?;
                Ok(Some(Entry { header, event, file: &self.file, position: self.position }))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error.at(format_args!("{}:{}", self.file, self.position))),
        }
    }

    async fn advance(&mut self) -> Result<Option<(Header, Body)>> {
        loop {
            if self.payload.is_some() {
                match self.inside().await? {
                    Some(found) => return Ok(Some(found)),
                    None => continue,
                }
            }
            if self.is_joining {
                if !self.join().await? {
                    continue;
                }
                let header = Header::of(&self.long).map_err(Fault::torn(0))?;
                let size = self.long.len();
                return self.settle(header, Body::Long(0..size)).map(Some);
            }
            let goes_on = match self.client.part().await.map_err(|failure| refused(failure, self.has_come))? {
                Part::End => return Ok(None),
                Part::Event { goes_on } => goes_on,
            };
            self.has_come = true;
            let lent = self.client.lent();
            let (event, whole) = (&lent[1..], 1..lent.len());
            let header = Header::of(event).map_err(Fault::torn(0))?;
            match (header.kind == kind::TRANSACTION_PAYLOAD, goes_on) {
                (true, _) => self.unpack(header, goes_on)?,
                (false, false) => return self.settle(header, Body::Packet(whole)).map(Some),
                (false, true) => {
                    self.long.clear();
                    self.long.extend_from_slice(event);
                    self.is_joining = true;
                }
            }
        }
    }

    /// Adds the next packet of a long event; whether that was the last.
    async fn join(&mut self) -> Result<bool> {
        let goes_on = self.client.rest().await.map_err(|failure| refused(failure, true))?;
        self.long.extend_from_slice(self.client.lent());
        self.is_joining = goes_on;
        match self.long.len() <= LONGEST + HEADER_BYTES {
            true => Ok(!goes_on),
            false => Err(Fault::Torn(0).into()),
        }
    }

    /// Checks a whole event, and notes what it says of the log itself.
    fn settle(&mut self, mut header: Header, place: Body) -> Result<(Header, Body)> {
        let (event, whole) = match &place {
            Body::Long(range) => (&self.long[range.clone()], range.clone()),
            Body::Packet(range) => {
                if self.long.capacity() > KEPT {
                    self.long = Vec::new();
                }
                (&self.client.lent()[range.clone()], range.clone())
            }
            Body::Window(_) | Body::Room => return Err(Error::bug("an event within another")),
        };
        if header.size as usize != event.len() {
            return Err(Fault::Torn(header.kind).into());
        }
        let sound = match header.kind {
            kind::FORMAT_DESCRIPTION => {
                self.format = Format::of(&event[HEADER_BYTES..])?;
                checked(event).filter(|_| self.format.has_checksums).unwrap_or(event)
            }
            // It comes before the file's own format, and has a checksum or not as the file before.
            kind::ROTATE if header.is_artificial() => checked(event).unwrap_or(event),
            _ if self.format.has_checksums => checked(event).ok_or(Fault::Checksum)?,
            _ => event,
        };
        let body = whole.start + HEADER_BYTES..whole.start + sound.len();
        let plain = expand(header.kind, &sound[HEADER_BYTES..], &self.format, &mut self.room)?;
        if !header.is_artificial() {
            self.position = later(self.position, header.end);
        }
        if header.kind == kind::ROTATE
            && let Event::Rotate(rotate) = Event::of(&header, &sound[HEADER_BYTES..], &self.format)?
        {
            (self.file, self.position) = (String::from_utf8_lossy(rotate.file).into_owned(), rotate.position);
        }
        Ok(match (plain, place) {
            (Some(plain), _) => {
                header.kind = plain;
                (header, Body::Room)
            }
            (None, Body::Long(_)) => (header, Body::Long(body)),
            (None, _) => (header, Body::Packet(body)),
        })
    }

    /// Begins to read a compressed transaction.
    fn unpack(&mut self, header: Header, goes_on: bool) -> Result<()> {
        let event = &self.client.lent()[1..];
        if goes_on != (header.size as usize > event.len()) || (header.size as usize) < event.len() {
            return Err(Fault::Torn(header.kind).into());
        }
        let mut sum = Sum::of(header.size, self.format.has_checksums);
        let data = sum.take(event)?;
        let front = event.get(HEADER_BYTES..data).ok_or(Fault::Torn(header.kind))?;
        let (payload, head) = Payload::begin(front)?;
        let input = 1 + HEADER_BYTES + head..1 + data;
        self.position = later(self.position, header.end);
        self.payload = Some(Packed { payload, sum, input, goes_on });
        Ok(())
    }

    /// The next event of a compressed transaction; `None` after the last.
    async fn inside(&mut self) -> Result<Option<(Header, Body)>> {
        let Some(packed) = &mut self.payload else { return Ok(None) };
        loop {
            if let Some(range) = packed.payload.next()? {
                let header = Header::of(&packed.payload.window()[range.clone()]).map_err(Fault::torn(0))?;
                return Ok(Some((header, Body::Window(range.start + HEADER_BYTES..range.end))));
            }
            if packed.payload.is_complete() {
                packed.payload.finish()?;
                self.payload = None;
                return Ok(None);
            }
            let (taken, came) = packed.payload.feed(&self.client.lent()[packed.input.clone()])?;
            packed.input.start += taken;
            if came || taken > 0 {
                continue;
            }
            if !packed.input.is_empty() {
                return Err(Fault::Compressed.into());
            }
            if !packed.goes_on {
                // Before its last event is given, the whole transaction is known to be what was written.
                packed.sum.check()?;
                packed.payload.complete()?;
                continue;
            }
            packed.goes_on = self.client.rest().await.map_err(|failure| refused(failure, true))?;
            packed.input = 0..packed.sum.take(self.client.lent())?;
        }
    }
}

/// The place that an event tells the lowest 32 bits of. A file may be longer than that.
fn later(position: u64, low: u32) -> u64 {
    const ROUND: u64 = 1 << 32;
    let same_round = position / ROUND * ROUND + u64::from(low);
    match same_round + ROUND / 2 < position {
        true => same_round + ROUND,
        false => same_round.max(position),
    }
}

/// What a session is told before it asks for the log.
fn session(is_mariadb: bool, options: &Options) -> Vec<String> {
    let heartbeat = options.heartbeat.as_nanos();
    let patience = options.write_timeout.as_secs().max(1);
    let mut set = vec![format!("set session net_write_timeout = {patience}")];
    set.push(format!("set @master_heartbeat_period = {heartbeat}, @master_binlog_checksum = 'CRC32'"));
    match (is_mariadb, &options.start) {
        // That we know all that it may send: transactions by their ids, and where a list of them stands.
        (true, Start::Mariadb(gtids)) => set.push(format!(
            "set @mariadb_slave_capability = 4, @slave_connect_state = '{gtids}', @slave_gtid_strict_mode = 1, \
             @slave_gtid_ignore_duplicates = 0"
        )),
        (true, _) => set.push("set @mariadb_slave_capability = 4".to_owned()),
        (false, _) => set.push(format!(
            "set @source_heartbeat_period = {heartbeat}, @source_binlog_checksum = 'CRC32', @slave_uuid = '{0}', \
             @replica_uuid = '{0}'",
            options.uuid
        )),
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_go_on_beyond_four_gigabytes() {
        assert_eq!(later(4, 120), 120);
        assert_eq!(later((1 << 32) - 10, 20), (1 << 32) + 20);
        assert_eq!(later((5 << 32) + 7, 90), (5 << 32) + 90);
        // An event that is told again is no step back.
        assert_eq!(later(500, 400), 500);
    }
}
