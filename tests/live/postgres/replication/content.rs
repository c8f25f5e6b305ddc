//! What the log says.

use std::collections::{BTreeMap, BTreeSet};

use tidemark::source::postgres::replication::{Cell, Event, Identity, Log, Message, Old};
use tokio::time::timeout;

use super::*;

const TABLES: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE TABLE t (id int PRIMARY KEY, name text, m mood, big text);
    ALTER TABLE t ALTER big SET STORAGE EXTERNAL;
    CREATE TABLE f (id int, v text); ALTER TABLE f REPLICA IDENTITY FULL;
    CREATE TABLE \"Odd \"\" name\" (a int PRIMARY KEY, \"B c\" int);
    CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100)";

const CHANGES: &str = "
    BEGIN;
    INSERT INTO t VALUES (1, 'one', 'sad', repeat('x', 5000)), (2, NULL, NULL, NULL);
    UPDATE t SET name = 'uno' WHERE id = 1; UPDATE t SET id = 3 WHERE id = 2; DELETE FROM t WHERE id = 3;
    INSERT INTO f VALUES (1, 'a'), (1, 'a'); UPDATE f SET v = 'b'; DELETE FROM f;
    INSERT INTO \"Odd \"\" name\" VALUES (1, 2); INSERT INTO p VALUES (7);
    SAVEPOINT a; INSERT INTO t VALUES (8, 'undone'); ROLLBACK TO a;
    SELECT pg_logical_emit_message(true, 'heart', 'beat');
    COMMIT;
    BEGIN; INSERT INTO t VALUES (9, 'undone'); ROLLBACK;
    SELECT pg_logical_emit_message(false, 'loose', 'word');
    TRUNCATE t, f RESTART IDENTITY CASCADE;
    BEGIN; INSERT INTO t VALUES (10, 'in two phases'); PREPARE TRANSACTION '{gid} one'; COMMIT PREPARED '{gid} one';
    BEGIN; INSERT INTO t VALUES (11, 'in two phases'); PREPARE TRANSACTION '{gid} two'; ROLLBACK PREPARED '{gid} two';
    ALTER TABLE t ADD extra int DEFAULT 5; INSERT INTO t VALUES (12, 'more')";

/// Every message is the server's own view of its log, at the same place; and what it says is what was done.
pub async fn a_log_is_what_the_server_shows(server: &str) {
    for is_binary in [false, true] {
        let (database, slot) = Database::with_slot(server).await;
        database.run(TABLES).await;
        for statement in CHANGES.replace("{gid}", &slot).split(';') {
            database.run(statement).await;
        }
        database.mark("end").await;
        let expected = Shown::all(&database.peek(&slot, is_binary).await);
        let session = session(&database.url).await;
        let mut log = session.start(&Options { binary: is_binary, ..options(&slot) }).await.unwrap();
        let got = until_mark(&mut log, "end").await;
        assert_same(&got, &expected);
        if !is_binary {
            says_what_was_done(&texts(&got).join("\n"), &slot);
        }
        log.close(PATIENCE).await.unwrap();
    }
}

fn says_what_was_done(all: &str, slot: &str) {
    let text = |value: &str| format!("Text({:?})", value.as_bytes());
    for words in [
        "relation public.t Default *id,name,m,big".to_owned(),
        "relation public.f Full *id,*v".to_owned(),
        "relation public.Odd \" name Default *a,B c".to_owned(),
        "relation public.p Default *id".to_owned(),
        "relation public.t Default *id,name,m,big,extra".to_owned(),
        format!("insert {}|Null|Null|Null", text("2")),
        format!("insert {}|{}|Null|Null|{}", text("12"), text("more"), text("5")),
        format!("insert {}", text("7")),
        "message heart beat\ncommit".to_owned(),
        "message loose word".to_owned(),
        "truncate 2 cascade=true restart=true".to_owned(),
        format!("gid: {:?}", format!("{slot} one").as_bytes()),
    ] {
        assert!(all.contains(&words), "{words} is not in:\n{all}");
    }
    assert_eq!(all.matches("BeginPrepare").count(), 2);
    assert_eq!((all.matches("CommitPrepared").count(), all.matches("RollbackPrepared").count()), (1, 1));
    assert!(!all.contains(&text("undone")), "what is rolled back is not sent");
}

