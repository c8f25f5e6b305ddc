//! Incremental runs that take longer than one statement may, whatever the server.

use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use tidemark::record::{Checkpoint, Event};
use tidemark::source::Reader;

/// What is changed while a run reads, ahead of it: a row stays where it is, one moves behind the bound, one goes.
fn changes(table: &str) -> String {
    format!(
        "update {table} set changed = 1 where id = 200; delete from {table} where id = 190;
         update {table} set at = '2024-06-01', n = 1000 where id = 180"
    )
}

/// A run at a destination that is slow, with `meddle` in it once the first rows are there: ids and whether they are as
/// changed, how many checkpoints came, and the last one.
async fn slowly(mut reader: Box<dyn Reader>, meddle: impl Future<Output = ()>) -> (Vec<(i64, i32)>, usize, Checkpoint) {
    let (mut rows, mut checkpoints, mut last, mut meddle) = (Vec::new(), 0, None, Some(meddle));
    while let Some(event) = reader.next().await.unwrap() {
        match event {
            Event::Rows(batch) if batch.batch.num_rows() > 0 => {
                let ids = batch.batch.column(0).as_primitive::<Int64Type>().values().to_vec();
                rows.extend(ids.into_iter().zip(batch.batch.column(1).as_primitive::<Int32Type>().values().to_vec()));
                if let Some(meddle) = meddle.take() {
                    meddle.await;
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Event::Rows(_) => {}
            Event::Checkpoint(checkpoint) => {
                checkpoints += 1;
                last = Some(checkpoint);
            }
        }
    }
    (rows, checkpoints, last.unwrap())
}

/// Of the tables `by_time`, `by_number` and `keyless`, each of 200 large rows with the columns `id`, `changed`, `at` and
/// `n`: ten rows have a time, and a number, in common.
pub async fn reads_no_longer_than_it_may(
    open: impl AsyncFn(&[(&str, &str)], Option<&Checkpoint>) -> Box<dyn Reader>,
    run: impl AsyncFn(String),
) {
    let limit = ("max_query_time", "200ms");
    for (table, keys) in [
        ("by_time", vec![("cursor", "at")]),
        // All rows are read again by the next run, so that no place among them is a checkpoint, and a statement ends there.
        ("by_number", vec![("cursor", "n"), ("lookback", "1000")]),
    ] {
        let keys = [vec![("table", table), limit], keys].concat();
        let reader = open(&keys, None).await;
        let (rows, checkpoints, end) = slowly(reader, run(changes(table))).await;
        let ids: Vec<_> = rows.iter().map(|(id, _)| *id).collect();
        let wanted: Vec<_> = (1..=200).filter(|id| ![180, 190].contains(id)).collect();
        assert_eq!(ids, wanted, "{table}: each once, in order, and what moved behind the bound is the next run's");
        assert_eq!(rows.last(), Some(&(200, 1)), "{table}: a later statement has read it");
        assert_eq!(checkpoints == 1, table == "by_number", "{table}: {checkpoints}");
        let (rows, ..) = slowly(open(&keys, Some(&end)).await, async {}).await;
        assert_eq!(rows, [(180, 0)], "{table}");
    }
    // Behind no row of such a table another statement can go on: one reads on, and what it reads is of one moment.
    let keys = [("table", "keyless"), limit, ("cursor", "at")];
    let reader = open(&keys, None).await;
    let (mut rows, _, end) = slowly(reader, run(changes("keyless"))).await;
    rows.sort_unstable();
    assert_eq!(rows, (1..=200).map(|id| (id, 0)).collect::<Vec<_>>());
    let (rows, ..) = slowly(open(&keys, Some(&end)).await, async {}).await;
    assert_eq!(rows, [(180, 0)]);
}
