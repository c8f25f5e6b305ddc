//! Files that are missing, locked, damaged, or not to be written beside.

use std::time::{Duration, Instant};

use tidemark::error::Kind;

use super::{Db, fails, open_source, read};

#[tokio::test]
async fn what_is_missing_or_no_database_says_so_and_is_never_made() {
    let db = Db::new("create table orders (id int)");
    let source = db.source(&[]);
    let missing = read(&*source, &[("table", "ordres")]).await;
    fails(missing, Kind::Config, &["ordres", "did you mean `orders`?", "shop.db"]);
    fails(read(&*source, &[("tables", "orders, inv_*")]).await, Kind::Config, &["`inv_*` matches no table"]);
    fails(read(&*source, &[("table", "orders"), ("columns", "ids")]).await, Kind::Config, &["did you mean `id`?"]);
    fails(read(&*source, &[("table", "orders"), ("mode", "cdc")]).await, Kind::Config, &["keeps none"]);

    let folder = db.folder.path();
    let absent = folder.join("absent.db");
    let source = open_source(&absent, &[]).unwrap();
    fails(read(&*source, &[("table", "orders")]).await, Kind::Config, &["absent.db does not exist"]);
    assert!(!absent.exists());
    let source = open_source(folder, &[]).unwrap();
    fails(read(&*source, &[("table", "orders")]).await, Kind::Config, &["is a folder"]);
    std::fs::write(&absent, [7u8; 8192]).unwrap();
    let source = open_source(&absent, &[]).unwrap();
    fails(read(&*source, &[("table", "orders")]).await, Kind::Config, &["not a SQLite database, or it is encrypted"]);
    assert_eq!(std::fs::read(&absent).unwrap(), [7u8; 8192]);
}

#[tokio::test]
async fn a_damaged_file_is_told_apart() {
    let db = Db::new("create table t (a text)");
    let mut writer = db.write();
    let all = writer.transaction().unwrap();
    for _ in 0..20_000 {
        all.execute("insert into t values ('some text that fills pages')", []).unwrap();
    }
    all.commit().unwrap();
    drop(writer);
    let mut bytes = std::fs::read(db.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xee);
    std::fs::write(db.path(), bytes).unwrap();
    fails(read(&*db.source(&[]), &[("table", "t")]).await, Kind::Data, &["shop.db is damaged", "integrity_check"]);
}

#[tokio::test]
async fn a_locked_file_is_waited_for_and_then_unavailable() {
    let db = Db::new("create table t (id int); insert into t values (1);");
    let writer = db.write();
    writer.execute_batch("begin exclusive").unwrap();
    let source = db.source(&[("busy_timeout", "200ms")]);
    let started = Instant::now();
    fails(read(&*source, &[("table", "t")]).await, Kind::Unavailable, &["locked", "busy_timeout"]);
    assert!(started.elapsed() >= Duration::from_millis(200));
    writer.execute_batch("commit").unwrap();
    assert_eq!(read(&*source, &[("table", "t")]).await.unwrap().rows(), 1);
}

#[tokio::test]
async fn a_file_that_nobody_writes_is_read_without_files_beside_it() {
    let db = Db::new("pragma journal_mode = wal; create table t (id int); insert into t values (1);");
    let frozen = tempfile::tempdir().unwrap();
    let path = frozen.path().join("a %20#?.db");
    std::fs::copy(db.path(), &path).unwrap();
    let source = open_source(&path, &[("immutable", "yes")]).unwrap();
    assert_eq!(read(&*source, &[("table", "t")]).await.unwrap().rows(), 1);
    let files: Vec<_> = std::fs::read_dir(frozen.path()).unwrap().collect();
    assert_eq!(files.len(), 1, "{files:?}");

    // What is in the log alone would be missed.
    let writer = db.write();
    writer.execute_batch("insert into t values (2)").unwrap();
    let source = db.source(&[("immutable", "yes")]);
    fails(read(&*source, &[("table", "t")]).await, Kind::Config, &["shop.db-wal holds changes", "wal_checkpoint"]);
}

#[tokio::test]
async fn a_transaction_that_never_ended_is_not_read() {
    let db = Db::new(
        "create table t as with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000) \
         select i, 'some text that fills pages' as s from n",
    );
    let writer = db.write();
    // More than the cache holds, so that half of it is in the file.
    writer.execute_batch("pragma cache_size = 5; begin; update t set i = -1, s = s || s").unwrap();
    let killed = Db::new("");
    for suffix in ["", "-journal"] {
        let name = format!("shop.db{suffix}");
        std::fs::copy(db.folder.path().join(&name), killed.folder.path().join(&name)).unwrap();
    }
    let source = killed.source(&[]);
    fails(read(&*source, &[("table", "t")]).await, Kind::Denied, &["unfinished transaction", "sqlite3 shell"]);
    let source = killed.source(&[("immutable", "yes")]);
    fails(read(&*source, &[("table", "t")]).await, Kind::Config, &["shop.db-journal holds an unfinished"]);
}

#[tokio::test]
async fn what_stands_in_double_quotes_is_a_column() {
    // What SQLite took in when the table was made, it keeps.
    let db = Db::new(
        "create table t (id integer primary key, status text, is_open int as (status = \"open\"));
         create index open_ones on t (id) where status = \"open\";
         insert into t values (1, 'open'), (2, 'shut');
         create view open_rows as select id from t where status = \"open\";",
    );
    let source = db.source(&[]);
    let read = async |values: &[(&str, &str)]| read(&*source, values).await;
    let open = read(&[("table", "t"), ("where", "\"status\" = 'open'")]).await.unwrap();
    assert_eq!(open.shown(), ["1|open|1"]);
    let misspelt = read(&[("table", "t"), ("where", "\"statsu\" = 'open'")]).await;
    fails(misspelt, Kind::Config, &["`where` is refused", "no such column", "statsu"]);
    let misspelt = read(&[("query", "select id, \"statsu\" from t")]).await;
    fails(misspelt, Kind::Config, &["`query` is refused", "no such column", "statsu"]);
    fails(
        read(&[("table", "open_rows")]).await,
        Kind::Schema,
        &["open_rows cannot be read", "\"open\"", "single-quotes"],
    );
    assert_eq!(read(&[("tables", "*")]).await.unwrap().rows(), 2);
}
