//! The one table of types: what each of PostgreSQL's becomes, and how its values travel.
//!
//! A type is a tree: an array has its elements, a composite its fields. Every node says its Arrow field here; how its
//! values are read, in binary or as text, is [`decode`](super::decode)'s. Neither depends on COPY.

use arrow_schema::{DataType, Field, Fields};
use tokio_postgres::types::Type as Oid;

use super::config::{Policies, Policy};
use super::type_catalog::{Entry, TypeCatalog};
use crate::error::{Error, Result};
use crate::record::field;

/// A type of the server, resolved: domains are their base types.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// As the server declares it: a domain has its own.
    pub oid: u32,
    /// The server's own words, such as `numeric(12,2)`.
    pub native: String,
    pub shape: Shape,
}

/// What values of a type are to us.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    /// Up to 76 digits, never more after the point than there are digits, never fewer than none.
    Decimal {
        precision: u8,
        scale: i8,
    },
    /// A numeric of any number of digits, NaN and infinities: as text.
    Numeric,
    /// Whole hundredths, or whatever the server's currency has.
    Money {
        scale: i8,
    },
    Date,
    Time,
    Timestamp,
    Instant,
    Uuid,
    /// Text whose binary form is the text.
    Text,
    Json,
    Jsonb,
    /// A JSON object of texts and nulls.
    Hstore,
    Bytes,
    /// PostGIS: extended well-known binary.
    Geometry,
    /// Any other: the text that the type's output function makes of it, which the server is asked for.
    Output {
        function: String,
        /// Why it arrives so.
        because: Because,
    },
    List {
        item: Box<Type>,
        delimiter: u8,
    },
    Struct(Vec<(String, Type)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because {
    /// The reference says that this type arrives as text.
    Documented,
    /// A key says so.
    Asked,
    /// We do not know the type.
    Unknown,
}

/// How values travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Binary,
    /// As the type's output function writes them.
    Text,
}

impl Type {
    /// Binary, unless part of it is only to be had as text.
    pub fn wire(&self) -> Wire {
        match self.has_output() {
            true => Wire::Text,
            false => Wire::Binary,
        }
    }

    /// The function that makes the type's text, as SQL calls it.
    pub fn output_function(&self) -> &str {
        match &self.shape {
            Shape::Output { function, .. } => function,
            Shape::Struct(_) => "pg_catalog.record_out",
            _ => "pg_catalog.array_out",
        }
    }

    fn has_output(&self) -> bool {
        match &self.shape {
            Shape::Output { .. } => true,
            Shape::List { item, .. } => item.has_output(),
            Shape::Struct(fields) => fields.iter().any(|(_, field)| field.has_output()),
            _ => false,
        }
    }

    /// Whether part of it is a type that we do not know.
    pub fn is_unknown(&self) -> bool {
        match &self.shape {
            Shape::Output { because, .. } => *because == Because::Unknown,
            Shape::List { item, .. } => item.is_unknown(),
            Shape::Struct(fields) => fields.iter().any(|(_, field)| field.is_unknown()),
            _ => false,
        }
    }

    /// The Arrow field of a column of this type. Always nullable: NOT NULL does not hold for what comes of a view or an
    /// outer join, nor for what comes of a policy, and a reader's schema should not change when a constraint does.
    pub fn field(&self, name: &str) -> Field {
        let field = match &self.shape {
            Shape::Json | Shape::Jsonb | Shape::Hstore => field::json(name),
            Shape::Uuid => field::uuid(name),
            shape => field::nullable(name, shape.data_type()),
        };
        field::with_native(field, self.native.clone())
    }
}

