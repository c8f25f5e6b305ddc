//! Windows of a cursor.

use async_trait::async_trait;
use tidemark::source::{Selection, Source};

use super::database::{Database, selection};
use crate::backfill::{self, goes_on_after_kills};
use crate::windows::{self, Case, hold, of_days, of_numbers, of_texts, of_times, of_uuids};

#[async_trait]
impl windows::Server for Database {
    async fn run(&self, sql: &str) {
        Database::run(self, sql).await;
    }

    fn source(&self) -> Box<dyn Source> {
        Database::source(self)
    }

    fn selection(&self, keys: &[(&str, &str)]) -> Selection {
        selection("s", &[keys, &[("infinity", "null")]].concat())
    }
}

pub async fn windows_of_every_type(server: &str) {
    let database = Database::create(server).await;
    for of in ["int", "numeric(20,3)", "numeric", "bigint"] {
        hold(&database, &of_numbers(of)).await;
    }
    for of in ["timestamp", "timestamptz(3)"] {
        hold(&database, &of_times(of)).await;
    }
    hold(&database, &of_days("date")).await;
    hold(&database, &of_texts("text")).await;
    let uuids = &[
        "'0190a1b2-0000-7000-8000-000000000000'",
        "'0190a1b2-0000-7000-8000-000000000001'",
        "'0190a1b3-0000-7000-8000-000000000000'",
    ];
    hold(&database, &of_uuids("uuid", uuids)).await;
}

/// Instants are told in any zone, what comes first is as the column has it, and infinities have no distance to others.
pub async fn windows_as_the_column_has_them(server: &str) {
    let database = Database::create(server).await;
    let values = &["'2024-03-31 00:59:59+00'", "'2024-03-31 01:00:00+00'", "'2024-03-31 02:00:00+00'"];
    let case = |wanted, comes_to| Case { of: "timestamptz", values, wanted, comes_to };
    let until = Some("2024-03-31T04:00:00+02:00");
    hold(&database, &[case([Some("2024-03-31T03:00:00+02:00"), until, Some("30m")], Ok("1|"))]).await;
    // With the rules of a language, where the server knows any, a small letter comes before its capital.
    let has_rules = database.text("SELECT count(*) FROM pg_collation WHERE collname = 'en-x-icu'").await == "1";
    let ruled = has_rules.then_some(("text collate \"en-x-icu\"", Ok("0 1")));
    for (of, comes_to) in ruled.into_iter().chain([("text collate \"C\"", Err("does not lie before"))]) {
        hold(&database, &[Case { of, values: &["'A'", "'b'"], wanted: [Some("a"), Some("B"), None], comes_to }]).await;
    }
    let case = |wanted, comes_to| Case { of: "timestamp", values: &["'-infinity'", "'2024-01-01'"], wanted, comes_to };
    let cases = [
        case([None, Some("infinity"), None], Ok("0 1")),
        case([None, Some("2025-01-01"), Some("1d")], Err("`--step` cannot be taken between")),
        case([Some("2023-12-31"), Some("infinity"), Some("1d")], Err("`--step` cannot be taken between")),
        case([Some("0001-01-01"), Some("2025-01-01"), Some("1ms")], Err("take a greater `--step`")),
    ];
    hold(&database, &cases).await;
}

pub async fn a_killed_backfill_goes_on(server: &str) {
    let database = Database::create(server).await;
    database.run("create table t (id int primary key, at timestamptz not null); create index on t (at)").await;
    database.run(&backfill::rows()).await;
    goes_on_after_kills(&format!("type = postgres\nurl = {}", database.url));
}
