//! The part of the demo that reads an API: serves it, runs `reviews.conf` against it, and counts what has arrived.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::api::{Api, REVIEWS};
use super::command::described;
use super::refused;
use crate::cli::summary::Summary;
use crate::cli::{Console, run, show};
use crate::config::{Config, Environment};
use crate::error::{Error, Result};
use crate::pipeline::{self, Request};

/// The file beside the shop's `pipeline.conf`.
const CONFIG: &str = "reviews.conf";
const TEXT: &str = include_str!("reviews.conf");
const STREAM: &str = "reviews";

/// Runs it, says what happened, and gives what it came to. A `reviews.conf` that is there already is left as it is.
pub async fn run(console: &Console, folder: &Path) -> Result<Summary> {
    let path = folder.join(CONFIG);
    if !path.try_exists().map_err(|e| refused(&path, &e))? {
        std::fs::write(&path, TEXT).map_err(|e| refused(&path, &e))?;
    }
    let api = Api::start().await?;
    let url = api.url();
    let environment = Environment::of([("REVIEWS_URL", url.as_str())]);
    let config = || Config::load(&path, &pipeline::registry(), &environment);
    let read = config()?;
    console.print(&format!(
        "\nServing a small API at {url}, for as long as it is read. Running {}, which reads it:\n\n",
        path.display()
    ));
    let summary = run::run(console, read, Request::default()).await;
    console.print(&format!("\n{}", described(&summary)));
    if summary.exit_code == 0 {
        let (seen, records) = (api.seen(), arrived(&config()?).await?);
        let (requests, waits, records) = (show::count(seen.requests), show::count(seen.refused), show::count(records));
        console.print(&format!(
            "\nOf {requests} requests, {waits} met 429 (Too Many Requests): the run waited for as long as the server asked, and \
             went on.\n{records} reviews are in the files, each once.\n"
        ));
    }
    Ok(summary)
}

/// How many records the live files have, where they are exactly those of the API.
async fn arrived(config: &Config) -> Result<u64> {
    #[derive(Deserialize)]
    struct Record {
        id: u64,
    }
    let (mut ids, mut lines) = (BTreeSet::new(), 0);
    for file in pipeline::files(config, STREAM).await? {
        let text = std::fs::read_to_string(&file).map_err(|e| refused(Path::new(&file), &e))?;
        for line in text.lines() {
            let read = serde_json::from_str(line);
            let record: Record = read.map_err(|_| Error::bug(format!("{file} has a line without an id")))?;
            ids.insert(record.id);
            lines += 1;
        }
    }
    match ids.iter().copied().eq(1..=REVIEWS) && lines == REVIEWS {
        true => Ok(lines),
        false => Err(Error::bug(format!(
            "the API has {REVIEWS} reviews, and the files have {lines}, {} of them different",
            ids.len()
        ))),
    }
}
