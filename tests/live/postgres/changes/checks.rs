//! What is looked at before a stream is read, and while it is: rights, names, what is published, places that are none.

use std::time::Duration;

use tidemark::error::{Error, Kind, Result};
use tidemark::source::{Following, Source, Stream};

use super::super::database::{Database, assert_error, make, selection};
use super::{Log, made, with_slot};

/// A stream of `a` and `b`, as a role sees it.
async fn seen_by(database: &Database, role: Option<&str>, tables: &str) -> (Box<dyn Source>, Stream) {
    let url = role.map_or_else(|| database.url.clone(), |role| database.url_of(role, "pw"));
    let source = make(&[("url", &url)]);
    let slot = database.text("SELECT current_database()").await;
    let keys = [("mode", "cdc"), ("tables", tables), ("publication", "pub"), ("slot", &slot)];
    let stream = source.streams(&[selection("s", &keys)]).await.unwrap().whole().unwrap().remove(0);
    (source, stream)
}

/// What `check` tells of it.
pub async fn told(database: &Database, role: Option<&str>) -> Result<String> {
    let (source, stream) = seen_by(database, role, "a, b").await;
    let conditions = source.conditions(&stream, None, Duration::from_secs(60)).await?;
    Ok(conditions.notes.join("\n"))
}

/// What `check --create` makes, or why it does not.
pub async fn created(database: &Database, role: Option<&str>, tables: &str) -> Result<Vec<String>> {
    let (source, stream) = seen_by(database, role, tables).await;
    source.create(&stream).await
}

async fn count(database: &Database, what: &str) -> String {
    database.text(&format!("SELECT count(*) FROM {what}")).await
}

const SLOTS: &str = "pg_replication_slots WHERE database = current_database()";

/// Each right that is missing is named with the statement that gives it, and nothing is left half made.
pub async fn rights_that_are_missing_are_named(server: &str) {
    let database = made(server).await;
    database.run("SELECT pg_drop_replication_slot(current_database()); DROP PUBLICATION pub").await;
    let role = database.role("least").await;
    database.run(&format!("GRANT SELECT ON a, b TO {role}")).await;
    let error = created(&database, Some(&role), "a, b").await.unwrap_err();
    assert_error(&error, Kind::Denied, &[&format!("ALTER ROLE {role} REPLICATION;")]);
    database.run(&format!("ALTER ROLE {role} REPLICATION")).await;
    let error = created(&database, Some(&role), "a, b").await.unwrap_err();
    let name = database.text("SELECT current_database()").await;
    let grant = format!("GRANT CREATE ON DATABASE {name} TO {role};");
    assert_error(
        &error,
        Kind::Denied,
        &[&grant, "CREATE PUBLICATION \"pub\" FOR TABLE \"public\".\"a\", \"public\".\"b\""],
    );
    database.run(&format!("GRANT CREATE ON DATABASE {name} TO {role}")).await;
    let error = created(&database, Some(&role), "a, b").await.unwrap_err();
    assert_error(&error, Kind::Denied, &["must be owner", "CREATE PUBLICATION"]);
    assert_eq!(count(&database, SLOTS).await, "0");
    database.run(&format!("ALTER TABLE a OWNER TO {role}; ALTER TABLE b OWNER TO {role}")).await;
    assert_eq!(created(&database, Some(&role), "a, b").await.unwrap().len(), 2);
    assert!(created(&database, Some(&role), "a, b").await.unwrap().is_empty());
    let told = told(&database, Some(&role)).await.unwrap();
    for words in ["replication slots and", &format!("ALTER ROLE {role} REPLICATION; GRANT USAGE ON SCHEMA public")] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("superuser") && !told.contains("pooler"), "{told}");
}

/// A publication by which the server would refuse what others do is not made; nor one of nothing.
pub async fn what_the_server_would_refuse_is_not_published(server: &str) {
    let database = made(server).await;
    database.run("SELECT pg_drop_replication_slot(current_database()); DROP PUBLICATION pub").await;
    database.run("CREATE TABLE c (id int, v int); INSERT INTO c VALUES (1, 1)").await;
    database.run("ALTER TABLE a REPLICA IDENTITY NOTHING").await;
    database.run("UPDATE c SET v = 2").await;
    database.run("SELECT pg_stat_force_next_flush()").await;
    let error = created(&database, None, "a, c").await.unwrap_err();
    assert_error(&error, Kind::Config, &["table c is updated", "(1 and 0 rows", "c\" REPLICA IDENTITY FULL;"]);
    assert_eq!(count(&database, "pg_publication").await, "0");
    // Of what is only inserted into, nothing would be refused.
    database.run("ALTER TABLE c REPLICA IDENTITY FULL").await;
    assert_eq!(created(&database, None, "a, c").await.unwrap().len(), 2);
    database.run("DROP PUBLICATION pub").await;
    let error = created(&database, None, "comes_later").await.unwrap_err();
    assert_error(&error, Kind::Config, &["there is no publication", "nothing to publish"]);
}

