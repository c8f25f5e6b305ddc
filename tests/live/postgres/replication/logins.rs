//! Logging in by every way there is, on servers of these tests' own; and servers that have no log for us.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tidemark::error::{Error, Kind};
use tidemark::net::tls::{self, Tls};
use tidemark::source::postgres::replication::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::database::assert_error;
use super::*;
use crate::kill::own::Own;

/// A role for each way to log in, over TLS and without.
const RULES: &str = "
    local all all trust
    host all in_md5 all md5
    host all in_clear all password
    host all trusted all trust
    host all kerberos all gss
    host all refused all reject
    hostnossl all only_tls all reject
    host all all all scram-sha-256";

const ROLES: &str = "
    CREATE ROLE scram LOGIN REPLICATION PASSWORD 'päss''w\"ord'; CREATE ROLE only_tls LOGIN REPLICATION PASSWORD 'pw';
    CREATE ROLE in_clear LOGIN REPLICATION PASSWORD 'pw'; CREATE ROLE trusted LOGIN REPLICATION;
    CREATE ROLE refused LOGIN REPLICATION PASSWORD 'pw'; CREATE ROLE unable LOGIN PASSWORD 'pw';
    SET password_encryption = 'md5'; CREATE ROLE in_md5 LOGIN REPLICATION PASSWORD 'pw'";

struct Server {
    own: Own,
    _rules: tempfile::TempDir,
}

impl Server {
    async fn start(name: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let rules = folder.path().join("rules");
        std::fs::write(&rules, RULES).unwrap();
        std::fs::set_permissions(&rules, PermissionsExt::from_mode(0o644)).unwrap();
        let own = Own::start(name, &format!("-c hba_file={}", rules.display()));
        connect(&own.url()).await.batch_execute(ROLES).await.unwrap();
        Self { own, _rules: folder }
    }

    async fn log_in(&self, role: &str, password: Option<&str>, more: &[(&str, &str)]) -> Result<Session, Error> {
        log_in(self.own.port(), role, password, more).await
    }

    fn tls(&self, name: &str) -> String {
        self.own.path().join("tls").join(name).display().to_string()
    }
}

async fn log_in(port: u16, role: &str, password: Option<&str>, more: &[(&str, &str)]) -> Result<Session, Error> {
    let port = port.to_string();
    let mut keys = vec![("hostname", "127.0.0.1"), ("port", &port), ("username", role), ("database", "test")];
    keys.extend(password.map(|password| ("password", password)));
    keys.extend(more);
    replication::connect(&section(&keys)).await
}

const PASSWORDS: [(&str, Option<&str>); 4] =
    [("scram", Some("päss'w\"ord")), ("in_md5", Some("pw")), ("in_clear", Some("pw")), ("trusted", None)];

