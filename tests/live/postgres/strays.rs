//! Cursors that are NaN or infinite: as good as null, since nothing ever lies behind them.

use serde_json::json;
use tidemark::error::{Error, Kind};
use tidemark::record::{Checkpoint, Event, Position};

use super::database::{Database, assert_error, only};

struct Runs<'a> {
    database: &'a Database,
    nulls: &'a str,
    after: Option<Checkpoint>,
}

impl<'a> Runs<'a> {
    fn new(database: &'a Database, nulls: &'a str) -> Self {
        Self { database, nulls, after: None }
    }

    /// How many rows come.
    async fn run(&mut self) -> Result<usize, Error> {
        let source = self.database.source();
        let keys = [
            ("table", "t"),
            ("mode", "incremental"),
            ("cursor", "v"),
            ("null_cursor", self.nulls),
            ("settle", "180s"),
            ("read_as_text", "v"),
        ];
        let stream = only(&*source, &keys).await;
        let mut reader = source.open(&stream, self.after.as_ref()).await?;
        let mut rows = 0;
        while let Some(event) = reader.next().await? {
            match event {
                Event::Rows(more) => rows += more.batch.num_rows(),
                Event::Checkpoint(checkpoint) => self.after = Some(checkpoint),
            }
        }
        Ok(rows)
    }

    fn mark(&self) -> String {
        self.after.as_ref().unwrap().position.as_value()["mark"].to_string()
    }
}

pub async fn cursors_without_a_place_hold_no_mark(server: &str) {
    let database = Database::create(server).await;
    let has_infinite = database.version().await >= 14;
    for of in ["float8", "float4", "numeric", "numeric(10,2)"] {
        let strays: &[&str] = match of {
            "numeric(10,2)" => &["NaN"],
            "numeric" if !has_infinite => &["NaN"],
            _ => &["NaN", "Infinity", "-Infinity"],
        };
        database.run(&format!("drop table if exists t; create table t (id int primary key, v {of} not null)")).await;
        database.run("insert into t values (1, 1.5), (2, 2.5); create index on t (v)").await;
        for (id, stray) in strays.iter().enumerate() {
            database.run(&format!("insert into t values ({}, '{stray}')", 10 + id)).await;
        }
        let (mut skips, mut reads) = (Runs::new(&database, "skip"), Runs::new(&database, "read"));
        assert_eq!(skips.run().await.unwrap(), 2, "{of}");
        assert!(skips.mark().starts_with("[\"2.5"), "{of}: {}", skips.mark());
        assert_eq!(reads.run().await.unwrap(), 2 + strays.len(), "{of}");
        database.run("insert into t values (3, 3.5)").await;
        assert_eq!((skips.run().await.unwrap(), skips.run().await.unwrap()), (1, 0), "{of}: the mark moves");
        assert_eq!(reads.run().await.unwrap(), 1 + strays.len(), "{of}");
        let error = Runs::new(&database, "error").run().await.unwrap_err();
        assert_error(&error, Kind::Data, &["cursor that is null, NaN or infinite: v", "`null_cursor = skip`"]);

        // A mark that was made before this was known.
        let frozen = Position::new(json!({ "cursor": "v", "mark": [strays[0]] }));
        skips.after = Some(frozen.into());
        let error = skips.run().await.unwrap_err();
        assert_error(&error, Kind::Data, &["the mark of the cursor v is NaN or infinite", "--full-refresh"]);
    }
}
