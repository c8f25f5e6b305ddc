use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder, DurationMicrosecondBuilder,
    FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder,
    NullBufferBuilder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt8Builder,
    UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, ListArray, RecordBatch, RecordBatchOptions, StructArray};
use arrow_buffer::{OffsetBuffer, i256};
use arrow_schema::{DataType, FieldRef, Fields, TimeUnit};

use super::{Datum, Rows, Table, decimal};
use crate::error::{Error, Result};

/// Turns cells into Arrow, row by row, for one table.
///
/// Refuses, by column name, whatever its column's type does not hold exactly.
#[derive(Debug)]
pub struct BatchBuilder {
    table: Arc<Table>,
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

impl BatchBuilder {
    /// Fails with `Kind::Bug` where the schema has an Arrow type that no source produces.
    pub fn new(table: Arc<Table>) -> Result<Self> {
        let columns = table
            .schema
            .fields()
            .iter()
            .map(|field| {
                let column = Column::new(field.data_type());
                column.map_err(|e| e.at(format!("table {}, column {}", table.name, field.name())))
            })
            .collect::<Result<_>>()?;
        Ok(Self { table, columns, rows: 0, bytes: 0 })
    }

    /// Appends a row: one datum for each column, in the schema's order.
    ///
    /// After an error the builder holds half a row and is only to be dropped.
    pub fn row(&mut self, cells: &[Datum<'_>]) -> Result<()> {
        if cells.len() != self.columns.len() {
            let (have, want) = (cells.len(), self.columns.len());
            return Err(Error::bug(format!("table {}: a row of {have} cells for {want} columns", self.table.name)));
        }
        for (index, (column, cell)) in self.columns.iter_mut().zip(cells).enumerate() {
            match column.push(*cell) {
                Ok(bytes) => self.bytes += bytes,
                Err(Misfit) => return Err(self.misfit(index, cell)),
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn misfit(&self, index: usize, cell: &Datum<'_>) -> Error {
        let field = self.table.schema.field(index);
        Error::data(format!(
            "table {}, column {}: a {} does not fit {} exactly (row {} of its batch)",
            self.table.name,
            field.name(),
            cell.kind(),
            field.data_type(),
            self.rows + 1
        ))
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The size of the values held so far, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The rows so far; the builder starts again, empty.
    pub fn finish(&mut self) -> Result<Rows> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        let batch = RecordBatch::try_new_with_options(self.table.schema.clone(), arrays, &options)
            .map_err(|e| Error::bug(format!("table {}: {e}", self.table.name)))?;
        self.rows = 0;
        self.bytes = 0;
        Ok(Rows { table: self.table.clone(), batch })
    }
}

/// The cell is not of its column's type, or out of its range.
struct Misfit;

#[derive(Debug)]
enum Column {
    Boolean(BooleanBuilder),
    Int8(Int8Builder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    UInt8(UInt8Builder),
    UInt16(UInt16Builder),
    UInt32(UInt32Builder),
    UInt64(UInt64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Fixed(FixedSizeBinaryBuilder, usize),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Duration(DurationMicrosecondBuilder),
    List { item: FieldRef, lengths: Vec<usize>, valid: NullBufferBuilder, values: Box<Column> },
    Struct { fields: Fields, columns: Vec<Column>, valid: NullBufferBuilder },
}

impl Column {
    fn new(data_type: &DataType) -> Result<Self> {
        Ok(match data_type {
            DataType::Boolean => Column::Boolean(BooleanBuilder::new()),
            DataType::Int8 => Column::Int8(Int8Builder::new()),
            DataType::Int16 => Column::Int16(Int16Builder::new()),
            DataType::Int32 => Column::Int32(Int32Builder::new()),
            DataType::Int64 => Column::Int64(Int64Builder::new()),
            DataType::UInt8 => Column::UInt8(UInt8Builder::new()),
            DataType::UInt16 => Column::UInt16(UInt16Builder::new()),
            DataType::UInt32 => Column::UInt32(UInt32Builder::new()),
            DataType::UInt64 => Column::UInt64(UInt64Builder::new()),
            DataType::Float32 => Column::Float32(Float32Builder::new()),
            DataType::Float64 => Column::Float64(Float64Builder::new()),
            DataType::Decimal128(precision, scale) => {
                Column::Decimal128(Decimal128Builder::new().with_data_type(data_type.clone()), *precision, *scale)
            }
            DataType::Decimal256(precision, scale) => {
                Column::Decimal256(Decimal256Builder::new().with_data_type(data_type.clone()), *precision, *scale)
            }
            DataType::Utf8 => Column::Text(StringBuilder::new()),
            DataType::Binary => Column::Bytes(BinaryBuilder::new()),
            DataType::FixedSizeBinary(width) => Column::Fixed(
                FixedSizeBinaryBuilder::new(*width),
                usize::try_from(*width).map_err(|_| unsupported(data_type))?,
            ),
            DataType::Date32 => Column::Date(Date32Builder::new()),
            DataType::Time64(TimeUnit::Microsecond) => Column::Time(Time64MicrosecondBuilder::new()),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Column::Timestamp(TimestampMicrosecondBuilder::new().with_timezone_opt(zone.clone()))
            }
            DataType::Duration(TimeUnit::Microsecond) => Column::Duration(DurationMicrosecondBuilder::new()),
            DataType::List(item) => Column::List {
                item: item.clone(),
                lengths: Vec::new(),
                valid: NullBufferBuilder::new(0),
                values: Box::new(Column::new(item.data_type())?),
            },
            DataType::Struct(fields) => Column::Struct {
                fields: fields.clone(),
                columns: fields.iter().map(|f| Column::new(f.data_type())).collect::<Result<_>>()?,
                valid: NullBufferBuilder::new(0),
            },
            other => return Err(unsupported(other)),
        })
    }

    /// Appends a cell and says about how many bytes it takes.
    fn push(&mut self, cell: Datum<'_>) -> Result<usize, Misfit> {
        macro_rules! integer {
            ($builder:expr) => {
                match cell {
                    Datum::Int(value) => $builder.append_value(value.try_into().map_err(|_| Misfit)?),
                    Datum::UInt(value) => $builder.append_value(value.try_into().map_err(|_| Misfit)?),
                    Datum::Null => $builder.append_null(),
                    _ => return Err(Misfit),
                }
            };
        }
        macro_rules! same {
            ($builder:expr, $($variant:ident)|+) => {
                match cell {
                    $(Datum::$variant(value) => $builder.append_value(value),)+
                    Datum::Null => $builder.append_null(),
                    _ => return Err(Misfit),
                }
            };
        }
        match self {
            Column::Boolean(b) => same!(b, Bool),
            Column::Int8(b) => integer!(b),
            Column::Int16(b) => integer!(b),
            Column::Int32(b) => integer!(b),
            Column::Int64(b) => integer!(b),
            Column::UInt8(b) => integer!(b),
            Column::UInt16(b) => integer!(b),
            Column::UInt32(b) => integer!(b),
            Column::UInt64(b) => integer!(b),
            Column::Float32(b) => match cell {
                Datum::Float(value) => b.append_value(exact_f32(value)?),
                Datum::Null => b.append_null(),
                _ => return Err(Misfit),
            },
            Column::Float64(b) => match cell {
                Datum::Float(value) => b.append_value(value),
                Datum::Int(value) => b.append_value(exact_f64(value)?),
                Datum::Null => b.append_null(),
                _ => return Err(Misfit),
            },
            Column::Decimal128(b, precision, scale) => match decimal_text(&cell, &mut itoa::Buffer::new())? {
                None => b.append_null(),
                Some(text) => {
                    let value = decimal::parse_i128(text, *scale).ok_or(Misfit)?;
                    if value.unsigned_abs() >= 10u128.pow(u32::from(*precision)) {
                        return Err(Misfit);
                    }
                    b.append_value(value);
                }
            },
            Column::Decimal256(b, precision, scale) => match decimal_text(&cell, &mut itoa::Buffer::new())? {
                None => b.append_null(),
                Some(text) => {
                    let value = decimal::parse_i256(text, *scale).ok_or(Misfit)?;
                    let limit = i256::from_i128(10).wrapping_pow(u32::from(*precision));
                    if value >= limit || value <= limit.wrapping_neg() {
                        return Err(Misfit);
                    }
                    b.append_value(value);
                }
            },
            Column::Text(b) => same!(b, Text),
            Column::Bytes(b) => match cell {
                Datum::Bytes(value) => b.append_value(value),
                Datum::Text(value) => b.append_value(value),
                Datum::Null => b.append_null(),
                _ => return Err(Misfit),
            },
            Column::Fixed(b, width) => match cell {
                Datum::Bytes(value) if value.len() == *width => b.append_value(value).map_err(|_| Misfit)?,
                Datum::Null => b.append_null(),
                _ => return Err(Misfit),
            },
            Column::Date(b) => same!(b, Date),
            Column::Time(b) => same!(b, Time),
            Column::Timestamp(b) => same!(b, Timestamp),
            Column::Duration(b) => same!(b, Duration),
            Column::List { lengths, valid, values, .. } => return push_list(cell, lengths, valid, values),
            Column::Struct { columns, valid, .. } => return push_struct(cell, columns, valid),
        }
        Ok(match cell {
            Datum::Text(value) => value.len() + 4,
            Datum::Bytes(value) => value.len() + 4,
            Datum::Decimal(_) => 16,
            _ => 8,
        })
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Column::List { item, lengths, valid, values } => Arc::new(ListArray::new(
                item.clone(),
                OffsetBuffer::from_lengths(std::mem::take(lengths)),
                values.finish(),
                valid.finish(),
            )),
            Column::Struct { fields, columns, valid } => {
                let length = valid.len();
                let arrays = columns.iter_mut().map(Column::finish).collect::<Vec<_>>();
                match fields.is_empty() {
                    true => Arc::new(StructArray::new_empty_fields(length, valid.finish())),
                    false => Arc::new(StructArray::new(fields.clone(), arrays, valid.finish())),
                }
            }
            Column::Boolean(b) => Arc::new(b.finish()),
            Column::Int8(b) => Arc::new(b.finish()),
            Column::Int16(b) => Arc::new(b.finish()),
            Column::Int32(b) => Arc::new(b.finish()),
            Column::Int64(b) => Arc::new(b.finish()),
            Column::UInt8(b) => Arc::new(b.finish()),
            Column::UInt16(b) => Arc::new(b.finish()),
            Column::UInt32(b) => Arc::new(b.finish()),
            Column::UInt64(b) => Arc::new(b.finish()),
            Column::Float32(b) => Arc::new(b.finish()),
            Column::Float64(b) => Arc::new(b.finish()),
            Column::Decimal128(b, ..) => Arc::new(b.finish()),
            Column::Decimal256(b, ..) => Arc::new(b.finish()),
            Column::Text(b) => Arc::new(b.finish()),
            Column::Bytes(b) => Arc::new(b.finish()),
            Column::Fixed(b, _) => Arc::new(b.finish()),
            Column::Date(b) => Arc::new(b.finish()),
            Column::Time(b) => Arc::new(b.finish()),
            Column::Timestamp(b) => Arc::new(b.finish()),
            Column::Duration(b) => Arc::new(b.finish()),
        }
    }
}

fn push_list(
    cell: Datum<'_>,
    lengths: &mut Vec<usize>,
    valid: &mut NullBufferBuilder,
    values: &mut Column,
) -> Result<usize, Misfit> {
    match cell {
        Datum::List(items) => {
            let mut bytes = 4;
            for item in items {
                bytes += values.push(*item)?;
            }
            lengths.push(items.len());
            valid.append_non_null();
            Ok(bytes)
        }
        Datum::Null => {
            lengths.push(0);
            valid.append_null();
            Ok(4)
        }
        _ => Err(Misfit),
    }
}

fn push_struct(cell: Datum<'_>, columns: &mut [Column], valid: &mut NullBufferBuilder) -> Result<usize, Misfit> {
    let mut bytes = 1;
    match cell {
        Datum::Struct(cells) if cells.len() == columns.len() => {
            for (column, cell) in columns.iter_mut().zip(cells) {
                bytes += column.push(*cell)?;
            }
            valid.append_non_null();
        }
        Datum::Null => {
            for column in columns {
                bytes += column.push(Datum::Null)?;
            }
            valid.append_null();
        }
        _ => return Err(Misfit),
    }
    Ok(bytes)
}

/// The text of a decimal or integer cell; `None` for null.
fn decimal_text<'a>(cell: &Datum<'a>, buffer: &'a mut itoa::Buffer) -> Result<Option<&'a [u8]>, Misfit> {
    Ok(match cell {
        Datum::Decimal(text) => Some(text.as_bytes()),
        Datum::Int(value) => Some(buffer.format(*value).as_bytes()),
        Datum::UInt(value) => Some(buffer.format(*value).as_bytes()),
        Datum::Null => None,
        _ => return Err(Misfit),
    })
}

/// Narrows only what was an `f32` before (or is not a number).
fn exact_f32(value: f64) -> Result<f32, Misfit> {
    let narrow = value as f32;
    if f64::from(narrow) == value || value.is_nan() { Ok(narrow) } else { Err(Misfit) }
}

/// Integers up to 2^53 are exact as doubles; others would be rounded.
fn exact_f64(value: i64) -> Result<f64, Misfit> {
    if value.unsigned_abs() <= 1 << 53 { Ok(value as f64) } else { Err(Misfit) }
}

fn unsupported(data_type: &DataType) -> Error {
    Error::bug(format!("no source column becomes Arrow's {data_type}"))
}
