//! Windows of a cursor.

use async_trait::async_trait;
use tidemark::source::{Selection, Source};

use super::{Db, selection};
use crate::windows::{self, Case, hold, of_days, of_numbers, of_texts, of_times, of_uuids};

#[async_trait]
impl windows::Server for Db {
    async fn run(&self, sql: &str) {
        self.write().execute_batch(sql).unwrap();
    }

    fn source(&self) -> Box<dyn Source> {
        Db::source(self, &[])
    }

    fn selection(&self, keys: &[(&str, &str)]) -> Selection {
        selection(keys)
    }
}

#[tokio::test]
async fn every_class_of_cursor() {
    let db = Db::new("");
    for of in ["integer", "decimal(10,2)", ""] {
        hold(&db, &of_numbers(of)).await;
    }
    hold(&db, &of_times("datetime")).await;
    hold(&db, &of_days("date")).await;
    hold(&db, &of_texts("text")).await;
    hold(&db, &of_texts("text collate nocase")).await;
    let bytes = &[
        "x'0190a1b2000070008000000000000000'",
        "x'0190a1b2000070008000000000000001'",
        "x'0190a1b3000070008000000000000000'",
    ];
    hold(&db, &of_uuids("blob", bytes)).await;
    let texts = &[
        "'0190a1b2-0000-7000-8000-000000000000'",
        "'0190a1b2-0000-7000-8000-000000000001'",
        "'0190a1b3-0000-7000-8000-000000000000'",
    ];
    hold(&db, &of_uuids("text", texts)).await;
}

#[tokio::test]
async fn times_as_they_are_written() {
    let db = Db::new("");
    let zoned = &["'2024-03-30T00:00:00Z'", "'2024-03-31T01:30:00Z'", "'2024-04-01T00:00:00Z'"];
    let case = |wanted, comes_to| Case { of: "timestamptz", values: zoned, wanted, comes_to };
    let cases = [
        case([Some("2024-03-30"), Some("2024-04-02"), Some("1d")], Ok("0|1|2")),
        case([None, None, Some("24h")], Ok("0|1 2")),
        // An instant in another zone is one all the same.
        case([Some("2024-03-31T03:30:00+02:00"), None, None], Ok("1 2")),
    ];
    hold(&db, &cases).await;
}

/// What comes first is as the column has it.
#[tokio::test]
async fn order_is_the_columns() {
    let db = Db::new("");
    for (of, comes_to) in [("text collate nocase", Ok("0")), ("text", Err("does not lie before"))] {
        hold(&db, &[Case { of, values: &["'A'", "'b'"], wanted: [Some("a"), Some("B"), None], comes_to }]).await;
    }
}
