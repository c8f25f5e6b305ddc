//! What a run came to: the last line of standard output, the table before it, and the exit code.

use std::time::Duration;

use serde::Serialize;

use super::{show, signals, table::table};
use crate::error::{Error, Kind};
use crate::job_log::RunState;
use crate::pipeline::StreamReport;
use crate::record::Mode;

/// The JSON object that sums up a run. Members are only ever added.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Null if the configuration could not be read.
    pub pipeline: Option<String>,
    pub state: RunState,
    pub streams: Vec<StreamSummary>,
    pub rows: u64,
    pub bytes: u64,
    pub seconds: f64,
    pub exit_code: u8,
    /// What kept the run as a whole from running.
    pub error_kind: Option<&'static str>,
    pub error: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct StreamSummary {
    pub stream: String,
    pub mode: &'static str,
    pub state: RunState,
    pub rows: u64,
    pub bytes: u64,
    pub files: u64,
    /// As JSON text, as in the job log.
    pub high_water_mark: Option<String>,
    /// How far a stream of changes was behind its source in the end: the age of the last transaction that it had, and what it
    /// had not read of the source's log. Absent where that is not known, and of tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<u64>,
    pub seconds: f64,
    pub location: Option<String>,
    /// What nobody may have meant, though all went well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
    pub error_kind: Option<&'static str>,
    pub error: Option<String>,
}

impl Summary {
    /// Of a run whose streams ended; `signal` is the one that stopped it, if one did.
    pub fn of(pipeline: &str, reports: &[StreamReport], elapsed: Duration, signal: Option<u8>) -> Self {
        Self {
            pipeline: Some(pipeline.to_owned()),
            state: state(reports),
            streams: reports.iter().map(StreamSummary::of).collect(),
            rows: reports.iter().map(|report| report.rows).sum(),
            bytes: reports.iter().map(|report| report.bytes).sum(),
            seconds: seconds(elapsed),
            exit_code: exit_code(reports, signal),
            error_kind: None,
            error: None,
        }
    }

    /// Of a run that failed as a whole.
    pub fn failed(pipeline: Option<&str>, error: &Error, elapsed: Duration) -> Self {
        let nothing = Self::of("", &[], elapsed, None);
        Self { pipeline: pipeline.map(str::to_owned), ..nothing }.because(error, error.kind().exit_code())
    }

    /// Of a run that a second signal ended with these streams done.
    pub fn killed(pipeline: &str, reports: &[StreamReport], elapsed: Duration, signal: u8) -> Self {
        let error = Error::unavailable("ended at once by a second signal");
        Self::of(pipeline, reports, elapsed, None).because(&error, signals::exit_code(signal))
    }

    fn because(self, error: &Error, exit_code: u8) -> Self {
        let kind = Some(error.kind().name());
        Self { state: RunState::Failed, exit_code, error_kind: kind, error: Some(error.to_string()), ..self }
    }

    /// One line.
    pub fn json(&self) -> String {
        // Nothing in it can fail to be JSON; if it could, a reader of the last line would still find an object there.
        let line = serde_json::to_string(self);
        format!("{}\n", line.unwrap_or_else(|_| format!("{{\"exit_code\":{}}}", self.exit_code)))
    }

    /// For people: a line for each stream.
    pub fn table(&self) -> String {
        let row = |stream: &StreamSummary| {
            vec![
                stream.stream.clone(),
                stream.mode.to_owned(),
                stream.note.map_or(stream.state.name().to_owned(), |note| format!("{}: {note}", stream.state.name())),
                show::count(stream.rows),
                show::count(stream.files),
                show::bytes(stream.bytes),
                show::duration(Duration::from_secs_f64(stream.seconds)),
                stream.high_water_mark.as_deref().map(show::position).unwrap_or_default(),
                stream.location.clone().unwrap_or_default(),
            ]
        };
        let header = ["stream", "mode", "state", ">rows", ">files", ">bytes", ">time", "high-water mark", "where"];
        table(&header, &self.streams.iter().map(row).collect::<Vec<_>>())
    }
}

impl StreamSummary {
    fn of(report: &StreamReport) -> Self {
        Self {
            stream: report.stream.to_string(),
            mode: report.mode.name(),
            state: report.state,
            rows: report.rows,
            bytes: report.bytes,
            files: report.files,
            high_water_mark: report.high_water_mark.clone(),
            lag_seconds: report.lag.map(|(seconds, _)| seconds),
            lag_bytes: report.lag.and_then(|(_, bytes)| bytes),
            seconds: seconds(report.elapsed),
            location: report.location.clone(),
            note: report.note,
            error_kind: report.error.as_ref().map(|error| error.kind().name()),
            error: report.error.as_ref().map(ToString::to_string),
        }
    }
}

/// To the millisecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

fn state(reports: &[StreamReport]) -> RunState {
    let any = |state| reports.iter().any(|report| report.state == state);
    match (any(RunState::Failed), any(RunState::Stopped)) {
        (true, _) => RunState::Failed,
        (false, true) => RunState::Stopped,
        (false, false) => RunState::Done,
    }
}

