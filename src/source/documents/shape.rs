//! What the values of a field have been so far, and so what they are read as. A shape only ever widens: to one that holds what was
//! there and what came.
//!
//! | has been | and comes | is read as |
//! |---|---|---|
//! | nothing but null | anything | that |
//! | int | long | long |
//! | int, or a long that a double holds | double | double |
//! | int, long | decimal | decimal, as far as 38 digits hold all of them |
//! | record | record | record with the fields of both |
//! | list | list | list of what holds the items of both |
//! | record | list | JSON text |
//! | anything | anything else | text |

use serde::{Deserialize, Serialize};

use super::bson::{Elements, UUID, Value};
use super::coercion::Declaration;
use super::decimal::Decimal;
use super::fields::Fields;
use super::json::Fault;
use super::kinds::Kinds;

/// What values are read as.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// There has been none.
    #[default]
    Nothing,
    Bool,
    Int,
    /// `wide` where some of them are beyond what a double tells apart.
    Long {
        wide: bool,
    },
    Double,
    /// So many digits before the point, and behind it.
    Decimal {
        whole: u8,
        scale: u8,
    },
    /// Of columns that are declared alone.
    Date,
    Instant,
    ObjectId,
    Uuid,
    /// All of one subtype.
    Bytes(u8),
    /// Texts as they are, and the plain text of what else there is.
    Text,
    /// Of a key: the plain text of these types, and the canonical JSON of others, so that no two values are the same text.
    Tagged(Kinds),
    /// Records and lists, as relaxed JSON.
    Json,
    Record(Fields),
    List(Box<Field>),
}

/// A field: its shape, and of what types its values have been.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Field {
    #[serde(rename = "is")]
    pub shape: Shape,
    pub kinds: Kinds,
    /// Where it does not widen: whatever comes, it is this.
    #[serde(skip)]
    pub declared: Option<Declaration>,
}

/// Integers up to this one are as many doubles.
pub const EXACT: u64 = 1 << 53;
/// Digits that a decimal column holds.
pub const DIGITS: u32 = 38;
/// Records and lists that lie deeper in one another than this are JSON text.
pub const DEPTH: usize = 8;
/// A record of more different fields than this is a map: JSON text.
pub const MAP_FIELDS: usize = 200;

/// How wide a table may get.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// How many columns there may be yet, those within records counted.
    pub columns: usize,
    /// How many fields a record may have.
    pub fields: usize,
}

impl Field {
    pub fn declared(declared: Declaration) -> Self {
        Self { shape: declared.of.shape(), kinds: declared.of.kinds(), declared: Some(declared) }
    }

    /// Widens it for a value of a document's key: texts of different values stay different.
    pub fn meet_key(&mut self, value: &Value<'_>) -> bool {
        let kind = Kinds::of(value);
        if kind == Kinds::NONE || self.declared.is_some() {
            return false;
        }
        let before = self.clone();
        if let Shape::Tagged(_) = self.shape {
            self.kinds.add(kind);
            return self.kinds != before.kinds;
        }
        let is_scalar = !matches!(value, Value::Record(_) | Value::List(_) | Value::Bytes { subtype: ..=3 | 5.., .. });
        let met = if is_scalar { Shape::of(value) } else { Shape::Text };
        let is_text = |shape: &Shape| *shape == Shape::Text;
        let joined = std::mem::take(&mut self.shape).join(met);
        // One that is text by itself is a text, or stays plain if it is of another type that has no column.
        self.shape = match is_text(&joined) && self.kinds != kind && (kind != Kinds::TEXT || self.kinds != Kinds::NONE)
        {
            true => Shape::Tagged(self.kinds),
            false => joined,
        };
        self.kinds.add(kind);
        *self != before
    }

