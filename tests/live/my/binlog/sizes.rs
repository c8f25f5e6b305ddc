//! Large values, large transactions, and what is compressed.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use mysql_async::prelude::Queryable;

use super::super::heavy;
use super::*;

fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// Compresses what follows, by whatever means the server has.
async fn compress(conn: &mut mysql_async::Conn, flavour: Flavour, on: bool) {
    let on = u8::from(on);
    let sql = match flavour {
        Flavour::Mysql => format!("set session binlog_transaction_compression = {on}"),
        Flavour::Mariadb => format!("set global log_bin_compress = {on}"),
    };
    conn.query_drop(sql).await.unwrap();
}

/// Values of more than one packet, and of exactly one.
pub async fn values_of_several_packets(server: &Server) {
    let _one_at_a_time = heavy().await;
    let database = server.database("log_large").await;
    database.run("create table t (id bigint primary key, b longblob)").await;
    let from = database.end_of_log().await;
    let mut conn = database.conn().await;
    let sizes = [20_000_000, 16_777_215 - 60, 16_777_215, 33_554_430, 10];
    for (id, compressed) in [(0, false), (10, true)] {
        compress(&mut conn, server.flavour, compressed).await;
        for (index, size) in sizes.iter().enumerate() {
            let value = (id + index, noise(*size));
            conn.exec_drop("insert into t values (?, ?)", value).await.unwrap();
        }
    }
    compress(&mut conn, server.flavour, false).await;
    let changes = database.changes(from, &[("table", "t")]).await.unwrap();
    let values = changes.after[1].as_binary::<i32>();
    assert_eq!(values.len(), 2 * sizes.len());
    for (row, value) in values.iter().enumerate() {
        assert!(value.unwrap() == noise(sizes[row % sizes.len()]), "row {row}");
    }
}

/// A transaction of 200,000 rows, and the same compressed: the rows, their order and their end.
pub async fn a_transaction_of_200_000_rows(server: &Server) {
    let _one_at_a_time = heavy().await;
    let database = server.database("log_many").await;
    database.run("create table t (id bigint primary key, x bigint, y varchar(40))").await;
    let mut conn = database.conn().await;
    for compressed in [false, true] {
        conn.query_drop("truncate table t").await.unwrap();
        let from = database.end_of_log().await;
        compress(&mut conn, server.flavour, compressed).await;
        conn.query_drop("begin").await.unwrap();
        for part in 0..20 {
            let values = (part * 10_000..(part + 1) * 10_000).map(|id| format!("({id}, {}, 'row {id}')", id * 7));
            let values = values.collect::<Vec<_>>().join(", ");
            conn.query_drop(format!("insert into t values {values}")).await.unwrap();
        }
        conn.query_drop("commit").await.unwrap();
        compress(&mut conn, server.flavour, false).await;
        let changes = database.changes(from, &[("table", "t")]).await.unwrap();
        assert_eq!(changes.what.len(), 200_000);
        let ids = changes.after[0].as_primitive::<Int64Type>();
        let numbers = changes.after[1].as_primitive::<Int64Type>();
        assert!((0..200_000).all(|id| ids.value(id) == id as i64 && numbers.value(id) == id as i64 * 7));
        assert_eq!(changes.after[2].as_string::<i32>().value(199_999), "row 199999");
    }
}

/// What is compressed reads as what is not.
pub async fn compressed_is_the_same(server: &Server) {
    let _one_at_a_time = heavy().await;
    let database = server.database("log_compressed").await;
    database.run("create table t (id int primary key, a varchar(500), b text, c decimal(20,3))").await;
    let mut conn = database.conn().await;
    let mut images = Vec::new();
    for compressed in [false, true] {
        compress(&mut conn, server.flavour, compressed).await;
        let from = database.end_of_log().await;
        for sql in [
            "insert into t values (1, repeat('long ', 90), repeat('b', 3000), 1.5), (2, null, '', -7)",
            "update t set b = concat(a, 'x'), id = id + 10",
            "delete from t",
            "insert into t values (1, repeat('a', 200), 'é', 0)",
            "delete from t",
        ] {
            conn.query_drop(sql).await.unwrap();
        }
        let changes = database.changes(from, &[("table", "t")]).await.unwrap();
        assert_eq!(count(&changes).values().copied().collect::<Vec<_>>(), [3, 3, 2]);
        images.push([changes.before, changes.after].concat());
    }
    compress(&mut conn, server.flavour, false).await;
    assert!(images[0] == images[1]);
}
