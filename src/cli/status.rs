//! `tidemark status`: the job log, by stream.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::{Console, args, failed, show, summary::worst, table::table};
use crate::config::{Config, nearest};
use crate::error::{Error, Kind, Result};
use crate::job_log::{self, Behind, Failure, Held, JobLog, Mark, RunRow, Share};
use crate::pipeline::{self, Rebuilt, is_one_below, load_under_way};
use crate::record::{StreamId, Sub};

/// The JSON object of `status --json`. Members are only ever added.
#[derive(Debug, Serialize)]
struct Report {
    pipeline: String,
    job_log: String,
    streams: Vec<Stream>,
    /// With `--rebuild` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    rebuilt: Option<Vec<Retold>>,
}

/// What `--rebuild` came to with one stream.
#[derive(Debug, Serialize)]
struct Retold {
    stream: String,
    /// How many entries its commit log has, how many runs made them, and how many of these the job log knew less of, or
    /// nothing.
    entries: u64,
    runs: u64,
    noted: u64,
    error_kind: Option<&'static str>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Stream {
    stream: String,
    /// Of the last run, as all below; null if there was none.
    mode: Option<String>,
    /// As in the job log; `never` if there was no run, `running?` if no living process holds it.
    state: String,
    /// Why a run that has no end does not run.
    why: Option<String>,
    rows: u64,
    bytes: u64,
    /// The stream's, whichever run made it.
    high_water_mark: Option<String>,
    seq: Option<u64>,
    /// How far it was behind its source when it last said so; absent of streams that say nothing of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<Lag>,
    /// How much of it came, of streams that ask by requests or set rows aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    share: Option<Share>,
    /// Its failed requests that are open, where one stream is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<Vec<Failure>>,
    updated_at: Option<String>,
    age_seconds: Option<u64>,
    error_kind: Option<String>,
    error: Option<String>,
    /// The last runs, newest first.
    runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
struct Lag {
    #[serde(flatten)]
    behind: Behind,
    age_seconds: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Run {
    #[serde(flatten)]
    row: RunRow,
    why: Option<String>,
}

pub(super) async fn command(console: &Console, config: Result<Config>, wanted: &args::Status) -> Result<u8> {
    let config = config?;
    let rebuilt = match wanted.rebuild {
        true => Some(pipeline::rebuild(&config, wanted.stream.as_deref()).await?),
        false => None,
    };
    let failed = worst(rebuilt.iter().flatten().filter_map(|rebuilt| rebuilt.result.as_ref().err()));
    let code = failed.map_or(0, Kind::exit_code);
    let rebuilt: Option<Vec<_>> = rebuilt.map(|rebuilt| rebuilt.iter().map(retold).collect());
    if let Some(rebuilt) = rebuilt.as_ref().filter(|_| !wanted.json) {
        rebuilt.iter().for_each(|stream| console.print(&in_words(stream)));
        console.print("\n");
    }
    let report = Report { rebuilt, ..look(&config, wanted).await? };
    let text = match wanted.json {
        true => {
            let json = serde_json::to_string_pretty(&report).map_err(|e| Error::bug(e.to_string()))?;
            format!("{json}\n")
        }
        false if wanted.runs.is_some() => runs(&report),
        false => summary(&report, Timestamp::now()),
    };
    console.print(&text);
    Ok(code)
}

fn retold(rebuilt: &Rebuilt) -> Retold {
    let (found, error) = match &rebuilt.result {
        Ok(found) => (*found, None),
        Err(error) => (pipeline::Retold::default(), Some(error)),
    };
    Retold {
        stream: rebuilt.stream.clone(),
        entries: found.entries,
        runs: found.runs,
        noted: found.news,
        error_kind: error.map(|error| error.kind().name()),
        error: error.map(ToString::to_string),
    }
}

fn in_words(retold: &Retold) -> String {
    let (stream, entries) = (&retold.stream, retold.entries);
    match &retold.error {
        Some(error) => format!("{stream}: failed ({}): {error}\n", retold.error_kind.unwrap_or_default()),
        None if entries == 0 => format!("{stream}: no commit log at the destination\n"),
        None => {
            let entries = if entries == 1 { "1 entry".to_owned() } else { format!("{} entries", show::count(entries)) };
            let runs = show::of(retold.runs, "run");
            format!("{stream}: {runs} in {entries} of its commit log, {} noted anew\n", show::count(retold.noted))
        }
    }
}

async fn look(config: &Config, wanted: &args::Status) -> Result<Report> {
    config.pipeline.have(["name"])?;
    config.job_log.have(job_log::KIND.own_keys().map(|key| key.name))?;
    let pipeline = config.pipeline.text("name")?;
    let log = job_log::of(&config.job_log)?;
    let rows = log.runs(pipeline, None, wanted.runs.unwrap_or(1).max(1)).await?;
    let rows = without_done_parts(&*log, pipeline, rows).await?;
    // Whoever asks for what was is shown all of it.
    let rows = if wanted.runs.is_some() { rows } else { without_past_backfills(rows) };
    let holders = log.holders(pipeline).await?;
    let lags = log.lags(pipeline).await?;
    let shares = log.shares(pipeline).await?;
    // They may be many, and are for those who ask for them.
    let failures = if wanted.stream.is_some() { Some(log.failures(pipeline).await?) } else { None };
    let (now, mut streams) = (Timestamp::now(), Vec::new());
    for name in choose(names(config, &rows), wanted.stream.as_deref())? {
        let runs = rows.iter().filter(|row| row.stream == name).cloned().collect();
        let mark = log.mark(pipeline, &name).await?;
        let lag = lags.iter().find(|lag| lag.stream == name).cloned();
        let lag = lag.map(|behind| Lag { age_seconds: show::age_seconds(&behind.measured_at, now), behind });
        let share = shares.iter().find(|share| share.stream == name).cloned();
        let is_open = |failure: &&Failure| failure.stream == name && failure.closed_at.is_none();
        let failures = failures.as_ref().map(|all| all.iter().filter(is_open).cloned().collect());
        streams.push(Stream { lag, share, failures, ..stream(name, runs, mark, &holders, now) });
    }
    let job_log = job_log::place(&config.job_log)?;
    Ok(Report { pipeline: pipeline.to_owned(), job_log, streams, rebuilt: None })
}

/// Of the chunks that are read as parts of a plan, those that are not done, while their load is under way: they have
/// rows of their own, as many as all plans had parts.
async fn without_done_parts(log: &dyn JobLog, pipeline: &str, rows: Vec<RunRow>) -> Result<Vec<RunRow>> {
    let mut under_way = BTreeMap::<String, Option<String>>::new();
    let mut kept = Vec::new();
    for row in rows {
        let id = StreamId::parse(&row.stream);
        let Some(Sub::Chunk { generation, .. }) = id.sub() else {
            kept.push(row);
            continue;
        };
        if row.state == "done" {
            continue;
        }
        if !under_way.contains_key(id.name()) {
            let mark = log.mark(pipeline, &id.whole().to_string()).await?;
            let load = mark.and_then(|mark| load_under_way(&mark.position?));
            under_way.insert(id.name().to_owned(), load);
        }
        if under_way.get(id.name()).is_some_and(|load| load.as_ref() == Some(generation)) {
            kept.push(row);
        }
    }
    Ok(kept)
}

/// Without the backfills that came to their end, each a row of its own for ever: but for those since when their stream has
/// not been run, by whose row a backfill begins too.
fn without_past_backfills(rows: Vec<RunRow>) -> Vec<RunRow> {
    let last: BTreeMap<_, _> = rows.iter().rev().map(|row| (row.stream.clone(), row.started_at.clone())).collect();
    let is_past = |row: &RunRow| {
        let id = StreamId::parse(&row.stream);
        let is_done = matches!(id.sub(), Some(Sub::Window(_))) && row.state == "done";
        is_done && last.get(&id.whole().to_string()).is_some_and(|last| *last > row.started_at)
    };
    rows.into_iter().filter(|row| !is_past(row)).collect()
}

/// Every stream that the file or the job log knows: the file's in its order, then those that it no longer has.
fn names(config: &Config, rows: &[RunRow]) -> Vec<String> {
    let mut logged: BTreeSet<&str> = rows.iter().map(|row| row.stream.as_str()).collect();
    // A section of several streams has a row of its own where it failed before they were known. Once that is mended,
    // the row is nothing but the end of that failure.
    let is_mended = |name: &str| {
        let last = rows.iter().find(|row| row.stream == name);
        last.is_some_and(|row| row.state == "done" && row.seq.is_none())
    };
    let mut names = Vec::new();
    for section in &config.streams {
        let own = StreamId::new(section.name.clone()).to_string();
        let is_ours = |name: &str| {
            let stream = of_stream(name);
            stream == section.name || is_one_below(config, section, &stream)
        };
        let ours: Vec<_> = logged.iter().copied().filter(|name| is_ours(name)).collect();
        logged.retain(|name| !is_ours(name));
        let ours: Vec<_> = ours.into_iter().filter(|name| *name != own || !is_mended(name)).collect();
        match ours.is_empty() {
            true => names.push(own),
            false => names.extend(ours.into_iter().map(str::to_owned)),
        }
    }
    names.extend(logged.into_iter().map(str::to_owned));
    names
}

/// The stream of a stream's own name, or of a part's.
fn of_stream(name: &str) -> String {
    StreamId::parse(name).name().to_owned()
}

fn choose(names: Vec<String>, wanted: Option<&str>) -> Result<Vec<String>> {
    let Some(wanted) = wanted else { return Ok(names) };
    let chosen: Vec<_> = names.iter().filter(|name| pipeline::is_meant(wanted, &of_stream(name))).cloned().collect();
    if chosen.is_empty() {
        let meant = nearest(wanted, names.iter().map(String::as_str));
        let meant = meant.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
        return Err(Error::config(format!(
            "there is no stream `{wanted}`{meant}; known streams: {}",
            names.join(", ")
        )));
    }
    Ok(chosen)
}

fn stream(name: String, rows: Vec<RunRow>, mark: Option<Mark>, holders: &[Held], now: Timestamp) -> Stream {
    let runs: Vec<_> = rows.into_iter().map(|row| run(row, holders)).collect();
    let last = runs.first();
    let row = last.map(|run| &run.row);
    Stream {
        stream: name,
        mode: row.map(|row| row.mode.clone()),
        state: row.map_or_else(|| "never".to_owned(), |row| row.state.clone()),
        why: last.and_then(|run| run.why.clone()),
        rows: row.map_or(0, |row| row.rows),
        bytes: row.map_or(0, |row| row.bytes),
        seq: mark.as_ref().map(|mark| mark.seq),
        high_water_mark: mark.and_then(|mark| mark.position),
        lag: None,
        share: None,
        failures: None,
        updated_at: row.map(|row| row.updated_at.clone()),
        age_seconds: row.and_then(|row| show::age_seconds(&row.updated_at, now)),
        error_kind: row.and_then(|row| row.error_kind.clone()),
        error: row.and_then(|row| row.error.clone()),
        runs,
    }
}

/// A row that says `running` is believed only while a living process holds the stream.
fn run(mut row: RunRow, holders: &[Held]) -> Run {
    let mut why = None;
    if row.state == "running" {
        let holder = holders.iter().find(|held| held.stream == row.stream);
        why = match holder {
            Some(held) if held.alive => None,
            Some(held) => Some(format!("{}, on {}", held.why, held.host)),
            None => Some("no process holds the stream".to_owned()),
        };
        if why.is_some() {
            row.state = "running?".to_owned();
        }
    }
    Run { row, why }
}

fn summary(report: &Report, now: Timestamp) -> String {
    let line = |stream: &Stream| {
        let shown = |count: u64| if stream.mode.is_some() { show::count(count) } else { String::new() };
        vec![
            stream.stream.clone(),
            stream.mode.clone().unwrap_or_default(),
            stream.state.clone(),
            shown(stream.rows),
            stream.high_water_mark.as_deref().map(show::position).unwrap_or_default(),
            stream.updated_at.as_deref().map(|at| show::age(at, now)).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = report.streams.iter().map(line).collect();
    let mut out = table(&["stream", "mode", "state", ">rows", "high-water mark", "when"], &rows);
    out.push_str(&lags(report, now));
    for stream in &report.streams {
        let failures = stream.failures.as_deref().unwrap_or_default();
        out.push_str(&failed::in_words(&stream.stream, stream.share.as_ref(), failures, now));
    }
    for stream in &report.streams {
        out.push_str(&remark(
            &stream.stream,
            stream.why.as_deref(),
            stream.error_kind.as_deref(),
            stream.error.as_deref(),
        ));
    }
    out
}

/// A line for each stream that is behind, or was at the end.
fn lags(report: &Report, now: Timestamp) -> String {
    let line = |stream: &Stream| {
        let Behind { seconds, bytes, measured_at, .. } = &stream.lag.as_ref()?.behind;
        Some(format!("{}: {}, {}\n", stream.stream, show::lag(*seconds, *bytes), show::age(measured_at, now)))
    };
    let lines: String = report.streams.iter().filter_map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn runs(report: &Report) -> String {
    let all: Vec<&Run> = report.streams.iter().flat_map(|stream| &stream.runs).collect();
    let line = |run: &&Run| {
        let row = &run.row;
        let took = show::took(&row.started_at, row.finished_at.as_deref().unwrap_or(&row.updated_at));
        vec![
            row.stream.clone(),
            row.run_id.clone(),
            row.mode.clone(),
            row.state.clone(),
            show::count(row.rows),
            show::bytes(row.bytes),
            show::count(row.commits),
            row.started_at.get(..19).unwrap_or(&row.started_at).replace('T', " "),
            took.map(show::duration).unwrap_or_default(),
            row.high_water_mark.as_deref().map(show::position).unwrap_or_default(),
        ]
    };
    let header =
        ["stream", "run", "mode", "state", ">rows", ">bytes", ">commits", "started (UTC)", ">time", "high-water mark"];
    let mut out = table(&header, &all.iter().map(line).collect::<Vec<_>>());
    for run in all {
        let row = &run.row;
        let place = format!("{} {}", row.stream, row.run_id);
        out.push_str(&remark(&place, run.why.as_deref(), row.error_kind.as_deref(), row.error.as_deref()));
    }
    out
}

/// What a table has no room for.
fn remark(place: &str, why: Option<&str>, kind: Option<&str>, error: Option<&str>) -> String {
    let why = why.map(|why| format!("\n{place}: running? {why}; the next run reads again what is not committed\n"));
    let error = error.map(|error| format!("\n{place}: {} ({error})\n", kind.unwrap_or("failed")));
    why.unwrap_or_default() + &error.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn row(stream: &str, state: &str) -> RunRow {
        RunRow {
            run_id: "r1".to_owned(),
            pipeline: "main".to_owned(),
            stream: stream.to_owned(),
            mode: "full".to_owned(),
            state: state.to_owned(),
            low_water_mark: None,
            high_water_mark: Some("{\"id\":7}".to_owned()),
            seq: Some(4),
            commits: 2,
            rows: 1234,
            bytes: 2048,
            started_at: "2026-01-01T00:00:00.000000Z".to_owned(),
            updated_at: "2026-01-01T00:02:05.000000Z".to_owned(),
            finished_at: None,
            error_kind: None,
            error: None,
        }
    }

    fn held(stream: &str, alive: bool) -> Held {
        Held {
            stream: stream.to_owned(),
            host: "db1".to_owned(),
            pid: 42,
            since: String::new(),
            heartbeat_at: String::new(),
            alive,
            why: "process 42 has ended".to_owned(),
        }
    }

    fn report() -> Report {
        let now = "2026-01-01T00:05:05Z".parse().unwrap();
        let holders = [held("a", true), held("b", false)];
        let mark = || Some(Mark { seq: 4, position: Some("{\"id\":7}".to_owned()) });
        let failed =
            RunRow { error_kind: Some("denied".to_owned()), error: Some("no grant".to_owned()), ..row("d", "failed") };
        let streams = vec![
            stream("a".to_owned(), vec![row("a", "running")], mark(), &holders, now),
            stream("b".to_owned(), vec![row("b", "running")], mark(), &holders, now),
            stream("c".to_owned(), vec![], None, &holders, now),
            stream("d".to_owned(), vec![failed], None, &holders, now),
        ];
        Report { pipeline: "main".to_owned(), job_log: "sqlite:x.db".to_owned(), streams, rebuilt: None }
    }

    #[test]
    fn believes_a_running_row_only_while_its_holder_lives() {
        let wanted = "\
stream  mode  state      rows  high-water mark  when
a       full  running   1,234  id=7             3 min ago
b       full  running?  1,234  id=7             3 min ago
c             never
d       full  failed    1,234                   3 min ago

b: running? process 42 has ended, on db1; the next run reads again what is not committed

d: denied (no grant)
";
        assert_eq!(summary(&report(), "2026-01-01T00:05:05Z".parse().unwrap()), wanted);
    }

    #[test]
    fn a_lag_is_shown_with_its_age() {
        let mut report = report();
        let behind = Behind {
            stream: "a".to_owned(),
            seconds: 12,
            bytes: Some(2048),
            measured_at: "2026-01-01T00:05:00.000000Z".to_owned(),
        };
        report.streams[0].lag = Some(Lag { behind, age_seconds: Some(5) });
        let text = summary(&report, "2026-01-01T00:05:05Z".parse().unwrap());
        assert!(text.contains("3 min ago\n\na: 12 s behind (2.0 KiB), 5 s ago\n\nb: running?"), "{text}");
        let json = serde_json::to_string(&report.streams[0]).unwrap();
        let wanted = r#""lag":{"seconds":12,"bytes":2048,"measured_at":"2026-01-01T00:05:00.000000Z","age_seconds":5}"#;
        assert!(json.contains(wanted), "{json}");
    }

    #[test]
    fn shows_runs() {
        let text = runs(&report());
        assert!(text.contains("2026-01-01 00:00:00"), "{text}");
        assert!(text.contains("2 min 5 s"), "{text}");
    }

    #[test]
    fn a_longer_section_has_its_streams_to_itself() {
        let text = "[source s]\ntype = sqlite\npath = s.db\n[destination d]\ntype = local\npath = d\n\
                    [stream shop]\nsource = s\ndestination = d\ntables = a*\n\
                    [stream shop.eu]\nsource = s\ndestination = d\ntables = b*\n";
        let registry = crate::pipeline::registry();
        let config = Config::parse(text, "pipeline.conf".as_ref(), &registry, &Environment::of([])).unwrap();
        let rows = ["shop.a", "shop.eu.b", "shop.eu", "old"].map(|name| row(name, "done"));
        assert_eq!(names(&config, &rows), ["shop.a", "shop.eu", "shop.eu.b", "old"]);
        // The longer one has not run yet.
        assert_eq!(names(&config, &rows[..1]), ["shop.a", "shop.eu"]);
    }

    #[test]
    fn a_backfill_is_shown_until_it_is_done_and_something_else_was() {
        let at = |stream: &str, state: &str, second: u32| RunRow {
            started_at: format!("2026-01-01T00:00:{second:02}.000000Z"),
            ..row(stream, state)
        };
        let shown = |rows: Vec<RunRow>| {
            let rows = without_past_backfills(rows);
            rows.into_iter().map(|row| row.stream).collect::<Vec<_>>()
        };
        let rows = || vec![at("a", "done", 5), at("a@3", "done", 2), at("a@4", "failed", 3), at("a@5", "done", 6)];
        assert_eq!(shown(rows()), ["a", "a@4", "a@5"]);
        // The newest run of several is what counts; of a stream that only its backfills tell of, all are shown.
        assert_eq!(shown([vec![at("a", "failed", 7)], rows()].concat()), ["a", "a", "a@4"]);
        assert_eq!(shown(vec![at("b@3", "done", 2), at("b%403", "done", 1)]), ["b@3", "b%403"]);
    }

    #[test]
    fn an_unknown_stream_is_refused_with_the_nearest() {
        let names = || vec!["orders".to_owned(), "shop.items".to_owned(), "shop.users".to_owned()];
        assert_eq!(choose(names(), Some("shop")).unwrap(), ["shop.items", "shop.users"]);
        assert_eq!(choose(names(), Some("*.users")).unwrap(), ["shop.users"]);
        let error = choose(names(), Some("ordes")).unwrap_err().to_string();
        assert!(error.contains("did you mean `orders`?"), "{error}");
    }
}