/// Of the worst failure; else, of a stream that was stopped before its end, the signal's; else 0. A change log has no
/// end, so that stopping is how it ends well.
fn exit_code(reports: &[StreamReport], signal: Option<u8>) -> u8 {
    let worst = worst(reports.iter().filter_map(|report| report.error.as_ref()));
    let cut_short = |report: &StreamReport| report.state == RunState::Stopped && report.mode != Mode::Cdc;
    match worst {
        Some(kind) if kind != Kind::Partial => kind.exit_code(),
        _ if reports.iter().any(cut_short) => signal.map_or(Kind::Unavailable.exit_code(), signals::exit_code),
        worst => worst.map_or(0, Kind::exit_code),
    }
}

/// The kind of the failure that needs a person most.
pub fn worst<'a>(errors: impl Iterator<Item = &'a Error>) -> Option<Kind> {
    errors.map(Error::kind).max_by_key(|kind| badness(*kind))
}

/// What needs a person comes before what another run may mend, and both before what is done but for a rest.
fn badness(kind: Kind) -> u8 {
    match kind {
        Kind::Partial => 0,
        Kind::Unavailable => 1,
        Kind::Data => 2,
        Kind::Schema => 3,
        Kind::Lost => 4,
        Kind::Conflict => 5,
        Kind::Denied => 6,
        Kind::Config => 7,
        Kind::Bug => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::StreamId;

    fn report(state: RunState, mode: Mode, error: Option<Error>) -> StreamReport {
        StreamReport {
            stream: StreamId::new("orders"),
            mode,
            state,
            rows: 3,
            bytes: 40,
            files: 1,
            high_water_mark: Some("{\"id\":3}".to_owned()),
            lag: None,
            elapsed: Duration::from_micros(1_234_567),
            error,
            location: None,
            note: None,
        }
    }

    fn code(reports: &[StreamReport], signal: Option<u8>) -> (RunState, u8) {
        let summary = Summary::of("shop", reports, Duration::ZERO, signal);
        (summary.state, summary.exit_code)
    }

    #[test]
    fn the_line_has_the_promised_members() {
        let summary = Summary::of("shop", &[report(RunState::Done, Mode::Full, None)], Duration::from_secs(2), None);
        assert_eq!(
            summary.json(),
            concat!(
                r#"{"pipeline":"shop","state":"done","streams":[{"stream":"orders","mode":"full","state":"done","#,
                r#""rows":3,"bytes":40,"files":1,"high_water_mark":"{\"id\":3}","seconds":1.235,"location":null,"#,
                r#""error_kind":null,"error":null}],"rows":3,"bytes":40,"seconds":2.0,"exit_code":0,"#,
                r#""error_kind":null,"error":null}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_lag_is_told_of_changes() {
        let followed = StreamReport { lag: Some((3, Some(40))), ..report(RunState::Done, Mode::Cdc, None) };
        let json = Summary::of("shop", &[followed], Duration::ZERO, None).json();
        assert!(json.contains(r#""lag_seconds":3,"lag_bytes":40,"#), "{json}");
    }

    #[test]
    fn a_failure_needs_a_person_or_only_time() {
        let failed = |error| report(RunState::Failed, Mode::Full, Some(error));
        let done = report(RunState::Done, Mode::Full, None);
        let away = failed(Error::unavailable("gone"));
        assert_eq!(code(&[done.clone(), away.clone()], None), (RunState::Failed, 75));
        assert_eq!(code(&[away.clone(), failed(Error::denied("no")), done], None), (RunState::Failed, 77));
        let partial = report(RunState::Done, Mode::Full, Some(Error::new(Kind::Partial, "some")));
        assert_eq!(code(&[partial], None), (RunState::Done, 3));
    }

    #[test]
    fn a_stop_is_an_end_for_change_logs_only() {
        let stopped = |mode| report(RunState::Stopped, mode, None);
        assert_eq!(code(&[stopped(Mode::Cdc)], Some(15)), (RunState::Stopped, 0));
        assert_eq!(code(&[stopped(Mode::Cdc), stopped(Mode::Full)], Some(15)), (RunState::Stopped, 143));
        assert_eq!(code(&[stopped(Mode::Incremental)], Some(2)), (RunState::Stopped, 130));
    }

    #[test]
    fn a_run_that_never_began_has_a_line_too() {
        let summary = Summary::failed(None, &Error::config("pipeline.conf:1: no"), Duration::ZERO);
        let line: serde_json::Value = serde_json::from_str(&summary.json()).unwrap();
        assert_eq!((&line["pipeline"], &line["state"], &line["exit_code"]), (&().into(), &"failed".into(), &2.into()));
        assert_eq!(line["error"], "pipeline.conf:1: no");
        assert_eq!(Summary::killed("shop", &[], Duration::ZERO, 2).exit_code, 130);
    }
}
