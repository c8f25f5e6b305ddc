//! From what a selection names to streams: one table, several, patterns, a query. The same for every source with tables.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::pattern::is_pattern;
use super::{Following, Selection, Stream, Tables};
use crate::error::{Error, Kind, Result};
use crate::record::{Mode, StreamId};

/// What selections came to.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    pub streams: Vec<Stream>,
    /// Tables of `tables` that cannot be read, each under the id that its stream would have.
    pub refused: Vec<(StreamId, Error)>,
}

impl Listing {
    /// The streams, where all of them can be read; else the first reason why not.
    pub fn whole(self) -> Result<Vec<Stream>> {
        match self.refused.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(self.streams),
        }
    }
}

/// A table or view that is there.
#[derive(Debug)]
pub struct Found<T> {
    /// As people name it: what the stream's id has of it.
    pub name: String,
    /// As [`Stream::tables`] has it.
    pub table: String,
    /// Rows, by the source's statistics, of what the selection reads.
    pub estimate: Option<u64>,
    /// The source's own handle of it.
    pub known: T,
}

/// What a source tells of its tables, on one connection. An error that may pass is one of the connection.
#[async_trait]
pub trait Catalog: Send {
    type Known: Send + Sync;

    /// The name, as [`Found::name`], of a table that is written so, be it there or not.
    fn name(&self, text: &str) -> String;

    /// The table that is written so. An error names the key, and what was likely meant.
    async fn named(&mut self, selection: &Selection, text: &str) -> Result<Found<Self::Known>>;

    /// A table that is not there, as [`Stream::tables`] would have it: a log may be waiting for it.
    fn absent(&self, _text: &str) -> Option<String> {
        None
    }

    /// The tables that a pattern matches, by name; that there is none is an error.
    async fn matching(&mut self, selection: &Selection, pattern: &str) -> Result<Vec<Found<Self::Known>>>;

    /// The columns that [`Catalog::check_columns`] is to know of a table. Refuses a table that we may not read, as far as
    /// the catalog tells.
    async fn columns(&mut self, selection: &Selection, table: &Found<Self::Known>) -> Result<Vec<String>>;

    /// Refuses keys of the selection that name a column which none of its tables has. Gets all tables by
    /// [`Found::name`], with their columns.
    fn check_columns(&self, selection: &Selection, tables: &[(String, Vec<String>)]) -> Result<()>;

    /// Refuses a query that cannot be read, as far as that is cheap to know.
    async fn check_query(&mut self, _selection: &Selection, _query: &str) -> Result<()> {
        Ok(())
    }
}

/// The streams of `selections`. A table of `tables` that is not there, or that we may not read, is refused alone; whatever
/// else is wrong is an error of the whole.
pub async fn list<C: Catalog>(catalog: &mut C, selections: &[Selection]) -> Result<Listing> {
    let mut listing = Listing::default();
    for selection in selections {
        list_one(catalog, &Arc::new(selection.clone()), &mut listing).await?;
    }
    Ok(listing)
}

async fn list_one<C: Catalog>(catalog: &mut C, selection: &Arc<Selection>, listing: &mut Listing) -> Result<()> {
    let texts = match &selection.tables {
        Tables::Query(query) => {
            catalog.check_query(selection, query).await?;
            listing.streams.push(stream(selection, &selection.name, selection.name.clone(), None));
            return Ok(());
        }
        Tables::One(text) => std::slice::from_ref(text),
        Tables::Many(texts) => texts,
    };
    let mut streams = Vec::new();
    let (mut seen, mut refused, mut columns) = (HashSet::new(), Vec::new(), Vec::new());
    for text in texts {
        let found = if is_pattern(text) && matches!(selection.tables, Tables::Many(_)) {
            catalog.matching(selection, text).await?
        } else {
            match catalog.named(selection, text).await {
                Ok(found) => vec![found],
                Err(error) if waits(catalog, selection, text, &error) => {
                    tracing::warn!(stream = selection.name, "{}: it is read when it comes", error.message());
                    let table = catalog.absent(text).unwrap_or_default();
                    streams.push(stream(selection, &catalog.name(text), table, None));
                    continue;
                }
                Err(error) => {
                    let (id, error) = (selection.stream_id(&catalog.name(text)), own(selection, error)?);
                    if seen.insert(id.clone()) {
                        refused.push((id, error));
                    }
                    continue;
                }
            }
        };
        for table in found {
            let id = selection.stream_id(&table.name);
            if !seen.insert(id.clone()) {
                continue;
            }
            match catalog.columns(selection, &table).await {
                Ok(names) => {
                    columns.push((table.name.clone(), names));
                    streams.push(stream(selection, &table.name, table.table, table.estimate));
                }
                Err(error) => refused.push((id, own(selection, error)?)),
            }
        }
    }
    match catalog.check_columns(selection, &columns) {
        // A table that is refused may be the one that a column is named for.
        Err(error) if !refused.is_empty() => {
            let unread: Vec<_> = refused.iter().map(|(id, _)| id.name()).collect();
            tracing::warn!(
                stream = selection.name,
                unread = unread.join(", "),
                "names of columns could not be checked, since not all tables can be read: {}",
                error.message()
            );
        }
        checked => checked?,
    }
    if selection.mode != Mode::Cdc {
        listing.streams.extend(streams);
        listing.refused.extend(refused);
        return Ok(());
    }
    // A log without one of its tables would be one with a gap.
    if let Some((_, error)) = refused.into_iter().next() {
        return Err(error);
    }
    listing.streams.extend(of_log(selection, streams));
    Ok(())
}

