//! What `tidemark check` and `tidemark files` look at, without reading rows.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow_schema::{DataType, Field, FieldRef};

use super::checks::Writers;
use super::names::{self, has_several, may_name, names_stream};
use super::plan::{Places, make_source};
use crate::config::{Config, StreamSection};
use crate::destination::memory::Memory;
use crate::destination::{self, Place};
use crate::error::{Error, Result};
use crate::format;
use crate::record::{Mode, StreamId, field};
use crate::source::{Conditions, Listing, Selection, Source, Stream, pattern};

/// What `check` found about one section.
#[derive(Debug, Clone)]
pub struct Finding {
    /// As between the brackets.
    pub section: String,
    /// Sentences about what works, or what does not.
    pub result: Result<Vec<String>>,
    /// How each column will arrive, of a stream.
    pub columns: Vec<ColumnReport>,
}

impl Finding {
    fn of(section: impl Into<String>, result: Result<Vec<String>>) -> Self {
        Self { section: section.into(), result, columns: Vec::new() }
    }
}

#[derive(Debug, Clone)]
pub struct ColumnReport {
    pub table: String,
    pub column: String,
    /// The source's own type.
    pub native: String,
    /// Arrow's, in words.
    pub arrow: String,
}

/// What `check` looks at: of a configuration, all streams, or those that are named.
struct Scope<'a> {
    config: &'a Config,
    wanted: &'a [String],
    /// What is missing at a source is made.
    creates: bool,
}

impl<'a> Scope<'a> {
    fn sections(&self) -> impl Iterator<Item = &'a StreamSection> {
        let wanted = self.wanted;
        let is_wanted =
            move |section: &&StreamSection| wanted.is_empty() || wanted.iter().any(|wanted| may_name(wanted, section));
        self.config.streams.iter().filter(is_wanted)
    }

    /// Whether a source or destination is looked at: one of a wanted stream, or any where all are wanted.
    fn has(&self, is_of: impl Fn(&StreamSection) -> bool) -> bool {
        self.wanted.is_empty() || self.sections().any(is_of)
    }

    /// The streams of a section that are wanted and may have a commit log.
    async fn streams_there(&self, place: &dyn Place, section: &StreamSection) -> Result<BTreeSet<StreamId>> {
        let named: Vec<_> = self.wanted.iter().filter(|wanted| may_name(wanted, section)).collect();
        let named = if named.is_empty() { vec![&section.name] } else { named };
        let mut there = BTreeSet::new();
        for wanted in named {
            there.extend(streams_there(self.config, place, section, wanted).await?);
        }
        Ok(there)
    }
}

/// Tries each part of a configuration: the job log, every destination, every source and stream; of those the ones that the
/// named streams need, where any is named.
pub async fn check(config: &Config, wanted: &[String], creates: bool) -> Vec<Finding> {
    let scope = Scope { config, wanted, creates };
    let mut findings = Vec::new();
    let job_log = async { crate::job_log::of(&config.job_log)?.check().await };
    findings.push(Finding::of("job_log", job_log.await.map(|what| vec![what])));
    let mut places = Places::default();
    for name in config.destinations.keys().filter(|name| scope.has(|stream| stream.destination == **name)) {
        findings.extend(check_destination(&scope, &mut places, name).await);
    }
    let mut writers = Writers::of(config);
    for name in config.sources.keys().filter(|name| scope.has(|stream| stream.source == **name)) {
        findings.extend(check_source(&scope, &mut places, &mut writers, name).await);
    }
    findings
}

/// What a destination can, and what of its streams' files is not there any more.
async fn check_destination(scope: &Scope<'_>, places: &mut Places, name: &str) -> Vec<Finding> {
    let header = format!("destination {name}");
    let tried = async {
        let place = places.of(scope.config, name)?;
        place.probe().await?;
        Ok(place)
    };
    let place = match tried.await {
        Ok(place) => place,
        Err(error) => return vec![Finding::of(header, Err(error))],
    };
    let (mut live, mut failed, mut forgotten) = (0, Vec::new(), Vec::new());
    for section in scope.sections().filter(|stream| stream.destination == name) {
        match files_there(scope, &*place, section).await {
            Ok(there) => {
                live += there.live;
                failed.extend(there.losses);
                forgotten.extend(there.forgotten);
            }
            Err(error) => failed.push(Finding::of(format!("files of stream {}", section.name), Err(error))),
        }
    }
    let mut notes = vec!["can be written, and refuses to create the same object twice".to_owned()];
    if live > 0 && failed.is_empty() {
        notes.push(format!("holds all live files of its streams: {live}"));
    }
    notes.append(&mut forgotten);
    let mut findings = vec![Finding::of(header, Ok(notes))];
    findings.append(&mut failed);
    findings
}

