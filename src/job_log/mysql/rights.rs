//! Which rights are missing. The server is asked to prepare statements, for which it checks them; none is run.

use super::Connection;
use super::error;
use crate::error::{Error, Result};
use crate::net::mysql::client::Failure;
use crate::net::mysql::error::{is_denied, is_missing, number};

/// A statement for each right that is used once the tables are there. They change no row.
const USES: [(&str, &str, &str); 17] = [
    ("job_log", "SELECT", "SELECT run_id FROM job_log WHERE 1 = 0"),
    ("job_log", "INSERT", "INSERT INTO job_log (run_id) SELECT '' FROM dual WHERE 1 = 0"),
    ("job_log", "UPDATE", "UPDATE job_log SET seq = 0 WHERE 1 = 0"),
    ("job_log_lease", "SELECT", "SELECT token FROM job_log_lease WHERE 1 = 0"),
    ("job_log_lease", "INSERT", "INSERT INTO job_log_lease (token) SELECT '' FROM dual WHERE 1 = 0"),
    ("job_log_lease", "UPDATE", "UPDATE job_log_lease SET token = '' WHERE 1 = 0"),
    ("job_log_lease", "DELETE", "DELETE FROM job_log_lease WHERE 1 = 0"),
    ("job_log_lag", "SELECT", "SELECT seconds FROM job_log_lag WHERE 1 = 0"),
    ("job_log_lag", "INSERT", "INSERT INTO job_log_lag (stream) SELECT '' FROM dual WHERE 1 = 0"),
    ("job_log_lag", "UPDATE", "UPDATE job_log_lag SET seconds = 0 WHERE 1 = 0"),
    ("job_log_share", "SELECT", "SELECT seq FROM job_log_share WHERE 1 = 0"),
    ("job_log_share", "INSERT", "INSERT INTO job_log_share (stream) SELECT '' FROM dual WHERE 1 = 0"),
    ("job_log_share", "UPDATE", "UPDATE job_log_share SET seq = 0 WHERE 1 = 0"),
    ("job_log_failure", "SELECT", "SELECT id FROM job_log_failure WHERE 1 = 0"),
    ("job_log_failure", "INSERT", "INSERT INTO job_log_failure (stream) SELECT '' FROM dual WHERE 1 = 0"),
    ("job_log_failure", "UPDATE", "UPDATE job_log_failure SET attempts = 0 WHERE 1 = 0"),
    ("job_log_id", "SELECT", "SELECT id FROM job_log_id WHERE 1 = 0"),
];

/// What making the tables needs besides.
const MAKES: [(&str, &str, &str); 3] = [
    ("job_log_id", "CREATE", "CREATE TABLE job_log_id (id VARCHAR(64) NOT NULL)"),
    ("job_log_id", "INSERT", "INSERT INTO job_log_id (id) SELECT '' FROM dual WHERE 1 = 0"),
    ("job_log_id", "UPDATE", "UPDATE job_log_id SET id = '' WHERE 1 = 0"),
];

/// Stands for all tables where they are missing.
const DATABASE: &str = "the database";

pub(super) async fn check(connection: &mut Connection, are_there: bool) -> Result<()> {
    let mut missing: Vec<(&str, &str)> = Vec::new();
    let makes = if are_there { &[][..] } else { &MAKES[..] };
    for (table, right, sql) in makes.iter().chain(&USES) {
        let lack = if are_there { (*table, *right) } else { (DATABASE, *right) };
        match connection.client.prepare(sql).await.map_err(|failure| (number(&failure), failure)) {
            Ok(_) => {}
            Err((Some(number), _)) if is_denied(number) && missing.contains(&lack) => {}
            Err((Some(number), _)) if is_denied(number) => missing.push(lack),
            // The right is looked at first.
            Err((Some(number), _)) if is_missing(number) && !are_there => {}
            // A table of an earlier try, whose making was cut short.
            Err((Some(1050), _)) => {}
            Err((_, failure)) => return Err(connection.error(failure)),
        }
    }
    if !missing.is_empty() {
        return Err(denied(connection, &missing).await);
    }
    if are_there {
        // Preparing does not tell whether the server takes writes at all. No row has a null here.
        connection.run("DELETE FROM job_log_lease WHERE pipeline IS NULL").await?;
    }
    Ok(())
}

async fn denied(connection: &mut Connection, missing: &[(&str, &str)]) -> Error {
    let database = connection.settings.database.replace('`', "``");
    let user = match account(connection).await {
        Ok(user) => user,
        Err(failure) => return error::running(failure, &connection.settings),
    };
    let mut words: Vec<String> = Vec::new();
    let mut grants: Vec<String> = Vec::new();
    for table in [DATABASE, "job_log", "job_log_lease", "job_log_lag", "job_log_share", "job_log_failure", "job_log_id"]
    {
        let rights: Vec<_> = missing.iter().filter(|(of, _)| *of == table).map(|(_, right)| *right).collect();
        if rights.is_empty() {
            continue;
        }
        let rights = rights.join(", ");
        words.push(format!("{rights} in {table}"));
        grants.push(match table {
            DATABASE => format!("GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON `{database}`.* TO {user};"),
            table => format!("GRANT {rights} ON `{database}`.{table} TO {user};"),
        });
    }
    let (place, words) = (&connection.settings.place, words.join(", "));
    Error::denied(format!("job log {place}: the user {} may not {words}", connection.settings.username))
        .hint(format!("An administrator can run: {}", grants.join(" ")))
}

/// The account that the server took us for: `'user'@'host'`.
async fn account(connection: &mut Connection) -> Result<String, Failure> {
    let rows = connection.client.query("SELECT current_user()").await?;
    let name: String = rows.first().and_then(|row| row.get(0)).unwrap_or_default();
    let (user, host) = name.rsplit_once('@').unwrap_or((&name, "%"));
    Ok(format!("'{}'@'{}'", user.replace('\'', "''"), host.replace('\'', "''")))
}
