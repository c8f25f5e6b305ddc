//! Where something stands in a body: the part of JSONPath that needs no search.

use std::fmt;

use crate::config::{Section, Value};
use crate::error;

/// What a key must be that names one value of a body.
pub const PATH: Value = Value::Checked("path (`id`, `job.id`)", |text| match Path::one(text) {
    Ok(_) => Ok(()),
    Err(_) => Err("must be the path of one value, such as `id`, `job.id` or `jobs[0]['the id']`"),
});

/// A way from the whole body to a value in it, or to several.
///
/// | text | is |
/// |---|---|
/// | `$` | the whole body |
/// | `data.items`, `$.data.items` | a member of a member |
/// | `['odd name']`, `["odd name"]` | a member whose name is not of letters; a backslash stands before a quote in it |
/// | `errors[0]` | an item of a list, counted from 0 |
/// | `data[*].items`, `data.*.items` | all items of a list, or all members of an object |
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    steps: Vec<Step>,
}

/// One step of a way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// The member of an object with this name.
    Name(String),
    /// The item of a list, counted from 0.
    Item(u64),
    /// All items of a list, all members of an object.
    Each,
}

/// Longer ways are refused.
pub const MOST_STEPS: usize = 32;

impl Path {
    /// The whole body.
    pub fn root() -> Self {
        Self { steps: Vec::new() }
    }

    /// An error says what is wrong with the text, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reading = Reading { text, at: 0 };
        let steps = reading.steps().map_err(|wrong| match text.is_empty() {
            true => "is empty; the whole body is `$`".to_owned(),
            false => format!("{wrong} (character {} of `{text}`)", text[..reading.at].chars().count() + 1),
        })?;
        match steps.len() <= MOST_STEPS {
            true => Ok(Self { steps }),
            false => Err(format!("has more than {MOST_STEPS} steps")),
        }
    }

    /// As [`Path::parse`], of one value within the body.
    pub fn one(text: &str) -> Result<Self, String> {
        let path = Self::parse(text)?;
        match (path.steps.is_empty(), path.has_each()) {
            (true, _) => Err("is the whole body; name a value in it".to_owned()),
            (_, true) => Err("leads to several values; name one of them, such as `items[0].id`".to_owned()),
            _ => Ok(path),
        }
    }

    /// What a key names whose value is a [`PATH`]; `None` where it has none.
    pub fn of_key(section: &Section, key: &str) -> error::Result<Option<Self>> {
        let path = |text| Self::one(text).map_err(|problem| section.error(key, problem));
        section.get(key).map(path).transpose()
    }

    /// A member of a member, whatever characters their names have.
    pub(super) fn of_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self { steps: names.into_iter().map(|name| Step::Name(name.to_owned())).collect() }
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether several values may stand there.
    pub fn has_each(&self) -> bool {
        self.steps.contains(&Step::Each)
    }
}

impl std::str::FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

/// As [`Path::parse`] reads it, without the `$` where it is not needed.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Name(name) if is_bare(name) => write!(f, "{}{name}", if at == 0 { "" } else { "." })?,
                Step::Name(name) => write!(f, "['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))?,
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Each => f.write_str("[*]")?,
            }
        }
        f.write_str(if self.steps.is_empty() { "$" } else { "" })
    }
}

fn is_part(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !".[]'\"*,()?\\".contains(c)
}

/// Whether a name needs no brackets.
fn is_bare(name: &str) -> bool {
    !name.is_empty() && name != "$" && name.chars().all(is_part)
}

struct Reading<'a> {
    text: &'a str,
    at: usize,
}

