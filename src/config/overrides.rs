//! Environment variables that stand over the file: `TIDEMARK_SOURCE_SHOP_PASSWORD` is `password` of `[source shop]`.
//!
//! Goes from keys to variables, never back: which part of a variable is a name and which a key only the sections tell.

use std::collections::{BTreeMap, BTreeSet};

use super::ini::RawItem;
use super::place::Place;
use super::{Environment, nearest};

/// What such variables begin with, and the type of section that they speak of.
const PREFIXES: [(&str, &str); 6] = [
    ("TIDEMARK_PIPELINE", "pipeline"),
    ("TIDEMARK_JOB_LOG", "job_log"),
    ("TIDEMARK_SOURCE", "source"),
    ("TIDEMARK_DESTINATION", "destination"),
    ("TIDEMARK_STREAM", "stream"),
    ("TIDEMARK_DEFAULT", "DEFAULT"),
];

/// The type of section that a variable of this name speaks of.
fn section_type(variable: &str) -> Option<&'static str> {
    PREFIXES.into_iter().find_map(|(prefix, of)| {
        let rest = variable.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('_')).then_some(of)
    })
}

/// Whether a variable of this name stands over the file, or would if there were such a section.
pub(super) fn is_one(variable: &str) -> bool {
    section_type(variable).is_some()
}

/// What the variables of all keys of a section begin with: `TIDEMARK_SOURCE_SHOP_` of `source shop`.
fn beginning(header: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("TIDEMARK_{}_", header.chars().map(plain).collect::<String>())
}

/// The variables of one environment, and which keys of which sections they turned out to be.
pub(super) struct Overrides<'a> {
    environment: &'a Environment,
    /// Those that are set.
    set: BTreeSet<&'a str>,
    /// Every variable that there could be, with the sections whose key it is.
    known: BTreeMap<String, Vec<String>>,
    /// Sections whose keys could not be told.
    untold: Vec<String>,
}

impl<'a> Overrides<'a> {
    pub fn of(environment: &'a Environment) -> Self {
        let set = environment.names().filter(|name| is_one(name)).collect();
        Self { environment, set, known: BTreeMap::new(), untold: Vec::new() }
    }

    /// What the variables say of these keys of a section, in the keys' order.
    pub fn items(&mut self, header: &str, keys: &[String]) -> Vec<RawItem> {
        if self.set.is_empty() {
            return Vec::new();
        }
        let beginning = beginning(header);
        let mut items = Vec::new();
        for key in keys {
            let variable = format!("{beginning}{}", key.to_ascii_uppercase());
            if self.set.contains(variable.as_str()) {
                // What is not text has an error of its own.
                let value = self.environment.get(&variable).unwrap_or_default().to_owned();
                items.push(RawItem { key: key.clone(), value, place: Place::Variable(variable.clone()) });
            }
            let sections = self.known.entry(variable).or_default();
            if !sections.iter().any(|known| known == header) {
                sections.push(header.to_owned());
            }
        }
        items
    }

    /// Notes a section that has keys of which nothing is known, so that its variables cannot be judged.
    pub fn leave(&mut self, header: &str) {
        self.untold.push(beginning(header));
    }

    /// What is wrong with the variables themselves, once every section has asked for its keys.
    pub fn problems(&self) -> Vec<(String, String)> {
        self.set.iter().filter_map(|variable| Some(((*variable).to_owned(), self.problem(variable)?))).collect()
    }

    fn problem(&self, variable: &str) -> Option<String> {
        let Some(sections) = self.known.get(variable) else {
            let is_untold = self.untold.iter().any(|beginning| variable.starts_with(beginning));
            return (!is_untold).then(|| self.stranger(variable));
        };
        if let [one, .., other] = &sections[..] {
            return Some(format!(
                "is a key of [{one}] and of [{other}]\n  Give one of them another name, or take the value from a \
                 variable of your own: `key = ${{VARIABLE}}`."
            ));
        }
        self.environment.get(variable).is_none().then(|| "is not UTF-8".to_owned())
    }

    /// A variable that is no key of any section.
    fn stranger(&self, variable: &str) -> String {
        let of = section_type(variable).unwrap_or_default();
        if of == "DEFAULT" {
            return "[DEFAULT] is for the file alone: name the section itself".to_owned();
        }
        let section = self.longest(variable);
        let own = section.map(beginning);
        // Compared without what they all begin with, which would make anything look near.
        let near = |begins: &str, but: Option<&str>| {
            let rest = variable.strip_prefix(begins)?;
            let is_other =
                |known: &&String| !known.starts_with(variable) && but.is_none_or(|but| !known.starts_with(but));
            let known = self.known.keys().filter(is_other).filter_map(|known| known.strip_prefix(begins));
            nearest(rest, known).map(|rest| format!("{begins}{rest}"))
        };
        let meant = own.as_ref().and_then(|own| near(own, None));
        let meant = meant.or_else(|| near(&format!("TIDEMARK_{}_", of.to_ascii_uppercase()), own.as_deref()));
        let meant = meant.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default();
        match section {
            Some(section) => format!("is no key of [{section}]{meant}"),
            None => format!("is no key of any [{of}]{meant}"),
        }
    }

    /// The section with the longest name that the variable may speak of.
    fn longest(&self, variable: &str) -> Option<&str> {
        let sections: BTreeSet<&str> = self.known.values().flatten().map(String::as_str).collect();
        let fits = sections.into_iter().filter(|section| variable.starts_with(&beginning(section)));
        fits.max_by_key(|section| section.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_variables() {
        assert_eq!(beginning("source shop"), "TIDEMARK_SOURCE_SHOP_");
        assert_eq!(beginning("stream eu.shop-2 é"), "TIDEMARK_STREAM_EU_SHOP_2___");
        assert_eq!(beginning("job_log"), "TIDEMARK_JOB_LOG_");
    }

    #[test]
    fn other_variables_are_none_of_ours() {
        for name in ["TIDEMARK_CONFIG", "TIDEMARK_TEST_S3", "TIDEMARK_SERVERS", "TIDEMARK_SOURCES_X", "PATH"] {
            assert!(!is_one(name), "{name}");
        }
        assert!(is_one("TIDEMARK_JOB_LOG_URL") && is_one("TIDEMARK_STREAM"));
    }
}
