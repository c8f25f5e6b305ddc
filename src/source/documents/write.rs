//! BSON of JSON: plain JSON, as APIs send it, and Extended JSON, as [`json`](super::json) writes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::bson::UUID;
use super::bson::kind::{
    BINARY, BOOL, CODE, CODE_WITH_SCOPE, DECIMAL, DOUBLE, INSTANT, INT32, INT64, LIST, MAX_KEY, MIN_KEY, NULL,
    OBJECT_ID, POINTER, RECORD, REGEX, SYMBOL, TEXT, TIMESTAMP, UNDEFINED,
};
use super::decimal::Decimal;

/// What objects with a first name such as `$oid` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Objects as others.
    Plain,
    /// Values of types that JSON has not.
    Extended,
}

/// The document that a text of JSON says; an error says what is wrong, with no piece of the text.
pub fn document(text: &str, dialect: Dialect) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let seed = Seed { out: &mut out, place: Place::Root, dialect };
    let read = seed.deserialize(&mut reader).and_then(|()| reader.end());
    match read {
        Ok(()) => Ok(out),
        Err(error) if error.is_data() => {
            Err(format!("is no such document (line {}, column {})", error.line(), error.column()))
        }
        Err(error) => Err(format!("is not JSON (line {}, column {})", error.line(), error.column())),
    }
}

/// Where a value goes.
#[derive(Clone, Copy)]
enum Place {
    /// It is the document.
    Root,
    /// It is a field, of which the type goes to this byte, and the name stands behind.
    Field(usize),
}

struct Seed<'a> {
    out: &'a mut Vec<u8>,
    place: Place,
    dialect: Dialect,
}

impl Seed<'_> {
    /// Notes the type of the value that follows.
    fn kind<E: serde::de::Error>(&mut self, kind: u8) -> Result<(), E> {
        match self.place {
            Place::Root if kind == RECORD => {}
            Place::Root => return Err(E::custom("a document is an object")),
            Place::Field(at) => self.out[at] = kind,
        }
        Ok(())
    }

    fn put<E: serde::de::Error>(mut self, kind: u8, bytes: &[u8]) -> Result<(), E> {
        self.kind(kind)?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn text<E: serde::de::Error>(mut self, kind: u8, text: &str) -> Result<(), E> {
        self.kind(kind)?;
        string(self.out, text);
        Ok(())
    }
}

/// A text with its length before it, and a zero behind it.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32 + 1).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// A field of a document that is a text, or what should be one. There is no zero in its name.
pub fn text(out: &mut Vec<u8>, name: &[u8], text: &[u8]) {
    field(out, TEXT, name);
    out.extend_from_slice(&(text.len() as u32 + 1).to_le_bytes());
    out.extend_from_slice(text);
    out.push(0);
}

/// A field of a document that is null.
pub fn null(out: &mut Vec<u8>, name: &[u8]) {
    field(out, NULL, name);
}

/// The beginning of a field that is a document or a list, which [`end`] ends.
pub fn begin_field(out: &mut Vec<u8>, name: &[u8], is_list: bool) -> usize {
    field(out, if is_list { LIST } else { RECORD }, name);
    begin(out)
}

fn field(out: &mut Vec<u8>, kind: u8, name: &[u8]) {
    out.push(kind);
    out.extend_from_slice(name);
    out.push(0);
}

