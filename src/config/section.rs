use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::key::{parse_bytes, parse_duration, parse_flag};
use super::names::{Meant, Names};
use super::place::Place;
use super::{Key, Kind};
use crate::error::{Error, Result};

/// A section whose keys are known and whose values have been checked.
///
/// What it cannot know (that a host and a URL exclude each other, say) its connector checks, and reports with
/// [`Section::error`], so that every message about a file names file, line and key.
#[derive(Clone)]
pub struct Section {
    header: String,
    file: Arc<Path>,
    line: usize,
    names: Names,
    /// By the keys' own names; members of families by theirs.
    values: BTreeMap<String, Written>,
    /// The members of families, in the order in which they came.
    members: Vec<String>,
    /// Keys whose values were refused, each with its error: what rests on them cannot be told.
    refused: BTreeMap<String, String>,
    /// Of a stream: the other streams of its source, by name; these know none.
    siblings: Arc<BTreeMap<String, Section>>,
}

/// A value as written, its variables filled in.
#[derive(Clone)]
pub(super) struct Written {
    pub text: String,
    pub place: Place,
    /// The name of the key that was written, where it is another one than the key's own.
    pub alias: Option<&'static str>,
    /// It is of `[DEFAULT]`, or of a section that this one refers to.
    pub is_inherited: bool,
}

impl Written {
    /// A message about the value, without the value itself where it is a variable's: whoever set that need not be who
    /// reads this.
    fn hidden(&self, message: impl std::fmt::Display) -> String {
        let message = message.to_string();
        match &self.place {
            Place::Variable(_) if !self.text.is_empty() => without(&message, &self.text),
            _ => message,
        }
    }
}

/// The message with `…` for each `text` that is not part of a longer word.
fn without(message: &str, text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(message.len()), message);
    while let Some(at) = rest.find(text) {
        let (before, after) = (&rest[..at], &rest[at + text.len()..]);
        let is_of_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let in_word = |inner, outer| is_of_word(inner) && is_of_word(outer);
        let outer = before.chars().next_back().or_else(|| out.chars().next_back());
        out.push_str(before);
        match in_word(text.chars().next(), outer) || in_word(text.chars().next_back(), after.chars().next()) {
            true => out.push_str(text),
            false => out.push('…'),
        }
        rest = after;
    }
    out + rest
}

impl Section {
    pub(super) fn new(header: &str, file: Arc<Path>, line: usize, names: Names) -> Self {
        let (values, members, refused) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let siblings = Arc::default();
        Self { header: header.to_owned(), file, line, names, values, members, refused, siblings }
    }

    /// A section of a kind with these values and no file behind it: for tests, and for what a command line says.
    pub fn of_kind(kind: &Kind, values: &[(&str, &str)]) -> Result<Self> {
        let keys = kind.own_keys().chain(kind.stream_keys).collect();
        Self::of_names(kind.name, Names::of(keys).with_aliases(kind), values)
    }

    /// As [`Section::of_kind`], for any keys.
    pub fn of_keys(header: &str, keys: Vec<&'static Key>, values: &[(&str, &str)]) -> Result<Self> {
        Self::of_names(header, Names::of(keys), values)
    }

    fn of_names(header: &str, names: Names, values: &[(&str, &str)]) -> Result<Self> {
        let mut section = Self::new(header, Path::new("command line").into(), 0, names);
        for (name, text) in values {
            let Some(meant) = section.names.meant(name).filter(|meant| !meant.is_file) else {
                return Err(Error::config(format!("[{header}]: unknown key `{name}`")));
            };
            if let Some(refusal) = meant.key.refusal(text) {
                return Err(Error::config(format!("[{header}] `{name}` {refusal}")));
            }
            section.set(&meant, (*text).to_owned(), 0.into());
        }
        Ok(section)
    }

    pub(super) fn set(&mut self, meant: &Meant, text: String, place: Place) {
        if meant.key.family && !self.values.contains_key(&meant.name) {
            self.members.push(meant.name.clone());
        }
        self.values.insert(meant.name.clone(), Written { text, place, alias: meant.alias, is_inherited: false });
    }

