//! Every row of the table of types in docs/sources/postgres.md, value by value against the server's own text; and the same by the log.

use std::collections::BTreeMap;

use arrow_array::Array;
use arrow_schema::DataType::{
    self, Binary, Boolean, Date32, Decimal128, Decimal256, FixedSizeBinary, Float32, Float64, Int16, Int32, Int64,
    List, Struct, Time64, Timestamp, UInt32, Utf8,
};
use arrow_schema::TimeUnit::Microsecond;
use tidemark::record::field;

use super::changes;
use super::database::Database;

/// A type, some of its values in SQL, what it becomes, and what SQL makes of a value `v` to compare with.
struct Case(&'static str, DataType, &'static str, &'static [&'static str]);

const SAME: &str = "v";
const DAYS: &str = "v - '1970-01-01'::date";
const MICROS: &str = "(extract(epoch FROM v) * 1000000)::numeric(30,0)";
const HEX: &str = "encode(v, 'hex')";

/// Makes a table for each case, reads it, and compares it with what the server says; and with what a log of it has.
async fn check(database: &Database, cases: &[Case]) {
    let mut read_by_query = BTreeMap::new();
    for (number, Case(sql_type, data_type, oracle, values)) in cases.iter().enumerate() {
        let table = format!("case_{number}");
        database.run(&format!("CREATE TABLE {table} (n serial, v {sql_type})")).await;
        for value in values.iter().chain(&["NULL"]) {
            database.run(&format!("INSERT INTO {table} (v) VALUES ({value})")).await;
        }
        let read = database.read(&[("table", &table)]).await;
        let field = read.table.schema.field_with_name("v").unwrap().clone();
        assert!(same_type(field.data_type(), data_type), "{sql_type} became {}", field.data_type());
        assert!(field.is_nullable());
        let expected = database.texts(&format!("SELECT {oracle} FROM {table} ORDER BY n")).await;
        assert_eq!(read.column("v"), expected, "{sql_type}");
        assert!(field::native(&field).is_some(), "{sql_type}");
        let values = read.batches.iter().flat_map(|batch| {
            let column = batch.column_by_name("v").unwrap();
            (0..batch.num_rows()).map(|row| column.slice(row, 1))
        });
        read_by_query.insert(table, values.collect());
    }
    // What stands in for PostGIS has another text than that, and the log has texts.
    let tables =
        cases.iter().zip(0..).filter(|(case, _)| case.0 != "geometry").map(|(_, number)| format!("case_{number}"));
    let tables: Vec<_> = tables.collect();
    changes::both_ways(database, &tables, &[], &read_by_query).await;
}

/// Whether types are the same, the marks of nested fields aside.
fn same_type(one: &DataType, other: &DataType) -> bool {
    match (one, other) {
        (List(one), List(other)) => same_type(one.data_type(), other.data_type()),
        (Struct(one), Struct(other)) => {
            let same = |(one, other): (&arrow_schema::FieldRef, &arrow_schema::FieldRef)| {
                one.name() == other.name() && same_type(one.data_type(), other.data_type())
            };
            one.len() == other.len() && one.iter().zip(other).all(same)
        }
        _ => one == other,
    }
}

fn list(of: DataType) -> DataType {
    List(field::nullable("item", of).into())
}

fn record(fields: &[(&str, DataType)]) -> DataType {
    Struct(fields.iter().map(|(name, of)| field::nullable(name, of.clone())).collect())
}