/// The server would not send what happens between its log's end and there, and nobody would miss it.
pub async fn places_that_the_log_has_not_come_to(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.following = Following { from: Some("FFFF/0".to_owned()), run: "x".to_owned(), ..Following::default() };
    assert_error(&log.refusal().await, Kind::Config, &["FFFF/0", "behind the end of the server's log"]);
    log.following = Following::default();
    log.whole().await;
    log.after = log.moved("FFFF/0");
    database.run("INSERT INTO a VALUES (2, 2)").await;
    assert_error(&log.refusal().await, Kind::Lost, &["has come to FFFF/0", "the server's log ends at", "on_lost"]);
    log.set("on_lost", "snapshot");
    log.whole().await;
    log.is_the_tables("begun anew").await;
}

/// Names that the server cannot have, by the line of the file.
pub async fn names_that_no_slot_has(server: &str) {
    let database = made(server).await;
    let mut log = Log::new(&database).await;
    log.set("slot", "Big-Slot");
    assert_error(&log.refusal().await, Kind::Config, &["slot", "lower-case letters, digits and underscores"]);
}

/// Which kinds of changes a publication leaves out is said.
pub async fn kinds_of_changes_that_are_left_out(server: &str) {
    let database = made(server).await;
    let mut log = Log::new(&database).await;
    for (published, left_out) in
        [("insert", "leaves out updates, deletes, truncates"), ("insert, update, delete", "leaves out truncates")]
    {
        database.run(&format!("ALTER PUBLICATION pub SET (publish = '{published}')")).await;
        assert_error(&log.refusal().await, Kind::Config, &[left_out, "publish = 'insert, update, delete, truncate'"]);
        assert_error(&told(&database, None).await.unwrap_err(), Kind::Config, &[left_out]);
    }
}

/// What ends a stream that is followed, after something was done to its server.
async fn ended(log: &mut Log<'_>, harm: &str) -> Error {
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    let _ = tokio::time::timeout(Duration::from_secs(1), log.take(&mut *reader, usize::MAX)).await;
    log.database.run(harm).await;
    let taken = tokio::time::timeout(Duration::from_secs(60), log.take(&mut *reader, usize::MAX)).await;
    log.following.goes_on = false;
    taken.expect("it goes on as if nothing was").expect_err("it is no end")
}

/// From version 18 on the log itself says nothing of changes that are published no more.
pub async fn what_is_not_published_any_more_ends_the_reading(server: &str) {
    let database = made(server).await;
    database.run("DROP PUBLICATION pub; CREATE PUBLICATION pub FOR TABLE a, b").await;
    database.run("SELECT pg_drop_replication_slot(current_database())").await;
    with_slot(&database).await;
    let mut log = Log::new(&database).await;
    log.whole().await;
    let error = ended(&mut log, "ALTER PUBLICATION pub DROP TABLE b").await;
    assert_error(&error, Kind::Config, &["table b", "ALTER PUBLICATION \"pub\" ADD TABLE \"public\".\"b\";"]);
    database.run("ALTER PUBLICATION pub ADD TABLE b").await;
    let error = ended(&mut log, "ALTER PUBLICATION pub SET (publish = 'insert')").await;
    assert_error(&error, Kind::Config, &["leaves out updates"]);
    database.run("ALTER PUBLICATION pub SET (publish = 'insert, update, delete, truncate')").await;
    let error = ended(&mut log, "DROP PUBLICATION pub").await;
    assert_error(&error, Kind::Config, &["there is no publication \"pub\""]);
}

/// A table that goes where nothing else is written is told to be gone, without another transaction that would bring it up.
pub async fn a_table_that_goes_in_silence(server: &str) {
    let database = made(server).await;
    database.run("INSERT INTO a VALUES (1, 1)").await;
    let mut log = Log::new(&database).await;
    log.following.goes_on = true;
    let mut reader = log.open().await.unwrap();
    while log.count("r") == 0 {
        log.take(&mut *reader, 1).await.unwrap();
    }
    let _ = tokio::time::timeout(Duration::from_secs(2), log.take(&mut *reader, usize::MAX)).await;
    database.run("DROP TABLE a").await;
    let gone = async {
        while log.count("t") == 0 {
            log.take(&mut *reader, 1).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(40), gone).await.expect("it is as if the table was there");
    assert!(log.present.is_empty(), "{:?}", log.present);
}