async fn every_way(server: &Server, more: &[(&str, &str)]) {
    for (role, password) in PASSWORDS {
        let mut session = server.log_in(role, password, more).await.unwrap_or_else(|e| panic!("{role}: {e}"));
        assert!(session.identify().await.unwrap().end > Lsn::NONE);
        let is_encrypted = "SELECT 1 FROM pg_stat_ssl WHERE ssl AND pid = ANY (SELECT pid FROM pg_stat_replication)";
        let seen = connect(&server.own.url()).await.query(is_encrypted, &[]).await.unwrap();
        assert_eq!(seen.len(), usize::from(!more.is_empty()), "{role} {more:?}");
        session.close().await.unwrap();
        let Some(password) = password else { continue };
        let error = server.log_in(role, Some("wrong-one"), more).await.map(drop).unwrap_err();
        assert_error(&error, Kind::Denied, &[role, "wrong password", "127.0.0.1"]);
        assert!(!error.to_string().contains("wrong-one"));
        let error = server.log_in(role, None, more).await.map(drop).unwrap_err();
        assert_error(&error, Kind::Denied, &["asks for a password"]);
        assert!(!error.to_string().contains(password));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_every_way_with_tls_and_without() {
    let server = Server::start("postgres").await;
    every_way(&server, &[]).await;
    every_way(&server, &[("tls", "require")]).await;
    let ca = server.tls("ca.pem");
    every_way(&server, &[("tls", "verify-full"), ("tls_ca", &ca)]).await;
    // Whose certificate is not known, or is for another name.
    let error = server.log_in("scram", None, &[("tls", "verify-full")]).await.map(drop).unwrap_err();
    assert_error(&error, Kind::Config, &["`tls_ca`"]);
    let port = server.own.port().to_string();
    let odd = [
        ("hostname", "0x7f000001"),
        ("port", &port),
        ("username", "scram"),
        ("database", "test"),
        ("tls", "verify-full"),
        ("tls_ca", &ca),
    ];
    let error = replication::connect(&section(&odd)).await.map(drop).unwrap_err();
    assert_error(&error, Kind::Config, &["another name", "`hostname`"]);
    // Who may not log in so, may not read the log, or is not known.
    let error = server.log_in("only_tls", Some("pw"), &[]).await.map(drop).unwrap_err();
    assert_error(&error, Kind::Denied, &["only_tls", "pg_hba.conf"]);
    server.log_in("only_tls", Some("pw"), &[("tls", "require")]).await.unwrap();
    refusals(&server).await;
    bound_to_the_connection(&server).await;
}

async fn refusals(server: &Server) {
    for (role, words) in [
        ("unable", &["ALTER ROLE unable REPLICATION", "GRANT CONNECT ON DATABASE test"][..]),
        ("refused", &["refused", "pg_hba.conf"]),
        ("kerberos", &["no common way to log in"]),
        ("nobody", &["nobody", "no such role"]),
    ] {
        let error = server.log_in(role, Some("pw"), &[]).await.map(drop).unwrap_err();
        assert_error(&error, Kind::Denied, words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_server_cannot_serve() {
    let server = Server::start("postgres").await;
    let port = server.own.port().to_string();
    let keys = [("hostname", "127.0.0.1"), ("port", port.as_str()), ("username", "trusted")];
    let error =
        replication::connect(&section(&[&keys[..], &[("database", "none")]].concat())).await.map(drop).unwrap_err();
    assert_error(&error, Kind::Config, &["there is no database none"]);
    server.own.kill();
    let error = server.log_in("trusted", None, &[]).await.map(drop).unwrap_err();
    assert_error(&error, Kind::Unavailable, &["127.0.0.1", "`hostname`"]);
    // Somebody else at the port, and somebody who never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
        stream
    };
    let (error, _stream) = tokio::join!(log_in(port, "u", None, &[]), answering);
    assert_error(&error.map(drop).unwrap_err(), Kind::Unavailable, &["Is there a PostgreSQL server"]);
    let error = log_in(port, "u", None, &[("connect_timeout", "300ms")]).await.map(drop).unwrap_err();
    assert_error(&error, Kind::Unavailable, &["0.3 s", "`connect_timeout`"]);
}

/// Somebody between us and the server, with a certificate of his own and each side's trust, passes a login on: with
/// SCRAM-SHA-256-PLUS the server sees that it was meant for somebody else; a password in clear it does not.
async fn bound_to_the_connection(server: &Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (cert, key) = (server.tls("client.pem"), server.tls("client.key"));
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect();
    let ours = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(ours));
    let beyond = server.own.port();
    let between = tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            tokio::spawn(pass_on(near, acceptor.clone(), beyond));
        }
    });
    let require = [("tls", "require")];
    log_in(port, "in_clear", Some("pw"), &require).await.unwrap().close().await.unwrap();
    let error = log_in(port, "scram", Some("päss'w\"ord"), &require).await.map(drop).unwrap_err();
    assert_error(&error, Kind::Denied, &["scram"]);
    between.abort();
}

async fn pass_on(mut near: TcpStream, acceptor: tokio_rustls::TlsAcceptor, beyond: u16) {
    let mut request = [0; 8];
    near.read_exact(&mut request).await.unwrap();
    near.write_all(b"S").await.unwrap();
    let mut near = acceptor.accept(near).await.unwrap();
    let mut far = TcpStream::connect(("127.0.0.1", beyond)).await.unwrap();
    far.write_all(&request).await.unwrap();
    assert_eq!(far.read_u8().await.unwrap(), b'S');
    let section = Section::of_keys("source t", tls::KEYS.iter().collect(), &[("tls", "require")]).unwrap();
    let config = Tls::of(&section, "db").unwrap().set_up(&section, false).unwrap().unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut far = connector.connect(ServerName::try_from("db").unwrap(), far).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}

/// Reads the log over TLS, with more than the network holds, while the reader is busy.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_over_tls() {
    let server = Own::start("postgres", "-c wal_sender_timeout=2s");
    let (database, slot) = Database::with_slot(&server.url()).await;
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    database.run("INSERT INTO t SELECT n, repeat('v', 200) FROM generate_series(1, 100000) AS n").await;
    database.mark("end").await;
    let url = format!("{}?sslmode=require", database.url);
    let mut log = session(&url).await.start(&options(&slot)).await.unwrap();
    next(&mut log).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let all = until_mark(&mut log, "end").await;
    assert_eq!(all.iter().filter(|shown| shown.text.starts_with("insert")).count(), 100_000);
    log.confirm(all.last().unwrap().end.unwrap());
    log.close(PATIENCE).await.unwrap();
    assert_eq!(database.confirmed(&slot).await, all.last().unwrap().end.unwrap());
}

