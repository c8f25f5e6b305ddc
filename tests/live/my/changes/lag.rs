//! How far a stream of changes is behind its server.

use std::time::Duration;

use jiff::Timestamp;
use tidemark::record::Event;

use super::super::{Server, selection};
use super::{Log, made};

/// More than may wait between the log and who reads it.
const ROWS: usize = 200;
const ROW_BYTES: usize = 100_000;

/// By time and by bytes, until it is at the end.
pub async fn how_far_it_is_behind(server: &Server) {
    let database = made(server, "cdc_lag").await;
    database.run("alter table a modify note longtext").await;
    let mut log = Log::new(&database);
    log.whole().await;
    let inserts = (0..ROWS).map(|id| format!("insert into a values ({id}, {id}, repeat('x', {ROW_BYTES}))"));
    database.run(&inserts.collect::<Vec<_>>().join("; ")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let source = database.source(None, &[]).unwrap();
    let keys = [("mode", "cdc"), ("tables", "a, b")];
    let stream = source.streams(&[selection(&keys)]).await.unwrap().whole().unwrap().remove(0);
    let mut reader = source.open(&stream, log.after.as_ref()).await.unwrap();
    let (mut rows, mut first) = (0, None);
    while let Some(event) = reader.next().await.unwrap() {
        match event {
            Event::Rows(batch) => {
                rows += batch.batch.num_rows();
                // So that not all of it is gathered before anything is told.
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            Event::Checkpoint(_) if rows > 0 && first.is_none() => first = reader.lag(),
            Event::Checkpoint(_) => {}
        }
    }
    assert_eq!(rows, ROWS);
    let first = first.unwrap();
    let seconds = first.seconds(Timestamp::now());
    assert!((2..60).contains(&seconds), "{first:?}");
    assert!(first.bytes.is_some_and(|bytes| bytes > 5_000_000), "{first:?}");
    let last = reader.lag().unwrap();
    assert_eq!((last.since, last.bytes), (None, Some(0)));
}

/// Also where it is followed on and on: what came last may be old, and nothing is behind it.
pub async fn at_the_end_of_a_live_log_nothing_is_behind(server: &Server) {
    let database = made(server, "cdc_live_lag").await;
    let mut log = Log::new(&database);
    log.whole().await;
    database.run("insert into a (id, v) values (1, 1)").await;
    let source = database.source(None, &[]).unwrap();
    let keys = [("mode", "cdc"), ("tables", "a, b")];
    let mut stream = source.streams(&[selection(&keys)]).await.unwrap().whole().unwrap().remove(0);
    stream.following.goes_on = true;
    let mut reader = source.open(&stream, log.after.as_ref()).await.unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    // Other tests write to the same server: in some moment none of them does.
    loop {
        let event = tokio::time::timeout(Duration::from_secs(1), reader.next()).await;
        if let Some(lag) = reader.lag()
            && lag.since.is_none()
        {
            assert_eq!((lag.seconds(Timestamp::now()), lag.bytes), (0, Some(0)));
            return;
        }
        assert!(tokio::time::Instant::now() < until, "{event:?} {:?}", reader.lag());
    }
}
