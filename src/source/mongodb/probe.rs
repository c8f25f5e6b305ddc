//! What an incremental run asks before it reads: how far the cursor has come, and whether somebody is writing.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::bson::{Document, doc};

use super::connect::Server;
use super::mark::{Class, Mark};
use super::order::Ordered;
use super::plan::{Plan, Scope};
use super::replies::Replies;
use crate::error::{Error, Result};
use crate::source::cursor::{Grain, High, Probe, Transaction, step_of_writers, told};

/// Looks at a collection.
pub struct Looking<'a> {
    pub server: &'a Server,
    pub plan: &'a Plan,
    pub ordered: &'a Ordered,
    /// How long those may take that give values and write them later.
    pub settle: Duration,
}

impl Looking<'_> {
    /// The values of the first document in an order among those of a condition.
    pub async fn end(&self, condition: Option<Document>, direction: i32) -> Result<Option<Vec<Mark>>> {
        let all: Vec<_> = [self.ordered.placed()].into_iter().chain(condition).collect();
        let scope = Scope {
            condition: Some(doc! { "$and": all }),
            sort: Some(self.ordered.sort(direction)),
            most: Some(1),
            after: self.server.now().await?,
            ..Scope::default()
        };
        let mut command = self.plan.find(&scope, 1)?;
        command.insert("projection", self.ordered.sort(1));
        self.plan.compare_plainly(&mut command);
        let mut replies = Replies::of(self.server.cursor(command, 1, None).await?);
        while let Some(reply) = replies.next(&self.server.settings).await? {
            if let Some(document) = reply.documents()?.first() {
                return match self.ordered.marks(document)? {
                    Some(marks) => Ok(Some(marks)),
                    None => Err(self.odd()),
                };
            }
        }
        Ok(None)
    }

    /// Values that are there are none to go by.
    pub fn odd(&self) -> Error {
        let paths = self.ordered.paths.join(", ");
        Error::data(format!("the cursor {paths} has values that are none to go by"))
            .hint("There are dates, object ids, numbers, texts and timestamps. Leave other documents out with `where`.")
    }

    /// What the values are all of; refuses values of several classes, of which one hides the other.
    pub async fn class(&self) -> Result<Option<Class>> {
        let Some(high) = self.end(None, -1).await? else { return Ok(None) };
        let low = self.end(None, 1).await?;
        let class = high[0].class;
        match low.map(|low| low[0].class) {
            Some(other) if other != class => {
                let (first, second) = (other.name(), class.name());
                Err(Error::data(format!(
                    "the cursor {} holds {first} and {second}, of which all {second} sort behind all {first}",
                    self.ordered.paths[0]
                ))
                .hint("Give all documents values of one kind, or leave out by `where` those that have others."))
            }
            _ => Ok(Some(class)),
        }
    }

    /// When a group of equal values is complete.
    pub fn grain(&self, class: Class, newest: Option<&Mark>) -> Grain {
        match class {
            Class::Date => {
                let micros = newest.and_then(Mark::micros).unwrap_or_default().rem_euclid(1_000_000);
                Grain::Time { unit: step_of_writers(Duration::from_millis(1), u32::try_from(micros).unwrap_or(0)) }
            }
            // Those of one second are in the order of no clock.
            Class::ObjectId => Grain::Time { unit: Duration::from_secs(1) },
            Class::Timestamp | Class::Number | Class::Text if self.ordered.is_unique => Grain::Unique,
            Class::Timestamp | Class::Number | Class::Text => Grain::Open,
        }
    }

    /// Values that are not in the future; `None` where they are no times.
    async fn cap(&self, class: Class) -> Result<Option<Mark>> {
        if !matches!(class, Class::Date | Class::ObjectId) {
            return Ok(None);
        }
        let now = self.server.hello().await?.clock.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond());
        Ok(Mark::at(class, (now + 2).saturating_mul(1000)).and_then(|mark| mark.end_of_second()))
    }

    /// How many documents a condition holds for, up to a number.
    pub async fn count(&self, condition: Document, most: u32) -> Result<u64> {
        let all: Vec<_> = [condition].into_iter().chain(self.plan.filter().cloned()).collect();
        let command = doc! { "count": &self.plan.collection.name, "query": { "$and": all }, "limit": i64::from(most) };
        let mut command = command;
        self.plan.compare_plainly(&mut command);
        let counted = self.server.run(command).await?;
        let n = counted.get_i32("n").map(i64::from).or_else(|_| counted.get_i64("n"));
        Ok(n.ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
    }

    /// How many documents lie in the future, up to a number.
    pub async fn in_the_future(&self, class: Class) -> Result<u64> {
        match self.cap(class).await? {
            Some(cap) => self.count(doc! { &self.ordered.paths[0]: { "$gt": cap.bson()? } }, told::MOST_FUTURE).await,
            None => Ok(0),
        }
    }
}

