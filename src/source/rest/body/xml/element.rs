//! An element that is a record, and the document that it becomes.
//!
//! | XML | BSON |
//! |---|---|
//! | `<a>text</a>` | `"a": "text"` |
//! | `<a/>`, `<a>  </a>` | `"a": null` |
//! | `<a id="1">text</a>` | `"a": {"@id": "1", "#text": "text"}` |
//! | `<a><b>1</b><b>2</b></a>`, or one `<b>` that is said to be a list | `"a": {"b": ["1", "2"]}` |
//! | a record that is nothing but text | `{"value": "text"}` |

use std::collections::HashMap;

use super::super::path::Step;
use crate::source::documents::from_json::VALUE;
use crate::source::documents::write;

/// The ways from an element to those in it that are lists, however many there are of them.
type Lists<'l> = [&'l [Step]];

/// An element with all that is in it.
#[derive(Debug, Default)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub elements: Vec<Element>,
    pub text: String,
}

impl Element {
    /// Adds the document that it is.
    pub fn document(&self, out: &mut Vec<u8>, lists: &Lists<'_>) {
        let at = write::begin(out);
        match self.is_bare() {
            true => self.scalar(out, VALUE.as_bytes()),
            false => self.fields(out, lists),
        }
        write::end(out, at);
    }

    fn is_bare(&self) -> bool {
        self.attributes.is_empty() && self.elements.is_empty()
    }

    fn scalar(&self, out: &mut Vec<u8>, name: &[u8]) {
        match self.text.trim_ascii().is_empty() {
            true => write::null(out, name),
            false => write::text(out, name, self.text.as_bytes()),
        }
    }

    fn value(&self, out: &mut Vec<u8>, name: &[u8], lists: &Lists<'_>) {
        if self.is_bare() {
            return self.scalar(out, name);
        }
        let at = write::begin_field(out, name, false);
        self.fields(out, lists);
        write::end(out, at);
    }

    fn fields(&self, out: &mut Vec<u8>, lists: &Lists<'_>) {
        for (name, value) in &self.attributes {
            write::text(out, format!("@{name}").as_bytes(), value.as_bytes());
        }
        for (name, elements) in self.by_name() {
            let lists = behind(lists, name);
            match elements[..] {
                [element] if !lists.contains(&&[][..]) => element.value(out, name.as_bytes(), &lists),
                _ => {
                    let at = write::begin_field(out, name.as_bytes(), true);
                    let mut buffer = itoa::Buffer::new();
                    for (item, element) in elements.iter().enumerate() {
                        element.value(out, buffer.format(item).as_bytes(), &lists);
                    }
                    write::end(out, at);
                }
            }
        }
        // Between elements there is white space that nobody means.
        let text = if self.elements.is_empty() { &self.text } else { self.text.trim_ascii() };
        if !text.trim_ascii().is_empty() {
            write::text(out, b"#text", text.as_bytes());
        }
    }

    /// Its elements by their names, in the order in which these come first.
    fn by_name(&self) -> Vec<(&str, Vec<&Element>)> {
        let (mut places, mut all) = (HashMap::new(), Vec::<(&str, Vec<_>)>::new());
        for element in &self.elements {
            let place = *places.entry(element.name.as_str()).or_insert(all.len());
            if place == all.len() {
                all.push((&element.name, Vec::new()));
            }
            all[place].1.push(element);
        }
        all
    }
}

/// Those of the ways that lead to, or through, elements of this name, from there on.
fn behind<'l>(lists: &Lists<'l>, name: &str) -> Vec<&'l [Step]> {
    let rest = |way: &&'l [Step]| match way {
        [Step::Name(first), rest @ ..] if first == name => Some(rest),
        _ => None,
    };
    lists.iter().filter_map(rest).collect()
}
