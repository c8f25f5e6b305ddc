//! What reading the log takes of the account, and what the account may do beyond that.

use super::catalog;
use super::client::Failure;
use super::connect::{Connection, text};
use super::error::{self, Doing};
use super::name::{Name, account, quoted};
use crate::error::{Error, Kind};

/// Tables above so many are granted by their database.
const MOST_BY_NAME: usize = 10;
/// So many rights beyond what is needed are named.
const MOST_NAMED: usize = 6;

/// Rights that let nobody change or stop anything.
const HARMLESS: [&str; 10] = [
    "USAGE",
    "SELECT",
    "REPLICATION SLAVE",
    "REPLICATION CLIENT",
    "BINLOG MONITOR",
    "SLAVE MONITOR",
    "REPLICA MONITOR",
    "PROCESS",
    "SHOW DATABASES",
    "SHOW VIEW",
];

/// Those that are named first.
const STRONGEST: [&str; 10] =
    ["ALL PRIVILEGES", "SUPER", "DELETE", "DROP", "UPDATE", "INSERT", "ALTER", "CREATE", "FILE", "SHUTDOWN"];

/// The statement that lets an account read the log: both rights are needed, one to ask for its place and one to be sent it.
pub fn grant_of_log(account: &str) -> String {
    format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {account}")
}

/// All that a stream of these tables takes.
pub fn grants(tables: &[Name], account: &str) -> String {
    let mut grants = vec![grant_of_log(account)];
    let mut of_tables: Vec<String> = tables.iter().map(ToString::to_string).collect();
    if tables.len() > MOST_BY_NAME {
        of_tables = tables.iter().map(|table| format!("{}.*", quoted(&table.database))).collect();
        of_tables.sort();
        of_tables.dedup();
    }
    grants.extend(of_tables.iter().map(|of| format!("GRANT SELECT ON {of} TO {account}")));
    grants.join("; ")
}

/// The account that the server took us for: `'user'@'host'`.
pub async fn own_account(connection: &mut Connection) -> Result<String, Failure> {
    catalog::current_user(connection).await.map(|user| account(&user))
}

/// Why the server does not say where its log ends, and what to run.
pub async fn refused(connection: &mut Connection, failure: Failure) -> Error {
    let number = error::number(&failure).map(|number| format!(" (error {number})")).unwrap_or_default();
    let error = error::of(failure, Doing::Preparing);
    if error.kind() != Kind::Denied {
        return error;
    }
    let user = catalog::current_user(connection).await.unwrap_or_default();
    Error::denied(format!("the user {} may not ask where the server's log ends{number}", account(&user)))
        .hint(format!("An administrator can run: {}", grant_of_log(&account(&user))))
}

/// Why the server does not let a table be read, and what to run.
pub async fn no_select(connection: &mut Connection, failure: Failure, table: &Name) -> Error {
    let error = error::of(failure, Doing::Preparing).at(format!("table {table}"));
    if error.kind() != Kind::Denied {
        return error;
    }
    let user = catalog::current_user(connection).await.unwrap_or_default();
    error.hint(format!("An administrator can run: GRANT SELECT ON {table} TO {}", account(&user)))
}

/// Refuses a table of which not all columns may be read: the log has all of them, and tells them apart by the catalog. Whether
/// there is such a table.
pub async fn all_columns(connection: &mut Connection, table: &Name) -> Result<bool, Error> {
    match connection.run(&format!("select * from {table} limit 0")).await {
        Ok(()) => Ok(true),
        Err(failure) if error::number(&failure).is_some_and(|number| NOT_THERE.contains(&number)) => Ok(false),
        Err(failure) => Err(no_select(connection, failure, table).await),
    }
}

/// The table; its database.
const NOT_THERE: [u16; 2] = [1146, 1049];

/// What the account may do and no stream needs; `None` where there is nothing, or the server does not tell.
pub async fn beyond(connection: &mut Connection) -> Option<String> {
    let rows = connection.texts("show grants").await.ok()?;
    let mut beyond: Vec<(String, Vec<String>)> = Vec::new();
    for (rights, on) in rows.iter().filter_map(|row| granted(&text(row, 0))) {
        let rights: Vec<_> = rights.into_iter().filter(|right| !HARMLESS.contains(&right.as_str())).collect();
        match beyond.iter_mut().find(|(of, _)| *of == on) {
            Some((_, all)) => all.extend(rights),
            None => beyond.push((on, rights)),
        }
    }
    beyond.retain(|(_, rights)| !rights.is_empty());
    let shown: Vec<_> = beyond.into_iter().map(|(on, rights)| format!("{} on {on}", listed(rights))).collect();
    (!shown.is_empty()).then(|| format!("The user may do more than is needed: {}.", shown.join("; ")))
}

/// The rights of a line of SHOW GRANTS, and what they are on. `None` for roles.
fn granted(line: &str) -> Option<(Vec<String>, String)> {
    let (rights, rest) = line.strip_prefix("GRANT ")?.split_once(" ON ")?;
    let (on, _) = rest.split_once(" TO ")?;
    // Commas within brackets part columns.
    let mut depth = 0_u32;
    let parts = rights.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let name = |part: &str| part.split('(').next().unwrap_or_default().trim().to_owned();
    Some((parts.map(name).collect(), on.to_owned()))
}

/// The strongest first, and of many not all.
fn listed(mut rights: Vec<String>) -> String {
    let rank = |right: &String| STRONGEST.iter().position(|strong| strong == right).unwrap_or(STRONGEST.len());
    rights.sort_by_key(rank);
    let more = rights.len().saturating_sub(MOST_NAMED);
    rights.truncate(MOST_NAMED);
    let shown = rights.join(", ");
    if more > 0 { format!("{shown} and {more} others") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_grants_are_read() {
        let read = |line| granted(line).map(|(rights, on)| (rights.join("|"), on));
        let is = |rights: &str, on: &str| Some((rights.to_owned(), on.to_owned()));
        assert_eq!(read("GRANT SELECT, SUPER ON *.* TO `u`@`%`"), is("SELECT|SUPER", "*.*"));
        assert_eq!(read("GRANT SELECT (`a`, `b`), UPDATE (`c`) ON `d`.`t` TO `u`@`%`"), is("SELECT|UPDATE", "`d`.`t`"));
        assert_eq!(read("GRANT `role`@`%` TO `u`@`%`"), None);
    }

    #[test]
    fn the_strongest_rights_come_first() {
        let rights = ["RELOAD", "LOCK TABLES", "EXECUTE", "EVENT", "TRIGGER", "INSERT", "INDEX", "SUPER"];
        let shown = listed(rights.map(str::to_owned).to_vec());
        assert_eq!(shown, "SUPER, INSERT, RELOAD, LOCK TABLES, EXECUTE, EVENT and 2 others");
    }

    #[test]
    fn many_tables_are_granted_by_their_database() {
        let name = |table: usize| Name { database: "shop".to_owned(), table: format!("t{table}") };
        let few: Vec<_> = (0..2).map(name).collect();
        assert_eq!(
            grants(&few, "'u'@'%'"),
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'u'@'%'; GRANT SELECT ON `shop`.`t0` TO 'u'@'%'; \
             GRANT SELECT ON `shop`.`t1` TO 'u'@'%'"
        );
        let many: Vec<_> = (0..11).map(name).collect();
        assert!(grants(&many, "'u'@'%'").ends_with("; GRANT SELECT ON `shop`.* TO 'u'@'%'"));
    }
}
