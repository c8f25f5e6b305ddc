//! A place in the server's log.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::source::mysql::binlog::{Event, Start, mariadb, mysql};

/// A place in the server's log: by file, and by transactions where the server has ids for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub file: String,
    pub pos: u64,
    /// Everything up to here, in the server's own words, where it has ids for all that comes; may be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtids: Option<String>,
}

impl Place {
    /// Goes on to a place of a file, in the room that the last one had.
    pub fn stands(&mut self, file: &str, position: u64) {
        if self.file != file {
            file.clone_into(&mut self.file);
        }
        self.pos = position;
    }

    pub fn of(position: &Value) -> Result<Self> {
        serde_json::from_value(position.clone())
            .map_err(|_| Error::conflict("the position is no place in a log of MySQL or MariaDB"))
    }

    pub fn position(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|e| Error::bug(e.to_string()))
    }

    /// By transactions where that can be: after a fail-over the same ones stand in other files.
    pub fn start(&self, is_mariadb: bool) -> Result<Start> {
        let wrong = |_| {
            Error::conflict("the stream's place names transactions as this kind of server does not: it was read of MariaDB and this is MySQL, or the other way round")
                .hint("To go on here, `tidemark run --full-refresh` with the stream's name reads all of its tables anew.")
        };
        let by_file = Start::File { file: self.file.clone(), position: self.pos };
        Ok(match (&self.gtids, is_mariadb) {
            (None, _) => by_file,
            (Some(text), true) => Start::Mariadb(text.parse::<mariadb::Gtids>().map_err(wrong)?),
            (Some(text), false) => Start::Mysql(text.parse::<mysql::Gtids>().map_err(wrong)?),
        })
    }

    /// Whether it is not before another one: by transactions where both tell them.
    pub fn has_come_to(&self, other: &Self, is_mariadb: bool) -> Result<bool> {
        Ok(match (Executed::of(self, is_mariadb)?, Executed::of(other, is_mariadb)?) {
            (Executed::Mysql(own), Executed::Mysql(other)) => other.is_subset(&own),
            (Executed::Mariadb(own), Executed::Mariadb(other)) => other.is_subset(&own),
            _ => self.is_at_or_behind(other),
        })
    }

    /// For people.
    pub fn shown(&self) -> String {
        match &self.gtids {
            Some(gtids) if !gtids.is_empty() => gtids.clone(),
            _ => format!("{}:{}", self.file, self.pos),
        }
    }

    /// Whether it is not before another one of the same server, going by files: their names end in a number that grows.
    pub fn is_at_or_behind(&self, other: &Self) -> bool {
        let number = |file: &str| file.rsplit_once('.').and_then(|(_, number)| number.parse::<u64>().ok()).unwrap_or(0);
        (number(&self.file), self.pos) >= (number(&other.file), other.pos)
    }
}

/// The id of a transaction.
#[derive(Debug, Clone)]
pub enum Gtid {
    Mysql(mysql::Gtid),
    Mariadb(mariadb::Gtid),
}

impl Gtid {
    /// Of the transaction that an event begins, which may have none; `None` where it begins none.
    pub fn begun(event: &Event<'_>) -> Option<Option<Self>> {
        match event {
            Event::Transaction(transaction) => Some(transaction.gtid.clone().map(Gtid::Mysql)),
            Event::MariadbTransaction(transaction) => Some(Some(Gtid::Mariadb(transaction.gtid))),
            _ => None,
        }
    }

    pub fn text(&self) -> String {
        match self {
            Gtid::Mysql(gtid) => gtid.to_string(),
            Gtid::Mariadb(gtid) => gtid.to_string(),
        }
    }
}

/// All transactions up to a place, as they are added.
#[derive(Debug, Clone)]
pub enum Executed {
    /// Places are told by files.
    ByFile,
    Mysql(mysql::Gtids),
    Mariadb(mariadb::Gtids),
}

impl Executed {
    pub fn of(place: &Place, is_mariadb: bool) -> Result<Self> {
        Ok(match place.start(is_mariadb)? {
            Start::File { .. } => Executed::ByFile,
            Start::Mysql(gtids) => Executed::Mysql(gtids),
            Start::Mariadb(gtids) => Executed::Mariadb(gtids),
        })
    }

    /// Of one without an id, and where places are told by files, nothing is kept.
    pub fn add(&mut self, gtid: Option<Gtid>) {
        match (gtid, self) {
            (Some(Gtid::Mysql(gtid)), Executed::Mysql(executed)) => executed.add(&gtid),
            (Some(Gtid::Mariadb(gtid)), Executed::Mariadb(executed)) => executed.add(gtid),
            _ => {}
        }
    }

    pub fn text(&self) -> Option<String> {
        match self {
            Executed::ByFile => None,
            Executed::Mysql(gtids) => Some(gtids.to_string()),
            Executed::Mariadb(gtids) => Some(gtids.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(file: &str, pos: u64) -> Place {
        Place { file: file.to_owned(), pos, gtids: None }
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        assert!(place("binlog.000010", 4).is_at_or_behind(&place("binlog.000009", 900)));
        assert!(place("binlog.000010", 900).is_at_or_behind(&place("binlog.000010", 900)));
        assert!(!place("binlog.999999", 900).is_at_or_behind(&place("binlog.1000000", 4)));
    }

    #[test]
    fn transactions_are_preferred() {
        let gtids = Some("0-1-270".to_owned());
        let place = Place { gtids, ..place("b.000001", 4) };
        assert!(matches!(place.start(true).unwrap(), Start::Mariadb(_)));
        assert!(place.start(false).is_err());
        assert_eq!(Place::of(&place.position().unwrap()).unwrap(), place);
    }
}
