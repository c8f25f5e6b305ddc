//! Each value both ways: by a query, and by the log of its insertion, its change and its deletion.

use super::super::values::{Case, MARIADB_TYPES, NUMBERS, SHAPES, TEXTS, TIMES, VECTORS};
use super::*;

pub async fn parity_of_every_type(server: &Server) {
    for (name, cases) in [("numbers", NUMBERS), ("texts", TEXTS), ("times", TIMES), ("shapes", SHAPES)] {
        parity_of_cases(server, name, cases).await;
    }
    match server.flavour {
        Flavour::Mysql => parity_of_cases(server, "own", &VECTORS).await,
        Flavour::Mariadb => parity_of_cases(server, "own", &MARIADB_TYPES).await,
    }
}

async fn parity_of_cases(server: &Server, name: &str, cases: &[Case]) {
    let database = server.database(&format!("log_{name}")).await;
    let columns = (0..).zip(cases).map(|(i, case)| format!("c{i} {}", case.declared)).collect::<Vec<_>>().join(", ");
    let rows = cases.iter().map(|case| case.values.len()).max().unwrap() + 1;
    let rows: Vec<String> = (0..rows)
        .map(|row| cases.iter().map(|case| *case.values.get(row).unwrap_or(&"null")).collect::<Vec<_>>().join(", "))
        .collect();
    parity(&database, &columns, &rows, &[("table", "t")]).await;
}

/// A table with these columns behind its key, and rows of these values.
pub async fn parity(database: &Database<'_>, columns: &str, rows: &[String], stream: &[(&str, &str)]) {
    database.run(&format!("create table t (id int primary key, {columns})")).await;
    let from = database.end_of_log().await;
    let mut conn = database.conn().await;
    mysql_async::prelude::Queryable::query_drop(&mut conn, "set sql_mode = 'ALLOW_INVALID_DATES'").await.unwrap();
    for (id, values) in rows.iter().enumerate() {
        let sql = format!("insert into t values ({id}, {values})");
        if let Err(error) = mysql_async::prelude::Queryable::query_drop(&mut conn, &sql).await {
            panic!("{error}: {sql}");
        }
    }
    let inserted = queried(database, stream).await;
    database.run("update t set id = id + 1000 order by id").await;
    let updated = queried(database, stream).await;
    database.run("delete from t order by id").await;
    let changes = database.changes(from, stream).await.unwrap();
    let names: Vec<String> = database
        .texts(
            "select concat(column_name, ' ', column_type) from information_schema.columns \
        where table_schema = database() and table_name = 't' order by ordinal_position",
        )
        .await
        .into_iter()
        .map(|row| row[0].clone().unwrap())
        .collect();
    let count = rows.len();
    let slice = |arrays: &[ArrayRef], at: usize| arrays.iter().map(|array| array.slice(at, count)).collect::<Vec<_>>();
    assert_eq!(changes.what.len(), 3 * count);
    same(&names, &slice(&changes.after, 0), &inserted);
    same(&names, &slice(&changes.before, count), &inserted);
    same(&names, &slice(&changes.after, count), &updated);
    same(&names, &slice(&changes.before, 2 * count), &updated);
    assert!(changes.unsent.iter().all(Vec::is_empty), "{:?}", changes.unsent);
    let moved: Vec<bool> = [false, true, false].iter().flat_map(|moved| vec![*moved; count]).collect();
    assert_eq!(changes.moved, moved);
}

/// Numbers without a sign behind ones that may have none or one, so that a bit in the wrong place shows.
pub async fn parity_of_signs_behind_other_types(server: &Server) {
    let database = server.database("log_signs").await;
    let columns = "y year, a tinyint unsigned, d date, b tinyint, s set('q') not null, c int unsigned, f float, g bit(3), \
                   h bigint unsigned, i mediumint unsigned, j mediumint, k decimal(5,2) unsigned, l smallint unsigned, \
                   m double, n smallint";
    let rows = [
        "2000, 255, '2024-01-01', -1, 'q', 4294967295, 1.5, b'101', 18446744073709551615, 16777215, -1, 999.99, 65535, -0.5, -32768",
        "0, 128, null, -128, '', 2147483648, -0.0, b'0', 9223372036854775808, 8388608, -8388608, 0, 32768, 1e300, 32767",
    ];
    parity(&database, columns, &rows.map(str::to_owned), &[("table", "t")]).await;
}

/// Texts of several sets between columns that some servers count among them and others do not.
pub async fn parity_of_texts_behind_other_types(server: &Server) {
    let database = server.database("log_between").await;
    let (own, value) = match server.flavour {
        Flavour::Mysql => ("vector(1)", "string_to_vector('[1]')"),
        Flavour::Mariadb => ("varchar(50) compressed", "'ü'"),
    };
    let columns = format!(
        "a text character set latin1, j json, b text character set latin2, g geometry, c text character set cp1251, \
         e enum('ж', 'x') character set koi8r, v {own}, d char(3) character set greek, f varbinary(5), s set('é') character set latin1, \
         h binary(6), i text character set utf16, k tinytext character set hebrew"
    );
    let rows = [format!(
        "'é', '[]', 'Łó', st_geomfromtext('POINT(1 2)'), 'При', 'ж', {value}, 'Αθ', x'00ff', 'é', x'01', 'Ω', 'ש'"
    )];
    parity(&database, &columns, &rows, &[("table", "t")]).await;
    // The same where the log says less of its columns, or nothing.
    for metadata in ["minimal", if server.flavour == Flavour::Mysql { "minimal" } else { "no_log" }] {
        let _one_at_a_time = super::super::heavy().await;
        let database = server.database(&format!("log_{metadata}")).await;
        database.run(&format!("set global binlog_row_metadata = {metadata}")).await;
        let signs = "u tinyint unsigned, y year, n bigint unsigned, z tinyint, ";
        let rows = [format!("255, 2000, 18446744073709551615, -1, {}", rows[0])];
        parity(&database, &format!("{signs}{columns}"), &rows, &[("table", "t")]).await;
        database.run("set global binlog_row_metadata = full").await;
    }
}

