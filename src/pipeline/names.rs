//! Which streams a name on the command line means, and what to say of one that means none.

use crate::config::{Config, StreamSection, nearest};
use crate::error::{Error, Result};
use crate::record::{Mode, StreamId};
use crate::source::{self, pattern};

/// How many names a message has room for.
const MOST_NAMES: usize = 20;

/// Whether a section yields streams by its tables, each named `SECTION.TABLE`.
pub fn has_several(section: &StreamSection) -> bool {
    let is_log = section.section.get("mode") == Some(Mode::Cdc.name());
    !is_log && (section.section.is_set("tables") || section.section.is_refused("tables"))
}

/// Whether a name on the command line may mean a stream of this section.
pub fn may_name(wanted: &str, section: &StreamSection) -> bool {
    is_named(wanted, &section.name) || (has_several(section) && is_below(wanted, &section.name))
}

/// Whether a name on the command line means this stream of this section.
pub fn names_stream(wanted: &str, section: &str, stream: &str) -> bool {
    pattern::matches(wanted, section) || is_named(wanted, stream)
}

/// By its name, or a pattern of it, or as the job log writes it.
fn is_named(wanted: &str, stream: &str) -> bool {
    pattern::matches(wanted, stream) || StreamId::new(stream).to_string() == wanted
}

/// Whether a name on the command line means the stream of this name, or all that are named below it, whatever sections the
/// file has.
pub fn is_meant(wanted: &str, stream: &str) -> bool {
    pattern::matches(wanted, stream) || is_below(stream, wanted)
}

/// Whether a name belongs to another section rather than to this one: of `shop.eu.x`, [stream shop.eu] knows better than
/// [stream shop].
pub fn is_elsewhere(config: &Config, section: &StreamSection, name: &str) -> bool {
    config.streams.iter().any(|other| other.name.len() > section.name.len() && may_name(name, other))
}

/// Whether the name is one of a stream of this section alone, and of one that it has by its tables.
pub fn is_one_below(config: &Config, section: &StreamSection, name: &str) -> bool {
    has_several(section) && is_below(name, &section.name) && !is_elsewhere(config, section, name)
}

/// All streams of a section, where the file names each; `None` where it has a pattern, or a value that is not known.
pub fn all_named(config: &Config, section: &StreamSection) -> Option<Vec<String>> {
    let names = streams_of(config, section);
    let told = !section.section.is_refused("tables") && !names.iter().any(|name| pattern::is_pattern(name));
    told.then_some(names)
}

/// Whether a section may still have the stream of that name, which it had: by a table that the file names or a pattern.
pub fn may_still_have(config: &Config, section: &StreamSection, stream: &str) -> bool {
    let stream = loosely(stream);
    let has = |name: &String| {
        let name = loosely(name);
        // A schema that is a pattern may be the one whose tables go without it.
        let below = name.strip_prefix(&loosely(&section.name)).and_then(|rest| rest.strip_prefix('.'));
        let bare = below.and_then(|table| table.split_once('.')).filter(|(schema, _)| pattern::is_pattern(schema));
        let bare = bare.map(|(_, table)| format!("{}.{table}", loosely(&section.name)));
        pattern::matches(&name, &stream) || bare.is_some_and(|bare| pattern::matches(&bare, &stream))
    };
    section.section.is_refused("tables") || streams_of(config, section).iter().any(has)
}

/// Whether a server that cares little for upper and lower case may mean the same by both.
pub fn may_be_same(one: &str, other: &str) -> bool {
    loosely(one) == loosely(other)
}

/// A name in lower case, and without the quotes that it has in the file and may not have as a stream's.
fn loosely(name: &str) -> String {
    name.replace('`', "").to_lowercase()
}

