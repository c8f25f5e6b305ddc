//! One statement of an incremental run reads no longer than `max_query_time`.

use super::database::{Database, only};
use crate::statements;

const FILL: &str = "
CREATE TABLE by_time (id int8 PRIMARY KEY, changed int4 NOT NULL, at timestamp NOT NULL, n int4 NOT NULL, pad text);
ALTER TABLE by_time ALTER COLUMN pad SET STORAGE external;
CREATE INDEX ON by_time (at, id); CREATE INDEX ON by_time (n, id);
INSERT INTO by_time SELECT x, 0, '2024-01-01'::timestamp + (x / 10) * interval '1 second', x / 10, repeat('y', 100000)
    FROM generate_series(1, 200) AS x;
CREATE TABLE by_number (LIKE by_time INCLUDING ALL); INSERT INTO by_number SELECT * FROM by_time;
CREATE TABLE keyless AS SELECT * FROM by_time";

pub async fn an_incremental_statement_reads_no_longer_than_it_may(server: &str) {
    let database = Database::create(server).await;
    database.run(FILL).await;
    let source = database.source();
    statements::reads_no_longer_than_it_may(
        async |keys, after| {
            let stream = only(&*source, &[&[("mode", "incremental"), ("settle", "60s")], keys].concat()).await;
            source.open(&stream, after).await.unwrap()
        },
        async |sql| database.run(&sql).await,
    )
    .await;
    drop(source);
    database.wait_for_no_backend().await;
}
