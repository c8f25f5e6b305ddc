//! Columns that are built from values, as wide as a shape says. What a value needs more than that is a misfit: the shape is widened
//! then, and the batch built anew.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{BooleanBufferBuilder, NullBufferBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array, Int64Array,
    ListArray, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{FieldRef, Fields as ArrowFields};

use super::bson::{Elements, Torn, Value};
use super::decimal::Decimal;
use super::fields::Fields;
use super::json::{self, Fault, Form};
use super::kinds::Kinds;
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

/// A text of a column, by its row, is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotText;

/// The values of one field.
pub struct Column {
    kinds: Kinds,
    /// How many rows it has so far.
    rows: usize,
    valid: NullBufferBuilder,
    values: Values,
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
        whole: u8,
        scale: u8,
    },
    Instant(Vec<i64>),
    Uuid(Vec<u8>),
    Bytes(Texts, u8),
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
}

impl Default for Texts {
    fn default() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0] }
    }
}

impl Texts {
    /// The text ends here. What does not fit into 31 bits has to be in another batch.
    #[inline]
    fn end(&mut self) -> Result<(), Misfit> {
        let end = i32::try_from(self.bytes.len()).map_err(|_| Fault::Torn)?;
        self.offsets.push(end);
        Ok(())
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let Texts { bytes, offsets } = std::mem::take(self);
        (OffsetBuffer::new(offsets.into()), bytes.into())
    }
}

