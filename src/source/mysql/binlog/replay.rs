//! Whole files of real servers, read without one; and the same with damage, which is told and never panics.

use proptest::prelude::*;

use super::definition::{Column, Definition, Target};
use super::event::format::Format;
use super::event::header::{HEADER_BYTES, Header, checked};
use super::event::payload::Payload;
use super::event::table_map::{Stored, TableMap};
use super::event::{Event, expand, kind};
use super::fault::Fault;
use super::{CharacterSets, Image, Layout, Maps, Room};
use crate::error::Result;
use crate::source::mysql::binlog::charset::Coding;
use crate::source::mysql::config::ZeroDates;
use crate::source::mysql::types::Type;

/// One of MySQL 9.7 and one of MariaDB 10.11: each with a table of nearly every type, its rows inserted, changed and
/// deleted; images of all kinds, differences of documents, compression, ids with tags, and a prepared transaction.
const FILES: [&[u8]; 2] = [
    include_bytes!("../../../../tests/golden/binlog/mysql-9.binlog"),
    include_bytes!("../../../../tests/golden/binlog/mariadb-10.11.binlog"),
];
const MAGIC: usize = 4;

/// What came of a file.
#[derive(Default)]
struct Replay {
    format: Option<Format>,
    maps: Maps<(Layout, Definition)>,
    room: Room,
    plain: Vec<u8>,
    /// What the events say, in short.
    said: Vec<String>,
    /// The cells of all rows, as text.
    cells: Vec<String>,
}

/// A definition as the log itself tells it.
fn definition(map: &TableMap) -> Definition {
    let columns = map.columns.iter().enumerate().map(|(index, column)| {
        let name = map.metadata.names.get(index).cloned().unwrap_or_default();
        let is_unsigned = map.metadata.unsigned.get(index) == Some(&true);
        let is_text = !matches!(map.metadata.collations.get(index), Some(Some(63)) | None);
        let text = if is_text { Type::Text } else { Type::Bytes };
        let (native, of) = match column.of {
            Stored::Integer(bytes) => {
                let bits = if bytes == 3 { 32 } else { bytes * 8 };
                ("int", if is_unsigned { Type::Unsigned(bits) } else { Type::Signed(bits) })
            }
            Stored::Float => ("float", Type::Float),
            Stored::Double => ("double", Type::Double),
            Stored::Year => ("year", Type::Year),
            Stored::Decimal { precision, scale } => ("decimal", Type::Decimal { precision, scale }),
            Stored::Bit(_) => ("bit", Type::Bit),
            Stored::Enum(_) => ("enum('a')", Type::Text),
            Stored::Set(_) => ("set('a')", Type::Text),
            Stored::Char(16) if name == "x" => ("uuid", Type::Uuid),
            Stored::Char(16) if name == "y" => ("inet6", Type::Text),
            Stored::Char(4) if name == "z3" => ("inet4", Type::Text),
            Stored::Char(_) | Stored::Varchar(_) | Stored::CompressedVarchar(_) => ("varchar", text),
            Stored::Blob(_) | Stored::CompressedBlob(_) => ("text", text),
            Stored::Json(_) => ("json", Type::Json),
            Stored::Geometry(_) => ("geometry", Type::Geometry),
            Stored::Vector(_) => ("vector", Type::Vector),
            Stored::Date => ("date", Type::Date),
            Stored::Time(_) | Stored::OldTime => ("time", Type::Time),
            Stored::DateTime(_) | Stored::OldDateTime => ("datetime", Type::DateTime),
            Stored::Timestamp(_) | Stored::OldTimestamp => ("timestamp", Type::Timestamp),
        };
        let target = Some(Target { index, of });
        Column { name, native: native.to_owned(), character_set: None, target }
    });
    Definition {
        name: map.name.clone(),
        columns: columns.collect(),
        zero_dates: ZeroDates::Null,
        header: "stream s".to_owned(),
    }
}

fn sets() -> CharacterSets {
    let utf8: Vec<_> = (0..2400).filter(|id| ![8, 63].contains(id)).map(|id| (id, "utf8mb4", Coding::Utf8)).collect();
    let latin1: Vec<u32> = (0..0x80).chain(std::iter::repeat_n('€'.into(), 0x80)).collect();
    CharacterSets::with(&utf8).and(&[(63, "binary", Coding::Utf8), (8, "latin1", Coding::of_single(latin1))])
}

impl Replay {
    fn file(&mut self, file: &[u8], verify: bool, sets: &CharacterSets) -> Result<()> {
        let mut at = MAGIC;
        while let Some(rest) = file.get(at..).filter(|rest| !rest.is_empty()) {
            let header = Header::of(rest).map_err(Fault::torn(0))?;
            let size = header.size as usize;
            let event = rest.get(..size).filter(|_| size >= HEADER_BYTES).ok_or(Fault::Torn(header.kind))?;
            if header.kind == kind::FORMAT_DESCRIPTION {
                self.format = Some(Format::of(&event[HEADER_BYTES..])?);
            }
            let sound = match verify {
                true => checked(event).ok_or(Fault::Checksum)?,
                false => event.get(..size - 4).filter(|event| event.len() >= HEADER_BYTES).ok_or(Fault::Torn(0))?,
            };
            self.event(header, &sound[HEADER_BYTES..], sets)?;
            at += size;
        }
        Ok(())
    }