impl Reading<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skips(&mut self, prefix: &str) -> bool {
        let is_there = self.rest().starts_with(prefix);
        self.at += if is_there { prefix.len() } else { 0 };
        is_there
    }

    fn steps(&mut self) -> Result<Vec<Step>, &'static str> {
        let mut steps = Vec::new();
        let begins_with_root = self.text == "$" || self.text.starts_with("$.") || self.text.starts_with("$[");
        self.at = usize::from(begins_with_root);
        if !begins_with_root && !self.rest().starts_with('[') {
            steps.push(self.named()?);
        }
        while !self.rest().is_empty() {
            if self.skips("[") {
                steps.push(self.bracketed()?);
            } else if self.skips(".") {
                steps.push(self.named()?);
            } else {
                return Err("has something behind a name or a bracket that is neither `.` nor `[`; names with other \
                            characters stand in brackets: ['a name']");
            }
        }
        Ok(steps)
    }

    fn named(&mut self) -> Result<Step, &'static str> {
        if self.skips("*") {
            return Ok(Step::Each);
        }
        let length = self.rest().find(|c| !is_part(c)).unwrap_or(self.rest().len());
        if length == 0 {
            return Err(match self.rest().starts_with('.') {
                true => "has two dots; write the way out, since nothing is searched for",
                false => "lacks a name",
            });
        }
        let name = self.rest()[..length].to_owned();
        self.at += length;
        Ok(Step::Name(name))
    }

    fn bracketed(&mut self) -> Result<Step, &'static str> {
        let step = match self.rest().chars().next() {
            Some('*') => {
                self.at += 1;
                Step::Each
            }
            Some(quote @ ('\'' | '"')) => {
                self.at += 1;
                Step::Name(self.quoted(quote)?)
            }
            Some(c) if c.is_ascii_digit() => {
                let length = self.rest().find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest().len());
                let item = self.rest()[..length].parse().map_err(|_| "has too large a number")?;
                self.at += length;
                Step::Item(item)
            }
            _ => return Err("has something in brackets that is no number from 0, no name in quotes and not `*`"),
        };
        match self.skips("]") {
            true => Ok(step),
            false => Err("lacks a `]`"),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let mut name = String::new();
        let mut characters = self.text[self.at..].char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => name.push(characters.next().ok_or("lacks the end of a name")?.1),
                c if c == quote => {
                    self.at += at + 1;
                    return Ok(name);
                }
                c => name.push(c),
            }
        }
        Err("lacks the quote behind a name")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(name: &str) -> Step {
        Step::Name(name.to_owned())
    }

    #[test]
    fn paths_are_read_and_written() {
        for (text, steps, shown) in [
            ("$", vec![], "$"),
            ("data", vec![name("data")], "data"),
            ("data.items", vec![name("data"), name("items")], "data.items"),
            ("$.data[*].items", vec![name("data"), Step::Each, name("items")], "data[*].items"),
            ("data.*.items", vec![name("data"), Step::Each, name("items")], "data[*].items"),
            ("*", vec![Step::Each], "[*]"),
            ("['odd name']", vec![name("odd name")], "['odd name']"),
            ("$[\"a'b\"]", vec![name("a'b")], r"['a\'b']"),
            (r"['a\'b\\c']", vec![name(r"a'b\c")], r"['a\'b\\c']"),
            ("['@odata.nextLink']", vec![name("@odata.nextLink")], "['@odata.nextLink']"),
            ("[0]", vec![Step::Item(0)], "[0]"),
            ("errors[0].code", vec![name("errors"), Step::Item(0), name("code")], "errors[0].code"),
            ("feed.link.@href", vec![name("feed"), name("link"), name("@href")], "feed.link.@href"),
            ("$schema", vec![name("$schema")], "$schema"),
            ("$['']", vec![name("")], "['']"),
            ("dødt.språk", vec![name("dødt"), name("språk")], "dødt.språk"),
        ] {
            let path = Path::parse(text).unwrap();
            assert_eq!(path.steps(), steps, "{text}");
            assert_eq!(path.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_path_is_told_where() {
        for (text, wanted) in [
            ("", "is empty; the whole body is `$`"),
            ("a..b", "has two dots; write the way out, since nothing is searched for (character 3 of `a..b`)"),
            ("$..b", "has two dots; write the way out, since nothing is searched for (character 3 of `$..b`)"),
            ("a.", "lacks a name (character 3 of `a.`)"),
            ("å b", "(character 2 of `å b`)"),
            ("a[-1]", "(character 3 of `a[-1]`)"),
            ("a[1:2]", "lacks a `]` (character 4 of `a[1:2]`)"),
            ("a[?(@.x)]", "has something in brackets"),
            ("a['x", "lacks the quote behind a name"),
            ("a[99999999999999999999]", "has too large a number"),
        ] {
            let error = Path::parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        for several in ["$", "a[*].b", "a.*"] {
            assert!(Path::parse(several).is_ok() && Path::one(several).is_err(), "{several}");
        }
        assert_eq!(Path::one("$.a[0]"), Path::parse("a[0]"));
        assert!(Path::parse(&vec!["a"; MOST_STEPS].join(".")).is_ok());
        assert!(Path::parse(&vec!["a"; MOST_STEPS + 1].join(".")).is_err());
    }

    proptest! {
        #[test]
        fn every_path_reads_back(steps in prop::collection::vec(
            prop_oneof![".{0,6}".prop_map(Step::Name), any::<u64>().prop_map(Step::Item), Just(Step::Each)], 0..6,
        )) {
            let path = Path { steps };
            prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
        }

        #[test]
        fn no_text_is_too_odd(text in ".{0,12}") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
            }
        }
    }
}
