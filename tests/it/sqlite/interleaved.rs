//! The play of `interleaved` on SQLite, where one writes at a time.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use tidemark::source::{Selection, Source};
use tokio::task::block_in_place;

use super::{Db, selection};
use crate::interleaved::{self, Dialect, Play, Session};

struct Bed {
    db: Db,
}

#[async_trait]
impl interleaved::Server for Bed {
    async fn connect(&self) -> Box<dyn Session> {
        let connection = self.db.write();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        Box::new(Writing(connection))
    }

    fn source(&self) -> Box<dyn Source> {
        self.db.source(&[("busy_timeout", "60s")])
    }

    fn selection(&self, keys: &[(&str, &str)]) -> Selection {
        selection(keys)
    }

    fn dialect(&self) -> Dialect {
        Dialect {
            create: "create table t (id integer primary key, version integer not null, touched datetime not null, \
                     note text); create index by_time on t (touched)",
            begin: "begin immediate",
            now: "strftime('%Y-%m-%d %H:%M:%f', 'now')",
        }
    }
}

struct Writing(Connection);

#[async_trait]
impl Session for Writing {
    async fn run(&mut self, sql: &str) -> Result<(), String> {
        block_in_place(|| self.0.execute_batch(sql)).map_err(|e| e.to_string())
    }

    async fn integers(&mut self, sql: &str) -> Vec<Vec<i64>> {
        let mut statement = self.0.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok(vec![row.get(0)?, row.get(1)?])).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

async fn play(journal: &str) {
    let bed = Bed { db: Db::new(&format!("pragma journal_mode = {journal}")) };
    let play = Play { runs: 100, writers: 3, longest_hold: Duration::from_millis(900), ..Play::default() };
    interleaved::play(&bed, play).await.holds();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn with_a_write_ahead_log() {
    play("wal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn with_a_rollback_journal() {
    play("delete").await;
}
