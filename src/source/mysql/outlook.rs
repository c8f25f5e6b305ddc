//! What reading would take, for a plan: statements as they would be sent, and what the catalog knows of sizes.

use super::chunks;
use super::config::Settings;
use super::connect::Connection;
use super::order::Ordered;
use super::plan::{Plan, Scope};
use super::probe::{Looking, Server};
use super::sessions::Sessions;
use super::snapshot;
use crate::error::Result;
use crate::record::{Checkpoint, Range};
use crate::source::cursor::{self, Bound, Nulls, Place, Probe, Reading};
use crate::source::keyset::Span;
use crate::source::{Outlook, Stream};

/// Of a stream that is read whole.
pub async fn whole(
    connection: &mut Connection,
    settings: &Settings,
    plan: &Plan,
    stream: &Stream,
    ranges: &[Option<Range>],
) -> Result<Outlook> {
    let mut key = None;
    let mut statements = Vec::with_capacity(ranges.len());
    for range in ranges {
        let span = Span::of(range.as_ref())?;
        if key.is_none() && !span.columns.is_empty() {
            key = chunks::key_of(connection, settings, stream, plan, &span).await?;
        }
        let key = key.as_ref().filter(|_| !span.columns.is_empty());
        statements.push(vec![plan.select(&snapshot::scope(key, &span, None)?)]);
    }
    // A condition leaves nobody knows how much.
    let bytes = match stream.selection.filter {
        None => chunks::size(connection, settings, stream).await?,
        Some(_) => None,
    };
    Ok(Outlook { rows: None, bytes, statements })
}

/// As if nobody were at work: up to the greatest cursor that is there. A run reads up to what is safe by then.
pub async fn growing(
    reader: &mut Connection,
    sessions: &Sessions,
    plan: &Plan,
    stream: &Stream,
    after: Option<&Checkpoint>,
) -> Result<Outlook> {
    let settings = cursor::Settings::of(&stream.selection.section)?;
    let ordered = Ordered::of(reader, plan, &settings).await?;
    let settings = ordered.settled(&settings)?;
    let place = Place::of(after, &settings)?;
    let server = Server::look(reader).await?;
    let mut looking = Looking { reader, sessions, plan, ordered: &ordered, server: &server, is_innodb: true };
    let Some(high) = looking.high(place.mark.as_deref()).await? else {
        return Ok(Outlook { rows: Some(0), ..Outlook::default() });
    };
    let floor = match (&settings.lookback, high.values.first()) {
        (Some(lookback), Some(to)) => Some(looking.floor(&settings, lookback, to).await?),
        _ => None,
    };
    let state = after.map(|after| after.state.clone()).unwrap_or_default();
    let bound = Bound { to: Some(high.values), waiting: None };
    let reading = Reading::of(&settings, ordered.order.clone(), ordered.grain, (place, state), bound, floor);
    let Some(reading) = reading else { return Ok(Outlook::default()) };
    let mut scopes = Vec::new();
    if settings.nulls == Nulls::Read && ordered.is_nullable {
        scopes.push(Scope { condition: Some(ordered.order.is_null()), ..Scope::default() });
    }
    let mut marks = ordered.marks.clone();
    marks.extend(reading.again()?.map(|again| format!("cast(({again}) as char)")));
    scopes.push(Scope { condition: Some(reading.condition()?), order: reading.order(), marks });
    let statements = scopes.iter().map(|scope| plan.select(scope)).collect();
    Ok(Outlook { statements: vec![statements], ..Outlook::default() })
}