/// A name, which ends with a zero, and so has none in it.
fn name<E: serde::de::Error>(out: &mut Vec<u8>, name: &str) -> Result<(), E> {
    if name.contains('\0') {
        return Err(E::custom("a name has a zero in it"));
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    Ok(())
}

/// Room for a document's length, and, once it is there, the length.
pub fn begin(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    at
}

/// Ends a document that begins there.
pub fn end(out: &mut Vec<u8>, at: usize) {
    out.push(0);
    length(out, at);
}

/// Notes there how long what begins there is.
pub(super) fn length(out: &mut [u8], at: usize) {
    let length = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.put(NULL, &[])
    }

    fn visit_bool<E: serde::de::Error>(self, of: bool) -> Result<(), E> {
        self.put(BOOL, &[of.into()])
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        match i32::try_from(number) {
            Ok(number) => self.put(INT32, &number.to_le_bytes()),
            Err(_) => self.put(INT64, &number.to_le_bytes()),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => {
                let coefficient = number.into();
                let decimal = Decimal::Finite { is_negative: false, coefficient, exponent: 0 };
                self.put(DECIMAL, &decimal.bits().to_le_bytes())
            }
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        self.put(DOUBLE, &number.to_le_bytes())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.text(TEXT, text)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.kind(LIST)?;
        let (at, mut buffer, mut count) = (begin(self.out), itoa::Buffer::new(), 0usize);
        loop {
            let begun = self.out.len();
            self.out.push(0);
            self.out.extend_from_slice(buffer.format(count).as_bytes());
            self.out.push(0);
            let seed = Seed { out: self.out, place: Place::Field(begun), dialect: self.dialect };
            if items.next_element_seed(seed)?.is_none() {
                self.out.truncate(begun);
                break;
            }
            count += 1;
        }
        end(self.out, at);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let mut first: Option<String> = members.next_key()?;
        if let Some(special) =
            first.as_deref().filter(|name| self.dialect == Dialect::Extended && name.starts_with('$'))
        {
            // A record with such a name, as a reference has, is one as others are.
            if SPECIAL.contains(&special) {
                let special = special.to_owned();
                return extended(self, &special, members);
            }
        }
        self.kind(RECORD)?;
        let at = begin(self.out);
        while let Some(key) = first {
            let begun = self.out.len();
            self.out.push(0);
            name(self.out, &key)?;
            members.next_value_seed(Seed { out: self.out, place: Place::Field(begun), dialect: self.dialect })?;
            first = members.next_key()?;
        }
        end(self.out, at);
        Ok(())
    }
}

const SPECIAL: [&str; 16] = [
    "$binary",
    "$code",
    "$date",
    "$dbPointer",
    "$maxKey",
    "$minKey",
    "$numberDecimal",
    "$numberDouble",
    "$numberInt",
    "$numberLong",
    "$oid",
    "$regularExpression",
    "$symbol",
    "$timestamp",
    "$undefined",
    "$uuid",
];

/// A value of a type that JSON has not.
fn extended<'de, A: MapAccess<'de>>(mut seed: Seed<'_>, special: &str, mut members: A) -> Result<(), A::Error> {
    let wrong = || A::Error::custom("a value of Extended JSON has another form");
    match special {
        "$date" => {
            let millis = members.next_value::<Moment>()?.millis().ok_or_else(wrong)?;
            seed.put(INSTANT, &millis.to_le_bytes())?;
        }
        "$binary" => {
            let Binary { base64, subtype } = members.next_value()?;
            let bytes = STANDARD.decode(base64).map_err(|_| wrong())?;
            let subtype = u8::from_str_radix(&subtype, 16).map_err(|_| wrong())?;
            binary(seed, subtype, &bytes)?;
        }
        "$timestamp" => {
            let Timestamp { t, i } = members.next_value()?;
            seed.put(TIMESTAMP, &(u64::from(t) << 32 | u64::from(i)).to_le_bytes())?;
        }
        "$regularExpression" => {
            let Regex { pattern, options } = members.next_value()?;
            seed.kind(REGEX)?;
            name(seed.out, &pattern)?;
            name(seed.out, &options)?;
        }
        "$dbPointer" => {
            let Pointer { namespace, id } = members.next_value()?;
            seed.kind(POINTER)?;
            string(seed.out, &namespace);
            seed.out.extend_from_slice(&object_id(&id.oid).ok_or_else(wrong)?);
        }
        "$minKey" | "$maxKey" => {
            members.next_value::<i32>()?;
            seed.put(if special == "$minKey" { MIN_KEY } else { MAX_KEY }, &[])?;
        }
        "$undefined" => {
            members.next_value::<bool>()?;
            seed.put(UNDEFINED, &[])?;
        }
        "$code" => return code(seed, members),
        _ => {
            let text: String = members.next_value()?;
            of_text(seed, special, &text).ok_or_else(wrong)??;
        }
    }
    match members.next_key::<String>()? {
        None => Ok(()),
        Some(_) => Err(wrong()),
    }
}

/// Values whose form is one text. `None` where it is none of theirs.
fn of_text<E: serde::de::Error>(seed: Seed<'_>, special: &str, text: &str) -> Option<Result<(), E>> {
    Some(match special {
        "$oid" => seed.put(OBJECT_ID, &object_id(text)?),
        "$numberInt" => seed.put(INT32, &text.parse::<i32>().ok()?.to_le_bytes()),
        "$numberLong" => seed.put(INT64, &text.parse::<i64>().ok()?.to_le_bytes()),
        "$numberDouble" => {
            let number = match text {
                "Infinity" => f64::INFINITY,
                "-Infinity" => f64::NEG_INFINITY,
                "NaN" => f64::NAN,
                text => text.parse().ok().filter(|number: &f64| number.is_finite())?,
            };
            seed.put(DOUBLE, &number.to_le_bytes())
        }
        "$numberDecimal" => seed.put(DECIMAL, &Decimal::parse(text)?.bits().to_le_bytes()),
        "$symbol" => seed.text(SYMBOL, text),
        "$uuid" => binary(seed, UUID, uuid::Uuid::try_parse(text).ok()?.as_bytes()),
        _ => return None,
    })
}

fn binary<E: serde::de::Error>(mut seed: Seed<'_>, subtype: u8, bytes: &[u8]) -> Result<(), E> {
    const OLD: u8 = 2;
    seed.kind(BINARY)?;
    let length = (bytes.len() as u32).to_le_bytes();
    let all = bytes.len() as u32 + if subtype == OLD { 4 } else { 0 };
    seed.out.extend_from_slice(&all.to_le_bytes());
    seed.out.push(subtype);
    if subtype == OLD {
        seed.out.extend_from_slice(&length);
    }
    seed.out.extend_from_slice(bytes);
    Ok(())
}

fn code<'de, A: MapAccess<'de>>(mut seed: Seed<'_>, mut members: A) -> Result<(), A::Error> {
    let code: String = members.next_value()?;
    match members.next_key::<String>()?.as_deref() {
        None => seed.text(CODE, &code),
        Some("$scope") => {
            seed.kind(CODE_WITH_SCOPE)?;
            let at = begin(seed.out);
            string(seed.out, &code);
            members.next_value_seed(Seed { out: seed.out, place: Place::Root, dialect: seed.dialect })?;
            length(seed.out, at);
            Ok(())
        }
        Some(_) => Err(A::Error::custom("code has a scope and nothing else")),
    }
}

fn object_id(text: &str) -> Option<[u8; 12]> {
    let mut id = [0; 12];
    hex::decode_to_slice(text, &mut id).ok()?;
    Some(id)
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Moment {
    Text(String),
    Number {
        #[serde(rename = "$numberLong")]
        millis: String,
    },
}

impl Moment {
    fn millis(&self) -> Option<i64> {
        match self {
            Moment::Text(text) => text.parse().ok().map(jiff::Timestamp::as_millisecond),
            Moment::Number { millis } => millis.parse().ok(),
        }
    }
}

#[derive(serde::Deserialize)]
struct Binary {
    base64: String,
    #[serde(rename = "subType")]
    subtype: String,
}

#[derive(serde::Deserialize)]
struct Timestamp {
    t: u32,
    i: u32,
}

#[derive(serde::Deserialize)]
struct Regex {
    pattern: String,
    options: String,
}

#[derive(serde::Deserialize)]
struct Pointer {
    #[serde(rename = "$ref")]
    namespace: String,
    #[serde(rename = "$id")]
    id: Id,
}

#[derive(serde::Deserialize)]
struct Id {
    #[serde(rename = "$oid")]
    oid: String,
}
