//! Where a log is read from, what it tells besides rows, and why it may not be read.

use mysql_async::prelude::Queryable;
use tidemark::error::Kind;

use super::*;

/// After the transactions that were there, and with the ids of those that came.
pub async fn begins_after_transactions(server: &Server) {
    let database = server.database("log_gtids").await;
    database.run("create table t (id int primary key); insert into t values (1)").await;
    let mut conn = database.conn().await;
    let place = |rows: Vec<Vec<Option<String>>>| rows[0][0].clone().unwrap().replace('\n', "");
    let start = match server.flavour {
        Flavour::Mysql => {
            conn.query_drop("set gtid_next = 'AUTOMATIC:tide_mark'").await.unwrap();
            conn.query_drop("insert into t values (2)").await.unwrap();
            Start::Mysql(place(texts(&mut conn, "select @@gtid_executed").await).parse().unwrap())
        }
        Flavour::Mariadb => Start::Mariadb(place(texts(&mut conn, "select @@gtid_binlog_pos").await).parse().unwrap()),
    };
    conn.query_drop("insert into t values (3)").await.unwrap();
    conn.query_drop("create table u (id int)").await.unwrap();
    let after = match server.flavour {
        Flavour::Mysql => place(texts(&mut conn, "select @@gtid_executed").await),
        Flavour::Mariadb => place(texts(&mut conn, "select @@gtid_binlog_pos").await),
    };
    let mut log = binlog::open(&database.section(), &until_now(start.clone())).await.unwrap();
    let (mut seen, mut words) = (start.clone(), Vec::new());
    let mut committed = 0;
    while let Some(entry) = log.next().await.unwrap() {
        match entry.event {
            Event::Transaction(transaction) => {
                committed = committed.max(transaction.committed);
                if let (Start::Mysql(all), Some(gtid)) = (&mut seen, &transaction.gtid) {
                    assert!(!all.contains(gtid), "{gtid} again");
                    all.add(gtid);
                }
            }
            Event::MariadbTransaction(transaction) => {
                if let Start::Mariadb(all) = &mut seen {
                    assert!(!all.contains(transaction.gtid));
                    all.add(transaction.gtid);
                }
            }
            Event::TableMap(map) if map.database == database.name.as_bytes() => words.push("table".to_owned()),
            Event::Rows(_) => words.push("rows".to_owned()),
            Event::Query(query) if query.database == database.name.as_bytes() => {
                words.push(String::from_utf8(query.sql.to_vec()).unwrap().to_lowercase());
            }
            Event::Xid(_) => words.push("xid".to_owned()),
            _ => {}
        }
    }
    let all = match &seen {
        Start::Mysql(all) => all.to_string(),
        Start::Mariadb(all) => all.to_string(),
        Start::File { .. } => unreachable!(),
    };
    // Others may have written in the meantime.
    if server.flavour == Flavour::Mysql {
        assert!(after.parse::<binlog::mysql::Gtids>().unwrap().is_subset(&all.parse().unwrap()));
        assert!(committed > 1_600_000_000_000_000);
    } else {
        assert!(after.parse::<binlog::mariadb::Gtids>().unwrap().is_subset(&all.parse().unwrap()));
    }
    let text = words.join(" ");
    assert!(text.contains("table rows") && text.contains("create table u (id int)"), "{text}");
    assert!(!text.contains("create table t"), "{text}");
}

/// Waits for what comes, tells that it is there, and is cancelled without a loss.
pub async fn waits_for_more(server: &Server) {
    let database = server.database("log_waits").await;
    database.run("create table t (id int primary key)").await;
    let options = Options { heartbeat: Duration::from_millis(300), ..options(database.end_of_log().await) };
    let mut log = binlog::open(&database.section(), &options).await.unwrap();
    let mut beats = 0;
    while beats < 2 {
        let entry = tokio::time::timeout(Duration::from_secs(20), log.next()).await.unwrap().unwrap().unwrap();
        beats += u32::from(matches!(entry.event, Event::Heartbeat(_)));
    }
    let is_ours = |event: &Event<'_>| matches!(event, Event::TableMap(map) if map.database == database.name.as_bytes());
    let mut tables = 0;
    for id in 1..=3 {
        // Dropped while it waits, again and again.
        while let Ok(entry) = tokio::time::timeout(Duration::from_millis(1), log.next()).await {
            tables += u32::from(is_ours(&entry.unwrap().unwrap().event));
        }
        database.run(&format!("insert into t values ({id})")).await;
    }
    let (mut ends, mut file, mut position) = (0, String::new(), 0);
    while tables < 3 || ends == 0 {
        let entry = tokio::time::timeout(Duration::from_secs(20), log.next()).await.unwrap().unwrap().unwrap();
        tables += u32::from(is_ours(&entry.event));
        ends = if tables == 3 { ends + u32::from(matches!(entry.event, Event::Xid(_))) } else { 0 };
        (file, position) = (entry.file.to_owned(), entry.position);
    }
    drop(log);
    // From there on nothing comes again.
    let changes = database.changes(Start::File { file, position }, &[("table", "t")]).await.unwrap();
    assert!(changes.what.is_empty());
}

