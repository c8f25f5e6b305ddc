//! Values to Arrow: a column that takes the server's values one by one, in binary or as text, and gives an Arrow array.
//!
//! Knows types, not where their values come from: COPY and the change log share it.

mod binary;
mod clock;
mod nested;
mod numeric;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int16Type, Int32Type,
    Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt32Type,
};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray, PrimitiveArray, StringArray, StructArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer, i256};
use arrow_schema::{DataType, FieldRef, Fields};

use super::config::{Policies, Policy};
use super::types::{Shape, Type};

/// Why a value is not taken. Says nothing of the value but its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its bytes are not of the type's form: the type is another than the catalog said.
    Malformed,
    /// Text that is not UTF-8.
    NotUtf8,
    /// NaN, or an infinite numeric, where a decimal is expected.
    NotANumber,
    /// More digits than the column's decimal has.
    Digits,
    /// An infinite date or timestamp, or one beyond 64 bits of microseconds.
    Infinite,
    /// 24:00:00.
    Midnight,
    /// An array of several dimensions, or one that does not count from 1.
    Dimensions,
    /// A record's fields are not those that the catalog told of.
    Fields,
    /// More than 2 GiB of values before a batch could end.
    TooLarge,
}

impl Fault {
    /// What the value is, and the key that takes it, if one does.
    pub fn explain(self) -> (&'static str, Option<&'static str>) {
        match self {
            Fault::Malformed => ("holds a value whose form is not that of its type", None),
            Fault::NotUtf8 => ("holds text that is not UTF-8", None),
            Fault::NotANumber => ("holds a NaN or an infinity, which no decimal is", Some("numeric_nan")),
            Fault::Digits => ("holds a number of more digits than it is declared to have", Some("read_as_text")),
            Fault::Infinite => ("holds an infinite date or timestamp, or one beyond the year 294246", Some("infinity")),
            Fault::Midnight => ("holds the time 24:00:00, which is no time of a day", Some("read_as_text")),
            Fault::Dimensions => {
                ("holds an array of several dimensions, or one that does not count from 1", Some("arrays"))
            }
            Fault::Fields => ("holds a record of other fields than its type has", None),
            Fault::TooLarge => ("holds more than 2 GiB in a few rows", None),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explain().0)
    }
}

/// The values of one column so far.
#[derive(Debug)]
pub struct Column {
    values: Values,
    nulls: NullBufferBuilder,
    /// What it is to become.
    data_type: DataType,
    /// Values that a policy made null, since the column was made.
    nulled: u64,
}

#[derive(Debug)]
enum Values {
    Bool(BooleanBufferBuilder),
    Int2(Vec<i16>),
    Int4(Vec<i32>),
    Int8(Vec<i64>),
    Oid(Vec<u32>),
    Float4(Vec<f32>),
    Float8(Vec<f64>),
    Decimal128 { values: Vec<i128>, scale: i8, limit: i128, odd: Policy },
    Decimal256 { values: Vec<i256>, scale: i8, limit: i256, odd: Policy },
    Money(Vec<i128>),
    Date(Vec<i32>, Policy),
    Time(Vec<i64>),
    Timestamp(Vec<i64>, Policy),
    Uuid(Vec<u8>),
    Bytes(Pieces, Form),
    List { ends: Vec<i32>, item: Box<Column>, item_oid: u32, delimiter: u8, field: FieldRef },
    Struct { columns: Vec<Column>, oids: Vec<u32>, fields: Fields },
}

/// What is in a column of texts or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The text itself.
    Text,
    Jsonb,
    Hstore,
    Numeric,
    Bytes,
    Geometry,
}

/// Values of any length, one after the other.
#[derive(Debug, Default)]
struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl Pieces {
    /// Ends the value that was appended to `bytes` last.
    #[inline]
    fn end(&mut self) -> Result<(), Fault> {
        self.ends.push(i32::try_from(self.bytes.len()).map_err(|_| Fault::TooLarge)?);
        Ok(())
    }

    #[inline]
    fn push(&mut self, value: &[u8]) -> Result<(), Fault> {
        self.bytes.extend_from_slice(value);
        self.end()
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let bytes = renew(&mut self.bytes);
        (offsets(&mut self.ends), Buffer::from_vec(bytes))
    }
}

