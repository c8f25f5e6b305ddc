//! Windows of a cursor: what every source that cuts them must do. Tables are `t (id, c)`, with `id` the key.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use async_trait::async_trait;
use tidemark::error::{Kind, Result};
use tidemark::record::{Checkpoint, Event, Range};
use tidemark::source::{Selection, Source, Stream, Wanted};

#[async_trait]
pub trait Server: Send + Sync {
    async fn run(&self, sql: &str);

    fn source(&self) -> Box<dyn Source>;

    fn selection(&self, keys: &[(&str, &str)]) -> Selection;
}

/// What is wanted of rows 0, 1 and so on with these cursors.
pub struct Case {
    pub of: &'static str,
    pub values: &'static [&'static str],
    /// `--from`, `--until`, `--step`; the stream has been run to its end before.
    pub wanted: [Option<&'static str>; 3],
    /// The rows of each window in order, or words of a refusal.
    pub comes_to: std::result::Result<&'static str, &'static str>,
}

/// Cuts and reads what each case wants.
pub async fn hold(server: &dyn Server, cases: &[Case]) {
    for Case { of, values, wanted, comes_to } in cases {
        server.run("drop table if exists t").await;
        server.run(&format!("create table t (id int primary key, c {of} null)")).await;
        for (id, value) in values.iter().enumerate().rev() {
            server.run(&format!("insert into t values ({id}, {value})")).await;
        }
        let selection =
            server.selection(&[("table", "t"), ("mode", "incremental"), ("cursor", "c"), ("settle", "180s")]);
        let source = server.source();
        let stream = source.streams(&[selection]).await.unwrap().whole().unwrap().remove(0);
        let mark = read(&*source, &stream, None).await.1;
        match (windows(&*source, &stream, wanted, &mark).await, comes_to) {
            (Ok(windows), Ok(rows)) => assert_eq!(shown(&windows), *rows, "{of} {wanted:?}"),
            (Err(error), Err(words)) => {
                assert!(error.kind() == Kind::Config && error.to_string().contains(words), "{of} {wanted:?}: {error}");
            }
            (came, _) => panic!("{of} {wanted:?}: {came:?}"),
        }
    }
}

/// The rows of each window.
async fn windows(
    source: &dyn Source,
    stream: &Stream,
    wanted: &[Option<&str>; 3],
    mark: &Checkpoint,
) -> Result<Vec<Vec<i64>>> {
    let [from, until, step] = wanted.map(|text| text.map(str::to_owned));
    let mut windows = Vec::new();
    for range in source.windows(stream, &Wanted { from, until, step }, Some(mark)).await? {
        windows.push(read(source, stream, Some(range)).await.0);
    }
    Ok(windows)
}

async fn read(source: &dyn Source, stream: &Stream, range: Option<Range>) -> (Vec<i64>, Checkpoint) {
    let mut reader = source.open(&Stream { range, ..stream.clone() }, None).await.unwrap();
    let (mut rows, mut end) = (Vec::new(), None);
    while let Some(event) = reader.next().await.unwrap() {
        match event {
            Event::Rows(more) => rows.extend(first(&more.batch)),
            Event::Checkpoint(checkpoint) => end = Some(checkpoint),
        }
    }
    (rows, end.unwrap())
}

fn first(batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column(0);
    match column.as_primitive_opt::<Int32Type>() {
        Some(column) => column.values().iter().map(|id| i64::from(*id)).collect(),
        None => column.as_primitive::<Int64Type>().values().to_vec(),
    }
}

fn shown(windows: &[Vec<i64>]) -> String {
    let one = |rows: &Vec<i64>| rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    windows.iter().map(one).collect::<Vec<_>>().join("|")
}

const NUMBERS: &[&str] = &["-5", "0", "7", "8", "30", "null"];
const TIMES: &[&str] = &[
    "'2024-03-29 23:59:59'",
    "'2024-03-30 00:00:00'",
    "'2024-03-30 23:59:59'",
    // In the night when clocks go on in Europe.
    "'2024-03-31 01:30:00'",
    "'2024-03-31 02:30:00'",
    "'2024-04-01 00:00:00'",
    "null",
];

