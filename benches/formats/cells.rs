//! The cells of a batch, by type, and their texts: as fast as a page makes them with the crates for numbers, or plainly.

use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};

pub struct Column<'a> {
    pub name: &'a str,
    nulls: Option<&'a NullBuffer>,
    pub cells: Cells<'a>,
}

pub enum Cells<'a> {
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Double(&'a Float64Array),
    Flag(&'a BooleanArray),
    Text(&'a StringArray),
    /// A JSON document.
    Document(&'a StringArray),
    /// Of scale 2.
    Decimal(&'a Decimal128Array),
    Date(&'a Date32Array),
    Instant(&'a TimestampMicrosecondArray),
}

pub fn columns(batch: &RecordBatch) -> Vec<Column<'_>> {
    let fields = batch.schema_ref().fields().iter();
    fields.zip(batch.columns()).map(|(field, array)| column(field, array)).collect()
}

fn column<'a>(field: &'a Field, array: &'a ArrayRef) -> Column<'a> {
    let cells = match array.data_type() {
        DataType::Int32 => Cells::Int32(array.as_primitive::<Int32Type>()),
        DataType::Int64 => Cells::Int64(array.as_primitive::<Int64Type>()),
        DataType::Float64 => Cells::Double(array.as_primitive::<Float64Type>()),
        DataType::Boolean => Cells::Flag(array.as_boolean()),
        DataType::Utf8 if tidemark::record::field::is_json(field) => Cells::Document(array.as_string()),
        DataType::Utf8 => Cells::Text(array.as_string()),
        DataType::Decimal128(_, 2) => Cells::Decimal(array.as_primitive::<Decimal128Type>()),
        DataType::Date32 => Cells::Date(array.as_primitive::<Date32Type>()),
        DataType::Timestamp(..) => Cells::Instant(array.as_primitive::<TimestampMicrosecondType>()),
        other => unreachable!("no table has a {other}"),
    };
    Column { name: field.name(), nulls: array.nulls(), cells }
}

impl Column<'_> {
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// The text of a cell that is not null, as a file has it.
    #[inline]
    pub fn text<'t>(&'t self, row: usize, scratch: &'t mut Scratch) -> &'t str {
        match self.cells {
            Cells::Int32(array) => scratch.integer.format(array.value(row)),
            Cells::Int64(array) => scratch.integer.format(array.value(row)),
            Cells::Double(array) => scratch.float.format(array.value(row)),
            Cells::Flag(array) if array.value(row) => "true",
            Cells::Flag(_) => "false",
            Cells::Text(array) | Cells::Document(array) => array.value(row),
            Cells::Decimal(array) => scratch.decimal(array.value(row)),
            Cells::Date(array) => scratch.date(array.value(row)),
            Cells::Instant(array) => scratch.instant(array.value(row)),
        }
    }
}

pub struct Scratch {
    text: String,
    integer: itoa::Buffer,
    float: zmij::Buffer,
    /// Decimals by `write!`, dates and times by jiff.
    plainly: bool,
}

impl Scratch {
    pub fn new() -> Self {
        Self { text: String::new(), integer: itoa::Buffer::new(), float: zmij::Buffer::new(), plainly: false }
    }

    pub fn plain() -> Self {
        Self { plainly: true, ..Self::new() }
    }

    fn decimal(&mut self, value: i128) -> &str {
        if self.plainly {
            return self.written(format_args!("{}.{:02}", value / 100, value % 100));
        }
        let value = i64::try_from(value).expect("18 digits at most");
        let digits = value.unsigned_abs();
        self.text.clear();
        if value < 0 {
            self.text.push('-');
        }
        self.text.push_str(self.integer.format(digits / 100));
        self.text.push('.');
        pair(digits % 100, &mut self.text);
        &self.text
    }

    fn date(&mut self, days: i32) -> &str {
        if self.plainly {
            let date = jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(days));
            return self.written(format_args!("{date}"));
        }
        self.text.clear();
        date(days.into(), &mut self.text);
        &self.text
    }

    fn instant(&mut self, microseconds: i64) -> &str {
        if self.plainly {
            let at = jiff::Timestamp::from_microsecond(microseconds).unwrap_or_default();
            return self.written(format_args!("{at:.6}"));
        }
        let out = &mut self.text;
        out.clear();
        date(microseconds.div_euclid(86_400_000_000), out);
        let rest = microseconds.rem_euclid(86_400_000_000) as u64;
        let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
        for (mark, number) in [('T', seconds / 3600), (':', seconds / 60 % 60), (':', seconds % 60)] {
            out.push(mark);
            pair(number, out);
        }
        out.push('.');
        [fraction / 10_000, fraction / 100 % 100, fraction % 100].into_iter().for_each(|number| pair(number, out));
        out.push('Z');
        out
    }

    fn written(&mut self, text: std::fmt::Arguments<'_>) -> &str {
        self.text.clear();
        self.text.write_fmt(text).expect("a String takes everything");
        &self.text
    }
}

/// A day of the years 0 to 9999, of days since 1970-01-01: the arithmetic of Howard Hinnant's `civil_from_days`.
fn date(days: i64, out: &mut String) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = (year + era * 400 + i64::from(month <= 2)) as u64;
    pair(year / 100, out);
    pair(year % 100, out);
    for number in [month, day] {
        out.push('-');
        pair(number as u64, out);
    }
}

/// Two digits of a number below 100.
#[inline]
fn pair(number: u64, out: &mut String) {
    const PAIRS: &str = concat!(
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748",
        "49505152535455565758596061626364656667686970717273747576777879808182838485868788899091929394959697",
        "9899"
    );
    let at = 2 * number as usize;
    out.push_str(&PAIRS[at..at + 2]);
}
