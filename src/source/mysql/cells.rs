//! From MySQL's values to Arrow, column by column: the one place where a value takes its Arrow form, whatever protocol
//! or log it came by.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, DurationMicrosecondBuilder,
    FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder,
    ListBuilder, PrimitiveBuilder, StringBuilder, TimestampMicrosecondBuilder, UInt8Builder, UInt16Builder,
    UInt32Builder, UInt64Builder,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BinaryArray, StringArray};

use super::calendar::Moment;
use super::config::ZeroDates;
use super::digits::Digits;
use super::geometry::well_known_binary;
use super::types::Type;
use crate::record::field;
use crate::source::BATCH_BYTES;

/// Why a value is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// Bytes that are no UTF-8 in a column of text.
    Text,
    /// A day that no calendar has, where the stream wants an error.
    Date,
    /// A truth value other than 0 and 1.
    Boolean,
    /// More digits than the type says.
    Digits,
    /// The server sent something else than the column's type.
    Kind,
}

/// One column of the batch being built.
#[derive(Debug)]
pub struct Cells {
    values: Values,
    zero_dates: ZeroDates,
    /// How many days that no calendar has became null so far.
    pub nulled: u64,
}

#[derive(Debug)]
enum Values {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt8(UInt8Builder),
    UInt16(UInt16Builder),
    UInt32(UInt32Builder),
    UInt64(UInt64Builder),
    Bit(UInt64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal128(Decimal128Builder, Digits),
    Decimal256(Decimal256Builder, Digits),
    /// Seen to be text when the column is finished: one look at all of it costs a fraction of a look at each value.
    Text(BinaryBuilder),
    Bytes(BinaryBuilder),
    Uuid(FixedSizeBinaryBuilder),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TextDate(StringBuilder, Option<u8>),
    Time(DurationMicrosecondBuilder),
    Geometry(BinaryBuilder),
    Vector(ListBuilder<Float32Builder>),
}

impl Cells {
    pub fn new(of: Type, zero_dates: ZeroDates) -> Self {
        Self { values: Values::new(of), zero_dates, nulled: 0 }
    }

    /// Takes a NULL.
    #[inline]
    pub fn null(&mut self) {
        match &mut self.values {
            Values::Boolean(b) => b.append_null(),
            Values::Int8(b) => b.append_null(),
            Values::Int16(b) => b.append_null(),
            Values::Int32(b) => b.append_null(),
            Values::Int64(b) => b.append_null(),
            Values::UInt8(b) => b.append_null(),
            Values::UInt16(b) => b.append_null(),
            Values::UInt32(b) => b.append_null(),
            Values::UInt64(b) | Values::Bit(b) => b.append_null(),
            Values::Float(b) => b.append_null(),
            Values::Double(b) => b.append_null(),
            Values::Decimal128(b, _) => b.append_null(),
            Values::Decimal256(b, _) => b.append_null(),
            Values::TextDate(b, _) => b.append_null(),
            Values::Text(b) | Values::Bytes(b) | Values::Geometry(b) => b.append_null(),
            Values::Uuid(b) => b.append_null(),
            Values::Date(b) => b.append_null(),
            Values::Timestamp(b) => b.append_null(),
            Values::Time(b) => b.append_null(),
            Values::Vector(b) => b.append_null(),
        }
    }

    /// Takes a signed integer, or an unsigned one below 2^63.
    #[inline]
    pub fn signed(&mut self, value: i64) -> Result<(), Misfit> {
        macro_rules! fit {
            ($b:expr) => {
                $b.append_value(value.try_into().map_err(|_| Misfit::Kind)?)
            };
        }
        match &mut self.values {
            Values::Int64(b) => b.append_value(value),
            Values::Int32(b) => fit!(b),
            Values::Int8(b) => fit!(b),
            Values::Int16(b) => fit!(b),
            Values::UInt8(b) => fit!(b),
            Values::UInt16(b) => fit!(b),
            Values::UInt32(b) => fit!(b),
            Values::UInt64(b) => fit!(b),
            Values::Boolean(b) => match value {
                0 | 1 => b.append_value(value == 1),
                _ => return Err(Misfit::Boolean),
            },
            _ => return Err(Misfit::Kind),
        }
        Ok(())
    }

