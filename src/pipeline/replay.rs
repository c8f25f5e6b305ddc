//! A run that is answered out of a file, into a folder of its own: what `tidemark run --replay` does.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::plan::Plan;
use super::{Observer, Request, Stop, StreamReport, record, run_plan};
use crate::config::{Config, Section};
use crate::error::{Error, Result};
use crate::source::{self, Exchange};
use crate::{destination, job_log};

/// The kind of the destination that stands in place of the stream's own.
const LOCAL: &str = "local";

/// Says in a folder that nothing there is real: only such a one, or one that is empty, is written to.
const MARK: &str = "replayed.txt";
const MARK_TEXT: &str = "Made by `tidemark run --replay`: what is here was read out of a recording, and perhaps meets faults by choice. \
                         It is nobody's data. This folder can be deleted.\n";

/// Out of which file, and into which folder.
#[derive(Debug, Clone)]
pub struct Replay {
    /// As `tidemark record` made it.
    pub file: PathBuf,
    /// Gets what the destination would get, and a job log.
    pub into: PathBuf,
    /// Which requests fail all the same: `429 10%, reset 5%, seed 7`.
    pub faults: Option<String>,
}

/// Runs the one stream that `request` names. Neither its server nor its destination nor the job log is asked for anything, and
/// what says who we are to them need not be set: a file that was loaded to look is enough.
///
/// Fails itself for what concerns the file, the faults or the folder, before it makes anything.
pub async fn replay(
    mut config: Config,
    request: &Request,
    replay: &Replay,
    observer: Arc<dyn Observer>,
    stop: Stop,
) -> Result<Vec<StreamReport>> {
    let [name] = &request.streams[..] else {
        return Err(Error::config("--replay runs one stream: name it, as it was recorded"));
    };
    let section = record::section(&config, name)?;
    config.pipeline.have_all()?;
    section.section.have_all()?;
    let (kind, source) = &config.sources[&section.source];
    let exchange = Exchange::Replay { file: replay.file.clone(), faults: replay.faults.clone() };
    drop(source::make(kind, source, Some(&exchange))?);
    let (destination, into) = (section.destination.clone(), folder(&replay.into)?);
    let local = Section::of_kind(destination::kind(LOCAL)?, &[("path", &into)])?;
    config.destinations.insert(destination, (LOCAL.to_owned(), local));
    config.job_log = Section::of_kind(&job_log::KIND, &[("url", &format!("sqlite:{into}/tidemark.db"))])?;
    run_plan(&Plan::of(&config, request)?.over(exchange), observer, stop).await
}

/// Makes the folder where it is not there, and marks it; its absolute path. One that has anything but earlier replays is left
/// as it is: what was recorded must not come among what is real.
fn folder(path: &Path) -> Result<String> {
    let refused = |error: &std::io::Error| {
        let message = format!("{}: {error}", path.display());
        match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::denied(message),
            _ => Error::config(message),
        }
    };
    std::fs::create_dir_all(path).map_err(|error| refused(&error))?;
    let is_marked = path.join(MARK).try_exists().map_err(|error| refused(&error))?;
    let is_empty = || std::fs::read_dir(path).map(|mut files| files.next().is_none());
    if !is_marked && !is_empty().map_err(|error| refused(&error))? {
        return Err(Error::config(format!("{} holds other files than a replay's", path.display())).hint(
            "Name a new or an empty folder with --into DIR, so that nothing recorded comes among what is real.",
        ));
    }
    std::fs::write(path.join(MARK), MARK_TEXT).map_err(|error| refused(&error))?;
    let whole = std::path::absolute(path).map_err(|error| refused(&error))?;
    whole.to_str().map(str::to_owned).ok_or_else(|| Error::config(format!("{} is no UTF-8", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_with_anything_else_are_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let new = parent.path().join("a/b");
        for _ in 0..2 {
            assert_eq!(folder(&new).unwrap(), new.to_str().unwrap());
            std::fs::write(new.join("tidemark.db"), "").unwrap();
        }
        let real = parent.path().join("lake");
        std::fs::create_dir_all(real.join("orders")).unwrap();
        assert!(folder(&real).unwrap_err().message().contains("other files"));
        assert_eq!(std::fs::read_dir(&real).unwrap().count(), 1);
        std::fs::write(parent.path().join("file"), "").unwrap();
        assert!(folder(&parent.path().join("file")).is_err());
    }
}
