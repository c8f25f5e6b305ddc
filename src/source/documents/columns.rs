//! Columns that are built from values, as wide as a shape says. What a value needs more than that is a misfit: the shape is widened
//! then, and the batch built anew.

use std::sync::Arc;

use arrow_array::builder::{BooleanBufferBuilder, NullBufferBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array,
    Int64Array, ListArray, StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::FieldRef;

use super::bson::{Elements, Torn, Value, kind};
use super::coercion::{Cell, Declaration};
use super::decimal::Decimal;
use super::declared::Type;
use super::json::{self, Fault, Form};
use super::kinds::Kinds;
use super::records::Records;
use super::schema;
use super::shape::{DIGITS, EXACT, Field, Shape};

/// Why a value is not in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// The column has to be wider.
    Wider,
    Fault(Fault),
}

impl From<Torn> for Misfit {
    fn from(_: Torn) -> Self {
        Misfit::Fault(Fault::Torn)
    }
}

impl From<Fault> for Misfit {
    fn from(fault: Fault) -> Self {
        Misfit::Fault(fault)
    }
}

/// The values of one field.
pub struct Column {
    kinds: Kinds,
    /// How many rows it has so far.
    rows: usize,
    valid: NullBufferBuilder,
    values: Values,
    /// Where it does not widen.
    declared: Option<Declaration>,
}

enum Values {
    /// Nothing but nulls, and no column in the end.
    Nothing,
    Bool(BooleanBufferBuilder),
    Int(Vec<i32>),
    /// None of them farther from zero than this: a wider one is noted, since doubles may come.
    Long(Vec<i64>, u64),
    Double(Vec<f64>),
    Decimal {
        values: Vec<i128>,
        /// Digits that the column says it has.
        precision: u8,
        whole: u8,
        scale: u8,
    },
    /// Days since 1970.
    Date(Vec<i32>),
    Instant(Vec<i64>),
    Uuid(Vec<u8>),
    /// All of one subtype, or of any.
    Bytes(Texts, Option<u8>),
    Text(Texts, Written),
    Record(Box<Records>),
    List {
        item: Box<Column>,
        of: FieldRef,
        offsets: Vec<i32>,
    },
}

/// How values become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Plain,
    /// In canonical JSON, but for these types.
    Tagged(Kinds),
    Json,
    /// The same, of records and lists with nothing in them: what else there is makes another column.
    Bare,
}

struct Texts {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    /// How long those of the batch before were.
    mean: usize,
}

const MILLIS_OF_DAY: i64 = 86_400_000;

/// Texts of a column are given no more bytes than this before they come.
const MOST_RESERVED: usize = 1 << 20;

impl Default for Texts {
    fn default() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0], mean: 0 }
    }
}

impl Texts {
    /// The text ends here. What does not fit into 31 bits has to be in another batch.
    #[inline]
    fn end(&mut self) -> Result<(), Misfit> {
        let end = i32::try_from(self.bytes.len()).map_err(|_| Fault::Large)?;
        self.offsets.push(end);
        Ok(())
    }

    fn reserve(&mut self, rows: usize) {
        self.offsets.reserve_exact(rows);
        // Somewhat more, since there is a copy of all where it does not do; never much, where texts are huge.
        self.bytes.reserve((rows * (self.mean + self.mean / 8)).min(MOST_RESERVED));
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let Texts { bytes, offsets, .. } = std::mem::take(self);
        self.mean = bytes.len().div_ceil(offsets.len());
        (OffsetBuffer::new(offsets.into()), bytes.into())
    }
}

impl Column {
    pub fn of(field: &Field) -> Self {
        match field.declared {
            Some(declared) => Self::declared(declared),
            None => Self::found(field),
        }
    }

