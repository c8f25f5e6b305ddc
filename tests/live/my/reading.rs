//! Reading as such: one moment, the whole of it, in bounded memory, and never a short end taken for the end.

use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use mysql_async::prelude::Queryable;
use tidemark::error::Kind;
use tidemark::record::Event;

use super::{Database, Flavour, Server, drain, heavy, selection, texts};

pub async fn an_empty_table_has_a_schema(server: &Server) {
    let database = server.database("empty").await;
    database.run("create table t (id int primary key, x varchar(10))").await;
    let read = database.read(&[("table", "t")]).await.unwrap();
    assert_eq!((read.rows(), read.table.schema.fields().len(), read.table.key.len()), (0, 2, 1));
}

pub async fn columns_and_conditions(server: &Server) {
    let database = server.database("columns").await;
    database
        .run(
            "create table t (id int primary key, a int, hidden int invisible default 7,
                 sum int as (a + 1) stored, dbl int as (a * 2) virtual, `odd ``name` int);
             insert into t (id, a, `odd ``name`) values (1, 10, 1), (2, 20, 2), (3, 30, 3)",
        )
        .await;
    let names =
        |read: &super::Read| read.table.schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let read = database.read(&[("table", "t")]).await.unwrap();
    assert_eq!(names(&read), ["id", "a", "sum", "dbl", "odd `name"]);
    let read =
        database.read(&[("table", "t"), ("columns", "hidden, dbl, id"), ("where", "a > 10 or a is null # x")]).await;
    let read = read.unwrap();
    assert_eq!(names(&read), ["hidden", "dbl", "id"]);
    let column = |index: usize| read.batches[0].column(index).as_primitive::<Int32Type>().values().to_vec();
    assert_eq!((column(0), column(1)), (vec![7, 7], vec![40, 60]));
    let read = database.read(&[("table", "t"), ("exclude_columns", "a, sum")]).await.unwrap();
    assert_eq!(names(&read), ["id", "dbl", "odd `name"]);
}

pub async fn a_snapshot_sees_one_moment(server: &Server) {
    let database = server.database("moment").await;
    database.run("create table t (id int primary key, x int) ").await;
    let values = (1..=20_000).map(|id| format!("({id}, 0)")).collect::<Vec<_>>().join(", ");
    database.run(&format!("insert into t values {values}")).await;
    let mut reader = database.open(&[], &[("table", "t")]).await.unwrap();
    database.run("insert into t values (1000000, 0); update t set x = 1; delete from t where id <= 100").await;
    assert!(matches!(reader.next().await.unwrap(), Some(Event::Rows(_))));
    let Some(Event::Rows(rows)) = reader.next().await.unwrap() else { panic!("no rows") };
    database.run("insert into t values (1000001, 0)").await;
    let mut count = rows.batch.num_rows();
    let mut changed = rows.batch.column(1).as_primitive::<Int32Type>().values().iter().filter(|x| **x != 0).count();
    while let Some(event) = reader.next().await.unwrap() {
        if let Event::Rows(rows) = event {
            count += rows.batch.num_rows();
            changed += rows.batch.column(1).as_primitive::<Int32Type>().values().iter().filter(|x| **x != 0).count();
        }
    }
    assert_eq!((count, changed), (20_000, 0));
}

/// `a` is swapped for `b` while its reading waits for that very swap, and `b` is filled in the meantime.
pub async fn a_table_that_takes_the_name_is_read_as_it_is_then(server: &Server) {
    let database = server.database("swapped").await;
    database.run("create table a (id int primary key); insert into a values (1); create table b like a").await;
    let mut holder = database.conn().await;
    holder.query_drop("begin").await.unwrap();
    holder.query_drop("select * from a").await.unwrap();
    let mut swapper = database.conn().await;
    let swap = tokio::spawn(async move { swapper.query_drop("rename table a to c, b to a").await });
    tokio::time::sleep(Duration::from_millis(300)).await;

    let source = database.source(None, &[]).unwrap();
    let stream = source.streams(&[selection(&[("table", "a")])]).await.unwrap().streams.remove(0);
    let reading = tokio::spawn(async move { drain(source.open(&stream, None).await?).await });
    tokio::time::sleep(Duration::from_millis(700)).await;
    database.run("insert into b values (2), (3)").await;
    assert!(!swap.is_finished() && !reading.is_finished(), "both wait for the holder");
    holder.query_drop("commit").await.unwrap();
    swap.await.unwrap().unwrap();
    assert_eq!(reading.await.unwrap().unwrap().rows(), 2);
}

