//! The command line, as it is written: nothing here looks at the environment, a file or the time.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Parser, Subcommand, ValueEnum};

use crate::record::Mode;

/// Copies tables into files that data platforms load, exactly once.
#[derive(Debug, Parser)]
#[command(name = "tidemark", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Args {
    /// The configuration [default: $TIDEMARK_CONFIG, or pipeline.conf]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How logs and progress are written to standard error
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Say more; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run streams; the last line of standard output sums up in JSON
    Run(Run),
    /// Ask again for exactly what failed of a stream, and close it; the last line of standard output sums up in JSON
    Retry(Retry),
    /// Keep what an API answers a stream in a file, without credentials, for `run --replay`; write nothing else
    Record(Record),
    /// Show what a run would do, with estimates and the exact SQL; write nothing
    Plan(Plan),
    /// Try the file, each connection, grant and destination; show how each column will arrive
    Check(Check),
    /// Show the job log: state, rows and high-water mark of each stream
    Status(Status),
    /// List the live files of a stream, one path or URL a line
    Files(Files),
    /// Try it out on a small shop made here: no server, no network, no configuration
    Demo(Demo),
    /// Write the reference of the configuration and an example
    Docs(Docs),
}

#[derive(Debug, clap::Args)]
pub struct Run {
    /// Streams to run, by name or pattern (`*` and `?`); all where none is named
    #[arg(value_name = "STREAM")]
    pub streams: Vec<String>,
    /// How to read, `full` or `incremental`, in place of the streams' own `mode` [default: $RUN_TYPE]
    #[arg(long, value_parser = mode())]
    pub mode: Option<Mode>,
    /// Run parts of this plan, as `tidemark plan --json` printed it; `-` reads it from standard input
    #[arg(long, value_name = "FILE", requires = "part", conflicts_with_all = ["streams", "mode", "take_over", "adopt_destination"])]
    pub plan: Option<PathBuf>,
    /// Which parts, by number: `3`, or `3,7-9`
    #[arg(long, value_name = "PARTS", requires = "plan")]
    pub part: Option<Parts>,
    /// Open streams that a process with another job log seems to hold
    #[arg(long)]
    pub take_over: bool,
    /// Where the job log knows of more than the destination holds, believe the destination
    #[arg(long)]
    pub adopt_destination: bool,
    /// Load all of it anew: an unfinished load is given up, an incremental stream and a change log begin again with all rows
    #[arg(long)]
    pub full_refresh: bool,
    /// Follow change logs (`mode = cdc`) until the run is stopped, in place of their end
    #[arg(long, conflicts_with = "plan")]
    pub continuous: bool,
    /// Read this table of a change log from its beginning again, while the log goes on; may be given several times
    #[arg(long, value_name = "TABLE", requires = "streams", conflicts_with_all = ["plan", "full_refresh", "mode"])]
    pub snapshot: Vec<String>,
    /// Read the rows of an incremental stream again whose cursor is at least this, without moving its mark. Of a change log that has
    /// no position: where it begins
    #[arg(long, value_name = "VALUE", requires = "streams", conflicts_with_all = ["plan", "full_refresh", "mode"])]
    pub from: Option<String>,
    /// The same for rows whose cursor is less than this; up to the mark where it is not given
    #[arg(long, value_name = "VALUE", requires = "streams", conflicts_with_all = ["plan", "full_refresh", "mode"])]
    pub until: Option<String>,
    /// Cut what is read again into windows of this size (`1d`, or a number), which are read side by side
    #[arg(long, value_name = "STEP", requires = "streams", conflicts_with_all = ["plan", "full_refresh", "mode"])]
    pub step: Option<String>,
    /// Answer the requests of an API's stream out of this file, as `tidemark record` made it, in place of the server
    #[arg(
        long,
        value_name = "FILE",
        requires = "streams",
        conflicts_with_all = ["plan", "take_over", "adopt_destination", "continuous", "snapshot", "from", "until", "step"]
    )]
    pub replay: Option<PathBuf>,
    /// Where a replay goes: a folder that gets what the stream's destination would get, and a job log
    #[arg(long, value_name = "DIR", requires = "replay")]
    pub into: Option<PathBuf>,
    /// Faults that a replay meets, each with its share of the requests: `429 10%, reset 5%, seed 7`
    #[arg(long, value_name = "FAULTS", requires = "replay")]
    pub faults: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct Retry {
    /// Streams whose failed requests are asked for again, by name or pattern (`*` and `?`)
    #[arg(value_name = "STREAM", required = true)]
    pub streams: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct Record {
    /// The stream to read from its beginning
    pub stream: String,
    /// The file to make, which must not be there yet
    pub file: PathBuf,
    /// Keep this many pages at most: a replay takes what lies behind them for nothing
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub pages: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub struct Plan {
    /// Streams to plan, by name or pattern (`*` and `?`); all where none is named
    #[arg(value_name = "STREAM")]
    pub streams: Vec<String>,
    /// How to read, in place of the streams' own `mode`
    #[arg(long, value_parser = mode())]
    pub mode: Option<Mode>,
    /// Show what `tidemark run --full-refresh` would do
    #[arg(long)]
    pub full_refresh: bool,
    /// Print JSON, for `tidemark run --plan`
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct Check {
    /// Streams to check, with their sources and destinations, by name or pattern (`*` and `?`); all where none is named
    #[arg(value_name = "STREAM")]
    pub streams: Vec<String>,
    /// Make what a stream of changes needs at its source and is missing there: a replication slot, a publication
    #[arg(long)]
    pub create: bool,
}

/// Numbers of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts(pub BTreeSet<usize>);

impl FromStr for Parts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` names no parts: write numbers and ranges, such as `3` or `3,7-9`");
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|number| *number < MOST_PARTS);
        let mut parts = BTreeSet::new();
        for piece in text.split(',') {
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
            if first > last {
                return Err(wrong());
            }
            parts.extend(first..=last);
        }
        Ok(Self(parts))
    }
}

/// A range is written out before anybody looks at how many parts there are.
const MOST_PARTS: usize = 10_000_000;

#[derive(Debug, clap::Args)]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Only this stream, or those that match the pattern
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,
    /// Show the last N runs of each stream
    #[arg(long, value_name = "N")]
    pub runs: Option<usize>,
    /// First make the job log anew from the commit logs at the destinations; what it knows stays
    #[arg(long)]
    pub rebuild: bool,
}

#[derive(Debug, clap::Args)]
pub struct Files {
    pub stream: String,
}

#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Where to make it
    #[arg(long, value_name = "DIR", default_value = super::demo::DEFAULT_FOLDER)]
    pub dir: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Docs {
    /// The folder that gets docs/configuration.md and pipeline.conf.example
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub dir: PathBuf,
    /// Write nothing; fail if the files there are not what would be written
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// Reads a command line, program name first. What comes back as an error may be help or the version.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    Args::try_parse_from(args)
}

fn mode() -> impl TypedValueParser<Value = Mode> {
    PossibleValuesParser::new(Mode::ALL.map(Mode::name))
        .try_map(|name| Mode::parse(&name).ok_or_else(|| format!("{name} is not a mode")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<Args, clap::Error> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn reads_a_run() {
        let read = args("tidemark run orders inv_* --mode incremental -c x.conf --log-format json -vv").unwrap();
        assert_eq!((read.config, read.log_format, read.verbose), (Some("x.conf".into()), LogFormat::Json, 2));
        let Command::Run(run) = read.command else { panic!("no run") };
        assert_eq!(run.streams, ["orders", "inv_*"]);
        assert_eq!((run.mode, run.take_over), (Some(Mode::Incremental), false));
    }

    #[test]
    fn reads_parts_of_a_plan() {
        let read = |line: &str| match args(line).unwrap().command {
            Command::Run(run) => (run.plan.unwrap(), run.part.unwrap().0.into_iter().collect::<Vec<_>>()),
            _ => panic!("no run"),
        };
        assert_eq!(read("tidemark run --plan p.json --part 3"), ("p.json".into(), vec![3]));
        assert_eq!(read("tidemark run --plan - --part 7-9,3,8"), ("-".into(), vec![3, 7, 8, 9]));
        for line in ["--part 3", "--plan p", "--plan p --part x", "--plan p --part 3-", "--plan p --part 9-7"] {
            assert_eq!(args(&format!("tidemark run {line}")).unwrap_err().exit_code(), 2, "{line}");
        }
        for beside in ["orders", "--mode full", "--take-over"] {
            let line = format!("tidemark run --plan p --part 1 {beside}");
            assert_eq!(args(&line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn options_of_all_commands_may_stand_before_them() {
        let read = args("tidemark -q -c x.conf status --json --runs 3").unwrap();
        assert!(read.quiet);
        let Command::Status(status) = read.command else { panic!("no status") };
        assert_eq!((status.json, status.runs, status.stream), (true, Some(3), None));
    }

    #[test]
    fn reads_a_recording_and_its_replay() {
        let Command::Record(record) = args("tidemark record orders a.jsonl --pages 3").unwrap().command else {
            panic!("no recording")
        };
        assert_eq!((record.stream.as_str(), record.file, record.pages), ("orders", "a.jsonl".into(), Some(3)));
        let line = ["tidemark", "run", "orders", "--replay", "a.jsonl", "--into", "d", "--faults", "429 10%, reset 5%"];
        let Command::Run(run) = parse(line.map(OsString::from)).unwrap().command else { panic!("no run") };
        assert_eq!(
            (run.replay, run.into, run.faults.as_deref()),
            (Some("a.jsonl".into()), Some("d".into()), Some("429 10%, reset 5%"))
        );
        for line in [
            "record orders",
            "record orders a.jsonl --pages 0",
            "run --replay a.jsonl --into d",
            "run orders --into d",
            "run orders --faults x",
            "run orders --replay a.jsonl --into d --take-over",
        ] {
            assert_eq!(args(&format!("tidemark {line}")).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn refuses_what_is_not_there() {
        for line in [
            "tidemark run --mode ful",
            "tidemark rum",
            "tidemark files",
            "tidemark retry",
            "tidemark -q -v run",
            "tidemark",
        ] {
            let error = args(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        assert!(args("tidemark run --mode ful").unwrap_err().to_string().contains("'full'"));
        assert_eq!(args("tidemark --version").unwrap_err().exit_code(), 0);
    }
}
