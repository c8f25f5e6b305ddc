//! Incremental reading: what lies above the mark, in the order of the cursor.

use std::cmp::Ordering;
use std::sync::Arc;

use mongodb::bson::Document;
use serde_json::{Value, json};

use super::connect::Server;
use super::mark::{Class, Mark};
use super::order::Ordered;
use super::plan::{Plan, Scope};
use super::probe::Looking;
use super::replies::Replies;
use super::rows;
use super::seed::Seed;
use crate::error::{Context, Result};
use crate::record::{Checkpoint, Event, Rows};
use crate::source::BATCH_BYTES;
use crate::source::cursor::{
    self, After, Bound, Grain, Handover, Nulls, Place, Reading, Settings, Sieve, Window, told,
};
use crate::source::documents::Documents;
use crate::source::feed::{self, Outlet, Stop};

/// An incremental stream that is about to be read.
pub struct Query {
    pub server: Arc<Server>,
    pub plan: Plan,
    pub seed: Seed,
    pub settings: Settings,
    pub ordered: Ordered,
    pub after: Option<Checkpoint>,
    /// What is read in place of what is new.
    pub window: Option<Window>,
    pub stream: String,
}

/// What a run has to do.
struct Work {
    /// Whether documents are read whose cursor is null.
    nulls: bool,
    reading: Option<Reading>,
    /// The place to stay at where nothing is to be read.
    nothing_new: Checkpoint,
}

impl Query {
    /// Sends the table's announcement, the rows up to a bound that is safe, and checkpoints between them.
    pub async fn read(self, outlet: Arc<Outlet>) -> Result<()> {
        let sent = feed::unless_closed(self.send_all(&outlet).await);
        sent.map(drop).at(|| format!("collection {}", self.plan.collection.name))
    }

    async fn send_all(&self, outlet: &Outlet) -> Result<(), Stop> {
        let (seen, known) = self.state();
        let known = if known.is_null() { &self.seed.known } else { known };
        let mut documents = self.plan.documents(known)?;
        outlet.send(Event::Rows(Rows::none(documents.table().clone()))).await?;
        let Work { nulls, reading, nothing_new } = self.work(seen).await?;
        if nulls {
            self.send_nulls(&mut documents, outlet).await?;
        }
        let end = match reading {
            Some(reading) => self.send_rows(reading, &mut documents, outlet).await?,
            None => nothing_new,
        };
        outlet.send(Event::Checkpoint(with_documents(end, &documents)?)).await?;
        Ok(())
    }

    /// What the last run has kept: digests of rows that are read again, and what documents have been like.
    fn state(&self) -> (Value, &Value) {
        let state = self.after.as_ref().map_or(&Value::Null, |after| &after.state);
        (state.get("seen").cloned().unwrap_or_default(), state.get("documents").unwrap_or(&Value::Null))
    }

