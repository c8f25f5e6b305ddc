//! Where a stream begins by wish: a place in the log that people name.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::ddl::{Clause, Ddl};
use super::files::{self, Files};
use super::place::{Executed, Gtid, Place};
use super::statement::Statement;
use super::{Asker, server};
use crate::error::{Error, Result};
use crate::source::mysql::binlog::{Entry, Event, Log, Start, mariadb, mysql};
use crate::source::mysql::connect::{Connection, number};
use crate::source::mysql::error::{self, Doing};
use crate::source::mysql::name::Name;

/// A place as people write it.
#[derive(Debug, Clone, PartialEq)]
enum From {
    Now,
    Earliest,
    File(String, u64),
    Gtids(String),
    Time(Timestamp),
}

const FIRST: u64 = 4;

/// Where the log stood then. Refuses a place behind which a table of the stream was altered: what it was before is not known.
pub async fn place(connection: &mut Connection, asker: &Asker, from: &str) -> Result<Place> {
    let searching = Search { asker };
    let place = match From::parse(from, asker.is_mariadb)? {
        From::Now => return server::end(connection).await,
        From::Gtids(gtids) => Place { file: String::new(), pos: FIRST, gtids: Some(gtids) },
        From::Earliest => {
            let file = asker.first_file().await?;
            searching.up_to(&file, |entry| entry.position > FIRST).await?
        }
        From::File(file, position) => {
            Files::of(connection).await?.refuse_beyond(&file, position)?;
            let is_behind = |entry: &Entry<'_>| entry.file != file || entry.position > position;
            searching.up_to(&file, is_behind).await?
        }
        From::Time(time) => {
            refuse_to_come(connection, time).await?;
            let file = searching.file_of(connection, time).await?;
            let is_later = |entry: &Entry<'_>| {
                !entry.header.is_artificial() && i64::from(entry.header.timestamp) >= time.as_second()
            };
            searching.up_to(&file, is_later).await?
        }
    };
    searching.refuse_altered(&place).await?;
    Ok(place)
}

/// By the server's clock, which is that of the log.
async fn refuse_to_come(connection: &mut Connection, time: Timestamp) -> Result<()> {
    let rows = connection.rows("select unix_timestamp()", ()).await;
    let rows = rows.map_err(|failure| error::of(failure, Doing::Preparing))?;
    match rows.first().and_then(|row| number(row, 0)) {
        Some(now) if time.as_second() > now as i64 => {
            Err(Error::config(format!("--from: {time} is still to come, by the server's clock")))
        }
        _ => Ok(()),
    }
}

impl From {
    fn parse(text: &str, is_mariadb: bool) -> Result<Self> {
        let text = text.trim();
        let is_set = match is_mariadb {
            true => text.parse::<mariadb::Gtids>().is_ok(),
            false => text.parse::<mysql::Gtids>().is_ok(),
        };
        let time = text.parse::<Timestamp>().ok().or_else(|| {
            let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text)?;
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        });
        match (text, text.rsplit_once(':')) {
            ("now", _) => Ok(From::Now),
            ("earliest", _) => Ok(From::Earliest),
            _ if time.is_some() => Ok(time.map_or(From::Now, From::Time)),
            _ if is_set && !text.is_empty() => Ok(From::Gtids(text.to_owned())),
            (_, Some((file, position))) if file.contains('.') && position.parse::<u64>().is_ok() => {
                Ok(From::File(file.to_owned(), position.parse().unwrap_or(FIRST)))
            }
            _ => {
                let example = if is_mariadb { "`0-1-270`" } else { "`3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5`" };
                Err(Error::config(format!("--from: `{text}` is no place in a log")).hint(format!(
                    "Write `now`, `earliest`, `binlog.000003:1547`, transactions such as {example}, or a time with its zone such as \
                     `2024-02-29T10:00:00Z`."
                )))
            }
        }
    }
}

/// Looks through the log.
struct Search<'a> {
    asker: &'a Asker,
}

