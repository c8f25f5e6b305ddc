//! Values of every type that may be left away: read from the table they are those of a snapshot.

use std::collections::BTreeMap;

use arrow_array::{Array, ArrayRef};
use tidemark::record::Event;

use super::super::database::Database;
use super::{Log, with_slot};
use crate::render;

/// Types, and a value of each that is too large for its row. Those of a fixed length are never left away.
const TYPES: &[(&str, &str)] = &[
    ("text", "string_agg(md5(n::text) || 'žlutý kůň 🐎', E'\\n')"),
    ("varchar(90000)", "string_agg(md5(n::text), '  ') || '  '"),
    ("character(30000)", "string_agg(md5(n::text), '')"),
    ("long", "string_agg(md5(n::text), '')"),
    ("bytea", "decode(string_agg(md5(n::text), ''), 'hex')"),
    ("json", "('{\"a\":   [' || string_agg(n::text || 'e400', ',') || ']}')::json"),
    ("jsonb", "jsonb_object_agg(md5(n::text), n / 7.0)"),
    ("numeric", "repeat('123456789', 2000)::numeric / 10"),
    ("numeric(60,2)[]", "array_agg((n * 1e50 / 7.0)::numeric(60,2))"),
    ("varbit", "repeat('01101', 9000)::varbit"),
    ("bit(40000)", "repeat('01101', 8000)::bit(40000)"),
    ("text[]", "array_agg(CASE WHEN n % 3 > 0 THEN md5(n::text) || '\"{,\\' END)"),
    ("varchar(40)[]", "array_agg(md5(n::text)::varchar(40))"),
    ("int4[]", "array_agg(CASE WHEN n % 3 > 0 THEN n END)"),
    ("int8[]", "array_agg(n::int8)"),
    ("float8[]", "array_agg(n / 7.0::float8)"),
    ("bool[]", "array_fill(true, ARRAY[5000])"),
    ("numeric(10,2)[]", "array_agg((n / 7.0)::numeric(10,2))"),
    ("money[]", "array_agg((n / 7.0)::numeric::money)"),
    ("date[]", "array_agg(date '2024-02-29' + n)"),
    ("timestamp[]", "array_agg(timestamp '2024-02-29 12:00:00.000001' + n * interval '1 s')"),
    ("timestamptz[]", "array_agg(timestamptz '2024-02-29 12:00:00.5+02' + n * interval '1 s')"),
    ("time[]", "array_agg(time '12:00' + n * interval '1 s')"),
    ("interval[]", "array_agg(n * interval '1 day 1 us')"),
    ("uuid[]", "array_agg(md5(n::text)::uuid)"),
    ("bytea[]", "array_agg(decode(md5(n::text), 'hex'))"),
    ("jsonb[]", "array_agg(to_jsonb(n))"),
    ("inet[]", "array_agg('10.0.0.0'::inet + n)"),
    ("box[]", "array_agg(box(point(n, n), point(0, 0)))"),
    ("int4range[]", "array_agg(int4range(n, n + 5))"),
    ("regclass[]", "array_agg('here.t'::regclass)"),
    ("mood[]", "array_agg('glad'::mood)"),
    ("tags", "array_agg(md5(n::text))"),
    ("numrange", "numrange(1, repeat('123456789', 2000)::numeric)"),
    ("path", "path(polygon(2000, circle '((0,0),1)'))"),
    ("polygon", "polygon(2000, circle '((0,0),1)')"),
    ("tsvector", "to_tsvector('simple', string_agg(md5(n::text), ' '))"),
    ("jsonpath", "('$.\"' || string_agg(md5(n::text), '') || '\"')::jsonpath"),
    ("place", "ROW(string_agg(md5(n::text), '\"'), 7, '2024-02-29 12:00+00', 1.5)::place"),
    ("place[]", "array_agg(ROW(md5(n::text), n, NULL, 1.5)::place)"),
    ("visit", "ROW(ROW('x', 1, NULL, 2)::place, array_agg(md5(n::text)), '[1,4]')::visit"),
    ("hstore", "hstore(array_agg(md5(n::text)), array_agg(nullif(n, 3)::text))"),
    ("citext", "string_agg(md5(n::text), 'X')::citext"),
    ("ltree", "string_agg(md5(n::text), '.')::ltree"),
    ("daterange[]", "array_agg(daterange('2024-01-01', 'infinity', '[]'))"),
];

