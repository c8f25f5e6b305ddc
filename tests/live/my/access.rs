//! Who may read what, and what a user is told.

use tidemark::config::Section;
use tidemark::error::Kind;
use tidemark::record::field;
use tidemark::source::{Source, maker};

use super::{Database, Flavour, MARIADB, MYSQL, Server, selection};

pub async fn missing_tables_and_columns(server: &Server) {
    let database = server.database("missing").await;
    database.run("create table orders (id int primary key, total int)").await;
    for (stream, words) in [
        (vec![("table", "order")], vec!["`table`", "`order`", "did you mean `orders`?"]),
        (vec![("tables", "orders, ordres")], vec!["`tables`", "`ordres`", "did you mean `orders`?"]),
        (vec![("tables", "inv_*")], vec!["`tables`", "`inv_*`", "matches no table"]),
        (vec![("table", "nowhere.orders")], vec!["`table`", "`nowhere.orders`"]),
        (vec![("table", "a.b.c")], vec!["`table`", "a.b.c"]),
    ] {
        let error = database.streams(&stream).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{error}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
    let listing = database.source(None, &[]).unwrap().streams(&[selection(&[("tables", "ordres, orders")])]).await;
    let listing = listing.unwrap();
    assert_eq!(listing.streams.iter().map(|s| s.id.to_string()).collect::<Vec<_>>(), ["s.orders"]);
    assert_eq!(listing.refused.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>(), ["s.ordres"]);
    for (stream, words) in [
        (vec![("table", "orders"), ("columns", "id, totl")], vec!["`columns`", "`totl`", "did you mean `total`?"]),
        (vec![("table", "orders"), ("exclude_columns", "x")], vec!["`exclude_columns`", "`x`"]),
        (vec![("table", "orders"), ("where", "totl > 1")], vec!["`where`", "totl"]),
        (vec![("table", "orders"), ("where", "total >")], vec!["`where`", "1064"]),
        (vec![("query", "select totl from orders")], vec!["`query`", "totl"]),
        (vec![("query", "select * from ordres")], vec!["`query`", "ordres", "1146"]),
    ] {
        let error = database.read(&stream).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{error}");
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
}

pub async fn missing_grants_are_spelled_out(server: &Server) {
    let database = server.database("grants").await;
    database.run("create table t (id int primary key, a int, secret int); create table u (id int primary key)").await;
    let name = &database.name;

    // The database without a table's right, a table, some columns of a table, an unseen database.
    let user = database.user("grant select on {db}.u to {user}").await;
    let grant = format!("GRANT SELECT ON `{name}`.`t` TO '{}'@'%'", user.0);
    let error = database.read_as(&user, &[], &[("table", "t")]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(error.to_string().contains(&grant), "{error}");
    assert_eq!(database.read_as(&user, &[], &[("table", "u")]).await.unwrap().rows(), 0);

    let user = database.user("grant select (id, a) on {db}.t to {user}").await;
    let grant = format!("GRANT SELECT ON `{name}`.`t` TO '{}'@'%'", user.0);
    let error = database.read_as(&user, &[], &[("table", "t")]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "a column that is beyond our rights is never left out in silence");
    assert!(error.to_string().contains(&grant) && error.to_string().contains("`columns`"), "{error}");
    let some = [("table", "t"), ("columns", "id, a")];
    assert_eq!(database.read_as(&user, &[], &some).await.unwrap().table.schema.fields().len(), 2);
    let grant = format!("GRANT SELECT (`id`, `secret`) ON `{name}`.`t` TO '{}'@'%'", user.0);
    let error = database.read_as(&user, &[], &[("table", "t"), ("columns", "id, secret")]).await.unwrap_err();
    assert!(error.kind() == Kind::Denied && error.to_string().contains(&grant), "{error}");

    let user = database.user("").await;
    let error = database.read_as(&user, &[], &[("table", "t")]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
    assert!(error.to_string().contains(&format!("GRANT SELECT ON `{name}`.* TO '{}'", user.0)), "{error}");

    let user = database.user("grant insert on {db}.t to {user}; grant select on {db}.u to {user}").await;
    let error = database.read_as(&user, &[], &[("query", "select * from t")]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied, "{error}");
}

pub async fn wrong_logins(server: &Server) {
    let database = server.database("logins").await;
    let stream = [("table", "t")];
    let error = database.read_as(&("repl".to_owned(), "wrong".to_owned()), &[], &stream).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.to_string().contains("`repl`") && !error.to_string().contains("wrong"), "{error}");

    let error = database.source(None, &[("database", "not_here")]).unwrap().streams(&[selection(&stream)]).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{error}");
    assert!(error.to_string().contains("`database`") && error.to_string().contains("`not_here`"), "{error}");

    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let error = database.open(&[("port", &free)], &stream).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let error = database.open(&[("port", &port), ("connect_timeout", "1s")], &stream).await.err().unwrap();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("connect_timeout"), "{error}");
}

/// Each method in the clear and over TLS, with and without the server remembering the password.
pub async fn login_methods(server: &Server) {
    let database = server.database("methods").await;
    let one = [("query", "select 1 one")];
    for tls in ["off", "require"] {
        let login = database.user("").await;
        let user = login.0.clone();
        let mut logins = vec![login.clone(), login.clone()];
        database.run(&format!("create user {user}_empty identified by ''")).await;
        logins.push((format!("{user}_empty"), String::new()));
        for login in &logins {
            let read = database.read_as(login, &[("tls", tls), ("database", "information_schema")], &one).await;
            assert_eq!(read.unwrap().rows(), 1, "{login:?}, TLS {tls}");
        }
        if server.flavour == Flavour::Mariadb {
            database.run(&format!("create user {user}_ed identified via ed25519 using password('hush')")).await;
            let login = (format!("{user}_ed"), "hush".to_owned());
            let read = database.read_as(&login, &[("tls", tls), ("database", "information_schema")], &one).await;
            assert_eq!(read.unwrap().rows(), 1, "ed25519, TLS {tls}");
        }
        let wrong = (user.clone(), "wrong".to_owned());
        assert_eq!(database.read_as(&wrong, &[("tls", tls)], &one).await.unwrap_err().kind(), Kind::Denied);
        if server.flavour == Flavour::Mysql {
            database.run(&format!("create user {user}_old identified with sha256_password by 'x'")).await;
            let old = (format!("{user}_old"), "x".to_owned());
            let error = database.read_as(&old, &[("tls", tls)], &one).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Denied);
            assert!(error.to_string().contains("`sha256_password`"), "{error}");
        }
        database.run(&format!("drop user if exists {user}, {user}_empty, {user}_old, {user}_ed")).await;
    }
}

/// The cipher of our own connection; empty where there is none.
async fn cipher(database: &Database<'_>, keys: &[(&str, &str)]) -> tidemark::error::Result<String> {
    use arrow_array::cast::AsArray;
    let query = match database.server.flavour {
        Flavour::Mysql => {
            "select variable_value v from performance_schema.session_status where variable_name = 'Ssl_cipher'"
        }
        Flavour::Mariadb => {
            "select variable_value v from information_schema.session_status where variable_name = 'Ssl_cipher'"
        }
    };
    let read = super::drain(database.open(keys, &[("query", query)]).await?).await?;
    Ok(read.batches[0].column(0).as_string::<i32>().value(0).to_owned())
}

pub async fn verified_tls(server: &Server) {
    let database = server.database("tls").await;
    let ca = server.ca();
    let other = match server.flavour {
        Flavour::Mysql => MARIADB.ca(),
        Flavour::Mariadb => MYSQL.ca(),
    };
    assert_eq!(cipher(&database, &[("tls", "off")]).await.unwrap(), "");
    assert_ne!(cipher(&database, &[("tls", "require")]).await.unwrap(), "");
    for host in ["127.0.0.1", "localhost"] {
        let keys = [("hostname", host), ("tls", "verify-full"), ("tls_ca", ca.as_str())];
        assert_ne!(cipher(&database, &keys).await.unwrap(), "", "{host}");
    }
    let wrong = [("tls", "verify-full"), ("tls_ca", other.as_str())];
    let system = [("tls", "verify-full")];
    for keys in [&wrong[..], &system[..]] {
        let error = cipher(&database, keys).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Config, "{error}");
        assert!(error.to_string().contains("tls_ca"), "{error}");
    }
    // The certificate is for this machine's names, not for every way to it.
    let elsewhere = [("hostname", "127.0.0.2"), ("tls", "verify-full"), ("tls_ca", ca.as_str())];
    if let Err(error) = cipher(&database, &elsewhere).await {
        assert!(matches!(error.kind(), Kind::Config | Kind::Unavailable), "{error}");
    } else {
        panic!("a certificate for another name was taken");
    }
}

