//! The events that begin a transaction, or stand before a statement that is one by itself.

use uuid::Uuid;

use super::super::bytes::{Bytes, Torn};
use super::mariadb;
use super::mysql::{Gtid, Origin, tag};

/// What MySQL says of a transaction at its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// None where the server gives no ids.
    pub gtid: Option<Gtid>,
    /// When it was committed on the server that we read, in microseconds since 1970; 0 where it is not said.
    pub committed: u64,
    /// The same of the server that it was first committed on.
    pub originally_committed: u64,
    /// Its length in the log with this event, as it stands there, compressed or not; 0 where it is not said.
    pub length: u64,
}

/// Behind this byte stand two numbers that tell which transactions may be applied at the same time.
const LOGICAL_CLOCK: u8 = 2;
/// The commit time of the first server follows.
const HAS_ORIGINAL: u64 = 1 << 55;

impl Transaction {
    /// Reads a `GTID` or, with `is_anonymous`, one without an id.
    pub fn of(body: &[u8], is_anonymous: bool) -> Result<Self, Torn> {
        let mut bytes = Bytes(body);
        bytes.u8()?;
        let source = Uuid::from_bytes(bytes.array()?);
        let number = bytes.u64()?;
        let gtid = (!is_anonymous).then(|| Gtid { origin: Origin { source, tag: String::new() }, number });
        let mut transaction = Transaction { gtid, ..Self::default() };
        // Each of these came with a later version.
        if bytes.u8() == Ok(LOGICAL_CLOCK) {
            bytes.take(16)?;
            if bytes.0.len() >= 7 {
                let committed = bytes.number(7)?;
                transaction.committed = committed & !HAS_ORIGINAL;
                transaction.originally_committed = match committed & HAS_ORIGINAL {
                    0 => committed,
                    _ => bytes.number(7)?,
                };
            }
            if !bytes.is_empty() {
                transaction.length = bytes.length()?;
            }
        }
        Ok(transaction)
    }

    /// Reads a `GTID_TAGGED`, whose fields have numbers.
    pub fn of_tagged(body: &[u8]) -> Result<Self, Torn> {
        let mut bytes = Bytes(body);
        if bytes.packed()? != 1 {
            return Err(Torn);
        }
        let size = bytes.packed()?;
        // It counts from the front of the body.
        let taken = (body.len() - bytes.0.len()) as u64;
        let mut bytes = Bytes(bytes.take_long(size.checked_sub(taken).ok_or(Torn)?)?);
        let last_that_matters = bytes.packed()?;
        let mut origin = Origin { source: Uuid::nil(), tag: String::new() };
        let (mut number, mut transaction) = (0, Transaction::default());
        while !bytes.is_empty() {
            match bytes.packed()? {
                0 => drop(bytes.packed()?),
                1 => {
                    let mut source = [0; 16];
                    for byte in &mut source {
                        *byte = u8::try_from(bytes.packed()?).map_err(|_| Torn)?;
                    }
                    origin.source = Uuid::from_bytes(source);
                }
                2 => number = u64::try_from(bytes.packed_signed()?).map_err(|_| Torn)?,
                3 => {
                    let length = bytes.packed()?;
                    origin.tag = tag(bytes.take_long(length)?).ok_or(Torn)?;
                }
                4 | 5 => drop(bytes.packed_signed()?),
                6 => transaction.committed = bytes.packed()?,
                7 => transaction.originally_committed = bytes.packed()?,
                8 => transaction.length = bytes.packed()?,
                // Versions of servers, and what a newer one adds: nothing that we need comes behind them.
                9.. if last_that_matters <= 8 => break,
                _ => return Err(Torn),
            }
        }
        if transaction.originally_committed == 0 {
            transaction.originally_committed = transaction.committed;
        }
        match number {
            0 => Err(Torn),
            number => Ok(Transaction { gtid: Some(Gtid { origin, number }), ..transaction }),
        }
    }
}

/// What MariaDB says of a transaction at its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MariadbTransaction {
    pub gtid: mariadb::Gtid,
    /// It is one statement, without a `COMMIT` behind it.
    pub is_standalone: bool,
    pub is_ddl: bool,
    /// An ALTER that only begins here, or that came to nothing: another one tells that it is carried out.
    pub is_half: bool,
    /// A prepared transaction's name, and whether it is prepared here (else it is ended here).
    pub prepared: Option<(XaId, bool)>,
}

/// The name of a distributed transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct XaId {
    pub format: u32,
    pub global: Vec<u8>,
    pub branch: Vec<u8>,
}

mod flag {
    pub const STANDALONE: u8 = 1;
    pub const GROUP_COMMIT_ID: u8 = 2;
    pub const DDL: u8 = 32;
    pub const PREPARED_XA: u8 = 64;
    pub const COMPLETED_XA: u8 = 128;
    /// Of the second byte of flags.
    pub const START_ALTER: u8 = 2;
    pub const ROLLBACK_ALTER: u8 = 8;
}