pub async fn an_end_is_kept(server: &Server) {
    let database = server.database("ends").await;
    database.run("create table t (id int primary key); insert into t values (1)").await;
    let source = database.source(None, &[]).unwrap();
    let stream = source.streams(&[selection(&[("table", "t")])]).await.unwrap().streams.remove(0);
    let read = drain(source.open(&stream, None).await.unwrap()).await.unwrap();
    let mut reader = source.open(&stream, Some(&read.end)).await.unwrap();
    let Some(Event::Checkpoint(again)) = reader.next().await.unwrap() else { panic!("not the end") };
    assert_eq!(again, read.end);
    assert!(reader.next().await.unwrap().is_none());
    let foreign = tidemark::record::Position::new(serde_json::json!({ "lsn": 1 }));
    assert_eq!(source.open(&stream, Some(&foreign.into())).await.err().unwrap().kind(), Kind::Lost);
}

/// Rows beyond 16 MiB come in several packets.
pub async fn large_values_come_whole(server: &Server) {
    let _one_at_a_time = heavy().await;
    let database = server.database("large").await;
    let sizes = [16_777_215 - 20, 16_777_215, 16_777_216, 20_000_000, 2 * 16_777_215];
    let mut conn = database.conn().await;
    conn.query_drop("set sql_log_bin = 0").await.unwrap();
    conn.query_drop("create table t (id int primary key, b longblob, c longtext)").await.unwrap();
    for (id, size) in (0..).zip(sizes) {
        conn.query_drop(format!("insert into t values ({id}, repeat(x'00ff', {size} / 2), repeat('z', {id}))"))
            .await
            .unwrap();
    }
    let expected = texts(&mut conn, "select length(b) from t order by id").await;
    let read = database.read(&[("table", "t")]).await.unwrap();
    let values =
        read.batches.iter().flat_map(|batch| batch.column(1).as_binary::<i32>().iter().flatten().collect::<Vec<_>>());
    let lengths: Vec<_> = values.clone().map(|value| value.len().to_string()).collect();
    assert_eq!(lengths, expected.iter().map(|row| row[0].clone().unwrap()).collect::<Vec<_>>());
    assert!(values.into_iter().all(|value| value.chunks(2).all(|pair| pair == b"\0\xff")));
    // A batch is handed on as soon as it is large: no two of them together.
    assert_eq!(read.batches.len(), sizes.len());
    database.run("drop table t").await;
}

