//! Streams of changes that begin at a place in the log that people name.

use mysql_async::prelude::Queryable;
use tidemark::error::Kind;
use tidemark::source::Following;

use super::{Log, made};
use crate::my::{Database, Flavour, Server};

/// Where the log ends now, by file and by transactions.
async fn end(database: &Database<'_>) -> (String, String) {
    let mut conn = database.conn().await;
    let statement = match database.server.flavour {
        Flavour::Mysql => "show binary log status",
        Flavour::Mariadb => "show master status",
    };
    let row: mysql_async::Row = conn.query_first(statement).await.unwrap().unwrap();
    let (file, position): (String, u64) = (row.get(0).unwrap(), row.get(1).unwrap());
    let gtids: String = match database.server.flavour {
        Flavour::Mysql => row.get(4).unwrap(),
        Flavour::Mariadb => {
            let sql = format!("select binlog_gtid_pos('{file}', {position})");
            conn.query_first(sql).await.unwrap().unwrap()
        }
    };
    (format!("{file}:{position}"), gtids.replace('\n', ""))
}

/// As each run asks, which has a name of its own.
fn from(place: &str) -> Following {
    let run = uuid::Uuid::now_v7().to_string();
    Following { from: Some(place.to_owned()), run, ..Following::default() }
}

pub async fn at_places_of_every_form(server: &Server) {
    let database = made(server, "cdc_from").await;
    database.run("insert into a (id, v) values (1, 1)").await;
    let (file, gtids) = end(&database).await;
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    let time = jiff::Timestamp::now();
    database.run("insert into a (id, v) values (2, 2); update a set v = 3 where id = 1").await;
    let time = format!("{}", time - std::time::Duration::from_secs(1));
    for place in [&file, &gtids, &time] {
        let mut log = Log::new(&database);
        log.following = from(place);
        log.whole().await;
        let of_a: Vec<_> = log.ops().into_iter().filter(|seen| seen.0 == "a").collect();
        assert_eq!(of_a, [("a", "c", Some(2), Some(2)), ("a", "u", Some(1), Some(3))], "{place}");
        // It goes on like any other.
        log.following = Following::default();
        database.run("update b set v = 1; insert into b (id, v) values (5, 5); delete from b").await;
        log.whole().await;
        assert_eq!(log.ops(), [("b", "c", Some(5), Some(5)), ("b", "d", Some(5), Some(5))], "{place}");
        log.following = from(place);
        let error = log.run(usize::MAX).await.unwrap_err();
        assert!(error.message().contains("has come to a place already"), "{error}");
    }
    let mut log = Log::new(&database);
    log.following = from("now");
    log.whole().await;
    assert!(log.seen.is_empty());
}

/// What a table was before it was altered is not known: rows of then are refused before any is read.
/// Nobody means the log's end by a place that is not there yet, or no more.
pub async fn at_no_place_beyond_the_log(server: &Server) {
    let database = made(server, "cdc_from_beyond").await;
    let (here, _) = end(&database).await;
    let (file, _) = here.split_once(':').unwrap();
    for (place, said) in [
        ("2199-01-01", "is still to come"),
        ("binlog.900001:4", "the server has no file binlog.900001 of its log"),
        (&format!("{file}:999999999"), "before 999999999"),
    ] {
        let mut log = Log::new(&database);
        log.following = from(place);
        let error = log.run(usize::MAX).await.unwrap_err();
        assert!(error.kind() == Kind::Config && error.message().contains(said), "{error}");
    }
}

pub async fn not_before_tables_were_altered(server: &Server) {
    let database = made(server, "cdc_from_altered").await;
    let (file, _) = end(&database).await;
    database
        .run("insert into a (id, v) values (1, 1); alter table a add column x int; insert into a (id, v) values (2, 2)")
        .await;
    let mut log = Log::new(&database);
    log.following = from(&file);
    let error = log.run(usize::MAX).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Schema, "{error}");
    let said = error.to_string();
    assert!(said.contains("table a was altered at binlog."), "{said}");
    // It names the place behind.
    let behind = said.split("--from ").nth(1).unwrap().split([';', ' ', '`', '\'']).next().unwrap();
    log.following = from(behind);
    log.whole().await;
    assert_eq!(log.ops(), [("a", "c", Some(2), Some(2))]);
    // `earliest` is before all that the server still has, other tests' tables too.
    log = Log::new(&database);
    log.following = from("earliest");
    assert_eq!(log.run(usize::MAX).await.unwrap_err().kind(), Kind::Schema);
    log.following = from("yesterday");
    assert_eq!(log.run(usize::MAX).await.unwrap_err().kind(), Kind::Config);
}