fn is_below(wanted: &str, section: &str) -> bool {
    wanted.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// The streams of a section as far as the file tells them: one that it names by a pattern stands as that.
fn streams_of(config: &Config, section: &StreamSection) -> Vec<String> {
    if !has_several(section) {
        return vec![section.name.clone()];
    }
    let (kind, source) = &config.sources[&section.source];
    let as_listed = |text: &String| {
        let maker = source::maker(kind).ok()?;
        (maker.table)(source, text)
    };
    let tables = section.section.list("tables");
    tables.iter().map(|text| format!("{}.{}", section.name, as_listed(text).as_ref().unwrap_or(text))).collect()
}

/// Refuses the first name that no section may have a stream for.
pub fn refuse_strangers(config: &Config, wanted: &[String]) -> Result<()> {
    refuse_unless(may_name, config, wanted)
}

/// As [`refuse_strangers`], and also names that no table of the file has, where it names all of a section's.
pub fn refuse_unlisted(config: &Config, wanted: &[String]) -> Result<()> {
    let may_be = |wanted: &str, section: &StreamSection| {
        if is_named(wanted, &section.name) {
            return true;
        }
        // A pattern may match whatever the source has, and a server may not care for upper and lower case.
        let is_one =
            |name: &String| pattern::is_pattern(name) || name.eq_ignore_ascii_case(wanted) || is_named(wanted, name);
        may_name(wanted, section) && streams_of(config, section).iter().any(is_one)
    };
    refuse_unless(may_be, config, wanted)
}

/// Refuses the first name of which this is true for no section.
fn refuse_unless(may_be: impl Fn(&str, &StreamSection) -> bool, config: &Config, wanted: &[String]) -> Result<()> {
    match wanted.iter().find(|wanted| !config.streams.iter().any(|section| may_be(wanted, section))) {
        Some(stranger) => Err(unknown(config, stranger)),
        None => Ok(()),
    }
}

fn unknown(config: &Config, wanted: &str) -> Error {
    let known: Vec<_> = config.streams.iter().flat_map(|section| streams_of(config, section)).collect();
    let single = config.streams.iter().find(|section| !has_several(section) && is_below(wanted, &section.name));
    let sections = config.streams.iter().map(|section| section.name.as_str());
    let table = known.iter().find(|name| name.split_once('.').is_some_and(|(_, table)| table == wanted));
    let meant = single.map(|section| section.name.as_str()).or(table.map(String::as_str));
    let meant = meant.or_else(|| nearest(wanted, sections.chain(known.iter().map(String::as_str))));
    let error = Error::config(format!("there is no stream `{wanted}`{}; known streams: {}", or(meant), list(&known)));
    match single {
        Some(section) => error.hint(format!("[stream {0}] is one stream, and its name is `{0}`.", section.name)),
        None => error,
    }
}

/// Keeps those of a section's streams that are asked for; the names that none of them has, each with its error.
pub fn keep_asked<T>(
    config: &Config,
    section: &StreamSection,
    wanted: &[String],
    streams: &mut Vec<(StreamId, T)>,
) -> Vec<(StreamId, Error)> {
    let asked: Vec<_> = wanted.iter().filter(|wanted| may_name(wanted, section)).collect();
    let means = |wanted: &str, id: &StreamId| names_stream(wanted, &section.name, id.name());
    let is_stranger =
        |wanted: &str| !streams.iter().any(|(id, _)| means(wanted, id)) && !is_elsewhere(config, section, wanted);
    let names: Vec<_> = streams.iter().map(|(id, _)| id.name().to_owned()).collect();
    let not_listed = |wanted: &str| (StreamId::new(wanted), not_listed(&section.name, wanted, &names));
    let strangers = asked.iter().filter(|wanted| is_stranger(wanted)).map(|wanted| not_listed(wanted)).collect();
    streams.retain(|(id, _)| asked.is_empty() || asked.iter().any(|wanted| means(wanted, id)));
    strangers
}

/// The error of a name that nothing has that the source has listed for a section.
fn not_listed(section: &str, wanted: &str, listed: &[String]) -> Error {
    let meant = or(nearest(wanted, listed.iter().map(String::as_str)));
    Error::config(format!("there is no stream `{wanted}`{meant}; [stream {section}] has: {}", list(listed)))
}

fn or(meant: Option<&str>) -> String {
    meant.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

/// The names, as many as there is room for.
pub fn list(names: &[String]) -> String {
    match names.split_at_checked(MOST_NAMES) {
        _ if names.is_empty() => "none".to_owned(),
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => names.join(", "),
    }
}
