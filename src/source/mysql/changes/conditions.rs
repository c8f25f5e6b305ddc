//! What `check` tells of a stream of changes: what the log has, how long it is kept, and what the user may do.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::files::{self, Files};
use super::prepared::Prepared;
use super::server::{self, Image, Kept, Settings};
use super::{Asker, place::Place, read_anew, tables};
use crate::error::{Context, Error, Kind, Result};
use crate::record::Checkpoint;
use crate::source::following::begins_anew_where_lost;
use crate::source::mysql::catalog;
use crate::source::mysql::config;
use crate::source::mysql::connect::Connection;
use crate::source::mysql::error::{self, Doing};
use crate::source::mysql::name::Name;
use crate::source::mysql::rights;
use crate::source::{Conditions, Selection, Stream, changes};

const DAY: Duration = Duration::from_secs(86_400);
/// A log that is kept for less than so many commits does not outlive a hitch.
const COMMITS_KEPT: u32 = 10;
/// The oldest file must be older than that to tell how much is written in a day.
const TELLING: Duration = Duration::from_secs(3_600);

/// Looks at all that a run of the stream would need, the log itself included.
pub async fn of(
    settings: &Arc<config::Settings>,
    stream: &Stream,
    after: Option<&Checkpoint>,
    interval: Duration,
) -> Result<Conditions> {
    let mut connection = Connection::open(settings).await?;
    let asked = Settings::of(&mut connection).await.at(|| settings.address())?;
    asked.check().at(|| settings.address())?;
    let asker = Asker::of(&mut connection, settings, stream).await?;
    server::refuse_left_out(&mut connection, &asked, &asker.databases()?).await.at(|| settings.address())?;
    let end = server::end(&mut connection).await.at(|| settings.address())?;
    let reached = after.map(|after| Place::of(&changes::Place::of(&after.position)?.log)).transpose()?;
    // Whether it is sent, from where the stream stands, is known once it is asked for.
    let from = reached.as_ref().unwrap_or(&end);
    let lost = match asker.log(&asker.options(from.start(asker.is_mariadb)?, true)).await {
        Err(lost) if lost.kind() == Kind::Lost && begins_anew_where_lost(&stream.selection.section)? => Some(lost),
        sent => sent.map(|_| None)?,
    };
    let files = Files::of(&mut connection).await.at(|| settings.address())?;

    let mut notes = of_settings(&asked);
    notes.extend(of_retention(&asked, interval));
    if let Some(lost) = lost {
        notes.push(format!("{}, by the next run.", read_anew(&lost)));
    } else if let Some(place) = reached {
        let prepared = after.map(|after| Prepared::of(&after.state)).transpose()?.unwrap_or_default();
        notes.extend(of_place(&asker, &files, asked.kept(), (&place, &prepared)).await?);
    }
    let account = rights::own_account(&mut connection).await;
    let account = account.map_err(|failure| error::of(failure, Doing::Preparing)).at(|| settings.address())?;
    let names: Vec<Name> = asker.names()?.into_iter().map(|(_, name)| name).collect();
    notes.push(format!("The user needs no more than: {}", rights::grants(&names, &account)));
    notes.extend(rights::beyond(&mut connection).await);
    connection.close().await;
    Ok(Conditions { notes, bytes_a_day: bytes_a_day(&asker, &files).await })
}

/// What `check` tells of one of the tables.
pub async fn of_table(
    connection: &mut Connection,
    selection: &Selection,
    table: (&str, &Name),
) -> Result<Option<String>> {
    let asked = Settings::of(connection).await?;
    tables::of(connection, &asked, selection, table).await
}

/// Why a table cannot be described; where it is not there, a run does not mind.
pub async fn of_absent(
    connection: &mut Connection,
    settings: &config::Settings,
    stream: &Stream,
    error: Error,
) -> Error {
    let Ok(name) = Name::parse(stream.table(), &settings.database) else { return error };
    match catalog::columns(connection, &name).await {
        Ok(columns) if columns.is_empty() => error.hint("A run goes on without it, and reads it when it comes."),
        _ => error,
    }
}

fn of_settings(asked: &Settings) -> Vec<String> {
    let mut notes = vec![
        "The log has rows (binlog_format = ROW). A session that sets another format for itself, or is open since before this one was set, \
         ends the stream with an error once it changes one of its tables."
            .to_owned(),
    ];
    let image = asked.word("binlog_row_image");
    if asked.image() != Image::Full {
        notes.push(format!(
            "binlog_row_image = {image}: columns that the server does not send are null, and named in `_unchanged`."
        ));
    }
    match asked.word("binlog_row_metadata").as_str() {
        "FULL" => {}
        metadata => notes.push(format!(
            "binlog_row_metadata = {metadata}: the log does not name columns. With SET GLOBAL binlog_row_metadata = 'FULL' a table \
             that was altered without a word in the log is found by the names of its columns, and not by their types alone."
        )),
    }
    let gtids = asked.word("gtid_mode");
    if !gtids.is_empty() && gtids != "ON" {
        notes.push(format!(
            "gtid_mode = {gtids}: the stream's place is a file of this server. After a fail-over to another server it means nothing, and \
             all tables are to be read anew."
        ));
    }
    notes
}

