//! Which tables, columns and rows a stream reads, and what is said of those it cannot.

use arrow_array::Array;
use arrow_schema::DataType::Utf8;
use tidemark::error::Kind;
use tidemark::record::{Event, field};

use super::database::{Database, assert_error, only, read, streams};

pub async fn names_and_schemas(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE SCHEMA sales; CREATE TABLE sales.orders (id int); INSERT INTO sales.orders VALUES (1);
             CREATE TABLE \"Order Items\" (\"a \"\"b\"\"\" int, \"select\" int); INSERT INTO \"Order Items\" VALUES (2, 3);
             CREATE TABLE \"x.y\" (id int); CREATE TABLE plain (id int)",
        )
        .await;
    let items = database.read(&[("table", "Order Items")]).await;
    assert_eq!((items.table.name.as_str(), items.rows()), ("Order Items", 1));
    assert_eq!(items.column("a \"b\""), [Some("2".to_owned())]);
    assert_eq!(database.read(&[("table", "\"x.y\"")]).await.table.name, "\"x.y\"");
    assert_eq!(database.read(&[("table", "public.plain")]).await.table.name, "plain");
    assert_eq!(database.read(&[("table", "sales.orders")]).await.table.name, "sales.orders");
    assert_eq!(database.read(&[("table", "sales.orders"), ("as", "o")]).await.table.name, "o");
    let source = super::database::make(&[("url", &database.url), ("schema", "sales")]);
    let stream = only(&*source, &[("table", "orders"), ("where", "id IN (SELECT id FROM orders)")]).await;
    assert_eq!(read(source.open(&stream, None).await.unwrap()).await.unwrap().rows(), 1);
}

pub async fn patterns_find_tables(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE TABLE inv_1 (id int); CREATE TABLE inv_2 (id int); CREATE TABLE other (id int);
             CREATE TABLE inv_p (id int) PARTITION BY RANGE (id);
             CREATE TABLE inv_p_1 PARTITION OF inv_p FOR VALUES FROM (0) TO (10);
             CREATE VIEW inv_v AS SELECT 1 AS id;
             CREATE SCHEMA s; CREATE TABLE s.inv_3 (id int);
             INSERT INTO inv_1 SELECT generate_series(1, 100); INSERT INTO inv_p VALUES (1), (2);
             ANALYZE",
        )
        .await;
    let source = database.source();
    let found = streams(&*source, &[("tables", "inv_*, s.*, inv_v, inv_1, inv_p_1")]).await.unwrap();
    let names: Vec<_> = found.iter().map(|stream| stream.id.to_string()).collect();
    assert_eq!(names, ["s.inv_1", "s.inv_2", "s.inv_p", "s.s.inv_3", "s.inv_v", "s.inv_p_1"]);
    assert_eq!((found[0].estimate, found[2].estimate), (Some(100), Some(2)));
    let error = streams(&*source, &[("tables", "nix_*")]).await.unwrap_err();
    assert_error(&error, Kind::Config, &["`tables`", "`nix_*`"]);
}

pub async fn a_missing_table_is_named(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TABLE orders (id int); CREATE SCHEMA sales; CREATE TABLE sales.items (id int)").await;
    let error = database.refusal(&[("table", "ordres")]).await;
    assert_error(&error, Kind::Config, &["[stream s] `table`", "`public.ordres`", "did you mean `public.orders`"]);
    let error = database.refusal(&[("table", "items")]).await;
    assert_error(&error, Kind::Config, &["did you mean `sales.items`"]);
    assert_error(&database.refusal(&[("table", "a.b.c")]).await, Kind::Config, &["`a.b.c`"]);
    let error = database.refusal(&[("table", "orders"), ("columns", "idd")]).await;
    assert_error(&error, Kind::Config, &["`columns`", "did you mean `id`"]);
}

pub async fn partitions_come_with_their_table(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE TABLE p (id int, v text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
             CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);
             CREATE TABLE p_2 (v text, dropped int, id int NOT NULL); ALTER TABLE p_2 DROP COLUMN dropped;
             ALTER TABLE p ATTACH PARTITION p_2 FOR VALUES FROM (10) TO (20);
             CREATE TABLE p_3 PARTITION OF p DEFAULT PARTITION BY HASH (id);
             CREATE TABLE p_3_1 PARTITION OF p_3 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
             INSERT INTO p SELECT n, 'v' || n FROM generate_series(1, 30) AS n;
             CREATE TABLE parent (id int); CREATE TABLE child (more int) INHERITS (parent);
             INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3)",
        )
        .await;
    let all = database.read(&[("table", "p")]).await;
    assert_eq!((all.rows(), all.table.key.clone()), (30, vec!["id".to_owned()]));
    let mut values = all.column("v");
    values.sort();
    values.dedup();
    assert_eq!(values.len(), 30);
    assert_eq!(database.read(&[("table", "p"), ("where", "id < 5")]).await.rows(), 4);
    assert_eq!(database.read(&[("table", "p_2")]).await.rows(), 10);
    assert_eq!(database.read(&[("table", "parent")]).await.rows(), 2);
}

