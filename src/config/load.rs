use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::ini::{self, RawItem, RawSection};
use super::names::Names;
use super::overrides::Overrides;
use super::place::Place;
use super::problem::{Cause, Problem};
use super::values::Said;
use super::{Environment, Key, Kind, Section, nearest};
use crate::error::{Error, Result};

/// Everything that may stand in a file, as its owners describe it.
#[derive(Debug, Clone, Copy)]
pub struct Registry {
    pub sources: &'static [&'static Kind],
    pub destinations: &'static [&'static Kind],
    /// Keys of the formats: in a `[destination]` or a `[stream]`, where the stream's wins.
    pub format_keys: &'static [Key],
    pub job_log: &'static Kind,
    pub pipeline_keys: &'static [Key],
    /// Keys of the pipeline that a `[stream]` may set for itself.
    pub pipeline_stream_keys: &'static [Key],
    pub stream_keys: &'static [Key],
    /// Keys that every `[source]` may have, for its streams, and every `[stream]`, where the stream's wins.
    pub source_stream_keys: &'static [Key],
    /// What a connector (or, as `job_log`, the job log) knows about its section that single keys do not tell; makes no
    /// connection.
    pub check: fn(kind: &str, section: &Section) -> Result<()>,
    /// What is wrong with streams that single keys do not tell; makes no connection either.
    pub check_streams: fn(&Config) -> Vec<Error>,
}

/// Lets streams of one source know one another: some are read for what others have.
fn introduce(streams: &mut [StreamSection]) {
    let mut by_source: BTreeMap<String, BTreeMap<String, Section>> = BTreeMap::new();
    for stream in streams.iter() {
        by_source.entry(stream.source.clone()).or_default().insert(stream.name.clone(), stream.section.clone());
    }
    let by_source: BTreeMap<_, _> = by_source.into_iter().map(|(source, all)| (source, Arc::new(all))).collect();
    for stream in streams {
        stream.section.set_siblings(by_source[&stream.source].clone());
    }
}

/// A checked `pipeline.conf`.
#[derive(Debug)]
pub struct Config {
    pub pipeline: Section,
    pub job_log: Section,
    /// By name: the kind's name and the section.
    pub sources: BTreeMap<String, (String, Section)>,
    pub destinations: BTreeMap<String, (String, Section)>,
    /// In the file's order.
    pub streams: Vec<StreamSection>,
}

/// A `[stream NAME]`, with what it takes over from its source, its destination and `[pipeline]`.
#[derive(Debug, Clone)]
pub struct StreamSection {
    pub name: String,
    pub source: String,
    pub destination: String,
    pub section: Section,
}

const SECTION_TYPES: [&str; 6] = ["pipeline", "job_log", "source", "destination", "stream", "DEFAULT"];

impl Config {
    /// Reads and checks a file; every error in it is in the one that comes back.
    pub fn load(path: &Path, registry: &Registry, environment: &Environment) -> Result<Config> {
        Self::parse(&text_of(path)?, path, registry, environment)
    }

    /// As [`Config::load`], for those who only look: variables that are not set and files of secrets that cannot be read
    /// are no errors of the file. What uses such a value has to ask for it with [`Section::have`].
    pub fn load_to_look(path: &Path, registry: &Registry, environment: &Environment) -> Result<Config> {
        Self::read(&text_of(path)?, path, registry, environment, Problem::is_mistake)
    }

    /// As [`Config::load`], of a text that stands (or would stand) at `path`.
    pub fn parse(text: &str, path: &Path, registry: &Registry, environment: &Environment) -> Result<Config> {
        Self::read(text, path, registry, environment, |_| true)
    }