/// Room for this many bytes is kept from batch to batch at most: one huge value must not hold memory for ever.
const KEPT_BYTES: usize = 4 << 20;

/// The values so far; leaves room for as many again.
fn renew<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len().min(KEPT_BYTES / size_of::<T>().max(1));
    std::mem::replace(values, Vec::with_capacity(room))
}

fn offsets(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let next = Vec::with_capacity(ends.len());
    let ends = std::mem::replace(ends, next);
    // One more than there are values: the first begins at 0.
    let all: Vec<i32> = std::iter::once(0).chain(ends).collect();
    OffsetBuffer::new(ScalarBuffer::from(all))
}

impl Column {
    /// An empty column of a type, with room for about `rows` values.
    pub fn new(of: &Type, policies: &Policies, rows: usize) -> Self {
        let field = of.field("");
        let data_type = field.data_type().clone();
        let pieces = |form| {
            let pieces = Pieces { bytes: Vec::with_capacity(rows * 8), ends: Vec::with_capacity(rows) };
            Values::Bytes(pieces, form)
        };
        let values = match &of.shape {
            Shape::Bool => Values::Bool(BooleanBufferBuilder::new(rows)),
            Shape::Int2 => Values::Int2(Vec::with_capacity(rows)),
            Shape::Int4 => Values::Int4(Vec::with_capacity(rows)),
            Shape::Int8 => Values::Int8(Vec::with_capacity(rows)),
            Shape::Oid => Values::Oid(Vec::with_capacity(rows)),
            Shape::Float4 => Values::Float4(Vec::with_capacity(rows)),
            Shape::Float8 => Values::Float8(Vec::with_capacity(rows)),
            Shape::Decimal { precision, scale } => decimal(*precision, *scale, policies.numeric_nan, rows),
            Shape::Money { .. } => Values::Money(Vec::with_capacity(rows)),
            Shape::Date => Values::Date(Vec::with_capacity(rows), policies.infinity),
            Shape::Time => Values::Time(Vec::with_capacity(rows)),
            Shape::Timestamp | Shape::Instant => Values::Timestamp(Vec::with_capacity(rows), policies.infinity),
            Shape::Uuid => Values::Uuid(Vec::with_capacity(rows * 16)),
            Shape::Numeric => pieces(Form::Numeric),
            Shape::Text | Shape::Json | Shape::Output { .. } => pieces(Form::Text),
            Shape::Jsonb => pieces(Form::Jsonb),
            Shape::Hstore => pieces(Form::Hstore),
            Shape::Bytes => pieces(Form::Bytes),
            Shape::Geometry => pieces(Form::Geometry),
            Shape::List { item, delimiter } => Values::List {
                ends: Vec::with_capacity(rows),
                item_oid: item.oid,
                delimiter: *delimiter,
                field: item.field("item").into(),
                item: Box::new(Column::new(item, policies, rows)),
            },
            Shape::Struct(fields) => Values::Struct {
                columns: fields.iter().map(|(_, field)| Column::new(field, policies, rows)).collect(),
                oids: fields.iter().map(|(_, field)| field.oid).collect(),
                fields: fields.iter().map(|(name, field)| field.field(name)).collect(),
            },
        };
        Self { values, nulls: NullBufferBuilder::new(rows), data_type, nulled: 0 }
    }

    /// About how many bytes a value takes besides texts and lists.
    pub fn width(&self) -> usize {
        match &self.values {
            Values::Bool(_) => 1,
            Values::Int2(_) => 2,
            Values::Int8(_) | Values::Float8(_) | Values::Time(_) | Values::Timestamp(..) => 8,
            Values::Decimal128 { .. } | Values::Money(_) | Values::Uuid(_) => 16,
            Values::Decimal256 { .. } => 32,
            Values::Struct { columns, .. } => columns.iter().map(Column::width).sum(),
            _ => 4,
        }
    }

    /// How many values a policy has made null since the column was made.
    pub fn nulled(&self) -> u64 {
        self.nulled
            + match &self.values {
                Values::List { item, .. } => item.nulled(),
                Values::Struct { columns, .. } => columns.iter().map(Column::nulled).sum(),
                _ => 0,
            }
    }

