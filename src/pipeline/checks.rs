//! What can be told about the streams of a file without a connection.

use std::collections::BTreeMap;

use crate::config::{Config, StreamSection};
use crate::destination;
use crate::error::{Error, Result};
use crate::record::Mode;
use crate::source::masking::Masks;
use crate::source::{self, Selection, Stream, Tables, pattern};

/// All that is wrong with the streams of a file, beyond what single keys tell.
pub fn streams(config: &Config) -> Vec<Error> {
    let (mut writers, mut errors) = (Writers::default(), Vec::new());
    for stream in &config.streams {
        errors.extend(stream_errors(config, stream));
        errors.extend(known_tables(config, stream).iter().filter_map(|table| writers.claim(stream, table).err()));
    }
    errors
}

fn stream_errors(config: &Config, stream: &StreamSection) -> Vec<Error> {
    let section = &stream.section;
    let source = || -> Result<()> { (source::maker(&config.sources[&stream.source].0)?.check_stream)(section) };
    let selected = Selection::of(&stream.name, section, None);
    let masks = selected.as_ref().map_or(Ok(()), |selection| Masks::of(section, selection.mode).map(drop));
    let mode = selected.and_then(|selection| mode(config, stream, selection.mode));
    let checked = [mode, masks, source(), destination::check_stream(section)];
    checked.into_iter().filter_map(Result::err).collect()
}

/// Refuses a mode in which the stream's source cannot be read, and one for once whose files would not fit the stream's.
pub fn mode(config: &Config, stream: &StreamSection, mode: Mode) -> Result<()> {
    let own = stream.section.get("mode").and_then(Mode::parse).unwrap_or(Mode::Full);
    if (own == Mode::Cdc) != (mode == Mode::Cdc) {
        let keys = &stream.section;
        return Err(keys
            .error(
                "mode",
                format!("is `{own}`, and cannot be `{mode}` for once: its files would not fit those that are there"),
            )
            .hint("Give that a section of its own, with a name of its own for the table (`as`)."));
    }
    (source::maker(&config.sources[&stream.source].0)?.check_mode)(&stream.section, mode)
}

/// Which section writes to which table of which destination. Two in one folder would mix their rows, and each takes
/// the other's files for its readers'.
#[derive(Default)]
pub struct Writers(BTreeMap<(String, String), String>);

impl Writers {
    /// The tables that sections of the file say by name, whether they run or not; the first to name one has it.
    pub fn of(config: &Config) -> Self {
        let mut writers = Self::default();
        for stream in &config.streams {
            for table in known_tables(config, stream) {
                // The file was refused if two name the same.
                let _ = writers.claim(stream, &table);
            }
        }
        writers
    }

    /// As [`Writers::claim`], of a table that the source has listed.
    pub fn claim_listed(&mut self, section: &StreamSection, stream: &Stream) -> Result<()> {
        let names = stream.tables.iter().map(|table| stream.selection.output_name(table));
        names.into_iter().try_for_each(|name| self.claim(section, &name))
    }

    /// Refuses a table that another section writes to.
    fn claim(&mut self, section: &StreamSection, table: &str) -> Result<()> {
        let folder = (section.destination.clone(), table.to_owned());
        let owner = self.0.entry(folder).or_insert_with(|| section.name.clone());
        if *owner == section.name {
            return Ok(());
        }
        let keys = &section.section;
        let (key, remedy) = match keys.is_set("tables") {
            true => ("tables", "read it in a section of its own, with `as`"),
            false => (["as", "table"].into_iter().find(|key| keys.is_set(key)).unwrap_or("query"), "set `as`"),
        };
        Err(keys.fault(key, format!("writes to `{table}`, as [stream {owner}] does: {remedy}")))
    }
}

/// The names at the destination that the file tells: all but those of patterns.
fn known_tables(config: &Config, stream: &StreamSection) -> Vec<String> {
    let (Ok(selection), (kind, source)) =
        (Selection::of(&stream.name, &stream.section, None), &config.sources[&stream.source])
    else {
        return Vec::new();
    };
    let Ok(maker) = source::maker(kind) else { return Vec::new() };
    let named = match &selection.tables {
        Tables::Query(_) => vec![selection.name.clone()],
        Tables::One(table) => (maker.table)(source, table).into_iter().collect(),
        Tables::Many(tables) => {
            let names = tables.iter().filter(|text| !pattern::is_pattern(text));
            names.filter_map(|table| (maker.table)(source, table)).collect()
        }
    };
    named.iter().map(|table| selection.output_name(table)).collect()
}