/// One stream of all of them.
fn of_log(selection: &Arc<Selection>, streams: Vec<Stream>) -> Option<Stream> {
    let (mut tables, mut estimate) = (Vec::new(), Some(0));
    for stream in streams {
        estimate = estimate.zip(stream.estimate).map(|(all, one): (u64, u64)| all.saturating_add(one));
        tables.extend(stream.tables);
    }
    let id = StreamId::new(selection.name.clone());
    (!tables.is_empty()).then(|| Stream {
        id,
        selection: selection.clone(),
        tables,
        estimate,
        range: None,
        following: Following::default(),
    })
}

/// Whether a stream goes on without a table that is not there: a log tells when it comes.
fn waits<C: Catalog>(catalog: &C, selection: &Selection, text: &str, error: &Error) -> bool {
    selection.mode == Mode::Cdc && error.kind() == Kind::Config && catalog.absent(text).is_some()
}

/// The error, where it is that of one table of several.
fn own(selection: &Selection, error: Error) -> Result<Error> {
    if matches!(selection.tables, Tables::Many(_)) && !error.kind().is_retried() { Ok(error) } else { Err(error) }
}

fn stream(selection: &Arc<Selection>, name: &str, table: String, estimate: Option<u64>) -> Stream {
    Stream {
        id: selection.stream_id(name),
        selection: selection.clone(),
        tables: vec![table],
        estimate,
        range: None,
        following: Following::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Section;
    use crate::source::STREAM_KEYS;

    /// Has the tables `a`, `b` and `secret`, which may not be read.
    struct Told;

    fn found(name: &str) -> Found<()> {
        Found { name: name.to_owned(), table: name.to_owned(), estimate: None, known: () }
    }

    #[async_trait]
    impl Catalog for Told {
        type Known = ();

        fn name(&self, text: &str) -> String {
            text.to_lowercase()
        }

        async fn named(&mut self, _: &Selection, text: &str) -> Result<Found<()>> {
            match text.to_lowercase().as_str() {
                name @ ("a" | "b" | "secret") => Ok(found(name)),
                "slow" => Err(Error::unavailable("no answer")),
                _ => Err(Error::config("not there")),
            }
        }

        async fn matching(&mut self, _: &Selection, pattern: &str) -> Result<Vec<Found<()>>> {
            match pattern {
                "*" => Ok(["a", "b", "secret"].map(found).into()),
                _ => Err(Error::config("nothing")),
            }
        }

        async fn columns(&mut self, _: &Selection, table: &Found<()>) -> Result<Vec<String>> {
            if table.name == "secret" { Err(Error::denied("secret")) } else { Ok(vec!["id".to_owned()]) }
        }

        fn check_columns(&self, _: &Selection, tables: &[(String, Vec<String>)]) -> Result<()> {
            // What is configured is a column of `b`.
            if tables.iter().any(|(table, _)| table == "b") { Ok(()) } else { Err(Error::config("no such column")) }
        }
    }

    async fn listed(key: &str, tables: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let section = Section::of_keys("stream s", STREAM_KEYS.iter().collect(), &[(key, tables)]).unwrap();
        let selection = Selection::of("s", &section, Some(Mode::Full)).unwrap();
        let listing = list(&mut Told, &[selection]).await.map_err(|error| error.message().to_owned())?;
        let names = listing.streams.iter().map(|stream| stream.id.to_string()).collect();
        Ok((names, listing.refused.iter().map(|(id, error)| format!("{id}: {error}")).collect()))
    }

    #[tokio::test]
    async fn one_of_several_is_refused_alone() {
        let both = |streams: &[&str], refused: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            Ok((owned(streams), owned(refused)))
        };
        assert_eq!(listed("tables", "b, A, *").await, both(&["s.b", "s.a"], &["s.secret: secret"]));
        assert_eq!(listed("tables", "a, Gone, gone").await, both(&["s.a"], &["s.gone: not there"]));
        assert_eq!(listed("tables", "gone").await, both(&[], &["s.gone: not there"]));
        for (key, tables, error) in [
            ("tables", "a, slow", "no answer"),
            ("tables", "a, x*", "nothing"),
            ("table", "gone", "not there"),
            ("table", "secret", "secret"),
            ("table", "a", "no such column"),
        ] {
            assert_eq!(listed(key, tables).await, Err(error.to_owned()), "{tables}");
        }
    }
}
