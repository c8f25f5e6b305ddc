//! The suite of `my` on MariaDB, and what only MariaDB has.

use crate::my::{self, MARIADB as SERVER};

my_suite!();

#[tokio::test]
async fn types_of_its_own() {
    my::values::compare(&SERVER, "own_types", &my::values::MARIADB_TYPES).await;
}

/// JSON is LONGTEXT with a constraint: the column says so also in a query, as long as it is the column itself.
#[tokio::test]
async fn json_and_uuid_keep_their_types_in_queries() {
    let database = SERVER.database("json_in_queries").await;
    database
        .run(
            "create table t (id uuid primary key, doc json, plain longtext, checked text, check (json_valid(checked)));
             insert into t values ('123e4567-e89b-12d3-a456-426655440000', '{\"a\": 1}', '{}', '[]')",
        )
        .await;
    for what in [("table", "t"), ("query", "select * from t where doc is not null;")] {
        let read = database.read(&[what]).await.unwrap();
        let fields = read.table.schema.fields();
        let is_json: Vec<_> = fields.iter().map(|field| tidemark::record::field::is_json(field)).collect();
        assert_eq!(is_json, [false, true, false, true], "{what:?}");
        assert!(tidemark::record::field::is_uuid(&fields[0]), "{what:?}");
    }
}

#[tokio::test]
async fn system_versioned_tables_are_tables_and_sequences_are_none() {
    let database = SERVER.database("versioned").await;
    database
        .run(
            "create table v (id int primary key, x int) with system versioning; insert into v values (1, 1);
             update v set x = 2; create sequence s",
        )
        .await;
    let streams = database.streams(&[("tables", "*")]).await.unwrap();
    assert_eq!(streams.iter().map(|stream| stream.table()).collect::<Vec<_>>(), ["v"]);
    let read = database.read(&[("table", "v")]).await.unwrap();
    assert_eq!((read.rows(), read.table.schema.fields().len()), (1, 2));
}

/// UUIDs of no known version stand in MariaDB's index in an order that its comparisons contradict: ranges of them are not all
/// of a table.
#[tokio::test]
async fn odd_uuids_are_read_by_one_statement() {
    let database = SERVER.database("odd_uuids").await;
    database.run("create table t (id uuid primary key, n int)").await;
    // Some are none to the server.
    database
        .run("set session sql_mode = ''; insert ignore into t select md5(seq), seq from seq_1_to_3000 where cast(md5(seq) as uuid) is not null")
        .await;
    database.run("create table known (id uuid primary key, n int)").await;
    database
        .run("insert into known select insert(insert(md5(seq), 13, 1, '4'), 17, 1, '8'), seq from seq_1_to_3000")
        .await;
    let source = database.source(None, &[]).unwrap();
    for (table, are_several) in [("t", false), ("known", true)] {
        let keys = [("table", table), ("chunk_rows", "100")];
        let stream = source.streams(&[my::selection(&keys)]).await.unwrap().whole().unwrap().remove(0);
        let chunks = source.chunks(&stream).await.unwrap();
        assert_eq!(chunks.are_several(), are_several, "{table}");
        let notes = source.describe(&stream).await.unwrap().notes.join(" ");
        assert_eq!(notes.contains("UUIDs beside those of RFC 9562"), !are_several, "{notes}");
    }
}
