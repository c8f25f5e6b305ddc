//! Streams that are read once for each record of another: parents, and their children.

mod keys;
mod template;
mod templates;

use std::collections::BTreeSet;
use std::sync::Arc;

use url::Url;

pub use self::keys::KEYS;
pub use self::templates::Templates;
use super::ahead::Ahead;
use super::asking::{Asked, Asker};
use super::body::Field;
use super::digest;
use super::endpoint::Endpoint;
use super::pages::Page;
use super::paging::{Before, Guard, Next};
use super::records::{Records, Seen};
use super::request::Request;
use super::target::Target;
use crate::config::Section;
use crate::error::{Error, Result};
use crate::record::Mode;
use crate::source::masking;

/// What tells a parent: the values of the fields that `for_each` names.
pub type Parent = Vec<String>;

/// How a stream's parents are found.
pub struct Children {
    /// The stream of the parents.
    of: String,
    /// The fields of a parent.
    fields: Vec<Field>,
    /// The columns that have their values.
    pub columns: Vec<String>,
    parents: Arc<Endpoint>,
    /// Of which records are parents: [`digest::of_parents`].
    pub digest: String,
    pub most: usize,
}

/// The section of the stream that a section's `for_each` names; `None` where there is no such stream.
pub fn stream(section: &Section) -> Option<&Section> {
    let named = section.list("for_each");
    section.sibling(named.first()?.split_once('.')?.0)
}

impl Children {
    /// `None` where the stream is read once. `base` is the server's URL.
    pub fn of(section: &Section, base: &Url) -> Result<Option<Self>> {
        let wrong = |message: String| section.error("for_each", message);
        let named = section.list("for_each");
        let Some((of, _)) = named.first().and_then(|first| first.split_once('.')) else {
            return match named.first() {
                None => Ok(None),
                Some(first) => {
                    Err(wrong(format!("is `{first}`: name a stream and a field of its records, such as `{first}.id`")))
                }
            };
        };
        let mut fields = Vec::new();
        for one in &named {
            match one.strip_prefix(of).and_then(|rest| rest.strip_prefix('.')).filter(|field| !field.is_empty()) {
                Some(field) => {
                    fields.push(
                        Field::parse(field)
                            .map_err(|problem| wrong(format!("names `{one}`, whose field {problem}")))?,
                    );
                }
                None => return Err(wrong(format!("names `{one}` beside fields of {of}: all must be of one stream"))),
            }
        }
        let parents = section.sibling(of).ok_or_else(|| {
            wrong(format!("is of a stream {of}, and the same source has none"))
                .hint("Add the section of that stream: its keys say how its records are read.")
        })?;
        if parents.is_set("for_each") {
            return Err(wrong(format!("is of {of}, which has a `for_each` itself: one level is read")));
        }
        if parents.is_set("report_id") {
            return Err(wrong(format!("is of {of}, whose records come by reports: parents are read page by page")));
        }
        let path = parents.get("query").ok_or_else(|| wrong(format!("is of {of}, which has no `path`")))?;
        let columns: Vec<_> = fields.iter().map(|field| format!("{of}_{}", field.name().replace('.', "_"))).collect();
        masking::refuse(section, "for_each", columns.iter().map(String::as_str))?;
        // They are columns here, and in what is asked for: the other stream's masks do not reach them.
        let of_child = format!("`for_each` of the stream {}", section.name());
        masking::refuse(parents, &of_child, fields.iter().map(Field::name))?;
        Ok(Some(Self {
            of: of.to_owned(),
            parents: Arc::new(Endpoint::of(parents, (base, path), Mode::Full)?),
            digest: digest::of_parents(parents, (base, path))?,
            most: usize::try_from(section.integer("max_parents")?).unwrap_or(usize::MAX),
            fields,
            columns,
        }))
    }

    /// What places for values are named.
    pub fn names(&self) -> Vec<String> {
        self.fields.iter().map(|field| format!("{}.{field}", self.of)).collect()
    }

    /// The same with their values of a parent.
    pub fn values<'p>(&self, parent: &'p Parent) -> Vec<(String, &'p str)> {
        self.names().into_iter().zip(parent.iter().map(String::as_str)).collect()
    }

    /// All parents there are, each once, in the order of their values.
    pub async fn parents(&self, asker: &Arc<Asker>) -> Result<Vec<Parent>> {
        let mut found = BTreeSet::new();
        let mut ahead = Ahead::new(asker.clone(), self.parents.clone(), 1);
        let (mut guard, mut before) = (Guard::default(), Before { records: 0, is_whole: true });
        let mut next = Some(Target::at(self.parents.paging.first()));
        while let Some(target) = next.take() {
            let (request, asked) = ahead.get(&target, (0, None), &[]).await?;
            let (answer, envelope) = match asked {
                Asked::Page(answer, envelope) => (answer, envelope),
                Asked::Nothing => break,
                Asked::Failed(failure) => return Err(failure.error(&request)),
            };
            let page = Page::of(&request, &answer, envelope, asker);
            let seen = self.collect(*answer, &request, &mut found).await?;
            let records = page.records();
            if let Next::At(place) = page.next(&self.parents, (&target.place, seen), before, &mut guard)? {
                next = Some(Target::at(place));
            }
            before.records += records;
        }
        Ok(found.into_iter().collect())
    }

    async fn collect(&self, mut records: Records, request: &Request, found: &mut BTreeSet<Parent>) -> Result<Seen> {
        loop {
            let (batch, ended) = records.next(request).await?;
            for record in batch.records() {
                found.insert(self.parent(record)?);
            }
            if found.len() > self.most {
                return Err(Error::config(format!("{} has more than {} records (`max_parents`)", self.of, self.most))
                    .hint("Raise `max_parents`, or have the parents' stream read fewer (`param.NAME`)."));
            }
            if let Some(seen) = ended {
                return Ok(seen);
            }
            tokio::task::yield_now().await;
        }
    }

    fn parent(&self, record: &[u8]) -> Result<Parent> {
        let value = |field: &Field| {
            field.text(record).filter(|text| !text.is_empty()).ok_or_else(|| {
                Error::data(format!("a record of {} has nothing at `{field}`, which `for_each` names", self.of))
            })
        };
        self.fields.iter().map(value).collect()
    }
}
