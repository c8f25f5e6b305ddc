//! Values, one by one, against what the server itself says of them in its text protocol.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, TimeUnit};
use tidemark::error::Kind;
use tidemark::record::field;

use super::{Database, Flavour, Read, Server};

/// A column's type, how the server is asked for its text (`{}` is the column), what it becomes, and values to store.
pub struct Case {
    pub declared: &'static str,
    asked: &'static str,
    arrow: Arrow,
    pub values: &'static [&'static str],
}

pub enum Arrow {
    Plain(DataType),
    Json,
    Uuid,
    Instant,
    Vector,
}

const fn case(declared: &'static str, asked: &'static str, arrow: DataType, values: &'static [&'static str]) -> Case {
    Case { declared, asked, arrow: Arrow::Plain(arrow), values }
}

const TIME: DataType = DataType::Duration(TimeUnit::Microsecond);

pub const NUMBERS: &[Case] = &[
    case("tinyint", "{}", DataType::Int8, &["-128", "127", "0"]),
    case("tinyint unsigned", "{}", DataType::UInt8, &["255", "0"]),
    case("tinyint(1)", "{}", DataType::Int8, &["-128", "1", "127"]),
    case("bool", "{}", DataType::Int8, &["true", "false"]),
    case("smallint", "{}", DataType::Int16, &["-32768", "32767"]),
    case("smallint unsigned", "{}", DataType::UInt16, &["65535"]),
    case("mediumint", "{}", DataType::Int32, &["-8388608", "-1", "8388607"]),
    case("mediumint unsigned", "{}", DataType::UInt32, &["16777215"]),
    case("int", "{}", DataType::Int32, &["-2147483648", "2147483647"]),
    case("int unsigned", "{}", DataType::UInt32, &["4294967295"]),
    case("int(8) unsigned zerofill", "{}+0", DataType::UInt32, &["42"]),
    case("bigint", "{}", DataType::Int64, &["-9223372036854775808", "9223372036854775807"]),
    case("bigint unsigned", "{}", DataType::UInt64, &["18446744073709551615", "9223372036854775808", "7"]),
    case("decimal(10,0)", "{}", DataType::Decimal128(10, 0), &["-9999999999", "0"]),
    case("decimal(12,2)", "{}", DataType::Decimal128(12, 2), &["-0.01", "9999999999.99", "1.5"]),
    case("decimal(10,2) unsigned zerofill", "{}+0", DataType::Decimal128(10, 2), &["12.5"]),
    case(
        "decimal(38,10)",
        "{}",
        DataType::Decimal128(38, 10),
        &["-9999999999999999999999999999.9999999999", "0.0000000001"],
    ),
    case("decimal(39,0)", "{}", DataType::Decimal256(39, 0), &["999999999999999999999999999999999999999", "-1"]),
    case(
        "decimal(65,30)",
        "{}",
        DataType::Decimal256(65, 30),
        &["-99999999999999999999999999999999999.999999999999999999999999999999", "0.000000000000000000000000000001"],
    ),
    case(
        "decimal(65,0)",
        "{}",
        DataType::Decimal256(65, 0),
        &["99999999999999999999999999999999999999999999999999999999999999999"],
    ),
    case("decimal(30,30)", "{}", DataType::Decimal128(30, 30), &["-0.999999999999999999999999999999"]),
    case("float", "{}+0e0", DataType::Float32, &["3.402823466e38", "-1.175494351e-38", "0.1", "0"]),
    case("float(7,3)", "{}+0e0", DataType::Float32, &["-1234.567"]),
    case("double", "{}", DataType::Float64, &["1.7976931348623157e308", "-2.2250738585072014e-308", "0.1", "0"]),
    case("bit(1)", "{}+0", DataType::UInt64, &["b'1'", "b'0'"]),
    case("bit(17)", "{}+0", DataType::UInt64, &["b'10000000000000001'"]),
    case("bit(64)", "{}+0", DataType::UInt64, &["~0", "1"]),
    case("year", "{}+0", DataType::Int16, &["0", "1901", "2155"]),
];