    /// Takes an unsigned integer of any size.
    pub fn unsigned(&mut self, value: u64) -> Result<(), Misfit> {
        match (&mut self.values, i64::try_from(value)) {
            (Values::UInt64(b), _) => b.append_value(value),
            (_, Ok(value)) => return self.signed(value),
            _ => return Err(Misfit::Kind),
        }
        Ok(())
    }

    pub fn float(&mut self, value: f32) -> Result<(), Misfit> {
        match &mut self.values {
            Values::Float(b) => b.append_value(value),
            _ => return Err(Misfit::Kind),
        }
        Ok(())
    }

    pub fn double(&mut self, value: f64) -> Result<(), Misfit> {
        match &mut self.values {
            Values::Double(b) => b.append_value(value),
            _ => return Err(Misfit::Kind),
        }
        Ok(())
    }

    /// Takes what comes as bytes: text, decimals in plain notation, bits from the highest down, geometries with their
    /// reference system before them.
    #[inline]
    pub fn bytes(&mut self, value: &[u8]) -> Result<(), Misfit> {
        match &mut self.values {
            Values::Decimal128(b, digits) => b.append_value(digits.of_text(value).ok_or(Misfit::Digits)?),
            Values::Text(b) | Values::Bytes(b) => b.append_value(value),
            Values::Decimal256(b, digits) => b.append_value(digits.of_long_text(value).ok_or(Misfit::Digits)?),
            Values::Bit(b) => b.append_value(bits(value).ok_or(Misfit::Kind)?),
            Values::Uuid(b) => {
                let uuid = uuid::Uuid::try_parse_ascii(value).map_err(|_| Misfit::Kind)?;
                b.append_value(uuid.as_bytes()).map_err(|_| Misfit::Kind)?;
            }
            Values::Geometry(b) => b.append_value(well_known_binary(value).ok_or(Misfit::Kind)?),
            Values::Vector(b) => {
                let (numbers, []) = value.as_chunks::<4>() else { return Err(Misfit::Kind) };
                b.values().append_slice(&numbers.iter().map(|number| f32::from_le_bytes(*number)).collect::<Vec<_>>());
                b.append(true);
            }
            _ => return Err(Misfit::Kind),
        }
        Ok(())
    }

    /// Takes a decimal of at most 38 digits, without its point, which is where the type says.
    #[inline]
    pub fn decimal(&mut self, unscaled: i128) -> Result<(), Misfit> {
        match &mut self.values {
            Values::Decimal128(b, digits) if digits.hold(unscaled) => b.append_value(unscaled),
            Values::Decimal128(..) => return Err(Misfit::Digits),
            _ => return Err(Misfit::Kind),
        }
        Ok(())
    }

    pub fn uuid(&mut self, uuid: [u8; 16]) -> Result<(), Misfit> {
        match &mut self.values {
            Values::Uuid(b) => b.append_value(uuid).map_err(|_| Misfit::Kind),
            _ => Err(Misfit::Kind),
        }
    }

    /// Takes a DATE, DATETIME or TIMESTAMP.
    #[inline]
    pub fn moment(&mut self, value: &Moment) -> Result<(), Misfit> {
        let taken = match &mut self.values {
            Values::Date(b) => value.days().map(|days| b.append_value(days)),
            Values::Timestamp(b) => value.micros().map(|micros| b.append_value(micros)),
            Values::TextDate(b, digits) => {
                let mut text = Vec::with_capacity(26);
                match digits {
                    None => value.write_date(&mut text),
                    Some(digits) => value.write_datetime(&mut text, *digits),
                }
                b.append_value(std::str::from_utf8(&text).map_err(|_| Misfit::Kind)?);
                Some(())
            }
            _ => return Err(Misfit::Kind),
        };
        match (taken, self.zero_dates) {
            (Some(()), _) => {}
            (None, ZeroDates::Null) => {
                self.nulled += 1;
                self.null();
            }
            (None, _) => return Err(Misfit::Date),
        }
        Ok(())
    }

    /// Takes a TIME, in microseconds.
    pub fn duration(&mut self, micros: i64) -> Result<(), Misfit> {
        match &mut self.values {
            Values::Time(b) => b.append_value(micros),
            _ => return Err(Misfit::Kind),
        }
        Ok(())
    }

