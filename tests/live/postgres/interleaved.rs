//! The play of `interleaved` on PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use tidemark::source::{Selection, Source};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::database::{Database, connect, make, selection};
use crate::interleaved::{self, Dialect, Play, Session};

struct Bed {
    database: Database,
    /// As whom runs read.
    url: String,
}

#[async_trait]
impl interleaved::Server for Bed {
    async fn connect(&self) -> Box<dyn Session> {
        Box::new(Writing(connect(&self.database.url).await))
    }

    fn source(&self) -> Box<dyn Source> {
        make(&[("url", &self.url), ("identity", "play")])
    }

    fn selection(&self, keys: &[(&str, &str)]) -> Selection {
        selection("s", keys)
    }

    fn dialect(&self) -> Dialect {
        Dialect {
            create: "create table t (id bigint primary key, version bigint not null, touched timestamptz not null, \
                     note text); grant select on t to public",
            begin: "begin",
            now: "now()",
        }
    }
}

struct Writing(Client);

#[async_trait]
impl Session for Writing {
    async fn run(&mut self, sql: &str) -> Result<(), String> {
        self.0.batch_execute(sql).await.map_err(|e| e.to_string())
    }

    async fn integers(&mut self, sql: &str) -> Vec<Vec<i64>> {
        let messages = self.0.simple_query(sql).await.unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|column| row.get(column).unwrap().parse().unwrap()).collect()).collect()
    }
}

async fn bed(server: &str, may_see: bool) -> Bed {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    if may_see {
        database.run(&format!("GRANT pg_read_all_stats TO {role}")).await;
    }
    let url = database.url_of(&role, "pw");
    Bed { database, url }
}

pub async fn a_play_of_runs_among_writers(server: &str) {
    let bed = bed(server, true).await;
    interleaved::play(&bed, Play::default()).await.holds();
}

/// Who can neither see others nor waits loses what commits later: the play finds it.
pub async fn a_play_without_a_mark_loses(server: &str) {
    let bed = bed(server, false).await;
    let keys = vec![("cursor", "touched"), ("settle", "0s")];
    let play = Play { runs: 60, longest_hold: Duration::from_millis(1500), keys, ..Play::default() };
    let verdict = interleaved::play(&bed, play).await;
    assert!(!verdict.lost.is_empty() && verdict.twice.is_empty(), "{verdict:?}");
}