pub async fn parity_of_zero_dates(server: &Server) {
    for (policy, name) in [("null", "log_zero_null"), ("text", "log_zero_text")] {
        let database = server.database(name).await;
        let columns = "d date not null, dt datetime not null, dt3 datetime(3) not null, dt6 datetime(6) not null, \
                       ts timestamp not null default '2024-01-01', ts2 timestamp(2) not null default '2024-01-01'";
        let rows = [
            "'2024-01-02', '2024-01-02 03:04:05', '2024-01-02 03:04:05.678', '2024-01-02 03:04:05.000001', '2024-01-02 03:04:05', '2024-01-02 03:04:05.67'",
            "'0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00'",
            "'2024-00-00', '2024-02-00 10:11:12', '2024-02-00 10:11:12.5', '2024-00-01 00:00:00.9', '2024-01-01', '1970-01-01 00:00:01.01'",
            "'2024-02-31', '2023-02-29 01:00:00', '0000-01-01', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07', '2038-01-19 03:14:07.99'",
        ];
        let stream = [("table", "t"), ("zero_dates", policy)];
        parity(&database, columns, &rows.map(str::to_owned), &stream).await;
    }
}

/// Columns that are not read, generated ones, invisible ones, in another order than the table's, and as bytes.
pub async fn parity_of_chosen_columns(server: &Server) {
    let database = server.database("log_chosen").await;
    let columns = "a int, hidden int invisible default 7, sum int as (a + 1) stored, l varchar(20) character set latin1, \
                   e enum('x', 'y'), tail text";
    database.run(&format!("create table t (id int primary key, {columns})")).await;
    let from = database.end_of_log().await;
    database.run("insert into t (id, a, l, e, tail) values (1, 10, 'é€', 'y', 'Ω'), (2, null, null, null, null)").await;
    for stream in [
        &[("table", "t"), ("columns", "tail, sum, hidden, id")][..],
        &[("table", "t"), ("exclude_columns", "a, e")],
        &[("table", "t"), ("bytes_columns", "l")],
    ] {
        let changes = database.changes(from.clone(), stream).await.unwrap();
        let names: Vec<String> = (0..changes.after.len()).map(|index| index.to_string()).collect();
        same(&names, &changes.after, &queried(&database, stream).await);
    }
}

/// MySQL's own form of JSON, as text.
pub async fn parity_of_documents(server: &Server) {
    let database = server.database("log_json").await;
    let long = format!("concat('[', repeat('{{\"key\": [1, \"two\", null]}}, ', 5000), '{}')", "0]");
    let mut documents: Vec<String> = [
        "'null'", "'true'", "'[]'", "'{}'", "'\"\"'", "'[[[[1]]], {\"\": {}}]'", "'{\"b\": 1, \"aa\": 2, \"a\": 3, \"é\": 4}'",
        "'[0, 1, -1, 32767, 32768, -32768, -32769, 65535, 65536, 2147483647, 2147483648, -2147483649, 9223372036854775807, -9223372036854775808, 18446744073709551615]'",
        "'[0.0, -0.0, 1.0, 1.5, 0.1, 1e14, 1e15, 1e16, 123456789012345.6, 1e-15, 1e-14, 1.5e-16, 2e-15, 0.00001, 1e22, 1.7976931348623157e308, 5e-324, 100, 1E2, 3.14, 999999999999999.9, 9.99e-16]'",
        "json_quote('quote\" back\\\\ slash/ \\b\\f\\n\\r\\t tab \\0 é 😀')",
        "'\"\\\\u0001\\\\u001f\\\\u007f\\\\u0080\"'",
    ]
    .map(str::to_owned)
    .to_vec();
    documents.push(long);
    documents.push("concat('{\"k\": \"', repeat('x', 70000), '\", \"l\": [1, 70000, 3000000000]}')".to_owned());
    if server.flavour == Flavour::Mysql {
        documents.extend(
            [
                "json_array(cast(1.10 as decimal(5,2)), cast(-123456789.123456789 as decimal(30,9)), cast(0 as decimal(3,3)))",
                "json_array(cast('2015-01-15' as date), cast('2015-01-15 23:24:25.5' as datetime(6)), cast('-838:59:59' as time), cast('01:02:03.000004' as time(6)))",
                "json_array(timestamp'2020-01-01 00:00:00', cast(x'00ff' as binary), b'101', 1.5e0, 7, true)",
                "json_object('blob', cast(repeat(x'01ff', 200) as binary), 'short', cast('a' as binary(57)))",
                "json_array(st_geomfromtext('POINT(1 2)'), cast(18446744073709551615 as unsigned), year('2020-01-01'))",
            ]
            .map(str::to_owned),
        );
    }
    parity(&database, "j json", &documents, &[("table", "t")]).await;
}