/// Rows of one KB each, twice as many each time.
async fn wide_rows(database: &Database<'_>, doublings: usize) {
    let mut conn = database.conn().await;
    conn.query_drop("set sql_log_bin = 0").await.unwrap();
    conn.query_drop("create table t (id int primary key auto_increment, pad varchar(1000) character set latin1)")
        .await
        .unwrap();
    conn.query_drop("insert into t (pad) values (repeat('x', 1000))").await.unwrap();
    for _ in 0..doublings {
        conn.query_drop("insert into t (pad) select pad from t").await.unwrap();
    }
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

pub async fn many_rows_in_little_memory(server: &Server) {
    let _one_at_a_time = heavy().await;
    let database = server.database("wide").await;
    wide_rows(&database, 18).await;
    let mut reader = database.open(&[], &[("table", "t")]).await.unwrap();
    reader.next().await.unwrap();
    let before = resident();
    // Nobody reads: the server must wait, and neither side may pile up rows.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (mut rows, mut most) = (0, resident());
    while let Some(event) = reader.next().await.unwrap() {
        if let Event::Rows(batch) = event {
            rows += batch.batch.num_rows();
            most = most.max(resident());
        }
    }
    assert!(rows >= 200_000, "{rows}");
    assert!(most.saturating_sub(before) < 64 << 20, "{} MB", (most - before) >> 20);
    database.run("drop table t").await;
}

/// Ids of connections that are reading the database's table `t` now.
async fn readers(database: &Database<'_>) -> Vec<String> {
    let list = match database.server.flavour {
        // The older list fails while any statement at the server holds an emoji.
        Flavour::Mysql => "performance_schema.processlist",
        Flavour::Mariadb => "information_schema.processlist",
    };
    let sql = format!(
        "select id from {list} where db = '{}' and id <> connection_id() and command = 'Execute'",
        database.name
    );
    database.texts(&sql).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

pub async fn a_killed_connection_is_no_end(server: &Server) {
    let _one_at_a_time = heavy().await;
    let database = server.database("killed").await;
    wide_rows(&database, 16).await;
    for how in ["kill", "kill query"] {
        let mut reader = database.open(&[], &[("table", "t")]).await.unwrap();
        reader.next().await.unwrap();
        reader.next().await.unwrap();
        let ids = readers(&database).await;
        assert_eq!(ids.len(), 1, "{ids:?}");
        database.run(&format!("{how} {}", ids[0])).await;
        let error = loop {
            match reader.next().await {
                Ok(Some(Event::Rows(_))) => {}
                Ok(other) => panic!("{how}: {other:?} after half of the rows"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), Kind::Unavailable, "{how}: {error}");
        assert!(error.to_string().contains("table t"), "{error}");
    }
    database.run("drop table t").await;
}

/// A stopped run does not leave the server sending rows to nobody, for however long that takes.
pub async fn dropping_a_reader_ends_its_statement(server: &Server) {
    let database = server.database("dropped").await;
    wide_rows(&database, 14).await;
    let slowly = [("query", "select pad, sleep(0.005) s from t")];
    let mut reader = database.open(&[], &slowly).await.unwrap();
    reader.next().await.unwrap();
    while readers(&database).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Until it is among the rows: so many fill the server's buffer.
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(reader);
    let dropped = Instant::now();
    while !readers(&database).await.is_empty() {
        assert!(dropped.elapsed() < Duration::from_secs(10), "the server is still sending");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    database.run("drop table t").await;
}

pub async fn session_settings(server: &Server) {
    let database = server.database("session").await;
    let limit = match server.flavour {
        Flavour::Mysql => "@@max_execution_time",
        Flavour::Mariadb => "@@max_statement_time",
    };
    let query = format!(
        "select @@time_zone a, @@sql_mode b, @@character_set_results c, @@net_write_timeout d, {limit} + 0 e, \
         @@transaction_isolation f, @@sql_select_limit > 1e18 g"
    );
    // MariaDB of old names the isolation otherwise; what it does is tested elsewhere.
    let query = match server.flavour {
        Flavour::Mysql => query,
        Flavour::Mariadb => query.replace("@@transaction_isolation", "@@tx_isolation"),
    };
    let source = database.source(None, &[("write_timeout", "2h")]).unwrap();
    let stream = source.streams(&[selection(&[("query", &query)])]).await.unwrap().streams.remove(0);
    let read = drain(source.open(&stream, None).await.unwrap()).await.unwrap();
    let text = |name: &str| read.batches[0].column_by_name(name).unwrap().as_string::<i32>().value(0).to_owned();
    assert_eq!((text("a"), text("b"), text("c")), ("+00:00".to_owned(), String::new(), "utf8mb4".to_owned()));
    assert_eq!(text("f"), "REPEATABLE-READ");
    let shown = format!("{:?}", read.batches[0].column_by_name("d").unwrap());
    assert!(shown.contains("7200"), "{shown}");
}
