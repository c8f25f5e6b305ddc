//! Streams of changes, out of the server's change streams.

mod begin;
mod changed;
mod chunk;
pub mod conditions;
mod event;
mod pending;
mod place;
mod tables;
mod tail;
mod watching;

use std::sync::Arc;

use mongodb::bson::doc;

use self::begin::Beginner;
use self::chunk::Chunks;
use self::place::Place;
use self::tables::Tables;
use self::watching::Watching;
use super::connect::Server;
use super::id::ID;
use crate::config::Section;
use crate::error::Result;
use crate::record::{Checkpoint, Mode};
use crate::source::changes::{Asked, Until, follow};
use crate::source::following::Beginning;
use crate::source::masking::{self, Masks};
use crate::source::{self, Reader, feed};

/// Refuses what has no place in a log.
pub fn check(section: &Section) -> Result<()> {
    if section.is_set("where") {
        return Err(section
            .error("where", "says nothing of a change stream: it has the changes of whole collections")
            .hint("Leave rows out where they are loaded, or read with `mode = incremental`."));
    }
    let key = section.list("primary_key");
    if !key.is_empty() && key != [ID] {
        return Err(section
            .error("primary_key", "is another than `_id`: deletions tell of `_id` alone")
            .hint("Leave it out."));
    }
    let fields = section.list("columns");
    let has = |names: &[String]| names.iter().any(|name| name == ID);
    if (!fields.is_empty() && !has(&fields)) || has(&section.list("exclude_columns")) {
        let key = if fields.is_empty() { "exclude_columns" } else { "columns" };
        return Err(section
            .error(key, "leaves out `_id`, by which changes are told apart")
            .hint("Have it among the fields."));
    }
    if section.get("full_document") == Some("none") && section.get("schema") != Some("infer") {
        return Err(section
            .error("full_document", "is `none`, with which rows have what was set alone: that needs `schema = infer`")
            .hint("`full_document = lookup` has whole documents."));
    }
    if section.get("full_document") == Some("none") {
        masking::refuse_beside(section, "full_document", "`_update` has what was set in any field")?;
    }
    Ok(())
}

/// Opens the change stream after a checkpoint, or where the log ends, with snapshots of all collections.
pub async fn open(
    server: &Arc<Server>,
    stream: &source::Stream,
    after: Option<&Checkpoint>,
) -> Result<Box<dyn Reader>> {
    let beginning = Beginning::of(&stream.selection.section)?;
    let hello = server.hello().await?;
    watching::check(&hello, &server.settings.address, &stream.selection)?;
    conditions::check_tables(server, stream).await?;
    let state = after.map(|checkpoint| checkpoint.state.clone()).unwrap_or_default();
    let tables = Tables::of(&stream.selection, &state)?;
    let mut names = stream.tables.clone();
    // Those that a pattern matched until they went.
    let version = version(server).await?;
    let watching = Watching::of(&stream.selection, &names, Vec::new(), version)?;
    names.extend(tables.followed().into_iter().filter(|name| watching.has(name) && !stream.tables.contains(name)));
    let watching = Watching::of(&stream.selection, &names, tables.known(), version)?;
    let beginner = Beginner { server, stream, watching: &watching, tables: &tables, names: &names, beginning };
    let mut place = beginner.place(after).await?;
    if let Some(checkpoint) = after.filter(|_| beginning == Beginning::SnapshotOnly && place.snapshots.is_empty()) {
        return Ok(feed::at_its_end(checkpoint.clone()));
    }
    let replies = beginner.open(&mut place).await?;
    beginner.others(&mut place).await?;
    let goes_on = stream.following.goes_on && beginning != Beginning::SnapshotOnly;
    let until = if goes_on { Until::Stopped } else { Until::End };
    let end = if goes_on { None } else { Some(watching.end(server).await?) };
    let begun = Place::of(&place.log)?;
    let mut chunks = Chunks::new(server, stream, tables.clone(), watching.chosen.clone());
    let masks = Masks::of(&stream.selection.section, Mode::Cdc)?;
    let mut log = tail::Tail::of(server, (watching, masks), tables, (replies, begun), end);
    Ok(feed::from_task(
        move |outlet| async move { follow(Asked { place, until }, &mut log, &mut chunks, &outlet).await },
    ))
}

/// The server's version: what it knows of change streams differs.
pub async fn version(server: &Server) -> Result<(u32, u32)> {
    let told = server.run(doc! { "buildInfo": 1 }).await?;
    let mut numbers = told.get_str("version").unwrap_or_default().split('.').map(|number| number.parse().unwrap_or(0));
    Ok((numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
}
