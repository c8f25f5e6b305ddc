//! What `check` tells of a stream of changes, and what it makes where it is asked to.

use std::sync::Arc;

use super::place::Place;
use super::retained::{Limit, Look};
use super::server::Server;
use super::{Asker, holder, slot, tables, timeline};
use crate::error::{Context, Error, Kind, Result};
use crate::net::postgres::readable;
use crate::record::Checkpoint;
use crate::source::following::begins_anew_where_lost;
use crate::source::postgres::config::Settings;
use crate::source::postgres::connect::{Session, get};
use crate::source::postgres::replication::{self, Slot};
use crate::source::{Conditions, Stream, changes};

/// Looks at all that a run of the stream would need, the replication login included.
pub async fn of(settings: &Arc<Settings>, stream: &Stream, after: Option<&Checkpoint>) -> Result<Conditions> {
    let asker = Asker::of(settings, stream)?;
    let session = asker.look().await?;
    let server = Server::of(&session).await?;
    server.check().at(|| settings.address())?;
    asker.publication.check(&session, &asker.tables(&session).await?).await.at(|| settings.address())?;
    let mut log = replication::Session::connect(settings).await?;
    let found = log.slot(&asker.slot).await?;
    let place = match after {
        Some(after) => Place::of(&changes::Place::of(&after.position)?.log)?,
        None => slot::begin(&asker.slot, found.as_ref(), log.version()).at(|| settings.address())?,
    };
    let was = after.and_then(|after| timeline::of(&after.state));
    let has = match slot::check_has(&asker.slot, found.as_ref(), place) {
        Ok(()) => timeline::check_has(&mut log, was, place).await,
        lost => lost,
    };
    let mut notes = server.notes();
    match has {
        Err(lost) if lost.kind() == Kind::Lost && begins_anew_where_lost(&stream.selection.section)? => {
            notes.push(format!("{}: all tables are read anew, by the next run.", lost.message()));
        }
        has => has.at(|| settings.address())?,
    }
    notes.extend(pooled(&mut log).await?);
    if let Some(found) = &found {
        notes.extend(of_slot(&asker, &session, found, place).await?);
        notes.extend(of_fail_over(&asker, &server, found, log.version()));
    }
    notes.push(format!("The role needs no more than: {}", grants(&asker)?));
    notes.extend(beyond(&session).await?);
    log.close().await?;
    session.close().await;
    Ok(Conditions { notes, bytes_a_day: None })
}

/// Makes the publication and the slot where they are missing; says what it made.
pub async fn create(settings: &Arc<Settings>, stream: &Stream) -> Result<Vec<String>> {
    let asker = Asker::of(settings, stream)?;
    let session = asker.look().await?;
    let server = Server::of(&session).await?;
    server.check().at(|| settings.address())?;
    let tables = asker.tables(&session).await?;
    let is_there = asker.publication.is_there(&session).await?;
    let mut made = Vec::new();
    // A role that may make the one and not the other is to leave nothing half made.
    let mut log = replication::Session::connect(settings).await?;
    let has_slot = log.slot(&asker.slot).await?.is_some();
    if !has_slot {
        server.check_room().at(|| settings.address())?;
    }
    // The slot last: it cannot see a publication that is made after it.
    if !is_there {
        tables::look_before_publishing(&session, &asker).await?;
        let Some(sql) = asker.publication.create(&tables, session.version()) else {
            return Err(asker.publication.of_nothing());
        };
        session.run("COMMIT").await?;
        session.run(&sql).await.map_err(|error| unpublished(error, &asker, &sql))?;
        made.push(format!("Made the publication {}.", asker.publication.name));
    }
    if !has_slot {
        let place = slot::create(&mut log, &asker).await?;
        made.push(format!(
            "Made the replication slot {}, which keeps the server's log from {place} on: if the stream is given up, it has to be dropped \
             (SELECT pg_drop_replication_slot('{}');).",
            asker.slot, asker.slot
        ));
    }
    log.close().await?;
    session.close().await;
    Ok(made)
}

fn unpublished(error: Error, asker: &Asker, sql: &str) -> Error {
    let role = readable(&asker.settings.username);
    error.hint(format!(
        "An administrator can run: {sql} Or the owner of the tables, who needs: GRANT CREATE ON DATABASE {} TO {role};",
        readable(&asker.settings.database)
    ))
}

