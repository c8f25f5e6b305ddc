//! The first event of a file: how the others are formed.

use super::super::bytes::Bytes;
use super::super::fault::Fault;
use super::header::CHECKSUM_BYTES;
use super::kind;

/// How the events of a file are formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The server's version, as it says it.
    pub server: String,
    /// Each event ends with a CRC32.
    pub has_checksums: bool,
    /// How many bytes the number of a table takes.
    pub table_id_bytes: usize,
}

/// The only one since MySQL 5.0.
const VERSION: u16 = 4;

impl Format {
    pub fn is_mariadb(&self) -> bool {
        self.server.contains("MariaDB")
    }

    /// Reads the event's body, with the bytes of its checksum at the end: they are there whatever the algorithm.
    pub fn of(body: &[u8]) -> Result<Self, Fault> {
        let torn = Fault::torn(kind::FORMAT_DESCRIPTION);
        let mut bytes = Bytes(body);
        if bytes.u16().map_err(&torn)? != VERSION {
            return Err(Fault::Method("version of the log"));
        }
        let server = bytes.take(50).map_err(&torn)?;
        let server = server.split(|byte| *byte == 0).next().unwrap_or_default();
        // When it was made, and how long headers are, which is always the same.
        bytes.take(5).map_err(&torn)?;
        let (lengths, end) = bytes.0.split_last_chunk::<{ CHECKSUM_BYTES + 1 }>().ok_or(Fault::Torn(15))?;
        let has_checksums = match end[0] {
            0 => false,
            1 => true,
            _ => return Err(Fault::Method("checksum")),
        };
        // The length of what stands before each event's own data, by type.
        let of_table_map = lengths.get(usize::from(kind::TABLE_MAP) - 1);
        Ok(Self {
            server: String::from_utf8_lossy(server).into_owned(),
            has_checksums,
            table_id_bytes: if of_table_map == Some(&6) { 4 } else { 6 },
        })
    }
}