pub async fn client_certificates(server: &Server) {
    let database = server.database("certificates").await;
    let file = |name: &str| std::path::Path::new(&server.ca()).with_file_name(name).display().to_string();
    let (cert, key, ca) = (file("client.pem"), file("client.key"), server.ca());
    let base = [("username", "cert"), ("password", "certpw"), ("tls", "verify-full"), ("tls_ca", ca.as_str())];
    let mut with = base.to_vec();
    with.extend([("tls_cert", cert.as_str()), ("tls_key", key.as_str())]);
    assert_ne!(cipher(&database, &with).await.unwrap(), "");
    assert_eq!(cipher(&database, &base).await.unwrap_err().kind(), Kind::Denied);
}

pub async fn lists_tables_by_name_and_pattern(server: &Server) {
    let database = server.database("listing").await;
    let other = server.database("listing_other").await;
    database
        .run(
            "create table inv_1 (id int primary key); create table inv_2 (id int primary key);
             create table `odd.name` (id int primary key); create view inv_view as select * from inv_1;
             insert into inv_1 values (1), (2), (3); analyze table inv_1",
        )
        .await;
    other.run("create table far (id int primary key)").await;
    let listed = |stream: &'static [(&str, &str)]| {
        let database = &database;
        async move {
            let streams = database.streams(stream).await.unwrap();
            streams.iter().map(|s| (s.id.to_string(), s.table().to_owned())).collect::<Vec<_>>()
        }
    };
    let pair = |id: &str, table: &str| (id.to_owned(), table.to_owned());
    assert_eq!(listed(&[("table", "inv_1")]).await, [pair("s", "inv_1")]);
    assert_eq!(listed(&[("tables", "inv_*, inv_1")]).await, [pair("s.inv_1", "inv_1"), pair("s.inv_2", "inv_2")]);
    assert_eq!(listed(&[("tables", "inv_view")]).await, [pair("s.inv_view", "inv_view")]);
    assert_eq!(listed(&[("table", "`odd.name`")]).await, [pair("s", "`odd.name`")]);
    assert_eq!(
        listed(&[("tables", "tm_listing_other.*")]).await,
        [pair("s.tm_listing_other.far", "tm_listing_other.far")]
    );
    assert_eq!(listed(&[("query", "select 1 x")]).await, [pair("s", "s")]);

    for (table, name) in
        [("`odd.name`", "odd.name"), ("tm_listing_other.far", "tm_listing_other.far"), ("inv_view", "inv_view")]
    {
        assert_eq!(database.read(&[("table", table)]).await.unwrap().table.name, name);
    }
    assert_eq!(database.read(&[("table", "inv_1"), ("as", "stock")]).await.unwrap().table.name, "stock");
    assert_eq!(database.streams(&[("table", "inv_1")]).await.unwrap()[0].estimate, Some(3));
    assert_eq!(database.streams(&[("table", "inv_1"), ("where", "id = 1")]).await.unwrap()[0].estimate, None);
}

