//! What is told of a stream of changes before it runs, and what it takes to run it.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use serde_json::json;
use tidemark::error::{Error, Kind, Result};
use tidemark::record::{Checkpoint, Event};
use tidemark::source::{Conditions, Source};

use super::super::{Database, Flavour, Login, Server, selection};
use super::{Log, made};

const KEYS: &[(&str, &str)] = &[("mode", "cdc"), ("tables", "a, b")];
const MINUTE: Duration = Duration::from_secs(60);
const OF_LOG: &str = "grant replication slave, replication client on *.* to {user}";

async fn conditions(database: &Database<'_>, login: Option<&Login>, after: Option<&Checkpoint>) -> Result<Conditions> {
    let source = database.source(login, &[])?;
    let stream = source.streams(&[selection(KEYS)]).await?.whole()?.remove(0);
    source.conditions(&stream, after, MINUTE).await
}

/// Reads a stream to its end: how many rows came.
async fn read(source: &dyn Source) -> Result<usize> {
    let stream = source.streams(&[selection(KEYS)]).await?.whole()?.remove(0);
    let mut reader = source.open(&stream, None).await?;
    let mut rows = 0;
    while let Some(event) = reader.next().await? {
        if let Event::Rows(batch) = event {
            rows += batch.batch.num_rows();
        }
    }
    Ok(rows)
}

/// Nothing less will do, which the message spells out, and nothing more is needed.
pub async fn the_grants_that_it_takes(server: &Server) {
    let database = made(server, "cdc_grants").await;
    database.run("insert into a (id, v) values (1, 1), (2, 2)").await;
    let tables = "grant select on {db}.a to {user}; grant select on {db}.b to {user};";
    let less = ["", "grant replication slave on *.* to {user}", "grant replication client on *.* to {user}"];
    for less in less {
        let login = database.user(&format!("{tables} {less}")).await;
        let wanted = format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{}'@'%'", login.0);
        let source = database.source(Some(&login), &[]).unwrap();
        for error in [conditions(&database, Some(&login), None).await.err().unwrap(), read(&*source).await.unwrap_err()]
        {
            assert_eq!(error.kind(), Kind::Denied, "{error}");
            assert_eq!(error.advice(), Some(format!("An administrator can run: {wanted}").as_str()), "{less}");
            assert!(error.message().contains(&format!("the user '{}'@'%' may not", login.0)), "{error}");
        }
    }
    let login = database.user(&format!("{tables} {OF_LOG}")).await;
    assert_eq!(read(&*database.source(Some(&login), &[]).unwrap()).await.unwrap(), 2);
    let notes = conditions(&database, Some(&login), None).await.unwrap().notes.join("\n");
    let (user, name) = (&login.0, &database.name);
    let needed = format!(
        "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{user}'@'%'; GRANT SELECT ON `{name}`.`a` TO '{user}'@'%'; \
         GRANT SELECT ON `{name}`.`b` TO '{user}'@'%'"
    );
    assert!(notes.contains(&needed), "{notes}");
    assert!(!notes.contains("may do more"), "{notes}");
}

pub async fn rights_beyond_them_are_named(server: &Server) {
    let database = made(server, "cdc_beyond").await;
    let more = "grant select, insert, delete on {db}.* to {user}; grant super, reload, process on *.* to {user}";
    let login = database.user(&format!("{OF_LOG}; {more}")).await;
    let notes = conditions(&database, Some(&login), None).await.unwrap().notes.join("\n");
    assert!(notes.contains("The user may do more than is needed: SUPER, RELOAD on *.*;"), "{notes}");
    assert!(notes.contains(&format!("DELETE, INSERT on `{}`.*", database.name)), "{notes}");
    let notes = conditions(&database, None, None).await.unwrap().notes.join("\n");
    let strongest = match server.flavour {
        Flavour::Mysql => "SUPER, DELETE, DROP, UPDATE, INSERT, ALTER and ",
        Flavour::Mariadb => "ALL PRIVILEGES on *.*",
    };
    assert!(notes.contains(strongest), "{notes}");
}

pub async fn how_long_the_log_is_kept(server: &Server) {
    let database = made(server, "cdc_kept").await;
    let notes = conditions(&database, None, None).await.unwrap().notes.join("\n");
    let kept = match server.flavour {
        Flavour::Mysql => "The server keeps its log for 30 days.",
        Flavour::Mariadb => "The server keeps its log until somebody purges it.",
    };
    assert!(notes.contains("binlog_format = ROW") && notes.contains(kept), "{notes}");
}

/// A place that is gone is an error before the run; one that is not is told with what stands behind it.
pub async fn where_the_stream_stands(server: &Server) {
    let database = made(server, "cdc_stands").await;
    let mut log = Log::new(&database);
    log.whole().await;
    let place = |log: &Log<'_>| {
        let log = log.after.as_ref().unwrap().position.as_value()["log"].clone();
        (log["file"].as_str().unwrap().to_owned(), log["pos"].as_u64().unwrap())
    };
    let first = place(&log);
    log.whole().await;
    assert!(place(&log) >= first, "{first:?} {:?}", place(&log));
    database.run("insert into a (id, v) values (1, 1)").await;
    let notes = conditions(&database, None, log.after.as_ref()).await.unwrap().notes.join("\n");
    assert!(notes.contains(" of the log are not read yet, from "), "{notes}");
    log.after = log.moved(json!({ "file": "binlog.900001", "pos": 4 }));
    let error: Error = conditions(&database, None, log.after.as_ref()).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Lost, "{error}");
}