    /// Widens it for a value. Whether that made it another one.
    pub fn meet(&mut self, value: &Value<'_>, depth: usize, room: &mut Room) -> Result<bool, Fault> {
        let kind = Kinds::of(value);
        if kind == Kinds::NONE || self.declared.is_some() {
            return Ok(false);
        }
        let is_new = !self.kinds.has(kind);
        self.kinds.add(kind);
        let is_wider = match (value, &mut self.shape) {
            (Value::Record(_) | Value::List(_), Shape::Json | Shape::Text) => false,
            (Value::Record(record), Shape::Record(fields)) => match fields.meet(record, depth + 1, room)? {
                Some(is_wider) => is_wider,
                None => {
                    room.columns += self.shape.columns().saturating_sub(1);
                    self.shape = Shape::Json;
                    true
                }
            },
            (Value::List(items), Shape::List(item)) => item.meet_items(items, depth + 1, room)?,
            (Value::Record(_) | Value::List(_), Shape::Nothing) => {
                self.shape = match value {
                    _ if depth >= DEPTH => Shape::Json,
                    Value::Record(_) => Shape::Record(Fields::default()),
                    _ => Shape::List(Box::default()),
                };
                self.meet(value, depth, room)?;
                true
            }
            (Value::Record(_) | Value::List(_), shape) => {
                room.columns += shape.columns().saturating_sub(1);
                *shape = match shape {
                    Shape::Record(_) | Shape::List(_) => Shape::Json,
                    _ => Shape::Text,
                };
                true
            }
            (_, shape) => {
                let met = Shape::of(value);
                if shape.holds(&met) {
                    false
                } else {
                    *shape = std::mem::take(shape).join(met);
                    true
                }
            }
        };
        Ok(is_new || is_wider)
    }

    fn meet_items(&mut self, items: &[u8], depth: usize, room: &mut Room) -> Result<bool, Fault> {
        let (mut elements, mut is_wider) = (Elements::of(items)?, false);
        while let Some((_, value)) = elements.advance()? {
            is_wider |= self.meet(&value, depth, room)?;
        }
        Ok(is_wider)
    }
}

impl Shape {
    /// Of one value that is neither record nor list.
    pub fn of(value: &Value<'_>) -> Self {
        match value {
            Value::Null | Value::Undefined => Shape::Nothing,
            Value::Bool(_) => Shape::Bool,
            Value::Int32(_) => Shape::Int,
            Value::Int64(number) => Shape::Long { wide: number.unsigned_abs() > EXACT },
            Value::Double(_) => Shape::Double,
            Value::Decimal(bits) => match Decimal::of(*bits).digits() {
                Some((whole, scale)) => Shape::decimal(whole, scale),
                None => Shape::Text,
            },
            Value::Instant(millis) if millis.checked_mul(1000).is_some() => Shape::Instant,
            Value::ObjectId(_) => Shape::ObjectId,
            Value::Bytes { subtype: UUID, bytes } if bytes.len() == 16 => Shape::Uuid,
            Value::Bytes { subtype, .. } => Shape::Bytes(*subtype),
            _ => Shape::Text,
        }
    }

    /// One that holds both. Neither is a record or a list.
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Shape::Nothing, shape) | (shape, Shape::Nothing) => shape,
            (one, other) if one.holds(&other) => one,
            (one, other) if other.holds(&one) => other,
            (Shape::Long { .. }, Shape::Long { .. }) => Shape::Long { wide: true },
            (Shape::Decimal { whole, scale }, Shape::Decimal { whole: w, scale: s }) => {
                Shape::decimal(whole.max(w).into(), scale.max(s).into())
            }
            (Shape::Decimal { whole, scale }, integer) | (integer, Shape::Decimal { whole, scale }) => {
                match integer.digits() {
                    Some(digits) => Shape::decimal(digits.max(whole.into()), scale.into()),
                    None => Shape::Text,
                }
            }
            _ => Shape::Text,
        }
    }

    /// Whether it is wide enough for what the other is. Neither is a record or a list.
    fn holds(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Shape::Nothing) | (Shape::Text, _) | (Shape::Tagged(_), _) => true,
            (Shape::Long { .. }, Shape::Int) | (Shape::Double, Shape::Int | Shape::Long { wide: false }) => true,
            (Shape::Long { wide }, Shape::Long { wide: other }) => *wide || !other,
            (Shape::Decimal { whole, scale }, Shape::Decimal { whole: w, scale: s }) => w <= whole && s <= scale,
            (Shape::Decimal { whole, .. }, integer) => integer.digits().is_some_and(|digits| digits <= (*whole).into()),
            (one, other) => one == other,
        }
    }

    /// How many digits an integer may have.
    fn digits(&self) -> Option<u32> {
        match self {
            Shape::Int => Some(10),
            Shape::Long { .. } => Some(19),
            _ => None,
        }
    }

    fn decimal(whole: u32, scale: u32) -> Self {
        match (u8::try_from(whole), u8::try_from(scale)) {
            (Ok(whole), Ok(scale)) if u32::from(whole) + u32::from(scale) <= DIGITS => Shape::Decimal { whole, scale },
            _ => Shape::Text,
        }
    }

    /// How many columns it comes to, where records are flat.
    pub fn columns(&self) -> usize {
        match self {
            Shape::Nothing => 0,
            Shape::Record(fields) => fields.columns().max(1),
            Shape::List(item) => item.shape.columns().max(1),
            _ => 1,
        }
    }
}
