//! Windows of a cursor: their borders, reckoned by the server.

use tokio_postgres::types::Type as Oid;

use super::connect::{Session, get};
use super::name::literal;
use super::plan::{Plan, Scope};
use super::query::Ordered;
use crate::config::parse_duration;
use crate::error::{Error, Kind, Result};
use crate::record::Checkpoint;
use crate::source::cursor::{Place, Settings, Wanted, Window};

/// The windows of what is wanted.
pub async fn cut(
    session: &Session,
    plan: &Plan,
    settings: &Settings,
    wanted: &Wanted,
    mark: Option<&Checkpoint>,
) -> Result<Vec<Window>> {
    let ordered = Ordered::of(session, plan, settings).await?;
    let value = async |option: &str, text: &Option<String>| match text {
        Some(text) => canonical(session, &ordered.type_oid, option, text).await.map(Some),
        None => Ok(None),
    };
    let from = value("--from", &wanted.from).await?;
    let until = value("--until", &wanted.until).await?;
    let mark = Place::of(mark, settings)?.mark;
    let Some(end) = until.clone().or_else(|| mark.as_ref().map(|mark| mark[0].clone())) else {
        return Err(Error::config("the stream has no mark yet: say with `--until` where the window ends"));
    };
    let borders = match &wanted.step {
        None => Vec::new(),
        Some(step) => {
            let begin = match &from {
                Some(from) => Some(from.clone()),
                None => lowest(session, plan, &ordered).await?,
            };
            match begin {
                Some(begin) => borders(session, &ordered.type_oid, &begin, &end, step).await?,
                None => Vec::new(),
            }
        }
    };
    Window::between(from, borders, until, mark)
}

/// A value in the form that marks have.
async fn canonical(session: &Session, of: &Oid, option: &str, text: &str) -> Result<String> {
    let sql = format!("SELECT ({}::{})::pg_catalog.text AS value", literal(text), of.name());
    let row = session.query_one(&sql, &[]).await;
    let row = row.map_err(|error| match error.kind() {
        Kind::Unavailable | Kind::Denied => error,
        _ => Error::config(format!("`{option}` is no value of the cursor, which is of type {}", of.name())),
    })?;
    get(&row, "value")
}

async fn lowest(session: &Session, plan: &Plan, ordered: &Ordered) -> Result<Option<String>> {
    let first = &ordered.order.cursor[0].sql;
    let scope =
        Scope { condition: Some(format!("{first} IS NOT NULL")), order: vec![first.clone()], marks: Vec::new() };
    let sql = format!("SELECT ({first})::pg_catalog.text AS value {} LIMIT 1", plan.tail(&scope));
    session.query(&sql, &[]).await?.first().map(|row| get(row, "value")).transpose()
}

/// The values between the first and the end, a step apart.
async fn borders(session: &Session, of: &Oid, from: &str, end: &str, step: &str) -> Result<Vec<String>> {
    let (from, end, name) = (literal(from), literal(end), of.name());
    let series = match *of {
        Oid::TIMESTAMP | Oid::TIMESTAMPTZ | Oid::DATE => {
            let time = parse_duration(step).filter(|time| !time.is_zero());
            let time = time.ok_or_else(|| Error::config("`--step` must be a duration such as `1d` for this cursor"))?;
            let step = format!("interval '{} microseconds'", time.as_micros());
            // Days are reckoned as times without a zone.
            let kind = if *of == Oid::DATE { "timestamp" } else { name };
            format!("pg_catalog.generate_series({from}::{kind} + {step}, {end}::{kind}, {step})")
        }
        Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC => {
            let is_number = step.bytes().all(|byte| byte.is_ascii_digit()) && step.bytes().any(|byte| byte != b'0');
            if !is_number {
                return Err(Error::config("`--step` must be a whole number for this cursor"));
            }
            format!("pg_catalog.generate_series({from}::numeric + {step}, {end}::numeric, {step}::numeric)")
        }
        _ => return Err(Error::config(format!("`--step` cannot be taken with a cursor of type {name}"))),
    };
    let sql = format!(
        "SELECT DISTINCT border::{name} AS value, (border::{name})::pg_catalog.text AS shown FROM {series} AS border \
         WHERE border::{name} < {end}::{name} ORDER BY 1 LIMIT 10001"
    );
    session.query(&sql, &[]).await?.iter().map(|row| get(row, "shown")).collect()
}
