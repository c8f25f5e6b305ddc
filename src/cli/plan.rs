//! `tidemark plan`.

use super::{Console, args, progress, run, show, table::table};
use crate::config::{Config, Environment};
use crate::error::{Error, Result};
use crate::pipeline::{self, Planned, PlannedPart, PlannedStream, Request, Stop};

/// How many statements of a stream people are shown.
const MOST_SHOWN: usize = 3;

/// Prints what a run would do; half a plan is never printed.
pub(super) async fn command(
    console: &Console,
    config: Result<Config>,
    environment: &Environment,
    wanted: args::Plan,
) -> Result<u8> {
    let config = config?;
    let run_type = if wanted.mode.is_none() { run::run_type(environment)? } else { None };
    let args::Plan { streams, mode, full_refresh, json } = wanted;
    let request = Request { streams, mode, run_type, full_refresh, ..Request::default() };
    // A signal ends the process: there is nothing to bring to an end.
    let (_stopper, stop) = Stop::new();
    let planned = pipeline::plan(&config, &request, progress::observer(console), stop).await?;
    let text = match json {
        true => {
            let json = serde_json::to_string_pretty(&planned).map_err(|e| Error::bug(e.to_string()))?;
            format!("{json}\n")
        }
        false => in_words(&planned),
    };
    console.print(&text);
    Ok(0)
}

fn in_words(planned: &Planned) -> String {
    let parts_of = |stream: &PlannedStream| {
        planned.parts.iter().filter(|part| part.stream == stream.stream).collect::<Vec<&PlannedPart>>()
    };
    let about =
        |number: Option<u64>, show: fn(u64) -> String| number.map(|n| format!("~{}", show(n))).unwrap_or_default();
    let line = |stream: &PlannedStream| {
        vec![
            stream.stream.clone(),
            stream.mode.name().to_owned(),
            show::count(parts_of(stream).len() as u64),
            about(stream.rows, show::count),
            about(stream.bytes, show::bytes),
            stream.high_water_mark.as_deref().map(show::position).unwrap_or_default(),
            stream.what.clone(),
        ]
    };
    let rows: Vec<_> = planned.streams.iter().map(line).collect();
    let mut out = table(&["stream", "mode", ">parts", ">rows", ">bytes", "high-water mark", "would do"], &rows);
    for stream in &planned.streams {
        out.push_str(&statements(&stream.stream, &parts_of(stream)));
    }
    out
}

/// The statements of a stream's first parts.
fn statements(stream: &str, parts: &[&PlannedPart]) -> String {
    let mut out = String::new();
    let with_sql: Vec<_> = parts.iter().filter(|part| !part.sql.is_empty()).collect();
    for part in with_sql.iter().take(MOST_SHOWN) {
        let of = part.chunk.as_ref().filter(|_| parts.len() > 1).map(|chunk| format!(", chunk {chunk}"));
        out.push_str(&format!("\n{stream}, part {}{}:\n", part.part, of.unwrap_or_default()));
        for statement in &part.sql {
            out.extend(statement.lines().map(|line| format!("  {line}\n")));
        }
    }
    if with_sql.len() > MOST_SHOWN {
        let more = show::of((with_sql.len() - MOST_SHOWN) as u64, "more part");
        out.push_str(&format!("\n{stream}: {more}; --json shows the statements of all\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_see_a_table_and_statements() {
        let part = |part: usize| {
            json!({ "part": part, "stream": "orders", "mode": "full", "generation": "g1", "chunk": part.to_string(),
                "rows": 1000, "bytes": 2048, "sql": [format!("select *\nfrom t where chunk = {part}")] })
        };
        let planned = json!({
            "tidemark": "0", "pipeline": "main", "id": "p1", "made_at": "2026-01-02T03:04:05Z",
            "streams": [
                { "stream": "orders", "mode": "full", "what": "full load in 4 chunks", "definition": "", "identity": {},
                    "chunks": 4, "rows": 4000, "bytes": 8192 },
                { "stream": "events", "mode": "incremental", "what": "everything", "definition": "", "identity": {},
                    "high_water_mark": "{\"id\":7}", "rows": null, "bytes": null },
            ],
            "parts": [part(0), part(1), part(2), part(3),
                { "part": 4, "stream": "events", "mode": "incremental", "rows": null, "bytes": null }],
        });
        let text = in_words(&Planned::parse(&planned.to_string(), "x").unwrap());
        let wanted = "\
stream  mode         parts    rows     bytes  high-water mark  would do
orders  full             4  ~4,000  ~8.0 KiB                   full load in 4 chunks
events  incremental      1                    id=7             everything

orders, part 0, chunk 0:
  select *
  from t where chunk = 0
";
        assert!(text.starts_with(wanted), "{text}");
        assert!(text.ends_with("chunk = 2\n\norders: 1 more part; --json shows the statements of all\n"), "{text}");
    }
}
