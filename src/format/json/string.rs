//! JSON strings, and the names of an object's members.

use arrow_array::StringArray;
use arrow_schema::Fields;

use crate::format::text::{Cell, Out};

/// `{"name":` or `,"name":`, ready to be copied.
pub struct Label {
    /// With room behind it, so that it is copied at constant size.
    padded: Vec<u8>,
    length: usize,
}

impl Label {
    #[inline]
    pub fn write(&self, out: &mut Out) {
        out.part(&self.padded, 0, self.length);
    }
}

/// What stands before the values of an object's members.
pub fn labels(fields: &Fields) -> Vec<Label> {
    let label = |(index, name): (usize, &String)| {
        let mut out = Out::default();
        out.push(if index == 0 { b'{' } else { b',' });
        string(name.as_bytes(), &mut out);
        out.push(b':');
        let mut padded = out.into_vec();
        let length = padded.len();
        padded.resize(length.max(32), 0);
        Label { padded, length }
    };
    fields.iter().map(|field| field.name()).enumerate().map(label).collect()
}

/// The writer of a column of texts.
pub fn strings(array: &StringArray) -> Cell<'_> {
    let (all, offsets) = (array.value_data(), array.value_offsets());
    let ends = offsets.first().zip(offsets.last());
    // One look at the whole column often spares a look at each cell.
    let plain = ends.is_none_or(|(from, to)| is_plain(&all[*from as usize..*to as usize]));
    Box::new(move |row, out| {
        let (from, to) = (offsets[row] as usize, offsets[row + 1] as usize);
        out.push(b'"');
        match plain || is_plain(&all[from..to]) {
            true => out.part(all, from, to),
            false => escaped(&all[from..to], out),
        }
        out.push(b'"');
    })
}

fn string(text: &[u8], out: &mut Out) {
    out.push(b'"');
    escaped(text, out);
    out.push(b'"');
}

/// Whether it stands in a JSON string as it is.
///
/// Looks at every byte, without a branch, so that the compiler looks at many at once.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    !text.iter().fold(false, |any, &byte| any | (byte < b' ') | (byte == b'"') | (byte == b'\\'))
}

fn escaped(text: &[u8], out: &mut Out) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.slice(&rest[..at]);
        match rest[at] {
            b'"' => out.fixed(br#"\""#),
            b'\\' => out.fixed(br"\\"),
            b'\n' => out.fixed(br"\n"),
            b'\r' => out.fixed(br"\r"),
            b'\t' => out.fixed(br"\t"),
            control => {
                out.fixed(br"\u00");
                out.push(b'0' + (control >> 4));
                out.push(b"0123456789abcdef"[usize::from(control & 15)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.slice(rest);
}