    fn looking(&self) -> Looking<'_> {
        Looking { server: &self.server, plan: &self.plan, ordered: &self.ordered, settle: self.settings.settle }
    }

    async fn work(&self, seen: Value) -> Result<Work> {
        let place = Place::of(self.after.as_ref(), &self.settings)?;
        let class = self.looking().class().await?;
        let order = self.ordered.order(class);
        if let Some(window) = self.window.clone() {
            let reading = Reading::of_window(&self.settings, order, window, self.after.as_ref())?;
            return Ok(Work { nulls: false, reading, nothing_new: place.position()?.into() });
        }
        let settings = self.settled(class)?;
        let (bound, grain, floor) = self.bound(&place, &settings, class).await?;
        let stays = Bound { to: bound.to.clone(), waiting: bound.waiting.clone() };
        let nothing_new = cursor::nothing_new(&place, seen.clone(), stays)?;
        let reading = Reading::of(&settings, order, grain, (place, seen), bound, floor);
        Ok(Work { nulls: self.settings.nulls == Nulls::Read, reading, nothing_new })
    }

    /// The settings with `start` in the form of marks; refuses one that is no value of the cursor.
    fn settled(&self, class: Option<Class>) -> Result<Settings> {
        let (Some(start), Some(class)) = (&self.settings.start, class) else { return Ok(self.settings.clone()) };
        let mark = Mark::read(class, start).ok_or_else(|| {
            self.settings.section.error("start", format!("is none of the {} that the cursor has", class.name()))
        })?;
        Ok(Settings { start: Some(mark.text().to_owned()), ..self.settings.clone() })
    }

    /// What a load reads that the stream begins with.
    pub async fn handover(&self) -> Result<Handover> {
        let class = self.looking().class().await?;
        let settings = self.settled(class)?;
        let (bound, grain, floor) = self.bound(&Place::beginning(&settings), &settings, class).await?;
        Handover::at(&settings, grain, bound, floor)
    }

    /// Up to where to read, and from where on the next run reads again; says what is left out.
    async fn bound(
        &self,
        place: &Place,
        settings: &Settings,
        class: Option<Class>,
    ) -> Result<(Bound, Grain, Option<String>)> {
        let bound = cursor::bound(&mut self.looking(), settings, place, &self.stream).await?;
        let looking = self.looking();
        let has_moved = bound.to != place.mark;
        if told::counts_nulls(settings, has_moved) {
            let rows = looking.count(self.ordered.null(), told::MOST_NULLS).await?;
            told::nulls(settings, &self.ordered.order(class), rows, &self.stream)?;
        }
        let newest = bound.to.as_ref().and_then(|to| to.first()).map(|first| Mark::parse(first)).transpose()?;
        if let Some(class) = class.filter(|_| has_moved) {
            told::in_the_future(looking.in_the_future(class).await?, &self.stream);
        }
        let floor = match (&settings.lookback, &newest) {
            (Some(lookback), Some(newest)) => {
                let floor = newest.floor(lookback).ok_or_else(|| {
                    let wanted = Mark::lookbacks(newest.class);
                    settings
                        .section
                        .error("lookback", format!("must be {wanted}: the cursor has {}", newest.class.name()))
                })?;
                Some(floor.text().to_owned())
            }
            _ => None,
        };
        let grain = class.map_or(Grain::Open, |class| looking.grain(class, newest.as_ref()));
        Ok((bound, grain, floor))
    }

    async fn send_nulls(&self, documents: &mut Documents, outlet: &Outlet) -> Result<(), Stop> {
        let mut replies = self.replies(self.ordered.null(), None).await?;
        while let Some(reply) = replies.next(&self.server.settings).await? {
            rows::send(documents, Some(&self.plan.chosen).filter(|chosen| !chosen.is_all()), &reply, outlet).await?;
        }
        Ok(())
    }

    async fn replies(&self, condition: Document, sort: Option<Document>) -> Result<Replies> {
        let (after, besides) = (self.server.now().await?, self.ordered.paths.clone());
        let scope = Scope { condition: Some(condition), sort, besides, after, ..Scope::default() };
        let batch = rows::reply_documents(self.seed.document_bytes);
        let mut command = self.plan.find(&scope, batch)?;
        command.insert("allowDiskUse", true);
        self.plan.compare_plainly(&mut command);
        Ok(Replies::of(self.server.cursor(command, batch, None).await?))
    }

    async fn send_rows(
        &self,
        mut reading: Reading,
        documents: &mut Documents,
        outlet: &Outlet,
    ) -> Result<Checkpoint, Stop> {
        let mut sieve = reading.sieve()?;
        let condition = self.ordered.between(reading.after(), reading.upper())?;
        let again = reading.read_again().cloned();
        let mut replies = self.replies(condition, Some(self.ordered.sort(1))).await?;
        while let Some(reply) = replies.next(&self.server.settings).await? {
            let (mut group, mut bytes, mut marks) = (Vec::new(), 0, Vec::new());
            for document in reply.documents()? {
                // Its condition has said that they are there.
                let values = self.ordered.marks(document)?.ok_or_else(|| self.looking().odd())?;
                marks = values.iter().map(|mark| Some(mark.text().to_owned())).collect();
                if let Some(sieve) = &mut sieve
                    && !takes(sieve, group.len(), document, &values, again.as_ref())?
                {
                    continue;
                }
                bytes += document.len();
                group.push(document);
                if group.len() >= documents.most_rows() || bytes >= BATCH_BYTES {
                    self.send(&group, (&mut reading, sieve.as_mut()), &marks, (documents, outlet)).await?;
                    (bytes, group) = (0, Vec::new());
                }
            }
            if !group.is_empty() {
                self.send(&group, (&mut reading, sieve.as_mut()), &marks, (documents, outlet)).await?;
            }
        }
        Ok(reading.end(sieve, &self.stream)?)
    }

    async fn send(
        &self,
        group: &[&[u8]],
        (reading, sieve): (&mut Reading, Option<&mut Sieve>),
        marks: &[Option<String>],
        (documents, outlet): (&mut Documents, &Outlet),
    ) -> Result<(), Stop> {
        let kept: Vec<_> = group.iter().map(|document| self.plan.chosen.of(document)).collect::<Result<_>>()?;
        let kept: Vec<&[u8]> = kept.iter().map(|document| &**document).collect();
        let (rows, beside) = documents.split(&kept)?;
        if let Some(rows) = beside {
            outlet.send(Event::Rows(rows)).await?;
        }
        for event in reading.events(rows, Some(marks), sieve)? {
            let event = match event {
                Event::Checkpoint(checkpoint) => Event::Checkpoint(with_documents(checkpoint, documents)?),
                rows => rows,
            };
            outlet.send(event).await?;
        }
        Ok(())
    }
}

