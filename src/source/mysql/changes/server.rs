//! What the server's log is like, how long it is kept, and where it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::place::Place;
use crate::error::{Error, Kind, Result};
use crate::source::mysql::connect::{Connection, number, text};
use crate::source::mysql::error;
use crate::source::mysql::rights;

/// The settings that decide what the log tells.
#[derive(Debug, Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

/// How long the server keeps its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Until somebody purges it.
    Always,
    /// A file so long after its last event.
    For(Duration),
}

/// How much of a row the log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    Full,
    /// All but texts and bytes that did not change.
    NoBlob,
    /// The key, and what changed.
    Minimal,
}

impl Settings {
    /// Anybody may ask for them.
    pub async fn of(connection: &mut Connection) -> Result<Self> {
        let sql = "show global variables where variable_name in ('log_bin', 'binlog_format', 'binlog_row_image', \
                   'binlog_row_metadata', 'gtid_mode', 'binlog_expire_logs_seconds', 'expire_logs_days', \
                   'binlog_expire_logs_auto_purge', 'max_binlog_total_size', 'innodb_native_foreign_keys', \
                   'log_slave_updates', 'log_replica_updates')";
        let rows = connection.texts(sql).await.map_err(|failure| error::of(failure, error::Doing::Preparing))?;
        Ok(Self(rows.iter().map(|row| (text(row, 0).to_lowercase(), text(row, 1))).collect()))
    }

    #[cfg(test)]
    pub fn of_values(values: &[(&str, &str)]) -> Self {
        Self(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// In capitals; empty where the server has no such setting.
    pub fn word(&self, name: &str) -> String {
        self.0.get(name).map(|value| value.to_ascii_uppercase()).unwrap_or_default()
    }

    fn number(&self, name: &str) -> f64 {
        self.0.get(name).and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }

    /// Refuses a server whose log does not tell the changes of rows.
    pub fn check(&self) -> Result<()> {
        if self.word("log_bin") != "ON" {
            return Err(Error::config("the server keeps no binary log (log_bin = OFF)").hint(
                "An administrator can write `log_bin` and `binlog_format = ROW` below [mysqld] in the server's my.cnf, and restart it.",
            ));
        }
        let format = self.word("binlog_format");
        if format != "ROW" {
            return Err(Error::config(format!("the server's log tells statements, not rows (binlog_format = {format})"))
                .hint(
                    "An administrator can run: SET GLOBAL binlog_format = 'ROW', and write the same below [mysqld] in the server's \
                     my.cnf. Sessions that are open keep what they have until they connect again.",
                ));
        }
        Ok(())
    }

    pub fn image(&self) -> Image {
        match self.word("binlog_row_image").as_str() {
            "MINIMAL" => Image::Minimal,
            "NOBLOB" => Image::NoBlob,
            // One of MariaDB's leaves out only what stands in the row before.
            _ => Image::Full,
        }
    }

    /// Whether the server tells of rows that foreign keys change.
    pub fn logs_cascades(&self) -> bool {
        self.word("innodb_native_foreign_keys") == "OFF"
    }

    pub fn kept(&self) -> Kept {
        if self.word("binlog_expire_logs_auto_purge") == "OFF" {
            return Kept::Always;
        }
        let (seconds, days) = (self.number("binlog_expire_logs_seconds"), self.number("expire_logs_days"));
        match if seconds > 0.0 { seconds } else { days * 86_400.0 } {
            seconds if seconds > 0.0 => Kept::For(Duration::from_secs_f64(seconds)),
            _ => Kept::Always,
        }
    }

    /// How many bytes of log the server keeps, where that is what it goes by.
    pub fn most_bytes(&self) -> Option<u64> {
        Some(self.number("max_binlog_total_size") as u64).filter(|bytes| *bytes > 0)
    }
}

/// How long a transaction that was read may be in the midst of its commit.
const COMMIT_S: u64 = 10;

/// Refuses a server that lacks transactions that were read of the log, as one does that took over without them: it would send what
/// comes, and what it lacks would stay at the destination. MariaDB refuses such a place itself.
pub async fn has(connection: &mut Connection, place: &Place) -> Result<()> {
    let Some(gtids) = place.gtids.as_ref().filter(|_| !connection.is_mariadb) else { return Ok(()) };
    let sql = "select wait_for_executed_gtid_set(?, ?)";
    let rows = match connection.rows(sql, (gtids, COMMIT_S)).await {
        Ok(rows) => rows,
        Err(failure) => return Err(rights::refused(connection, failure).await),
    };
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
    let row = status(connection).await?;
    let number = row[1].parse();
    let pos = number.map_err(|_| Error::bug("the end of the log is no number"))?;
    let mut place = Place { file: row[0].clone(), pos, gtids: None };
    place.gtids = match connection.is_mariadb {
        true => of_mariadb(connection, &place).await?,
        false => {
            let executed = row[4].replace(['\n', ' '], "");
            has_gtids(connection).await?.then_some(executed)
        }
    };
    Ok(place)
}

/// What the server tells of its log: file, place, the databases that it logs and those that it does not, transactions.
async fn status(connection: &mut Connection) -> Result<[String; 5]> {
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
                return Ok(std::array::from_fn(|at| text(row, at)));
            }
            // Another version's words.
            Err(failure) if error::number(&failure) == Some(1064) => refused = Some(failure),
            Err(failure) => return Err(rights::refused(connection, failure).await),
        }
    }
    match refused {
        Some(failure) => Err(rights::refused(connection, failure).await),
        None => Err(Error::bug("no command")),
    }
}

