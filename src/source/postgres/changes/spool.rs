//! Transactions that come before they are committed: kept aside, in a file where they are large, until it is known whether they ever
//! are. The file has no name: nothing is left of it when the process ends.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::ops::Range;

use crate::error::{Error, Result};

/// So many bytes of a transaction are in memory at most.
const ROOM: usize = 1 << 20;
/// So many bytes of all of them are.
const ROOM_OF_ALL: usize = 16 << 20;

/// All transactions that are not committed yet.
#[derive(Debug, Default)]
pub struct Spools {
    open: HashMap<u32, Spool>,
    /// In memory.
    bytes: usize,
    /// Room that a spool has left.
    spare: Vec<u8>,
}

impl Spools {
    /// Adds a message as it came.
    pub async fn add(&mut self, xid: u32, message: &[u8]) -> Result<()> {
        let spool = self.open.entry(xid).or_default();
        if spool.room.capacity() == 0 {
            spool.room = std::mem::take(&mut self.spare);
        }
        self.bytes += spool.add(message)?;
        if spool.room.len() >= ROOM {
            self.bytes -= spool.room.len();
            self.spare = spool.spill().await?;
        }
        if self.bytes >= ROOM_OF_ALL {
            for spool in self.open.values_mut() {
                self.spare = spool.spill().await?;
            }
            self.bytes = 0;
        }
        Ok(())
    }

    /// A transaction had a table's definition, the number of those so far.
    pub fn defines(&mut self, xid: u32, table: u32, number: u64) {
        self.open.entry(xid).or_default().definitions.insert(table, number);
    }

    /// What a subtransaction did came to nothing.
    pub fn abort(&mut self, xid: u32, subxid: u32) {
        if let Some(spool) = self.open.get_mut(&xid) {
            spool.aborted.insert(subxid);
        }
    }

    /// The transaction is over; empty where nothing of it came.
    pub fn take(&mut self, xid: u32) -> Spool {
        let spool = self.open.remove(&xid).unwrap_or_default();
        self.bytes -= spool.room.len();
        spool
    }
}

/// The messages of one transaction so far.
#[derive(Debug, Default)]
pub struct Spool {
    room: Vec<u8>,
    file: Option<File>,
    aborted: HashSet<u32>,
    definitions: HashMap<u32, u64>,
}

impl Spool {
    /// How many bytes it takes.
    fn add(&mut self, message: &[u8]) -> Result<usize> {
        let length = u32::try_from(message.len()).map_err(|_| Error::bug("a message of more than 4 GiB"))?;
        self.room.extend_from_slice(&length.to_le_bytes());
        self.room.extend_from_slice(message);
        Ok(message.len() + 4)
    }

    /// Moves what is in memory into the file, and gives the room back.
    async fn spill(&mut self) -> Result<Vec<u8>> {
        let (mut room, file) = (std::mem::take(&mut self.room), self.file.take());
        let written = tokio::task::spawn_blocking(move || {
            let mut file = file.map_or_else(tempfile::tempfile, Ok)?;
            file.write_all(&room)?;
            room.clear();
            // What a huge row took goes back.
            room.shrink_to(2 * ROOM);
            Ok((room, file))
        });
        let (room, file) = done(written).await?;
        self.file = Some(file);
        Ok(room)
    }

    /// The tables that it had definitions of, and the number of the last one of each.
    pub fn definitions(&self) -> &HashMap<u32, u64> {
        &self.definitions
    }

    /// It is committed: its messages, in their order.
    pub async fn read(self) -> Result<Replay> {
        let Self { room, mut file, aborted, .. } = self;
        if let Some(spooled) = file.take() {
            let rewound = tokio::task::spawn_blocking(move || {
                let mut spooled = spooled;
                spooled.rewind()?;
                Ok(spooled)
            });
            file = Some(done(rewound).await?);
        }
        Ok(Replay { file, window: Vec::new(), message: 0..0, last: room, aborted })
    }
}

/// The messages of a transaction that is committed.
#[derive(Debug)]
pub struct Replay {
    file: Option<File>,
    window: Vec<u8>,
    /// The message that was come to last; what is before was given already.
    message: Range<usize>,
    /// What stands behind the file.
    last: Vec<u8>,
    aborted: HashSet<u32>,
}

