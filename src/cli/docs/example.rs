//! pipeline.conf.example.

use std::fmt::Write;

use crate::config::{Key, Kind, Registry, Value};

const HEAD: &str = "\
# An example of a Tidemark pipeline with every section and key. Written by `tidemark docs`; docs/configuration.md says
# more. Take what you need, and leave out the rest: what stands behind `;` is the default, or an example.
#
#   tidemark check -c pipeline.conf     tries it out
#   tidemark run -c pipeline.conf       runs it
#   tidemark status -c pipeline.conf    shows how far it came
";

/// The width that comments are wrapped at.
const WIDTH: usize = 100;

/// The whole file: it can be read as it stands, with the variables that it names set.
pub fn example(registry: &Registry) -> String {
    let mut file = File { text: HEAD.to_owned() };
    file.section("pipeline", &[]);
    file.keys(registry.pipeline_keys, &[]);
    file.keys(registry.pipeline_stream_keys, &[]);
    file.section("job_log", &[]);
    registry.job_log.keys.iter().for_each(|group| file.keys(group, &[]));
    file.connectors("source", registry.sources, registry.source_stream_keys);
    file.connectors("destination", registry.destinations, registry.format_keys);
    for (index, source) in registry.sources.iter().enumerate() {
        let Some(destination) = registry.destinations.get(index % registry.destinations.len().max(1)) else { break };
        file.stream(registry, index, source, destination);
    }
    file.text
}

struct File {
    text: String,
}

impl File {
    fn section(&mut self, header: &str, lines: &[(&str, &str)]) {
        let _ = write!(self.text, "\n[{header}]\n");
        for (key, value) in lines {
            let _ = writeln!(self.text, "{key} = {value}");
        }
    }

    /// The `[source]`s or the `[destination]`s, each named after its kind. A group of keys that several have is shown once.
    fn connectors(&mut self, section: &str, kinds: &[&Kind], more: &'static [Key]) {
        let mut shown: Vec<(&[Key], &str)> = Vec::new();
        for kind in kinds {
            self.text.push('\n');
            self.comment(kind.about);
            let _ = writeln!(self.text, "[{section} {}]\ntype = {}", kind.name, kind.name);
            for group in kind.keys.iter().copied().chain([kind.stream_keys, more]) {
                match shown.iter().find(|(earlier, _)| is_same(earlier, group)) {
                    Some((_, place)) => self.as_in(group, &format!("[{section} {place}]")),
                    None => {
                        self.keys(group, &[]);
                        shown.push((group, kind.name));
                    }
                }
            }
        }
    }

    /// Says where a group of keys is shown.
    fn as_in(&mut self, group: &[Key], place: &str) {
        let names: Vec<_> = group.iter().map(Key::title).collect();
        if let [first, .., last] = &names[..] {
            self.comment(&format!("`{first}` to `{last}` as in {place}."));
        } else if !names.is_empty() {
            self.comment(&format!("`{}` as in {place}.", names.join("`, `")));
        }
    }

    /// The first stream shows every key that all streams have; the others are as short as streams are.
    fn stream(&mut self, registry: &Registry, index: usize, source: &Kind, destination: &Kind) {
        let header = format!("stream {}_orders", source.name);
        self.section(&header, &[("source", source.name), ("destination", destination.name)]);
        match index {
            0 => self.keys(registry.stream_keys, &["table"]),
            _ => {
                let own = |key: &str| source.aliases.iter().find(|(_, of)| *of == key).map(|(alias, _)| *alias);
                match (own("table"), own("query")) {
                    (None, Some(path)) => {
                        let _ = writeln!(self.text, "{path} = /orders");
                        // What is no table has the stream's name.
                        return;
                    }
                    (table, _) => drop(writeln!(self.text, "{} = orders", table.unwrap_or("table"))),
                }
            }
        }
        // Its destination has a table of that name from another source.
        if index >= registry.destinations.len() {
            let _ = writeln!(self.text, "as = {}_orders", source.name);
        }
    }

    /// Each key with its words; those that are shown as set, or in `set`, are, the others are comments.
    fn keys(&mut self, group: &[Key], set: &[&str]) {
        for key in group {
            self.comment(key.about);
            let mark = if key.required || key.shown || set.contains(&key.name) { "" } else { "; " };
            let line = format!("{mark}{} = {}", key.title(), value(key));
            let _ = writeln!(self.text, "{}", line.trim_end());
        }
    }

    fn comment(&mut self, words: &str) {
        let mut line = "#".to_owned();
        for word in words.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                let _ = writeln!(self.text, "{line}");
                line = "#".to_owned();
            }
            line.push(' ');
            line.push_str(word);
        }
        let _ = writeln!(self.text, "{line}");
    }
}

fn is_same(one: &[Key], other: &[Key]) -> bool {
    let told = |key: &Key| (key.name, key.about);
    !one.is_empty() && one.iter().map(told).eq(other.iter().map(told))
}

/// What a key is shown with: its example, its default, or the first word that it may be.
fn value(key: &Key) -> &'static str {
    match (key.example, key.default, key.value) {
        ("", Some(default), _) => default,
        ("", None, Value::OneOf([first, ..])) => first,
        ("", None, Value::Flag) => "yes",
        (example, _, _) => example,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_and_a_name_of_its_own_are_shown() {
        const FAMILY: &[Key] =
            &[Key::new("default.", Value::Text, "What stands for NAME.").family().example("unknown")];
        let mut file = File { text: String::new() };
        file.keys(FAMILY, &[]);
        file.as_in(FAMILY, "[source a]");
        assert_eq!(
            file.text,
            "# What stands for NAME.\n; default.NAME = unknown\n# `default.NAME` as in [source a].\n"
        );
        let kind = Kind { name: "k", about: "", keys: &[], stream_keys: &[], aliases: &[("collection", "table")] };
        let mut file = File { text: String::new() };
        file.stream(&crate::pipeline::registry(), 1, &kind, &kind);
        assert_eq!(file.text, "\n[stream k_orders]\nsource = k\ndestination = k\ncollection = orders\n");
    }

    #[test]
    fn a_stream_without_tables_is_one_of_a_path() {
        let kind = Kind { name: "k", about: "", keys: &[], stream_keys: &[], aliases: &[("path", "query")] };
        let mut file = File { text: String::new() };
        file.stream(&crate::pipeline::registry(), 9, &kind, &kind);
        assert_eq!(file.text, "\n[stream k_orders]\nsource = k\ndestination = k\npath = /orders\n");
    }

    #[test]
    fn comments_are_wrapped() {
        let mut file = File { text: String::new() };
        file.comment(&"word ".repeat(40));
        assert!(file.text.lines().count() == 3 && file.text.lines().all(|l| l.len() <= WIDTH && l.starts_with("# ")));
    }
}