impl Search<'_> {
    /// The log to its end.
    async fn log(&self, start: Start) -> Result<Log> {
        self.asker.log(&self.asker.options(start, true)).await
    }

    /// The place before the first transaction of a file at whose first event `is_behind`, or the log's end.
    async fn up_to(&self, file: &str, is_behind: impl Fn(&Entry<'_>) -> bool) -> Result<Place> {
        let mut log = self.log(Start::of_file(file)).await?;
        let mut executed = Executed::ByFile;
        let mut place = Place { file: file.to_owned(), pos: FIRST, gtids: None };
        let mut open = None;
        while let Some(entry) = log.next().await? {
            let begun = Gtid::begun(&entry.event);
            if begun.is_some() && is_behind(&entry) {
                break;
            }
            open = begun.or(open);
            match &entry.event {
                Event::PreviousGtids(gtids) if matches!(executed, Executed::ByFile) && self.asker.has_gtids => {
                    executed = Executed::Mysql(gtids.clone());
                }
                Event::GtidList(gtids) if matches!(executed, Executed::ByFile) => {
                    executed = Executed::Mariadb(gtids.clone());
                }
                event if ends_transaction(event, open.is_some()) => executed.add(open.take().flatten()),
                _ => {}
            }
            if open.is_none() {
                (place.file, place.pos) = (entry.file.to_owned(), entry.position);
            }
        }
        place.gtids = executed.text();
        Ok(place)
    }

    /// The last file that was begun before a time; the first one, where none was.
    async fn file_of(&self, connection: &mut Connection, time: Timestamp) -> Result<String> {
        let files = Files::of(connection).await?;
        let files: Vec<_> = files.names().collect();
        let (mut low, mut high) = (0, files.len());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match files::begun_at(self.asker, files[middle]).await?.is_none_or(|begun| begun <= time) {
                true => low = middle,
                false => high = middle,
            }
        }
        files
            .get(low)
            .map(|file| (*file).to_owned())
            .ok_or_else(|| Error::unavailable("the server tells of no file of its log"))
    }

    /// Refuses a place behind which a table of the stream became another one.
    async fn refuse_altered(&self, place: &Place) -> Result<()> {
        let names = self.asker.names()?;
        let mut log = self.log(place.start(self.asker.is_mariadb)?).await?;
        while let Some(entry) = log.next().await? {
            let Event::Query(query) = &entry.event else { continue };
            let Statement::Define(ddl) = Statement::of_query(query) else { continue };
            let altered = names.iter().find(|(_, name)| self.alters(ddl.as_ref(), &query.text(), name));
            let Some((table, _)) = altered else { continue };
            let behind = format!("{}:{}", entry.file, entry.position);
            return Err(Error::schema(format!(
                "table {table} was altered at {behind}: what it was before is not known"
            ))
            .hint(format!("Begin behind that, with `--from {behind}`; or without `--from`, with a snapshot.")));
        }
        Ok(())
    }

    /// Whether a statement that defines tables makes another one of this; `ddl` is what it does, where that is known.
    fn alters(&self, ddl: Option<&Ddl>, sql: &str, table: &Name) -> bool {
        let same = |name: &Name| {
            self.asker.is_same(&name.database, &table.database) && self.asker.is_same(&name.table, &table.table)
        };
        match ddl {
            None => sql.to_lowercase().contains(&table.table.to_lowercase()),
            Some(Ddl::Nothing | Ddl::Truncate(_)) => false,
            Some(Ddl::Create { table, .. }) => same(table),
            Some(Ddl::Drop(tables)) => tables.iter().any(same),
            Some(Ddl::DropDatabase(database)) => self.asker.is_same(database, &table.database),
            Some(Ddl::Rename(renames)) => renames.iter().any(|(from, to)| same(from) || same(to)),
            Some(Ddl::Alter { table, clauses }) => {
                let renames_to_it = |clause: &Clause| matches!(clause, Clause::Rename(to) if same(to));
                let is_other = |clause: &Clause| *clause != Clause::Nothing;
                clauses.iter().any(renames_to_it) || (same(table) && clauses.iter().any(is_other))
            }
        }
    }
}

/// Whether a transaction that `is_open` ends with an event.
fn ends_transaction(event: &Event<'_>, is_open: bool) -> bool {
    match event {
        Event::Xid(_) | Event::XaPrepare(_) => true,
        Event::Query(query) => {
            let goes_on = [Statement::Begin, Statement::Within, Statement::Change];
            let statement = Statement::of_query(query);
            let is_within = matches!(statement, Statement::Savepoint(_) | Statement::Back(_) | Statement::Xa(_));
            is_open && !goes_on.contains(&statement) && !is_within
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_by_their_form() {
        let parse = |text| From::parse(text, false).unwrap();
        let time = "2024-02-29T10:00:00Z".parse().unwrap();
        assert_eq!(parse("now"), From::Now);
        assert_eq!(parse(" earliest "), From::Earliest);
        assert_eq!(parse("binlog.000003:1547"), From::File("binlog.000003".to_owned(), 1547));
        let set = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5";
        assert_eq!(parse(set), From::Gtids(set.to_owned()));
        assert_eq!(From::parse("0-1-270", true).unwrap(), From::Gtids("0-1-270".to_owned()));
        assert_eq!(parse("2024-02-29T10:00:00Z"), From::Time(time));
        assert_eq!(parse("2024-02-29"), From::Time("2024-02-29T00:00:00Z".parse().unwrap()));
        for wrong in ["", "binlog.000003", "binlog.000003:x", "2024-02-29 10:00:00", "yesterday"] {
            assert!(From::parse(wrong, false).is_err(), "{wrong}");
        }
    }
}
