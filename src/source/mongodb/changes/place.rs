//! Where a change stream has come to.

use mongodb::bson::{Document, RawDocument, RawDocumentBuf, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::source::documents::json::{self, Form};
use crate::source::documents::write::{self, Dialect};

/// A place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The server's own mark, in canonical Extended JSON; a stream goes on behind it. Without one it begins with what was
    /// committed at `time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Value>,
    /// `seconds.number` by the cluster's clock: nothing up to here was committed later.
    pub time: String,
}

impl Place {
    /// Behind a resume token, at a time that is not before it.
    pub fn behind(token: &[u8], time: Timestamp) -> Result<Self> {
        let mut text = Vec::new();
        json::document(&mut text, token, Form::Canonical).map_err(|_| odd())?;
        let token = serde_json::from_slice(&text).map_err(|_| odd())?;
        Ok(Self { token: Some(token), time: shown(time) })
    }

    /// At a time, whatever is committed then included.
    pub fn at(time: Timestamp) -> Self {
        Self { token: None, time: shown(time) }
    }

    pub fn of(value: &Value) -> Result<Self> {
        serde_json::from_value(value.clone())
            .map_err(|_| Error::conflict("the stream's position is not that of a change stream of MongoDB"))
    }

    pub fn value(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|e| Error::bug(e.to_string()))
    }

    /// The options with which a stream goes on here.
    pub fn options(&self) -> Result<Document> {
        let mut options = Document::new();
        match &self.token {
            Some(token) => {
                let bytes = write::document(&token.to_string(), Dialect::Extended).map_err(|_| odd())?;
                let raw = RawDocumentBuf::from_bytes(bytes).map_err(|_| odd())?;
                let token = Document::try_from(raw.as_ref()).map_err(|_| odd())?;
                // Also behind the end of a collection, which `resumeAfter` refuses.
                options.insert("startAfter", token);
            }
            None => {
                options.insert("startAtOperationTime", self.time()?);
            }
        }
        Ok(options)
    }

    /// The time by the cluster's clock.
    pub fn time(&self) -> Result<Timestamp> {
        parsed(&self.time).ok_or_else(odd)
    }
}

fn odd() -> Error {
    Error::conflict("the stream's position is not that of a change stream of MongoDB")
}

/// `seconds.number`.
pub fn shown(time: Timestamp) -> String {
    format!("{}.{}", time.time, time.increment)
}

pub fn parsed(text: &str) -> Option<Timestamp> {
    let (time, increment) = text.split_once('.')?;
    Some(Timestamp { time: time.parse().ok()?, increment: increment.parse().ok()? })
}

/// The time that a resume token has at its beginning, where it is written as MongoDB writes it.
pub fn token_time(token: Option<&[u8]>) -> Option<Timestamp> {
    let token = RawDocument::from_bytes(token?).ok()?;
    let data = token.get_str("_data").ok()?;
    // The type of a timestamp, its seconds and its number; a token is longer.
    let number = |range| u32::from_str_radix(data.get(range)?, 16).ok();
    let is_known = data.len() > 18 && data.starts_with("82");
    is_known.then_some(Timestamp { time: number(2..10)?, increment: number(10..18)? })
}

/// What a reply tells of how far the server has looked: a resume token, and the time by the cluster's clock.
pub fn told(reply: &RawDocument) -> Result<(Option<&[u8]>, Option<Timestamp>)> {
    let token = reply.get_document("cursor").ok().and_then(|cursor| cursor.get_document("postBatchResumeToken").ok());
    let cluster = reply.get_document("$clusterTime").ok().and_then(|time| time.get_timestamp("clusterTime").ok());
    // The first is of what most members have, and may be before the token.
    let time = reply.get_timestamp("operationTime").ok().max(cluster);
    Ok((token.map(RawDocument::as_bytes), time))
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{doc, rawdoc};
    use serde_json::json;

    use super::*;

    #[test]
    fn comes_back_as_it_was() {
        let token = rawdoc! { "_data": "82AB" };
        let place = Place::behind(token.as_bytes(), Timestamp { time: 7, increment: 2 }).unwrap();
        let value = place.value().unwrap();
        assert_eq!(value, json!({ "token": { "_data": "82AB" }, "time": "7.2" }));
        let again = Place::of(&value).unwrap();
        assert_eq!(again.options().unwrap(), doc! { "startAfter": { "_data": "82AB" } });
        assert_eq!(again.time().unwrap(), Timestamp { time: 7, increment: 2 });
        let at = Place::at(Timestamp { time: 7, increment: 2 });
        assert_eq!(at.options().unwrap(), doc! { "startAtOperationTime": Timestamp { time: 7, increment: 2 } });
        assert!(Place::of(&json!({ "lsn": "0/1" })).is_err());
    }

    #[test]
    fn a_token_tells_its_time() {
        let token = rawdoc! { "_data": "8265F0A1B2000000072B0429296E1404" };
        let time = Timestamp { time: 0x65F0_A1B2, increment: 7 };
        assert_eq!(token_time(Some(token.as_bytes())), Some(time));
        for other in ["", "82", "01000000", "zz65F0A1B2000000072B0429"] {
            assert_eq!(token_time(Some(rawdoc! { "_data": other }.as_bytes())), None);
        }
    }

    #[test]
    fn what_a_reply_tells() {
        let time = Timestamp { time: 5, increment: 1 };
        let reply = rawdoc! { "cursor": { "postBatchResumeToken": { "_data": "8200" } }, "operationTime": time };
        let (token, at) = told(&reply).unwrap();
        assert_eq!((token, at), (Some(rawdoc! { "_data": "8200" }.as_bytes()), Some(time)));
        assert_eq!(told(&rawdoc! {}).unwrap(), (None, None));
    }
}