    fn found(field: &Field) -> Self {
        let text = |written| Values::Text(Texts::default(), written);
        let values = match &field.shape {
            Shape::Nothing => Values::Nothing,
            Shape::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            Shape::Int => Values::Int(Vec::new()),
            Shape::Long { wide } => Values::Long(Vec::new(), if *wide { 1 << 63 } else { EXACT }),
            Shape::Double => Values::Double(Vec::new()),
            Shape::Decimal { whole, scale } => {
                Values::Decimal { values: Vec::new(), precision: DIGITS as u8, whole: *whole, scale: *scale }
            }
            Shape::Date => Values::Date(Vec::new()),
            Shape::Instant => Values::Instant(Vec::new()),
            Shape::ObjectId | Shape::Text => text(Written::Plain),
            Shape::Tagged(plain) => text(Written::Tagged(*plain)),
            Shape::Uuid => Values::Uuid(Vec::new()),
            Shape::Bytes(subtype) => Values::Bytes(Texts::default(), Some(*subtype)),
            Shape::Json => text(Written::Json),
            Shape::Record(fields) if schema::has_columns(fields) => Values::Record(Box::new(Records::of(fields))),
            Shape::List(item) => match schema::of("item", item) {
                Some(of) => Values::List { item: Box::new(Column::of(item)), of: Arc::new(of), offsets: vec![0] },
                None => text(Written::Bare),
            },
            Shape::Record(_) => text(Written::Bare),
        };
        Self { kinds: field.kinds, rows: 0, valid: NullBufferBuilder::new(0), values, declared: None }
    }

