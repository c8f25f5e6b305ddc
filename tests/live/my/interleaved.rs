//! The play of `interleaved` on MySQL and MariaDB.

use async_trait::async_trait;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tidemark::source::{Selection, Source};

use super::{Database, Login, Server, selection};
use crate::interleaved::{self, Dialect, Play, Session};

struct Bed<'a> {
    database: Database<'a>,
    login: Login,
    dialect: Dialect,
}

#[async_trait]
impl interleaved::Server for Bed<'_> {
    async fn connect(&self) -> Box<dyn Session> {
        Box::new(Writing(self.database.conn().await))
    }

    fn source(&self) -> Box<dyn Source> {
        self.database.source(Some(&self.login), &[]).unwrap()
    }

    fn selection(&self, keys: &[(&str, &str)]) -> Selection {
        selection(keys)
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }
}

struct Writing(Conn);

#[async_trait]
impl Session for Writing {
    async fn run(&mut self, sql: &str) -> Result<(), String> {
        self.0.query_drop(sql).await.map_err(|e| e.to_string())
    }

    async fn integers(&mut self, sql: &str) -> Vec<Vec<i64>> {
        self.0.query_map(sql, |(a, b): (i64, i64)| vec![a, b]).await.unwrap()
    }
}

const MILLISECONDS: Dialect = Dialect {
    create: "create table t (id bigint primary key, version bigint not null, touched datetime(3) not null, note text, \
             key (touched))",
    begin: "begin",
    now: "now(3)",
};

const MICROSECONDS: Dialect = Dialect {
    create: "create table t (id bigint primary key, version bigint not null, touched timestamp(6) not null, note text)",
    begin: "begin",
    now: "now(6)",
};

async fn bed<'a>(server: &'a Server, name: &str, dialect: Dialect, grant: &str) -> Bed<'a> {
    let database = server.database(name).await;
    let login = database.user(grant).await;
    Bed { database, login, dialect }
}

const MAY_SEE: &str = "grant select on {db}.* to {user}; grant process on *.* to {user}";

pub async fn milliseconds(server: &Server) {
    let bed = bed(server, "interleaved_ms", MILLISECONDS, MAY_SEE).await;
    interleaved::play(&bed, Play::default()).await.holds();
}

pub async fn microseconds(server: &Server) {
    let bed = bed(server, "interleaved_us", MICROSECONDS, MAY_SEE).await;
    interleaved::play(&bed, Play::default()).await.holds();
}

/// Who can neither see others nor waits reads up to the newest value there is, and loses what commits later: this is what
/// the mark is for, and shows that the play finds it.
pub async fn loses_without_a_mark(server: &Server) {
    let bed = bed(server, "interleaved_blind", MICROSECONDS, "grant select on {db}.* to {user}").await;
    let play = Play { runs: 60, keys: vec![("cursor", "touched"), ("settle", "0s")], ..Play::default() };
    let verdict = interleaved::play(&bed, play).await;
    assert!(!verdict.lost.is_empty() && verdict.twice.is_empty(), "{verdict:?}");
}