    /// The column so far; it starts again, empty. Fails with the place of the first value that is no text where all
    /// should be.
    pub fn finish(&mut self) -> Result<ArrayRef, usize> {
        Ok(match &mut self.values {
            Values::Boolean(b) => Arc::new(b.finish()),
            Values::Int8(b) => primitives(b),
            Values::Int16(b) => primitives(b),
            Values::Int32(b) => primitives(b),
            Values::Int64(b) => primitives(b),
            Values::UInt8(b) => primitives(b),
            Values::UInt16(b) => primitives(b),
            Values::UInt32(b) => primitives(b),
            Values::UInt64(b) | Values::Bit(b) => primitives(b),
            Values::Float(b) => primitives(b),
            Values::Double(b) => primitives(b),
            Values::Decimal128(b, _) => primitives(b),
            Values::Decimal256(b, _) => primitives(b),
            Values::Text(b) => Arc::new(texts(pieces(b))?),
            Values::TextDate(b, _) => Arc::new(b.finish()),
            Values::Bytes(b) | Values::Geometry(b) => Arc::new(pieces(b)),
            Values::Uuid(b) => Arc::new(b.finish()),
            Values::Date(b) => primitives(b),
            Values::Timestamp(b) => primitives(b),
            Values::Time(b) => primitives(b),
            Values::Vector(b) => Arc::new(b.finish()),
        })
    }
}

/// The builder's values. The next batch will have about as many: it gets the room at once instead of by doubling.
fn primitives<T: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<T>) -> ArrayRef {
    let array = builder.finish();
    *builder = PrimitiveBuilder::with_capacity(array.len()).with_data_type(array.data_type().clone());
    Arc::new(array)
}

/// As [`primitives`]. What one large value took, the next batch does not get.
fn pieces(builder: &mut BinaryBuilder) -> BinaryArray {
    let array = builder.finish();
    let bytes = array.values().len();
    *builder = BinaryBuilder::with_capacity(array.len(), (bytes + bytes / 8).min(BATCH_BYTES));
    array
}

fn texts(bytes: BinaryArray) -> Result<StringArray, usize> {
    StringArray::try_from_binary(bytes.clone()).map_err(|_| {
        let is_text = |value: Option<&[u8]>| value.is_none_or(|value| std::str::from_utf8(value).is_ok());
        // There is one: were each of them text, all of them would be.
        bytes.iter().position(|value| !is_text(value)).unwrap_or_default()
    })
}

impl Values {
    fn new(of: Type) -> Self {
        match of {
            Type::Boolean => Values::Boolean(BooleanBuilder::new()),
            Type::Signed(8) => Values::Int8(Int8Builder::new()),
            Type::Signed(16) | Type::Year => Values::Int16(Int16Builder::new()),
            Type::Signed(32) => Values::Int32(Int32Builder::new()),
            Type::Signed(_) => Values::Int64(Int64Builder::new()),
            Type::Unsigned(8) => Values::UInt8(UInt8Builder::new()),
            Type::Unsigned(16) => Values::UInt16(UInt16Builder::new()),
            Type::Unsigned(32) => Values::UInt32(UInt32Builder::new()),
            Type::Unsigned(_) => Values::UInt64(UInt64Builder::new()),
            Type::Bit => Values::Bit(UInt64Builder::new()),
            Type::Float => Values::Float(Float32Builder::new()),
            Type::Double => Values::Double(Float64Builder::new()),
            Type::Decimal { precision: precision @ 1..=38, scale } => {
                Values::Decimal128(Decimal128Builder::new().with_data_type(of.data_type()), Digits { precision, scale })
            }
            Type::Decimal { precision, scale } => {
                Values::Decimal256(Decimal256Builder::new().with_data_type(of.data_type()), Digits { precision, scale })
            }
            Type::Text | Type::Json => Values::Text(BinaryBuilder::new()),
            Type::Uuid => Values::Uuid(FixedSizeBinaryBuilder::new(16)),
            Type::Bytes => Values::Bytes(BinaryBuilder::new()),
            Type::Date => Values::Date(Date32Builder::new()),
            Type::DateTime => Values::Timestamp(TimestampMicrosecondBuilder::new()),
            Type::Timestamp => Values::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(field::instant())),
            Type::TextDate(digits) => Values::TextDate(StringBuilder::new(), digits),
            Type::Time => Values::Time(DurationMicrosecondBuilder::new()),
            Type::Geometry => Values::Geometry(BinaryBuilder::new()),
            Type::Vector => Values::Vector(ListBuilder::new(Float32Builder::new())),
        }
    }
}

