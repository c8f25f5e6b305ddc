//! What is altered after a run's snapshot is refused in it, and nothing else is.

use tidemark::error::Kind;
use tidemark::source::Source;

use super::database::{Database, RUN, assert_error, make, only, read};

/// `first` is opened first, and so brings the snapshot about. The rest is what may be altered then.
const TABLES: &str = "
DROP SCHEMA IF EXISTS live, spare, old, public CASCADE; CREATE SCHEMA public; CREATE SCHEMA live; CREATE SCHEMA spare;
CREATE TABLE first (id int);
CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 100);
CREATE TABLE t_new (id int); INSERT INTO t_new VALUES (1), (2);
CREATE TABLE live.s (id int); INSERT INTO live.s VALUES (1), (2), (3); CREATE TABLE spare.s (id int);
CREATE VIEW v AS SELECT id FROM t;
CREATE VIEW vv AS SELECT id FROM v;
CREATE MATERIALIZED VIEW m AS SELECT id FROM t; CREATE UNIQUE INDEX ON m (id);
CREATE TABLE c (id int, x int, x_new int); INSERT INTO c VALUES (1, 7);
CREATE TABLE parent (id int); INSERT INTO parent VALUES (1);
CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES (2);
CREATE TABLE grandchild () INHERITS (child); INSERT INTO grandchild VALUES (3);
CREATE TABLE stray (id int); INSERT INTO stray VALUES (4);
CREATE TABLE p (id int) PARTITION BY RANGE (id);
CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
CREATE TABLE p_2_1 PARTITION OF p_2 FOR VALUES FROM (10) TO (20); INSERT INTO p VALUES (1), (11);
CREATE FUNCTION f() RETURNS SETOF int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN QUERY SELECT id FROM public.t; END'";

/// The usual way to fill a table anew: beside it, then by name.
const SWAP: &str = "INSERT INTO t_new SELECT generate_series(3, 100);
ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t;";

/// What leaves tables as they are, and their rows to the snapshot.
const CALM: &str = "INSERT INTO t VALUES (101); UPDATE t SET id = id; DELETE FROM t WHERE id < 50;
INSERT INTO parent VALUES (9); INSERT INTO p VALUES (2), (12); UPDATE c SET x = 8; ANALYZE; VACUUM;
REFRESH MATERIALIZED VIEW CONCURRENTLY m; CREATE INDEX ON t (id); CREATE INDEX ON p (id);
ALTER TABLE t ALTER COLUMN id SET STATISTICS 500; ALTER TABLE t SET (autovacuum_enabled = off);
COMMENT ON TABLE t IS 'calm'; GRANT SELECT ON t, v TO PUBLIC; ALTER TABLE c ADD COLUMN more int;
CREATE TABLE other () INHERITS (first); CREATE TABLE spare.t (id int); CREATE VIEW spare.v AS SELECT * FROM public.t;
CREATE TEMP TABLE t (id int)";

/// Makes the tables anew, takes a snapshot as a role that may just read them, and then does what `change` says.
async fn changed(database: &Database, role: &str, change: &[&str]) -> Box<dyn Source> {
    database.run(TABLES).await;
    database
        .run(&format!(
            "GRANT USAGE ON SCHEMA public, live, spare TO {role};
             GRANT SELECT ON ALL TABLES IN SCHEMA public, live, spare TO {role}"
        ))
        .await;
    let source = make(&[("url", &database.url_of(role, "pw"))]);
    let first = only(&*source, &[("table", "first"), RUN]).await;
    read(source.open(&first, None).await.unwrap()).await.unwrap();
    for statement in change {
        database.run(statement).await;
    }
    source
}

/// Asserts that nothing of these streams is read after `change` in the snapshot before it, but in a new one.
async fn refused(database: &Database, role: &str, change: &[&str], streams: &[(&str, &str)]) {
    let source = changed(database, role, change).await;
    for stream in streams {
        let of_stream = only(&*source, &[*stream, RUN]).await;
        let result = match source.open(&of_stream, None).await {
            Ok(reader) => read(reader).await,
            Err(error) => Err(error),
        };
        match result {
            Ok(read) => panic!("{change:?}: {stream:?} was read, {} rows", read.rows()),
            Err(error) => assert_error(&error, Kind::Unavailable, &["snapshot"]),
        }
    }
    for stream in streams {
        database.read(&[*stream]).await;
    }
}

