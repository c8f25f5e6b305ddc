//! pipeline.conf.example.

use std::fmt::Write;

use crate::config::{Key, Kind, Registry};

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
    file.keys(&[registry.pipeline_keys, registry.pipeline_stream_keys], &[]);
    file.section("job_log", &[]);
    file.keys(&[registry.job_log_keys], &[]);
    for kind in registry.sources {
        file.connector("source", kind, &[]);
    }
    for kind in registry.destinations {
        file.connector("destination", kind, registry.format_keys);
    }
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

    /// A `[source]` or `[destination]`, named after its kind.
    fn connector(&mut self, section: &str, kind: &Kind, more: &'static [Key]) {
        self.text.push('\n');
        self.comment(kind.about);
        let _ = writeln!(self.text, "[{section} {}]\ntype = {}", kind.name, kind.name);
        let groups: Vec<&[Key]> = kind.keys.iter().copied().chain([kind.stream_keys, more]).collect();
        self.keys(&groups, &[]);
    }

    /// The first stream shows every key that all streams have; the others are as short as streams are.
    fn stream(&mut self, registry: &Registry, index: usize, source: &Kind, destination: &Kind) {
        let header = format!("stream {}_orders", source.name);
        self.section(&header, &[("source", source.name), ("destination", destination.name)]);
        match index {
            0 => self.keys(&[registry.stream_keys], &["table"]),
            _ => self.text.push_str("table = orders\n"),
        }
    }

    /// Each key with its words; those that are shown as set, or in `set`, are, the others are comments.
    fn keys(&mut self, groups: &[&[Key]], set: &[&str]) {
        for key in groups.iter().copied().flatten() {
            self.comment(key.about);
            let mark = if key.required || key.shown || set.contains(&key.name) { "" } else { "; " };
            let value = if key.example.is_empty() { key.default.unwrap_or_default() } else { key.example };
            let line = format!("{mark}{} = {value}", key.name);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_wrapped() {
        let mut file = File { text: String::new() };
        file.comment(&"word ".repeat(40));
        assert!(file.text.lines().count() == 3 && file.text.lines().all(|l| l.len() <= WIDTH && l.starts_with("# ")));
    }
}
