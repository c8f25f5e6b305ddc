//! docs/configuration.md.

use std::fmt::Write;

use crate::config::{Key, Kind, Registry};

const HEAD: &str = "\
# Configuration

<!-- Written by `tidemark docs` from what the connectors say of themselves: change it there. -->

A pipeline is one file, `pipeline.conf`, in INI as Python's configparser writes it. `pipeline.conf.example` shows every
section. `tidemark check` tries a file out without copying anything.

- `[section]` or `[type NAME]`, then `key = value` (or `key: value`). Keys are lower case or not, as you like.
- A value goes on over the lines that follow if they are indented. Lines that begin with `#` or `;` are comments; after a
  value, both are part of it.
- `${VAR}` is replaced by the environment variable, which must be set; `${VAR:-default}` by the default if the variable
  is not set or empty. `%` and a single `$` mean nothing.
- A key under `[DEFAULT]` counts in every section that knows it and does not say it itself.
- Instead of a secret, its file can be named: `password_file = /run/secrets/db` stands for `password`. A line end at the
  end of the file is not part of the secret.
- Relative paths start from the folder of the file.
- Sizes: `500000`, `64 KiB`, `64 MiB`, `1 GiB` (also `64k`, `64m`, `1g`; always powers of 1024). Durations: `500ms`,
  `10s`, `5m`, `2h`, `1d`. Flags: `yes` or `no`. Lists: names separated by commas or line ends.

An environment variable stands over every key: `TIDEMARK_SOURCE_SHOP_PASSWORD` is `password` of `[source shop]`, whatever the
file says there or in `[DEFAULT]`, and also if it says nothing.

- Its name is `TIDEMARK_`, the section and the key in capitals, with `_` for each character of the section's name that is
  none of A to Z and 0 to 9: `TIDEMARK_STREAM_EU_ORDERS_MODE` of `[stream eu.orders]`, `TIDEMARK_PIPELINE_PARALLEL`,
  `TIDEMARK_JOB_LOG_URL`. `type`, `source` and `destination` are such keys too, and `TIDEMARK_SOURCE_SHOP_PASSWORD_FILE`
  names a file. `[pipeline]` and `[job_log]` need not be in the file; the other sections must.
- Its value is checked as the file's is, and taken as it stands: `${…}` in it means nothing. A variable that is set to
  nothing is an empty value. Messages name the variable where they would name file and line, and never show its value.
- A stream takes over what a variable says of its source, its destination or `[pipeline]`, unless the stream says it itself, in
  the file or by a variable of its own.
- A variable that begins so and is no key of any section is an error that names the nearest that is; so is one that is a key of two
  sections (of `[source a-b]` and `[source a.b]`, or of `[source a]` and `[source a_b]`).

An unknown key, a missing one, a wrong value or an unresolved variable is an error that names file, line and key. All
errors of a file are shown at once, before any connection is made, and the exit code is 2.
";

/// The whole page.
pub fn reference(registry: &Registry) -> String {
    let mut page = Page { text: HEAD.to_owned() };
    page.heading("## `[pipeline]`");
    page.keys(&[registry.pipeline_keys]);
    page.words("These may also stand in a `[stream]`, for that stream alone:");
    page.keys(&[registry.pipeline_stream_keys]);
    page.heading("## `[job_log]`");
    page.words("What ran, how far it came, and who may run: [job-log.md](job-log.md).");
    page.keys(registry.job_log.keys);
    page.heading("## `[source NAME]`");
    page.words(&format!("Where records come from. {}", types(registry.sources)));
    for kind in registry.sources {
        page.kind("source", kind, &[]);
    }
    page.words("How columns are masked may stand in every source, and in a `[stream]`, where the stream's wins ([privacy.md](privacy.md)):");
    page.keys(&[registry.source_stream_keys]);
    page.heading("## `[destination NAME]`");
    page.words(&format!("Where records go. {}", types(registry.destinations)));
    page.words(
        "How data files are written may stand in every destination, and in a `[stream]`, where the stream's wins:",
    );
    page.keys(&[registry.format_keys]);
    for kind in registry.destinations {
        page.kind("destination", kind, &[]);
    }
    page.heading("## `[stream NAME]`");
    page.words("What to copy. Besides these keys, a stream may set for itself what its source, its destination, the formats and `[pipeline]` allow above.");
    page.keys(&[STREAM_ENDS, registry.stream_keys]);
    page.words(MODES);
    page.text
}

