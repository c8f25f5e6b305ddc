//! What `check` tells of a change stream.

use std::sync::Arc;

use super::place::Place;
use super::watching::{self, Watching};
use crate::error::{Kind, Result};
use crate::record::Checkpoint;
use crate::source::following::begins_anew_where_lost;
use crate::source::mongodb::catalog;
use crate::source::mongodb::connect::Server;
use crate::source::{Conditions, Stream, changes};

/// Looks at all that a run of the stream would need; opens the change stream.
pub async fn of(server: &Arc<Server>, stream: &Stream, after: Option<&Checkpoint>) -> Result<Conditions> {
    let hello = server.hello().await?;
    watching::check(&hello, &server.settings.address, &stream.selection)?;
    check_tables(server, stream).await?;
    let watching = Watching::of(&stream.selection, &stream.tables, Vec::new(), super::version(server).await?)?;
    let mut notes = Vec::new();
    let place = match after {
        Some(after) => Place::of(&changes::Place::of(&after.position)?.log)?,
        None => watching.now(server).await?,
    };
    match watching.open(server, &place).await {
        Ok(_) => {}
        Err(lost) if lost.kind() == Kind::Lost && begins_anew_where_lost(&stream.selection.section)? => {
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

/// Refuses collections of which the change stream would not tell, or not what is asked for. One that is not there yet is none.
pub async fn check_tables(server: &Server, stream: &Stream) -> Result<()> {
    for name in &stream.tables {
        check_table(server, stream, name).await?;
    }
    Ok(())
}

pub async fn check_table(server: &Server, stream: &Stream, name: &str) -> Result<()> {
    let Some(collection) = catalog::find(server, name).await? else { return Ok(()) };
    let section = &stream.selection.section;
    if !collection.has_changes() {
        let message = format!("names `{name}`, which is a view or a time series: they have no changes");
        return Err(section
            .error(stream.selection.table_key(), message)
            .hint("Name the collection behind it, or read it with another mode."));
    }
    let needs_images = section.flag("before_images")? || section.text("full_document")? == "after_image";
    if needs_images && !collection.keeps_images {
        let key = if section.flag("before_images")? { "before_images" } else { "full_document" };
        return Err(section
            .error(key, format!("asks for what documents were, which collection {name} does not keep"))
            .hint(format!(
                "db.runCommand({{ collMod: \"{name}\", changeStreamPreAndPostImages: {{ enabled: true }} }})"
            )));
    }
    Ok(())
}

/// How far back the server's oplog reaches, where we may look.
async fn reach(server: &Server) -> Result<Option<String>> {
    let Some((first, last)) = server.oplog().await? else { return Ok(None) };
    let hours = f64::from(last.time.saturating_sub(first.time)) / 3600.0;
    Ok(Some(format!(
        "The server's oplog reaches back {hours:.1} hours: a stream that stands still for longer has to read its collections anew."
    )))
}