/// Of numbers of a type.
pub fn of_numbers(of: &'static str) -> Vec<Case> {
    let case = |wanted, comes_to| Case { of, values: NUMBERS, wanted, comes_to };
    vec![
        case([Some("0"), Some("30"), Some("8")], Ok("1 2|3||")),
        case([Some("0"), Some("30"), Some("1000")], Ok("1 2 3")),
        case([Some("7"), None, None], Ok("2 3 4")),
        case([Some("30"), None, None], Ok("4")),
        case([None, Some("8"), None], Ok("0 1 2")),
        case([None, Some("1000"), None], Ok("0 1 2 3 4")),
        case([None, None, Some("20")], Ok("0 1 2 3|4")),
        case([None, None, None], Ok("0 1 2 3 4")),
        case([None, Some("-5"), Some("1")], Ok("")),
        case([Some("8"), Some("8"), None], Err("`--from` does not lie before `--until`")),
        case([Some("30"), Some("7"), Some("1")], Err("`--from` does not lie before `--until`")),
        case([Some("31"), None, None], Err("`--from` lies behind the stream's mark")),
        case([Some("later"), None, None], Err("`--from` is no value of the cursor")),
        case([Some("0"), Some("30"), Some("1d")], Err("`--step` must be a whole number")),
        case([Some("0"), Some("100000000"), Some("1")], Err("take a greater `--step`")),
    ]
}

/// Of dates with times, as the type has them.
pub fn of_times(of: &'static str) -> Vec<Case> {
    let case = |wanted, comes_to| Case { of, values: TIMES, wanted, comes_to };
    vec![
        case([Some("2024-03-30"), Some("2024-04-02"), Some("1d")], Ok("1 2|3 4|5")),
        case([Some("2024-03-30"), None, Some("1d")], Ok("1 2|3 4 5")),
        case([Some("2024-03-31 01:30:00"), Some("2024-03-31 02:30:00"), Some("30m")], Ok("3|")),
        case([None, Some("2024-03-31 02:30:00"), Some("24h")], Ok("0 1|2 3")),
        case([None, None, None], Ok("0 1 2 3 4 5")),
        case([Some("2024-04-01"), Some("2024-03-30"), None], Err("`--from` does not lie before `--until`")),
        case([Some("2024-04-02"), None, Some("1d")], Err("`--from` lies behind the stream's mark")),
        case([Some("2024-03-30"), None, Some("5 cats")], Err("`--step` must be a duration")),
        case([Some("2024-13-30"), None, None], Err("`--from` is no value of the cursor")),
    ]
}

/// Of days.
pub fn of_days(of: &'static str) -> Vec<Case> {
    let values = &["'2024-02-28'", "'2024-02-29'", "'2024-03-01'", "'2024-03-04'"];
    let case = |wanted, comes_to| Case { of, values, wanted, comes_to };
    vec![
        case([Some("2024-02-28"), Some("2024-03-05"), Some("2d")], Ok("0 1|2|3")),
        case([Some("2024-02-28"), None, Some("1d")], Ok("0|1|2||3")),
        case([Some("2024-02-28"), Some("2024-03-02"), Some("12h")], Ok("0|1|2")),
    ]
}

/// Of texts, of which no step can be told.
pub fn of_texts(of: &'static str) -> Vec<Case> {
    let values = &["'a'", "'b''c'", "'d'"];
    let case = |wanted, comes_to| Case { of, values, wanted, comes_to };
    vec![
        case([Some("b"), Some("d"), None], Ok("1")),
        case([Some("b"), None, None], Ok("1 2")),
        case([Some("a"), Some("d"), Some("1")], Err("`--step` cannot be taken")),
        case([Some("d"), Some("a"), None], Err("`--from` does not lie before `--until`")),
    ]
}

/// Of UUIDs as the type has them.
pub fn of_uuids(of: &'static str, values: &'static [&'static str; 3]) -> Vec<Case> {
    let case = |wanted, comes_to| Case { of, values, wanted, comes_to };
    let (low, high) = (Some("0190a1b2-0000-7000-8000-000000000001"), Some("0190a1b3-0000-7000-8000-000000000000"));
    vec![
        case([low, high, None], Ok("1")),
        case([low, None, None], Ok("1 2")),
        case([low, high, Some("1")], Err("`--step` cannot be taken")),
        case([high, low, None], Err("`--from` does not lie before `--until`")),
    ]
}