/// What a destination has of a section's streams.
#[derive(Default)]
struct There {
    /// How many files are live.
    live: usize,
    /// What is to be said of streams that miss some.
    losses: Vec<Finding>,
    /// The same of streams that the section had once and has no more: no run would mend them.
    forgotten: Vec<String>,
}

async fn files_there(scope: &Scope<'_>, place: &dyn Place, section: &StreamSection) -> Result<There> {
    let mut there = There::default();
    for id in scope.streams_there(place, section).await? {
        let Some(presence) = place.presence(&id).await? else { continue };
        let is_ours = !has_several(section) || names::may_still_have(scope.config, section, id.name());
        there.live += if is_ours { presence.live } else { 0 };
        if let Some(first) = presence.missing.first() {
            let (missing, of) = (presence.missing.len(), presence.live);
            let message = format!("{missing} of {of} live files are missing, the first of them {first}");
            if !is_ours {
                there.forgotten.push(format!("{id}: {message}; [stream {}] has no such table any more", section.name));
                continue;
            }
            let error = Error::conflict(message);
            let hint = format!(
                "Somebody else deleted them. Restore them from a backup or the bucket's old versions, or run \
                 `tidemark run {id}`: a full load writes all of them anew."
            );
            there.losses.push(Finding::of(format!("files of stream {id}"), Err(error.hint(hint))));
        }
    }
    Ok(there)
}

async fn check_source(scope: &Scope<'_>, places: &mut Places, writers: &mut Writers, name: &str) -> Vec<Finding> {
    let connected = async {
        let source = make_source(scope.config, name, None)?;
        source.identity().await?;
        Ok(source)
    };
    let source = match connected.await {
        Ok(source) => source,
        Err(error) => return vec![Finding::of(format!("source {name}"), Err(error))],
    };
    let mut findings = vec![Finding::of(format!("source {name}"), Ok(vec!["can be reached".to_owned()]))];
    for section in scope.sections().filter(|stream| stream.source == name) {
        match check_stream(scope, places, writers, section, &source).await {
            Ok(found) => findings.extend(found),
            Err(error) => findings.push(Finding::of(format!("stream {}", section.name), Err(error))),
        }
    }
    findings
}

/// Of a change log, each of its tables.
fn by_table((id, stream): (StreamId, Result<Stream>)) -> Vec<(StreamId, Result<Stream>)> {
    match stream {
        Ok(stream) => stream.tables.iter().map(|table| (id.clone(), Ok(stream.of_table(table)))).collect(),
        Err(error) => vec![(id, Err(error))],
    }
}