#[async_trait]
impl Probe for Looking<'_> {
    async fn high(&mut self, above: Option<&[String]>) -> Result<Option<High>> {
        let Some(class) = self.class().await? else { return Ok(None) };
        if let Some(first) = above.and_then(<[String]>::first)
            && Mark::parse(first)?.class != class
        {
            return Err(Error::data(format!(
                "the cursor {} has other values than when the stream was read last",
                self.ordered.paths[0]
            ))
            .hint("Run it once with `--full-refresh`."));
        }
        let cap = self.cap(class).await?;
        let mut all = Vec::new();
        if let Some(cap) = &cap {
            all.push(doc! { &self.ordered.paths[0]: { "$lte": cap.bson()? } });
        }
        if let Some(above) = above {
            all.push(self.ordered.beyond(above, false)?);
        }
        let condition = (!all.is_empty()).then(|| doc! { "$and": all });
        let Some(marks) = self.end(condition, -1).await? else { return Ok(None) };
        let unit = match self.grain(class, marks.first()) {
            Grain::Time { unit } => unit,
            _ => Duration::ZERO,
        };
        let now = jiff::Timestamp::now().as_microsecond();
        let margin = i64::try_from((unit * 2 + CLOCKS).as_micros()).unwrap_or(i64::MAX);
        let is_old = marks[0].micros().is_some_and(|at| at < now - margin);
        // Whatever of the same second comes later is below its end.
        let first = marks[0].end_of_second();
        let rest = marks[1..].iter().map(|mark| mark.text().to_owned());
        let values = first.iter().map(|mark| mark.text().to_owned()).chain(rest).collect();
        // Values are given by programs, which write them later, and nobody sees who is about to.
        Ok(Some(High { values, wait: if is_old { Duration::ZERO } else { self.settle.max(unit * 2) } }))
    }

    async fn at_work(&mut self) -> Result<Option<Vec<Transaction>>> {
        writers(self.server, &self.plan.collection.name).await
    }

    async fn still(&mut self, noted: &[String]) -> Result<Option<Vec<Transaction>>> {
        let Some(mut open) = self.at_work().await? else { return Ok(None) };
        open.retain(|transaction| noted.contains(&transaction.id));
        Ok(Some(open))
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(20)
    }
}

/// How far clocks may differ before a time that looks old is taken for new.
const CLOCKS: Duration = Duration::from_secs(60);

/// Who is writing; `None` where we may not see others.
async fn writers(server: &Server, collection: &str) -> Result<Option<Vec<Transaction>>> {
    let Some(found) = server.writers(collection).await? else { return Ok(None) };
    let writer = |told: &Document| {
        let who = told.get_str("appName").or_else(|_| told.get_str("client")).unwrap_or("somebody");
        if let Ok(transaction) = told.get_document("transaction") {
            let micros = transaction.get_i64("timeOpenMicros").unwrap_or(0);
            let number = transaction.get_document("parameters").and_then(|of| of.get_i64("txnNumber")).unwrap_or(-1);
            let session = told.get_document("lsid").map(|id| id.to_string()).unwrap_or_default();
            return Transaction {
                id: format!("{session} {number}"),
                shown: format!("transaction {number} of {who}"),
                age: Duration::from_micros(u64::try_from(micros).unwrap_or(0)),
            };
        }
        let operation = told.get("opid").map(ToString::to_string).unwrap_or_default();
        let micros = told.get_i64("microsecs_running").unwrap_or(0);
        Transaction {
            shown: format!("operation {operation} of {who}"),
            id: operation,
            age: Duration::from_micros(u64::try_from(micros).unwrap_or(0)),
        }
    };
    Ok(Some(found.iter().map(writer).collect()))
}