    /// Appends a null.
    pub fn push_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.append(false),
            Values::Int2(values) => values.push(0),
            Values::Int4(values) | Values::Date(values, _) => values.push(0),
            Values::Int8(values) | Values::Time(values) | Values::Timestamp(values, _) => values.push(0),
            Values::Oid(values) => values.push(0),
            Values::Float4(values) => values.push(0.0),
            Values::Float8(values) => values.push(0.0),
            Values::Decimal128 { values, .. } | Values::Money(values) => values.push(0),
            Values::Decimal256 { values, .. } => values.push(i256::ZERO),
            Values::Uuid(values) => values.extend_from_slice(&[0; 16]),
            Values::Bytes(pieces, _) => pieces.ends.push(pieces.ends.last().copied().unwrap_or(0)),
            Values::List { ends, .. } => ends.push(ends.last().copied().unwrap_or(0)),
            Values::Struct { columns, .. } => columns.iter_mut().for_each(Column::push_null),
        }
        self.nulls.append_null();
    }

    /// Appends what a policy makes of a value that the type does not hold.
    fn push_odd(&mut self, policy: Policy, fault: Fault) -> Result<(), Fault> {
        if policy != Policy::Null {
            return Err(fault);
        }
        self.nulled += 1;
        self.push_null();
        Ok(())
    }

    /// The values so far as an array of the type's Arrow form; the column starts again, empty.
    pub fn finish(&mut self) -> Result<ArrayRef, Fault> {
        let nulls = self.nulls.finish();
        let data_type = &self.data_type;
        Ok(match &mut self.values {
            Values::Bool(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int2(values) => primitive::<Int16Type>(values, nulls, data_type),
            Values::Int4(values) => primitive::<Int32Type>(values, nulls, data_type),
            Values::Int8(values) => primitive::<Int64Type>(values, nulls, data_type),
            Values::Oid(values) => primitive::<UInt32Type>(values, nulls, data_type),
            Values::Float4(values) => primitive::<Float32Type>(values, nulls, data_type),
            Values::Float8(values) => primitive::<Float64Type>(values, nulls, data_type),
            Values::Decimal128 { values, .. } | Values::Money(values) => {
                primitive::<Decimal128Type>(values, nulls, data_type)
            }
            Values::Decimal256 { values, .. } => primitive::<Decimal256Type>(values, nulls, data_type),
            Values::Date(values, _) => primitive::<Date32Type>(values, nulls, data_type),
            Values::Time(values) => primitive::<Time64MicrosecondType>(values, nulls, data_type),
            Values::Timestamp(values, _) => primitive::<TimestampMicrosecondType>(values, nulls, data_type),
            Values::Uuid(values) => {
                let values = Buffer::from_vec(renew(values));
                Arc::new(FixedSizeBinaryArray::try_new(16, values, nulls).map_err(|_| Fault::Malformed)?)
            }
            Values::Bytes(pieces, Form::Bytes | Form::Geometry) => {
                let (offsets, bytes) = pieces.take();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls).map_err(|_| Fault::Malformed)?)
            }
            // Looks at the UTF-8 of all values at once.
            Values::Bytes(pieces, _) => {
                let (offsets, bytes) = pieces.take();
                Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(|_| Fault::NotUtf8)?)
            }
            Values::List { ends, item, field, .. } => {
                let list = ListArray::try_new(field.clone(), offsets(ends), item.finish()?, nulls);
                Arc::new(list.map_err(|_| Fault::Malformed)?)
            }
            Values::Struct { columns, fields, .. } => {
                let arrays = columns.iter_mut().map(Column::finish).collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new(fields.clone(), arrays, nulls).map_err(|_| Fault::Fields)?)
            }
        })
    }
}

fn decimal(precision: u8, scale: i8, odd: Policy, rows: usize) -> Values {
    match precision <= 38 {
        true => {
            let limit = 10i128.pow(u32::from(precision));
            Values::Decimal128 { values: Vec::with_capacity(rows), scale, limit, odd }
        }
        false => {
            let limit = i256::from_i128(10).wrapping_pow(u32::from(precision));
            Values::Decimal256 { values: Vec::with_capacity(rows), scale, limit, odd }
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> ArrayRef {
    let values = ScalarBuffer::from(renew(values));
    Arc::new(PrimitiveArray::<T>::new(values, nulls).with_data_type(data_type.clone()))
}