/// Old rows, key columns and values left as they were, as the protocol has them.
pub async fn old_rows_by_identity(server: &str) {
    let (database, slot) = Database::with_slot(server).await;
    database
        .run(
            "CREATE TABLE d (id int PRIMARY KEY, v text, big text); ALTER TABLE d ALTER big SET STORAGE EXTERNAL;
             CREATE TABLE i (id int, u int NOT NULL UNIQUE, v text); ALTER TABLE i REPLICA IDENTITY USING INDEX i_u_key;
             CREATE TABLE n (id int); ALTER TABLE n REPLICA IDENTITY NOTHING;
             INSERT INTO d VALUES (1, 'a', repeat('x', 5000)); INSERT INTO i VALUES (1, 2, 'a'); INSERT INTO n VALUES (1)",
        )
        .await;
    database.run("UPDATE d SET v = 'b'").await;
    database.run("UPDATE i SET u = 3").await;
    database.run("DELETE FROM i").await;
    let mut log = database.start(&slot).await;
    let mut seen = Vec::new();
    let mut identities = BTreeMap::new();
    while seen.len() < 3 {
        let Event::Message(entry) = timeout(PATIENCE, log.next()).await.unwrap().unwrap() else { continue };
        match entry.message {
            Message::Relation(relation) => drop(identities.insert(relation.name.to_owned(), relation.identity)),
            Message::Update(update) => {
                let old = update.old.map(|old| matches!(old, Old::Key(_)));
                let cells: Vec<_> = update.new.cells().collect();
                assert_eq!((cells.len(), update.new.len()), (3, 3));
                seen.push((old, cells.contains(&Cell::Unchanged)));
            }
            Message::Delete(delete) => {
                let Old::Key(key) = delete.old else { panic!("{delete:?}") };
                assert_eq!(key.cells().collect::<Vec<_>>(), [Cell::Null, Cell::Text(b"3"), Cell::Null]);
                seen.push((Some(true), false));
            }
            _ => {}
        }
    }
    assert_eq!(seen, [(None, true), (Some(true), false), (Some(true), false)]);
    let expected = [("d", Identity::Default), ("i", Identity::Index), ("n", Identity::Nothing)];
    assert_eq!(identities, expected.map(|(name, identity)| (name.to_owned(), identity)).into());
}

/// What is known of the transactions that come in blocks, put together as a reader would.
#[derive(Default)]
struct Streamed {
    /// Rows' first columns, of each transaction that is open, with the part that each belongs to.
    open: BTreeMap<u32, Vec<(u32, String)>>,
    committed: BTreeSet<String>,
    prepared: BTreeMap<Vec<u8>, Vec<(u32, String)>>,
    /// How many blocks came.
    blocks: usize,
    aborted: usize,
}