pub async fn views_and_queries(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b');
             CREATE VIEW v AS SELECT id, upper(v) AS v FROM t;
             CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t;
             CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS n WITH NO DATA;
             CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
             CREATE FOREIGN TABLE f (n int) SERVER files OPTIONS (program 'printf 7')",
        )
        .await;
    assert_eq!(database.read(&[("table", "v")]).await.column("v"), [Some("A".to_owned()), Some("B".to_owned())]);
    assert_eq!(database.read(&[("table", "m")]).await.column("n"), [Some("2".to_owned())]);
    assert_eq!(database.read(&[("table", "f")]).await.column("n"), [Some("7".to_owned())]);
    assert_error(&database.refusal(&[("table", "unfilled")]).await, Kind::Config, &["unfilled"]);
    let query = "WITH x AS (SELECT * FROM t) SELECT x.id, x.v AS \"V w\" FROM x ORDER BY id DESC -- the last first";
    let read = database.read(&[("query", query), ("where", "id > 0")]).await;
    assert_eq!(read.table.name, "s");
    assert_eq!(read.column("V w"), [Some("b".to_owned()), Some("a".to_owned())]);
    let read = database.read(&[("query", "VALUES (1, 'x'), (2, NULL);"), ("columns", "column2")]).await;
    assert_eq!(read.column("column2"), [Some("x".to_owned()), None]);
    let read = database.read(&[("query", "SELECT 1 AS id, 2 AS v"), ("primary_key", "id")]).await;
    assert_eq!(read.table.key, ["id"]);
}

pub async fn columns_and_conditions(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE TABLE t (a int, b text, gone int, c int GENERATED ALWAYS AS (a * 2) STORED, d int DEFAULT 5);
             ALTER TABLE t DROP COLUMN gone; INSERT INTO t SELECT n, 'x' || n FROM generate_series(1, 4) AS n",
        )
        .await;
    let names = |read: &super::database::Read| -> Vec<String> {
        read.table.schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    let all = database.read(&[("table", "t")]).await;
    assert_eq!(names(&all), ["a", "b", "c", "d"]);
    assert_eq!(all.column("c"), ["2", "4", "6", "8"].map(|v| Some(v.to_owned())));
    assert_eq!(names(&database.read(&[("table", "t"), ("columns", "d, a")]).await), ["d", "a"]);
    assert_eq!(names(&database.read(&[("table", "t"), ("exclude_columns", "b, c")]).await), ["a", "d"]);
    let some = database.read(&[("table", "t"), ("where", "t.a > 2 -- big\nAND b LIKE 'x%'")]).await;
    assert_eq!(some.rows(), 2);
    if database.version().await >= 18 {
        database
            .run("CREATE TABLE g (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL); INSERT INTO g VALUES (1)")
            .await;
        assert_eq!(database.read(&[("table", "g")]).await.column("b"), [Some("2".to_owned())]);
    }
}

pub async fn an_empty_table_has_its_schema(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text[])").await;
    let read = database.read(&[("table", "t")]).await;
    assert_eq!((read.rows(), read.table.schema.fields().len(), read.table.key.len()), (0, 2, 1));
    assert_eq!(read.end.position.as_value()["done"], true);
    assert!(read.end.position.as_value()["lsn"].as_str().unwrap().contains('/'));
    assert!(read.end.position.as_value()["snapshot"].as_str().unwrap().contains(':'));
}

pub async fn odd_tables(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TABLE empty (); INSERT INTO empty DEFAULT VALUES").await;
    assert_error(&database.refusal(&[("table", "empty")]).await, Kind::Config, &["empty", "no columns"]);
    let columns: Vec<_> = (0..1600).map(|n| format!("c{n} int2")).collect();
    database.run(&format!("CREATE TABLE wide ({}); INSERT INTO wide (c7) VALUES (7)", columns.join(", "))).await;
    let wide = database.read(&[("table", "wide")]).await;
    assert_eq!((wide.table.schema.fields().len(), wide.column("c7")), (1600, vec![Some("7".to_owned())]));
    database.run("CREATE TABLE log (id int); INSERT INTO log SELECT generate_series(1, 50000)").await;
    let mut values: Vec<i32> = database
        .read(&[("table", "log")])
        .await
        .column("id")
        .into_iter()
        .map(|v| v.unwrap().parse().unwrap())
        .collect();
    values.sort_unstable();
    assert!(values.into_iter().eq(1..=50000));
}