impl Shape {
    fn data_type(&self) -> DataType {
        match self {
            Shape::Bool => DataType::Boolean,
            Shape::Int2 => DataType::Int16,
            Shape::Int4 => DataType::Int32,
            Shape::Int8 => DataType::Int64,
            Shape::Oid => DataType::UInt32,
            Shape::Float4 => DataType::Float32,
            Shape::Float8 => DataType::Float64,
            Shape::Decimal { precision, scale } if *precision <= 38 => DataType::Decimal128(*precision, *scale),
            Shape::Decimal { precision, scale } => DataType::Decimal256(*precision, *scale),
            // 2^63 has 19 digits.
            Shape::Money { scale } => DataType::Decimal128(19, *scale),
            Shape::Date => DataType::Date32,
            Shape::Time => DataType::Time64(arrow_schema::TimeUnit::Microsecond),
            Shape::Timestamp => field::TIMESTAMP,
            Shape::Instant => field::instant(),
            Shape::Uuid => DataType::FixedSizeBinary(16),
            Shape::Bytes | Shape::Geometry => DataType::Binary,
            Shape::Numeric | Shape::Text | Shape::Json | Shape::Jsonb | Shape::Hstore | Shape::Output { .. } => {
                DataType::Utf8
            }
            Shape::List { item, .. } => DataType::List(item.field("item").into()),
            Shape::Struct(fields) => {
                DataType::Struct(fields.iter().map(|(name, field)| field.field(name)).collect::<Fields>())
            }
        }
    }
}

/// Composites within composites beyond this arrive as text.
const MAX_DEPTH: usize = 16;

/// Turns what the catalog says of types into [`Type`]s, under a stream's policies.
pub struct Resolver<'a> {
    pub catalog: &'a TypeCatalog,
    pub policies: &'a Policies,
    /// The table's name at the destination, if nothing renames it.
    pub table: &'a str,
}

