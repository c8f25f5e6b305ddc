//! Writers of single values, each resolved once for a column of a batch.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, BinaryArray, FixedSizeBinaryArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, TimeUnit};

use super::{Binary, Out, binary, number, time};
use crate::error::Error;
use crate::record::field;

/// Writes the text of a row's value, which is not null.
pub type Cell<'a> = Box<dyn Fn(usize, &mut Out) + 'a>;

/// How values become text.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub quotes: Quotes,
    pub binary: Binary,
}

/// Which values stand in quotes, each including those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quotes {
    None,
    /// Dates, times, bytes, UUIDs, and numbers that are none.
    Words,
    /// Integers of 64 bits and decimals, which a double does not always hold.
    WideNumbers,
    /// Every number, and the booleans.
    Numbers,
}

/// A column of a batch.
pub struct Column<'a> {
    /// `None` where no row is null.
    pub nulls: Option<&'a NullBuffer>,
    pub cell: Cell<'a>,
}

impl<'a> Column<'a> {
    pub fn new(array: &'a dyn Array, cell: Cell<'a>) -> Self {
        Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), cell }
    }

    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }
}

impl Style {
    /// The writer of an array of numbers, booleans, dates, times or bytes; `None` for text, lists and records, which
    /// each format writes in its own way, and for types that no source produces.
    pub fn scalar<'a>(self, array: &'a dyn Array, field: &Field) -> Option<Cell<'a>> {
        let words = self.quotes >= Quotes::Words;
        Some(match array.data_type() {
            DataType::Boolean => self.boolean(array),
            DataType::Int8 => self.integer::<Int8Type>(array, Quotes::Numbers),
            DataType::Int16 => self.integer::<Int16Type>(array, Quotes::Numbers),
            DataType::Int32 => self.integer::<Int32Type>(array, Quotes::Numbers),
            DataType::Int64 => self.integer::<Int64Type>(array, Quotes::WideNumbers),
            DataType::UInt8 => self.integer::<UInt8Type>(array, Quotes::Numbers),
            DataType::UInt16 => self.integer::<UInt16Type>(array, Quotes::Numbers),
            DataType::UInt32 => self.integer::<UInt32Type>(array, Quotes::Numbers),
            DataType::UInt64 => self.integer::<UInt64Type>(array, Quotes::WideNumbers),
            DataType::Float32 => self.float::<Float32Type>(array, number::float32),
            DataType::Float64 => self.float::<Float64Type>(array, number::float64),
            DataType::Decimal128(_, scale) => self.decimal128(array, *scale),
            DataType::Decimal256(_, scale) => self.decimal256(array, *scale),
            DataType::Binary => self.bytes(array.as_binary()),
            DataType::FixedSizeBinary(16) if field::is_uuid(field) => uuid(array.as_fixed_size_binary(), words),
            DataType::FixedSizeBinary(_) => self.fixed_bytes(array.as_fixed_size_binary()),
            DataType::Date32 => {
                let values = values::<Date32Type>(array);
                quoted(words, move |row, out| time::date(out, values[row].into()))
            }
            DataType::Time64(TimeUnit::Microsecond) => {
                let values = values::<Time64MicrosecondType>(array);
                quoted(words, move |row, out| time::time(out, values[row]))
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let (values, utc) = (values::<TimestampMicrosecondType>(array), zone.is_some());
                quoted(words, move |row, out| time::timestamp(out, values[row], utc))
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                let values = values::<DurationMicrosecondType>(array);
                quoted(words, move |row, out| time::duration(out, values[row]))
            }
            _ => return None,
        })
    }

    fn boolean<'a>(self, array: &'a dyn Array) -> Cell<'a> {
        let values = array.as_boolean();
        quoted(self.quotes >= Quotes::Numbers, move |row, out| match values.value(row) {
            true => out.fixed(b"true"),
            false => out.fixed(b"false"),
        })
    }

    fn integer<T>(self, array: &dyn Array, from: Quotes) -> Cell<'_>
    where
        T: ArrowPrimitiveType,
        T::Native: itoa::Integer,
    {
        let values = values::<T>(array);
        quoted(self.quotes >= from, move |row, out| number::integer(out, values[row]))
    }

    fn float<T>(self, array: &dyn Array, write: fn(&mut Out, T::Native)) -> Cell<'_>
    where
        T: ArrowPrimitiveType,
        T::Native: Into<f64>,
    {
        let values = values::<T>(array);
        match self.quotes {
            Quotes::None => Box::new(move |row, out| write(out, values[row])),
            Quotes::Numbers => quoted(true, move |row, out| write(out, values[row])),
            Quotes::Words | Quotes::WideNumbers => Box::new(move |row, out| {
                let start = out.len();
                write(out, values[row]);
                if !values[row].into().is_finite() {
                    out.quote_since(start);
                }
            }),
        }
    }

    fn decimal128(self, array: &dyn Array, scale: i8) -> Cell<'_> {
        let values = values::<Decimal128Type>(array);
        quoted(self.quotes >= Quotes::WideNumbers, move |row, out| number::decimal128(out, values[row], scale))
    }

    fn decimal256(self, array: &dyn Array, scale: i8) -> Cell<'_> {
        let values = values::<Decimal256Type>(array);
        quoted(self.quotes >= Quotes::WideNumbers, move |row, out| number::decimal256(out, values[row], scale))
    }

    fn bytes(self, values: &BinaryArray) -> Cell<'_> {
        quoted(self.quotes >= Quotes::Words, move |row, out| self.binary.write(out, values.value(row)))
    }

    fn fixed_bytes(self, values: &FixedSizeBinaryArray) -> Cell<'_> {
        quoted(self.quotes >= Quotes::Words, move |row, out| self.binary.write(out, values.value(row)))
    }
}

fn uuid(values: &FixedSizeBinaryArray, quotes: bool) -> Cell<'_> {
    quoted(quotes, move |row, out| {
        if let Some(bytes) = values.value(row).first_chunk() {
            binary::uuid(out, bytes);
        }
    })
}

/// A type that no source produces.
pub fn unsupported(field: &Field) -> Error {
    Error::bug(format!("column {}: no source column becomes Arrow's {}", field.name(), field.data_type()))
}

fn values<T: ArrowPrimitiveType>(array: &dyn Array) -> &[T::Native] {
    array.as_primitive::<T>().values()
}

/// A cell in quotes, or not: two writers, so that the choice is not made again for each row.
fn quoted<'a>(quotes: bool, write: impl Fn(usize, &mut Out) + 'a) -> Cell<'a> {
    match quotes {
        false => Box::new(write),
        true => Box::new(move |row, out| {
            out.push(b'"');
            write(row, out);
            out.push(b'"');
        }),
    }
}