impl Replay {
    /// Goes on to the next message; false after the last.
    pub async fn advance(&mut self) -> Result<bool> {
        loop {
            let rest = &self.window[self.message.end..];
            if let Some((length, rest)) = rest.split_first_chunk::<4>() {
                let length = u32::from_le_bytes(*length) as usize;
                if rest.len() >= length {
                    let start = self.message.end + 4;
                    self.message = start..start + length;
                    return Ok(true);
                }
            }
            if !self.more().await? {
                return match self.message.end == self.window.len() {
                    true => Ok(false),
                    false => Err(Error::bug("a transaction that was kept aside is torn")),
                };
            }
        }
    }

    /// The message that was come to.
    pub fn message(&self) -> &[u8] {
        &self.window[self.message.clone()]
    }

    /// Whether a message of this subtransaction came to nothing.
    pub fn is_aborted(&self, subxid: u32) -> bool {
        !self.aborted.is_empty() && self.aborted.contains(&subxid)
    }

    /// Takes the next bytes into the window; false where there are none.
    async fn more(&mut self) -> Result<bool> {
        let mut window = std::mem::take(&mut self.window);
        window.drain(..self.message.end);
        self.message = 0..0;
        let Some(file) = self.file.take() else {
            let is_more = !self.last.is_empty();
            window.append(&mut self.last);
            self.window = window;
            return Ok(is_more);
        };
        let read = tokio::task::spawn_blocking(move || {
            let read = (&file).take(ROOM as u64).read_to_end(&mut window)?;
            Ok((window, (read > 0).then_some(file)))
        });
        let (window, file) = done(read).await?;
        (self.window, self.file) = (window, file);
        Ok(true)
    }
}

async fn done<T>(task: tokio::task::JoinHandle<std::io::Result<T>>) -> Result<T> {
    let done = task.await.map_err(|e| Error::bug(format!("the thread of a file ended: {e}")))?;
    done.map_err(|e| {
        Error::unavailable(format!("a transaction that is not committed yet cannot be kept aside: {e}")).hint(format!(
            "Large transactions are kept in {} until they are committed: make room there, or name another folder with the variable TMPDIR.",
            std::env::temp_dir().display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_back_in_their_order() {
        for (count, size) in [(0, 0), (3, 5), (5000, 900), (3, ROOM + 7)] {
            let mut spools = Spools::default();
            let message = |xid: u32, n: usize| format!("{xid}:{n}:{}", "x".repeat(size));
            for n in 0..count {
                for xid in [1, 2] {
                    spools.add(xid, message(xid, n).as_bytes()).await.unwrap();
                }
            }
            spools.defines(1, 3, 4);
            spools.abort(1, 7);
            for xid in [1, 2] {
                let spool = spools.take(xid);
                assert!(spool.room.len() < ROOM && spool.room.capacity() <= 3 * ROOM);
                assert_eq!(spool.definitions().get(&3).copied(), (xid == 1).then_some(4));
                let mut replay = spool.read().await.unwrap();
                assert!(replay.is_aborted(7) == (xid == 1) && !replay.is_aborted(8));
                for n in 0..count {
                    assert!(replay.advance().await.unwrap());
                    assert_eq!(replay.message(), message(xid, n).as_bytes(), "{count} of {size}");
                }
                assert!(!replay.advance().await.unwrap());
            }
            assert_eq!(spools.bytes, 0);
        }
    }

    #[tokio::test]
    async fn many_have_little_room_together() {
        let mut spools = Spools::default();
        let message = [7; 10_000];
        for round in 0..20 {
            for xid in 0..200 {
                spools.add(xid, &message).await.unwrap();
                let held: usize = spools.open.values().map(|spool| spool.room.len()).sum();
                assert!(held == spools.bytes && held < ROOM_OF_ALL, "{held} in round {round}");
            }
        }
        let room: usize = spools.open.values().map(|spool| spool.room.capacity()).sum();
        assert!(room < 2 * ROOM_OF_ALL, "{room}");
        for xid in 0..200 {
            let mut replay = spools.take(xid).read().await.unwrap();
            let mut count = 0;
            while replay.advance().await.unwrap() {
                assert_eq!(replay.message(), message);
                count += 1;
            }
            assert_eq!(count, 20);
        }
    }
}
