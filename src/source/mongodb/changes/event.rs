//! What a change stream tells, taken from its bytes.

use mongodb::bson::Timestamp;

use crate::error::{Error, Result};
use crate::source::documents::bson::{Elements, Torn, Value};

/// One event, borrowed.
#[derive(Debug, Clone, Default)]
pub struct Event<'a> {
    /// The resume token behind it.
    pub token: &'a [u8],
    pub kind: Kind,
    pub database: &'a str,
    pub collection: &'a str,
    /// Where a renamed collection went: its database and its name.
    pub to: Option<(&'a str, &'a str)>,
    /// `{ _id: … }`, of a sharded collection with the shard key's fields.
    pub key: Option<&'a [u8]>,
    pub document: Option<&'a [u8]>,
    pub before: Option<&'a [u8]>,
    /// What an update set and removed.
    pub update: Option<&'a [u8]>,
    /// When it was committed, by the cluster's clock.
    pub time: Option<Timestamp>,
    /// The same by the server's wall clock, in milliseconds.
    pub wall: Option<i64>,
    /// Tells its transaction from others: session and number; `None` outside of one.
    pub transaction: Option<(&'a [u8], i64)>,
    /// It is one of several pieces: which, and of how many.
    pub piece: Option<(i32, i32)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    Insert,
    Update,
    Replace,
    Delete,
    /// The collection went.
    Drop,
    Rename,
    DropDatabase,
    /// The stream ends here; another one goes on behind.
    Invalidate,
    /// What tells nothing of documents.
    #[default]
    Other,
}

impl Kind {
    fn of(text: &[u8]) -> Self {
        match text {
            b"insert" => Kind::Insert,
            b"update" => Kind::Update,
            b"replace" => Kind::Replace,
            b"delete" => Kind::Delete,
            b"drop" => Kind::Drop,
            b"rename" => Kind::Rename,
            b"dropDatabase" => Kind::DropDatabase,
            b"invalidate" => Kind::Invalidate,
            _ => Kind::Other,
        }
    }
}

impl<'a> Event<'a> {
    pub fn of(bytes: &'a [u8]) -> Result<Self> {
        Self::read(bytes).map_err(|_| Error::data("an event of the change stream is not BSON"))
    }

    fn read(bytes: &'a [u8]) -> Result<Self, Torn> {
        let mut event = Self::default();
        let (mut session, mut number) = (None, None);
        let mut elements = Elements::of(bytes)?;
        while let Some((name, value)) = elements.advance()? {
            match (name, value) {
                (b"_id", Value::Record(token)) => event.token = token,
                (b"operationType", Value::Text(text)) => event.kind = Kind::of(text),
                (b"ns", Value::Record(of)) => (event.database, event.collection) = namespace(of)?,
                (b"to", Value::Record(of)) => event.to = Some(namespace(of)?),
                (b"documentKey", Value::Record(key)) => event.key = Some(key),
                (b"fullDocument", Value::Record(document)) => event.document = Some(document),
                (b"fullDocumentBeforeChange", Value::Record(before)) => event.before = Some(before),
                (b"updateDescription", Value::Record(update)) => event.update = Some(update),
                (b"clusterTime", Value::Timestamp { seconds, ordinal }) => {
                    event.time = Some(Timestamp { time: seconds, increment: ordinal });
                }
                (b"wallTime", Value::Instant(millis)) => event.wall = Some(millis),
                (b"lsid", Value::Record(id)) => session = Some(id),
                (b"txnNumber", Value::Int64(of)) => number = Some(of),
                (b"splitEvent", Value::Record(of)) => event.piece = piece(of)?,
                _ => {}
            }
        }
        event.transaction = session.zip(number);
        Ok(event)
    }

    /// Microseconds since 1970, UTC.
    pub fn committed_at(&self) -> Option<i64> {
        let by_cluster = self.time.map(|time| i64::from(time.time) * 1_000_000);
        self.wall.and_then(|millis| millis.checked_mul(1000)).or(by_cluster)
    }
}

fn namespace(of: &[u8]) -> Result<(&str, &str), Torn> {
    let (mut elements, mut found) = (Elements::of(of)?, ("", ""));
    while let Some((name, value)) = elements.advance()? {
        let Value::Text(text) = value else { continue };
        let text = std::str::from_utf8(text).map_err(|_| Torn)?;
        match name {
            b"db" => found.0 = text,
            b"coll" => found.1 = text,
            _ => {}
        }
    }
    Ok(found)
}