pub async fn every_scalar_type(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TYPE mood AS ENUM ('sad', 'so so', 'glücklich')").await;
    database.run("CREATE DOMAIN price AS numeric(10,2) CHECK (value > 0); CREATE DOMAIN dear AS price").await;
    database.run("CREATE DOMAIN feeling AS mood; CREATE DOMAIN span AS int4range; CREATE DOMAIN day AS date").await;
    let instant = field::instant();
    check(
        &database,
        &[
            Case("bool", Boolean, SAME, &["true", "false"]),
            Case("int2", Int16, SAME, &["-32768", "32767", "0"]),
            Case("int4", Int32, SAME, &["-2147483648", "2147483647"]),
            Case("int8", Int64, SAME, &["-9223372036854775808", "9223372036854775807"]),
            Case("oid", UInt32, SAME, &["0", "4294967295"]),
            Case("float4", Float32, "encode(float4send(v), 'hex')", &["1.1", "'NaN'", "'-Infinity'", "'-0'", "1e-45"]),
            Case("float8", Float64, "encode(float8send(v), 'hex')", &["0.1", "'NaN'", "'Infinity'", "'-0'", "5e-324"]),
            Case("text", Utf8, SAME, &["''", "E'a\\n\\t\"b\" ''c'''", "'žlutý kůň 🐎'"]),
            Case("varchar(10)", Utf8, SAME, &["''", "'abc  '"]),
            Case("character(5)", Utf8, SAME, &["'ab'", "''", "'abcde'"]),
            Case("name", Utf8, SAME, &["'pg_class'"]),
            Case("\"char\"", Utf8, SAME, &["'a'", "''"]),
            Case("bytea", Binary, HEX, &["''", "'\\x00ff10'"]),
            Case("date", Date32, DAYS, &["'4713-01-01 BC'", "'5874897-12-31'", "'1970-01-01'", "'0001-12-31 BC'"]),
            Case("time", Time64(Microsecond), MICROS, &["'00:00'", "'23:59:59.999999'", "'12:34:56.5'"]),
            Case("time(0)", Time64(Microsecond), MICROS, &["'12:34:56.4'"]),
            Case(
                "timestamp",
                Timestamp(Microsecond, None),
                MICROS,
                &["'4713-01-01 BC'", "'294246-12-31 23:59:59.999999'", "'2024-02-29 12:00:00.000001'", "'1969-12-31'"],
            ),
            Case(
                "timestamptz",
                instant,
                MICROS,
                &["'4713-01-02 BC'", "'294246-12-31 23:59:59.999999+05'", "'2024-07-01 12:00:00.5+02'"],
            ),
            Case("timetz", Utf8, SAME, &["'12:00:00.5+05:30'", "'24:00:00-08'"]),
            Case("interval", Utf8, SAME, &["'1 year -2 mons 3 days -04:05:06.789'", "'0'", "'-178000000 years'"]),
            Case("uuid", FixedSizeBinary(16), "replace(v::text, '-', '')", &["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
            Case("json", Utf8, SAME, &["'{\"a\": 1e400,  \"a\": [null]}'", "'null'"]),
            Case("jsonb", Utf8, SAME, &["'{\"a\": 1e400,  \"b\": [null, \"\\u00e9\"]}'", "'12345678901234567890.1'"]),
            Case("mood", Utf8, SAME, &["'so so'", "'glücklich'"]),
            Case("price", Decimal128(10, 2), SAME, &["0.01", "99999999.99"]),
            Case("dear", Decimal128(10, 2), SAME, &["1"]),
            Case("feeling", Utf8, SAME, &["'sad'"]),
            Case("day", Date32, DAYS, &["'2024-02-29'"]),
            Case("span", Utf8, SAME, &["'[1,5)'"]),
            Case("money", Decimal128(19, 2), "v::numeric", &["'-92233720368547758.08'", "'1234.5'", "'-0.01'"]),
            Case("inet", Utf8, SAME, &["'192.168.1.1'", "'10.0.0.0/8'", "'::1/64'"]),
            Case("cidr", Utf8, SAME, &["'10.0.0.0/8'", "'::/0'"]),
            Case("macaddr", Utf8, SAME, &["'08:00:2b:01:02:03'"]),
            Case("macaddr8", Utf8, SAME, &["'08:00:2b:01:02:03:04:05'"]),
            Case("bit(5)", Utf8, SAME, &["B'10101'"]),
            Case("varbit", Utf8, SAME, &["B''", "B'1'"]),
            Case("point", Utf8, SAME, &["'(1.5,-2)'"]),
            Case("line", Utf8, SAME, &["'{1,2,3}'"]),
            Case("lseg", Utf8, SAME, &["'[(0,0),(1,1)]'"]),
            Case("box", Utf8, SAME, &["'(1,1),(0,0)'"]),
            Case("path", Utf8, SAME, &["'[(0,0),(1,1)]'"]),
            Case("polygon", Utf8, SAME, &["'((0,0),(1,1),(1,0))'"]),
            Case("circle", Utf8, SAME, &["'<(0,0),0.1>'"]),
            Case("tsvector", Utf8, SAME, &["'a:1 fat:2A cat'"]),
            Case("tsquery", Utf8, SAME, &["'fat & (rat | !cat)'"]),
            Case("int4range", Utf8, SAME, &["'[1,5)'", "'empty'", "'(,)'"]),
            Case("numrange", Utf8, SAME, &["'[1.10,2.0]'"]),
            Case("daterange", Utf8, SAME, &["'[2024-01-01,infinity]'"]),
            Case("tstzrange", Utf8, SAME, &["'[2024-01-01 00:00+02,)'"]),
            Case("pg_lsn", Utf8, SAME, &["'16/B374D848'"]),
            Case("xid", Utf8, SAME, &["'4294967295'"]),
            Case("tid", Utf8, SAME, &["'(1,2)'"]),
            Case("regclass", Utf8, SAME, &["'pg_class'"]),
            Case("jsonpath", Utf8, SAME, &["'$.a[*] ? (@ > 1)'"]),
            Case("txid_snapshot", Utf8, SAME, &["'10:20:10,14,15'"]),
            Case("int2vector", Utf8, SAME, &["'1 2 3'"]),
            Case("oidvector", Utf8, SAME, &["'1 2 3'"]),
            Case("aclitem", Utf8, SAME, &["makeaclitem(10, 10, 'SELECT', false)"]),
        ],
    )
    .await;
    if database.version().await >= 14 {
        let cases = [
            Case("int4multirange", Utf8, SAME, &["'{[1,3),[5,7)}'", "'{}'"]),
            Case("xid8", Utf8, SAME, &["'18446744073709551615'"]),
        ];
        let second = Database::create(server).await;
        check(&second, &cases).await;
    }
    if database.version().await >= 17 {
        let second = Database::create(server).await;
        check(&second, &[Case("interval", Utf8, SAME, &["'infinity'", "'-infinity'"])]).await;
    }
}

pub async fn every_numeric(server: &str) {
    let database = Database::create(server).await;
    let mut cases = vec![
        Case("numeric(12,2)", Decimal128(12, 2), SAME, &["9999999999.99", "-0.01", "0", "1000", "0.1"]),
        Case("numeric(38,10)", Decimal128(38, 10), SAME, &["9999999999999999999999999999.9999999999", "-1e-10"]),
        Case("numeric(38,1)", Decimal128(38, 1), SAME, &["-9999999999999999999999999999999999999.9"]),
        Case("numeric(38,38)", Decimal128(38, 38), SAME, &["0.99999999999999999999999999999999999999", "-1e-38"]),
        Case("numeric(39,0)", Decimal256(39, 0), SAME, &["999999999999999999999999999999999999999"]),
        Case("numeric(65,30)", Decimal256(65, 30), SAME, &["-99999999999999999999999999999999999.5", "1e-30"]),
        Case("numeric(76,1)", Decimal256(76, 1), SAME, &["(repeat('9', 75) || '.9')::numeric", "0"]),
        Case("numeric(77,0)", Utf8, SAME, &["repeat('9', 77)::numeric", "'NaN'"]),
        Case("numeric(1000,500)", Utf8, SAME, &["(repeat('9', 500) || '.' || repeat('9', 500))::numeric", "1"]),
        Case(
            "numeric",
            Utf8,
            SAME,
            &["0", "0.000", "-1.50", "1e-20", "123456789012345678901234567890.5", "1e1000", "'NaN'", "100000000"],
        ),
    ];
    if database.version().await >= 15 {
        cases.push(Case("numeric(2,-3)", Decimal128(5, 0), SAME, &["99000", "-1499", "499"]));
        cases.push(Case("numeric(3,5)", Decimal128(5, 5), SAME, &["0.00999", "-0.00001"]));
        cases.push(Case("numeric(3,-1000)", Utf8, SAME, &["1e1000"]));
    }
    if database.version().await >= 14 {
        cases.push(Case("numeric", Utf8, SAME, &["'Infinity'", "'-Infinity'"]));
    }
    check(&database, &cases).await;
}

pub async fn every_nested_type(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN price AS numeric(10,2);
             CREATE TYPE place AS (street text, no int4, gone int8, since timestamptz, price price);
             ALTER TYPE place DROP ATTRIBUTE gone;
             CREATE TYPE visit AS (at place, tags text[], span int4range);
             CREATE TYPE hollow AS ();
             CREATE DOMAIN tags AS text[]",
        )
        .await;
    let place = record(&[("street", Utf8), ("no", Int32), ("since", field::instant()), ("price", Decimal128(10, 2))]);
    let visit = record(&[("at", place.clone()), ("tags", list(Utf8)), ("span", Utf8)]);
    // What SQL cannot easily spell is spelled here, for the first values.
    let spelled = |first: &str, second: &str| -> &'static str {
        let mut case = format!("CASE n WHEN 1 THEN $x${first}$x$");
        if !second.is_empty() {
            case.push_str(&format!(" WHEN 2 THEN $x${second}$x$"));
        }
        format!("{case} END").leak()
    };
    check(
        &database,
        &[
            Case("int4[]", list(Int32), spelled("[1,null,-3]", "[]"), &["'{1,NULL,-3}'", "'{}'"]),
            Case(
                "text[]",
                list(Utf8),
                spelled("[a b,,NULL,null,\"q\" \\,{}]", "[null]"),
                &[r#"ARRAY['a b', '', 'NULL', NULL, '"q" \', '{}']"#, "'{NULL}'"],
            ),
            Case("numeric(10,2)[]", list(Decimal128(10, 2)), spelled("[1.50,-0.01]", ""), &["'{1.5,-0.01}'"]),
            Case("timestamptz[]", list(field::instant()), spelled("[0,null]", ""), &["'{1970-01-01 00:00+00,NULL}'"]),
            Case("bytea[]", list(Binary), spelled("[00ff,]", ""), &[r#"ARRAY['\x00ff', '']::bytea[]"#]),
            Case("bool[]", list(Boolean), spelled("[t,f,null]", ""), &["'{t,f,NULL}'"]),
            Case("mood[]", list(Utf8), spelled("[sad,glad]", ""), &["'{sad,glad}'"]),
            Case("price[]", list(Decimal128(10, 2)), spelled("[1.00]", ""), &["'{1}'"]),
            Case("tags", list(Utf8), spelled("[x]", ""), &["'{x}'"]),
            Case("jsonb[]", list(Utf8), spelled("[{\"a\": 1},null]", ""), &[r#"ARRAY['{"a":1}', NULL]::jsonb[]"#]),
            Case("money[]", list(Decimal128(19, 2)), spelled("[-1.05]", ""), &["ARRAY['-1.05'::money]"]),
            // These come as the array's text, whose elements are parted here.
            Case("inet[]", list(Utf8), spelled("[10.0.0.1,10.0.0.0/8,null]", ""), &["'{10.0.0.1,10.0.0.0/8,NULL}'"]),
            Case("interval[]", list(Utf8), spelled("[P1D,PT1H]", ""), &["'{1 day,1 hour}'"]),
            Case("box[]", list(Utf8), spelled("[(1,1),(0,0),(3,3),(2,2)]", ""), &["'{(1,1),(0,0);(3,3),(2,2)}'"]),
            Case("int4range[]", list(Utf8), spelled("[[1,5),empty]", ""), &["'{\"[1,5)\",empty}'"]),
            Case(
                "place",
                place.clone(),
                spelled("(Main \"St\", 5,7,0,1.50)", "(null,null,null,null)"),
                &[r#"ROW('Main "St", 5', 7, '1970-01-01 00:00+00', 1.5)::place"#, "ROW(NULL,NULL,NULL,NULL)::place"],
            ),
            Case(
                "place[]",
                list(place.clone()),
                spelled("[(a,1,null,null),null]", ""),
                &["ARRAY[ROW('a',1,NULL,NULL)::place, NULL]"],
            ),
            Case(
                "visit",
                visit.clone(),
                spelled("((x,1,0,2.00),[a,null,b\"c],[1,5))", "(null,[],empty)"),
                &[
                    r#"ROW(ROW('x',1,'1970-01-01 00:00+00',2)::place, ARRAY['a',NULL,'b"c'], '[1,4]')::visit"#,
                    "ROW(NULL, '{}', 'empty')::visit",
                ],
            ),
            Case(
                "visit[]",
                list(visit),
                spelled("[((x,1,0,2.00),[a,b c],[1,5)),null]", ""),
                &["ARRAY[ROW(ROW('x',1,'1970-01-01 00:00+00',2)::place, ARRAY['a','b c'], '[1,4]')::visit, NULL]"],
            ),
            Case("hollow", Utf8, SAME, &["ROW()::hollow"]),
        ],
    )
    .await;
}

pub async fn every_extension_type(server: &str) {
    let database = Database::create(server).await;
    database
        .run("CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION cube")
        .await;
    // As PostGIS has it, whose wire forms are those of bytea but for the text's prefix.
    database
        .run(
            "CREATE TYPE geometry;
             CREATE FUNCTION geometry_in(cstring) RETURNS geometry LANGUAGE internal IMMUTABLE STRICT AS 'byteain';
             CREATE FUNCTION geometry_out(geometry) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'byteaout';
             CREATE FUNCTION geometry_send(geometry) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'byteasend';
             CREATE TYPE geometry (INPUT = geometry_in, OUTPUT = geometry_out, SEND = geometry_send);
             CREATE TYPE tagged AS (tags hstore, path ltree)",
        )
        .await;
    check(
        &database,
        &[
            Case("citext", Utf8, SAME, &["'AbC'"]),
            Case(
                "hstore",
                Utf8,
                "CASE n WHEN 1 THEN '{\"a\":\"1\",\"b\":null}' WHEN 2 THEN '{}' END",
                &["'a=>1, b=>NULL'", "''"],
            ),
            Case("hstore[]", list(Utf8), "CASE n WHEN 1 THEN '[{\"a\":\"1\"}]' END", &["ARRAY['a=>1'::hstore]"]),
            Case(
                "tagged",
                record(&[("tags", Utf8), ("path", Utf8)]),
                "CASE n WHEN 1 THEN '({\"a \\\"\":\"1\"},x.y)' END",
                &[r#"ROW(hstore('a "', '1'), 'x.y')::tagged"#],
            ),
            Case("ltree", Utf8, SAME, &["'Top.Science'"]),
            Case("cube", Utf8, SAME, &["'(1,2),(3,4)'"]),
            Case("geometry", Binary, "substr(geometry_out(v)::text, 3)", &["'\\x0101000020e6100000'"]),
        ],
    )
    .await;
    let source = database.source();
    for (table, json, note) in [("case_1", true, false), ("case_4", false, true), ("case_0", false, false)] {
        let stream = super::database::only(&*source, &[("table", table)]).await;
        let description = source.describe(&stream).await.unwrap();
        let field = description.table.schema.field_with_name("v").unwrap();
        assert_eq!(field::is_json(field), json, "{table}");
        assert_eq!(
            description.notes.iter().any(|text| text.contains("ltree") && text.contains("text")),
            note,
            "{table}"
        );
    }
}

pub async fn types_of_a_query(server: &str) {
    let database = Database::create(server).await;
    let query =
        "SELECT 1::numeric(5,2) AS exact, sum(x) AS total, 'a'::text COLLATE \"C\" AS word, ROW(1, 'x') AS pair,
                        NULL AS nothing, now() AS moment, '{}'::json AS doc, count(*) AS \"count\"
                 FROM generate_series(1, 3) AS x;";
    let read = database.read(&[("query", query)]).await;
    let types: Vec<_> = read.table.schema.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
    assert_eq!(
        types,
        [
            ("exact", Decimal128(5, 2)),
            ("total", Int64),
            ("word", Utf8),
            ("pair", Utf8),
            ("nothing", Utf8),
            ("moment", field::instant()),
            ("doc", Utf8),
            ("count", Int64)
        ]
    );
    assert_eq!(read.column("pair"), [Some("(1,x)".to_owned())]);
    assert_eq!(read.column("total"), [Some("6".to_owned())]);
    assert_eq!(read.column("nothing"), [None]);
    assert_eq!(field::native(read.table.schema.field(0)), Some("numeric(5,2)"));
}
