//! The suite of `my` on MySQL, and what only MySQL has.

use crate::my::{self, Flavour, MYSQL as SERVER};

my_suite!();

#[tokio::test]
async fn vectors() {
    my::values::compare(&SERVER, "vectors", &my::values::VECTORS).await;
}

/// The first login of a user asks for the whole password: without TLS it goes under the server's RSA key.
#[tokio::test]
async fn a_new_user_logs_in_without_tls_and_with() {
    assert_eq!(SERVER.flavour, Flavour::Mysql);
    for tls in ["off", "require"] {
        let database = SERVER.database(&format!("sha2_{tls}")).await;
        let user = database.user("grant select on {db}.* to {user}").await;
        database.run("create table t (id int primary key); insert into t values (1)").await;
        let read = database.read_as(&user, &[("tls", tls)], &[("table", "t")]).await.unwrap();
        assert_eq!(read.rows(), 1);
    }
}

#[tokio::test]
async fn primary_keys_that_the_server_makes() {
    my::changes::made_keys::are_as_invisible_columns(&SERVER).await;
}

#[tokio::test]
async fn differences_of_documents() {
    my::binlog::differences_of_documents(&SERVER).await;
}
