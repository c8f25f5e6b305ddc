//! What `check` tells of a change stream.

use std::sync::Arc;

use super::place::Place;
use super::watching::{self, Watching};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::record::Checkpoint;
use crate::source::following::begins_anew_where_lost;
use crate::source::mongodb::catalog::{self, Kind};
use crate::source::mongodb::connect::Server;
use crate::source::{Conditions, Stream, changes};

/// Looks at all that a run of the stream would need; opens the change stream.
pub async fn of(server: &Arc<Server>, stream: &Stream, after: Option<&Checkpoint>) -> Result<Conditions> {
    let hello = server.hello().await?;
    watching::check(&hello, &server.settings.address, &stream.selection)?;
    let watching = Watching::of(&stream.selection, &stream.tables, super::version(server).await?)?;
    let mut notes = Vec::new();
    let place = match after {
        Some(after) => Place::of(&changes::Place::of(&after.position)?.log)?,
        None => watching.now(server).await?,
    };
    match watching.open(server, &place).await {
        Ok(_) => {}
        Err(lost) if lost.kind() == ErrorKind::Lost && begins_anew_where_lost(&stream.selection.section)? => {
            notes.push(format!("{}: all collections are read anew, by the next run.", lost.message()));
        }
        Err(error) => return Err(error),
    }
    if let Some(reach) = reach(server).await? {
        notes.push(reach);
    }
    notes.push(format!(
        "The user needs no more than the role `read` on {}: it has find and changeStream on all collections there.",
        server.settings.database
    ));
    Ok(Conditions { notes, bytes_a_day: None })
}

/// What the change stream does not tell of a collection.
pub async fn of_table(server: &Server, stream: &Stream) -> Result<Vec<String>> {
    let Some(collection) = catalog::find(server, stream.table()).await? else { return Ok(Vec::new()) };
    let (selection, shown) = (&stream.selection, stream.table());
    if matches!(collection.kind, Kind::View | Kind::TimeSeries) {
        let message = format!(
            "names `{shown}`, which is a view or a time series: change streams have the changes of plain collections"
        );
        return Err(selection.section.error(selection.table_key(), message));
    }
    let watching = Watching::of(selection, &stream.tables, (0, 0))?;
    if watching.needs_images() && !collection.keeps_images {
        return Err(Error::config(format!(
            "collection {shown} does not keep what documents were, which `full_document` or `before_images` asks for"
        ))
        .hint(format!(
            "db.runCommand({{ collMod: \"{shown}\", changeStreamPreAndPostImages: {{ enabled: true }} }})"
        )));
    }
    Ok(Vec::new())
}

/// How far back the server's oplog reaches, where we may look.
async fn reach(server: &Server) -> Result<Option<String>> {
    let Some((first, last)) = server.oplog().await? else { return Ok(None) };
    let hours = f64::from(last.time.saturating_sub(first.time)) / 3600.0;
    Ok(Some(format!(
        "The server's oplog reaches back {hours:.1} hours: a stream that stands still for longer has to read its collections anew."
    )))
}