pub const TEXTS: &[Case] = &[
    case("char(5)", "{}", DataType::Utf8, &["'a  '", "''", "'日本😀'"]),
    case("varchar(20)", "{}", DataType::Utf8, &["'a  '", "''", "'tab\\t \\0 quote\\' \\n'"]),
    case("tinytext", "{}", DataType::Utf8, &["'x'"]),
    case("mediumtext", "{}", DataType::Utf8, &["repeat('é', 70000)"]),
    case("longtext", "{}", DataType::Utf8, &["''"]),
    case("binary(4)", "hex({})", DataType::Binary, &["x'0001'", "'abcd'", "''"]),
    case("varbinary(10)", "hex({})", DataType::Binary, &["x'00ff00'", "''"]),
    case("blob", "hex({})", DataType::Binary, &["x'fffe00c3'"]),
    case("longblob", "hex({})", DataType::Binary, &["repeat(x'ff', 300)"]),
    case("enum('a','b','ü, x')", "{}", DataType::Utf8, &["'b'", "'ü, x'", "0"]),
    case("set('x','y','z')", "{}", DataType::Utf8, &["'x,z'", "''", "7"]),
    Case {
        declared: "json",
        asked: "{}",
        arrow: Arrow::Json,
        values: &["'{\"a\": [1, 2.50, \"é\"], \"b\": null}'", "'null'"],
    },
];

pub const TIMES: &[Case] = &[
    case("date", "{}", DataType::Date32, &["'0000-01-01'", "'1000-01-01'", "'1969-12-31'", "'9999-12-31'"]),
    case("date", "{}", DataType::Date32, &["'2024-02-29'", "'1900-02-28'", "'1582-10-10'"]),
    case("datetime", "{}", field::TIMESTAMP, &["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"]),
    case("datetime(3)", "{}", field::TIMESTAMP, &["'1969-12-31 23:59:59.999'", "'2024-07-01 12:00:00'"]),
    case("datetime(6)", "{}", field::TIMESTAMP, &["'9999-12-31 23:59:59.999999'", "'2024-01-01 00:00:00.000001'"]),
    Case {
        declared: "timestamp null",
        asked: "{}",
        arrow: Arrow::Instant,
        values: &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"],
    },
    Case {
        declared: "timestamp(6) null",
        asked: "{}",
        arrow: Arrow::Instant,
        values: &["'2024-03-31 02:30:00.123456'", "'2038-01-19 03:14:07.999999'"],
    },
    case("time", "{}", TIME, &["'-838:59:59'", "'838:59:59'", "'00:00:00'"]),
    case("time(3)", "{}", TIME, &["'-00:00:00.001'", "'12:00:00.5'"]),
    case("time(6)", "{}", TIME, &["'837:59:59.999999'", "'-00:00:00.000001'"]),
];

const GEOMETRY: &str = "concat(st_srid({}), ':', hex(st_aswkb({})))";
pub const SHAPES: &[Case] = &[
    case("geometry", GEOMETRY, DataType::Binary, &["st_geomfromtext('POINT(1 2)')"]),
    case("linestring", GEOMETRY, DataType::Binary, &["st_geomfromtext('LINESTRING(0 0, 1 1, 2 0)')"]),
    case(
        "geometry",
        GEOMETRY,
        DataType::Binary,
        &["st_geomfromtext('GEOMETRYCOLLECTION(POINT(1 2), POLYGON((0 0, 1 0, 1 1, 0 0)))')"],
    ),
    // Its axes are the same either way, so that the server's swapping them for some systems does not show.
    case("point", GEOMETRY, DataType::Binary, &["st_geomfromtext('POINT(5 5)', 4326)"]),
];

pub static VECTORS: [Case; 1] = [Case {
    declared: "vector(3)",
    asked: "hex({})",
    arrow: Arrow::Vector,
    values: &["string_to_vector('[1, -2.5, 3e10]')"],
}];

