//! Arrays and records, in binary and as text.

use super::binary::Cursor;
use super::text::quoted;
use super::{Column, Fault, Values};

/// Arrays of more dimensions the server does not make.
const MAX_DIMENSIONS: i32 = 6;

impl Column {
    /// `i32 dimensions, i32 flags, u32 type of the elements, for each dimension i32 length and i32 first index, then the
    /// elements, each with its length`.
    pub(super) fn push_list_binary(&mut self, raw: &[u8]) -> Result<(), Fault> {
        let Values::List { ends, item, item_oid, .. } = &mut self.values else { return Err(Fault::Malformed) };
        let mut cursor = Cursor(raw);
        let dimensions = cursor.int()?;
        cursor.int()?;
        if cursor.int()? as u32 != *item_oid {
            return Err(Fault::Malformed);
        }
        let length = match dimensions {
            0 => 0,
            1 => {
                let (length, first) = (cursor.int()?, cursor.int()?);
                if first != 1 {
                    return Err(Fault::Dimensions);
                }
                length
            }
            2..=MAX_DIMENSIONS => return Err(Fault::Dimensions),
            _ => return Err(Fault::Malformed),
        };
        for _ in 0..length {
            match cursor.value()? {
                Some(value) => item.push_binary(value)?,
                None => item.push_null(),
            }
        }
        cursor.end()?;
        end_list(ends, item)
    }

    /// `i32 fields, then for each u32 type, i32 length or -1, value`.
    pub(super) fn push_struct_binary(&mut self, raw: &[u8]) -> Result<(), Fault> {
        let Values::Struct { columns, oids, .. } = &mut self.values else { return Err(Fault::Malformed) };
        let mut cursor = Cursor(raw);
        if usize::try_from(cursor.int()?) != Ok(columns.len()) {
            return Err(Fault::Fields);
        }
        for (column, oid) in columns.iter_mut().zip(oids) {
            if cursor.int()? as u32 != *oid {
                return Err(Fault::Fields);
            }
            match cursor.value()? {
                Some(value) => column.push_binary(value)?,
                None => column.push_null(),
            }
        }
        cursor.end()
    }

    /// `{1,NULL,"a b"}`.
    pub(super) fn push_list_text(&mut self, text: &[u8]) -> Result<(), Fault> {
        let Values::List { ends, item, delimiter, .. } = &mut self.values else { return Err(Fault::Malformed) };
        let mut scratch = Vec::new();
        // `[0:1]={…}` says where it counts from.
        if text.starts_with(b"[") {
            return Err(Fault::Dimensions);
        }
        let mut rest = text.strip_prefix(b"{").ok_or(Fault::Malformed)?;
        if rest != b"}" {
            loop {
                match rest.first() {
                    Some(b'{') => return Err(Fault::Dimensions),
                    Some(b'"') => {
                        rest = quoted(rest, &mut scratch)?;
                        item.push_text(&scratch)?;
                    }
                    _ => {
                        let is_end = |byte: &u8| *byte == *delimiter || *byte == b'}';
                        let end = rest.iter().position(is_end).ok_or(Fault::Malformed)?;
                        match &rest[..end] {
                            b"NULL" => item.push_null(),
                            value => item.push_text(value)?,
                        }
                        rest = &rest[end..];
                    }
                }
                match rest {
                    [b'}'] => break,
                    [byte, more @ ..] if *byte == *delimiter => rest = more,
                    _ => return Err(Fault::Malformed),
                }
            }
        }
        end_list(ends, item)
    }

    /// `(1,,"a b")`: nothing at all is null.
    pub(super) fn push_struct_text(&mut self, text: &[u8]) -> Result<(), Fault> {
        let Values::Struct { columns, .. } = &mut self.values else { return Err(Fault::Malformed) };
        let mut scratch = Vec::new();
        let mut rest = text.strip_prefix(b"(").ok_or(Fault::Malformed)?;
        let last = columns.len().saturating_sub(1);
        for (index, column) in columns.iter_mut().enumerate() {
            if rest.starts_with(b"\"") {
                rest = quoted(rest, &mut scratch)?;
                column.push_text(&scratch)?;
            } else {
                let end = rest.iter().position(|byte| matches!(byte, b',' | b')')).ok_or(Fault::Malformed)?;
                match &rest[..end] {
                    b"" => column.push_null(),
                    value => column.push_text(value)?,
                }
                rest = &rest[end..];
            }
            let mark: &[u8] = if index == last { b")" } else { b"," };
            rest = rest.strip_prefix(mark).ok_or(Fault::Fields)?;
        }
        if rest.is_empty() { Ok(()) } else { Err(Fault::Fields) }
    }
}

fn end_list(ends: &mut Vec<i32>, item: &Column) -> Result<(), Fault> {
    ends.push(i32::try_from(item.nulls.len()).map_err(|_| Fault::TooLarge)?);
    Ok(())
}
