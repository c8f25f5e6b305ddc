//! Character sets: the log has texts as they are stored, a query has them converted by the server. So that both give the
//! same, the server is asked what each code of a set is, once for each set that is met.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::source::mysql::client::Failure;
use crate::source::mysql::connect::{Connection, number, text};

/// How the bytes of a text become UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coding {
    /// As they are.
    Utf8,
    /// Two bytes, and four for what is beyond; `true` for the highest byte first.
    Utf16(bool),
    Utf32,
    Codes(Box<Codes>),
}

/// What each code of a set is; 0 where it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    single: Vec<u32>,
    /// By two bytes; empty where there are none.
    double: Vec<u32>,
    /// By the two bytes behind a first one that is always the same.
    triple: Option<(u8, Vec<u32>)>,
    /// GB18030: of its codes of four bytes, those of the first plane.
    quadruple: Vec<u32>,
    /// The first half are the same as in ASCII.
    has_ascii: bool,
}

/// What stands for what is no character.
const UNKNOWN: u8 = b'?';

impl Coding {
    #[cfg(test)]
    pub fn of_single(single: Vec<u32>) -> Self {
        Coding::Codes(Box::new(Codes {
            single,
            double: Vec::new(),
            triple: None,
            quadruple: Vec::new(),
            has_ascii: true,
        }))
    }

    /// Adds a text to `out`.
    pub fn decode(&self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Coding::Utf8 => out.extend_from_slice(bytes),
            Coding::Utf16(is_big) => {
                let (units, rest) = bytes.as_chunks::<2>();
                let unit = |unit: &[u8; 2]| if *is_big { u16::from_be_bytes(*unit) } else { u16::from_le_bytes(*unit) };
                for c in char::decode_utf16(units.iter().map(unit)) {
                    push(c.map_or(u32::MAX, u32::from), out);
                }
                out.extend(rest.first().map(|_| UNKNOWN));
            }
            Coding::Utf32 => {
                let (units, rest) = bytes.as_chunks::<4>();
                units.iter().for_each(|unit| push(u32::from_be_bytes(*unit), out));
                out.extend(rest.first().map(|_| UNKNOWN));
            }
            Coding::Codes(codes) if codes.has_ascii && bytes.is_ascii() => out.extend_from_slice(bytes),
            Coding::Codes(codes) => codes.decode(bytes, out),
        }
    }
}

fn push(c: u32, out: &mut Vec<u8>) {
    match char::from_u32(c) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.push(UNKNOWN),
    }
}

impl Codes {
    fn decode(&self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while let Some(&first) = bytes.first() {
            let (c, length) = self.first(bytes);
            match c {
                // The code 0 is the character 0.
                0 if first != 0 => out.push(UNKNOWN),
                c => push(c, out),
            }
            bytes = bytes.get(length..).unwrap_or_default();
        }
    }

    /// The first character, and how many bytes it takes.
    fn first(&self, bytes: &[u8]) -> (u32, usize) {
        let at = |codes: &[u32], high: u8, low: u8| codes.get(usize::from(high) << 8 | usize::from(low)).copied();
        let known = |c: Option<u32>| c.filter(|c| *c != 0);
        let single = self.single.get(usize::from(bytes[0])).copied();
        match (bytes, &self.triple) {
            (&[a, ..], _) if known(single).is_some() || a == 0 => (single.unwrap_or_default(), 1),
            (&[a, b, c, ..], Some((lead, codes))) if a == *lead && known(at(codes, b, c)).is_some() => {
                (at(codes, b, c).unwrap_or_default(), 3)
            }
            (&[a, b, ..], _) if known(at(&self.double, a, b)).is_some() => {
                (at(&self.double, a, b).unwrap_or_default(), 2)
            }
            (&[a, b, c, d, ..], _) if !self.quadruple.is_empty() => match linear([a, b, c, d]) {
                Some(number @ 189_000..) => (number - 189_000 + 0x1_0000, 4),
                Some(number) => match known(self.quadruple.get(number as usize).copied()) {
                    Some(c) => (c, 4),
                    None => (0, 4),
                },
                None => (0, 1),
            },
            _ => (0, 1),
        }
    }
}