fn of_retention(asked: &Settings, interval: Duration) -> Vec<String> {
    let mut notes = Vec::new();
    match asked.kept() {
        Kept::Always => notes.push("The server keeps its log until somebody purges it.".to_owned()),
        Kept::For(kept) if kept < DAY.max(interval * COMMITS_KEPT) => {
            let why = match kept < interval * COMMITS_KEPT {
                true => format!("which is less than {COMMITS_KEPT} times `commit_interval`"),
                false => "which is less than a day".to_owned(),
            };
            notes.push(format!(
                "The server keeps its log for {} only, {why}: a stream that does not run for so long has lost its place, and all \
                 tables are to be read anew. An administrator can run: SET GLOBAL binlog_expire_logs_seconds = {}, and write the same below \
                 [mysqld] in the server's my.cnf.",
                files::in_words(kept),
                (DAY * 3).max(interval * COMMITS_KEPT).as_secs()
            ));
        }
        Kept::For(kept) => notes.push(format!("The server keeps its log for {}.", files::in_words(kept))),
    }
    if let Some(bytes) = asked.most_bytes() {
        notes.push(format!(
            "The server keeps {} of log at most (max_binlog_total_size), however short a time that is.",
            files::size(bytes)
        ));
    }
    notes
}

/// Where the stream stands in what is kept.
async fn of_place(
    asker: &Asker,
    files: &Files,
    kept: Kept,
    (place, prepared): (&Place, &Prepared),
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    if let Some(bytes) = files.behind(&place.file, place.pos).filter(|bytes| *bytes > 0) {
        let size = files::size(bytes);
        notes.push(format!("{size} of the log are not read yet, from {}:{} on.", place.file, place.pos));
    }
    let needed = prepared.needed(place);
    let oldest = needed.oldest(files);
    let left = files::kept_for(asker, files, kept, oldest).await?;
    if let Some(left) = left.filter(|left| files::is_little(kept, *left)) {
        notes.push(about_to_go(oldest, oldest != needed.at, left));
    }
    Ok(notes)
}

/// The sentence for who must act soon.
pub fn about_to_go(file: &str, is_prepared: bool, left: Duration) -> String {
    let when = match left.as_secs() {
        0 => "may purge it at any time".to_owned(),
        _ => format!("purges it in about {}", files::in_words(left)),
    };
    if is_prepared {
        return format!(
            "A transaction that was prepared (XA) and is not ended stands in {file}, from where the stream reads it once it is committed, \
             and the server {when}: have it committed or rolled back (XA RECOVER lists those that are prepared), or have the server keep \
             its log for longer (binlog_expire_logs_seconds)."
        );
    }
    format!(
        "What the stream reads next stands in {file}, and the server {when}: let the stream run until it has come to the log's end, or \
         have the server keep its log for longer (binlog_expire_logs_seconds)."
    )
}

/// How much the server logs in a day, of all its databases.
async fn bytes_a_day(asker: &Asker, files: &Files) -> Option<u64> {
    let begun_at = files::begun_at(asker, files.oldest()?).await.ok()??;
    let age = Duration::try_from(Timestamp::now().duration_since(begun_at)).ok()?;
    (age >= TELLING).then(|| (files.bytes() as f64 / age.as_secs_f64() * DAY.as_secs_f64()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_kept_too_short_a_time_is_told() {
        let asked = |seconds: &str| Settings::of_values(&[("binlog_expire_logs_seconds", seconds)]);
        let minute = Duration::from_secs(60);
        let said = |seconds, interval| of_retention(&asked(seconds), interval).concat();
        assert_eq!(said("2592000", minute), "The server keeps its log for 30 days.");
        assert!(said("3600", minute).contains("60 min only, which is less than a day"), "{}", said("3600", minute));
        assert!(said("172800", DAY).contains("2 days only, which is less than 10 times `commit_interval`"));
        assert!(said("172800", DAY).contains("binlog_expire_logs_seconds = 864000"));
        assert_eq!(said("0", minute), "The server keeps its log until somebody purges it.");
    }

    #[test]
    fn settings_that_say_less_are_told() {
        let all = [("binlog_row_image", "FULL"), ("binlog_row_metadata", "FULL"), ("gtid_mode", "ON")];
        assert_eq!(of_settings(&Settings::of_values(&all)).len(), 1);
        let less =
            [("binlog_row_image", "MINIMAL"), ("binlog_row_metadata", "NO_LOG"), ("gtid_mode", "OFF_PERMISSIVE")];
        let said = of_settings(&Settings::of_values(&less)).join("\n");
        for word in ["`_unchanged`", "binlog_row_metadata = NO_LOG", "gtid_mode = OFF_PERMISSIVE", "fail-over"] {
            assert!(said.contains(word), "{said}");
        }
    }
}