impl Streamed {
    async fn read(&mut self, log: &mut Log, mark: &str) {
        let (mut block, mut plain, mut is_over) = (None, Vec::new(), false);
        loop {
            let Event::Message(entry) = timeout(PATIENCE, log.next()).await.unwrap().unwrap() else { continue };
            match entry.message {
                Message::StreamStart(start) => {
                    assert_eq!(start.is_first, !self.open.contains_key(&start.xid));
                    self.open.entry(start.xid).or_default();
                    self.blocks += 1;
                    block = Some(start.xid);
                }
                Message::StreamStop => block = None,
                Message::Insert(insert) => {
                    let Some(Cell::Text(id)) = insert.new.cells().next() else { panic!("{insert:?}") };
                    let id = String::from_utf8_lossy(id).into_owned();
                    match (block, entry.xid) {
                        (Some(xid), Some(part)) => self.open.get_mut(&xid).unwrap().push((part, id)),
                        (None, None) => plain.push((0, id)),
                        other => panic!("{other:?}"),
                    }
                }
                Message::StreamAbort(abort) if abort.xid == abort.subxid => {
                    self.aborted += 1;
                    self.open.remove(&abort.xid);
                }
                Message::StreamAbort(abort) => {
                    self.aborted += 1;
                    self.open.get_mut(&abort.xid).unwrap().retain(|(part, _)| *part != abort.subxid);
                }
                Message::StreamCommit(commit) => self.keep(commit.xid),
                Message::StreamPrepare(prepared) => {
                    let rows = self.open.remove(&prepared.xid).unwrap();
                    self.prepared.insert(prepared.gid.to_vec(), rows);
                }
                Message::CommitPrepared(prepared) => {
                    let rows = self.prepared.remove(prepared.gid).unwrap();
                    self.committed.extend(rows.into_iter().map(|(_, id)| id));
                }
                Message::RollbackPrepared(prepared) => match self.prepared.remove(prepared.gid) {
                    Some(_) => {}
                    // Of one that was rolled back before it was read the server may not say that it was prepared, nor anything else.
                    None => drop(self.open.remove(&prepared.xid)),
                },
                Message::Logical(logical) if logical.content == mark.as_bytes() => is_over = true,
                Message::Commit(_) => {
                    self.committed.extend(plain.drain(..).map(|(_, id)| id));
                    if is_over {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    fn keep(&mut self, xid: u32) {
        let rows = self.open.remove(&xid).unwrap();
        self.committed.extend(rows.into_iter().map(|(_, id)| id));
    }
}

/// Large transactions come while they are open; put together, they are the table: without what savepoints, aborts and
/// rolled back prepares have undone.
pub async fn open_transactions_come_in_blocks(server: &str) {
    let (database, slot) = Database::with_slot(server).await;
    database.set(SMALL).await;
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let mut log = database.start(&slot).await;
    let rows = |from: u32, to: u32| {
        format!("INSERT INTO t SELECT n, repeat('v', 100) FROM generate_series({from}, {to}) AS n")
    };
    let (one, other) = (connect(&database.url).await, connect(&database.url).await);
    let play = async |client: &tokio_postgres::Client, sql: &str| client.batch_execute(sql).await.unwrap();
    // Two at once, each with parts that come to nothing.
    play(&one, &format!("BEGIN; {}", rows(1, 2000))).await;
    play(&other, &format!("BEGIN; {}", rows(10_001, 12_000))).await;
    play(&one, &format!("SAVEPOINT a; {}; SAVEPOINT b; {}", rows(2001, 4000), rows(4001, 6000))).await;
    play(&other, &format!("SAVEPOINT a; {}; RELEASE a; {}", rows(12_001, 14_000), rows(14_001, 14_010))).await;
    play(&one, &format!("ROLLBACK TO b; {}", rows(6001, 6500))).await;
    database.run(&rows(20_001, 20_010)).await;
    play(&one, &format!("ROLLBACK TO a; {}; COMMIT", rows(7001, 9000))).await;
    play(&other, "COMMIT").await;
    // One that is aborted as a whole, and two that are prepared, of which one is committed.
    play(&one, &format!("BEGIN; {}; ROLLBACK", rows(30_001, 34_000))).await;
    play(&one, &format!("BEGIN; {}; PREPARE TRANSACTION '{slot} c'", rows(40_001, 44_000))).await;
    play(&one, &format!("BEGIN; {}; PREPARE TRANSACTION '{slot} d'", rows(50_001, 54_000))).await;
    play(&one, &format!("COMMIT PREPARED '{slot} c'")).await;
    play(&one, &format!("ROLLBACK PREPARED '{slot} d'")).await;
    database.mark("end").await;
    let mut streamed = Streamed::default();
    streamed.read(&mut log, "end").await;
    let there: BTreeSet<_> = database.texts("SELECT id FROM t").await.into_iter().flatten().collect();
    assert_eq!(there.len(), 2000 + 2000 + 4010 + 10 + 4000);
    assert_eq!(streamed.committed, there);
    assert!(streamed.blocks > 20, "{} blocks", streamed.blocks);
    assert!(streamed.aborted >= 3, "{} aborts", streamed.aborted);
    assert!(streamed.open.is_empty() && streamed.prepared.is_empty());
    log.close(PATIENCE).await.unwrap();
}

/// A value of 24 MB comes in one message, and the small ones behind it as before.
pub async fn a_huge_value_comes_whole(server: &str) {
    let (database, slot) = Database::with_slot(server).await;
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let insert = "INSERT INTO t SELECT 1, string_agg(n::text, ',') FROM generate_series(1, 3200000) AS n";
    database.run(insert).await;
    database.run("INSERT INTO t VALUES (2, 'small')").await;
    database.mark("end").await;
    let mut log = database.start(&slot).await;
    let (mut rows, mut is_over) = (Vec::new(), false);
    while !is_over {
        let Event::Message(entry) = timeout(PATIENCE, log.next()).await.unwrap().unwrap() else { continue };
        match entry.message {
            Message::Insert(insert) => {
                let Some(Cell::Text(value)) = insert.new.cells().nth(1) else { panic!("no value") };
                rows.push(value.to_vec());
            }
            Message::Logical(_) => is_over = true,
            _ => {}
        }
    }
    let expected: Vec<_> = (1..=3_200_000).map(|n: u32| n.to_string()).collect();
    assert!(rows.remove(0) == expected.join(",").into_bytes());
    assert_eq!(rows, [b"small".to_vec()]);
}
