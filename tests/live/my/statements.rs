//! One statement of an incremental run reads no longer than `max_query_time`.

use super::{Server, heavy, selection};
use crate::statements;

const FILL: &str = "
create table by_time (id bigint primary key, changed int not null, at datetime(6) not null, n int not null, pad longtext,
    key (at), key (n));
insert into by_time
    with recursive s (x) as (select 1 union all select x + 1 from s where x < 200)
    select x, 0, timestamp'2024-01-01 00:00:00' + interval (x div 10) second, x div 10, repeat('y', 100000) from s;
create table by_number like by_time; insert into by_number select * from by_time;
create table keyless as select * from by_time";

pub async fn an_incremental_statement_reads_no_longer_than_it_may(server: &Server) {
    let _alone = heavy().await;
    let database = server.database("statements").await;
    database.run(FILL).await;
    let source = database.source(None, &[]).unwrap();
    statements::reads_no_longer_than_it_may(
        async |keys, after| {
            let keys = [&[("mode", "incremental"), ("settle", "180s")], keys].concat();
            let stream = source.streams(&[selection(&keys)]).await.unwrap().whole().unwrap().remove(0);
            source.open(&stream, after).await.unwrap()
        },
        async |sql| database.run(&sql).await,
    )
    .await;
}