impl MariadbTransaction {
    pub fn of(body: &[u8], server: u32) -> Result<Self, Torn> {
        let mut bytes = Bytes(body);
        let (number, domain, flags) = (bytes.u64()?, bytes.u32()?, bytes.u8()?);
        if flags & flag::GROUP_COMMIT_ID != 0 {
            bytes.u64()?;
        }
        let prepared = match flags & (flag::PREPARED_XA | flag::COMPLETED_XA) {
            0 => None,
            _ => {
                let (format, [global, branch]) = (bytes.u32()?, bytes.array()?);
                let (global, branch) = (bytes.take(global.into())?.to_vec(), bytes.take(branch.into())?.to_vec());
                Some((XaId { format, global, branch }, flags & flag::PREPARED_XA != 0))
            }
        };
        let more = if bytes.is_empty() { 0 } else { bytes.u8()? };
        Ok(Self {
            gtid: mariadb::Gtid { domain, server, number },
            is_half: more & (flag::START_ALTER | flag::ROLLBACK_ALTER) != 0,
            is_standalone: flags & flag::STANDALONE != 0,
            is_ddl: flags & flag::DDL != 0,
            prepared,
        })
    }
}

/// MySQL: the end of the first half of a distributed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XaPrepare {
    pub id: XaId,
    /// It is committed at once.
    pub is_one_phase: bool,
}

impl XaPrepare {
    pub fn of(body: &[u8]) -> Result<Self, Torn> {
        let mut bytes = Bytes(body);
        let (one_phase, format, global, branch) = (bytes.u8()?, bytes.u32()?, bytes.u32()?, bytes.u32()?);
        let (global, branch) = (bytes.take_long(global.into())?.to_vec(), bytes.take_long(branch.into())?.to_vec());
        Ok(Self { id: XaId { format, global, branch }, is_one_phase: one_phase != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_mariadb_wrote() {
        let of = |text: &str| MariadbTransaction::of(&hex::decode(text).unwrap(), 1).unwrap();
        let prepared = of("470b000000000000000000004c07000000020161316201ff");
        let id = XaId { format: 7, global: b"a1".to_vec(), branch: b"b".to_vec() };
        assert_eq!((prepared.prepared, prepared.is_standalone, prepared.is_half), (Some((id, true)), false, false));
        let begun = of("8f1100000000000000000000290200000000ff");
        assert!(begun.is_half && begun.is_ddl && begun.is_standalone);
        assert!(!of("90110000000000000000000029048f11000000000000").is_half);
        assert!(!of("360b0000000000000000000008000000000000").is_half);
    }

    #[test]
    fn reads_what_mysql_wrote() {
        let tagged = "026e000000020902b6d03099036622c5036502aa04f10300000002040406087461673108080a0c0c7fc345baa2d66006\
                      10990412831 20b";
        let tagged = hex::decode(tagged.replace(' ', "")).unwrap();
        let transaction = Transaction::of_tagged(&tagged).unwrap();
        let gtid = transaction.gtid.unwrap();
        assert_eq!(gtid.to_string(), "825b6818-e633-11f1-9955-02fc00000001:tag1:1");
        assert_eq!((transaction.committed, transaction.length), (1_795_324_829_648_323, 294));
        assert!((0..50).all(|length| Transaction::of_tagged(&tagged[..length]).is_err()));
    }

    #[test]
    fn reads_ids_of_either_time() {
        // MySQL 9.7, from mysqlbinlog's dump: both commit times are the same, then the length, then the server's version.
        let body = [
            &[1][..],
            &hex::decode("825b6818e63311f1995502fc00000001").unwrap(),
            &1u64.to_le_bytes(),
            &[2],
            &[0; 16],
            &1_795_324_829_611_779u64.to_le_bytes()[..7],
            &[193],
            &90_704u32.to_le_bytes(),
        ]
        .concat();
        let transaction = Transaction::of(&body, false).unwrap();
        assert_eq!(transaction.gtid.unwrap().to_string(), "825b6818-e633-11f1-9955-02fc00000001:1");
        assert_eq!((transaction.committed, transaction.length), (1_795_324_829_611_779, 193));
        assert_eq!(transaction.originally_committed, transaction.committed);
        assert_eq!(Transaction::of(&body, true).unwrap().gtid, None);
        // MySQL 5.6 says the id alone.
        assert_eq!(Transaction::of(&body[..25], false).unwrap().committed, 0);
    }

    #[test]
    fn mariadb_names_what_is_prepared() {
        let body =
            [&7u64.to_le_bytes()[..], &2u32.to_le_bytes(), &[64 | 2], &[0; 8], &[1, 0, 0, 0, 2, 1], b"abc"].concat();
        let transaction = MariadbTransaction::of(&body, 9).unwrap();
        assert_eq!(transaction.gtid.to_string(), "2-9-7");
        let id = XaId { format: 1, global: b"ab".to_vec(), branch: b"c".to_vec() };
        assert_eq!(transaction.prepared, Some((id, true)));
        assert!(MariadbTransaction::of(&body[..body.len() - 1], 9).is_err());
    }
}