/// A new file in between, and places in it.
pub async fn goes_on_in_the_next_file(server: &Server) {
    let _one_at_a_time = super::super::heavy().await;
    let database = server.database("log_rotates").await;
    database.run("create table t (id int primary key)").await;
    let from = database.end_of_log().await;
    database.run("insert into t values (1); flush binary logs; insert into t values (2); flush binary logs").await;
    database.run("insert into t values (3)").await;
    let changes = database.changes(from.clone(), &[("table", "t")]).await.unwrap();
    assert_eq!(changes.what.len(), 3);
    let Start::File { file: first, .. } = from else { unreachable!() };
    let Start::File { file: last, position } = database.end_of_log().await else { unreachable!() };
    let mut log =
        binlog::open(&database.section(), &until_now(Start::File { file: first.clone(), position: 4 })).await.unwrap();
    let (mut file, mut end) = (String::new(), 0);
    while let Some(entry) = log.next().await.unwrap() {
        (file, end) = (entry.file.to_owned(), entry.position);
    }
    assert!(file > first && (file.clone(), end) >= (last, position), "{file}:{end}");
}

pub async fn refusals_of_a_log(server: &Server) {
    let database = server.database("log_refusals").await;
    let open = async |start: Start, section: &Section| {
        let mut log = binlog::open(section, &until_now(start)).await?;
        while log.next().await?.is_some() {}
        Ok::<_, tidemark::error::Error>(())
    };
    let section = database.section();
    let nowhere = Start::File { file: "binlog.999999".to_owned(), position: 4 };
    let error = open(nowhere.clone(), &section).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Lost, "{error}");
    let Start::File { file, .. } = database.end_of_log().await else { unreachable!() };
    let beyond = Start::File { file: file.clone(), position: 4_000_000_000 };
    assert_eq!(open(beyond, &section).await.unwrap_err().kind(), Kind::Lost);
    let too_far = Start::File { file, position: 1 << 33 };
    assert_eq!(open(too_far, &section).await.unwrap_err().kind(), Kind::Config);
    let unknown = match server.flavour {
        Flavour::Mysql => None,
        Flavour::Mariadb => Some(Start::Mariadb("0-1-99999999".parse().unwrap())),
    };
    if let Some(unknown) = unknown {
        let error = open(unknown, &section).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Lost, "{error}");
    }
    let user = database.user("grant select on {db}.* to {user}").await;
    let port = server.port().to_string();
    let keys = [
        ("hostname", "127.0.0.1"),
        ("port", &port),
        ("username", &user.0),
        ("password", &user.1),
        ("database", &database.name),
    ];
    let section =
        Section::of_kind(&maker("mysql").unwrap().kind, &keys.map(|(key, value): (&str, &str)| (key, value))).unwrap();
    let error = open(nowhere, &section).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(error.to_string().contains("GRANT REPLICATION SLAVE"), "{error}");
}

/// Two that say that they are the same replica: the first is told. MySQL has one number for that and for much else.
pub async fn a_second_replica_of_our_number(server: &Server) {
    let database = server.database("log_twice").await;
    let options = options(database.end_of_log().await);
    let mut first = binlog::open(&database.section(), &options).await.unwrap();
    while let Ok(entry) = tokio::time::timeout(Duration::from_millis(500), first.next()).await {
        entry.unwrap();
    }
    let mut second = binlog::open(&database.section(), &options).await.unwrap();
    let ended = async {
        loop {
            match first.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("an end"),
                Err(error) => return error,
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    let expected = match server.flavour {
        Flavour::Mysql => Kind::Unavailable,
        Flavour::Mariadb => Kind::Conflict,
    };
    assert_eq!(error.kind(), expected, "{error}");
    let came = tokio::time::timeout(Duration::from_secs(30), second.next()).await.unwrap();
    assert!(came.is_ok(), "{came:?}");
}
