//! The values of columns, beside what SQL and COPY say of the same rows.

use std::pin::pin;

use futures_util::StreamExt;
use tidemark::source::postgres::replication::{Cell, Event, Message};
use tokio::time::timeout;

use super::*;

/// Each depends on a setting, or has a form of its own.
const TABLE: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TYPE pair AS (a int, b inet); CREATE DOMAIN name_of AS varchar(9);
    CREATE TABLE t (id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric(30,5), free numeric, d date,
        at timestamptz, plain timestamp, tod time, todz timetz, gap interval, u uuid, c char(5), doc json, docb jsonb,
        raw bytea, m mood, list int[], texts text[], range int4range, net inet, p pair, dom name_of, bits bit(3), cash money,
        words tsvector, place point, rel regclass, nothing text);
    INSERT INTO t VALUES (1, true, -3, 9223372036854775807, 0.1, 0.1::float8 + 0.2, 12345678901234567890.12345, 'NaN', '0044-03-15 BC',
        '2024-02-29 12:34:56.789+05:30', 'infinity', '24:00', '12:00+03', '1 mon -2 days 03:04:05.6',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ab', '{\"a\" : 1}', '{\"a\": 1e400}', '\\x00ff', 'happy', '[0:1]={1,NULL}',
        '{\"a b\",NULL,\"\\\\\\\"\"}', '[1,5)', '10.0.0.1/8', '(1,::1)', 'dom', '101', 1234.5, 'a fat cat', '(1,2)', 'pg_class', NULL),
        (2, false, 0, 0, 'NaN', '-Infinity', 0, 1e-20, 'infinity', '-infinity', '2000-01-01', '0:0', '0:0+0', '0',
        '00000000-0000-0000-0000-000000000000', '', 'null', 'null', '', 'sad', '{}', '{}', 'empty', '::/0', NULL, '', '000', -0.01,
        '', '(0,0)', NULL, 'ü')";

async fn rows(database: &Database, slot: &str, is_binary: bool) -> Vec<Vec<(char, Vec<u8>)>> {
    let session = session(&database.url).await;
    let mut log = session.start(&Options { binary: is_binary, ..options(slot) }).await.unwrap();
    let mut rows = Vec::new();
    while rows.len() < 2 {
        let Event::Message(entry) = timeout(PATIENCE, log.next()).await.unwrap().unwrap() else { continue };
        let Message::Insert(insert) = entry.message else { continue };
        let cells = insert.new.cells().map(|cell| match cell {
            Cell::Text(text) => ('t', text.to_vec()),
            Cell::Binary(bytes) => ('b', bytes.to_vec()),
            Cell::Null => ('n', Vec::new()),
            Cell::Unchanged => panic!("of an insert"),
        });
        rows.push(cells.collect());
    }
    log.close(PATIENCE).await.unwrap();
    rows
}

/// Whatever the zone and the styles of the server, the text is that of our other readings.
pub async fn values_as_text_are_those_of_a_query(server: &str) {
    let (database, slot) = Database::with_slot(server).await;
    database.set("DateStyle = 'SQL, DMY'").await;
    database.set("bytea_output = 'escape'").await;
    database.set("extra_float_digits = -3").await;
    database.run(TABLE).await;
    let got = rows(&database, &slot, false).await;
    // `database` has set zone and styles as we do; the rest is so by default.
    database.run("SET extra_float_digits = 1; SET search_path = ''; SET bytea_output = 'hex'").await;
    let messages = database.client.simple_query("SELECT * FROM public.t ORDER BY id").await.unwrap();
    let expected = messages.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    for (got, expected) in got.iter().zip(expected) {
        for (at, (kind, value)) in got.iter().enumerate() {
            let (name, expected) = (expected.columns()[at].name(), expected.get(at));
            assert_eq!(*kind, if expected.is_some() { 't' } else { 'n' }, "{name}");
            assert_eq!(String::from_utf8_lossy(value), expected.unwrap_or_default(), "{name}");
        }
    }
}

/// Asked for binary values, the server sends what COPY BINARY has; a type without a send function comes as text.
pub async fn binary_values_are_those_of_copy(server: &str) {
    let (database, slot) = Database::with_slot(server).await;
    database.run(TABLE).await;
    let got = rows(&database, &slot, true).await;
    let copy = database.client.copy_out("COPY (SELECT * FROM t ORDER BY id) TO STDOUT (FORMAT binary)").await.unwrap();
    let pieces: Vec<_> = pin!(copy).map(|piece| piece.unwrap()).collect().await;
    let all = pieces.concat();
    // Signature, flags, no extension.
    let mut rest = &all[11 + 4 + 4..];
    let mut take = |count: usize| {
        let (taken, after) = rest.split_at(count);
        rest = after;
        taken.to_vec()
    };
    for row in &got {
        assert_eq!(u16::from_be_bytes(take(2).try_into().unwrap()) as usize, row.len());
        for (at, (kind, value)) in row.iter().enumerate() {
            match i32::from_be_bytes(take(4).try_into().unwrap()) {
                -1 => assert_eq!(*kind, 'n', "{at}"),
                length => assert_eq!((*kind, value), ('b', &take(length as usize)), "{at}"),
            }
        }
    }
    database
        .run(&format!(
            "CREATE TABLE acls (id int, list aclitem); INSERT INTO acls VALUES (3, '{0}=r/{0}'), (4, NULL)",
            database.text("SELECT current_user").await
        ))
        .await;
    let all = rows_of(&database, &slot, 4).await;
    assert_eq!(all[2][0].0, 'b');
    assert_eq!((all[2][1].0, all[3][1].0), ('t', 'n'));
}

async fn rows_of(database: &Database, slot: &str, count: usize) -> Vec<Vec<(char, Vec<u8>)>> {
    let peeked = database.peek(slot, true).await;
    let mut parser = Parser::default();
    let mut rows = Vec::new();
    for (_, data) in &peeked {
        let (_, Message::Insert(insert)) = parser.parse(data).unwrap() else { continue };
        let cells = insert.new.cells().map(|cell| match cell {
            Cell::Text(text) => ('t', text.to_vec()),
            Cell::Binary(bytes) => ('b', bytes.to_vec()),
            _ => ('n', Vec::new()),
        });
        rows.push(cells.collect());
    }
    assert_eq!(rows.len(), count);
    rows
}