/// Refuses a server whose log leaves out one of these databases, or all that comes from the server that it is a replica of.
pub async fn refuse_left_out(connection: &mut Connection, settings: &Settings, databases: &[String]) -> Result<()> {
    let [_, _, logged, ignored, _] = status(connection).await?;
    let list = |text: &str| text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (logged, ignored) = (list(&logged), list(&ignored));
    for database in databases {
        if (!logged.is_empty() && !logged.contains(database)) || ignored.contains(database) {
            return Err(Error::config(format!("the server leaves the database {database} out of its log")).hint(
                "It does so by `binlog_do_db` or `binlog_ignore_db` in its my.cnf: an administrator can take them out.",
            ));
        }
    }
    let logs_what_it_replays = ["log_replica_updates", "log_slave_updates"]
        .iter()
        .all(|name| !settings.word(name).eq_ignore_ascii_case("off"));
    let command = if connection.is_mariadb { "show all slaves status" } else { "show replica status" };
    if logs_what_it_replays || connection.texts(command).await.map_or(true, |rows| rows.is_empty()) {
        return Ok(());
    }
    Err(Error::config("the server is a replica that does not log what it takes over")
        .hint("Read the log of its primary, or have an administrator set `log_replica_updates` (`log_slave_updates`) and restart it."))
}

/// Whether each transaction that MySQL logs from now on has an id.
pub async fn has_gtids(connection: &mut Connection) -> Result<bool> {
    match connection.rows("select @@global.gtid_mode", ()).await {
        Ok(rows) => Ok(rows.first().is_some_and(|row| text(row, 0).eq_ignore_ascii_case("on"))),
        Err(failure) => Err(rights::refused(connection, failure).await),
    }
}

async fn of_mariadb(connection: &mut Connection, place: &Place) -> Result<Option<String>> {
    match connection.rows("select binlog_gtid_pos(?, ?)", (&place.file, place.pos)).await {
        Ok(rows) => Ok(rows.first().map(|row| text(row, 0))),
        Err(failure) => Err(rights::refused(connection, failure).await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(values: &[(&str, &str)]) -> Settings {
        Settings::of_values(values)
    }

    #[test]
    fn how_long_a_log_is_kept() {
        let kept = |values: &[(&str, &str)]| settings(values).kept();
        let days = |days: u64| Kept::For(Duration::from_secs(days * 86_400));
        assert_eq!(
            kept(&[("binlog_expire_logs_seconds", "2592000"), ("binlog_expire_logs_auto_purge", "ON")]),
            days(30)
        );
        assert_eq!(
            kept(&[("binlog_expire_logs_seconds", "2592000"), ("binlog_expire_logs_auto_purge", "OFF")]),
            Kept::Always
        );
        assert_eq!(kept(&[("binlog_expire_logs_seconds", "0"), ("expire_logs_days", "0.000000")]), Kept::Always);
        assert_eq!(kept(&[("expire_logs_days", "10")]), days(10));
        assert_eq!(kept(&[]), Kept::Always);
    }

    #[test]
    fn a_log_without_rows_is_refused() {
        let on = ("log_bin", "ON");
        assert!(settings(&[on, ("binlog_format", "ROW")]).check().is_ok());
        for (values, said) in [
            (&[("log_bin", "OFF")][..], "log_bin = OFF"),
            (&[on, ("binlog_format", "STATEMENT")], "binlog_format = STATEMENT"),
            (&[on, ("binlog_format", "MIXED")], "binlog_format = MIXED"),
        ] {
            assert!(settings(values).check().unwrap_err().message().contains(said), "{said}");
        }
    }

    #[test]
    fn cascades_are_logged_where_the_server_says_so() {
        assert!(settings(&[("innodb_native_foreign_keys", "OFF")]).logs_cascades());
        assert!(!settings(&[("innodb_native_foreign_keys", "ON")]).logs_cascades());
        assert!(!settings(&[]).logs_cascades());
    }
}
