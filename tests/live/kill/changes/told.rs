//! What `check` and a run say of a server that logs too little, or does not keep it for long.

use std::time::Duration;

use mysql_async::prelude::Queryable;

use super::super::own::Own;
use crate::program::Folder;

async fn run(server: &Own, script: &str) {
    let mut conn = mysql_async::Conn::from_url(server.url()).await.unwrap();
    if let Err(error) = conn.query_drop(script).await {
        panic!("{error}: {script}");
    }
    conn.disconnect().await.unwrap();
}

fn config(server: &Own, database: &str, tables: &str) -> String {
    format!(
        "[source shop]\ntype = mysql\nhostname = 127.0.0.1\nport = {}\nusername = repl\npassword = replpw\ndatabase = {database}\n\
         [destination lake]\ntype = local\npath = out\nformat = json\n\
         [stream s]\nsource = shop\ndestination = lake\ntables = {tables}\nmode = cdc\n",
        server.port()
    )
}

pub async fn of_its_server(name: &'static str) {
    let server = Own::start(name, "--binlog-ignore-db=aside");
    run(
        &server,
        "create database aside; create table aside.t (id int primary key); create database lean; create table lean.a (id int primary key, v int); \
         create table lean.b (id int primary key, v int default 5, w varchar(9) not null default '', x datetime default current_timestamp); \
         insert into lean.a values (1, 1)",
    )
    .await;
    let folder = Folder::new(&config(&server, "aside", "t"));
    for command in ["check", "run"] {
        let (_, said) = folder.run(command, 2);
        assert!(said.contains("leaves the database aside out of its log"), "{said}");
    }
    let folder = Folder::new(&config(&server, "lean", "a, b"));
    lean(&server, &folder).await;
    prepared(&server, &folder).await;
}

/// Values that are in no row of the log.
async fn lean(server: &Own, folder: &Folder) {
    run(server, "set global binlog_row_image = minimal").await;
    for command in ["check", "run"] {
        let (_, said) = folder.run(command, 2);
        assert!(said.contains("table b: the log leaves v, w out of new rows that take their default"), "{said}");
    }
    folder.configure(&config(server, "lean", "a"));
    folder.run("run", 0);
    run(server, "set global binlog_row_image = full").await;
}

/// A transaction that was prepared keeps a file of the log needed that the stream has left.
async fn prepared(server: &Own, folder: &Folder) {
    run(server, "use lean; xa start 'kept'; insert into a values (2, 2); xa end 'kept'; xa prepare 'kept'").await;
    folder.run("run", 0);
    run(server, "flush binary logs; insert into lean.a values (3, 3)").await;
    folder.run("run", 0);
    run(server, "set global binlog_expire_logs_seconds = 2").await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (_, said) = folder.run("check", 0);
    assert!(said.contains("A transaction that was prepared (XA) and is not ended stands in binlog."), "{said}");
}