/// Whether somebody stands between us and the server who passes the log on.
async fn pooled(log: &mut replication::Session) -> Result<Option<String>> {
    if !log.is_pooled().await? {
        return Ok(None);
    }
    // It may have dropped the word for replication, and pass everything on as SQL.
    log.identify().await?;
    Ok(Some(
        "A pooler (PgBouncer) stands between us and the server. It passes replication on, and keeps one of its server connections for \
         the stream all the time: count them in its pool, or have `hostname` and `port` name the server itself."
            .to_owned(),
    ))
}

/// Where the stream stands in what is kept.
async fn of_slot(asker: &Asker, session: &Session, slot: &Slot, place: Place) -> Result<Vec<String>> {
    let end = asker.end_by(session).await?;
    let mut notes = Vec::new();
    let behind = end.0.saturating_sub(place.0.0);
    if behind > 0 {
        notes.push(format!("{} of the log are not read yet, from {place} on.", size(behind)));
    }
    let look = Look::of(slot, end);
    let servers = look.left.map(|left| format!("; after {} more it is lost (max_slot_wal_keep_size)", size(left)));
    let own = Limit::of(&asker.stream.selection.section)?.map(|limit| match limit.bytes.checked_sub(look.kept) {
        Some(left) => format!("; {} more are allowed (`max_retained_wal`)", size(left)),
        None => format!("; that is more than {} (`max_retained_wal`)", size(limit.bytes)),
    });
    notes.push(format!(
        "Replication slot {} has the server keep {} of log{}{}.",
        asker.slot,
        size(look.kept),
        servers.unwrap_or_default(),
        own.unwrap_or_default()
    ));
    notes.extend(holder::of(session, slot).await?);
    if let Some(pid) = slot.active_pid {
        notes.push(format!("The slot is being read, by the server's process {pid}."));
    }
    Ok(notes)
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        mib => format!("{mib} MiB"),
    }
}

/// A slot that standbys do not have is gone where one of them takes over.
fn of_fail_over(asker: &Asker, server: &Server, slot: &Slot, version: u32) -> Option<String> {
    let is_alone = server.has_standbys() && !slot.failover;
    (is_alone && version >= 17).then(|| {
        format!(
            "The server has standbys, and they do not have the slot {0}: after a fail-over the stream begins anew. While nobody reads it, \
             psql 'dbname={1} replication=database' -c 'ALTER_REPLICATION_SLOT {0} (FAILOVER true)' has them keep it too, if they have \
             sync_replication_slots = on.",
            asker.slot, asker.settings.database
        )
    })
}

/// The least that the role needs.
fn grants(asker: &Asker) -> Result<String> {
    let role = readable(&asker.settings.username);
    let names: Vec<_> = asker.names()?.into_iter().map(|(_, name)| name).collect();
    let tables: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut schemas: Vec<_> = names.iter().map(|name| readable(&name.schema)).collect();
    schemas.sort();
    schemas.dedup();
    Ok(format!(
        "ALTER ROLE {role} REPLICATION; GRANT USAGE ON SCHEMA {} TO {role}; GRANT SELECT ON {} TO {role};",
        schemas.join(", "),
        tables.join(", ")
    ))
}

async fn beyond(session: &Session) -> Result<Option<String>> {
    let sql = "SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user";
    let rows = session.query(sql, &[]).await?;
    let is_super = rows.first().map(|row| get::<bool>(row, "rolsuper")).transpose()?.unwrap_or(false);
    Ok(is_super.then(|| "The role is a superuser, which is more than it needs.".to_owned()))
}

/// What `check` tells of one of the tables.
pub async fn of_table(settings: &Arc<Settings>, stream: &Stream) -> Result<Option<String>> {
    let asker = Asker::of(settings, stream)?;
    let session = asker.look().await?;
    let note = tables::of(&session, &asker, &asker.name(stream.table())?, stream.table()).await?;
    session.close().await;
    Ok(note)
}

/// The stream as it reads one of its tables: what is published of it. `None` where the table is not there.
pub async fn published(settings: &Arc<Settings>, stream: &Stream) -> Result<Option<Stream>> {
    let asker = Asker::of(settings, stream)?;
    let session = asker.look().await?;
    let known = asker.now(&session, &asker.name(stream.table())?).await?;
    session.close().await;
    known.map(|known| asker.published(stream.table(), &known)).transpose()
}
