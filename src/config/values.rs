//! The keys and values of one section: what the file, `[DEFAULT]` and variables say of them.

use std::collections::{BTreeMap, BTreeSet};

use super::Section;
use super::expand::{Fault, expand};
use super::ini::{RawItem, RawSection};
use super::load::Loader;
use super::names::{Meant, Names};
use super::place::Place;
use super::problem::{Cause, Problem};

impl Loader<'_> {
    /// Checks every key and value of a section; `outside` are keys that were read already.
    pub fn section(&mut self, raw: &RawSection, defaults: &[RawItem], names: Names, outside: &[&str]) -> Section {
        let mut section = Section::new(&raw.header, self.file.clone(), raw.line, names);
        self.override_keys(&mut section);
        self.own_keys(&mut section, raw, outside);
        for item in defaults {
            if let Some(meant) = section.names().meant(&item.key).filter(|meant| !section.says(&meant.name)) {
                self.value(&mut section, &meant, item);
                section.mark_inherited(&meant.name);
            }
        }
        let is_missing = |name: &&str| {
            // A value that was there and wrong has had its own message.
            let has = |item: &RawItem| section.names().meant(&item.key).is_some_and(|meant| meant.name == *name);
            !raw.items.iter().any(has) && !section.is_refused(name)
        };
        let required = section.names().keys().iter().filter(|key| key.required).map(|key| key.name);
        let missing: Vec<_> = required.filter(|name| section.get(name).is_none()).filter(is_missing).collect();
        for name in missing {
            self.problem(raw.line, format!("[{}] `{}` is missing", raw.header, section.name_of(name)));
        }
        section
    }

    /// Sets what the file says in the section itself, where no variable does.
    fn own_keys(&mut self, section: &mut Section, raw: &RawSection, outside: &[&str]) {
        let keys = section.names().keys().iter();
        let by_variable: BTreeSet<_> = keys.map(|key| key.name).filter(|name| section.says(name)).collect();
        let mut said = Said::default();
        for item in raw.items.iter().filter(|item| !outside.contains(&item.key.as_str())) {
            let Some(meant) = section.names().meant(&item.key) else {
                let meant = section.names().suggestion(&item.key, outside);
                self.problem(item.place.clone(), format!("[{}] unknown key `{}`{meant}", raw.header, item.key));
                continue;
            };
            if let Some(problem) = said.again(&meant, item) {
                self.problem(item.place.clone(), format!("[{}] {problem}", raw.header));
            } else if !by_variable.contains(meant.name.as_str()) {
                self.value(section, &meant, item);
            }
        }
    }

    /// Sets what variables say of a section's keys. Members of families have none: which part of a variable is the name of a
    /// field, and in which case, nothing tells.
    fn override_keys(&mut self, section: &mut Section) {
        for item in self.overrides.items(section.header(), &section.names().listed()) {
            let Some(meant) = section.names().meant(&item.key) else { continue };
            match section.says(&meant.name) {
                true => {
                    let message = format!(
                        "[{}] `{}` is set by another variable too",
                        section.header(),
                        section.name_of(&meant.name)
                    );
                    self.problem(item.place, message);
                }
                false => self.value(section, &meant, &item),
            }
        }
    }

    fn value(&mut self, section: &mut Section, meant: &Meant, item: &RawItem) {
        match self.text(section, meant, item) {
            Ok(text) => section.set(meant, text, item.place.clone()),
            Err((message, cause)) => {
                let message = format!("{}: {message}", item.place.shown(&self.file));
                section.refuse(&meant.name, message.clone());
                self.problems.push(Problem { place: item.place.clone(), message, cause });
            }
        }
    }

    /// The text of a value, or what is wrong with it.
    fn text(&self, section: &Section, meant: &Meant, item: &RawItem) -> Result<String, (String, Cause)> {
        let place = format!("[{}] `{}`", section.header(), item.key);
        let is_variable = matches!(item.place, Place::Variable(_));
        // Whoever sets a variable has the whole environment at hand.
        let text = if is_variable { Ok(item.value.clone()) } else { expand(&item.value, self.environment) };
        let text = text.map_err(|fault| {
            let cause = if matches!(fault, Fault::NotSet(_)) { Cause::Absent } else { Cause::Mistake };
            (format!("{place}: {fault}"), cause)
        })?;
        let text = match meant.is_file {
            false => text,
            true => {
                let secret = std::fs::read_to_string(section.folder().join(&text));
                let name = if is_variable { "the file" } else { &text };
                let secret = secret.map_err(|e| (format!("{place}: {name} cannot be read: {e}"), Cause::Absent))?;
                secret.trim_end_matches(['\n', '\r']).to_owned()
            }
        };
        match meant.key.refusal(&text) {
            Some(refusal) => Err((format!("{place} {refusal}"), Cause::Mistake)),
            None => Ok(text),
        }
    }
}

/// What was said in a section so far, to see two names of one key.
#[derive(Default)]
pub(super) struct Said(BTreeMap<(String, bool), (String, Place)>);

impl Said {
    /// What is wrong where another name of the key has stood before; a secret and its file are not one key.
    pub fn again(&mut self, meant: &Meant, item: &RawItem) -> Option<String> {
        let key = (meant.name.clone(), meant.is_file);
        let Some((earlier, place)) = self.0.get(&key) else {
            self.0.insert(key, (item.key.clone(), item.place.clone()));
            return None;
        };
        let place = match place {
            Place::Line(line) => format!(" on line {line}"),
            _ => String::new(),
        };
        Some(format!(
            "`{}` is another name of `{earlier}`, which is set{place} already: leave one of them out",
            item.key
        ))
    }
}