/// One finding about all wanted streams of the section that can be read, and one about each that cannot.
async fn check_stream(
    scope: &Scope<'_>,
    places: &mut Places,
    writers: &mut Writers,
    section: &StreamSection,
    source: &Arc<dyn Source>,
) -> Result<Vec<Finding>> {
    // The destination's settings too: a format that cannot be, say.
    let config = scope.config;
    let memory = Memory::new(config.pipeline.bytes("max_memory")?, 1);
    let destination = places.of(config, &section.destination)?.destination(&section.section, &memory)?;
    let selection = Selection::of(&section.name, &section.section, None)?;
    let Listing { streams, refused } = source.streams(&[selection]).await?;
    let refused = refused.into_iter().map(|(id, error)| (id, Err(error)));
    let mut listed: Vec<_> = refused.chain(streams.into_iter().map(|stream| (stream.id.clone(), Ok(stream)))).collect();
    let mut refused = names::keep_asked(config, section, scope.wanted, &mut listed);
    let is_log = |stream: &Stream| stream.selection.mode == Mode::Cdc;
    let logs: Vec<_> =
        listed.iter().filter_map(|(_, stream)| stream.as_ref().ok()).filter(|s| is_log(s)).cloned().collect();
    let mut notes = vec![format!("writes {}", format::in_words(&section.section)?)];
    let mut columns = Vec::new();
    for (id, stream) in listed.into_iter().flat_map(by_table) {
        let described = async {
            let stream = stream?;
            writers.claim_listed(section, &stream)?;
            let description = source.describe(&stream).await?;
            Ok((stream, description))
        };
        let (stream, description) = match described.await {
            Ok(described) => described,
            Err(error) => {
                refused.push((id, error));
                continue;
            }
        };
        let rows =
            stream.estimate.filter(|_| !is_log(&stream)).map(|rows| format!(", about {rows} rows")).unwrap_or_default();
        notes.push(format!("{}: reads {}{rows}", stream.id, stream.table()));
        notes.push(format!("{}: into {}", stream.id, destination.location(&description.table.name)));
        notes.extend(description.notes.into_iter().map(|note| format!("{}: {note}", stream.table())));
        columns.extend(description.table.schema.fields().iter().map(|column| ColumnReport {
            table: description.table.name.clone(),
            column: column.name().clone(),
            native: field::native(column).unwrap_or("").to_owned(),
            arrow: shown(column),
        }));
    }
    let mut findings = Vec::new();
    for stream in &logs {
        match around_log(places, scope, section, stream, &**source).await {
            Ok(more) => notes.extend(more),
            Err(error) => findings.push(Finding::of(format!("log of stream {}", stream.id), Err(error))),
        }
    }
    if !columns.is_empty() || refused.is_empty() {
        findings.insert(0, Finding { section: format!("stream {}", section.name), result: Ok(notes), columns });
    }
    let failed = |(id, error)| Finding::of(format!("stream {id}"), Err(error));
    findings.extend(refused.into_iter().map(failed));
    Ok(findings)
}

/// What is around a stream of changes: its server, and what its commits come to.
async fn around_log(
    places: &mut Places,
    scope: &Scope<'_>,
    section: &StreamSection,
    stream: &Stream,
    source: &dyn Source,
) -> Result<Vec<String>> {
    let made = if scope.creates { source.create(stream).await? } else { Vec::new() };
    let newest = places.of(scope.config, &section.destination)?.last(&stream.id, None).await?;
    let after = newest.filter(|newest| newest.mode == Mode::Cdc).and_then(|newest| newest.checkpoint());
    let interval = section.section.duration("commit_interval")?;
    let Conditions { mut notes, bytes_a_day } = source.conditions(stream, after.as_ref(), interval).await?;
    notes.splice(..0, made);
    notes.push(of_commits(interval, stream.tables.len(), bytes_a_day));
    Ok(notes)
}

/// Files below that are many for what they hold.
const SMALL: u64 = 1 << 20;

/// How many files a stream that is always on makes in a day, where each commit has rows of each table.
fn of_commits(interval: Duration, tables: usize, bytes_a_day: Option<u64>) -> String {
    let commits = 86_400 / interval.as_secs().max(1);
    let files = commits * tables as u64;
    let mut note =
        format!("A commit every {} s at most: up to {commits} commits and {files} files a day.", interval.as_secs());
    if let Some(each) = bytes_a_day.map(|bytes| bytes / files.max(1)).filter(|each| *each < SMALL) {
        note.push_str(&format!(
            " The server logs so little that they would hold some {} KiB each: a longer `commit_interval` makes fewer and larger ones.",
            each.div_ceil(1024)
        ));
    }
    note
}

/// A column's type, and how it is masked.
fn shown(field: &Field) -> String {
    let masked = field::mask(field).map(|how| format!(", masked: {how}")).unwrap_or_default();
    in_words(field.data_type()) + &masked
}