/// True as long as every source refuses `cdc`; tests/it/cli/config.rs fails once one does not.
const MODES: &str = "Every source reads `full` and `incremental`; `cdc` (change data capture) all but SQLite, which keeps no log of its changes.";

/// The two keys that the file's loader itself reads.
const STREAM_ENDS: &[Key] = &[
    Key::new("source", crate::config::Value::Text, "The name of a `[source]`.").required(),
    Key::new("destination", crate::config::Value::Text, "The name of a `[destination]`.").required(),
];

fn types(kinds: &[&Kind]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name)).collect();
    format!("`type` says which kind: {}.", names.join(", "))
}

struct Page {
    text: String,
}

impl Page {
    fn heading(&mut self, heading: &str) {
        let _ = write!(self.text, "\n{heading}\n");
    }

    fn words(&mut self, words: &str) {
        let _ = write!(self.text, "\n{words}\n");
    }

    fn kind(&mut self, section: &str, kind: &Kind, more: &[&[Key]]) {
        self.heading(&format!("### {section}: `type = {}`", kind.name));
        self.words(kind.about);
        let groups: Vec<&[Key]> = kind.keys.iter().chain(more).copied().collect();
        self.keys(&groups);
        if !kind.stream_keys.is_empty() {
            self.words("These may also stand in a `[stream]`, where the stream's wins:");
            self.keys(&[kind.stream_keys]);
        }
        let alias = |(alias, key): &(&str, &str)| format!("`{alias}` for `{key}`");
        let aliases: Vec<_> = kind.aliases.iter().map(alias).collect();
        if !aliases.is_empty() {
            self.words(&format!(
                "Some keys have a name of this source's besides their own, here and in its `[stream]`s: {}.",
                aliases.join(", ")
            ));
        }
    }

    fn keys(&mut self, groups: &[&[Key]]) {
        if groups.iter().all(|group| group.is_empty()) {
            return;
        }
        self.text.push_str("\n| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in groups.iter().copied().flatten() {
            let _ = writeln!(
                self.text,
                "| `{}` | {} | {} | {} |",
                key.title(),
                cell(&key.value.describe()),
                default(key),
                cell(&about(key))
            );
        }
        let families = groups.iter().copied().flatten().filter(|key| key.family);
        let families: Vec<_> = families.map(|key| format!("`{}`", key.title())).collect();
        if !families.is_empty() {
            self.words(&format!(
                "{} may stand as often as there are names. NAME is taken as it is written, upper and lower case included, and \
                 may have neither `=` nor `:` in it; no environment variable stands over such a key.",
                families.join(" and ")
            ));
        }
    }
}

fn default(key: &Key) -> String {
    match (key.default, key.required) {
        (Some(""), _) => "nothing".to_owned(),
        (Some(default), _) => cell(&code(default)),
        (None, true) => "**required**".to_owned(),
        (None, false) => String::new(),
    }
}

fn about(key: &Key) -> String {
    match key.secret {
        true => format!("{} Secret: never shown; `{}_file` may name a file with it.", key.about, key.name),
        false => key.about.to_owned(),
    }
}

/// Code, also where it has backticks itself.
fn code(text: &str) -> String {
    match text.contains('`') {
        true => format!("`` {text} ``"),
        false => format!("`{text}`"),
    }
}

/// Text that does not end its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Value;

    #[test]
    fn families_and_names_of_the_source_are_explained() {
        const KEYS: &[Key] = &[Key::new("default.", Value::Text, "What stands for NAME.").family()];
        let kind = Kind { name: "k", about: "", keys: &[], stream_keys: KEYS, aliases: &[("collection", "table")] };
        let mut page = Page { text: String::new() };
        page.kind("source", &kind, &[]);
        assert!(page.text.contains("\n| `default.NAME` | text |  | What stands for NAME. |\n"), "{}", page.text);
        assert!(page.text.contains("\n`default.NAME` may stand as often as there are names."), "{}", page.text);
        assert!(page.text.ends_with("in its `[stream]`s: `collection` for `table`.\n"), "{}", page.text);
    }

    #[test]
    fn a_key_is_one_line_whatever_it_says() {
        let key = Key::new("a", Value::Text, "One | two.").default("x|y`z").secret();
        let mut page = Page { text: String::new() };
        page.keys(&[&[key]]);
        let line = page.text.lines().last().unwrap();
        assert_eq!(
            line,
            "| `a` | text | `` x\\|y`z `` | One \\| two. Secret: never shown; `a_file` may name a file with it. |"
        );
    }
}