impl Column {
    pub fn of(field: &Field) -> Self {
        let text = |written| Values::Text(Texts::default(), written);
        let values = match &field.shape {
            Shape::Nothing => Values::Nothing,
            Shape::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            Shape::Int => Values::Int(Vec::new()),
            Shape::Long { wide } => Values::Long(Vec::new(), if *wide { 1 << 63 } else { EXACT }),
            Shape::Double => Values::Double(Vec::new()),
            Shape::Decimal { whole, scale } => Values::Decimal { values: Vec::new(), whole: *whole, scale: *scale },
            Shape::Instant => Values::Instant(Vec::new()),
            Shape::ObjectId | Shape::Text => text(Written::Plain),
            Shape::Tagged(plain) => text(Written::Tagged(*plain)),
            Shape::Uuid => Values::Uuid(Vec::new()),
            Shape::Bytes(subtype) => Values::Bytes(Texts::default(), *subtype),
            Shape::Json => text(Written::Json),
            Shape::Record(fields) if schema::has_columns(fields) => Values::Record(Box::new(Records::of(fields))),
            Shape::List(item) => match schema::of("item", item) {
                Some(of) => Values::List { item: Box::new(Column::of(item)), of: Arc::new(of), offsets: vec![0] },
                None => text(Written::Bare),
            },
            Shape::Record(_) => text(Written::Bare),
        };
        Self { kinds: field.kinds, rows: 0, valid: NullBufferBuilder::new(0), values }
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
            Values::Int(values) => values.resize(values.len() + count, 0),
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
            (Values::Instant(values), Value::Instant(millis)) => {
                values.push(millis.checked_mul(1000).ok_or(Misfit::Wider)?);
            }
            (Values::Bool(values), Value::Bool(of)) => values.append(*of),
            (Values::Record(records), Value::Record(record)) => records.add(record)?,
            (Values::List { item, offsets, .. }, Value::List(items)) => {
                let mut elements = Elements::of(items)?;
                while let Some((_, value)) = elements.advance()? {
                    item.push(&value)?;
                }
                offsets.push(i32::try_from(item.rows).map_err(|_| Fault::Torn)?);
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
            return Err(Misfit::Wider);
        }
        match (&mut self.values, value) {
            (Values::Long(values, _), Value::Int32(number)) => values.push((*number).into()),
            (Values::Double(values), Value::Int32(number)) => values.push((*number).into()),
            (Values::Double(values), Value::Int64(number)) if number.unsigned_abs() <= EXACT => {
                values.push(*number as f64)
            }
            (Values::Decimal { values, whole, scale }, value) => {
                let unscaled = decimal(value, (*whole).into(), (*scale).into());
                values.push(unscaled.ok_or(Misfit::Wider)?);
            }
            (Values::Uuid(values), Value::Bytes { bytes, .. }) if bytes.len() == 16 => values.extend_from_slice(bytes),
            (Values::Bytes(texts, subtype), Value::Bytes { subtype: of, bytes }) if of == subtype => {
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
            _ => return Err(Misfit::Wider),
        }
        Ok(())
    }

    /// The column; `None` where it has nothing but nulls. It is empty then.
    pub fn finish(&mut self) -> Result<Option<ArrayRef>, NotText> {
        let nulls = self.valid.finish();
        let rows = std::mem::take(&mut self.rows);
        Ok(Some(match &mut self.values {
            Values::Nothing => return Ok(None),
            Values::Bool(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int(values) => Arc::new(Int32Array::new(scalars(values), nulls)),
            Values::Long(values, _) => Arc::new(Int64Array::new(scalars(values), nulls)),
            Values::Double(values) => Arc::new(Float64Array::new(scalars(values), nulls)),
            Values::Instant(values) => {
                Arc::new(TimestampMicrosecondArray::new(scalars(values), nulls).with_timezone("UTC"))
            }
            Values::Decimal { values, scale, .. } => {
                let array = Decimal128Array::new(scalars(values), nulls);
                // Digits and scale are those of the schema: within 38.
                Arc::new(array.with_precision_and_scale(DIGITS as u8, *scale as i8).map_err(|_| NotText)?)
            }
            Values::Uuid(values) => {
                let bytes = Buffer::from(std::mem::take(values));
                Arc::new(FixedSizeBinaryArray::try_new(16, bytes, nulls).map_err(|_| NotText)?)
            }
            Values::Bytes(texts, _) => {
                let (offsets, bytes) = texts.finish();
                Arc::new(BinaryArray::new(offsets, bytes, nulls))
            }
            Values::Text(texts, _) => {
                let (offsets, bytes) = texts.finish();
                Arc::new(StringArray::try_new(offsets, bytes, nulls).map_err(|_| NotText)?)
            }
            Values::Record(records) => Arc::new(records.finish(rows, nulls)?),
            Values::List { item, of, offsets } => {
                let offsets = OffsetBuffer::new(std::mem::replace(offsets, vec![0]).into());
                let items = item.finish()?.ok_or(NotText)?;
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

/// The values of a record's fields.
pub struct Records {
    names: Vec<Box<[u8]>>,
    places: HashMap<Box<[u8]>, usize>,
    columns: Vec<Column>,
    fields: ArrowFields,
    rows: usize,
}

impl Records {
    pub fn of(fields: &Fields) -> Self {
        let names: Vec<Box<[u8]>> = fields.iter().map(|(name, _)| name.as_bytes().into()).collect();
        let places = names.iter().enumerate().map(|(place, name)| (name.clone(), place)).collect();
        let columns = fields.iter().map(|(_, field)| Column::of(field)).collect();
        Self { names, places, columns, fields: schema::fields(fields), rows: 0 }
    }

    fn skip(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// Adds a record as the next row. After a misfit there is half a row.
    pub fn add(&mut self, record: &[u8]) -> Result<(), Misfit> {
        self.add_with(record, |_, _| Err(Misfit::Wider))
    }

    /// The same; `other` is asked about fields that are none of these.
    pub fn add_with(
        &mut self,
        record: &[u8],
        mut other: impl FnMut(&[u8], &Value<'_>) -> Result<(), Misfit>,
    ) -> Result<(), Misfit> {
        let (mut elements, mut at, row) = (Elements::of(record)?, 0, self.rows);
        loop {
            let place;
            let value = match self.names.get(at).filter(|name| elements.is_next(name)) {
                Some(name) => {
                    place = at;
                    elements.advance_named(name.len())?
                }
                None => {
                    let Some((name, value)) = elements.advance()? else { break };
                    match self.place(name, at) {
                        Some(known) => place = known,
                        // A field that has never been anything but null is none yet.
                        None if value.is_null() => continue,
                        None => {
                            other(name, &value)?;
                            continue;
                        }
                    }
                    value
                }
            };
            at = place + 1;
            let column = &mut self.columns[place];
            // Of fields of one name the first counts, as it does to the server.
            if column.rows <= row {
                column.pad(row);
                column.push(&value)?;
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Gives the last row fields that it lacks.
    pub fn complete(&mut self, defaults: &[u8]) -> Result<(), Misfit> {
        let (mut elements, row) = (Elements::of(defaults)?, self.rows - 1);
        while let Some((name, value)) = elements.advance()? {
            let column = self.place(name, 0).and_then(|place| self.columns.get_mut(place)).ok_or(Misfit::Wider)?;
            if column.rows <= row {
                column.pad(row);
                column.push(&value)?;
            }
        }
        Ok(())
    }

    /// Fields mostly come in one order, some of them left out.
    #[inline]
    fn place(&self, name: &[u8], at: usize) -> Option<usize> {
        const NEAR: usize = 4;
        let near = self.names.iter().skip(at).take(NEAR).position(|known| **known == *name);
        near.map(|near| at + near).or_else(|| self.places.get(name).copied())
    }

    /// The columns; empty then. An error tells the field.
    pub fn arrays(&mut self) -> Result<Vec<ArrayRef>, (NotText, usize)> {
        let rows = std::mem::take(&mut self.rows);
        let mut arrays = Vec::with_capacity(self.fields.len());
        for (place, column) in self.columns.iter_mut().enumerate() {
            column.pad(rows);
            arrays.extend(column.finish().map_err(|fault| (fault, place))?);
        }
        Ok(arrays)
    }

    fn finish(&mut self, rows: usize, nulls: Option<NullBuffer>) -> Result<StructArray, NotText> {
        debug_assert_eq!(rows, self.rows);
        let arrays = self.arrays().map_err(|(fault, _)| fault)?;
        StructArray::try_new(self.fields.clone(), arrays, nulls).map_err(|_| NotText)
    }
}
