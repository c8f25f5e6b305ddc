//! Values in the server's binary form: what its `send` functions write.

use super::{Column, Fault, Form, Pieces, Values, clock, numeric};

impl Column {
    /// Appends a value that is not null. After a fault the column is only to be dropped.
    #[inline]
    pub fn push_binary(&mut self, raw: &[u8]) -> Result<(), Fault> {
        let odd = match &mut self.values {
            Values::Int4(values) => {
                values.push(i32::from_be_bytes(exact(raw)?));
                None
            }
            Values::Int8(values) => {
                values.push(i64::from_be_bytes(exact(raw)?));
                None
            }
            Values::Decimal128 { values, scale, limit, odd } => match numeric::to_i128(raw, *scale, *limit) {
                Ok(value) => {
                    values.push(value);
                    None
                }
                Err(fault) => Some((*odd, fault)),
            },
            Values::Bytes(pieces, Form::Text | Form::Bytes | Form::Geometry) => {
                pieces.push(raw)?;
                None
            }
            Values::Date(values, odd) => match clock::date(i32::from_be_bytes(exact(raw)?)) {
                Some(value) => {
                    values.push(value);
                    None
                }
                None => Some((*odd, Fault::Infinite)),
            },
            Values::Timestamp(values, odd) => match clock::timestamp(i64::from_be_bytes(exact(raw)?)) {
                Some(value) => {
                    values.push(value);
                    None
                }
                None => Some((*odd, Fault::Infinite)),
            },
            _ => return self.push_rarer(raw),
        };
        match odd {
            None => self.nulls.append_non_null(),
            Some((policy, fault @ (Fault::Infinite | Fault::NotANumber))) => return self.push_odd(policy, fault),
            Some((_, fault)) => return Err(fault),
        }
        Ok(())
    }

    /// The types that are not in every table.
    fn push_rarer(&mut self, raw: &[u8]) -> Result<(), Fault> {
        match &mut self.values {
            Values::Bool(values) => values.append(match raw {
                [0] => false,
                [1] => true,
                _ => return Err(Fault::Malformed),
            }),
            Values::Int2(values) => values.push(i16::from_be_bytes(exact(raw)?)),
            Values::Oid(values) => values.push(u32::from_be_bytes(exact(raw)?)),
            Values::Float4(values) => values.push(f32::from_be_bytes(exact(raw)?)),
            Values::Float8(values) => values.push(f64::from_be_bytes(exact(raw)?)),
            Values::Money(values) => values.push(i128::from(i64::from_be_bytes(exact(raw)?))),
            Values::Time(values) => values.push(clock::time(i64::from_be_bytes(exact(raw)?))?),
            Values::Uuid(values) => values.extend_from_slice(&exact::<16>(raw)?),
            Values::Decimal256 { values, scale, limit, odd } => match numeric::to_i256(raw, *scale, *limit) {
                Ok(value) => values.push(value),
                Err(Fault::NotANumber) => {
                    let odd = *odd;
                    return self.push_odd(odd, Fault::NotANumber);
                }
                Err(fault) => return Err(fault),
            },
            Values::Bytes(pieces, form) => push_piece(pieces, *form, raw)?,
            Values::List { .. } => self.push_list_binary(raw)?,
            Values::Struct { .. } => self.push_struct_binary(raw)?,
            Values::Int4(_)
            | Values::Int8(_)
            | Values::Decimal128 { .. }
            | Values::Date(..)
            | Values::Timestamp(..) => return Err(Fault::Malformed),
        }
        self.nulls.append_non_null();
        Ok(())
    }
}

fn push_piece(pieces: &mut Pieces, form: Form, raw: &[u8]) -> Result<(), Fault> {
    match form {
        Form::Text | Form::Bytes | Form::Geometry => pieces.push(raw),
        // One byte of version before the text.
        Form::Jsonb => match raw {
            [1, text @ ..] => pieces.push(text),
            _ => Err(Fault::Malformed),
        },
        Form::Numeric => {
            numeric::write_text(&mut pieces.bytes, raw)?;
            pieces.end()
        }
        Form::Hstore => {
            hstore(&mut pieces.bytes, raw)?;
            pieces.end()
        }
    }
}

/// `i32 pairs, then for each i32 length, key, i32 length or -1, value`, as a JSON object.
fn hstore(out: &mut Vec<u8>, raw: &[u8]) -> Result<(), Fault> {
    let mut cursor = Cursor(raw);
    let pairs = cursor.int()?;
    out.push(b'{');
    for index in 0..pairs {
        if index > 0 {
            out.push(b',');
        }
        json_text(out, cursor.value()?.ok_or(Fault::Malformed)?)?;
        out.push(b':');
        match cursor.value()? {
            Some(value) => json_text(out, value)?,
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    cursor.end()
}

/// Appends a text as JSON writes it.
pub(super) fn json_text(out: &mut Vec<u8>, text: &[u8]) -> Result<(), Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::NotUtf8)?;
    serde_json::to_writer(out, text).map_err(|_| Fault::Malformed)
}

/// What is left of a value that has parts.
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn int(&mut self) -> Result<i32, Fault> {
        let (number, rest) = self.0.split_first_chunk().ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(i32::from_be_bytes(*number))
    }

    /// A length and so many bytes; `None` where the length is -1.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, Fault> {
        match self.int()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Fault::Malformed)?;
                let (value, rest) = self.0.split_at_checked(length).ok_or(Fault::Malformed)?;
                self.0 = rest;
                Ok(Some(value))
            }
        }
    }

    /// Refuses what is left over.
    pub fn end(self) -> Result<(), Fault> {
        if self.0.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
    }
}

#[inline]
fn exact<const N: usize>(raw: &[u8]) -> Result<[u8; N], Fault> {
    raw.try_into().map_err(|_| Fault::Malformed)
}
