//! Distributed transactions (XA): what is prepared counts only when it is committed, which may be long after.
//!
//! Their rows are passed over where they stand. Kept is where that is, and when the commit comes they are read again from
//! there, aside: no transaction is held in memory for having no end.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gauge::Needed;
use super::place::{Executed, Gtid, Place};
use super::reading::Reading;
use super::statement::Statement;
use crate::error::{Context, Error, Kind, Result};
use crate::source::mysql::binlog::{Event, Log, Start, XaId, mysql};

/// Those that are prepared and not ended, by name. Where none of the stream's rows are in one, there is nothing to read again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prepared(BTreeMap<String, Option<Begun>>);

/// Where one stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begun {
    /// Before it.
    pub place: Place,
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtid: Option<String>,
}

impl Prepared {
    /// Reads what the state of the last commit has of them.
    pub fn of(state: &Value) -> Result<Self> {
        let wrong = |_| Error::conflict("the state of the last commit is not that of a stream of changes");
        state
            .get("prepared")
            .map_or_else(|| Ok(Self::default()), |known| serde_json::from_value(known.clone()).map_err(wrong))
    }

    /// The files of the log that are needed from a place on.
    pub fn needed(&self, place: &Place) -> Needed {
        let prepared = self.0.values().flatten().map(|begun| begun.place.file.clone()).collect();
        Needed { at: place.file.clone(), prepared }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, id: String, begun: Option<Begun>) {
        self.0.insert(id, begun);
    }

    /// The one that is ended now; `None` for one that was prepared before the stream began.
    pub fn end(&mut self, id: &str) -> Option<Option<Begun>> {
        self.0.remove(id)
    }
}

/// As statements have it, in small letters.
pub fn name_of(id: &XaId) -> String {
    format!("x'{}',x'{}',{}", hex::encode(&id.global), hex::encode(&id.branch), id.format)
}

/// A prepared transaction that is committed at a place.
#[derive(Debug)]
pub struct Recalled {
    /// None where it was prepared before the stream began.
    pub begun: Option<Begun>,
    pub id: String,
    pub file: String,
    pub position: u64,
}

impl Begun {
    /// From where the log is to be asked for, so that it comes first.
    pub fn start(&self, executed: &Executed) -> Result<Start> {
        let is_mariadb = matches!(executed, Executed::Mariadb(_));
        match (executed, self.gtid.as_ref().and_then(|gtid| gtid.parse::<mysql::Gtids>().ok())) {
            // All but itself: wherever it stands at another server.
            (Executed::Mysql(executed), Some(own)) => Ok(Start::Mysql(executed.without(&own))),
            _ => self.place.start(is_mariadb),
        }
    }

    /// Looks through a log for a transaction that is prepared there, and not ended before a place. Without its id: it comes
    /// first from where it stands.
    pub async fn find(mut log: Log, id: &str, (file, position): (&str, u64)) -> Result<Option<Self>> {
        let (mut found, mut begun) = (None, None);
        let mut before = Place::default();
        while let Some(entry) = log.next().await? {
            let is_past = entry.file == file && entry.position >= position;
            let name = match &entry.event {
                Event::Transaction(_) => {
                    begun = Some(before.clone());
                    None
                }
                Event::MariadbTransaction(transaction) => {
                    begun = Some(before.clone());
                    transaction.prepared.as_ref().filter(|(_, is_prepared)| *is_prepared).map(|(id, _)| name_of(id))
                }
                Event::XaPrepare(prepared) if !prepared.is_one_phase && name_of(&prepared.id) == id => {
                    found = begun.take().map(|place| Self { place, gtid: None });
                    None
                }
                Event::Query(query) => match Statement::of_query(query) {
                    Statement::XaEnd { id, .. } => Some(id),
                    _ => None,
                },
                _ => None,
            };
            if is_past {
                break;
            }
            // The name of another one, which ended, or which begins.
            if name.is_some_and(|name| name == id) {
                found = None;
            }
            before = Place { file: entry.file.to_owned(), pos: entry.position, gtids: None };
        }
        Ok(found)
    }
}

/// There is nothing to read one again from.
pub fn lost() -> Error {
    Error::new(Kind::Lost, "the log does not have it any more").hint(
        "Run `tidemark run --full-refresh` with the stream's name, which reads all of its tables anew; `on_lost = snapshot` does so by \
         itself.",
    )
}

/// The log from a prepared transaction on.
pub struct Aside {
    log: Log,
    /// Its id; none where it is the first that comes.
    gtid: Option<String>,
    pub recalled: Recalled,
    /// In the transaction.
    is_in: bool,
    is_first: bool,
}

impl Aside {
    pub fn of(log: Log, gtid: Option<String>, recalled: Recalled) -> Self {
        Self { log, gtid, recalled, is_in: false, is_first: true }
    }

    /// Tells an event of it. Whether that was the last.
    pub async fn tell(&mut self, reading: &mut Reading) -> Result<bool> {
        let Some(entry) = self.log.next().await? else {
            return Err(lost().at("a transaction that was prepared (XA) and is committed now"));
        };
        let at = format!("{}:{}", entry.file, entry.position);
        if let Some(gtid) = Gtid::begun(&entry.event) {
            self.is_in = match (&self.gtid, gtid) {
                (Some(own), Some(gtid)) => *own == gtid.text(),
                _ => self.is_first,
            };
            self.is_first = false;
            reading.forget_maps();
        }
        match entry.event {
            Event::TableMap(map) if self.is_in => reading.learn(&map).await.at(|| at)?,
            Event::Rows(event) if self.is_in => reading.rows(event).at(|| at)?,
            Event::XaPrepare(_) if self.is_in => {
                reading.forget_maps();
                reading.end(&self.recalled.file, self.recalled.position)?;
                return Ok(true);
            }
            _ => {}
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_statements() {
        let id = XaId { format: 7, global: b"a1".to_vec(), branch: b"b".to_vec() };
        assert_eq!(name_of(&id), "x'6131',x'62',7");
    }

    #[test]
    fn it_is_asked_for_by_all_but_itself() {
        let source = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let place = Place { file: "b.000001".to_owned(), pos: 4, gtids: Some(format!("{source}:1-5")) };
        let begun = Begun { place, gtid: Some(format!("{source}:6")) };
        let executed = Executed::Mysql(format!("{source}:1-9").parse().unwrap());
        let expected = format!("{source}:1-5:7-9").parse().unwrap();
        assert_eq!(begun.start(&executed).unwrap(), Start::Mysql(expected));
        let by_file = Start::File { file: "b.000001".to_owned(), position: 4 };
        let begun = Begun { place: Place { gtids: None, ..begun.place }, gtid: None };
        assert_eq!(begun.start(&Executed::ByFile).unwrap(), by_file);
    }
}
