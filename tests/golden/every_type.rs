//! A table with a column of every type that sources produce, and rows at the edges of each.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use tidemark::record::Datum::{
    self, Bool, Bytes, Date, Decimal, Duration, Float, Int, List, Null, Struct, Text, Time, Timestamp, UInt,
};
use tidemark::record::{BatchBuilder, Table, field};

/// How many rows it has; the last one is NULL in every column.
pub const ROWS: usize = 5;

/// A column and its value in each row.
pub type Column = (Field, [Datum<'static>; ROWS]);

pub fn table() -> Arc<Table> {
    let fields: Vec<_> = columns().into_iter().map(|(field, _)| field).collect();
    Arc::new(Table::new("every type", Arc::new(Schema::new(fields)), Vec::new()))
}

pub fn batch() -> RecordBatch {
    let mut builder = BatchBuilder::new(table()).unwrap();
    let columns = columns();
    for row in 0..ROWS {
        let cells: Vec<_> = columns.iter().map(|(_, values)| values[row]).collect();
        builder.row(&cells).unwrap();
    }
    builder.finish().unwrap().batch
}

pub fn columns() -> Vec<Column> {
    [numbers(), texts(), times(), nested()].concat()
}

fn of(name: &str, data_type: DataType) -> Field {
    field::nullable(name, data_type)
}

fn numbers() -> Vec<Column> {
    use DataType::{
        Boolean, Decimal128, Decimal256, Float32, Float64, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64,
    };
    const MAX_65: &str = "99999999999999999999999999999999999.999999999999999999999999999999";
    const MIN_65: &str = "-99999999999999999999999999999999999.999999999999999999999999999999";
    vec![
        (of("boolean", Boolean), [Bool(true), Bool(false), Bool(true), Bool(false), Null]),
        (of("int8", Int8), [Int(1), Int(-128), Int(127), Int(0), Null]),
        (of("int16", Int16), [Int(1), Int(-32_768), Int(32_767), Int(0), Null]),
        (of("int32", Int32), [Int(1), Int(i32::MIN as i64), Int(i32::MAX as i64), Int(0), Null]),
        (of("int64", Int64), [Int(1), Int(i64::MIN), Int(i64::MAX), Int(9_007_199_254_740_993), Null]),
        (of("uint8", UInt8), [UInt(1), UInt(0), UInt(255), UInt(128), Null]),
        (of("uint16", UInt16), [UInt(1), UInt(0), UInt(65_535), UInt(32_768), Null]),
        (of("uint32", UInt32), [UInt(1), UInt(0), UInt(u32::MAX as u64), UInt(1 << 31), Null]),
        (of("uint64", UInt64), [UInt(1), UInt(0), UInt(u64::MAX), UInt(1 << 63), Null]),
        (of("float32", Float32), [Float(0.5), Float(f32::MIN as f64), Float(f64::INFINITY), Float(f64::NAN), Null]),
        (of("float64", Float64), [Float(0.1), Float(f64::MIN), Float(f64::NEG_INFINITY), Float(f64::NAN), Null]),
        (of("double", Float64), [Float(1e-7), Float(5e-324), Float(-0.0), Float(12_345_678.9), Null]),
        (
            of("decimal(9,2)", Decimal128(9, 2)),
            [Decimal("1.50"), Decimal("-9999999.99"), Decimal("9999999.99"), Decimal("0.00"), Null],
        ),
        (
            of("decimal(18,6)", Decimal128(18, 6)),
            [
                Decimal("1.500000"),
                Decimal("-999999999999.999999"),
                Decimal("999999999999.999999"),
                Decimal("-0.000001"),
                Null,
            ],
        ),
        (
            of("decimal(38,0)", Decimal128(38, 0)),
            [
                Decimal("1"),
                Decimal("-99999999999999999999999999999999999999"),
                Decimal("99999999999999999999999999999999999999"),
                Decimal("0"),
                Null,
            ],
        ),
        (
            of("decimal(38,38)", Decimal128(38, 38)),
            [
                Decimal("0.10000000000000000000000000000000000000"),
                Decimal("-0.99999999999999999999999999999999999999"),
                Decimal("0.99999999999999999999999999999999999999"),
                Decimal("0.00000000000000000000000000000000000001"),
                Null,
            ],
        ),
        (
            of("decimal(3,-2)", Decimal128(3, -2)),
            [Decimal("100"), Decimal("-99900"), Decimal("99900"), Decimal("0"), Null],
        ),
        (
            of("decimal(65,30)", Decimal256(65, 30)),
            [
                Decimal("0.500000000000000000000000000000"),
                Decimal(MIN_65),
                Decimal(MAX_65),
                Decimal("0.000000000000000000000000000000"),
                Null,
            ],
        ),
    ]
}

fn texts() -> Vec<Column> {
    use DataType::{Binary, FixedSizeBinary, Utf8};
    vec![
        (of("text", Utf8), [Text("plain"), Text(""), Text("a,b;\"c\"\t\\N"), Text("zwei\r\nZeilen\n"), Null]),
        (of("unicode", Utf8), [Text(" Ωμέγα "), Text("日本語"), Text("👩‍👩‍👧"), Text("\u{1}\u{7f}\u{2028}"), Null]),
        (of("a \"quoted\", name", Utf8), [Text("NULL"), Text("\\N"), Text("'"), Text("NaN"), Null]),
        (
            field::json("json"),
            [
                Text("{\"a\": [1, 2.50], \"b\": null}"),
                Text("{\n  \"pretty\" : true,\r\n  \"n\": 12345678901234567890.12345\n}"),
                Text("\"text with \\\"quotes\\\"\""),
                Text("null"),
                Null,
            ],
        ),
        (of("bytes", Binary), [Bytes(b"abc"), Bytes(b""), Bytes(b"\x00\xff\x0a\x22"), Bytes(&[7; 40]), Null]),
        (
            of("fixed", FixedSizeBinary(3)),
            [Bytes(b"abc"), Bytes(b"\0\0\0"), Bytes(b"\xff\xff\xff"), Bytes(b"   "), Null],
        ),
        (
            field::uuid("uuid"),
            [
                Bytes(b"\x55\x0e\x84\x00\xe2\x9b\x41\xd4\xa7\x16\x44\x66\x55\x44\x00\x00"),
                Bytes(&[0; 16]),
                Bytes(&[255; 16]),
                Bytes(b"0123456789abcdef"),
                Null,
            ],
        ),
    ]
}

fn times() -> Vec<Column> {
    use DataType::{Date32, Time64};
    const DAY: i64 = 86_400_000_000;
    // Near the ends of what 64 bits hold: the years 293273 and -289334.
    const FAR: i64 = 9_192_631_770_000_001;
    let span = DataType::Duration(TimeUnit::Microsecond);
    vec![
        // 2024-02-29, 44 BC, the year 10000, 0001-01-01.
        (of("date", Date32), [Date(19_782), Date(-735_160), Date(2_932_897), Date(-719_162), Null]),
        (
            of("time", Time64(TimeUnit::Microsecond)),
            [Time(47_106_123_456), Time(0), Time(DAY - 1), Time(1_000_000), Null],
        ),
        (
            of("timestamp", field::TIMESTAMP),
            [Timestamp(1_709_211_906_123_456), Timestamp(-FAR * 1000), Timestamp(FAR * 1000), Timestamp(-1), Null],
        ),
        (
            of("instant", field::instant()),
            [Timestamp(1_709_211_906_000_000), Timestamp(-FAR * 1000), Timestamp(FAR * 1000), Timestamp(0), Null],
        ),
        (
            of("duration", span),
            [Duration(3_723_000_001), Duration(-838 * 3_600_000_000 - 1), Duration(i64::MAX), Duration(0), Null],
        ),
    ]
}

fn nested() -> Vec<Column> {
    use DataType::{Binary, Decimal128, Float64, Int32, Int64, Utf8};
    let list = |data_type| DataType::List(Arc::new(of("item", data_type)));
    let geo = DataType::Struct(Fields::from(vec![of("lat", Float64), of("lon", Float64)]));
    let line = DataType::Struct(Fields::from(vec![
        of("sku", Utf8),
        of("price", Decimal128(12, 2)),
        of("sent", field::instant()),
        field::uuid("id"),
    ]));
    let place = DataType::Struct(Fields::from(vec![of("city", Utf8), of("geo", geo), of("zips", list(Int32))]));
    vec![
        (
            of("ints", list(Int64)),
            [List(&[Int(1), Null, Int(i64::MAX)]), List(&[]), List(&[Null]), List(&[Int(0)]), Null],
        ),
        (
            of("words", list(Utf8)),
            [List(&[Text("a"), Text("")]), List(&[Text("say \"hi\", all")]), List(&[Null]), List(&[]), Null],
        ),
        (
            of("blobs", list(Binary)),
            [List(&[Bytes(b"\xca\xfe"), Null]), List(&[Bytes(b"")]), List(&[]), List(&[Null]), Null],
        ),
        (
            of("dates", list(DataType::Date32)),
            [List(&[Date(0), Date(-735_160)]), List(&[]), List(&[Null]), List(&[Date(2_932_897)]), Null],
        ),
        (
            of("matrix", list(list(Int32))),
            [
                List(&[List(&[Int(1), Int(2)]), List(&[])]),
                List(&[]),
                List(&[Null, List(&[Null])]),
                List(&[List(&[])]),
                Null,
            ],
        ),
        (
            of("place", place),
            [
                Struct(&[Text("Oslo"), Struct(&[Float(59.9), Float(10.75)]), List(&[Int(150)])]),
                Struct(&[Text(""), Null, List(&[])]),
                Struct(&[Null, Struct(&[Null, Float(-0.5)]), Null]),
                Struct(&[Null, Null, Null]),
                Null,
            ],
        ),
        (
            of("lines", list(line)),
            [
                List(&[
                    Struct(&[Text("a-1"), Decimal("9.90"), Timestamp(1_709_211_906_123_456), Bytes(&[1; 16])]),
                    Struct(&[Null, Null, Null, Null]),
                ]),
                List(&[]),
                List(&[Null]),
                List(&[Struct(&[Text(""), Decimal("-0.01"), Timestamp(-1), Bytes(&[0; 16])])]),
                Null,
            ],
        ),
    ]
}
