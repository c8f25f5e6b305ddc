//! Images that do not have every column, and changes that come as differences.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;

use super::*;

pub async fn minimal_images(server: &Server) {
    let database = server.database("log_minimal").await;
    database
        .run("create table t (id int primary key, a int default 5, b varchar(10), c blob); insert into t values (1, 1, 'x', 'y'), (2, 2, 'x', 'y')")
        .await;
    let from = database.end_of_log().await;
    database
        .run(
            "set binlog_row_image = minimal; update t set a = 7 where id = 1; update t set id = 3 where id = 2;
             update t set b = null where id = 1; delete from t where id = 1; insert into t (id, b) values (9, 'z')",
        )
        .await;
    let changes = database.changes(from, &[("table", "t")]).await.unwrap();
    use Change::{Delete, Insert, Update};
    assert_eq!(changes.what, [Update, Update, Update, Delete, Insert]);
    assert_eq!(changes.unsent[..4], [vec![2, 3], vec![1, 2, 3], vec![1, 3], vec![1, 2, 3]]);
    let ids: Vec<_> = changes.after[0].as_primitive::<Int32Type>().iter().collect();
    assert_eq!(ids, [Some(1), Some(3), Some(1), None, Some(9)]);
    assert_eq!(changes.moved, [false, true, false, false, false]);
    let ids: Vec<_> = changes.before[0].as_primitive::<Int32Type>().iter().collect();
    assert_eq!(ids, [Some(1), Some(2), Some(1), Some(1), None]);
    assert_eq!(changes.after[1].as_primitive::<Int32Type>().value(0), 7);
    assert!(changes.after[2].is_null(2) && changes.after[2].as_string::<i32>().value(4) == "z");
}

pub async fn images_without_blobs(server: &Server) {
    let database = server.database("log_noblob").await;
    database.run("create table t (id int primary key, a int, b text); insert into t values (1, 1, 'x')").await;
    let from = database.end_of_log().await;
    database.run("set binlog_row_image = noblob; update t set a = 2; update t set b = 'y'; delete from t").await;
    let changes = database.changes(from, &[("table", "t")]).await.unwrap();
    assert_eq!(changes.unsent[..2], [vec![2], vec![]]);
    assert_eq!(changes.after[2].as_string::<i32>().value(1), "y");
    assert_eq!(changes.after[1].as_primitive::<Int32Type>().values()[..2], [2, 2]);
}

/// MySQL: documents whose changes are logged as differences.
pub async fn differences_of_documents(server: &Server) {
    let database = server.database("log_partial").await;
    let long = "x".repeat(400);
    database
        .run(&format!(
            "create table t (id int primary key, j json, k json, n int);
             insert into t values
             (1, '{{\"a\": [1, 2, 3], \"b\": {{\"c\": \"{long}\"}}, \"d e\": 1, \"z\": \"{long}\"}}', '[1, \"{long}\"]', 0),
             (2, '[{{\"x\": 1}}, \"{long}\"]', null, 0)"
        ))
        .await;
    let from = database.end_of_log().await;
    let mut conn = database.conn().await;
    let mut expected: Vec<Vec<Option<String>>> = Vec::new();
    mysql_async::prelude::Queryable::query_drop(&mut conn, "set binlog_row_value_options = 'PARTIAL_JSON'")
        .await
        .unwrap();
    for (id, set) in [
        (1, "j = json_set(j, '$.a[1]', 20)"),
        (1, "j = json_remove(j, '$.a[0]')"),
        (1, "j = json_replace(j, '$.b.c', 'short', '$.\"d e\"', null)"),
        (1, "j = json_set(j, '$.new', json_array(1.5, 'q')), n = 1"),
        (1, "j = json_set(j, '$.a[9]', 4), k = json_set(k, '$[0]', '{\"z\": [true]}')"),
        (1, "j = json_remove(j, '$.z', '$.b'), n = 2"),
        (2, "j = json_set(j, '$[0].x', cast('2020-01-02' as date))"),
        (2, "j = json_array_insert(j, '$[0]', 'first')"),
        (2, "k = '[7]'"),
        (1, "n = 5"),
    ] {
        let sql = format!("update t set {set} where id = {id}");
        mysql_async::prelude::Queryable::query_drop(&mut conn, &sql).await.unwrap();
        expected.extend(texts(&mut conn, &format!("select id, j, k, n from t where id = {id}")).await);
    }
    let changes = database.changes(from, &[("table", "t")]).await.unwrap();
    assert_eq!(changes.what.len(), expected.len());
    for (row, expected) in expected.iter().enumerate() {
        for (column, expected) in [1, 2].into_iter().zip(&expected[1..3]) {
            let texts = changes.after[column].as_string::<i32>();
            let got = (!texts.is_null(row)).then(|| texts.value(row).to_owned());
            assert_eq!(got, *expected, "row {row}, column {column}");
        }
    }
    // Without the document the difference cannot be made.
    let from = database.end_of_log().await;
    database
        .run("set binlog_row_image = minimal; set binlog_row_value_options = 'PARTIAL_JSON'; update t set j = json_set(j, '$[0]', 'f') where id = 2")
        .await;
    let error = database.changes(from, &[("table", "t")]).await.unwrap_err();
    assert!(error.to_string().contains("binlog_row_image = FULL"), "{error}");
}
