//! Tables, views and queries.

use arrow_schema::DataType;
use tidemark::error::Kind;
use tidemark::record::{Event, Position};

use super::{Db, fails, read, streams};

#[tokio::test]
async fn tables_of_every_sort_are_read() {
    let db = Db::new(
        "create table plain (id integer primary key, rowid text, twice int generated always as (id * 2));
         insert into plain (id, rowid) values (7, 'seven');
         create table pairs (b text, a text, primary key (a, b)) without rowid;
         insert into pairs values ('y', 'x');
         create table strict_one (n int, x any) strict;
         insert into strict_one values (1, 'one'), (2, 2.5);
         create virtual table words using fts5(title, body);
         insert into words values ('t', 'b');
         create view sums as select id, cast(sum(twice) as integer) as total, count(*) as n from plain;
         create table \"odd \"\"name\" (\"a b\" int);",
    );
    let source = db.source(&[]);
    let read = |table: &'static str| read(&*source, Box::leak(Box::new([("table", table)])));
    let plain = read("plain").await.unwrap();
    assert_eq!(
        (plain.table.key.as_slice(), plain.shown()),
        (["id".to_owned()].as_slice(), vec!["7|seven|14".to_owned()])
    );
    let pairs = read("PAIRS").await.unwrap();
    assert_eq!((pairs.table.name.as_str(), pairs.table.key.join(" ")), ("pairs", "a b".to_owned()));
    assert_eq!(read("strict_one").await.unwrap().shown(), ["1|one", "2|2.5"]);
    assert_eq!(read("words").await.unwrap().shown(), ["t|b"]);
    let sums = read("sums").await.unwrap();
    assert_eq!(sums.types(), [DataType::Int64, DataType::Int64, DataType::Utf8]);
    assert_eq!(sums.shown(), ["7|14|1"]);
    assert_eq!(read("odd \"name").await.unwrap().rows(), 0);

    let all = streams(&*source, &[("tables", "*")]).await.unwrap();
    let names: Vec<_> = all.iter().map(|stream| stream.id.to_string()).collect();
    assert_eq!(names, ["s.odd \"name", "s.pairs", "s.plain", "s.strict_one", "s.words"]);
    assert_eq!(all[3].estimate, Some(2));
}

#[tokio::test]
async fn queries_columns_and_conditions() {
    let db = Db::new(
        "create table t (id integer primary key, price decimal(9,2), name text);
         insert into t values (1, 1.5, 'one'), (2, 2.25, 'two'), (3, null, 'three');",
    );
    let source = db.source(&[]);
    let query = "with q as (select * from t)\nselect id, price, cast(price * 2 as real) as twice, id + 1 as next from q; -- all";
    let whole = read(&*source, &[("query", query)]).await.unwrap();
    assert_eq!(whole.shown(), ["1|1.50|3.0|2", "2|2.25|4.5|3", "3|null|null|4"]);
    assert_eq!(whole.types(), [DataType::Int64, DataType::Decimal128(9, 2), DataType::Float64, DataType::Utf8]);
    assert_eq!(whole.table.name, "s");

    let query = "select id, price from t order by id -- newest last";
    let part = read(&*source, &[("query", query), ("columns", "price"), ("where", "id > 1 -- not the first")]).await;
    assert_eq!(part.unwrap().shown(), ["2.25", "null"]);
    let part = read(&*source, &[("table", "t"), ("columns", "name, id"), ("where", "price is not null")]).await;
    assert_eq!(part.unwrap().shown(), ["one|1", "two|2"]);

    let wrong = |query: &'static str| read(&*source, Box::leak(Box::new([("query", query)])));
    fails(wrong("select nope from t").await, Kind::Config, &["`query`", "no such column: nope"]);
    fails(wrong("select 1 as a; select 2").await, Kind::Config, &["more than one statement"]);
    fails(wrong("delete from t").await, Kind::Config, &["must be a SELECT"]);
    fails(wrong("select id, id from t").await, Kind::Config, &["two columns named `id`"]);
    fails(wrong("select * from t where id = ?").await, Kind::Config, &["parameter"]);
    let wrong = read(&*source, &[("table", "t"), ("where", "idd > 1")]).await;
    fails(wrong, Kind::Config, &["`where`", "no such column: idd"]);
    assert_eq!(db.write().query_row("select count(*) from t", [], |row| row.get::<_, i64>(0)), Ok(3));
}

#[tokio::test]
async fn an_empty_table_arrives_and_its_end_is_not_read_again() {
    let db = Db::new("create table t (id int)");
    let source = db.source(&[]);
    let read = read(&*source, &[("table", "t")]).await.unwrap();
    assert_eq!((read.rows(), read.batches.len()), (0, 1));
    db.write().execute_batch("insert into t values (1)").unwrap();
    let stream = &streams(&*source, &[("table", "t")]).await.unwrap()[0];
    let mut again = source.open(stream, Some(&read.end)).await.unwrap();
    assert!(matches!(again.next().await.unwrap(), Some(Event::Checkpoint(end)) if end == read.end));
    assert!(again.next().await.unwrap().is_none());
    let foreign = Position::new(serde_json::json!({ "lsn": "0/1" }));
    assert_eq!(source.open(stream, Some(&foreign.into())).await.map(|_| ()).unwrap_err().kind(), Kind::Lost);
}

#[tokio::test]
async fn check_tells_how_columns_arrive() {
    let db = Db::new("create table t (a, b money, c numeric)");
    let source = db.source(&[]);
    let streams = streams(&*source, &[("table", "t"), ("as", "things")]).await.unwrap();
    let description = source.describe(&streams[0]).await.unwrap();
    let notes = description.notes.join("\n");
    for part in ["no primary key", "as text: a.", "as text: b.", "as text: c."] {
        assert!(notes.contains(part), "{part} in: {notes}");
    }
    assert_eq!(description.table.name, "things");
    assert_eq!(source.identity().await.unwrap(), serde_json::json!({ "type": "sqlite", "file": "shop.db" }));
}
