//! Transactions that come to nothing, in part or whole, and those that are decided later.

use std::collections::BTreeSet;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::json;
use tidemark::error::Kind;
use tidemark::source::{Following, What};

use super::{Log, made};
use crate::my::{Database, Flavour, Server};

/// Ends a transaction of a session that has ended, which MariaDB lets others do only some time after.
async fn decide(database: &Database<'_>, statement: &str) {
    for _ in 0..200 {
        if database.conn().await.query_drop(statement).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{statement}");
}

/// What a test that failed left would be in the way of the next for ever.
async fn forget(server: &Server, names: &[&str]) {
    for name in names {
        let _ = server.admin().await.query_drop(format!("xa rollback {name}")).await;
    }
}

/// Both parts of a distributed transaction are far apart, and the stream may be run between them.
pub async fn prepared_transactions(server: &Server) {
    let other = if server.flavour == Flavour::Mysql { "x'01','b',7" } else { "'two'" };
    forget(server, &["'one'", other]).await;
    let database = made(server, "cdc_xa").await;
    database.run("insert into a (id, v) values (1, 1)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    // Each in a session of its own, which ends.
    for script in [
        "xa start 'one'; insert into a (id, v) values (2, 2); insert into b (id, v) values (2, 2); xa end 'one'; xa prepare 'one'",
        &format!("xa start {other}; insert into a (id, v) values (3, 3); xa end {other}; xa prepare {other}"),
        "xa start 'three'; insert into a (id, v) values (4, 4); xa end 'three'; xa commit 'three' one phase; \
         update a set v = 9 where id = 1",
    ] {
        database.run(script).await;
    }
    log.whole().await;
    assert_eq!(log.ops(), [("a", "c", Some(4), Some(4)), ("a", "u", Some(1), Some(9))]);
    log.whole().await;
    assert!(log.seen.is_empty());
    database.run("insert into b (id, v) values (8, 8)").await;
    decide(&database, "xa commit 'one'").await;
    decide(&database, &format!("xa rollback {other}")).await;
    database.run("update b set v = 3 where id = 2").await;
    // It is cut off within, and read again from the commit before.
    for events in 1..5 {
        log.run(events).await.unwrap();
    }
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.present);
    log.whole().await;
    assert!(log.seen.is_empty());
}

/// What is prepared while a table is to be read anew is in no snapshot of it, and comes when it is committed.
pub async fn prepared_while_a_table_is_unknown(server: &Server) {
    forget(server, &["'amid'"]).await;
    let database = made(server, "cdc_xa_amid").await;
    database.run("insert into a (id, v) values (1, 1)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database.run("xa start 'amid'; insert into a (id, v) values (2, 2); xa end 'amid'; xa prepare 'amid'").await;
    let what = What::Tables(vec!["a".to_owned()]);
    log.following = Following { again: Some(what), run: "x".to_owned(), ..Following::default() };
    log.whole().await;
    assert_eq!(log.ops(), [("a", "t", None, None), ("a", "r", Some(1), Some(1))]);
    decide(&database, "xa commit 'amid'").await;
    log.whole().await;
    assert_eq!(log.ops(), [("a", "c", Some(2), Some(2))]);
}

/// What was prepared before the stream began is neither in the snapshot nor in the log behind it: it is looked for.
pub async fn prepared_before_it_began(server: &Server) {
    forget(server, &["'old'"]).await;
    let database = made(server, "cdc_xa_before").await;
    // The name was another one's before.
    database
        .run("xa start 'old'; insert into a (id, v) values (7, 7); xa end 'old'; xa prepare 'old'; xa rollback 'old'")
        .await;
    database.run("insert into b (id, v) values (1, 1)").await;
    database.run("xa start 'old'; insert into a (id, v) values (2, 2); xa end 'old'; xa prepare 'old'").await;
    let mut log = Log::new(&database);
    log.whole().await;
    assert_eq!(log.seen.len(), 1);
    database.run("update b set v = 2; flush binary logs").await;
    decide(&database, "xa commit 'old'").await;
    log.whole().await;
    let seen: BTreeSet<_> = log.ops().into_iter().collect();
    assert_eq!(seen, [("a", "c", Some(2), Some(2)), ("b", "u", Some(1), Some(2))].into());
    assert!(log.is_the_tables().await);
}

/// One that the log has no more is an error, or all tables are read anew.
pub async fn prepared_where_the_log_is_lost(server: &Server) {
    forget(server, &["'lost'"]).await;
    let database = made(server, "cdc_xa_lost").await;
    database.run("insert into a (id, v) values (1, 1); insert into b (id, v) values (1, 1)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database.run("xa start 'lost'; insert into a (id, v) values (2, 2); xa end 'lost'; xa prepare 'lost'").await;
    log.whole().await;
    // As if its file had been purged.
    let mut after = log.after.clone().unwrap();
    let prepared = after.state["prepared"].as_object_mut().unwrap();
    for (_, begun) in prepared.iter_mut() {
        *begun = json!({ "place": { "file": "binlog.900001", "pos": 4 } });
    }
    log.after = Some(after);
    decide(&database, "xa commit 'lost'").await;
    database.run("update b set v = 2").await;
    let error = log.run(usize::MAX).await.unwrap_err();
    assert!(error.kind() == Kind::Lost && error.message().contains("was prepared (XA)"), "{error}");
    log.keys.push(("on_lost", "snapshot"));
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.seen);
    log.whole().await;
    assert!(log.seen.is_empty(), "{:?}", log.seen);
}

/// Tables without transactions leave rows in the log that came to nothing.
pub async fn savepoints_and_rollbacks(server: &Server) {
    let database = made(server, "cdc_savepoint").await;
    database.run("insert into a (id, v) values (1, 1)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database
        .run(
            "begin; insert into a (id, v) values (2, 2); savepoint s; insert into a (id, v) values (3, 3); update a set v = 7 where id = 2; \
             rollback to s; insert into a (id, v) values (4, 4); commit; \
             begin; insert into a (id, v) values (5, 5); rollback",
        )
        .await;
    log.whole().await;
    assert_eq!(log.ops(), [("a", "c", Some(2), Some(2)), ("a", "c", Some(4), Some(4))]);
    if server.flavour == Flavour::Mysql {
        // With transactions by ids, it refuses what is below.
        return;
    }
    database
        .run(
            "create table m (id int primary key) engine = myisam; begin; insert into b (id, v) values (1, 1), (2, 2); savepoint s; \
             insert into b (id, v) values (3, 3); savepoint t; delete from b where id = 1; insert into m values (1); rollback to t; \
             insert into b (id, v) values (6, 6); rollback to S; insert into b (id, v) values (4, 4); update a set v = 8 where id = 1; commit; \
             begin; insert into b (id, v) values (10, 10); create temporary table x (x int); insert into b (id, v) values (11, 11); rollback; \
             insert into b (id, v) values (12, 12)",
        )
        .await;
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.present);
    let ids: Vec<_> = log.seen.iter().filter(|seen| seen.0 == "b").map(|seen| seen.2.unwrap()).collect();
    assert_eq!(ids, [1, 2, 4, 12]);
    // More than a batch of them.
    database
        .run(
            "begin; insert into b (id, v) select seq, 1 from seq_100_to_20000; savepoint s; insert into b (id, v) select seq, 2 from seq_30000_to_60000; \
             insert into m values (2); rollback to s; insert into b (id, v) values (70000, 3); commit",
        )
        .await;
    log.whole().await;
    assert!(log.is_the_tables().await);
    assert_eq!(log.seen.len(), 20_000 - 100 + 1 + 1);
}
