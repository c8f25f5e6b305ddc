//! Streams of changes that begin again, by wish or where they must.

use serde_json::json;
use tidemark::source::{Following, What};

use super::{Log, made};
use crate::my::Server;

fn again(run: &str, what: What) -> Following {
    Following { again: Some(what), run: run.to_owned(), ..Following::default() }
}

const ROWS: &str = "insert into a (id, v) values (1, 1), (2, 2); insert into b (id, v) values (3, 3)";

/// A table is read from its beginning while the log goes on; and once for each wish, however often its run is begun.
pub async fn tables_by_name(server: &Server) {
    let database = made(server, "cdc_again").await;
    database.run(ROWS).await;
    let mut log = Log::new(&database);
    log.whole().await;
    // What the log does not tell.
    database
        .run("set session sql_log_bin = 0; delete from a where id = 1; set session sql_log_bin = 1; update b set v = 4")
        .await;
    log.following = again("x", What::Tables(vec!["a".to_owned()]));
    log.whole().await;
    let of = |log: &Log<'_>, table| {
        log.ops().into_iter().filter(|seen| seen.0 == table).map(|seen| (seen.1.to_owned(), seen.2)).collect::<Vec<_>>()
    };
    assert_eq!(of(&log, "a"), [("t".to_owned(), None), ("r".to_owned(), Some(2))]);
    assert_eq!(of(&log, "b"), [("u".to_owned(), Some(3))]);
    assert!(log.is_the_tables().await);
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.seen);
    log.following = again("y", What::Tables(vec!["nobody".to_owned()]));
    let error = log.run(usize::MAX).await.unwrap_err();
    assert!(error.message().contains("no table nobody"), "{error}");
}

/// A column that was added in silence is no obstacle to a table that is read anew; nor are rows of before.
pub async fn all_of_it(server: &Server) {
    let database = made(server, "cdc_all_again").await;
    database.run(ROWS).await;
    let mut log = Log::new(&database);
    log.whole().await;
    database
        .run(
            "set session sql_log_bin = 0; alter table a add column more int first; set session sql_log_bin = 1; \
             insert into a (id, v) values (5, 5); update b set v = 9",
        )
        .await;
    assert!(log.run(usize::MAX).await.is_err());
    log.following = again("x", What::All);
    // It is cut off in the midst, and the same run tries again.
    for events in 1..12 {
        log.run(events).await.unwrap();
    }
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.present);
    assert!(log.tables["a"].schema.field_with_name("more").is_ok());
}

/// A table that is gone by then has no rows left.
pub async fn all_but_what_is_gone(server: &Server) {
    let database = made(server, "cdc_all_gone").await;
    database.run(ROWS).await;
    let mut log = Log::new(&database);
    log.whole().await;
    database.run("drop table b; update a set v = 8 where id = 1").await;
    log.following = again("x", What::All);
    log.whole().await;
    assert!(log.present.keys().all(|(table, _)| table == "a"), "{:?}", log.present);
    log.following = Following::default();
    database.run("create table b (id int primary key, v int); insert into b values (9, 9)").await;
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.present);
}

pub async fn where_the_log_is_lost(server: &Server) {
    let database = made(server, "cdc_lost").await;
    database.run(ROWS).await;
    let mut log = Log::new(&database);
    log.whole().await;
    log.keys.push(("on_lost", "snapshot"));
    log.after = log.moved(json!({ "file": "binlog.900001", "pos": 4 }));
    database.run("delete from a where id = 1; update b set v = 8").await;
    log.whole().await;
    assert_eq!(log.ops().iter().filter(|seen| seen.1 == "t").count(), 2, "{:?}", log.seen);
    assert!(log.is_the_tables().await);
    database.run("update b set v = 9").await;
    log.whole().await;
    assert_eq!(log.ops(), [("b", "u", Some(3), Some(9))]);
}

pub async fn by_choice_without_a_snapshot(server: &Server) {
    let database = made(server, "cdc_never").await;
    database.run(ROWS).await;
    let mut log = Log::new(&database);
    log.keys.push(("snapshot", "never"));
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.seen);
    database.run("update a set v = 7 where id = 1; insert into b (id, v) values (4, 4)").await;
    log.whole().await;
    assert_eq!(log.ops(), [("a", "u", Some(1), Some(7)), ("b", "c", Some(4), Some(4))]);
}

pub async fn by_choice_nothing_but_a_snapshot(server: &Server) {
    let database = made(server, "cdc_only").await;
    database.run(ROWS).await;
    let mut log = Log::new(&database);
    log.keys.push(("snapshot", "only"));
    log.following.goes_on = true;
    log.whole().await;
    assert!(log.is_the_tables().await);
    database.run("update a set v = 7").await;
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.seen);
}
