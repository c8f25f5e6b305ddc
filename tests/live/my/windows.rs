//! Windows of a cursor.

use async_trait::async_trait;
use tidemark::source::{Selection, Source};

use super::{Database, Server, selection};
use crate::backfill::{self, goes_on_after_kills};
use crate::windows::{self, Case, hold, of_days, of_numbers, of_texts, of_times, of_uuids};

#[async_trait]
impl windows::Server for Database<'_> {
    async fn run(&self, sql: &str) {
        Database::run(self, sql).await;
    }

    fn source(&self) -> Box<dyn Source> {
        Database::source(self, None, &[]).unwrap()
    }

    fn selection(&self, keys: &[(&str, &str)]) -> Selection {
        selection(keys)
    }
}

pub async fn windows_of_every_type(server: &Server) {
    let database = server.database("windows_types").await;
    for of in ["int", "decimal(20,3)", "bigint"] {
        hold(&database, &of_numbers(of)).await;
    }
    for of in ["datetime", "timestamp(3)", "datetime(6)"] {
        hold(&database, &of_times(of)).await;
    }
    hold(&database, &of_days("date")).await;
    hold(&database, &of_texts("varchar(40)")).await;
    hold(&database, &of_texts("varchar(40) character set latin1")).await;
    let bytes = &[
        "x'0190a1b2000070008000000000000000'",
        "x'0190a1b2000070008000000000000001'",
        "x'0190a1b3000070008000000000000000'",
    ];
    hold(&database, &of_uuids("binary(16)", bytes)).await;
}

/// Instants are told in any zone, and what comes first is as the column has it.
pub async fn windows_as_the_column_has_them(server: &Server) {
    let database = server.database("windows_columns").await;
    let values = &["'2024-03-31 00:59:59'", "'2024-03-31 01:00:00'", "'2024-03-31 02:00:00'"];
    let case = |wanted, comes_to| Case { of: "timestamp", values, wanted, comes_to };
    let until = Some("2024-03-31T04:00:00+02:00");
    hold(&database, &[case([Some("2024-03-31T03:00:00+02:00"), until, Some("30m")], Ok("1|"))]).await;
    let nothing = Err("does not lie before");
    for (of, comes_to) in
        [("varchar(9) collate utf8mb4_general_ci", Ok("0")), ("varchar(9) collate utf8mb4_bin", nothing)]
    {
        hold(&database, &[Case { of, values: &["'A'", "'b'"], wanted: [Some("a"), Some("B"), None], comes_to }]).await;
    }
}

pub async fn a_killed_backfill_goes_on(server: &Server) {
    let database = server.database("windows_killed").await;
    database
        .run(&format!("create table t (id int primary key, at datetime(6) not null, key (at)); {}", backfill::rows()))
        .await;
    let source = format!(
        "type = mysql\nhostname = 127.0.0.1\nport = {}\nusername = repl\npassword = replpw\ndatabase = {}",
        server.port(),
        database.name
    );
    goes_on_after_kills(&source);
}