/// Read as they are, and by each key that has types arrive otherwise.
pub async fn filled_values_are_those_of_a_snapshot(server: &str) {
    for keys in [&[][..], &[("read_as_text", "v")], &[("arrays", "text"), ("unconstrained_numeric", "text")]] {
        let database = Database::create(server).await;
        database
            .run(
                "CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE TYPE mood AS ENUM ('sad', 'glad');
                 CREATE DOMAIN price AS numeric(10,2); CREATE DOMAIN tags AS text[]; CREATE DOMAIN long AS text;
                 CREATE TYPE place AS (street text, no int4, since timestamptz, price price);
                 CREATE TYPE visit AS (at place, tags text[], span int4range); CREATE SCHEMA here; CREATE TABLE here.t ()",
            )
            .await;
        let mut types = TYPES.to_vec();
        if database.version().await >= 14 {
            types.push(("int4multirange", "range_agg(int4range(2 * n, 2 * n + 1))"));
        }
        let columns = (0..types.len()).map(|number| format!("v{number}")).collect::<Vec<_>>();
        let (mut definition, mut values, mut storage) = (String::new(), Vec::new(), Vec::new());
        for (column, (of, value)) in columns.iter().zip(&types) {
            definition.push_str(&format!(", {column} {of}"));
            values.push(format!("(SELECT {value} FROM generate_series(1, 800) AS n LIMIT 1)"));
            storage.push(format!("ALTER {column} SET STORAGE EXTERNAL"));
        }
        database.run(&format!("CREATE TABLE a (n serial PRIMARY KEY, w int{definition})")).await;
        database.run(&format!("ALTER TABLE a {}", storage.join(", "))).await;
        let all = columns.join(", ");
        database.run(&format!("INSERT INTO a ({all}) SELECT {}", values.join(", "))).await;
        database.run("CREATE PUBLICATION pub FOR ALL TABLES").await;
        with_slot(&database).await;
        let mut log = Log::new(&database).await;
        log.set("tables", "a");
        // A list reads only columns that are there.
        for (key, value) in keys {
            log.set(key, if *value == "v" { &all } else { value });
        }
        let by_snapshot = read(&mut log, "r").await;
        database.run("UPDATE a SET w = 1").await;
        let left_away = read(&mut log, "u").await;
        log.set("fill_unchanged", "yes");
        database.run("UPDATE a SET w = 2").await;
        let filled = read(&mut log, "u").await;
        for (column, (of, _)) in columns.iter().zip(&types) {
            assert!(left_away[column].is_null(0), "{of} is in the log");
            assert!(by_snapshot[column].is_valid(0), "{of}");
            assert_eq!(&filled[column], &by_snapshot[column], "{of}");
        }
    }
}

/// The columns of the one row that comes.
async fn read(log: &mut Log<'_>, op: &str) -> BTreeMap<String, ArrayRef> {
    let mut reader = log.open().await.unwrap();
    let mut columns = BTreeMap::new();
    while let Some(event) = reader.next().await.unwrap() {
        match event {
            Event::Rows(rows) if rows.batch.num_rows() > 0 => {
                let ops = rows.batch.column_by_name("_op").unwrap();
                assert_eq!((rows.batch.num_rows(), render::text(ops, 0).as_deref()), (1, Some(op)));
                let names = rows.table.schema.fields().iter().map(|field| field.name().clone());
                columns = names.zip(rows.batch.columns().iter().cloned()).collect();
            }
            Event::Rows(_) => {}
            Event::Checkpoint(checkpoint) => log.after = Some(checkpoint),
        }
    }
    columns
}