/// The place of a code of four bytes among all of them.
fn linear([a, b, c, d]: [u8; 4]) -> Option<u32> {
    let digit = |byte: u8, from: u8, to: u8| (from..=to).contains(&byte).then(|| u32::from(byte - from));
    let (a, b) = (digit(a, 0x81, 0xfe)?, digit(b, 0x30, 0x39)?);
    let (c, d) = (digit(c, 0x81, 0xfe)?, digit(d, 0x30, 0x39)?);
    Some(((a * 10 + b) * 126 + c) * 10 + d)
}

fn code(number: u32) -> [u8; 4] {
    let (rest, d) = (number / 10, number % 10);
    let (rest, c) = (rest / 126, rest % 126);
    let (a, b) = (rest / 10, rest % 10);
    [0x81 + a as u8, 0x30 + b as u8, 0x81 + c as u8, 0x30 + d as u8]
}

/// The character sets that a server has, and those of them that it was asked about.
#[derive(Debug, Clone, Default)]
pub struct CharacterSets {
    /// The set of each collation, by its number in the log.
    of_collation: BTreeMap<u16, String>,
    codings: BTreeMap<String, Arc<Coding>>,
}

/// The set of what is no text.
pub const BINARY: &str = "binary";

impl CharacterSets {
    /// Asks which sets there are.
    pub async fn of(connection: &mut Connection) -> Result<Self, Failure> {
        // MariaDB's newer collations have numbers only in the second table, and older versions of it no numbers there.
        let sql = "select id, character_set_name from information_schema.collations where id is not null";
        let mut rows = connection.rows(sql, ()).await?;
        if connection.is_mariadb {
            let sql = "select id, character_set_name from information_schema.collation_character_set_applicability \
                       where id is not null";
            rows.extend(connection.rows(sql, ()).await.unwrap_or_default());
        }
        let mut sets = Self::default();
        for row in &rows {
            if let Some(id) = number(row, 0).and_then(|id| u16::try_from(id).ok()) {
                sets.of_collation.insert(id, text(row, 1));
            }
        }
        Ok(sets)
    }

    /// The set of a collation.
    pub fn name(&self, collation: u16) -> Option<&str> {
        self.of_collation.get(&collation).map(String::as_str)
    }

    /// How texts of a set are read, if that was asked about ([`CharacterSets::learn`]).
    pub fn coding(&self, name: &str) -> Option<Arc<Coding>> {
        self.codings.get(name).cloned()
    }

    /// Asks about a set, unless that was done.
    pub async fn learn(&mut self, connection: &mut Connection, name: &str) -> Result<(), Failure> {
        if name == BINARY || self.codings.contains_key(name) {
            return Ok(());
        }
        let coding = match name {
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => Coding::Utf8,
            "ucs2" | "utf16" => Coding::Utf16(true),
            "utf16le" => Coding::Utf16(false),
            "utf32" => Coding::Utf32,
            _ => Coding::Codes(Box::new(Asking { connection, name }.codes().await?)),
        };
        self.codings.insert(name.to_owned(), Arc::new(coding));
        Ok(())
    }

    #[cfg(test)]
    pub fn with(collations: &[(u16, &str, Coding)]) -> Self {
        Self::default().and(collations)
    }

    #[cfg(test)]
    pub fn and(mut self, collations: &[(u16, &str, Coding)]) -> Self {
        for (id, name, coding) in collations {
            self.of_collation.insert(*id, (*name).to_owned());
            self.codings.insert((*name).to_owned(), Arc::new(coding.clone()));
        }
        self
    }
}

/// Asks a server about one of its sets.
struct Asking<'a> {
    connection: &'a mut Connection,
    name: &'a str,
}

/// How many codes one statement asks about.
const AT_ONCE: usize = 256;

