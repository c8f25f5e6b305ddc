//! What a role may not see is said, with the statement that mends it.

use serde_json::json;
use tidemark::error::Kind;

use super::database::{Database, assert_error, make, refusal, selection, streams};

pub async fn a_wrong_password_is_denied(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    let source = make(&[("url", &database.url_of(&role, "not-the-password"))]);
    let error = refusal(&*source, &[("table", "t")]).await;
    assert_error(&error, Kind::Denied, &[&role, "`password`"]);
    assert!(!error.to_string().contains("not-the-password"));
    let url = url::Url::parse(&database.url).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap().to_string());
    let keys = [("hostname", host), ("port", &port), ("username", &role), ("database", "postgres")];
    assert_error(&refusal(&*make(&keys), &[("table", "t")]).await, Kind::Denied, &["`password`"]);
    database.run(&format!("ALTER ROLE {role} NOLOGIN")).await;
    let error = refusal(&*make(&[("url", &database.url_of(&role, "pw"))]), &[("table", "t")]).await;
    assert_error(&error, Kind::Denied, &[&role, "LOGIN"]);
}

pub async fn a_missing_grant_is_named(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    database
        .run(&format!(
            "CREATE SCHEMA s; CREATE TABLE s.orders (id int, \"Price\" int, secret int); INSERT INTO s.orders VALUES (1, 2, 3);
             CREATE TABLE other (id int); CREATE TABLE bare (id int);
             CREATE VIEW through AS SELECT * FROM other; GRANT SELECT ON through TO {role};
             CREATE ROLE {role}_owner; ALTER VIEW through OWNER TO {role}_owner"
        ))
        .await;
    let source = make(&[("url", &database.url_of(&role, "pw"))]);
    let orders = [("table", "s.orders")];
    let error = refusal(&*source, &orders).await;
    assert_error(&error, Kind::Denied, &["schema s", &format!("GRANT USAGE ON SCHEMA s TO {role};")]);
    database.run(&format!("GRANT USAGE ON SCHEMA s TO {role}")).await;
    let error = refusal(&*source, &orders).await;
    assert_error(&error, Kind::Denied, &["table s.orders", &format!("GRANT SELECT ON s.orders TO {role};")]);
    database.run(&format!("GRANT SELECT (id) ON s.orders TO {role}")).await;
    let error = refusal(&*source, &orders).await;
    let grant = format!("GRANT SELECT (\"Price\", secret) ON s.orders TO {role};");
    assert_error(&error, Kind::Denied, &["column \"Price\", secret of table s.orders", &grant, "`exclude_columns`"]);
    // What is granted is enough, and all the others are told of at once.
    let stream = streams(&*source, &[("table", "s.orders"), ("columns", "id")]).await.unwrap().remove(0);
    let read = super::database::read(source.open(&stream, None).await.unwrap()).await.unwrap();
    assert_eq!(read.rows(), 1);
    // One that is missing, and one that we may not read: the third is listed all the same.
    let some = selection("s", &[("tables", "nope, bare, s.orders"), ("columns", "id")]);
    let listing = source.streams(&[some]).await.unwrap();
    assert_eq!(listing.streams.iter().map(|s| s.id.to_string()).collect::<Vec<_>>(), ["s.s.orders"]);
    let refused: Vec<_> = listing.refused.iter().map(|(id, error)| (id.to_string(), error.kind())).collect();
    assert_eq!(refused, [("s.nope".to_owned(), Kind::Config), ("s.bare".to_owned(), Kind::Denied)]);
    let error = refusal(&*source, &[("tables", "b*")]).await;
    assert_error(&error, Kind::Denied, &[&format!("GRANT SELECT ON public.bare TO {role};")]);
    // The view's owner may not read the table: only the server knows.
    assert_error(&refusal(&*source, &[("table", "through")]).await, Kind::Denied, &["other"]);
}

pub async fn row_security_hides_nothing_in_silence(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    database
        .run(&format!(
            "CREATE TABLE t (id int); INSERT INTO t VALUES (1), (2); GRANT SELECT ON t TO {role};
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id = 1)"
        ))
        .await;
    let source = make(&[("url", &database.url_of(&role, "pw"))]);
    let error = refusal(&*source, &[("table", "t")]).await;
    assert_error(&error, Kind::Denied, &["row security", "`row_security = yes`", "BYPASSRLS"]);
    let error = refusal(&*source, &[("query", "SELECT * FROM t")]).await;
    assert_error(&error, Kind::Denied, &["row-level security", "`row_security = yes`"]);
    for stream in [("table", "t"), ("query", "SELECT * FROM t")] {
        let stream = streams(&*source, &[stream, ("row_security", "yes")]).await.unwrap().remove(0);
        let read = super::database::read(source.open(&stream, None).await.unwrap()).await.unwrap();
        assert_eq!(read.rows(), 1);
    }
}

pub async fn what_is_not_there_is_named(server: &str) {
    let database = Database::create(server).await;
    let mut url = url::Url::parse(&database.url).unwrap();
    url.set_path("no_such_database");
    let error = refusal(&*make(&[("url", url.as_str())]), &[("table", "t")]).await;
    assert_error(&error, Kind::Config, &["no_such_database", "`database`"]);
    // A port of this machine on which nobody listens, and one that never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let deaf = format!("postgres://u:hush@127.0.0.1:{port}/d");
    let error = refusal(&*make(&[("url", &deaf), ("connect_timeout", "300ms")]), &[("table", "t")]).await;
    assert_error(&error, Kind::Unavailable, &[&format!("127.0.0.1:{port}"), "0.3 s", "`connect_timeout`"]);
    drop(listener);
    let error = refusal(&*make(&[("url", &deaf)]), &[("table", "t")]).await;
    assert_error(&error, Kind::Unavailable, &[&format!("127.0.0.1:{port}"), "`hostname`"]);
    assert!(!error.to_string().contains("hush"));
    let error =
        refusal(&*make(&[("url", "postgres://u@no-such-host.invalid/d"), ("tls", "off")]), &[("table", "t")]).await;
    assert_error(&error, Kind::Unavailable, &["no-such-host.invalid:5432"]);
}

pub async fn identity_is_the_same_for_every_role(server: &str) {
    let database = Database::create(server).await;
    let role = database.role("reader").await;
    let name = database.text("SELECT current_database()").await;
    let id = database.text("SELECT system_identifier FROM pg_control_system()").await;
    let known = json!({"type": "postgres", "system_identifier": id, "database": name});
    assert_eq!(database.source().identity().await.unwrap(), known);
    let url = database.url_of(&role, "pw");
    assert_eq!(make(&[("url", &url)]).identity().await.unwrap(), known);
    database.run("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC").await;
    let error = make(&[("url", &url)]).identity().await.unwrap_err();
    assert_error(&error, Kind::Denied, &["GRANT EXECUTE ON FUNCTION pg_control_system()", &role, "`identity`"]);
    let named = make(&[("url", &url), ("identity", "the shop")]).identity().await.unwrap();
    assert_eq!(named, json!({"type": "postgres", "identity": "the shop", "database": name}));
}