/// Rows that foreign keys change arrive, or it is said that they do not.
pub async fn rows_that_foreign_keys_change(server: &Server) {
    let database = server.database("cdc_cascade").await;
    database
        .run(
            "create table a (id int primary key, v int, note varchar(20)); \
             create table b (id int primary key, v int, note varchar(20), constraint `by a` foreign key (v) references a (id) \
             on delete cascade on update set null); insert into a (id) values (1), (2), (3); \
             insert into b (id, v) values (1, 1), (2, 2), (3, null)",
        )
        .await;
    // Who may only read sees them too.
    let login = database.user(&format!("grant select on {{db}}.* to {{user}}; {OF_LOG}")).await;
    let source = database.source(Some(&login), &[]).unwrap();
    let stream = source.streams(&[selection(KEYS)]).await.unwrap().whole().unwrap().remove(0);
    let of_parent = source.describe(&stream.of_table("a")).await.unwrap().notes.join("\n");
    assert!(!of_parent.contains("foreign keys"), "{of_parent}");
    let notes = source.describe(&stream.of_table("b")).await.unwrap().notes.join("\n");
    let is_told = notes.contains("foreign keys: ON DELETE CASCADE ON UPDATE SET NULL from a");
    assert_eq!(is_told, notes.contains("`tidemark run s --snapshot b`"), "{notes}");

    let mut log = Log::new(&database);
    log.whole().await;
    database.run("delete from a where id = 1; update a set id = 9 where id = 2").await;
    log.whole().await;
    let of_child: Vec<_> = log.ops().into_iter().filter(|seen| seen.0 == "b").collect();
    let wanted = [("b", "d", Some(1), Some(1)), ("b", "u", Some(2), None)];
    assert_eq!(of_child, if is_told { &[][..] } else { &wanted });
    assert_eq!(log.is_the_tables().await, !is_told);
    let mut conn = database.conn().await;
    let native: Option<(String, String)> =
        conn.query_first("show global variables like 'innodb_native_foreign_keys'").await.unwrap();
    assert_eq!(is_told, native.is_none_or(|(_, value)| value == "ON"));
}

/// By a run too, which else would have a snapshot of it and never a change.
pub async fn views_are_refused(server: &Server) {
    let database = made(server, "cdc_view").await;
    database.run("drop table b; create view b as select * from a").await;
    let source = database.source(None, &[]).unwrap();
    let stream = source.streams(&[selection(KEYS)]).await.unwrap().whole().unwrap().remove(0);
    let of_check = source.describe(&stream.of_table("b")).await.err().unwrap();
    for error in [of_check, read(&*source).await.unwrap_err()] {
        assert!(error.kind() == Kind::Config && error.message().contains("`b`, which is a view"), "{error}");
    }
}

/// The log has all of them, whatever is read: a right to some of them tells too little of what it has.
pub async fn all_columns_of_a_table(server: &Server) {
    let database = made(server, "cdc_columns").await;
    let login = database
        .user(&format!("{OF_LOG}; grant select on {{db}}.a to {{user}}; grant select (id, v) on {{db}}.b to {{user}}"))
        .await;
    let source = database.source(Some(&login), &[]).unwrap();
    let keys = [KEYS, &[("columns", "id, v")]].concat();
    let stream = source.streams(&[selection(&keys)]).await.unwrap().whole().unwrap().remove(0);
    let of_check = source.describe(&stream.of_table("b")).await.err().unwrap();
    for error in [of_check, source.open(&stream, None).await.err().unwrap()] {
        let wanted = format!("GRANT SELECT ON `{}`.`b` TO '{}'@'%'", database.name, login.0);
        assert!(error.kind() == Kind::Denied && error.advice().unwrap().ends_with(&wanted), "{error}");
    }
}

/// `check` is for who may have mistyped it; a run waits for it.
pub async fn a_table_that_is_not_there(server: &Server) {
    let database = made(server, "cdc_absent").await;
    database.run("drop table b").await;
    let source = database.source(None, &[]).unwrap();
    let stream = source.streams(&[selection(KEYS)]).await.unwrap().whole().unwrap().remove(0);
    let error = source.describe(&stream.of_table("b")).await.err().unwrap();
    assert_eq!(error.advice(), Some("A run goes on without it, and reads it when it comes."), "{error}");
    assert_eq!(read(&*source).await.unwrap(), 0);
}

pub async fn columns_of_our_names(server: &Server) {
    let database = made(server, "cdc_ours").await;
    database.run("alter table b add _op int").await;
    let source = database.source(None, &[]).unwrap();
    let stream = source.streams(&[selection(KEYS)]).await.unwrap().whole().unwrap().remove(0);
    let of_check = source.describe(&stream.of_table("b")).await.err().unwrap();
    for error in [of_check, read(&*source).await.unwrap_err()] {
        assert!(error.kind() == Kind::Schema && error.message().contains("column _op"), "{error}");
    }
}

/// What a run would go on from, `check` does not refuse.
pub async fn a_lost_place_by_choice(server: &Server) {
    let database = made(server, "cdc_lost_check").await;
    let mut log = Log::new(&database);
    log.whole().await;
    log.after = log.moved(json!({ "file": "binlog.900001", "pos": 4 }));
    let source = database.source(None, &[]).unwrap();
    let keys = [KEYS, &[("on_lost", "snapshot")]].concat();
    let stream = source.streams(&[selection(&keys)]).await.unwrap().whole().unwrap().remove(0);
    let notes = source.conditions(&stream, log.after.as_ref(), MINUTE).await.unwrap().notes.join("\n");
    assert!(notes.contains("all tables are read anew (on_lost = snapshot), by the next run"), "{notes}");
}