impl Asking<'_> {
    async fn codes(mut self) -> Result<Codes, Failure> {
        let sql = "select maxlen from information_schema.character_sets where character_set_name = ?";
        let longest = self.connection.rows(sql, (self.name,)).await?.first().and_then(|row| number(row, 0));
        let single = self.ask((0..=0xff).map(|byte| vec![byte]).collect()).await?;
        let has_ascii = (0..0x80).all(|byte| single[byte] == byte as u32);
        let mut codes = Codes { single, double: Vec::new(), triple: None, quadruple: Vec::new(), has_ascii };
        let leads: Vec<u8> = (0x80..=0xff).filter(|lead| codes.single[usize::from(*lead)] == 0).collect();
        if longest >= Some(2) {
            codes.double = vec![0; 1 << 16];
            for &lead in &leads {
                self.pairs(&[lead], &mut codes.double[usize::from(lead) << 8..]).await?;
            }
        }
        if longest == Some(3) {
            // Both sets with codes of three bytes are of the EUC family.
            const LEAD: u8 = 0x8f;
            let mut triple = vec![0; 1 << 16];
            for second in 0xa1..=0xfe {
                self.pairs(&[LEAD, second], &mut triple[usize::from(second) << 8..]).await?;
            }
            codes.triple = Some((LEAD, triple));
        }
        if longest == Some(4) {
            // As many as the first plane has beyond those of two bytes.
            codes.quadruple = self.ask((0..39_420).map(|number| code(number).to_vec()).collect()).await?;
        }
        Ok(codes)
    }

    /// The codes that begin so and have one more byte.
    async fn pairs(&mut self, begin: &[u8], to: &mut [u32]) -> Result<(), Failure> {
        let codes = (0x30..=0xff).map(|byte| [begin, &[byte]].concat()).collect();
        to[0x30..=0xff].copy_from_slice(&self.ask(codes).await?);
        Ok(())
    }

    /// The character of each code; 0 for what is none.
    async fn ask(&mut self, codes: Vec<Vec<u8>>) -> Result<Vec<u32>, Failure> {
        let mut characters = Vec::with_capacity(codes.len());
        for codes in codes.chunks(AT_ONCE) {
            let of = |code: &Vec<u8>| {
                format!("convert(convert(x'{}' using {}) using utf8mb4)", hex::encode(code), self.name)
            };
            let items: Vec<_> = codes.iter().map(of).collect();
            let rows = self.connection.texts(&format!("select {}", items.join(", "))).await?;
            for (index, code) in codes.iter().enumerate() {
                let said = rows.first().map(|row| text(row, index)).unwrap_or_default();
                let mut all = said.chars();
                // One that the set has and no character is also comes as a question mark; two of them are two codes.
                characters.push(match (all.next(), all.next()) {
                    (Some('?'), None) if code != b"?" && code.len() == 1 => 0,
                    (Some(c), None) => c.into(),
                    _ => 0,
                });
            }
        }
        Ok(characters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coding: &Coding, bytes: &[u8]) -> String {
        let mut out = Vec::new();
        coding.decode(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn codes_of_one_byte_and_more() {
        let mut codes = Codes {
            single: (0..0x80).chain(std::iter::repeat_n(0, 0x80)).collect(),
            double: vec![0; 1 << 16],
            triple: Some((0x8f, vec![0; 1 << 16])),
            quadruple: Vec::new(),
            has_ascii: true,
        };
        codes.single[0xe9] = 'é'.into();
        codes.double[0x8140] = '日'.into();
        if let Some((_, triple)) = &mut codes.triple {
            triple[0xa1a2] = '¡'.into();
        }
        let coding = Coding::Codes(Box::new(codes));
        assert_eq!(decoded(&coding, b"plain"), "plain");
        assert_eq!(decoded(&coding, b"a\xe9\x81\x40\x8f\xa1\xa2\0z\xff\x81"), "aé日¡\0z??");
    }

    #[test]
    fn units_of_two_and_four_bytes() {
        assert_eq!(decoded(&Coding::Utf16(true), b"\x04\x36\xd8\x3d\xde\x00\xd8\x00"), "ж😀?");
        assert_eq!(decoded(&Coding::Utf16(false), b"\x36\x04\x41"), "ж?");
        assert_eq!(decoded(&Coding::Utf32, b"\0\x01\xf6\0\0\0\0\0\xff\xff\xff\xff"), "😀\0?");
    }

    #[test]
    fn codes_of_four_bytes_have_an_order() {
        assert_eq!(linear([0x81, 0x30, 0x81, 0x30]), Some(0));
        assert_eq!(linear([0x90, 0x30, 0x81, 0x30]), Some(189_000));
        assert!((0..39_420).all(|number| linear(code(number)) == Some(number)));
        assert_eq!(linear([0x81, 0x40, 0x81, 0x30]), None);
    }
}
