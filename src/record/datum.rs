/// One borrowed cell at a source's edge, before it becomes Arrow.
///
/// Only what a source hands over; the column's Arrow type decides what it becomes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Datum<'a> {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    /// Plain decimal notation: sign, digits, at most one point.
    Decimal(&'a str),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00:00, in UTC or without zone as the column says.
    Timestamp(i64),
    /// Microseconds.
    Duration(i64),
    List(&'a [Datum<'a>]),
    /// One datum for each field, in the fields' order.
    Struct(&'a [Datum<'a>]),
}

impl Datum<'_> {
    /// What it is, for messages: never the value.
    pub fn kind(&self) -> &'static str {
        match self {
            Datum::Null => "null",
            Datum::Bool(_) => "boolean",
            Datum::Int(_) | Datum::UInt(_) => "integer",
            Datum::Float(_) => "floating-point number",
            Datum::Decimal(_) => "decimal",
            Datum::Text(_) => "text",
            Datum::Bytes(_) => "bytes",
            Datum::Date(_) => "date",
            Datum::Time(_) => "time of day",
            Datum::Timestamp(_) => "timestamp",
            Datum::Duration(_) => "duration",
            Datum::List(_) => "list",
            Datum::Struct(_) => "record",
        }
    }
}
