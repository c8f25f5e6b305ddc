//! Changes of which the log has only the statement.

use tidemark::error::Kind;
use tidemark::source::{Following, What};

use super::{Log, made};
use crate::my::Server;

const STATEMENT: &str = "set session binlog_format = statement";

/// Another database may log as it likes, also with variables, ids and files.
pub async fn of_another_database(server: &Server) {
    let database = made(server, "cdc_worded").await;
    let other = server.database("cdc_worded_beside").await;
    other.run("create table c (id int auto_increment primary key, v varchar(40))").await;
    let mut log = Log::new(&database);
    log.whole().await;
    other
        .run(&format!(
            "{STATEMENT}; set @x = 7; insert into c (v) values (@x); insert into c (v) values (rand()); insert into c (v) select v from c"
        ))
        .await;
    database.run("insert into a (id, v) values (1, 1)").await;
    log.whole().await;
    assert_eq!(log.ops(), [("a", "c", Some(1), Some(1))]);
}

/// One of ours is named, and reading it anew is a way out.
pub async fn of_our_tables(server: &Server) {
    let database = made(server, "cdc_worded_ours").await;
    database.run("insert into a (id, v) values (1, 1); insert into b (id, v) values (1, 1)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database
        .run(&format!("{STATEMENT}; set @x = 5; insert into a (id, v) values (2, @x); set session binlog_format = row; update b set v = 2"))
        .await;
    let error = log.run(usize::MAX).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Schema, "{error}");
    assert!(error.message().contains("of table a perhaps"), "{error}");
    assert!(error.advice().unwrap().contains("`tidemark run s --snapshot a`"), "{error}");
    let what = What::Tables(vec!["a".to_owned()]);
    log.following = Following { again: Some(what), run: "x".to_owned(), ..Following::default() };
    log.whole().await;
    assert!(log.is_the_tables().await, "{:?}", log.seen);
    assert_eq!(log.seen.iter().filter(|seen| seen.0 == "b").count(), 1, "{:?}", log.seen);
}

/// A function changes what no word of the statement tells.
pub async fn by_functions(server: &Server) {
    let database = made(server, "cdc_worded_by").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database
        .run(
            "create function f() returns int deterministic modifies sql data begin insert into a (id, v) values (1, 1); return 1; end",
        )
        .await;
    database.run(&format!("{STATEMENT}; do f()")).await;
    let error = log.run(usize::MAX).await.unwrap_err();
    assert!(error.message().contains("a change by a function"), "{error}");
}

/// What compares tables with those of a replica notes its sums so.
pub async fn that_only_read_ours(server: &Server) {
    let database = made(server, "cdc_worded_read").await;
    let other = server.database("cdc_worded_sums").await;
    other.run("create table sums (n int)").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database.run(&format!("{STATEMENT}; replace into `{}`.`sums` select count(*) from a", other.name)).await;
    log.whole().await;
}
