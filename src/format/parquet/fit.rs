//! Values in types that Parquet holds: it has no decimals with zeros before the point taken away (PostgreSQL's
//! `numeric(3,-2)`), and no record without fields.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Decimal256Type};
use arrow_array::{Array, ArrayRef, Decimal128Array, Decimal256Array, ListArray, RecordBatch, RecordBatchOptions};
use arrow_array::{StringArray, StructArray};
use arrow_buffer::i256;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::format::text::{Out, number};
use crate::record::field;

/// What has to change in a table's batches before they are written.
#[derive(Debug, Clone)]
pub struct Fit {
    table: String,
    written: SchemaRef,
    /// Whether nothing has to.
    same: bool,
}

impl Fit {
    /// A type that Parquet holds in no form is `Kind::Schema`.
    pub fn new(table: &str, schema: &SchemaRef, wide_decimals_as_text: bool) -> Result<Self> {
        let fields = schema.fields().iter().map(|field| {
            fitting(field, wide_decimals_as_text)
                .map_err(|error| error.at(format!("table {table}, column {}", field.name())))
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        let written = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        Ok(Self { table: table.to_owned(), same: written.fields() == schema.fields(), written })
    }

    /// The schema of the batches that [`Fit::apply`] gives.
    pub fn schema(&self) -> &SchemaRef {
        &self.written
    }

    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if self.same {
            return Ok(batch);
        }
        let columns = batch.columns().iter().zip(self.written.fields());
        let columns = columns.map(|(array, field)| fitted(array, field.data_type())).collect::<Result<_>>();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        columns
            .and_then(|columns| {
                RecordBatch::try_new_with_options(self.written.clone(), columns, &options)
                    .map_err(|error| Error::bug(error.to_string()))
            })
            .map_err(|error| error.at(format!("table {}", self.table)))
    }
}

fn fitting(field: &FieldRef, wide_as_text: bool) -> Result<FieldRef> {
    let data_type = match field.data_type() {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            let fits = decimal(*precision, *scale).ok_or_else(|| {
                Error::schema(format!("a decimal of {precision} digits and scale {scale} fits no Parquet decimal"))
                    .hint("Cast it to text in a `query`.")
            })?;
            match fits {
                DataType::Decimal256(..) if wide_as_text => DataType::Utf8,
                fits => fits,
            }
        }
        DataType::List(item) => DataType::List(fitting(item, wide_as_text)?),
        DataType::Struct(fields) if fields.is_empty() => {
            return Err(Error::schema("Parquet has no records without fields")
                .hint("Leave the column out with `exclude_columns`, or write CSV or JSON."));
        }
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| fitting(field, wide_as_text)).collect::<Result<_>>()?)
        }
        other => other.clone(),
    };
    Ok(Arc::new(Field::clone(field).with_data_type(data_type)))
}

/// The decimal with a scale from 0 to its precision that holds these digits; as it is where that is so already.
fn decimal(precision: u8, scale: i8) -> Option<DataType> {
    let digits = match u8::try_from(scale) {
        Ok(scale) => precision.max(scale),
        Err(_) => precision.checked_add(scale.unsigned_abs())?,
    };
    field::decimal(digits.into(), scale.max(0).into())
}

fn fitted(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let bug = |error: arrow_schema::ArrowError| Error::bug(error.to_string());
    Ok(match (array.data_type(), to) {
        (from, to) if from == to => array.clone(),
        (DataType::Decimal128(..) | DataType::Decimal256(..), DataType::Utf8) => Arc::new(decimal_texts(array)),
        (DataType::Decimal128(..) | DataType::Decimal256(..), _) => rescaled(array, to)?,
        (DataType::List(_), DataType::List(item)) => {
            let list = array.as_list::<i32>();
            let values = fitted(list.values(), item.data_type())?;
            let offsets = list.offsets().clone();
            Arc::new(ListArray::try_new(item.clone(), offsets, values, list.nulls().cloned()).map_err(bug)?)
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let record = array.as_struct();
            let columns = record.columns().iter().zip(fields);
            let columns = columns.map(|(array, field)| fitted(array, field.data_type())).collect::<Result<_>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, record.nulls().cloned()).map_err(bug)?)
        }
        (from, to) => return Err(Error::bug(format!("{from} was to be written as {to}"))),
    })
}