    /// `counts` says which problems make the file one that cannot be used.
    fn read(
        text: &str,
        path: &Path,
        registry: &Registry,
        environment: &Environment,
        counts: fn(&Problem) -> bool,
    ) -> Result<Config> {
        let (raw, problems) = ini::parse(text);
        let overrides = Overrides::of(environment);
        let mut loader = Loader { file: path.into(), registry, environment, overrides, problems: Vec::new() };
        for problem in problems {
            loader.problem(problem.line, problem.message);
        }
        let config = loader.config(&raw);
        if !loader.problems.iter().any(counts) {
            return Ok(config);
        }
        loader.problems.sort_by(|a, b| a.place.cmp(&b.place));
        // What a destination says wrongly is wrong for each of its streams, and said once.
        let mut said = BTreeSet::new();
        loader
            .problems
            .retain(|problem| said.insert((problem.place.clone(), after_header(&problem.message).to_owned())));
        let messages: Vec<_> = loader.problems.into_iter().map(|problem| problem.message).collect();
        Err(Error::config(messages.join("\n")))
    }
}

fn text_of(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| {
        Error::config(format!("{}: cannot be read: {e}", path.display()))
            .hint("Name the file with -c FILE or TIDEMARK_CONFIG. `tidemark docs` writes an example to start from.")
    })
}

/// Reads a file, and goes on behind what is wrong with it.
pub(super) struct Loader<'a> {
    pub file: Arc<Path>,
    registry: &'a Registry,
    pub environment: &'a Environment,
    pub overrides: Overrides<'a>,
    pub problems: Vec<Problem>,
}

