//! The program itself with a stream of changes: what it says before, at the end of, and after a run.

use serde_json::Value;

use super::super::Server;
use super::made;
use crate::program::Folder;

pub async fn check_run_and_status(server: &Server) {
    let database = made(server, "cdc_program").await;
    database.run("insert into a (id, v) values (1, 1), (2, 2)").await;
    let grants = "grant select on {db}.* to {user}; grant replication slave, replication client on *.* to {user}";
    let (user, password) = database.user(grants).await;
    let folder = Folder::new(&format!(
        "[source shop]\ntype = mysql\nhostname = 127.0.0.1\nport = {}\nusername = {user}\npassword = {password}\ndatabase = {}\n\
         [destination lake]\ntype = local\npath = out\nformat = json\n\
         [stream s]\nsource = shop\ndestination = lake\ntables = a, b\nmode = cdc\n",
        server.port(),
        database.name
    ));
    let (_, said) = folder.run("check", 0);
    for words in [
        "stream s: ok",
        "binlog_format = ROW",
        "The user needs no more than: GRANT REPLICATION SLAVE",
        "A commit every 60 s at most: up to 1440 commits and 2880 files a day.",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains(&password) && !said.contains("may do more"), "{said}");
    // What is estimated is of all tables together.
    assert!(said.contains("s: reads a\n") && said.contains("s: reads b\n"), "{said}");

    let (_, said) = folder.run("run", 0);
    let line: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let stream = &line["streams"][0];
    assert_eq!(
        (&stream["rows"], &stream["lag_seconds"], &stream["lag_bytes"]),
        (&2.into(), &0.into(), &0.into()),
        "{line}"
    );
    assert!(stream["location"].is_null(), "two tables are in no one place: {line}");
    let (_, said) = folder.run("plan", 0);
    assert!(said.contains("what changed after the mark, up to the end of the log"), "{said}");
    let (_, said) = folder.run("status", 0);
    assert!(said.contains(" pos="), "{said}");
    assert!(said.contains("\ns: at the end of the log, ") && said.contains(" s ago\n"), "{said}");
    database.run("insert into b (id, v) values (3, 3)").await;
    let (_, said) = folder.run("check", 0);
    assert!(said.contains(" of the log are not read yet, from "), "{said}");
}