/// Decimals with the zeros put back that a negative scale takes away.
fn rescaled(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let values: Vec<Option<i256>> = match array.data_type() {
        DataType::Decimal128(..) => {
            array.as_primitive::<Decimal128Type>().iter().map(|value| value.map(i256::from_i128)).collect()
        }
        _ => array.as_primitive::<Decimal256Type>().iter().collect(),
    };
    let zeros = match array.data_type() {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) if *scale < 0 => scale.unsigned_abs(),
        _ => 0,
    };
    let factor = i256::from_i128(10).wrapping_pow(zeros.into());
    let too_large = || Error::bug("a decimal has more digits than its column");
    let values =
        values.into_iter().map(|value| value.map(|value| value.checked_mul(factor).ok_or_else(too_large)).transpose());
    let array: Result<ArrayRef, _> = match to {
        DataType::Decimal128(precision, scale) => {
            let narrow = |value: i256| value.to_i128().ok_or_else(too_large);
            let values = values.map(|value| value?.map(narrow).transpose());
            let values = values.collect::<Result<Decimal128Array>>()?;
            values.with_precision_and_scale(*precision, *scale).map(|array| Arc::new(array) as ArrayRef)
        }
        DataType::Decimal256(precision, scale) => {
            let values = values.collect::<Result<Decimal256Array>>()?;
            values.with_precision_and_scale(*precision, *scale).map(|array| Arc::new(array) as ArrayRef)
        }
        other => return Err(Error::bug(format!("a decimal was to be written as {other}"))),
    };
    array.map_err(|error| Error::bug(error.to_string()))
}

fn decimal_texts(array: &ArrayRef) -> StringArray {
    let text = |row: usize| {
        let mut out = Out::default();
        match array.data_type() {
            DataType::Decimal128(_, scale) => {
                number::decimal128(&mut out, array.as_primitive::<Decimal128Type>().value(row), *scale);
            }
            DataType::Decimal256(_, scale) => {
                number::decimal256(&mut out, array.as_primitive::<Decimal256Type>().value(row), *scale);
            }
            _ => {}
        }
        String::from_utf8(out.into_vec()).ok()
    };
    (0..array.len()).map(|row| array.is_valid(row).then(|| text(row)).flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn fit(data_type: DataType, as_text: bool) -> Result<Fit> {
        let schema = Arc::new(Schema::new(vec![Field::new("n", data_type, true)]));
        Fit::new("t", &schema, as_text)
    }

    fn apply(fit: &Fit, array: ArrayRef) -> ArrayRef {
        let schema = Schema::new(vec![Field::new("n", array.data_type().clone(), true)]);
        fit.apply(RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap()).unwrap().column(0).clone()
    }

    fn hundreds(values: Vec<Option<i128>>) -> Decimal128Array {
        Decimal128Array::from(values).with_data_type(DataType::Decimal128(3, -2))
    }

    #[test]
    fn negative_scales_get_their_zeros_back_at_any_depth() {
        let fit = fit(DataType::Decimal128(3, -2), false).unwrap();
        let written = apply(&fit, Arc::new(hundreds(vec![Some(-12), None])));
        assert_eq!(written.data_type(), &DataType::Decimal128(5, 0));
        let values: Vec<_> = written.as_primitive::<Decimal128Type>().iter().collect();
        assert_eq!(values, [Some(-1200), None]);

        let item = Arc::new(Field::new("item", DataType::Decimal128(3, -2), true));
        let list = ListArray::try_new(
            item.clone(),
            arrow_buffer::OffsetBuffer::from_lengths([2, 0]),
            Arc::new(hundreds(vec![Some(1), Some(2)])),
            None,
        );
        let record = Field::new("r", DataType::List(item), true);
        let record = StructArray::try_new(vec![record].into(), vec![Arc::new(list.unwrap())], None).unwrap();
        let fit = self::fit(record.data_type().clone(), false).unwrap();
        let written = apply(&fit, Arc::new(record));
        let list = written.as_struct().column(0).as_list::<i32>().value(0);
        assert_eq!(list.as_primitive::<Decimal128Type>().values(), &[100, 200]);
    }

    #[test]
    fn wide_decimals_may_be_text() {
        let value = i256::from_string("-123456789012345678901234567890123456789012345").unwrap();
        let array = Decimal256Array::from(vec![Some(value), None]).with_precision_and_scale(50, 5).unwrap();
        let kept = apply(&fit(DataType::Decimal256(50, 5), false).unwrap(), Arc::new(array.clone()));
        assert_eq!(kept.data_type(), &DataType::Decimal256(50, 5));
        let text = apply(&fit(DataType::Decimal256(50, 5), true).unwrap(), Arc::new(array));
        let texts: Vec<_> = text.as_string::<i32>().iter().collect();
        assert_eq!(texts, [Some("-1234567890123456789012345678901234567890.12345"), None]);
        let narrow = fit(DataType::Decimal128(38, 5), true).unwrap();
        assert_eq!(narrow.schema().field(0).data_type(), &DataType::Decimal128(38, 5));
    }

    #[test]
    fn what_fits_no_type_is_refused_by_name() {
        let error = fit(DataType::Decimal128(38, -100), false).unwrap_err();
        assert!(error.kind() == Kind::Schema && error.message().contains("column n"), "{error}");
        let error = fit(DataType::Struct(arrow_schema::Fields::empty()), false).unwrap_err();
        assert!(error.message().contains("without fields"), "{error}");
    }
}