pub static MARIADB_TYPES: [Case; 6] = [
    Case {
        declared: "uuid",
        asked: "{}",
        arrow: Arrow::Uuid,
        values: &["'123e4567-e89b-12d3-a456-426655440000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    },
    case("inet6", "{}", DataType::Utf8, &["'::ffff:192.0.2.1'", "'2001:db8::ff00:42:8329'"]),
    case("inet4", "{}", DataType::Utf8, &["'192.0.2.1'"]),
    case("varchar(100) compressed", "{}", DataType::Utf8, &["'ä'", "repeat('x', 100)"]),
    case("blob compressed", "hex({})", DataType::Binary, &["repeat(x'00', 1000)"]),
    case("decimal(60,38)", "{}", DataType::Decimal256(60, 38), &["-1.00000000000000000000000000000000000001"]),
];

pub async fn every_type_value_by_value(server: &Server) {
    for (name, cases) in [("numbers", NUMBERS), ("texts", TEXTS), ("times", TIMES), ("shapes", SHAPES)] {
        compare(server, name, cases).await;
    }
}

/// A table with a column for each case and a last row of NULLs, read and compared with what the server says.
pub async fn compare(server: &Server, name: &str, cases: &[Case]) {
    let database = server.database(&format!("values_{name}")).await;
    let columns = (0..).zip(cases).map(|(i, case)| format!("c{i} {}", case.declared)).collect::<Vec<_>>().join(", ");
    database.run(&format!("create table t (id int primary key, {columns})")).await;
    let rows = cases.iter().map(|case| case.values.len()).max().unwrap() + 1;
    let mut statements = String::from("set sql_mode = ''");
    for row in 0..rows {
        let values = cases.iter().map(|case| *case.values.get(row).unwrap_or(&"null")).collect::<Vec<_>>().join(", ");
        statements += &format!("; insert into t values ({row}, {values})");
    }
    database.run(&statements).await;
    let asked = (0..).zip(cases).map(|(i, case)| case.asked.replace("{}", &format!("c{i}")));
    let asked = asked.collect::<Vec<_>>().join(", ");
    let expected = database.texts(&format!("select {asked} from t order by id")).await;
    let read = database.read(&[("table", "t")]).await.unwrap();
    check_schema(&read, cases);
    assert_eq!(read.rows(), rows);
    let batch = &read.batches[0];
    for (row, expected) in expected.iter().enumerate() {
        for (index, (case, expected)) in cases.iter().zip(expected).enumerate() {
            let column = batch.column(index + 1);
            let got = (!column.is_null(row)).then(|| shown(column, row, case));
            let number = |text: &Option<String>| text.as_ref().map(|text| text.parse::<f64>().unwrap());
            let same = match column.data_type() {
                DataType::Float32 => number(&got).map(|n| n as f32) == number(expected).map(|n| n as f32),
                DataType::Float64 => number(&got) == number(expected),
                _ => got == *expected,
            };
            assert!(same, "{} row {row}: {got:?}, expected {expected:?}", case.declared);
        }
    }
}

fn check_schema(read: &Read, cases: &[Case]) {
    for (field, case) in read.table.schema.fields().iter().skip(1).zip(cases) {
        let wanted: DataType = match &case.arrow {
            Arrow::Plain(data_type) => data_type.clone(),
            Arrow::Json => DataType::Utf8,
            Arrow::Uuid => DataType::FixedSizeBinary(16),
            Arrow::Instant => field::instant(),
            Arrow::Vector => DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true))),
        };
        assert_eq!(field.data_type(), &wanted, "{}", case.declared);
        assert!(field.is_nullable());
        assert_eq!(field::is_json(field), matches!(case.arrow, Arrow::Json), "{}", case.declared);
        assert_eq!(field::is_uuid(field), matches!(case.arrow, Arrow::Uuid), "{}", case.declared);
        let native = field::native(field).unwrap();
        let name = case.declared.split([' ', '(']).next().unwrap().replace("bool", "tinyint(1)");
        assert!(native.contains(&name), "{native} for {}", case.declared);
    }
}