pub async fn describes_a_stream(server: &Server) {
    let database = server.database("describing").await;
    database
        .run(
            "create table t (a int, b varchar(10), at datetime, g geometry, primary key (b, a));
             create table old (id int, x int) engine = myisam",
        )
        .await;
    let description = database.describe(&[("table", "t")]).await.unwrap();
    assert_eq!(description.table.key, ["b", "a"]);
    assert_eq!(field::native(description.table.schema.field(1)), Some("varchar(10)"));
    assert_eq!(description.notes.len(), 2, "{:?}", description.notes);
    let description = database.describe(&[("table", "old"), ("primary_key", "id")]).await.unwrap();
    assert_eq!((description.table.key.len(), description.notes.len()), (1, 2), "{:?}", description.notes);
    assert!(description.notes[0].contains("myisam") && description.notes[1].contains("cut"));
    let description = database.describe(&[("table", "t"), ("columns", "a, at")]).await.unwrap();
    assert!(description.table.key.is_empty() && description.notes[0].contains("primary key"));
}

/// Passwords, and what stands in cells, never get into a message.
pub async fn errors_hold_no_secrets_and_no_values(server: &Server) {
    let database = server.database("secrets").await;
    database
        .run("create table t (id int primary key, x varchar(40)); insert into t values (1, 'cell-value-hush')")
        .await;
    // The server itself says `Truncated incorrect … value: 'cell-value-hush'`, or that it is no point.
    for query in ["select st_geomfromtext(x) g from t", "select json_extract(x, '$.a') j from t"] {
        if let Err(error) = database.read(&[("query", query)]).await {
            assert!(!error.to_string().contains("cell-value-hush"), "{error}");
        }
    }
    let port = server.port();
    let url = format!("mysql://nobody:url-hush@127.0.0.1:{port}/{}", database.name);
    let maker = maker("mysql").unwrap();
    let section = Section::of_kind(&maker.kind, &[("url", &url)]).unwrap();
    let source: Box<dyn Source> = (maker.make)(&section).unwrap();
    let error = source.streams(&[selection(&[("table", "t")])]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    assert_eq!(source.identity().await.unwrap()["database"], database.name.as_str());
}