/// Up to 64 bits, the highest byte first.
fn bits(value: &[u8]) -> Option<u64> {
    (value.len() <= 8).then(|| value.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Decimal128Array, UInt64Array};

    use super::*;

    fn cells(of: Type) -> Cells {
        Cells::new(of, ZeroDates::Null)
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        let of = Type::Decimal { precision: 12, scale: 2 };
        let mut column = cells(of);
        let texts = ["0.00", "-1234567890.12", "9999999999.99", "5", "1.5", "007.10", ".5"];
        for text in texts {
            column.bytes(text.as_bytes()).unwrap();
        }
        for wrong in ["10000000000.00", "1.234", "1e3", "", "-", "1.2.3"] {
            assert_eq!(column.bytes(wrong.as_bytes()), Err(Misfit::Digits), "{wrong}");
        }
        let array = column.finish().unwrap();
        let values: Vec<_> = array.as_any().downcast_ref::<Decimal128Array>().unwrap().values().to_vec();
        assert_eq!(values, [0, -123_456_789_012, 999_999_999_999, 500, 150, 710, 50]);
        assert_eq!(array.data_type(), &of.data_type());
    }

    #[test]
    fn numbers_never_wrap() {
        assert_eq!(cells(Type::Signed(8)).signed(128), Err(Misfit::Kind));
        assert_eq!(cells(Type::Unsigned(32)).signed(-1), Err(Misfit::Kind));
        assert_eq!(cells(Type::Signed(64)).unsigned(u64::MAX), Err(Misfit::Kind));
        assert_eq!(cells(Type::Boolean).signed(2), Err(Misfit::Boolean));
        let mut column = cells(Type::Unsigned(64));
        column.unsigned(u64::MAX).unwrap();
        column.signed(7).unwrap();
        column.null();
        let array = column.finish().unwrap();
        let array = array.as_any().downcast_ref::<UInt64Array>().unwrap();
        assert_eq!((array.value(0), array.value(1), array.is_null(2)), (u64::MAX, 7, true));
    }

    #[test]
    fn days_that_no_calendar_has_follow_the_policy() {
        let zero = Moment::default();
        let mut column = cells(Type::Timestamp);
        column.moment(&zero).unwrap();
        assert_eq!((column.nulled, column.finish().unwrap().null_count()), (1, 1));
        assert_eq!(Cells::new(Type::Date, ZeroDates::Error).moment(&zero), Err(Misfit::Date));
        assert_eq!(Cells::new(Type::TextDate(Some(3)), ZeroDates::Text).moment(&zero), Ok(()));
    }

    #[test]
    fn text_must_be_text() {
        for (values, wrong) in [
            (&[&b"a"[..], b"\xff", b"b"][..], Some(1)),
            // Half a letter, and the other half.
            (&[b"a", b"\xc3", b"\xa9"], Some(1)),
            (&[b"", b"\xc3\xa9", b"\xe2\x82\xac"], None),
            (&[], None),
        ] {
            let mut column = cells(Type::Text);
            values.iter().for_each(|value| column.bytes(value).unwrap());
            assert_eq!(column.finish().err(), wrong, "{values:?}");
            assert_eq!(column.finish().unwrap().len(), 0);
        }
        assert_eq!(cells(Type::Bytes).bytes(b"\xff"), Ok(()));
        assert_eq!(cells(Type::Uuid).bytes(b"123e4567-e89b-12d3-a456-426655440000"), Ok(()));
        assert_eq!(cells(Type::Uuid).bytes(b"123e4567"), Err(Misfit::Kind));
        assert_eq!(cells(Type::Vector).bytes(b"abc"), Err(Misfit::Kind));
    }

    #[test]
    fn bits_count_from_the_last() {
        assert_eq!(bits(b"\x01\x02"), Some(0x102));
        assert_eq!(bits(&[255; 8]), Some(u64::MAX));
        assert_eq!(bits(&[0; 9]), None);
    }
}