fn piece(of: &[u8]) -> Result<Option<(i32, i32)>, Torn> {
    let (mut elements, mut found) = (Elements::of(of)?, (0, 0));
    while let Some((name, value)) = elements.advance()? {
        match (name, value) {
            (b"fragment", Value::Int32(fragment)) => found.0 = fragment,
            (b"of", Value::Int32(of)) => found.1 = of,
            _ => {}
        }
    }
    Ok((found.1 > 1).then_some(found))
}

/// Events too large for one reply come in pieces: fields that one piece has, the others have not, but for those that tell
/// whose event it is.
#[derive(Debug, Default)]
pub struct Pieces {
    bytes: Vec<u8>,
    next: i32,
}

impl Pieces {
    /// Takes a piece. With the last one the event is whole, and is given back.
    pub fn add(&mut self, piece: &[u8], (number, of): (i32, i32)) -> Result<Option<Vec<u8>>> {
        let torn = || Error::data("a piece of an event of the change stream is missing");
        if number == 1 {
            self.bytes.clear();
        } else if number != self.next || self.bytes.is_empty() {
            return Err(torn());
        }
        self.next = number + 1;
        let fields = piece.get(4..piece.len().saturating_sub(1)).ok_or_else(torn)?;
        if self.bytes.is_empty() {
            self.bytes.extend_from_slice(&[0; 4]);
        }
        self.bytes.extend_from_slice(fields);
        if number < of {
            return Ok(None);
        }
        let mut whole = std::mem::take(&mut self.bytes);
        whole.push(0);
        let length = i32::try_from(whole.len()).map_err(|_| torn())?;
        whole[..4].copy_from_slice(&length.to_le_bytes());
        Ok(Some(whole))
    }

    /// Whether a whole event has come.
    pub fn is_between(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{DateTime, RawBson, rawdoc};

    use super::*;

    #[test]
    fn an_event_is_read() {
        let raw = rawdoc! {
            "_id": { "_data": "82" },
            "operationType": "update",
            "clusterTime": Timestamp { time: 9, increment: 3 },
            "wallTime": DateTime::from_millis(9_500),
            "ns": { "db": "shop", "coll": "orders" },
            "documentKey": { "_id": 7 },
            "fullDocument": { "_id": 7, "a": 1 },
            "updateDescription": { "updatedFields": { "a": 1 } },
            "lsid": { "id": "s" },
            "txnNumber": 4_i64,
        };
        let event = Event::of(raw.as_bytes()).unwrap();
        assert_eq!((event.kind, event.database, event.collection), (Kind::Update, "shop", "orders"));
        assert_eq!(event.time, Some(Timestamp { time: 9, increment: 3 }));
        assert_eq!(event.committed_at(), Some(9_500_000));
        assert_eq!(event.transaction.map(|(_, number)| number), Some(4));
        assert_eq!(event.key, Some(rawdoc! { "_id": 7 }.as_bytes()));
        assert!(event.document.is_some() && event.before.is_none() && event.piece.is_none());
        let none = rawdoc! { "operationType": "update", "fullDocument": RawBson::Null };
        assert_eq!(Event::of(none.as_bytes()).unwrap().document, None);
    }

    #[test]
    fn pieces_make_one_event() {
        let first = rawdoc! { "_id": { "_data": "1" }, "operationType": "update", "documentKey": { "_id": 7 }, "splitEvent": { "fragment": 1, "of": 2 } };
        let second =
            rawdoc! { "_id": { "_data": "2" }, "fullDocument": { "_id": 7 }, "splitEvent": { "fragment": 2, "of": 2 } };
        let mut pieces = Pieces::default();
        assert_eq!(pieces.add(first.as_bytes(), (1, 2)).unwrap(), None);
        assert!(!pieces.is_between());
        let whole = pieces.add(second.as_bytes(), (2, 2)).unwrap().unwrap();
        let event = Event::of(&whole).unwrap();
        assert_eq!((event.kind, event.document), (Kind::Update, Some(rawdoc! { "_id": 7 }.as_bytes())));
        // A stream goes on behind the last piece.
        assert_eq!(event.token, rawdoc! { "_data": "2" }.as_bytes());
        assert!(pieces.is_between());
        assert!(pieces.add(second.as_bytes(), (2, 2)).is_err());
    }
}
