//! What is read as of when, beside writers and other readers.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use rusqlite::Connection;
use tidemark::record::Event;
use tidemark::source::Source;

use super::{Db, drain, streams};

/// A writer keeps the sum of `a` and `b` at zero, in one transaction each time.
async fn reads_one_moment_beside_a_writer(journal: &str) {
    let db = Db::new(&format!(
        "pragma journal_mode = {journal}; create table a (n int); create table b (n int);
         insert into a values (0); insert into b values (0);"
    ));
    let path = db.path();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let connection = Connection::open(path).unwrap();
        connection.busy_timeout(Duration::from_secs(20)).unwrap();
        connection.execute_batch("pragma synchronous = off").unwrap();
        let mut commits = 0u64;
        while stopped.recv_timeout(Duration::from_micros(500)).is_err() {
            connection.execute_batch("begin; update a set n = n + 1; update b set n = n - 1; commit").unwrap();
            commits += 1;
        }
        commits
    });
    let mut seen = Vec::new();
    for _ in 0..8 {
        let source = db.source(&[]);
        let streams = streams(&*source, &[("tables", "a, b")]).await.unwrap();
        let first = drain(source.open(&streams[0], None).await.unwrap()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let second = drain(source.open(&streams[1], None).await.unwrap()).await.unwrap();
        let numbers = [first, second].map(|read| read.shown()[0].parse::<i64>().unwrap());
        assert_eq!(numbers[0] + numbers[1], 0, "{numbers:?}");
        seen.push(numbers[0]);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send(()).unwrap();
    assert!(writer.join().unwrap() > 2);
    seen.dedup();
    assert!(seen.len() > 1, "the writer went on meanwhile");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_are_read_as_of_one_moment_while_a_writer_writes() {
    reads_one_moment_beside_a_writer("wal").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tables_are_read_as_of_one_moment_with_a_rollback_journal_too() {
    reads_one_moment_beside_a_writer("delete").await;
}

/// Without the check that nobody commits in between, two connections would see two moments.
#[tokio::test(flavor = "multi_thread")]
async fn eight_connections_agree_on_the_moment() {
    let tables: String = (0..8).map(|n| format!("create table t{n} (n int); insert into t{n} values (0);")).collect();
    let db = Db::new(&format!("pragma journal_mode = wal; {tables}"));
    let update: String = (0..8).map(|n| format!("update t{n} set n = n + 1;")).collect();
    let path = db.path();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        let connection = Connection::open(path).unwrap();
        while stopped.try_recv().is_err() {
            connection.execute_batch(&format!("pragma synchronous = off; begin; {update} commit")).unwrap();
            std::thread::sleep(Duration::from_micros(500));
        }
    });
    for _ in 0..10 {
        let source = db.source(&[]);
        let streams = streams(&*source, &[("tables", "t*")]).await.unwrap();
        let mut readers = Vec::new();
        for stream in &streams {
            readers.push(source.open(stream, None).await.unwrap());
        }
        let mut seen = Vec::new();
        for reader in readers {
            seen.extend(drain(reader).await.unwrap().shown());
        }
        seen.dedup();
        assert_eq!(seen.len(), 1, "{seen:?}");
    }
    stop.send(()).unwrap();
    writer.join().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_one_moment_while_rows_are_added_behind_the_reader() {
    let db = Db::new("pragma journal_mode = wal; create table t (id integer primary key, n int)");
    let insert = |first: i64| {
        let mut writer = db.write();
        let all = writer.transaction().unwrap();
        for id in first..first + 50_000 {
            all.execute("insert into t values (?1, ?1)", [id]).unwrap();
        }
        all.commit().unwrap();
    };
    insert(0);
    for snapshot in ["run", "table"] {
        let source = db.source(&[("snapshot", snapshot)]);
        let stream = &streams(&*source, &[("table", "t")]).await.unwrap()[0];
        let before = stream.estimate.unwrap();
        let mut reader = source.open(stream, None).await.unwrap();
        reader.next().await.unwrap();
        insert(before as i64);
        db.write().execute_batch("update t set n = -1").unwrap();
        let mut rows = 0;
        while let Some(event) = reader.next().await.unwrap() {
            if let Event::Rows(batch) = event {
                rows += batch.batch.num_rows() as u64;
                assert!(batch.batch.column(1).as_primitive::<Int64Type>().values().iter().all(|n| *n >= 0));
            }
        }
        assert_eq!(rows, before);
        db.write().execute_batch("update t set n = id").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_connections_are_read_side_by_side() {
    let tables: String =
        (0..30).map(|n| format!("create table t{n} (id int); insert into t{n} values ({n});")).collect();
    let db = Db::new(&tables);
    let source: Arc<dyn Source> = db.source(&[]).into();
    let streams = streams(&*source, &[("tables", "t*")]).await.unwrap();
    assert_eq!(streams.len(), 30);
    let reads: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            let source = source.clone();
            tokio::spawn(async move { drain(source.open(&stream, None).await?).await })
        })
        .collect();
    for read in reads {
        assert_eq!(read.await.unwrap().unwrap().rows(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_reader_gives_its_connection_back() {
    let db = Db::new(
        "create table t as with recursive n (i) as (select 1 union all select i + 1 from n where i < 300000) \
         select i, 'some text ' || i as s from n",
    );
    let source = db.source(&[]);
    let stream = &streams(&*source, &[("table", "t")]).await.unwrap()[0];
    for _ in 0..3 {
        let mut reader = source.open(stream, None).await.unwrap();
        assert!(reader.next().await.unwrap().is_some());
    }
    assert_eq!(drain(source.open(stream, None).await.unwrap()).await.unwrap().rows(), 300_000);
}
