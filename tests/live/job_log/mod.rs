//! The job log on servers: the suite of all job logs, and what only servers can go through.

#[path = "../../conformance/job_log.rs"]
mod conformance;
mod proxy;
mod servers;

use std::sync::Arc;

use async_trait::async_trait;
use tidemark::config::Section;
use tidemark::job_log::{self, JobLog, Timing};

use conformance::{Backend, TIMING};
use proxy::Proxy;

/// What tests need of one kind of server.
#[async_trait]
pub trait Server: Send + Sync {
    /// The URL of the test's own database, as a user who may do everything.
    fn url(&self) -> &str;

    /// Runs a statement there.
    async fn run(&self, statement: &str);

    /// Ends every connection to the database but the one that does it.
    async fn kill_connections(&self);

    /// A user with a password of the same name and `-hush` after it, with these rights to the database's tables; or, without
    /// tables, to making them.
    async fn user(&self, rights: &[(&str, &str)], may_create: bool) -> String;

    fn with_login(&self, user: &str, password: &str) -> String {
        let mut url = url::Url::parse(self.url()).unwrap();
        url.set_username(user).unwrap();
        url.set_password(Some(password)).unwrap();
        url.to_string()
    }

    /// The URL by way of a proxy.
    fn through(&self, proxy: &Proxy) -> String {
        let mut url = url::Url::parse(self.url()).unwrap();
        url.set_port(Some(proxy.port)).unwrap();
        url.to_string()
    }

    fn port(&self) -> u16 {
        url::Url::parse(self.url()).unwrap().port().unwrap()
    }
}

/// A job log at the URL.
pub fn at(url: &str, timing: Timing) -> Arc<dyn JobLog> {
    job_log::with_timing(&section(&[("url", url)]).unwrap(), timing).unwrap()
}

pub fn section(values: &[(&str, &str)]) -> tidemark::error::Result<Section> {
    Section::of_keys("job_log", job_log::KIND.keys.iter().copied().flatten().collect(), values)
}

/// A name for the database of the test that runs, which goes with the next run of the same test.
fn database() -> String {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    format!("tm_log_{:08x}", crc32fast::hash(test.as_bytes()))
}

/// A server as the suite sees it.
struct OnServer<S>(S);

#[async_trait]
impl<S: Server> Backend for OnServer<S> {
    fn open(&self) -> Arc<dyn JobLog> {
        at(self.0.url(), TIMING)
    }

    async fn sql(&self, statement: &str) {
        self.0.run(statement).await;
    }
}

/// The tests of one kind of server.
#[macro_export]
macro_rules! job_log_servers {
    ($server:expr) => {
        $crate::job_log_conformance!(OnServer($server));
        $crate::job_log_servers!(@each $server,
            many_may_begin_at_once, many_agree_on_the_id, reading_makes_no_tables, a_newer_table_is_refused, a_half_made_log_is_completed,
            an_older_log_is_brought_up_to_date,
            tables_of_somebody_else_are_left_alone, missing_rights_are_spelled_out, wrong_logins_hold_no_secrets,
            broken_connections_are_made_anew, one_holder_at_a_time_whatever_breaks, writers_of_one_stream_meet_and_go_on, many_streams_need_few_connections, a_lost_answer_is_no_second_commit, a_server_that_is_gone_loses_the_lease,
            a_killed_holder_is_taken_over_at_once, holds_a_lease_when_told, times_are_the_servers, tls_is_verified,
            what_no_column_holds_is_said, the_program_uses_it);
    };
    (@each $server:expr, $($check:ident),*) => {
        $(#[tokio::test]
        async fn $check() {
            servers::$check(&$server).await;
        })*
    };
}

#[cfg(feature = "mysql")]
mod mysql {
    use super::my::My;
    use super::*;

    crate::job_log_servers!(My::new("TIDEMARK_TEST_MYSQL").await);
}

#[cfg(feature = "mysql")]
mod mariadb {
    use super::my::My;
    use super::*;