/// More log than the server keeps for a slot: the next reader hears that it is lost, and so does the one at work.
async fn a_slot_that_has_lost_its_log(name: &'static str) {
    let server = Own::start(name, "-c max_slot_wal_keep_size=1MB -c min_wal_size=32MB -c max_wal_size=32MB");
    let (database, slot) = Database::with_slot(&server.url()).await;
    database.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    let mut log = database.start(&slot).await;
    let fill = "INSERT INTO t SELECT n, repeat('v', 900) FROM generate_series(1, 60000) AS n; TRUNCATE t";
    let status = format!("SELECT wal_status FROM pg_replication_slots WHERE slot_name = '{slot}'");
    for _ in 0..10 {
        database.run(fill).await;
        database.run("SELECT pg_switch_wal()").await;
        database.run("CHECKPOINT").await;
        if database.text(&status).await == "lost" {
            break;
        }
    }
    let error = loop {
        if let Err(error) = next(&mut log).await {
            break error;
        }
    };
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    let mut session = session(&database.url).await;
    assert_eq!(session.slot(&slot).await.unwrap().unwrap().state, State::Lost);
    let error = session.start(&options(&slot)).await.map(drop).unwrap_err();
    assert_error(&error, Kind::Lost, &[&slot, "has lost its log", "max_slot_wal_keep_size"]);
}

/// Without the level of log that has rows, and without a slot left.
async fn a_server_that_has_no_log_of_rows(name: &'static str) {
    let server = Own::start(name, "-c wal_level=replica -c max_replication_slots=1");
    let database = Database::create(&server.url()).await;
    let mut one = session(&database.url).await;
    let error = one.create_slot(&slot("s")).await.unwrap_err();
    assert_error(&error, Kind::Config, &["wal_level is replica", "ALTER SYSTEM SET wal_level = logical"]);
}

async fn a_server_that_has_no_slot_left(name: &'static str) {
    let server = Own::start(name, "-c max_replication_slots=1 -c max_wal_senders=1");
    let database = Database::create(&server.url()).await;
    let mut one = session(&database.url).await;
    one.create_slot(&slot("s")).await.unwrap();
    let error = one.create_slot(&slot("another")).await.unwrap_err();
    assert_error(&error, Kind::Config, &["max_replication_slots"]);
    let error = replication::connect(&section(&[("url", &database.url)])).await.map(drop).unwrap_err();
    assert_error(&error, Kind::Unavailable, &["max_wal_senders"]);
}

/// A server that shuts down waits until its readers have confirmed all, which is what it says in its keepalives.
async fn a_server_that_is_shut_down(name: &'static str) {
    let server = Own::start(name, "");
    let (database, slot) = Database::with_slot(&server.url()).await;
    let mut log = database.start(&slot).await;
    database.mark("one").await;
    let first = until_mark(&mut log, "one").await.pop().unwrap().end.unwrap();
    log.confirm(first);
    database.run("CREATE TABLE x AS SELECT n FROM generate_series(1, 1000) AS n").await;
    let reading = tokio::spawn(async move {
        loop {
            match log.next().await {
                Ok(Event::Keepalive(keepalive)) => log.confirm(keepalive.end),
                Ok(Event::Message(_)) => {}
                Err(error) => return error,
            }
        }
    });
    let began = std::time::Instant::now();
    tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let error = timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert_error(&error, Kind::Unavailable, &["127.0.0.1"]);
}

/// What was read and not confirmed comes again, after whatever end.
async fn a_server_that_is_restarted(name: &'static str) {
    let server = Own::start(name, "");
    let (database, slot) = Database::with_slot(&server.url()).await;
    let mut log = database.start(&slot).await;
    database.mark("one").await;
    until_mark(&mut log, "one").await;
    server.kill();
    let error = next(&mut log).await.unwrap_err();
    assert_error(&error, Kind::Unavailable, &["127.0.0.1"]);
    server.start_again();
    let mut log = session(&database.url).await.start(&options(&slot)).await.unwrap();
    let again = until_mark(&mut log, "one").await;
    assert_eq!(again.iter().filter(|shown| shown.text == "message mark one").count(), 1);
}

macro_rules! on_own_servers {
    ($($test:ident)+) => {
        mod own_usual {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test("postgres").await;
            })+
        }

        /// Below a name by which they can be left out where that server cannot be had.
        mod postgres_new {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test("postgres_new").await;
            })+
        }
    };
}

on_own_servers! {
    a_slot_that_has_lost_its_log
    a_server_that_has_no_log_of_rows
    a_server_that_has_no_slot_left
    a_server_that_is_restarted
    a_server_that_is_shut_down
}
