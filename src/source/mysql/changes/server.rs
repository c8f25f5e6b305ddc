//! What the server's log is like, and where it ends.

use super::place::Place;
use crate::error::{Error, Kind, Result};
use crate::source::mysql::client::Failure;
use crate::source::mysql::connect::{Connection, number, text};
use crate::source::mysql::error::{self, Doing};

/// Refuses a server whose log does not tell the changes of rows.
pub async fn check(connection: &mut Connection) -> Result<()> {
    let sql = "select @@global.log_bin, @@global.binlog_format, @@global.binlog_row_image";
    let rows = connection.rows(sql, ()).await.map_err(failed)?;
    let Some(row) = rows.first() else { return Err(Error::bug("the server told nothing of its log")) };
    if text(row, 0) != "1" {
        return Err(Error::config("the server keeps no binary log")
            .hint("An administrator can set `log_bin` and `binlog_format = ROW`, and restart it."));
    }
    let format = text(row, 1);
    if !format.eq_ignore_ascii_case("row") {
        return Err(Error::config(format!("the server's log tells statements, not rows (binlog_format = {format})"))
            .hint("An administrator can run: SET GLOBAL binlog_format = 'ROW'; sessions that are open keep what they have."));
    }
    Ok(())
}

/// How long a transaction that was read may be in the midst of its commit.
const COMMIT_S: u64 = 10;

/// Refuses a server that lacks transactions that were read of the log, as one does that took over without them: it would send what
/// comes, and what it lacks would stay at the destination. MariaDB refuses such a place itself.
pub async fn has(connection: &mut Connection, place: &Place) -> Result<()> {
    let Some(gtids) = place.gtids.as_ref().filter(|_| !connection.is_mariadb) else { return Ok(()) };
    let sql = "select wait_for_executed_gtid_set(?, ?)";
    let rows = connection.rows(sql, (gtids, COMMIT_S)).await.map_err(failed)?;
    if rows.first().and_then(|row| number(row, 0)) == Some(0) {
        return Ok(());
    }
    Err(Error::new(Kind::Lost, "the server lacks transactions that were read: it took over without them, or is behind").hint(
        "Where it does not come after, `tidemark run --full-refresh` with the stream's name reads all of its tables anew; \
         `on_lost = snapshot` does so by itself.",
    ))
}

/// Where the log ends now.
pub async fn end(connection: &mut Connection) -> Result<Place> {
    let commands: &[&str] = match connection.is_mariadb {
        true => &["show binlog status", "show master status"],
        false => &["show binary log status", "show master status"],
    };
    let mut refused = None;
    for command in commands {
        match connection.texts(command).await {
            Ok(rows) => {
                let Some(row) = rows.first() else {
                    return Err(
                        Error::config("the server keeps no binary log").hint("An administrator can set `log_bin`.")
                    );
                };
                let number = text(row, 1).parse();
                let pos = number.map_err(|_| Error::bug("the end of the log is no number"))?;
                let mut place = Place { file: text(row, 0), pos, gtids: None };
                place.gtids = match connection.is_mariadb {
                    true => of_mariadb(connection, &place).await?,
                    false => {
                        let executed = text(row, 4).replace(['\n', ' '], "");
                        has_gtids(connection).await?.then_some(executed)
                    }
                };
                return Ok(place);
            }
            // Another version's words.
            Err(failure) if error::number(&failure) == Some(1064) => refused = Some(failure),
            Err(failure) => return Err(failed(failure)),
        }
    }
    Err(refused.map_or_else(|| Error::bug("no command"), failed))
}

/// Whether each transaction that MySQL logs from now on has an id.
async fn has_gtids(connection: &mut Connection) -> Result<bool> {
    let rows = connection.rows("select @@global.gtid_mode", ()).await.map_err(failed)?;
    Ok(rows.first().is_some_and(|row| text(row, 0).eq_ignore_ascii_case("on")))
}

async fn of_mariadb(connection: &mut Connection, place: &Place) -> Result<Option<String>> {
    let sql = "select binlog_gtid_pos(?, ?)";
    let rows = connection.rows(sql, (&place.file, place.pos)).await.map_err(failed)?;
    Ok(rows.first().map(|row| text(row, 0)))
}

fn failed(failure: Failure) -> Error {
    match error::number(&failure) {
        Some(1227) => Error::denied("the user may not ask where the server's log ends (error 1227)").hint(
            "An administrator can run: GRANT REPLICATION CLIENT, REPLICATION SLAVE ON *.* TO …, with the user's name.",
        ),
        _ => error::of(failure, Doing::Preparing),
    }
}