    /// Notes that the value, if there is one, is not of this section alone.
    pub(super) fn mark_inherited(&mut self, name: &str) {
        if let Some(written) = self.values.get_mut(name) {
            written.is_inherited = true;
        }
    }

    pub(super) fn refuse(&mut self, name: &str, message: String) {
        self.refused.insert(name.to_owned(), message);
    }

    /// Whether anything was said about the key, rightly or wrongly.
    pub(super) fn says(&self, key: &str) -> bool {
        self.is_set(key) || self.is_refused(key)
    }

    /// Whether the file gives the key a value that is none. The section then has the default, and the file its error.
    pub fn is_refused(&self, key: &str) -> bool {
        self.refused.contains_key(key)
    }

    /// How many values of these keys were refused, those of members of families counted each.
    pub(super) fn refusals(&self, keys: impl Iterator<Item = &'static Key> + Clone) -> usize {
        self.refused.keys().filter(|name| keys.clone().any(|key| key.is_of(name))).count()
    }

    /// Fails with the file's errors about these keys (of a family, all its members): for those who use values of a file that
    /// was only loaded to look.
    pub fn have<'k>(&self, keys: impl IntoIterator<Item = &'k str>) -> Result<()> {
        let of_key = |key: &'k str| {
            let family = self.names.key(key).filter(|key| key.family);
            let is_of = move |name: &str| name == key || family.is_some_and(|family| family.is_of(name));
            self.refused.iter().filter(move |(name, _)| is_of(name)).map(|(_, message)| message.as_str())
        };
        let messages: Vec<_> = keys.into_iter().flat_map(of_key).collect();
        match messages.is_empty() {
            true => Ok(()),
            false => Err(Error::config(messages.join("\n"))),
        }
    }

    /// As [`Section::have`], about all keys.
    pub fn have_all(&self) -> Result<()> {
        self.have(self.refused.keys().map(String::as_str))
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// This section with whatever it does not say itself taken from `below`, which also adds its keys. Of a family that is each
    /// member by itself: those that are only below follow behind its own.
    #[must_use]
    pub fn over(&self, below: &Section) -> Section {
        let mut both = self.clone();
        both.names.add(&below.names);
        for (name, written) in &below.values {
            if !both.says(name) {
                both.values.insert(name.clone(), Written { is_inherited: true, ..written.clone() });
            }
        }
        let is_new = |name: &&String| !self.members.contains(name) && both.values.contains_key(*name);
        both.members.extend(below.members.iter().filter(is_new).cloned());
        for (name, message) in below.refused.iter().filter(|(name, _)| !self.values.contains_key(*name)) {
            both.refused.entry(name.clone()).or_insert_with(|| message.clone());
        }
        both
    }

    /// What it says about these keys alone.
    pub(super) fn only(&self, keys: &'static [Key]) -> Section {
        let names = Names::of(keys.iter().collect());
        let mut part = Self { names, ..self.clone() };
        let is_of = |name: &str| keys.iter().any(|key| key.is_of(name));
        part.values.retain(|name, _| is_of(name));
        part.members.retain(|name| is_of(name));
        part.refused.retain(|name, _| is_of(name));
        part
    }

    /// `source shop`: as between the brackets.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// The name after the section's type; the whole header where there is none.
    pub fn name(&self) -> &str {
        self.header.split_once(' ').map_or(self.header.as_str(), |(_, name)| name)
    }

    /// Lets a stream's section know those of the other streams of its source.
    pub(super) fn set_siblings(&mut self, siblings: Arc<BTreeMap<String, Section>>) {
        self.siblings = siblings;
    }

    /// The section of another stream of the same source.
    pub fn sibling(&self, name: &str) -> Option<&Section> {
        self.siblings.get(name)
    }

    /// Their names.
    pub fn siblings(&self) -> impl Iterator<Item = &str> {
        self.siblings.keys().map(String::as_str)
    }

    /// Whether the file says anything about the key.
    pub fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Whether it says so in the section itself, and not in `[DEFAULT]` or in a section that this one refers to: those are of
    /// several sections, and a key there need not be of use to each of them.
    pub fn is_own(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|written| !written.is_inherited)
    }

    /// The value, or the key's default, if there is either.
    pub fn get(&self, key: &str) -> Option<&str> {
        match self.values.get(key) {
            Some(written) => Some(&written.text),
            None => self.names.key(key)?.default,
        }
    }

    /// The values of those keys that are secret, as far as they are set.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let is_secret = |name: &String| self.names.key(name).is_some_and(|key| key.secret);
        self.values.iter().filter(move |(name, _)| is_secret(name)).map(|(_, written)| written.text.as_str())
    }

    /// The members of a family (`default.`), each with its value, in the file's order: those of a section before those that
    /// it takes over. A member's name is what stands behind the dot, in the case in which it was written.
    pub fn members(&self, family: &str) -> impl Iterator<Item = (&str, &str)> {
        let family = self.names.key(family).filter(|key| key.family);
        self.members.iter().filter_map(move |name| Some((family?.member(name)?, self.values.get(name)?.text.as_str())))
    }

    /// The value; an error that names the key where the file must give one and does not.
    pub fn text(&self, key: &str) -> Result<&str> {
        self.get(key).ok_or_else(|| self.error(key, "is missing"))
    }

    pub fn integer(&self, key: &str) -> Result<i64> {
        self.parsed(key, |text| text.parse().ok())
    }

    pub fn bytes(&self, key: &str) -> Result<u64> {
        self.parsed(key, parse_bytes)
    }

    pub fn duration(&self, key: &str) -> Result<Duration> {
        self.parsed(key, parse_duration)
    }

    pub fn flag(&self, key: &str) -> Result<bool> {
        self.parsed(key, parse_flag)
    }

    fn parsed<T>(&self, key: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
        parse(self.text(key)?).ok_or_else(|| self.error(key, "has an invalid value"))
    }

    /// The names of a list; none where the key is absent.
    pub fn list(&self, key: &str) -> Vec<String> {
        let text = self.get(key).unwrap_or_default();
        text.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// A path, taken from the folder of the file where it is relative.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        self.get(key).map(|text| self.folder().join(text))
    }

    /// The folder that relative paths start from.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// The key as people know it: as the file has it, where it does; else by the name that the kind of source has for it.
    pub fn name_of<'k>(&'k self, key: &'k str) -> &'k str {
        match self.values.get(key) {
            Some(written) => written.alias.unwrap_or(key),
            None => self.names.key(key).map_or(key, |key| self.names.shown(key.name)),
        }
    }

    /// An error about one key: `pipeline.conf:7: [source shop] port must be …`; with the variable's name in place of file
    /// and line where one stands over the file. Of a member of a family, `key` has the family's name before it:
    /// `default.event_name`.
    pub fn error(&self, key: &str, message: impl std::fmt::Display) -> Error {
        self.fault(key, format_args!("`{}` {message}", self.name_of(key)))
    }

    /// As [`Section::error`], about the section where the key has only the line to show.
    pub fn fault(&self, key: &str, message: impl std::fmt::Display) -> Error {
        let (place, message) = match self.values.get(key) {
            Some(written) => (written.place.clone(), written.hidden(message)),
            None => (self.line.into(), message.to_string()),
        };
        Error::config(format!("{}: [{}] {message}", place.shown(&self.file), self.header))
    }
}

/// Shows no value: any of them may be a secret.
impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {:?}", self.header, self.values.keys())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_hidden() {
        assert_eq!(
            without("names `orders`, not orders_eu or reorders", "orders"),
            "names `…`, not orders_eu or reorders"
        );
        assert_eq!(without("/a/b.json: cannot be read", "/a/b.json"), "…: cannot be read");
        assert_eq!(without("nothing of it", "x"), "nothing of it");
    }
}
