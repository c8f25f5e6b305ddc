//! Statements in the log: DDL, the beginnings and ends of transactions, and changes of statement-based logs.

use std::borrow::Cow;

use super::super::bytes::{Bytes, Torn};

/// A statement, and what of its session decides its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// In the character set whose collation is `client_collation`.
    pub sql: &'a [u8],
    /// The default database; empty for none. In UTF-8.
    pub database: &'a [u8],
    /// The error that it met half way; 0 for none.
    pub error: u16,
    pub sql_mode: Option<u64>,
    pub client_collation: Option<u16>,
    /// `collation_server`, which a `CREATE DATABASE` without one takes.
    pub server_collation: Option<u16>,
    /// The transaction that a DDL is, at MySQL; not for others.
    pub xid: Option<u64>,
    /// The fraction of the second at which it began.
    pub micros: u32,
    /// The databases of the tables that it reads or changes, a zero behind each; by triggers and functions too.
    pub touched: Option<&'a [u8]>,
}

/// The status variables that are known, by their numbers; the length of one that is not known is not known either.
mod status {
    pub const FLAGS2: u8 = 0;
    pub const SQL_MODE: u8 = 1;
    pub const CATALOG: u8 = 2;
    pub const AUTO_INCREMENT: u8 = 3;
    pub const CHARSET: u8 = 4;
    pub const TIME_ZONE: u8 = 5;
    pub const CATALOG_NZ: u8 = 6;
    pub const LC_TIME_NAMES: u8 = 7;
    pub const CHARSET_DATABASE: u8 = 8;
    pub const TABLE_MAP_FOR_UPDATE: u8 = 9;
    pub const MASTER_DATA_WRITTEN: u8 = 10;
    pub const INVOKER: u8 = 11;
    pub const UPDATED_DATABASES: u8 = 12;
    pub const MICROSECONDS: u8 = 13;
    pub const EXPLICIT_DEFAULTS: u8 = 16;
    pub const DDL_XID: u8 = 17;
    pub const COLLATION_UTF8MB4: u8 = 18;
    pub const REQUIRE_PRIMARY_KEY: u8 = 19;
    pub const TABLE_ENCRYPTION: u8 = 20;
    pub const MARIADB_MICROSECONDS: u8 = 128;
    pub const MARIADB_XID: u8 = 129;
}

/// More databases than this are not listed: then this number stands for all.
const TOO_MANY_DATABASES: u8 = 254;

/// Statements are in the character set of who sent them, which is nearly always UTF-8.
fn decoded(text: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(text) {
        Ok(text) => text.into(),
        Err(_) => text.iter().map(|byte| char::from(*byte)).collect::<String>().into(),
    }
}

/// `NO_BACKSLASH_ESCAPES`.
const NO_ESCAPES: u64 = 1 << 20;

impl<'a> Query<'a> {
    /// Whether a backslash in its texts escapes.
    pub fn escapes(&self) -> bool {
        self.sql_mode.is_none_or(|mode| mode & NO_ESCAPES == 0)
    }

    pub fn text(&self) -> Cow<'a, str> {
        decoded(self.sql)
    }

    /// The name of the default database.
    pub fn database(&self) -> Cow<'a, str> {
        decoded(self.database)
    }

    /// The names of the databases that it reads or changes, where that is told, as MySQL does.
    pub fn touched(&self) -> Option<Vec<Cow<'a, str>>> {
        let names = self.touched?.split(|byte| *byte == 0);
        Some(names.filter(|name| !name.is_empty()).map(decoded).collect())
    }

    pub fn of(body: &'a [u8]) -> Result<Self, Torn> {
        Self::behind(body, 0)
    }

    /// `LOAD DATA`, whose file came before.
    pub fn of_load(body: &'a [u8]) -> Result<Self, Torn> {
        // The number of the file, where in the statement its name stands, and what is done with duplicates.
        Self::behind(body, 13)
    }

    fn behind(body: &'a [u8], more: usize) -> Result<Self, Torn> {
        let mut bytes = Bytes(body);
        // The thread, and how long it took.
        bytes.take(8)?;
        let database_length = bytes.u8()?;
        let error = bytes.u16()?;
        let status_length = bytes.u16()?;
        bytes.take(more)?;
        let status = bytes.take(status_length.into())?;
        let database = bytes.take(database_length.into())?;
        bytes.u8()?;
        let mut query = Query {
            sql: bytes.rest(),
            database,
            error,
            sql_mode: None,
            client_collation: None,
            server_collation: None,
            xid: None,
            micros: 0,
            touched: None,
        };
        query.read_status(Bytes(status))?;
        Ok(query)
    }

    fn read_status(&mut self, mut bytes: Bytes<'a>) -> Result<(), Torn> {
        while !bytes.is_empty() {
            match bytes.u8()? {
                status::FLAGS2 | status::AUTO_INCREMENT | status::MASTER_DATA_WRITTEN => drop(bytes.take(4)?),
                status::SQL_MODE => self.sql_mode = Some(bytes.u64()?),
                status::CATALOG => {
                    let length = bytes.u8()?;
                    bytes.take(usize::from(length) + 1)?;
                }
                status::CHARSET => {
                    self.client_collation = Some(bytes.u16()?);
                    bytes.u16()?;
                    self.server_collation = Some(bytes.u16()?);
                }
                status::TIME_ZONE | status::CATALOG_NZ => {
                    let length = bytes.u8()?;
                    bytes.take(length.into())?;
                }
                status::LC_TIME_NAMES | status::CHARSET_DATABASE | status::COLLATION_UTF8MB4 => drop(bytes.u16()?),
                status::TABLE_MAP_FOR_UPDATE => drop(bytes.u64()?),
                status::INVOKER => {
                    for _ in ["user", "host"] {
                        let length = bytes.u8()?;
                        bytes.take(length.into())?;
                    }
                }
                status::UPDATED_DATABASES => match bytes.u8()? {
                    TOO_MANY_DATABASES => {}
                    count => {
                        let names = bytes.0;
                        (0..count).try_for_each(|_| bytes.until_zero().map(drop))?;
                        self.touched = Some(&names[..names.len() - bytes.0.len()]);
                    }
                },
                status::MICROSECONDS | status::MARIADB_MICROSECONDS => self.micros = bytes.number(3)? as u32,
                status::EXPLICIT_DEFAULTS | status::REQUIRE_PRIMARY_KEY | status::TABLE_ENCRYPTION => drop(bytes.u8()?),
                status::DDL_XID | status::MARIADB_XID => self.xid = Some(bytes.u64()?),
                // What follows cannot be told apart, and nothing that we need comes so late.
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Whether it is this bare word, in whatever letters: `BEGIN`, `COMMIT`.
    pub fn is(&self, word: &str) -> bool {
        self.sql.trim_ascii().eq_ignore_ascii_case(word.as_bytes())
    }
}