impl Resolver<'_> {
    /// The type of a column, by what the server says of it; `native` in the server's own words.
    pub fn column(&self, name: &str, oid: u32, modifier: i32, native: String) -> Result<Type> {
        let entry = self.entry(oid)?;
        if self.policies.as_text(self.table, name) {
            let shape = match self.shape(entry, modifier, &native, 0)? {
                // Its text is its value already.
                shape @ (Shape::Text | Shape::Json | Shape::Numeric) => shape,
                _ => output(entry, Because::Asked),
            };
            return Ok(Type { oid, native, shape });
        }
        self.typed(oid, modifier, native, 0)
    }

    fn entry(&self, oid: u32) -> Result<&Entry> {
        self.catalog.get(oid).ok_or_else(|| Error::unavailable(format!("type {oid} has vanished from the catalog")))
    }

    fn typed(&self, oid: u32, modifier: i32, native: String, depth: usize) -> Result<Type> {
        let shape = self.shape(self.entry(oid)?, modifier, &native, depth)?;
        Ok(Type { oid, native, shape })
    }

    fn shape(&self, entry: &Entry, modifier: i32, native: &str, depth: usize) -> Result<Shape> {
        if depth > MAX_DEPTH {
            return Ok(output(entry, Because::Documented));
        }
        if entry.kind == b'd' {
            let modifier = if modifier < 0 { entry.base_modifier } else { modifier };
            let base = self.entry(entry.base)?;
            return self.shape(base, modifier, &base.format, depth + 1);
        }
        if let Some(shape) = self.builtin(entry, modifier) {
            return Ok(shape);
        }
        Ok(match (entry.kind, entry.send.as_str()) {
            (b'e', _) | (_, "citextsend") => Shape::Text,
            (b'b', "array_send") if self.policies.arrays_as_text => output(entry, Because::Asked),
            (b'b', "array_send") => {
                let element = self.entry(entry.element)?;
                // The modifier of `numeric(10,2)[]` is that of its elements.
                let native = native.strip_suffix("[]").unwrap_or(&element.format).to_owned();
                let item = self.typed(element.oid, modifier, native, depth + 1)?;
                Shape::List { item: Box::new(item), delimiter: element.delimiter }
            }
            (b'c', _) if !entry.attributes.is_empty() => Shape::Struct(
                entry
                    .attributes
                    .iter()
                    .map(|a| Ok((a.name.clone(), self.typed(a.oid, a.modifier, a.native.clone(), depth + 1)?)))
                    .collect::<Result<_>>()?,
            ),
            (b'b', "hstore_send") => Shape::Hstore,
            (b'b', "geometry_send" | "geography_send") => Shape::Geometry,
            (b'r' | b'm' | b'p' | b'c', _) => output(entry, Because::Documented),
            _ if entry.is_builtin() => output(entry, Because::Documented),
            _ => output(entry, Because::Unknown),
        })
    }

    /// The types that every server has and whose binary form we read.
    fn builtin(&self, entry: &Entry, modifier: i32) -> Option<Shape> {
        let or_output = |policy, shape| match policy {
            Policy::Text => output(entry, Because::Asked),
            _ => shape,
        };
        let infinite = |shape| or_output(self.policies.infinity, shape);
        Some(match Oid::from_oid(entry.oid)? {
            Oid::BOOL => Shape::Bool,
            Oid::INT2 => Shape::Int2,
            Oid::INT4 => Shape::Int4,
            Oid::INT8 => Shape::Int8,
            Oid::OID => Shape::Oid,
            Oid::FLOAT4 => Shape::Float4,
            Oid::FLOAT8 => Shape::Float8,
            Oid::NUMERIC => self.numeric(modifier),
            Oid::MONEY => Shape::Money { scale: self.catalog.money_scale() },
            Oid::DATE => infinite(Shape::Date),
            Oid::TIME => Shape::Time,
            Oid::TIMESTAMP => infinite(Shape::Timestamp),
            Oid::TIMESTAMPTZ => infinite(Shape::Instant),
            Oid::UUID => Shape::Uuid,
            Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR | Oid::NAME => Shape::Text,
            Oid::JSON => Shape::Json,
            Oid::JSONB => Shape::Jsonb,
            Oid::BYTEA => Shape::Bytes,
            _ => return None,
        })
    }

    fn numeric(&self, modifier: i32) -> Shape {
        let declared = numeric_digits(modifier);
        let digits = match (declared, self.policies.numeric_nan) {
            (_, Policy::Text) => None,
            (Some((precision, scale)), _) => Some(stretch(precision, scale)),
            (None, _) => self.policies.unconstrained_numeric,
        };
        // Up to 76 digits Arrow has a decimal; beyond, text is exact too.
        match digits.map(|(precision, scale)| (u8::try_from(precision), i8::try_from(scale))) {
            Some((Ok(precision @ 1..=76), Ok(scale))) => Shape::Decimal { precision, scale },
            _ => Shape::Numeric,
        }
    }
}

/// Precision and scale of a numeric's modifier. The scale has eleven bits, the highest of them its sign (since
/// PostgreSQL 15; it was never set before).
fn numeric_digits(modifier: i32) -> Option<(u32, i32)> {
    let bits = u32::try_from(modifier.checked_sub(4)?).ok()?;
    let scale = (bits & 0x7ff) as i32;
    Some((bits >> 16, (scale ^ 1024) - 1024))
}

/// `numeric(2,-3)` holds up to 99000: five digits. `numeric(3,5)` holds up to 0.00999: five digits after the point.
/// Parquet knows neither form, so both are widened to what holds the same values.
fn stretch(precision: u32, scale: i32) -> (u32, i32) {
    match u32::try_from(scale) {
        Ok(places) => (precision.max(places), scale),
        Err(_) => (precision + scale.unsigned_abs(), 0),
    }
}

fn output(entry: &Entry, because: Because) -> Shape {
    Shape::Output { function: entry.output.clone(), because }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_a_numeric() {
        let modifier = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + 4;
        for (declared, expected) in [((12, 2), (12, 2)), ((2, -3), (5, 0)), ((3, 5), (5, 5)), ((1000, 0), (1000, 0))] {
            let (precision, scale) = numeric_digits(modifier(declared.0, declared.1)).unwrap();
            assert_eq!((precision as i32, scale), declared);
            assert_eq!(stretch(precision, scale), expected);
        }
        assert_eq!(numeric_digits(-1), None);
    }
}
