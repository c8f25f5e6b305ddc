//! Every character of every set.

use mysql_async::prelude::Queryable;

use super::*;

pub async fn parity_of_every_character(server: &Server) {
    let database = server.database("log_sets").await;
    let sets = database.texts("select character_set_name from information_schema.character_sets order by 1").await;
    let sets: Vec<String> = sets.into_iter().map(|row| row[0].clone().unwrap()).filter(|set| set != "binary").collect();
    let mut conn = database.conn().await;
    conn.query_drop("create table n (id int primary key, x text character set utf8mb4)").await.unwrap();
    // Without the surrogates, which are no characters.
    let all = (1..0xd800u32).chain(0xe000..0x1_0000).chain(0x1_f600..0x1_f680).chain(0x2_0000..0x2_0400);
    let all: Vec<char> = all.filter_map(char::from_u32).filter(|c| !['\'', '\\'].contains(c)).collect();
    let mut values = Vec::new();
    for (id, characters) in all.chunks(256).enumerate() {
        values.push(format!("({id}, '{}')", characters.iter().collect::<String>()));
    }
    conn.query_drop(format!("insert into n values {}", values.join(", "))).await.unwrap();
    let columns = sets.iter().map(|set| format!("c_{set} text character set {set}")).collect::<Vec<_>>().join(", ");
    conn.query_drop(format!("create table t (id int primary key, {columns})")).await.unwrap();
    let from = database.end_of_log().await;
    conn.query_drop("set sql_mode = ''").await.unwrap();
    let items = sets.iter().map(|_| "x").collect::<Vec<_>>().join(", ");
    conn.query_drop(format!("insert into t select id, {items} from n order by id")).await.unwrap();
    let names: Vec<String> = ["id".to_owned()].into_iter().chain(sets).collect();
    for few in names[1..].chunks(4) {
        let columns = few.iter().map(|set| format!("c_{set}")).collect::<Vec<_>>().join(", ");
        let stream = [("table", "t"), ("columns", columns.as_str())];
        let changes = database.changes(from.clone(), &stream).await.unwrap();
        let read = database.read(&stream).await.unwrap();
        for (index, name) in few.iter().enumerate() {
            let mut at = 0;
            for batch in &read.batches {
                let expected = batch.column(index);
                same(
                    std::slice::from_ref(name),
                    &[changes.after[index].slice(at, expected.len())],
                    std::slice::from_ref(expected),
                );
                at += expected.len();
            }
            assert_eq!(at, changes.what.len());
        }
    }
}

/// Labels and short texts in other sets than UTF-8.
pub async fn parity_of_labels(server: &Server) {
    let database = server.database("log_labels").await;
    let sets = [
        ("latin1", "Grüße €"),
        ("latin2", "Łódź"),
        ("cp1251", "Привет"),
        ("sjis", "日本"),
        ("gbk", "汉字"),
        ("big5", "漢字"),
        ("euckr", "한국"),
        ("ucs2", "日ж"),
        ("utf16", "日😀"),
        ("utf16le", "日😀"),
        ("utf32", "日😀"),
        ("utf8mb4", "日😀"),
    ];
    let columns = sets.iter().map(|(set, text)| {
        format!(
            "v_{set} varchar(20) character set {set}, k_{set} char(20) character set {set}, e_{set} enum('{text}', 'x') character set {set}, \
             s_{set} set('{text}', 'x', 'y') character set {set}"
        )
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    let row = sets.iter().map(|(_, text)| format!("'{text}', '{text} ', '{text}', '{text},y'"));
    let rows = [row.collect::<Vec<_>>().join(", ")];
    parity(&database, &columns, &rows, &[("table", "t")]).await;
}