/// An Arrow type as `check` shows it: what is within a list or a record by its type, and nothing of its metadata.
fn in_words(data_type: &DataType) -> String {
    match data_type {
        DataType::List(item) => format!("List({})", shown(item)),
        DataType::Struct(fields) => {
            let member = |field: &FieldRef| format!("{} {}", field.name(), shown(field));
            format!("Struct({})", fields.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

/// The live parts of the streams that `wanted` names: one stream, or a section with all of its streams. As absolute paths
/// or URLs; none where they were read to their end, and had no rows. The configuration may have been loaded only to look: what is needed
/// is the destination's own section.
pub async fn files(config: &Config, wanted: &str) -> Result<Vec<String>> {
    names::refuse_strangers(config, &[wanted.to_owned()])?;
    let sections = || config.streams.iter().filter(|section| may_name(wanted, section));
    let (mut files, mut others, mut was_read) = (Vec::new(), Vec::new(), false);
    for section in sections() {
        let place = place_to_look(config, section)?;
        for id in streams_there(config, &*place, section, wanted).await? {
            let live = place.files(&id).await?;
            if live.is_empty()
                && let Some(newest) = place.last(&id, None).await?
            {
                was_read |= newest.complete || newest.generations.live().is_some();
            }
            files.extend(live);
        }
    }
    if was_read || !files.is_empty() {
        return Ok(files);
    }
    for section in sections().filter(|section| has_several(section)) {
        let there = streams_there(config, &*place_to_look(config, section)?, section, &section.name).await?;
        let there = there.iter().map(StreamId::name).filter(|name| !names_stream(wanted, &section.name, name));
        others.extend(there.map(str::to_owned));
    }
    let error = Error::config(format!("stream `{wanted}` has no published files yet"));
    Err(match others.is_empty() {
        true => error.hint(format!("Run it first: `tidemark run {wanted}`.")),
        false => error.hint(format!("Streams of this section that have a commit log: {}.", names::list(&others))),
    })
}

/// A stream's destination, of which only its own keys are needed, not those that say how files are made.
pub fn place_to_look(config: &Config, section: &StreamSection) -> Result<Arc<dyn Place>> {
    let (kind, keys) = &config.destinations[&section.destination];
    keys.have(destination::kind(kind)?.own_keys().map(|key| key.name))?;
    destination::place(kind, keys)
}

/// The streams of a section that `wanted` names (the section's own name: all of them) and that may have a commit log at
/// their destination; those that have one, if the section has several.
async fn streams_there(
    config: &Config,
    place: &dyn Place,
    section: &StreamSection,
    wanted: &str,
) -> Result<Vec<StreamId>> {
    if !has_several(section) {
        return Ok(vec![StreamId::new(section.name.clone())]);
    }
    let is_wanted = |name: &str| names_stream(wanted, &section.name, name);
    let Some(named) = names::all_named(config, section) else {
        let mut listed = list_streams(config, place, section).await?;
        listed.retain(|id| is_wanted(id.name()));
        return Ok(listed);
    };
    let mut sought: Vec<&str> = named.iter().map(String::as_str).filter(|name| is_wanted(name)).collect();
    // Of a table that the file named once.
    if !pattern::is_pattern(wanted) && sought.is_empty() && names::is_one_below(config, section, wanted) {
        sought.push(wanted);
    }
    let (mut there, mut absent) = (Vec::new(), Vec::new());
    for name in sought {
        let id = StreamId::new(name);
        match place.has(&id).await? {
            true => there.push(id),
            false => absent.push(name),
        }
    }
    // What has no log yet costs a listing: it may have one under a name that is written in another way.
    if !absent.is_empty() {
        let is_one = |name: &str| {
            let is_named = named.iter().any(|named| named == name);
            absent.iter().any(|absent| *absent == name || (!is_named && names::may_be_same(absent, name)))
        };
        there.extend(list_streams(config, place, section).await?.into_iter().filter(|id| is_one(id.name())));
    }
    Ok(there)
}

/// The streams of a section that have a commit log, by listing all that the logs hold.
pub async fn list_streams(config: &Config, place: &dyn Place, section: &StreamSection) -> Result<Vec<StreamId>> {
    let mut listed = place.streams(&format!("{}.", section.name)).await?;
    listed.retain(|id| names::is_one_below(config, section, id.name()));
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use arrow_schema::{Field, TimeUnit};

    use super::*;
    use crate::config::{Environment, Section};
    use crate::destination::{Destination, Presence};
    use crate::pipeline::registry;
    use crate::record::Commit;

    /// Has the logs of these streams, and may or may not be listed.
    struct Told(&'static [&'static str], bool);

    #[async_trait::async_trait]
    impl Place for Told {
        fn destination(&self, _: &Section, _: &Arc<Memory>) -> Result<Arc<dyn Destination>> {
            Err(Error::bug("not asked for"))
        }

        async fn files(&self, _: &StreamId) -> Result<Vec<String>> {
            Ok(Vec::new())
        }

        async fn has(&self, stream: &StreamId) -> Result<bool> {
            Ok(self.0.contains(&stream.name()))
        }

        async fn streams(&self, prefix: &str) -> Result<Vec<StreamId>> {
            assert!(self.1, "listed");
            Ok(self.0.iter().filter(|name| name.starts_with(prefix)).map(|name| StreamId::new(*name)).collect())
        }

        async fn last(&self, _: &StreamId, _: Option<u64>) -> Result<Option<Commit>> {
            Ok(None)
        }

        async fn entries(&self, _: &StreamId, _: u64, _: u64) -> Result<Vec<Commit>> {
            Ok(Vec::new())
        }

        async fn presence(&self, _: &StreamId) -> Result<Option<Presence>> {
            Ok(None)
        }

        async fn probe(&self) -> Result<()> {
            Ok(())
        }
    }

    async fn there(place: &Told, tables: &str, wanted: &str) -> Vec<String> {
        let text = format!(
            "[source s]\ntype = sqlite\npath = s.db\n[destination d]\ntype = local\npath = d\n\
             [stream s]\nsource = s\ndestination = d\ntables = {tables}\n\
             [stream s.eu]\nsource = s\ndestination = d\ntables = x\n"
        );
        let config = Config::parse(&text, "pipeline.conf".as_ref(), &registry(), &Environment::of([])).unwrap();
        let ids = streams_there(&config, place, &config.streams[0], wanted).await.unwrap();
        ids.iter().map(|id| id.name().to_owned()).collect()
    }

    #[tokio::test]
    async fn only_patterns_and_what_is_absent_cost_a_listing() {
        let streams = &["s.a", "s.b", "s.eu.x", "s.old"];
        let listless = Told(streams, false);
        assert_eq!(there(&listless, "a, b", "s").await, ["s.a", "s.b"]);
        assert_eq!(there(&listless, "a, b, c", "s.b").await, ["s.b"]);
        assert_eq!(there(&listless, "a, b", "s.old").await, ["s.old"]);
        let place = Told(streams, true);
        assert_eq!(there(&place, "A, b, c", "s").await, ["s.b", "s.a"]);
        assert_eq!(there(&place, "a*", "s").await, ["s.a", "s.b", "s.old"]);
        assert_eq!(there(&place, "*", "s.?").await, ["s.a", "s.b"]);
        assert!(there(&place, "a", "s.eu.x").await.is_empty());
    }

    #[test]
    fn small_files_are_told_beforehand() {
        let minute = Duration::from_secs(60);
        assert_eq!(
            of_commits(minute, 2, None),
            "A commit every 60 s at most: up to 1440 commits and 2880 files a day."
        );
        assert_eq!(of_commits(minute, 2, Some(1 << 40)), of_commits(minute, 2, None));
        assert!(of_commits(minute, 2, Some(1 << 20)).contains("some 1 KiB each"));
        assert!(of_commits(Duration::ZERO, 0, Some(7)).contains("0 files"));
    }

    #[test]
    fn types_within_types_are_shown_without_their_notes() {
        let item = field::with_native(field::uuid("item"), "uuid");
        let list = DataType::List(item.into());
        assert_eq!(in_words(&list), "List(FixedSizeBinary(16))");
        let at = Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, None), true);
        let record = DataType::Struct(vec![at, Field::new("ids", list, true)].into());
        assert_eq!(in_words(&record), "Struct(at Timestamp(µs), ids List(FixedSizeBinary(16)))");
    }
}
