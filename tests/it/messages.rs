//! What an error says by the time it has come through the pipeline.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};
use async_trait::async_trait;
use serde_json::{Value, json};
use tidemark::config::Section;
use tidemark::destination::files::stores::memory::Memory as MemoryStore;
use tidemark::destination::files::{Files, Settings};
use tidemark::destination::memory::Memory;
use tidemark::error::{Error, Result};
use tidemark::format;
use tidemark::pipeline::{Sources, run_stream};
use tidemark::record::{BatchBuilder, Checkpoint, Datum, Event, Mode, Rows, Table};
use tidemark::source::{Description, Listing, Reader, Selection, Source, Stream};

use crate::memory_log::MemoryLog;
use crate::script::{Script, session};

/// A source whose one event is what the function gives.
#[derive(Clone, Copy)]
struct Gives(fn() -> Result<Event>);

impl Sources for Gives {
    fn source(&self, _: u32) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(*self))
    }
}

#[async_trait]
impl Source for Gives {
    async fn identity(&self) -> Result<Value> {
        Ok(json!("script"))
    }

    async fn streams(&self, _: &[Selection]) -> Result<Listing> {
        Ok(Listing::default())
    }

    async fn describe(&self, _: &Stream) -> Result<Description> {
        Ok(Description { table: Script::tables()[0].clone(), notes: Vec::new() })
    }

    async fn open(&self, _: &Stream, _: Option<&Checkpoint>) -> Result<Box<dyn Reader>> {
        Ok(Box::new(*self))
    }
}

#[async_trait]
impl Reader for Gives {
    async fn next(&mut self) -> Result<Option<Event>> {
        (self.0)().map(Some)
    }
}

/// The error of a run into CSV files.
async fn error_of(mode: Mode, gives: fn() -> Result<Event>) -> Error {
    let section = Section::of_keys("stream s", format::KEYS.iter().collect(), &[("format", "csv")]).unwrap();
    let format = format::format(&section).unwrap();
    let settings = Settings { format, part_bytes: 1 << 20, keep_generations: 1, memory: Memory::new(128 << 20, 1) };
    let destination = Arc::new(Files::new(Arc::new(MemoryStore::new()), settings));
    let session = session("s", mode, destination, &MemoryLog::new(), "run");
    run_stream(session, &Gives(gives), 0).await.error.unwrap()
}

#[tokio::test]
async fn the_table_is_named_once() {
    for mode in [Mode::Full, Mode::Incremental, Mode::Cdc] {
        let misfit = error_of(mode, || {
            let mut builder = BatchBuilder::new(Script::tables()[0].clone())?;
            builder.row(&[Datum::Text("x")])?;
            Ok(Event::Rows(builder.finish()?))
        });
        let want = "table a, column n: a text does not fit Int64 exactly (row 1 of its batch)";
        assert_eq!(misfit.await.message(), want, "{mode}");
    }
    let unknown = error_of(Mode::Full, || {
        let schema = Schema::new(vec![Field::new("d", DataType::Date64, true)]);
        Ok(Event::Rows(Rows::none(Arc::new(Table::new("a", Arc::new(schema), Vec::new())))))
    });
    assert_eq!(unknown.await.message(), "table a: column d: no source column becomes Arrow's Date64");
}
