//! What reading would take, for a plan: statements as they would be sent, and what the catalog knows of sizes.

use super::chunks;
use super::connect::Session;
use super::plan::{Plan, Scope};
use super::probe::{Looking, Server};
use super::query::Ordered;
use crate::error::Result;
use crate::record::{Checkpoint, Mode, Range};
use crate::source::cursor::{Bound, Nulls, Place, Probe, Reading, Settings};
use crate::source::keyset::Span;
use crate::source::{Outlook, Stream};

pub async fn of(
    session: &Session,
    plan: &Plan,
    stream: &Stream,
    ranges: &[Option<Range>],
    after: Option<&Checkpoint>,
) -> Result<Outlook> {
    if stream.selection.mode == Mode::Incremental && ranges.iter().all(Option::is_none) {
        return growing(session, plan, stream, after).await;
    }
    let mut key = None;
    let mut statements = Vec::with_capacity(ranges.len());
    for range in ranges {
        let span = Span::of(range.as_ref())?;
        if key.is_none() && !span.columns.is_empty() {
            key = chunks::key_of(session, plan, &stream.selection, &span).await?;
        }
        let key = key.as_ref().filter(|_| !span.columns.is_empty());
        statements.push(vec![plan.copy(&chunks::scope(plan, key, &span, None)?)]);
    }
    // A condition leaves nobody knows how much.
    let bytes = match plan.relation.as_ref().filter(|_| stream.selection.filter.is_none()) {
        Some(relation) => Some(chunks::bytes(session, relation).await?),
        None => None,
    };
    Ok(Outlook { rows: None, bytes, statements })
}

/// As if nobody were at work: up to the greatest cursor that is there. A run reads up to what is safe by then.
async fn growing(session: &Session, plan: &Plan, stream: &Stream, after: Option<&Checkpoint>) -> Result<Outlook> {
    let settings = Settings::of(&stream.selection.section)?;
    let ordered = Ordered::of(session, plan, &settings).await?;
    let place = Place::of(after, &settings)?;
    let server = Server::look(session).await?;
    let (reader, looker, settle) = (session, session, settings.settle);
    let mut looking = Looking { reader, looker, plan, ordered: &ordered, server: &server, settle };
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
    let reads_nulls = settings.nulls == Nulls::Read && ordered.is_nullable;
    let nulls = reads_nulls.then(|| Scope { condition: Some(ordered.order.is_null()), ..Scope::default() });
    let marks = reading.marked().map(|column| column.sql.clone()).chain(reading.again()?).collect();
    let rows = Scope { condition: Some(reading.condition()?), order: reading.order(), marks, most: None };
    let statements = nulls.iter().chain([&rows]).map(|scope| plan.copy(scope)).collect();
    Ok(Outlook { statements: vec![statements], ..Outlook::default() })
}