    /// Of a type that does not widen.
    pub fn declared(declared: Declaration) -> Self {
        let of = declared.of;
        let mut column = Self::found(&Field { shape: of.shape(), kinds: of.kinds(), declared: None });
        match (&mut column.values, of) {
            (Values::Decimal { precision, .. }, Type::Decimal { precision: declared, .. }) => *precision = declared,
            (Values::Bytes(_, subtype), _) => *subtype = None,
            _ => {}
        }
        Self { declared: Some(declared), ..column }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Makes room for so many rows more.
    pub fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Nothing | Values::List { .. } => {}
            Values::Bool(values) => values.reserve(rows),
            Values::Int(values) | Values::Date(values) => values.reserve_exact(rows),
            Values::Long(values, _) | Values::Instant(values) => values.reserve_exact(rows),
            Values::Double(values) => values.reserve_exact(rows),
            Values::Decimal { values, .. } => values.reserve_exact(rows),
            Values::Uuid(values) => values.reserve_exact(16 * rows),
            Values::Bytes(texts, _) | Values::Text(texts, _) => texts.reserve(rows),
            Values::Record(records) => records.reserve(rows),
        }
    }

    /// Fills up with nulls.
    #[inline]
    pub fn pad(&mut self, rows: usize) {
        if self.rows < rows {
            self.nulls(rows - self.rows);
        }
    }

    fn nulls(&mut self, count: usize) {
        self.rows += count;
        self.valid.append_n_nulls(count);
        match &mut self.values {
            Values::Nothing => {}
            Values::Bool(values) => values.append_n(count, false),
            Values::Int(values) | Values::Date(values) => values.resize(values.len() + count, 0),
            Values::Long(values, _) | Values::Instant(values) => values.resize(values.len() + count, 0),
            Values::Double(values) => values.resize(values.len() + count, 0.0),
            Values::Decimal { values, .. } => values.resize(values.len() + count, 0),
            Values::Uuid(values) => values.resize(values.len() + 16 * count, 0),
            Values::Bytes(Texts { offsets, .. }, _)
            | Values::Text(Texts { offsets, .. }, _)
            | Values::List { offsets, .. } => {
                offsets.resize(offsets.len() + count, offsets.last().copied().unwrap_or(0));
            }
            Values::Record(records) => records.skip(count),
        }
    }

    /// Adds the value that comes next, which is of that type, as the next row. What most columns have goes straight into them: a
    /// [`Value`] takes several times as long.
    #[inline]
    pub fn push_next(&mut self, elements: &mut Elements<'_>, kind: u8) -> Result<(), Misfit> {
        match (&mut self.values, kind) {
            (Values::Int(values), kind::INT32) => values.push(i32::from_le_bytes(elements.fixed()?)),
            (Values::Long(values, most), kind::INT64) if self.kinds.has(Kinds::INT64) => {
                let number = i64::from_le_bytes(elements.fixed()?);
                if number.unsigned_abs() > *most {
                    return Err(Misfit::Wider);
                }
                values.push(number);
            }
            (Values::Double(values), kind::DOUBLE) => values.push(f64::from_le_bytes(elements.fixed()?)),
            (Values::Instant(values), kind::INSTANT) => {
                let millis = i64::from_le_bytes(elements.fixed()?);
                values.push(millis.checked_mul(1000).ok_or(Misfit::Wider)?);
            }
            (Values::Text(texts, Written::Plain), kind::TEXT) if self.kinds.has(Kinds::TEXT) => {
                texts.bytes.extend_from_slice(elements.text()?);
                texts.end()?;
            }
            (Values::Text(texts, Written::Plain), kind::OBJECT_ID) if self.kinds.has(Kinds::OBJECT_ID) => {
                json::hexadecimal(&mut texts.bytes, &elements.fixed()?);
                texts.end()?;
            }
            _ => return self.push(&elements.value(kind)?),
        }
        self.rows += 1;
        self.valid.append_non_null();
        Ok(())
    }

    /// Adds a value as the next row.
    #[inline]
    pub fn push(&mut self, value: &Value<'_>) -> Result<(), Misfit> {
        match (&mut self.values, value) {
            (Values::Int(values), Value::Int32(number)) => values.push(*number),
            (Values::Long(values, most), Value::Int64(number))
                if number.unsigned_abs() <= *most && self.kinds.has(Kinds::INT64) =>
            {
                values.push(*number);
            }
            (Values::Double(values), Value::Double(number)) => values.push(*number),
            (Values::Text(texts, Written::Plain), Value::Text(text)) if self.kinds.has(Kinds::TEXT) => {
                texts.bytes.extend_from_slice(text);
                texts.end()?;
            }
            (_, Value::Null | Value::Undefined) => {
                self.nulls(1);
                return Ok(());
            }
            (_, Value::Text(text)) if self.declared.is_some_and(|declared| declared.is_nothing(text)) => {
                self.nulls(1);
                return Ok(());
            }
            (Values::Instant(values), Value::Instant(millis)) => {
                values.push(millis.checked_mul(1000).ok_or(Misfit::Wider)?);
            }
            (Values::Bool(values), Value::Bool(of)) => values.append(*of),
            (Values::Record(records), Value::Record(record)) => records.add(record)?,
            (Values::List { item, offsets, .. }, Value::List(items)) => {
                let mut elements = Elements::of(items)?;
                while let Some((kind, _)) = elements.begin()? {
                    item.push_next(&mut elements, kind)?;
                }
                offsets.push(i32::try_from(item.rows).map_err(|_| Fault::Large)?);
            }
            _ => self.push_other(value)?,
        }
        self.rows += 1;
        self.valid.append_non_null();
        Ok(())
    }

    /// Values that the column holds in another form than their own, or not at all.
    fn push_other(&mut self, value: &Value<'_>) -> Result<(), Misfit> {
        if !self.kinds.has(Kinds::of(value)) {
            return self.push_read(value);
        }
        match (&mut self.values, value) {
            (Values::Long(values, _), Value::Int32(number)) => values.push((*number).into()),
            (Values::Double(values), Value::Int32(number)) => values.push((*number).into()),
            (Values::Double(values), Value::Int64(number)) if number.unsigned_abs() <= EXACT => {
                values.push(*number as f64)
            }
            (Values::Decimal { values, whole, scale, .. }, value) => {
                let unscaled = decimal(value, (*whole).into(), (*scale).into());
                values.push(unscaled.ok_or(Misfit::Wider)?);
            }
            (Values::Uuid(values), Value::Bytes { bytes, .. }) if bytes.len() == 16 => values.extend_from_slice(bytes),
            (Values::Bytes(texts, subtype), Value::Bytes { subtype: of, bytes })
                if subtype.is_none_or(|subtype| subtype == *of) =>
            {
                texts.bytes.extend_from_slice(bytes);
                texts.end()?;
            }
            (Values::Text(texts, written), value) => {
                match written {
                    Written::Plain => json::plain(&mut texts.bytes, value)?,
                    Written::Tagged(plain) if plain.has(Kinds::of(value)) => json::plain(&mut texts.bytes, value)?,
                    Written::Tagged(_) => json::value(&mut texts.bytes, value, Form::Canonical)?,
                    Written::Bare if !is_bare(value)? => return Err(Misfit::Wider),
                    Written::Json | Written::Bare => json::value(&mut texts.bytes, value, Form::Relaxed)?,
                }
                texts.end()?;
            }
            (Values::Date(values), Value::Instant(millis)) if millis % MILLIS_OF_DAY == 0 => {
                values.push(i32::try_from(millis / MILLIS_OF_DAY).map_err(|_| Misfit::Wider)?);
            }
            _ => return self.push_read(value),
        }
        Ok(())
    }

    /// Values that only say what the column holds, where it is declared.
    fn push_read(&mut self, value: &Value<'_>) -> Result<(), Misfit> {
        let cell = self.declared.and_then(|declared| declared.read(value)).ok_or(Misfit::Wider)?;
        match (&mut self.values, cell) {
            (Values::Bool(values), Cell::Bool(of)) => values.append(of),
            (Values::Int(values), Cell::Int(number)) | (Values::Date(values), Cell::Days(number)) => {
                values.push(number)
            }
            (Values::Long(values, _), Cell::Long(number)) | (Values::Instant(values), Cell::Micros(number)) => {
                values.push(number);
            }
            (Values::Double(values), Cell::Double(number)) => values.push(number),
            (Values::Decimal { values, .. }, Cell::Decimal(unscaled)) => values.push(unscaled),
            (Values::Uuid(values), Cell::Uuid(bytes)) => values.extend_from_slice(&bytes),
            _ => return Err(Misfit::Wider),
        }
        Ok(())
    }

    /// The column; `None` where it has nothing but nulls. It is empty then.
    pub fn finish(&mut self) -> Result<Option<ArrayRef>, Fault> {
        let nulls = self.valid.finish();
        let rows = std::mem::take(&mut self.rows);
        Ok(Some(match &mut self.values {
            Values::Nothing => return Ok(None),
            Values::Bool(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => Arc::new(Int32Array::new(scalars(values), nulls)),
            Values::Date(values) => Arc::new(Date32Array::new(scalars(values), nulls)),
            Values::Long(values, _) => Arc::new(Int64Array::new(scalars(values), nulls)),
            Values::Double(values) => Arc::new(Float64Array::new(scalars(values), nulls)),
            Values::Instant(values) => {
                Arc::new(TimestampMicrosecondArray::new(scalars(values), nulls).with_timezone("UTC"))
            }
            Values::Decimal { values, precision, scale, .. } => {
                let array = Decimal128Array::new(scalars(values), nulls);
                // Never an error: both are those of the schema.
                Arc::new(array.with_precision_and_scale(*precision, *scale as i8).map_err(|_| Fault::Large)?)
            }
            Values::Uuid(values) => {
                let bytes = Buffer::from(std::mem::take(values));
                Arc::new(FixedSizeBinaryArray::try_new(16, bytes, nulls).map_err(|_| Fault::Large)?)
            }
            Values::Bytes(texts, _) => {
                let (offsets, bytes) = texts.finish();
                Arc::new(BinaryArray::new(offsets, bytes, nulls))
            }
            Values::Text(texts, _) => {
                let (offsets, bytes) = texts.finish();
                Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(|_| Fault::NotText)?)
            }
            Values::Record(records) => Arc::new(records.finish(rows, nulls)?),
            Values::List { item, of, offsets } => {
                let offsets = OffsetBuffer::new(std::mem::replace(offsets, vec![0]).into());
                let items = item.finish()?.ok_or(Fault::Torn)?;
                Arc::new(ListArray::new(of.clone(), offsets, items, nulls))
            }
        }))
    }
}

fn scalars<T: arrow_buffer::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    std::mem::take(values).into()
}

/// Whether a record or a list has nothing but nulls.
fn is_bare(value: &Value<'_>) -> Result<bool, Torn> {
    let (Value::Record(inner) | Value::List(inner)) = value else { return Ok(false) };
    let mut elements = Elements::of(inner)?;
    while let Some((_, value)) = elements.advance()? {
        if !value.is_null() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A number in units of the scale, if it has no more digits than that before the point.
fn decimal(value: &Value<'_>, whole: u32, scale: u32) -> Option<i128> {
    let unscaled = match value {
        Value::Decimal(bits) => Decimal::of(*bits).unscaled(scale)?,
        Value::Int32(number) => i128::from(*number).checked_mul(10i128.checked_pow(scale)?)?,
        Value::Int64(number) => i128::from(*number).checked_mul(10i128.checked_pow(scale)?)?,
        _ => return None,
    };
    (unscaled.unsigned_abs() < 10u128.checked_pow(whole + scale)?).then_some(unscaled)
}