    crate::job_log_servers!(My::new("TIDEMARK_TEST_MARIADB").await);
}

#[cfg(feature = "mysql")]
mod my {
    use mysql_async::Conn;
    use mysql_async::prelude::Queryable;

    use super::*;

    pub struct My {
        url: String,
        database: String,
    }

    impl My {
        pub async fn new(variable: &str) -> Self {
            let mut url = url::Url::parse(&crate::server(variable)).unwrap();
            let database = database();
            let mut conn = Conn::from_url(url.as_str()).await.unwrap();
            conn.query_drop(format!("drop database if exists {database}")).await.unwrap();
            // Of another character set than the log's.
            conn.query_drop(format!("create database {database} character set latin1")).await.unwrap();
            url.set_path(&database);
            Self { url: url.into(), database }
        }

        async fn conn(&self) -> Conn {
            let mut conn = Conn::from_url(&self.url).await.unwrap();
            conn.query_drop("set names utf8mb4").await.unwrap();
            conn
        }
    }

    #[async_trait]
    impl Server for My {
        fn url(&self) -> &str {
            &self.url
        }

        async fn run(&self, statement: &str) {
            self.conn().await.query_drop(statement).await.unwrap();
        }

        async fn kill_connections(&self) {
            let mut conn = self.conn().await;
            let sql = "select id from information_schema.processlist where db = database() and id <> connection_id()";
            let ids: Vec<u64> = conn.query(sql).await.unwrap();
            for id in ids {
                // It may have gone by itself.
                let _ = conn.query_drop(format!("kill {id}")).await;
            }
        }

        async fn user(&self, rights: &[(&str, &str)], may_create: bool) -> String {
            let user = format!("{}_u", self.database);
            let mut conn = self.conn().await;
            conn.query_drop(format!("drop user if exists {user}")).await.unwrap();
            conn.query_drop(format!("create user {user} identified by '{user}-hush'")).await.unwrap();
            let every = if may_create { "select, insert, update, delete, create" } else { "show view" };
            conn.query_drop(format!("grant {every} on {}.* to {user}", self.database)).await.unwrap();
            for (table, rights) in rights {
                conn.query_drop(format!("grant {rights} on {}.{table} to {user}", self.database)).await.unwrap();
            }
            user
        }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use tokio_postgres::NoTls;

    use super::*;

    struct Postgres {
        url: String,
        database: String,
    }

    impl Postgres {
        async fn new() -> Self {
            let mut url = url::Url::parse(&crate::server("TIDEMARK_TEST_POSTGRES")).unwrap();
            let database = database();
            run(url.as_str(), &format!("drop database if exists {database} with (force)")).await;
            run(url.as_str(), &format!("create database {database} template template0")).await;
            url.set_path(&database);
            Self { url: url.into(), database }
        }
    }

    async fn run(url: &str, statement: &str) {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let served = tokio::spawn(connection);
        client.batch_execute(statement).await.unwrap();
        drop(client);
        let _ = served.await;
    }

    #[async_trait]
    impl Server for Postgres {
        fn url(&self) -> &str {
            &self.url
        }

        async fn run(&self, statement: &str) {
            run(&self.url, statement).await;
        }

        async fn kill_connections(&self) {
            let sql = "select pg_terminate_backend(pid) from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()";
            self.run(sql).await;
        }

        async fn user(&self, rights: &[(&str, &str)], may_create: bool) -> String {
            let user = format!("{}_u", self.database);
            let drop = format!(
                "do $$ begin if exists (select from pg_roles where rolname = '{user}') then
                    drop owned by {user}; drop role {user}; end if; end $$"
            );
            self.run(&drop).await;
            self.run(&format!("create role {user} login password '{user}-hush'")).await;
            self.run("revoke create on schema public from public").await;
            if may_create {
                self.run(&format!("grant create on schema public to {user}")).await;
            }
            for (table, rights) in rights {
                self.run(&format!("grant {rights} on {table} to {user}")).await;
            }
            user
        }
    }

    crate::job_log_servers!(Postgres::new().await);
}