pub async fn a_table_swapped_by_name(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    let everywhere = [("table", "t"), ("query", "SELECT * FROM t"), ("query", "SELECT count(*) AS n FROM t, first")];
    refused(&database, &role, &[SWAP], &everywhere).await;
    let schemas = "INSERT INTO spare.s VALUES (1); ALTER SCHEMA live RENAME TO old; ALTER SCHEMA spare RENAME TO live";
    refused(&database, &role, &[schemas], &[("table", "live.s"), ("query", "SELECT * FROM live.s")]).await;
    let moved = "ALTER TABLE live.s SET SCHEMA old; ALTER TABLE spare.s SET SCHEMA live";
    refused(&database, &role, &["CREATE SCHEMA old", moved], &[("table", "live.s")]).await;
    // A function's tables are not known before it runs.
    refused(&database, &role, &[SWAP], &[("query", "SELECT * FROM f() AS id")]).await;
}

pub async fn a_view_replaced(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    let streams = [("table", "v"), ("table", "vv"), ("query", "SELECT * FROM vv")];
    refused(&database, &role, &["CREATE OR REPLACE VIEW v AS SELECT id FROM t_new"], &streams).await;
    refused(&database, &role, &[SWAP, "CREATE OR REPLACE VIEW v AS SELECT id FROM t"], &streams).await;
    // The same tables under the same names, and yet another view.
    refused(&database, &role, &["CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 50"], &streams).await;
}

pub async fn a_materialized_view_refreshed(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    let later = "INSERT INTO t VALUES (101); REFRESH MATERIALIZED VIEW m";
    refused(&database, &role, &[later], &[("table", "m"), ("query", "SELECT * FROM m")]).await;
}

pub async fn an_inheriting_table_detached(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    let streams = [("table", "parent"), ("query", "SELECT * FROM parent")];
    for change in [
        "ALTER TABLE child NO INHERIT parent",
        "ALTER TABLE grandchild NO INHERIT child",
        "DROP TABLE grandchild",
        "ALTER TABLE stray INHERIT parent",
    ] {
        refused(&database, &role, &[change], &streams).await;
    }
    for change in [
        "ALTER TABLE p_2 DETACH PARTITION p_2_1",
        "ALTER TABLE p DETACH PARTITION p_1; DELETE FROM p_1; ALTER TABLE p ATTACH PARTITION p_1 FOR VALUES FROM (5) TO (10)",
    ] {
        refused(&database, &role, &[change], &[("table", "p"), ("query", "SELECT * FROM p")]).await;
    }
}

pub async fn a_column_swapped_by_name(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    let swap = "UPDATE c SET x_new = x; ALTER TABLE c RENAME x TO x_old; ALTER TABLE c RENAME x_new TO x";
    refused(&database, &role, &[swap], &[("table", "c"), ("query", "SELECT x FROM c")]).await;
    let anew = "ALTER TABLE c DROP COLUMN x; ALTER TABLE c ADD COLUMN x int; UPDATE c SET x = 7";
    refused(&database, &role, &[anew], &[("table", "c"), ("query", "SELECT x FROM c")]).await;
}

pub async fn what_was_not_altered(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    let streams = [
        ("table", "t", 100),
        ("table", "v", 100),
        ("table", "vv", 100),
        ("table", "m", 100),
        ("table", "c", 1),
        ("table", "parent", 3),
        ("query", "SELECT * FROM ONLY parent", 1),
        ("query", "SELECT * FROM parent WHERE id > 1", 2),
        ("table", "p", 2),
        ("query", "SELECT * FROM p WHERE id = 11", 1),
        ("query", "SELECT * FROM f() AS id", 100),
        ("query", "SELECT 1 AS one", 1),
        ("query", "SELECT table_name FROM information_schema.tables WHERE table_name = 't'", 1),
    ];
    // One statement each: some of them run in no transaction with others.
    let change: Vec<_> = CALM.split(';').collect();
    let source = changed(&database, &role, &change).await;
    for (key, of, rows) in streams {
        let stream = only(&*source, &[(key, of), RUN]).await;
        let reader = source.open(&stream, None).await.unwrap_or_else(|e| panic!("{of}: {e}"));
        assert_eq!(read(reader).await.unwrap_or_else(|e| panic!("{of}: {e}")).rows(), rows, "{of}");
    }
}
