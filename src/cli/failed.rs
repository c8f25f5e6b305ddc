//! What of a stream came to nothing, as `tidemark status` shows it.

use jiff::Timestamp;

use super::{show, table::table};
use crate::job_log::{Failure, Share};

/// How much came, and the failed requests that are to be listed; empty where there is nothing to say.
pub fn in_words(stream: &str, share: Option<&Share>, failures: &[Failure], now: Timestamp) -> String {
    let Some(share) = share else { return String::new() };
    let mut out = String::new();
    if share.failed > 0 {
        let (failed, all) = (show::count(share.failed), show::count(share.requests.max(share.failed)));
        let succeeded = show::share(share.failed, share.requests);
        out.push_str(&format!(
            "\n{stream}: {failed} of {all} requests are open, {succeeded} succeeded; `tidemark retry {stream}` asks again\n"
        ));
    } else if share.requests > 0 {
        out.push_str(&format!("\n{stream}: {} succeeded: 100 %\n", show::of(share.requests, "request")));
    }
    let aside: u64 = share.set_aside.values().sum();
    if aside > 0 {
        let tables: Vec<_> = share.set_aside.keys().map(String::as_str).collect();
        out.push_str(&format!(
            "\n{stream}: {} of {} are in {}, {} are where they belong\n",
            show::count(aside),
            show::of(share.rows.max(aside), "row"),
            tables.join(", "),
            show::share(aside, share.rows)
        ));
    }
    if !failures.is_empty() {
        out.push('\n');
        out.push_str(&list(failures, now));
    }
    out
}

fn list(failures: &[Failure], now: Timestamp) -> String {
    let line = |failure: &Failure| {
        let failed = &failure.failed;
        let said = failed.excerpt.as_ref().map(|excerpt| format!(": {excerpt}")).unwrap_or_default();
        vec![
            failed.id.clone(),
            failed.request.clone(),
            failed.status.map(|status| status.to_string()).unwrap_or_default(),
            failed.attempts.to_string(),
            show::age(&failed.at, now),
            format!("{}{said}", failed.reason),
        ]
    };
    let header = ["id", "failed request", "status", ">attempts", "when", "why"];
    table(&header, &failures.iter().map(line).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{FailedRequest, SetAside};

    #[test]
    fn what_is_open_is_counted_and_listed() {
        let now = "2026-01-01T00:05:00Z".parse().unwrap();
        let share = Share {
            requests: 10_002,
            failed: 1,
            rows: 1_000,
            set_aside: SetAside::from([("orders_quarantine".to_owned(), 12)]),
            ..Share::default()
        };
        let failed = FailedRequest {
            id: "17".to_owned(),
            request: "GET /orders?page=17".to_owned(),
            status: Some(500),
            reason: "the server answers 500".to_owned(),
            excerpt: Some("out of memory".to_owned()),
            attempts: 5,
            at: "2026-01-01T00:02:00Z".to_owned(),
        };
        let failure = Failure { stream: "orders".to_owned(), failed, run_id: "r1".to_owned(), closed_at: None };
        let wanted = "
orders: 1 of 10,002 requests are open, 99.990 % succeeded; `tidemark retry orders` asks again

orders: 12 of 1,000 rows are in orders_quarantine, 98.8 % are where they belong

id  failed request       status  attempts  when       why
17  GET /orders?page=17  500            5  3 min ago  the server answers 500: out of memory
";
        assert_eq!(in_words("orders", Some(&share), &[failure], now), wanted);
        let whole = Share { requests: 7, ..Share::default() };
        assert_eq!(in_words("orders", Some(&whole), &[], now), "\norders: 7 requests succeeded: 100 %\n");
        assert_eq!(in_words("orders", Some(&Share::default()), &[], now), "");
    }
}
