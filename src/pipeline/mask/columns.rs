//! Columns of a batch, masked. Each is done as a whole, into buffers of its own.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, ListArray, StringArray, StructArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, FieldRef};
use ring::hmac;

use crate::error::{Error, Result};
use crate::format::Plain;
use crate::source::masking::Masks;

/// What stands for a value that is not told.
const REDACTED: &str = "***";
/// The digits of a hash.
const DIGITS: usize = 64;

/// What becomes of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    Keep,
    Drop,
    Hash,
    Redact,
    Truncate(usize),
    /// Nothing but nulls may be in it: a mask reaches into it that would find no way in a text.
    Empty,
    /// Of a record, what becomes of its fields.
    Fields(Vec<Fate>),
    /// Of a list, what becomes of its items.
    Items(Box<Fate>),
}

impl Fate {
    /// The column as it is written, of the `field` that it is in the source and the `masked` one; `None` of one that is dropped.
    pub fn of(&self, array: &ArrayRef, field: &Field, masked: &Field, masks: &Masks) -> Result<Option<ArrayRef>> {
        Ok(Some(match self {
            Fate::Keep => array.clone(),
            Fate::Drop => return Ok(None),
            Fate::Hash => hashes(array, field, masks.hasher()?)?,
            Fate::Redact => texts(array, field, REDACTED.len(), |_, out| out.extend_from_slice(REDACTED.as_bytes()))?,
            Fate::Truncate(most) => {
                let values = array.as_string_opt::<i32>().ok_or_else(|| odd(field))?;
                let most = *most;
                texts(array, field, most.min(16), |row, out| {
                    out.extend_from_slice(first(values.value(row), most).as_bytes())
                })?
            }
            Fate::Empty if array.null_count() == array.len() => array.clone(),
            Fate::Empty => {
                return Err(Error::schema(format!(
                    "column {}: a mask of a field within it cannot reach into its values",
                    field.name()
                ))
                .hint("Mask the whole column."));
            }
            Fate::Fields(fates) => record(array.as_struct_opt().ok_or_else(|| odd(field))?, fates, masked, masks)?,
            Fate::Items(fate) => list(array.as_list_opt().ok_or_else(|| odd(field))?, fate, (field, masked), masks)?,
        }))
    }
}

fn odd(field: &Field) -> Error {
    Error::bug(format!("column {}: it is not of the type that its mask was made for", field.name()))
}

fn too_large(field: &Field) -> Error {
    Error::data(format!("column {}: masked, it would be larger than 2 GiB in a batch", field.name()))
}

/// A text for each value that is not null, of about so many bytes each.
fn texts(array: &ArrayRef, field: &Field, each: usize, mut write: impl FnMut(usize, &mut Vec<u8>)) -> Result<ArrayRef> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    let mut bytes = Vec::with_capacity((array.len() - array.null_count()).saturating_mul(each));
    let mut offsets = Vec::with_capacity(array.len() + 1);
    offsets.push(0);
    for row in 0..array.len() {
        if nulls.is_none_or(|nulls| nulls.is_valid(row)) {
            write(row, &mut bytes);
        }
        offsets.push(i32::try_from(bytes.len()).map_err(|_| too_large(field))?);
    }
    let texts = StringArray::try_new(OffsetBuffer::new(offsets.into()), bytes.into(), nulls.cloned());
    Ok(Arc::new(texts.map_err(|e| Error::bug(format!("column {}: {e}", field.name())))?))
}

/// The keyed digests of values' plain texts.
fn hashes(array: &ArrayRef, field: &Field, key: &hmac::Key) -> Result<ArrayRef> {
    let mut plain = Plain::of(array, field)?;
    texts(array, field, DIGITS, |row, out| {
        let digest = hmac::sign(key, plain.text(row));
        let mut digits = [0; DIGITS];
        // As many digits as there is room for: nothing to fail.
        let _ = hex::encode_to_slice(digest, &mut digits);
        out.extend_from_slice(&digits);
    })
}

/// The first characters of a text, all of it where it has no more.
fn first(text: &str, most: usize) -> &str {
    // Each has a byte at least.
    if text.len() <= most {
        return text;
    }
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

fn record(array: &StructArray, fates: &[Fate], masked: &Field, masks: &Masks) -> Result<ArrayRef> {
    let DataType::Struct(written) = masked.data_type() else { return Err(odd(masked)) };
    let mut columns = Vec::with_capacity(written.len());
    let mut next = written.iter();
    for ((fate, field), column) in fates.iter().zip(array.fields()).zip(array.columns()) {
        if *fate != Fate::Drop {
            let masked = next.next().ok_or_else(|| odd(field))?;
            columns.extend(fate.of(column, field, masked, masks)?);
        }
    }
    let record = StructArray::try_new(written.clone(), columns, array.nulls().cloned());
    Ok(Arc::new(record.map_err(|e| Error::bug(format!("column {}: {e}", masked.name())))?))
}

fn list(array: &ListArray, fate: &Fate, (field, masked): (&Field, &Field), masks: &Masks) -> Result<ArrayRef> {
    let (DataType::List(item), DataType::List(written)) = (field.data_type(), masked.data_type()) else {
        return Err(odd(field));
    };
    let values = fate.of(array.values(), item, written, masks)?.ok_or_else(|| odd(field))?;
    let list = ListArray::try_new(FieldRef::clone(written), array.offsets().clone(), values, array.nulls().cloned());
    Ok(Arc::new(list.map_err(|e| Error::bug(format!("column {}: {e}", field.name())))?))
}
