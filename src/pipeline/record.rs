//! A stream is read to nobody, for what its server answers: what `tidemark record` does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Stop, names};
use crate::config::{Config, StreamSection};
use crate::error::{Error, Result};
use crate::record::Event;
use crate::source::{self, Exchange, Listing, Reel, Selection, Source};

/// How long what is under way at a stop may take: what is kept then is whole up to there.
const GRACE: Duration = Duration::from_secs(10);

/// What was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    pub answers: u64,
    /// In those of the answers that are pages.
    pub records: u64,
    /// Of the file.
    pub bytes: u64,
}

/// Reads the stream of this name from its beginning, as its first run would, and keeps each answer in `file`: of so many pages
/// at most, and up to a stop. Writes nothing else: neither to a destination nor to the job log.
///
/// Fails with `Config` where the file is there already, or the stream's source is none whose answers can be kept. The file of
/// a reading that fails has what was answered until then.
pub async fn record(config: &Config, name: &str, file: &Path, pages: Option<u64>, stop: Stop) -> Result<Recorded> {
    let section = section(config, name)?;
    let (kind, source) = &config.sources[&section.source];
    let reel = Arc::new(Reel::of(pages));
    let exchange = Exchange::Record { file: file.to_owned(), reel: reel.clone() };
    let source = source::make(kind, source, Some(&exchange))?;
    let read = read(&*source, section, &reel, stop).await;
    if read.is_err() && reel.answers() == 0 {
        // It is ours, and has nothing: the next try is not to find it in its way. What went wrong before says more.
        let _ = std::fs::remove_file(file);
    }
    Ok(Recorded { records: read?, answers: reel.answers(), bytes: reel.bytes() })
}

/// The section of the one stream that is named.
pub fn section<'c>(config: &'c Config, name: &str) -> Result<&'c StreamSection> {
    names::refuse_unlisted(config, &[name.to_owned()])?;
    config
        .streams
        .iter()
        .find(|section| section.name == name)
        .ok_or_else(|| Error::config(format!("`{name}` is not the name of one [stream], and a recording is of one")))
}

async fn read(source: &dyn Source, section: &StreamSection, reel: &Reel, mut stop: Stop) -> Result<u64> {
    let selection = Selection::of(&section.name, &section.section, None)?;
    let Listing { streams, refused } = source.streams(&[selection]).await?;
    if let Some((_, error)) = refused.into_iter().next() {
        return Err(error);
    }
    let stream =
        streams.first().ok_or_else(|| Error::bug(format!("stream {}: its source lists none", section.name)))?;
    let mut reader = source.open(stream, None).await?;
    let (mut records, mut end) = (0, None);
    loop {
        tokio::select! {
            event = reader.next() => match event? {
                Some(Event::Rows(rows)) => records += rows.batch.num_rows() as u64,
                Some(Event::Checkpoint(_)) => {}
                None => return Ok(records),
            },
            () = stop.requested(), if end.is_none() => {
                reel.stop();
                end = Some(Instant::now() + GRACE);
            }
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => return Ok(records),
        }
    }
}