/// A cell as the server would write it, by other means than those that read it.
fn shown(column: &dyn Array, row: usize, case: &Case) -> String {
    match column.data_type() {
        DataType::Int8 => column.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(row).to_string(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(row).to_string(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(row).to_string(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).to_string(),
        DataType::Float32 => column.as_primitive::<Float32Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Decimal128(_, scale) => {
            pointed(column.as_primitive::<Decimal128Type>().value(row).to_string(), *scale)
        }
        DataType::Decimal256(_, scale) => {
            pointed(column.as_primitive::<Decimal256Type>().value(row).to_string(), *scale)
        }
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Binary if case.asked == GEOMETRY => plain_geometry(column.as_binary::<i32>().value(row)),
        DataType::Binary => hex::encode_upper(column.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(16) => {
            uuid::Uuid::from_slice(column.as_fixed_size_binary().value(row)).unwrap().to_string()
        }
        DataType::Date32 => {
            let days = column.as_primitive::<Date32Type>().value(row);
            let epoch = jiff::civil::date(1970, 1, 1);
            epoch.checked_add(jiff::Span::new().days(days)).unwrap().to_string()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
            let moment = epoch.checked_add(jiff::SignedDuration::from_micros(micros)).unwrap();
            let whole = moment.strftime("%Y-%m-%d %H:%M:%S").to_string();
            with_fraction(whole, (moment.subsec_nanosecond() / 1000) as u32, case)
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            let micros = column.as_primitive::<DurationMicrosecondType>().value(row);
            let (sign, size) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
            let seconds = size / 1_000_000;
            let whole = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            with_fraction(whole, (size % 1_000_000) as u32, case)
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>().value(row);
            let numbers = list.as_primitive::<Float32Type>();
            hex::encode_upper(numbers.values().iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>())
        }
        other => panic!("{other}"),
    }
}

fn pointed(digits: String, scale: i8) -> String {
    let scale = scale as usize;
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// With as many digits of the fraction as the type declares.
fn with_fraction(whole: String, micros: u32, case: &Case) -> String {
    let declared = case.declared.split_once('(').map_or("0", |(_, rest)| rest.split(')').next().unwrap());
    let digits: usize = declared.parse().unwrap();
    let fraction = format!("{micros:06}");
    assert!(fraction[digits..].bytes().all(|b| b == b'0'));
    if digits == 0 { whole } else { format!("{whole}.{}", &fraction[..digits]) }
}

/// EWKB as reference system and WKB.
fn plain_geometry(bytes: &[u8]) -> String {
    assert_eq!(bytes[0], 1);
    let kind = u32::from_le_bytes(bytes[1..5].try_into().unwrap());
    let (system, rest) = match kind & 0x2000_0000 {
        0 => (0, &bytes[5..]),
        _ => (u32::from_le_bytes(bytes[5..9].try_into().unwrap()), &bytes[9..]),
    };
    let kind = (kind & !0x2000_0000).to_le_bytes();
    format!("{system}:{}", hex::encode_upper([&[1], &kind[..], rest].concat()))
}

fn strings(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(column).unwrap();
    column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

pub async fn zero_dates_follow_the_policy(server: &Server) {
    let database = server.database("zero_dates").await;
    database
        .run(
            "set sql_mode = 'ALLOW_INVALID_DATES';
             create table t (id int primary key, d date not null, dt datetime(3) not null,
                 ts timestamp not null default '2024-01-01');
             insert into t values (1, '2024-01-02', '2024-01-02 03:04:05.678', '2024-01-02 03:04:05'),
                 (2, '0000-00-00', '0000-00-00', '0000-00-00'), (3, '2024-00-00', '2024-02-00 10:11:12.5', '2024-01-01'),
                 (4, '2024-02-31', '2023-02-29 01:00:00', '2024-01-01')",
        )
        .await;
    let logged = Log::start();
    let read = database.read(&[("table", "t")]).await.unwrap();
    let nulls: Vec<_> = read.batches[0].columns().iter().map(|column| column.null_count()).collect();
    assert_eq!((nulls, read.rows()), (vec![0, 3, 3, 1], 4));
    let log = logged.text();
    for (column, count) in [("d", 3), ("dt", 3), ("ts", 1)] {
        assert!(log.contains(&format!("table=\"t\" column=\"{column}\" count={count}")), "{log}");
    }

    let error = database.read(&[("table", "t"), ("zero_dates", "error")]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data);
    let message = error.to_string();
    assert!(message.contains("table t") && message.contains("column d") && message.contains("zero_dates"), "{message}");

    let text = [("table", "t"), ("zero_dates", "text")];
    let read = database.read(&text).await.unwrap();
    for column in ["d", "dt", "ts"] {
        let expected = database.texts(&format!("select {column} from t order by id")).await.concat();
        assert_eq!(strings(&read.batches[0], column), expected);
    }
    assert!(database.describe(&text).await.unwrap().notes.iter().any(|note| note.contains("d, dt, ts")));
}

/// What the program logs on this thread, until dropped.
struct Log {
    lines: Arc<std::sync::Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    fn start() -> Self {
        let lines = Arc::<std::sync::Mutex<Vec<u8>>>::default();
        let to = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Writer(to.clone())).finish();
        Self { lines, _guard: tracing::subscriber::set_default(subscriber) }
    }

    fn text(&self) -> String {
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
    }
}

struct Writer(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub async fn tinyint1_may_be_boolean(server: &Server) {
    let database = server.database("tinyint1").await;
    database
        .run("create table t (id int primary key, b bool, n tinyint); insert into t values (1, 1, 5), (2, 0, 6), (3, null, 7)")
        .await;
    let keys = [("table", "t"), ("tinyint1", "boolean")];
    let read = database.read(&keys).await.unwrap();
    let column = read.batches[0].column_by_name("b").unwrap();
    assert_eq!(column.as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), None]);
    assert_eq!(read.table.schema.field(2).data_type(), &DataType::Int8);
    database.run("insert into t values (4, 2, 0)").await;
    let error = database.read(&keys).await.unwrap_err();
    assert!(error.kind() == Kind::Data && error.to_string().contains("tinyint1 = integer"), "{error}");
}

pub async fn characters_of_every_set(server: &Server) {
    let database = server.database("characters").await;
    let sets = [
        ("latin1", "Grüße €"),
        ("latin2", "Łódź"),
        ("cp1251", "Привет"),
        ("koi8r", "Привет"),
        ("greek", "Αθήνα"),
        ("sjis", "日本"),
        ("gbk", "汉字"),
        ("big5", "漢字"),
        ("euckr", "한국"),
        ("ucs2", "日ж"),
        ("utf16", "日😀"),
        ("utf16le", "日😀"),
        ("utf32", "日😀"),
        ("utf8mb3", "日ж"),
        ("utf8mb4", "日😀"),
        ("ascii", "plain"),
    ];
    let columns = sets.iter().flat_map(|(set, text)| {
        [
            format!("v_{set} varchar(20) character set {set}"),
            format!("t_{set} text character set {set}"),
            format!("e_{set} enum('{text}', 'x') character set {set}"),
        ]
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let values = sets.iter().map(|(_, text)| format!("'{text}', '{text}', '{text}'")).collect::<Vec<_>>().join(", ");
    database.run(&format!("create table t (id int primary key, {columns})")).await;
    let mut conn = database.conn().await;
    mysql_async::prelude::Queryable::query_drop(&mut conn, format!("insert into t values (1, {values})"))
        .await
        .unwrap();
    let read = database.read(&[("table", "t")]).await.unwrap();
    for (set, text) in sets {
        for kind in ["v", "t", "e"] {
            assert_eq!(strings(&read.batches[0], &format!("{kind}_{set}")), [Some(text.to_owned())], "{kind}_{set}");
        }
    }
}

/// The server sends BIT from expressions as digits, from columns as bytes.
pub async fn bits_of_views_and_queries(server: &Server) {
    let database = server.database("bits").await;
    database
        .run(
            "create table t (id int primary key, b bit(20)); insert into t values (1, b'110001'), (2, b'1'), (3, null);
             create view v as select id, b, coalesce(b, b) c, if(id > 0, b, b) i from t",
        )
        .await;
    let query = "select id, b, coalesce(b, b) c, (select max(b) from t) m from t";
    for (key, value, columns) in [("table", "t", "b"), ("table", "v", "b c i"), ("query", query, "b c")] {
        let read = database.read(&[(key, value)]).await.unwrap();
        for column in columns.split(' ') {
            let bits = read.batches[0].column_by_name(column).unwrap().as_primitive::<UInt64Type>();
            assert_eq!(bits.iter().collect::<Vec<_>>(), [Some(49), Some(1), None], "{value} {column}");
        }
    }
    let read = database.read(&[("query", query)]).await.unwrap();
    let column = read.batches[0].column_by_name("m").unwrap();
    assert_eq!(column.as_primitive::<UInt64Type>().values()[..], [49; 3]);
}

pub async fn queries_tell_their_own_types(server: &Server) {
    let database = server.database("query_types").await;
    database
        .run(
            "create table t (id int unsigned primary key, price decimal(12,2), d date, e enum('a','b'), ts timestamp(3) null);
             insert into t values (1, 1.25, '2024-01-02', 'a', '2024-01-02 00:00:00.5'), (2, 2.25, '2024-01-03', 'b', null)",
        )
        .await;
    let query = "select count(*) n, sum(price) s, avg(price) a, max(d) d, max(e) e, max(ts) ts, 1.5e0 f, null nothing, \
                 'x' x, x'00ff' h, sec_to_time(3661) t, 3 / 7 q, cast(7 as unsigned) u -- a comment";
    let query = format!("{query}\n from t;");
    let read = database.read(&[("query", &query)]).await.unwrap();
    let (schema, batch) = (&read.table.schema, &read.batches[0]);
    let types = |name: &str| schema.field_with_name(name).unwrap().data_type().clone();
    assert_eq!((read.table.name.as_str(), read.rows()), ("s", 1));
    assert!(matches!(types("n"), DataType::Int64));
    assert!(matches!(types("s"), DataType::Decimal128(_, 2)), "{}", types("s"));
    assert_eq!(types("d"), DataType::Date32);
    assert_eq!(types("ts"), field::instant());
    assert_eq!(types("h"), DataType::Binary);
    assert_eq!(types("t"), TIME);
    assert_eq!((types("nothing"), batch.column_by_name("nothing").unwrap().null_count()), (DataType::Utf8, 1));
    let DataType::Decimal128(_, scale) = types("s") else { unreachable!() };
    let sum = batch.column_by_name("s").unwrap().as_primitive::<Decimal128Type>().value(0);
    assert_eq!(pointed(sum.to_string(), scale), "3.50");
    assert_eq!(strings(batch, "e"), [Some("b".to_owned())]);

    // Around a query the server forgets where its columns come from; we do not.
    let narrowed = [("query", "select id, e, ts from t"), ("columns", "ts, id"), ("where", "id = 1 -- one")];
    let read = database.read(&narrowed).await.unwrap();
    let native: Vec<_> = read.table.schema.fields().iter().map(|f| field::native(f).unwrap().to_owned()).collect();
    assert_eq!(read.rows(), 1);
    assert_eq!(native[0], "timestamp(3)");
    assert!(native[1].contains("unsigned"), "{native:?}");

    for (query, word) in [("select 1 a, 2 a", "`a`"), ("do 1", "no rows"), ("select ?", "placeholders")] {
        let error = database.read(&[("query", query)]).await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.to_string().contains(word), "{error}");
    }
}

/// What the server cuts, it warns of; the warning is passed on by its number.
pub async fn warnings_of_the_server_are_passed_on(server: &Server) {
    let database = server.database("warnings").await;
    database
        .run("create table t (id int primary key, x text); insert into t values (1, '12 apples'), (2, 'pears')")
        .await;
    let logged = Log::start();
    database.read(&[("query", "select cast(x as signed) n from t")]).await.unwrap();
    let log = logged.text();
    assert!(log.contains("code=1292 count=2") && !log.contains("apples"), "{log}");
}

/// Text whose bytes are no valid text for its character set: refused with the key that lets it pass, which gives the
/// bytes as they are stored.
pub async fn bytes_that_are_no_text(server: &Server) {
    let database = server.database("bytes").await;
    database
        .run(
            "create table t (id int primary key, l varchar(10) character set latin1, u varchar(10) character set utf16);
             insert into t values (1, 'é€', 'ж')",
        )
        .await;
    let read = database.read(&[("table", "t"), ("bytes_columns", "l, u")]).await.unwrap();
    let bytes = |column: &str| read.batches[0].column_by_name(column).unwrap().as_binary::<i32>().value(0).to_vec();
    assert_eq!((bytes("l"), bytes("u")), (b"\xe9\x80".to_vec(), b"\x04\x36".to_vec()));
    assert_eq!(field::native(read.table.schema.field(1)), Some("varchar(10)"));
    for stream in [("table", "t"), ("tables", "t"), ("query", "select * from t")] {
        let read = database.read(&[stream, ("bytes_columns", "l, uu")]).await;
        let error = read.unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{stream:?}: {error}");
        assert!(error.message().contains("`bytes_columns` names `uu`, which is no column"), "{stream:?}: {error}");
    }
    let of_another = [("table", "t"), ("bytes_columns", "t.l, other.uu")];
    assert_eq!(database.read(&of_another).await.unwrap().batches[0].num_rows(), 1);
    if server.flavour == Flavour::Mariadb {
        invalid_utf8(&database).await;
    }
}

/// MariaDB can be brought to hold invalid UTF-8, and sends it as it is.
async fn invalid_utf8(database: &Database<'_>) {
    database.run("create table b (id int primary key, x varbinary(10)); insert into b values (1, x'ff41')").await;
    database.run("set sql_mode = ''; create table w as select id, x from b").await;
    let query = "select id, convert(x using utf8mb4) x from b";
    // What is invalid is replaced by the server when it converts, so that our text is always valid.
    let read = database.read(&[("query", query)]).await.unwrap();
    assert_eq!(strings(&read.batches[0], "x").len(), 1);
}
