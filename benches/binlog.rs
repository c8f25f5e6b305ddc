//! How fast a server's log becomes Arrow: `cargo bench --bench binlog -- [ROWS] [mysql | mariadb]`.
//!
//! The servers are those of the live tests, by the same variables. It makes a table of 10 columns, and reads the log of its
//! insertion; then the log of so many fifths of transactions of one row.

#[cfg(feature = "mysql")]
mod bench {
    use std::time::{Duration, Instant};

    use mysql_async::prelude::Queryable;
    use tidemark::config::{Key, Section};
    use tidemark::error::Result;
    use tidemark::source::mysql::binlog::{self, Event, Image, Layout, Maps, Options, Room, Start};
    use tidemark::source::{STREAM_KEYS, Selection, maker};

    const BATCH_ROWS: usize = 8192;

    pub async fn run(rows: usize, server: &str) -> Result<()> {
        let url =
            std::env::var(format!("TIDEMARK_TEST_{}", server.to_uppercase())).expect("a server: tests/servers/up.sh");
        let mut conn = mysql_async::Conn::from_url(&url).await.expect("a connection");
        let mut sql = async |sql: String| conn.query_drop(&sql).await.expect("a statement");
        sql("drop table if exists t10".to_owned()).await;
        sql("create table t10 (id bigint primary key, a int, b bigint, price decimal(12,2), d double, name varchar(40), \
             note varchar(100), at datetime(6), day date, ok bool)"
            .to_owned())
        .await;
        let from = end(&url, server).await;
        sql("begin".to_owned()).await;
        for part in (0..rows).step_by(5000) {
            let row = |id: usize| {
                format!(
                    "({id}, {}, {}, {}.{:02}, {}.5, 'name of {id}', {}, '2024-01-02 03:04:05.{:06}', '2024-05-0{}', {})",
                    id % 1000,
                    if id.is_multiple_of(5) { "null".to_owned() } else { (id * 31).to_string() },
                    id % 100_000,
                    id % 100,
                    id % 777,
                    if id.is_multiple_of(3) {
                        "null".to_owned()
                    } else {
                        format!("'a note that is somewhat longer, {id}'")
                    },
                    id % 1_000_000,
                    id % 9 + 1,
                    id % 2
                )
            };
            let values: Vec<_> = (part..(part + 5000).min(rows)).map(row).collect();
            sql(format!("insert into t10 values {}", values.join(", "))).await;
        }
        sql("commit".to_owned()).await;
        for _ in 0..3 {
            read(&url, from.clone()).await?;
        }
        let from = end(&url, server).await;
        for id in 0..rows / 5 {
            sql(format!("update t10 set a = a + 1 where id = {id}")).await;
        }
        for _ in 0..3 {
            read(&url, from.clone()).await?;
        }
        Ok(())
    }

    async fn end(url: &str, server: &str) -> Start {
        let mut conn = mysql_async::Conn::from_url(url).await.expect("a connection");
        let sql = if server == "mysql" { "show binary log status" } else { "show master status" };
        let row: mysql_async::Row = conn.query_first(sql).await.expect("a statement").expect("a log");
        Start::File { file: row.get(0).expect("a name"), position: row.get(1).expect("a position") }
    }

    async fn read(url: &str, start: Start) -> Result<()> {
        let section = Section::of_kind(&maker("mysql")?.kind, &[("url", url)])?;
        let policies = maker("mysql")?.kind.stream_keys;
        let keys: Vec<&'static Key> = STREAM_KEYS.iter().chain(policies).collect();
        let selection = Selection::of("s", &Section::of_keys("stream s", keys, &[("table", "t10")])?, None)?;
        let source = (maker("mysql")?.make)(&section)?;
        let stream = source.streams(&[selection]).await?.streams.remove(0);
        let (definition, sets) = binlog::define(&section, &stream).await?;
        let options = Options {
            server_id: 900_001,
            uuid: uuid::Uuid::now_v7(),
            start,
            heartbeat: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            ends: true,
        };
        let begin = (Instant::now(), cpu());
        let mut log = binlog::open(&section, &options).await?;
        let (mut maps, mut room, mut cells) = (Maps::default(), Room::default(), definition.cells());
        let (mut rows, mut waiting, mut bytes, mut transactions) = (0usize, 0, 0u64, 0u64);
        while let Some(entry) = log.next().await? {
            bytes += u64::from(entry.header.size);
            match entry.event {
                Event::TableMap(map) if !maps.knows(&map) => {
                    let layout = if map.name == b"t10" { map.read().ok() } else { None };
                    let layout = layout.map(|map| Layout::of(&map, &definition, &sets)).transpose()?;
                    maps.learn(&map, layout);
                }
                Event::Rows(event) => {
                    let Some(Some(layout)) = maps.get_mut(event.table) else { continue };
                    let mut event = layout.rows(event, &mut room)?;
                    while event.advance()? {
                        event.append(Image::After, &mut cells)?;
                        (rows, waiting) = (rows + 1, waiting + 1);
                    }
                }
                Event::Xid(_) => transactions += 1,
                _ => {}
            }
            if waiting >= BATCH_ROWS {
                waiting = 0;
                cells.iter_mut().for_each(|cells| drop(cells.finish()));
            }
        }
        let (wall, cpu) = (begin.0.elapsed().as_secs_f64(), cpu() - begin.1);
        println!(
            "{rows} rows, {transactions} transactions, {:.0} MB: {wall:.2} s, {cpu:.2} CPU s, {:.0} rows/s, {:.0} MB/s",
            bytes as f64 / 1e6,
            rows as f64 / wall,
            bytes as f64 / 1e6 / wall
        );
        Ok(())
    }

    /// CPU seconds of this process, where the system tells them.
    fn cpu() -> f64 {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
        (ticks(11) + ticks(12)) / 100.0
    }
}

fn main() {
    #[cfg(feature = "mysql")]
    {
        let words: Vec<_> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
        let rows = words.iter().find_map(|word| word.parse().ok()).unwrap_or(1_000_000);
        let server = if words.iter().any(|word| word == "mariadb") { "mariadb" } else { "mysql" };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        if let Err(error) = runtime.expect("a runtime").block_on(bench::run(rows, server)) {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