    fn event(&mut self, mut header: Header, body: &[u8], sets: &CharacterSets) -> Result<()> {
        if header.kind == kind::TRANSACTION_PAYLOAD {
            return self.payload(body, sets);
        }
        let Some(format) = self.format.clone() else { return Err(Fault::Torn(0).into()) };
        let mut plain = std::mem::take(&mut self.plain);
        let body = match expand(header.kind, body, &format, &mut plain)? {
            Some(kind) => {
                header.kind = kind;
                assert!(plain.len() <= 1100 * (body.len() + 100), "more than can be in it");
                &plain[..]
            }
            None => body,
        };
        let read = Event::of(&header, body, &format).map_err(crate::error::Error::from);
        let read = read.and_then(|event| self.say(event, sets));
        self.plain = plain;
        read
    }

    fn payload(&mut self, body: &[u8], sets: &CharacterSets) -> Result<()> {
        let (mut payload, head) = Payload::begin(body)?;
        let mut rest = &body[head..];
        self.said.push("payload".to_owned());
        loop {
            while let Some(range) = payload.next()? {
                let event = payload.window()[range].to_vec();
                let header = Header::of(&event).map_err(Fault::torn(0))?;
                if header.kind == kind::TRANSACTION_PAYLOAD {
                    return Err(Fault::Unknown(header.kind).into());
                }
                self.event(header, &event[HEADER_BYTES..], sets)?;
            }
            let (taken, came) = payload.feed(rest)?;
            rest = &rest[taken..];
            if payload.is_complete() {
                return Ok(payload.finish()?);
            }
            if taken == 0 && !came {
                payload.complete()?;
            }
        }
    }

    fn say(&mut self, event: Event<'_>, sets: &CharacterSets) -> Result<()> {
        let said = match event {
            Event::TableMap(map) => {
                if !self.maps.knows(&map) {
                    let table = map.read().map_err(Fault::torn(kind::TABLE_MAP))?;
                    let definition = definition(&table);
                    self.maps.learn(&map, (Layout::of(&table, &definition, sets)?, definition));
                }
                format!("table {}", String::from_utf8_lossy(map.name))
            }
            Event::Rows(event) => {
                let said = format!("{:?}", event.change);
                if let Some((layout, definition)) = self.maps.get_mut(event.table) {
                    let (mut cells, mut all) = (definition.cells(), Vec::new());
                    let mut rows = layout.rows(event, &mut self.room)?;
                    while rows.advance()? {
                        rows.append(Image::Before, &mut cells)?;
                        rows.append(Image::After, &mut cells)?;
                        rows.changed(&[0, 1]);
                    }
                    all.extend(cells.iter_mut().map(|cells| format!("{:?}", cells.finish())));
                    self.cells.extend(all);
                }
                said
            }
            Event::Query(query) => String::from_utf8_lossy(query.sql).chars().take(12).collect(),
            Event::Transaction(transaction) => transaction.gtid.map_or("anonymous".to_owned(), |gtid| gtid.to_string()),
            Event::MariadbTransaction(transaction) => transaction.gtid.to_string(),
            Event::Nothing => return Ok(()),
            Event::Rotate(_) => "rotate".to_owned(),
            Event::XaPrepare(_) => "prepare".to_owned(),
            Event::Xid(_) => "xid".to_owned(),
            other => format!("{other:?}").chars().take_while(|c| c.is_alphabetic()).collect(),
        };
        self.said.push(said);
        Ok(())
    }
}

#[test]
fn files_of_real_servers_are_read() {
    let sets = sets();
    let said = FILES.map(|file| {
        let mut replay = Replay::default();
        replay.file(file, true, &sets).unwrap();
        (replay.said.join(" "), replay.cells.join("\n"))
    });
    let source = "825b6818-e633-11f1-9955-02fc00000001";
    for words in ["Format PreviousGtids", "table t Insert xid", "payload BEGIN table t Delete xid", "prepare", "rotate"]
    {
        assert!(said[0].0.contains(words), "{words}: {}", said[0].0);
    }
    assert!(said[0].0.contains(&format!("{source}:tag:1 BEGIN table t Delete")), "{}", said[0].0);
    for words in ["Format GtidList", "table t Insert", "table t Delete", "create table", "0-1-"] {
        assert!(said[1].0.contains(words), "{words}: {}", said[1].0);
    }
    for (_, cells) in &said {
        for value in
            ["18446744073709551615", "-123456789012", "2024-02-29", "9999-12-31T23:59:59.999999", "x,z", "\"ü\""]
        {
            assert!(cells.contains(value), "{value}: {cells}");
        }
    }
    // A document, and the same after a difference.
    for value in [r#"{"a": [7, 2.5, "#, r#"{"a": [7, "z", "#] {
        let shown = value.replace('"', "\\\"");
        assert!(said[0].1.contains(&shown), "{shown}: {}", said[0].1);
    }
    for value in ["::1", "10.0.0.1", &"z".repeat(500)] {
        assert!(said[1].1.contains(value), "{value}");
    }
}

#[test]
fn any_damage_is_told_by_the_checksum() {
    let sets = sets();
    for file in FILES {
        for at in (MAGIC..file.len()).step_by(7) {
            let mut damaged = file.to_vec();
            damaged[at] ^= 1 << (at % 8);
            assert!(Replay::default().file(&damaged, true, &sets).is_err(), "{at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_damage_makes_it_panic(
        which in 0..FILES.len(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut file = FILES[which].to_vec();
        for (at, byte) in flips {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(end) = end {
            file.truncate(end.index(file.len()));
        }
        let sets = SETS.with(CharacterSets::clone);
        let _ = Replay::default().file(&file, false, &sets);
    }
}

thread_local! {
    static SETS: CharacterSets = sets();
}