impl Loader<'_> {
    fn config(&mut self, raw: &[RawSection]) -> Config {
        let defaults: &[RawItem] = raw.iter().find(|s| s.header == "DEFAULT").map_or(&[], |s| &s.items);
        let (mut sources, mut destinations) = (BTreeMap::new(), BTreeMap::new());
        let groups = [self.registry.pipeline_keys, self.registry.pipeline_stream_keys];
        let pipeline = self.single("pipeline", raw, defaults, Names::of(keys(&groups)));
        let before = self.problems.len();
        let job_log = self.single("job_log", raw, defaults, Names::of(keys(self.registry.job_log.keys)));
        let says_something = job_log.names().keys().iter().any(|key| job_log.is_set(key.name));
        if self.problems.len() == before && says_something {
            self.check("job_log", &job_log);
        }
        for section in raw {
            let (kind, name) = section.header.split_once(' ').unwrap_or((&section.header, ""));
            match (kind, name) {
                ("DEFAULT" | "pipeline" | "job_log", "") | ("stream", _) => {}
                ("source", name) if !name.is_empty() => {
                    let more = keys(&[self.registry.source_stream_keys]);
                    if let Some(found) = self.connector(section, defaults, self.registry.sources, &more) {
                        sources.insert(name.to_owned(), found);
                    }
                }
                ("destination", name) if !name.is_empty() => {
                    let formats = keys(&[self.registry.format_keys]);
                    if let Some(found) = self.connector(section, defaults, self.registry.destinations, &formats) {
                        destinations.insert(name.to_owned(), found);
                    }
                }
                ("source" | "destination", _) => {
                    self.problem(section.line, format!("[{kind}] needs a name: [{kind} NAME]"));
                }
                _ => {
                    let meant = nearest(kind, SECTION_TYPES).map(|t| format!(" (did you mean [{t}]?)"));
                    let message = format!("unknown section [{}]{}", section.header, meant.unwrap_or_default());
                    self.problem(section.line, message);
                }
            }
        }
        let named = Named { sources: &sources, destinations: &destinations, pipeline: &pipeline, raw };
        let mut streams: Vec<_> = raw
            .iter()
            .filter(|s| s.header == "stream" || s.header.starts_with("stream "))
            .filter_map(|section| self.stream(section, defaults, &named))
            .collect();
        introduce(&mut streams);
        self.unused_defaults(defaults, &pipeline, &job_log, &sources, &destinations);
        self.judge_overrides();
        let config = Config { pipeline, job_log, sources, destinations, streams };
        let is_whole = self.problems.iter().all(|problem| problem.cause != Cause::Absent);
        for error in (self.registry.check_streams)(&config) {
            self.found(&error, if is_whole { Cause::Mistake } else { Cause::Unclear });
        }
        config
    }

    /// `[pipeline]` or `[job_log]`, which need not be in the file.
    fn single(&mut self, header: &str, raw: &[RawSection], defaults: &[RawItem], names: Names) -> Section {
        match raw.iter().find(|section| section.header == header) {
            Some(section) => self.section(section, defaults, names, &[]),
            None => {
                let absent = RawSection { header: header.to_owned(), line: 0, items: Vec::new() };
                self.section(&absent, &[], names, &[])
            }
        }
    }

    /// A `[source]` or `[destination]`: its `type` says which keys it has.
    fn connector(
        &mut self,
        raw: &RawSection,
        defaults: &[RawItem],
        kinds: &[&'static Kind],
        more: &[&'static Key],
    ) -> Option<(String, Section)> {
        let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
        let Some(item) = self.item(raw, defaults, "type") else {
            self.overrides.leave(&raw.header);
            self.problem(raw.line, format!("[{}] `type` is missing: one of {}", raw.header, names.join(", ")));
            return None;
        };
        let Some(kind) = kinds.iter().find(|kind| kind.name == item.value) else {
            self.overrides.leave(&raw.header);
            let meant = nearest(&item.value, names.iter().copied());
            let meant = meant.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
            let names = names.join(", ");
            self.problem(item.place, format!("[{}] `type` must be one of {names}{meant}", raw.header));
            return None;
        };
        let mut keys = keys(kind.keys);
        keys.extend(kind.stream_keys);
        keys.extend(more);
        let before = self.problems.len();
        let section = self.section(raw, defaults, Names::of(keys).with_aliases(kind), &["type"]);
        // What it says for its streams is no concern of its own check.
        let theirs = section.refusals(kind.stream_keys.iter().chain(more.iter().copied()));
        if self.problems.len() == before + theirs {
            self.check(kind.name, &section);
        }
        Some((kind.name.to_owned(), section))
    }

    /// The item of a key that is read before the others: a variable's, the section's own, or the default.
    fn item(&mut self, raw: &RawSection, defaults: &[RawItem], key: &str) -> Option<RawItem> {
        let said = self.overrides.items(&raw.header, &[key.to_owned()]);
        said.iter().chain(&raw.items).chain(defaults).find(|item| item.key == key).cloned()
    }

    /// Asks the connector, whose message names its place already.
    fn check(&mut self, kind: &str, section: &Section) {
        if let Err(error) = (self.registry.check)(kind, section) {
            self.found(&error, Cause::Mistake);
        }
    }

    /// Takes an error that names its place already.
    fn found(&mut self, error: &Error, cause: Cause) {
        let place = Place::of(error.message(), &self.file);
        self.problems.push(Problem { place, message: error.to_string(), cause });
    }

    fn stream(&mut self, raw: &RawSection, defaults: &[RawItem], named: &Named<'_>) -> Option<StreamSection> {
        let Some((_, name)) = raw.header.split_once(' ') else {
            self.problem(raw.line, "[stream] needs a name: [stream NAME]");
            return None;
        };
        let source = self.reference(raw, defaults, "source", named.sources, named.raw);
        let destination = self.reference(raw, defaults, "destination", named.destinations, named.raw);
        let (Some(source), Some(destination)) = (source, destination) else {
            self.overrides.leave(&raw.header);
            return None;
        };
        let kind_of = |kinds: &[&'static Kind], name: &str| kinds.iter().copied().find(|kind| kind.name == name);
        let (source_kind, source_section) = &named.sources[&source];
        let (destination_kind, destination_section) = &named.destinations[&destination];
        let source_kind = kind_of(self.registry.sources, source_kind)?;
        let destination_kind = kind_of(self.registry.destinations, destination_kind)?;
        let inherited = [
            self.registry.source_stream_keys,
            source_kind.stream_keys,
            destination_kind.stream_keys,
            self.registry.format_keys,
            self.registry.pipeline_stream_keys,
        ];
        let own = keys(&[self.registry.stream_keys]);
        let all = own.into_iter().chain(keys(&inherited)).collect();
        let names = Names::of(all).with_aliases(source_kind);
        let section = self.section(raw, defaults, names, &["source", "destination"]);
        let section = section
            .over(&source_section.only(self.registry.source_stream_keys))
            .over(&source_section.only(source_kind.stream_keys))
            .over(&destination_section.only(destination_kind.stream_keys))
            .over(&destination_section.only(self.registry.format_keys))
            .over(&named.pipeline.only(self.registry.pipeline_stream_keys));
        let chosen = ["table", "tables", "query"].into_iter().filter(|key| section.says(key)).count();
        if chosen != 1 {
            let [table, tables, query] = ["table", "tables", "query"].map(|key| section.name_of(key));
            self.problem(raw.line, format!("[{}] needs one of `{table}`, `{tables}` or `{query}`", raw.header));
        }
        Some(StreamSection { name: name.to_owned(), source, destination, section })
    }

    /// The value of `source` or `destination`, which must be the name of such a section.
    fn reference<T>(
        &mut self,
        raw: &RawSection,
        defaults: &[RawItem],
        key: &str,
        known: &BTreeMap<String, T>,
        sections: &[RawSection],
    ) -> Option<String> {
        let Some(item) = self.item(raw, defaults, key) else {
            self.problem(raw.line, format!("[{}] `{key}` is missing", raw.header));
            return None;
        };
        if known.contains_key(&item.value) {
            return Some(item.value.clone());
        }
        // A section that is there but wrong has had its own message.
        if !sections.iter().any(|section| section.header == format!("{key} {}", item.value)) {
            let meant = nearest(&item.value, known.keys().map(String::as_str));
            let meant = meant.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default();
            let name = if matches!(item.place, Place::Variable(_)) { "…" } else { item.value.as_str() };
            self.problem(item.place.clone(), format!("[{}] `{key}`: there is no [{key} {name}]{meant}", raw.header));
        }
        None
    }

    fn unused_defaults(
        &mut self,
        defaults: &[RawItem],
        pipeline: &Section,
        job_log: &Section,
        sources: &BTreeMap<String, (String, Section)>,
        destinations: &BTreeMap<String, (String, Section)>,
    ) {
        let connectors = sources.values().chain(destinations.values()).map(|(_, section)| section);
        let sections = connectors.chain([pipeline, job_log]);
        let mut known: Vec<_> = sections.flat_map(|section| section.names().keys()).copied().collect();
        known.extend(self.registry.stream_keys);
        known.sort_by_key(|key| key.name);
        let mut known = Names::of(known);
        for (kind, _) in sources.values() {
            if let Some(kind) = self.registry.sources.iter().find(|known| known.name == kind) {
                known = known.with_aliases(kind);
            }
        }
        let outside = ["type", "source", "destination"];
        let mut said = Said::default();
        for item in defaults.iter().filter(|item| !outside.contains(&item.key.as_str())) {
            let problem = match known.meant(&item.key) {
                Some(meant) => said.again(&meant, item),
                None => Some(format!("unknown key `{}`{}", item.key, known.suggestion(&item.key, &outside))),
            };
            if let Some(problem) = problem {
                self.problem(item.place.clone(), format!("[DEFAULT] {problem}"));
            }
        }
    }

    /// Says what is wrong with variables themselves. A key of two sections has no other mistake until it is one's.
    fn judge_overrides(&mut self) {
        for (variable, message) in self.overrides.problems() {
            let place = Place::Variable(variable);
            self.problems.retain(|problem| problem.place != place);
            self.problem(place, message);
        }
    }

    pub fn problem(&mut self, place: impl Into<Place>, message: impl AsRef<str>) {
        let place = place.into();
        let message = format!("{}: {}", place.shown(&self.file), message.as_ref());
        self.problems.push(Problem { place, message, cause: Cause::Mistake });
    }
}

/// What a stream's section may refer to.
struct Named<'a> {
    sources: &'a BTreeMap<String, (String, Section)>,
    destinations: &'a BTreeMap<String, (String, Section)>,
    pipeline: &'a Section,
    raw: &'a [RawSection],
}

/// A message without place and section; all of it where it has none.
fn after_header(message: &str) -> &str {
    match message.split_once("] ") {
        Some((place, rest)) if place.contains(": [") => rest,
        _ => message,
    }
}

fn keys(groups: &[&'static [Key]]) -> Vec<&'static Key> {
    groups.iter().flat_map(|group| group.iter()).collect()
}
