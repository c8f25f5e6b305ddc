//! The fields of a record, in the order in which they came.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bson::{Elements, Value};
use super::json::Fault;
use super::shape::{Field, MAP_FIELDS, Room};

/// Fields by name.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    list: Vec<(String, Field)>,
    places: HashMap<String, usize>,
}

impl Fields {
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Field)> {
        self.list.iter().map(|(name, field)| (name.as_str(), field))
    }

    pub fn at(&self, place: usize) -> Option<(&str, &Field)> {
        self.list.get(place).map(|(name, field)| (name.as_str(), field))
    }

    /// How many columns they come to, where records are flat.
    pub fn columns(&self) -> usize {
        self.list.iter().map(|(_, field)| field.shape.columns()).sum()
    }

    /// A field that is there, or comes.
    pub fn entry(&mut self, name: &str) -> &mut Field {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => self.add(name),
        };
        &mut self.list[place].1
    }

    fn add(&mut self, name: &str) -> usize {
        let place = self.list.len();
        self.list.push((name.to_owned(), Field::default()));
        self.places.insert(name.to_owned(), place);
        place
    }

    /// The field, where there is one.
    pub fn only(&mut self) -> Option<&mut Field> {
        self.list.first_mut().map(|(_, field)| field)
    }

    /// Widens them for a record. Whether that made them others; `None` where there is no room for its fields.
    pub fn meet(&mut self, record: &[u8], depth: usize, room: &mut Room) -> Result<Option<bool>, Fault> {
        let (mut elements, mut is_wider, mut at) = (Elements::of(record)?, false, 0);
        while let Some((name, value)) = elements.advance()? {
            if value.is_null() {
                continue;
            }
            let Some(place) = self.place(name, &mut at, room)? else { return Ok(None) };
            is_wider |= self.meet_at(place, &value, depth, room)?;
        }
        Ok(Some(is_wider))
    }

    /// Where a field is, or has come to be. `None` where there is no room for one more. `at` is where it may be expected.
    pub fn place(&mut self, name: &[u8], at: &mut usize, room: &Room) -> Result<Option<usize>, Fault> {
        let place = match self.list.get(*at) {
            Some((known, _)) if known.as_bytes() == name => *at,
            _ => {
                let name = std::str::from_utf8(name).map_err(|_| Fault::NotText)?;
                match self.places.get(name) {
                    Some(place) => *place,
                    None if room.columns == 0 || self.list.len() >= room.fields => return Ok(None),
                    None => self.add(name),
                }
            }
        };
        *at = place + 1;
        Ok(Some(place))
    }

    /// Widens the one that is a document's key, which always has room. `at` is where it may be expected.
    pub fn meet_key(&mut self, name: &[u8], at: &mut usize, value: &Value<'_>, room: &mut Room) -> Result<bool, Fault> {
        const ALWAYS: Room = Room { columns: usize::MAX, fields: usize::MAX };
        let Some(place) = self.place(name, at, &ALWAYS)? else { return Ok(false) };
        let field = &mut self.list[place].1;
        let before = field.shape.columns();
        let is_wider = field.meet_key(value);
        room.columns = (room.columns + before).saturating_sub(field.shape.columns());
        Ok(is_wider)
    }

    /// Widens one of them.
    pub fn meet_at(&mut self, place: usize, value: &Value<'_>, depth: usize, room: &mut Room) -> Result<bool, Fault> {
        let Some((_, field)) = self.list.get_mut(place) else { return Ok(false) };
        let before = field.shape.columns();
        let is_wider = field.meet(value, depth, &mut Room { fields: MAP_FIELDS, ..*room })?;
        if is_wider {
            room.columns = (room.columns + before).saturating_sub(field.shape.columns());
        }
        Ok(is_wider)
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<(String, Field)>::deserialize(deserializer)?;
        let places = list.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
        Ok(Self { list, places })
    }
}