/// Whether a document is delivered.
fn takes(sieve: &mut Sieve, rows: usize, document: &[u8], values: &[Mark], again: Option<&After>) -> Result<bool> {
    let is_again = again.map(|again| is_beyond(values, again)).transpose()?.unwrap_or(false);
    let flag = again.is_some().then_some(if is_again { "t" } else { "f" });
    let marks: Vec<_> = values.iter().map(Mark::text).chain(flag).map(|text| Some(text.as_bytes())).collect();
    Ok(sieve.takes(rows, document, &marks))
}

/// Whether a document lies behind a place, as [`Ordered::beyond`] says it to the server.
fn is_beyond(values: &[Mark], after: &After) -> Result<bool> {
    for (value, bound) in values.iter().zip(&after.cursor) {
        match value.compare(&Mark::parse(bound)?) {
            Ordering::Greater => return Ok(true),
            Ordering::Less => return Ok(false),
            Ordering::Equal => {}
        }
    }
    Ok(after.inclusive)
}

/// A checkpoint that keeps what documents have been like too.
fn with_documents(checkpoint: Checkpoint, documents: &Documents) -> Result<Checkpoint> {
    let state = json!({ "seen": checkpoint.state, "documents": documents.state()? });
    Ok(Checkpoint { state, ..checkpoint })
}

/// What the values of a cursor were, by the place that a stream has come to; texts, where that is none.
pub fn class_of_mark(mark: Option<&Checkpoint>, settings: &Settings) -> Result<Class> {
    let mark = Place::of(mark, settings)?.mark;
    let first = mark.as_ref().and_then(|mark| mark.first());
    first.map_or(Ok(Class::Text), |first| Ok(Mark::parse(first)?.class))
}

/// What a user should know of how an incremental stream is read.
pub async fn notes(server: &Server, plan: &Plan, settings: &Settings) -> Result<Vec<String>> {
    let ordered = Ordered::of(server, plan, settings).await?;
    let looking = Looking { server, plan, ordered: &ordered, settle: settings.settle };
    let class = looking.class().await?;
    let mut notes = Vec::new();
    let first = &ordered.paths[0];
    if !ordered.is_indexed {
        notes.push(format!("No index begins with {first}: every run reads the whole collection."));
    }
    if server.writers(&plan.collection.name).await?.is_none() {
        notes.push(format!(
            "Open transactions cannot be seen (the role `clusterMonitor` shows them), so that each run waits `settle` ({} s) instead.",
            settings.settle.as_secs_f64()
        ));
    }
    match class {
        Some(Class::ObjectId) => notes.push(format!(
            "Object ids of {first} have the time of the program that made them: one whose clock is late, or that writes late, is found with a `lookback`."
        )),
        Some(class) if looking.grain(class, None) == Grain::Open => notes.push(format!(
            "Values of {first} may come again: documents with the last one are read again by the next run, and known again up to `max_ties`."
        )),
        _ => {}
    }
    Ok(notes)
}
