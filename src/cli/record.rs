//! `tidemark record`.

use super::signals::{self, Signals};
use super::{Console, args, show};
use crate::config::Config;
use crate::error::Result;
use crate::pipeline::{self, Recorded, Stop};

/// Keeps answers until the stream ends or a signal comes, and says how many; the exit code is 0, or the signal's.
pub(super) async fn command(console: &Console, config: Result<Config>, wanted: &args::Record) -> Result<u8> {
    let config = config?;
    let (stopper, stop) = Stop::new();
    let mut signals = Signals::listen(stopper);
    let recorded = tokio::select! {
        recorded = pipeline::record(&config, &wanted.stream, &wanted.file, wanted.pages, stop) => recorded?,
        signal = signals.second() => return Ok(signals::exit_code(signal)),
    };
    console.print(&report(&recorded, wanted));
    Ok(signals.first().map_or(0, signals::exit_code))
}

fn report(recorded: &Recorded, wanted: &args::Record) -> String {
    let Recorded { answers, records, bytes } = *recorded;
    let (answers, records, bytes) = (show::of(answers, "answer"), show::of(records, "record"), show::bytes(bytes));
    let (stream, file) = (&wanted.stream, wanted.file.display());
    format!(
        "{file}: {answers}, {records}, {bytes}\n\
         It has no credentials. The records in it are as the server gave them, whatever `mask.` keys say: keep it as you keep those.\n\
         `tidemark run {stream} --replay {file} --into DIR` runs from it.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_much_there_is() {
        let wanted = args::Record { stream: "orders".to_owned(), file: "a.jsonl".into(), pages: None };
        let shown = report(&Recorded { answers: 11, records: 1000, bytes: 1536 }, &wanted);
        assert!(shown.starts_with("a.jsonl: 11 answers, 1,000 records, 1.5 KiB\n"), "{shown}");
        assert!(shown.ends_with("`tidemark run orders --replay a.jsonl --into DIR` runs from it.\n"), "{shown}");
    }
}
