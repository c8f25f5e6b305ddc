//! The command: makes or changes the shop, runs its pipeline as `run` does, and says what happened and what to try; the
//! same of an API.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Change, DEFAULT_FOLDER, Prepared, prepare};
use crate::cli::summary::{StreamSummary, Summary};
use crate::cli::table::table;
use crate::cli::{Console, run, show};
use crate::config::{Config, Environment};
use crate::error::{Error, Result};
use crate::job_log::{self, RunState};
use crate::pipeline::{self, Request};

/// How many runs to look back for one that was done.
const RUNS: usize = 20;

/// Gives the exit code: that of the first run that is not all done.
pub async fn command(console: &Console, folder: &Path) -> Result<u8> {
    let path = folder.to_owned();
    let prepared = tokio::task::spawn_blocking(move || prepare(&path)).await;
    let prepared = prepared.map_err(|panic| Error::bug(format!("making the demo panicked: {panic}")))??;
    // What variables say is meant for a pipeline of the user's own, which may well have a [source shop] too.
    let config = Config::load(&prepared.config, &pipeline::registry(), &Environment::of([]))?;
    let before = published(&config).await?;
    console.print(&intro(&prepared, folder));
    let summary = run::run(console, config, Request::default()).await;
    let program = std::env::args().next().unwrap_or_else(|| "tidemark".to_owned());
    console.print(&outcome(&prepared, &summary, &before));
    let exit_code = summary.exit_code;
    #[cfg(feature = "rest")]
    let exit_code = match exit_code {
        0 => super::reviews::run(console, folder).await?.exit_code,
        failed => failed,
    };
    if exit_code == 0 {
        console.print(&next(&program, folder, &prepared));
    }
    Ok(exit_code)
}

/// The rows of each stream's last run that was done.
async fn published(config: &Config) -> Result<BTreeMap<String, u64>> {
    let log = job_log::of(&config.job_log)?;
    let runs = log.runs(config.pipeline.text("name")?, None, RUNS).await?;
    let done = RunState::Done.name();
    // Newest first: an older one does not take its place.
    let mut rows = BTreeMap::new();
    for run in runs.into_iter().filter(|run| run.state == done) {
        rows.entry(run.stream).or_insert(run.rows);
    }
    Ok(rows)
}

fn intro(prepared: &Prepared, folder: &Path) -> String {
    let (folder, config) = (folder.display(), prepared.config.display());
    match prepared.first {
        true => format!(
            "Made a small shop in {folder}/shop.db, and {config}, which says what to copy where.\n\
             Running it, as `tidemark run -c {config}` does:\n\n"
        ),
        false => format!("Changed some rows of {folder}/shop.db. Running {config} again:\n\n"),
    }
}

fn outcome(prepared: &Prepared, summary: &Summary, before: &BTreeMap<String, u64>) -> String {
    let mut out = String::from("\n");
    if !prepared.first && summary.exit_code == 0 {
        let rows: Vec<_> = prepared.changes.iter().map(|change| picked_up(change, summary, before)).collect();
        out.push_str("What has changed and was picked up, in rows:\n\n");
        out.push_str(&table(&["table", ">before", ">inserted", ">updated", ">deleted", ">now"], &rows));
        out.push('\n');
    }
    out + &described(summary)
}

/// A line for each stream, and why those failed that did.
pub(super) fn described(summary: &Summary) -> String {
    let mut out = summary.table();
    for stream in &summary.streams {
        if let Some(error) = &stream.error {
            out.push_str(&format!("\n{}: {error}\n", stream.stream));
        }
    }
    out
}

/// The streams of the demo have the names of their tables.
fn picked_up(change: &Change, summary: &Summary, before: &BTreeMap<String, u64>) -> Vec<String> {
    let now = summary.streams.iter().find(|stream: &&StreamSummary| stream.stream == change.table);
    let shown = |rows: Option<u64>| rows.map_or_else(|| "–".to_owned(), show::count);
    vec![
        change.table.to_owned(),
        shown(before.get(change.table).copied()),
        show::count(change.inserted),
        show::count(change.updated),
        show::count(change.deleted),
        shown(now.map(|stream| stream.rows)),
    ]
}

fn next(program: &str, folder: &Path, prepared: &Prepared) -> String {
    let config = prepared.config.display();
    let again = match folder == Path::new(DEFAULT_FOLDER) {
        true => format!("{program} demo"),
        false => format!("{program} demo --dir {}", folder.display()),
    };
    let mut lines = vec![
        (format!("{program} status -c {config}"), "what has run, and up to where"),
        (format!("{program} files orders -c {config}"), "the live files of a stream"),
        (format!("{program} check -c {config}"), "how each column arrives"),
    ];
    let again = (again, "changes some rows, and picks them up");
    match prepared.first {
        true => lines.insert(0, again),
        false => lines.push(again),
    }
    let width = lines.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    let lines = lines.into_iter().map(|(command, about)| format!("  {command:width$}   # {about}\n"));
    format!("\nNext:\n{}", lines.collect::<String>())
}
