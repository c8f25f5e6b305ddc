//! The column of what has no column of its own.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer};

use super::bson::Value;
use super::json::{self, Fault, Form};

/// Objects of JSON, one for each row that has any such field.
#[derive(Default)]
pub struct Rest {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    valid: Option<NullBufferBuilder>,
    /// The row whose object is open.
    row: Option<usize>,
}

impl Rest {
    /// Adds a field to a row's; rows come in order.
    pub fn add(&mut self, row: usize, name: &[u8], value: &Value<'_>) -> Result<(), Fault> {
        if self.row != Some(row) {
            self.up_to(row)?;
            self.row = Some(row);
            self.bytes.push(b'{');
        } else {
            self.bytes.push(b',');
        }
        json::string(&mut self.bytes, name)?;
        self.bytes.push(b':');
        json::value(&mut self.bytes, value, Form::Relaxed)
    }

    /// Ends the object that is open, and leaves the rows before this one empty.
    fn up_to(&mut self, row: usize) -> Result<(), Fault> {
        let valid = self.valid.get_or_insert_with(|| NullBufferBuilder::new(0));
        if self.row.take().is_some() {
            self.bytes.push(b'}');
            self.ends.push(i32::try_from(self.bytes.len()).map_err(|_| Fault::Large)?);
            valid.append_non_null();
        }
        let empty = row - self.ends.len();
        valid.append_n_nulls(empty);
        self.ends.extend(std::iter::repeat_n(self.bytes.len() as i32, empty));
        Ok(())
    }

    pub fn finish(mut self, rows: usize) -> Result<ArrayRef, Fault> {
        self.up_to(rows)?;
        let offsets: Vec<i32> = std::iter::once(0).chain(self.ends).collect();
        let nulls = self.valid.and_then(|mut valid| valid.finish());
        let offsets = OffsetBuffer::new(offsets.into());
        let array = StringArray::try_new(offsets, self.bytes.into(), nulls).map_err(|_| Fault::NotText)?;
        Ok(Arc::new(array))
    }
}
