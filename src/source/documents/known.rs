//! What has come so far, as the columns of a table.

use arrow_schema::{DataType, Field as ArrowField};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::bson::{Elements, Value};
use super::fields::Fields;
use super::json::Fault;
use super::kinds::Kinds;
use super::schema;
use super::settings::{InvalidText, Settings};
use super::shape::Room;
use super::{REST, mend};
use crate::error::{Error, Result};
use crate::record::field;

/// The fields that have come; kept from run to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    pub fields: Fields,
    /// Of what types the table says that the values of each field are. More of them may have come since: that alone makes no other
    /// table.
    #[serde(default)]
    told: Vec<Kinds>,
    /// Some field has found no room for a column.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    full: bool,
    /// There are fields without a column of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rest: bool,
}

impl Known {
    /// Of the state of a commit.
    pub fn of(state: &Json) -> Result<Self> {
        match state {
            Json::Null => Ok(Self::default()),
            state => Self::deserialize(state)
                .map_err(|_| Error::conflict("the state of the last commit is not that of documents")),
        }
    }

    pub fn state(&self) -> Result<Json> {
        serde_json::to_value(self).map_err(|e| Error::bug(e.to_string()))
    }

    /// Widens what is known for a document. Whether that made it another one.
    pub fn widen(&mut self, document: &[u8], settings: &Settings) -> Result<bool, Fault> {
        match self.meet(document, settings) {
            // Half of it is known by then.
            Err(Fault::NotText) if settings.invalid_text == InvalidText::Replace => {
                self.meet(&mend::mended(document)?, settings).map(|_| true)
            }
            met => met,
        }
    }

    fn meet(&mut self, document: &[u8], settings: &Settings) -> Result<bool, Fault> {
        let Self { fields, full, rest, .. } = self;
        let columns = settings.most_columns.saturating_sub(fields.columns());
        // Who has found no room once finds none later: it would be a column that some documents have and others have not.
        let mut room = Room { columns, fields: if *full { 0 } else { usize::MAX } };
        let (mut elements, mut at, mut is_wider) = (Elements::of(document)?, 0, false);
        while let Some((name, value)) = elements.advance()? {
            if value.is_null() {
                continue;
            }
            if settings.key.as_ref().is_some_and(|key| key.as_bytes() == name) {
                is_wider |= fields.meet_key(name, &mut at, &value, &mut room)?;
                continue;
            }
            let is_rest = name == REST.as_bytes();
            let place = if is_rest { None } else { fields.place(name, &mut at, &room)? };
            match place {
                Some(place) => is_wider |= fields.meet_at(place, &value, 0, &mut room)?,
                None => {
                    is_wider |= !std::mem::replace(rest, true);
                    if !is_rest {
                        is_wider |= !std::mem::replace(full, true);
                        room.fields = 0;
                    }
                }
            }
        }
        Ok(is_wider)
    }

    /// Whether a field that has no column of its own is in the column of the rest, and needs none.
    pub fn has_in_rest(&self, name: &[u8]) -> bool {
        self.full || (self.rest && name == REST.as_bytes())
    }

    /// Keeps what is known of the key, which is the only field then.
    pub fn keep(&mut self, key: Option<&str>) {
        let mut known = Self::default();
        if let Some(key) = key {
            let told = self.fields.iter().position(|(name, _)| name == key).and_then(|place| self.told.get(place));
            known.told.extend(told);
            *known.fields.entry(key) = std::mem::take(self.fields.entry(key));
        }
        *self = known;
    }

    /// Widens the only field for a value of the key.
    pub fn meet_only(&mut self, value: &Value<'_>) -> bool {
        self.fields.only().is_some_and(|field| field.meet_key(value))
    }

    /// A field as a column; `None` where there has been nothing but null, and it need not be one.
    pub fn column(&self, place: usize, is_named: bool) -> Option<ArrowField> {
        let (name, of) = self.fields.at(place)?;
        let told = self.told.get(place).copied().filter(|told| *told != Kinds::NONE);
        let column = schema::of(name, of).map(|column| schema::with_native(column, of, told.unwrap_or(of.kinds)));
        column.or_else(|| is_named.then(|| field::nullable(name, DataType::Utf8)))
    }

    /// From here on the table says of what types values have been by now.
    pub fn tell(&mut self) {
        self.told = self.fields.iter().map(|(_, field)| field.kinds).collect();
    }
}
