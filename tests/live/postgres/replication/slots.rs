//! Slots: made, looked at, dropped; and why one is not read.

use tidemark::error::{Error, Kind};
use tidemark::source::postgres::replication::State;

use super::super::database::assert_error;
use super::*;

async fn refusal(session: Session, options: &Options) -> Error {
    match session.start(options).await {
        Ok(_) => panic!("{options:?} is read"),
        Err(error) => error,
    }
}

/// A slot is made where it is said to be, is what it was asked to be, and goes.
pub async fn a_slot_from_beginning_to_end(server: &str) {
    let database = Database::create(server).await;
    let name = database.text("SELECT current_database()").await;
    let mut session = session(&database.url).await;
    let system = session.identify().await.unwrap();
    assert_eq!(system.id, database.text("SELECT system_identifier FROM pg_control_system()").await);
    assert_eq!(system.timeline.to_string(), database.text("SELECT timeline_id FROM pg_control_checkpoint()").await);
    assert!(system.end <= database.text("SELECT pg_current_wal_flush_lsn()").await.parse().unwrap());
    assert_eq!(
        (session.version(), session.show("wal_level").await.unwrap()),
        (database.version().await, "logical".to_owned())
    );
    assert_eq!(session.slot(&name).await.unwrap(), None);
    let place = session.create_slot(&slot(&name)).await.unwrap();
    assert_eq!(place, database.confirmed(&name).await);
    let there = session.slot(&name).await.unwrap().unwrap();
    assert_eq!((there.plugin.as_deref(), there.database.as_deref()), (Some("pgoutput"), Some(name.as_str())));
    assert_eq!((there.two_phase, there.failover, there.active_pid), (true, false, None));
    assert_eq!((there.confirmed, there.state), (Some(place), State::Kept { is_at_risk: false }));
    assert!(there.restart.unwrap() <= place);
    let error = session.create_slot(&slot(&name)).await.unwrap_err();
    assert_error(&error, Kind::Conflict, &[&name, "already"]);
    session.drop_slot(&name).await.unwrap();
    assert_eq!(session.slot(&name).await.unwrap(), None);
    assert_error(&session.drop_slot(&name).await.unwrap_err(), Kind::Lost, &[&name, "there is no replication slot"]);
    // A session goes on after a refusal; a temporary slot ends with it.
    session.create_slot(&NewSlot { is_temporary: true, ..slot(&name) }).await.unwrap();
    assert!(session.slot(&name).await.unwrap().unwrap().active_pid.is_some());
    session.close().await.unwrap();
    let left = format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{name}'");
    assert_eq!(database.text(&left).await, "0");
}

/// Standbys can keep a slot from PostgreSQL 17 on.
pub async fn a_slot_that_survives_a_fail_over(server: &str) {
    let database = Database::create(server).await;
    let name = database.text("SELECT current_database()").await;
    let mut session = session(&database.url).await;
    session.create_slot(&NewSlot { two_phase: false, failover: true, ..slot(&name) }).await.unwrap();
    let there = session.slot(&name).await.unwrap().unwrap();
    assert_eq!(there.failover, database.version().await >= 17);
}

/// Each reason by itself, from the server's own view of the slot.
pub async fn why_a_slot_is_not_read(server: &str) {
    let (database, slot) = Database::with_slot(server).await;
    let new = async || session(&database.url).await;
    let error = refusal(new().await, &options("nobodys")).await;
    assert_error(&error, Kind::Lost, &["there is no replication slot nobodys"]);
    // Read by one of our name, and by somebody else.
    let log = database.start(&slot).await;
    let pid = database.text(&format!("SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'")).await;
    let error = refusal(new().await, &options(&slot)).await;
    assert_error(&error, Kind::Unavailable, &[&slot, &format!("process {pid}, tidemark"), "pg_terminate_backend"]);
    let named = section(&[("url", &database.url), ("application_name", "another")]);
    let error = refusal(replication::connect(&named).await.unwrap(), &options(&slot)).await;
    assert_error(&error, Kind::Conflict, &[&slot, &pid]);
    let error = new().await.drop_slot(&slot).await.unwrap_err();
    assert_error(&error, Kind::Unavailable, &[&pid]);
    log.close(PATIENCE).await.unwrap();
    // Of another database; of another kind.
    let other = Database::create(server).await;
    let error = refusal(session(&other.url).await, &options(&slot)).await;
    let name = database.text("SELECT current_database()").await;
    assert_error(&error, Kind::Config, &[&slot, &format!("of database {name}")]);
    database.run(&format!("SELECT pg_create_physical_replication_slot('{slot}_p')")).await;
    let error = refusal(new().await, &options(&format!("{slot}_p"))).await;
    database.run(&format!("SELECT pg_drop_replication_slot('{slot}_p')")).await;
    assert_error(&error, Kind::Config, &["physical"]);
}

/// A publication that is not there, or that was made behind the changes: the log ends at the first change.
pub async fn a_missing_publication_is_named(server: &str) {
    let (database, slot) = Database::with_slot(server).await;
    database.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    let publications = vec!["it's \"none\" \\".to_owned()];
    let missing = Options { publications, ..options(&slot) };
    let mut log = session(&database.url).await.start(&missing).await.unwrap();
    database.run("INSERT INTO t VALUES (1)").await;
    database.mark("end").await;
    if database.version().await >= 18 {
        // It is a warning in the server's log, and there are no changes.
        let all = until_mark(&mut log, "end").await;
        assert!(!texts(&all).iter().any(|text| text.starts_with("insert")), "{all:?}");
        return;
    }
    let error = loop {
        match next(&mut log).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_error(&error, Kind::Config, &["it's \"none\" \\", "publication"]);
}

/// Names that need quotes are found as they are.
pub async fn a_publication_of_an_odd_name(server: &str) {
    let (database, slot) = Database::with_slot(server).await;
    database.run("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION \"it's, \"\"odd\"\" \\\" FOR TABLE t").await;
    let odd = Options { publications: vec!["it's, \"odd\" \\".to_owned(), "pub".to_owned()], ..options(&slot) };
    let mut log = session(&database.url).await.start(&odd).await.unwrap();
    database.run("INSERT INTO t VALUES (1)").await;
    database.mark("end").await;
    let all = until_mark(&mut log, "end").await;
    assert!(texts(&all).contains(&"insert Text([49])"), "{all:?}");
}