pub async fn mistakes_in_sql_are_those_of_the_file(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TABLE t (id int)").await;
    for (stream, key) in [
        (vec![("query", "SELECT nothing FROM t")], "`query`"),
        (vec![("query", "SELECT * FROM nothing")], "`query`"),
        (vec![("query", "SELEKT 1")], "`query`"),
        (vec![("query", "SELECT 1 AS a, 2 AS a")], "`a`"),
        (vec![("query", "SELECT FROM t")], "`query`"),
        (vec![("query", "SELECT 1); DROP TABLE t; --")], "`query`"),
        (vec![("query", "SELECT nextval('q')")], "`query`"),
        (vec![("query", "DELETE FROM t RETURNING id")], "`query`"),
        (vec![("table", "t"), ("where", "idd = 1")], "`where`"),
        (vec![("table", "t"), ("where", "id = ")], "`where`"),
        (vec![("table", "t"), ("unconstrained_numeric", "5")], "`unconstrained_numeric`"),
    ] {
        assert_error(&database.refusal(&stream).await, Kind::Config, &[key]);
    }
    database.run("CREATE SEQUENCE q").await;
    let error = database.refusal(&[("query", "SELECT nextval('q')")]).await;
    assert_error(&error, Kind::Config, &["read-only"]);
    assert_eq!(database.read(&[("table", "t")]).await.rows(), 0);
}

pub async fn keys_and_notes(server: &str) {
    let database = Database::create(server).await;
    database
        .run(
            "CREATE TABLE two (a int, b int, c text, PRIMARY KEY (c, a) INCLUDE (b));
             CREATE TABLE none (a int UNIQUE, total numeric)",
        )
        .await;
    assert_eq!(database.read(&[("table", "two")]).await.table.key, ["c", "a"]);
    assert!(database.read(&[("table", "two"), ("columns", "a, b")]).await.table.key.is_empty());
    assert_eq!(database.read(&[("table", "two"), ("primary_key", "b")]).await.table.key, ["b"]);
    let source = database.source();
    let stream = only(&*source, &[("table", "none")]).await;
    let description = source.describe(&stream).await.unwrap();
    assert!(description.notes.iter().any(|note| note.contains("primary key")), "{:?}", description.notes);
    assert!(description.notes.iter().any(|note| note.contains("`unconstrained_numeric`")), "{:?}", description.notes);
    let total = description.table.schema.field_with_name("total").unwrap();
    assert_eq!((total.data_type(), field::native(total)), (&Utf8, Some("numeric")));
}

pub async fn a_read_table_is_not_read_again(server: &str) {
    let database = Database::create(server).await;
    database.run("CREATE TABLE t (id int); INSERT INTO t VALUES (1)").await;
    let source = database.source();
    let stream = only(&*source, &[("table", "t")]).await;
    let done = read(source.open(&stream, None).await.unwrap()).await.unwrap();
    let mut reader = source.open(&stream, Some(&done.end)).await.unwrap();
    match reader.next().await.unwrap() {
        Some(Event::Checkpoint(end)) => assert_eq!(end, done.end),
        other => panic!("{other:?}"),
    }
    assert!(reader.next().await.unwrap().is_none());
    let foreign = tidemark::record::Position::new(serde_json::json!({"binlog": 4}));
    let error = source.open(&stream, Some(&foreign.into())).await.err().unwrap();
    assert_error(&error, Kind::Lost, &["resume_within"]);
}

pub async fn wide_rows_in_bounded_memory(server: &str) {
    let database = Database::create(server).await;
    let query = "SELECT n, repeat(md5(n::text), 64) AS v FROM generate_series(1, 200000) AS n";
    let source = database.source();
    let stream = only(&*source, &[("query", query)]).await;
    let mut reader = source.open(&stream, None).await.unwrap();
    // Whoever reads slowly must not make us hold what was not read.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let before = resident();
    let (mut rows, mut most) = (0, 0);
    while let Some(event) = reader.next().await.unwrap() {
        let Event::Rows(batch) = event else { continue };
        rows += batch.batch.num_rows();
        assert!(batch.batch.get_array_memory_size() < 6 << 20);
        most = most.max(resident());
    }
    assert_eq!(rows, 200_000);
    assert!(most < before + (48 << 20), "{before} grew to {most}");
}

pub async fn one_huge_value(server: &str) {
    let database = Database::create(server).await;
    let read = database.read(&[("query", "SELECT repeat('x', 30 << 20) AS v UNION ALL SELECT 'y'")]).await;
    assert_eq!(read.column("v").iter().flatten().map(String::len).collect::<Vec<_>>(), [30 << 20, 1]);
    assert!(read.batches[0].column(0).is_valid(0));
}

/// What of this process is in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
