//! What `tidemark check` and `tidemark files` look at, without reading rows.

use std::sync::Arc;

use super::Request;
use super::checks::Writers;
use super::plan::{Places, Plan, make_source, names_stream};
use crate::config::{Config, StreamSection};
use crate::destination::memory::Memory;
use crate::error::{Error, Result};
use crate::record::{StreamId, field};
use crate::source::{Listing, Selection, Source};

/// What `check` found about one section.
#[derive(Debug, Clone)]
pub struct Finding {
    /// As between the brackets.
    pub section: String,
    /// Sentences about what works, or what does not.
    pub result: Result<Vec<String>>,
    /// How each column will arrive, of a stream.
    pub columns: Vec<ColumnReport>,
}

#[derive(Debug, Clone)]
pub struct ColumnReport {
    pub table: String,
    pub column: String,
    /// The source's own type.
    pub native: String,
    /// Arrow's.
    pub arrow: String,
}

/// Tries each part of a configuration: the job log, every destination, every source and stream.
pub async fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let job_log = async { crate::job_log::of(&config.job_log)?.check().await };
    let result = job_log.await.map(|what| vec![what]);
    findings.push(Finding { section: "job_log".to_owned(), result, columns: Vec::new() });
    let mut places = Places::default();
    for name in config.destinations.keys() {
        let result = check_destination(config, &mut places, name).await;
        findings.push(Finding { section: format!("destination {name}"), result, columns: Vec::new() });
    }
    let mut writers = Writers::of(config);
    for name in config.sources.keys() {
        findings.extend(check_source(config, &mut writers, name).await);
    }
    findings
}

async fn check_destination(config: &Config, places: &mut Places, name: &str) -> Result<Vec<String>> {
    places.of(config, name)?.probe().await?;
    Ok(vec!["can be written, and refuses to create the same object twice".to_owned()])
}

async fn check_source(config: &Config, writers: &mut Writers, name: &str) -> Vec<Finding> {
    let of = |section: String, result| Finding { section, result, columns: Vec::new() };
    let connected = async {
        let source = make_source(config, name)?;
        source.identity().await?;
        Ok(source)
    };
    let source = match connected.await {
        Ok(source) => source,
        Err(error) => return vec![of(format!("source {name}"), Err(error))],
    };
    let mut findings = vec![of(format!("source {name}"), Ok(vec!["can be reached".to_owned()]))];
    for section in config.streams.iter().filter(|stream| stream.source == name) {
        match check_stream(config, writers, section, &source).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(of(format!("stream {}", section.name), Err(error))),
        }
    }
    findings
}

/// One finding about all streams of the section that can be read, and one about each that cannot.
async fn check_stream(
    config: &Config,
    writers: &mut Writers,
    section: &StreamSection,
    source: &Arc<dyn Source>,
) -> Result<Vec<Finding>> {
    // The destination's settings too: a format that cannot be, say.
    let memory = Memory::new(config.pipeline.bytes("max_memory")?, 1);
    Places::default().of(config, &section.destination)?.destination(&section.section, &memory)?;
    let selection = Selection::of(&section.name, &section.section, None)?;
    let Listing { streams, mut refused } = source.streams(&[selection]).await?;
    let (mut notes, mut columns) = (Vec::new(), Vec::new());
    for stream in &streams {
        let description = match writers.claim_listed(section, stream) {
            Ok(()) => source.describe(stream).await,
            Err(error) => Err(error),
        };
        let description = match description {
            Ok(description) => description,
            Err(error) => {
                refused.push((stream.id.clone(), error));
                continue;
            }
        };
        let rows = stream.estimate.map(|rows| format!(", about {rows} rows")).unwrap_or_default();
        notes.push(format!("{}: reads {}{rows}", stream.id, stream.table));
        notes.extend(description.notes.into_iter().map(|note| format!("{}: {note}", stream.table)));
        columns.extend(description.table.schema.fields().iter().map(|column| ColumnReport {
            table: description.table.name.clone(),
            column: column.name().clone(),
            native: field::native(column).unwrap_or("").to_owned(),
            arrow: column.data_type().to_string(),
        }));
    }
    let mut findings = Vec::new();
    if !notes.is_empty() {
        findings.push(Finding { section: format!("stream {}", section.name), result: Ok(notes), columns });
    }
    let failed = |(id, error)| Finding { section: format!("stream {id}"), result: Err(error), columns: Vec::new() };
    findings.extend(refused.into_iter().map(failed));
    Ok(findings)
}

/// The live parts of the streams that `wanted` names: one stream, or a section with all of its streams. As absolute paths
/// or URLs.
pub async fn files(config: &Config, wanted: &str) -> Result<Vec<String>> {
    let request = Request { streams: vec![wanted.to_owned()], ..Request::default() };
    let plan = Plan::of(config, &request)?;
    let memory = Memory::new(config.pipeline.bytes("max_memory")?, 1);
    let mut files = Vec::new();
    for section in &plan.wanted {
        let place = Places::default().of(config, &section.destination)?;
        let destination = place.destination(&section.section, &memory)?;
        let ids = if section.section.is_set("tables") {
            destination.streams(&format!("{}.", section.name)).await?
        } else {
            vec![StreamId::new(section.name.clone())]
        };
        for id in ids.iter().filter(|id| names_stream(wanted, &section.name, id.name())) {
            files.extend(destination.files(id).await?);
        }
    }
    if files.is_empty() {
        return Err(Error::config(format!("stream `{wanted}` has no published files yet")).hint("Run it first."));
    }
    Ok(files)
}
