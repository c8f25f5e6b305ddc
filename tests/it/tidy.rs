//! The rules of ARCHITECTURE.md that a machine can check.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

/// Which rooms a room may use. Every room may use those that its own rooms use.
const USES: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("backoff", &["error"]),
    ("record", &["error"]),
    ("config", &["error"]),
    ("format", &["record", "config", "error"]),
    ("net", &["config", "error"]),
    ("source", &["net", "record", "config", "backoff", "error"]),
    ("destination", &["format", "net", "record", "config", "backoff", "error"]),
    ("job_log", &["net", "record", "config", "error"]),
    ("pipeline", &["source", "destination", "job_log", "format", "net", "record", "config", "backoff", "error"]),
    ("cli", &["pipeline", "source", "destination", "job_log", "format", "net", "record", "config", "backoff", "error"]),
];

/// Rooms in which no sibling may know another.
const HOUSES: &[&str] = &["net", "source", "destination/files/stores", "job_log"];

/// What those siblings share, and the registry.
const SHARED: &[&str] = &[
    "mod",
    "credentials",
    "tls",
    "changes",
    "cursor",
    "cut",
    "documents",
    "exchange",
    "failures",
    "feed",
    "following",
    "iso8601",
    "keys",
    "keyset",
    "listing",
    "masking",
    "pattern",
    "key",
    "prefix",
    "lease",
    "process",
    "server",
    "tally",
];

const LONGEST_FILE: usize = 500;
const DRAWERS: &[&str] = &["utils", "util", "common", "helpers", "helper", "base", "manager", "misc"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => {}
        }
    }
    files.sort();
    files
}

/// The room below `folder` that a file is in: `mysql` for `mysql/plan.rs` and `mysql.rs`.
fn room(file: &Path, folder: &Path) -> String {
    let first = file.strip_prefix(folder).unwrap().components().next().unwrap();
    let name = first.as_os_str().to_str().unwrap();
    name.strip_suffix(".rs").unwrap_or(name).to_owned()
}

/// The code of a file without its comments, so that a word in a sentence is not a use.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The code of a file below `src` with every `super::` written out from `crate::` on.
fn absolute_code(file: &Path, src: &Path) -> String {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let parts = path.iter().map(|part| part.to_str().unwrap()).filter(|part| !["mod", "lib", "main"].contains(part));
    absolute(&code(file), &parts.collect::<Vec<_>>())
}

/// Writes out `super::`; `module` is the file's. A module `tests` within the file is one deeper.
fn absolute(code: &str, module: &[&str]) -> String {
    let (own, tests) = code.split_at(code.find("mod tests {").unwrap_or(code.len()));
    let within = [module, &["tests"]].concat();
    [(own, module), (tests, within.as_slice())].map(|(code, module)| without_super(code, module)).concat()
}

fn without_super(code: &str, module: &[&str]) -> String {
    const SUPER: &str = "super::";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(SUPER) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut levels = 0;
        while let Some(after) = rest.strip_prefix(SUPER) {
            (levels, rest) = (levels + 1, after);
        }
        let above = module.len().saturating_sub(levels);
        out.extend(["crate"].iter().chain(&module[..above]).map(|name| format!("{name}::")));
    }
    out + rest
}

/// The names that follow `prefix`: one, or those of a group in braces.
fn used(code: &str, prefix: &str) -> BTreeSet<String> {
    let first = |text: &str| {
        let name = text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        name.to_owned()
    };
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(first(rest));
            continue;
        };
        // What stands in inner braces is below a name of the group.
        let (mut depth, mut start) = (0, 0);
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    names.insert(first(&group[start..index]));
                    start = index + 1;
                    if c == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names
}

#[test]
fn a_use_is_found_however_it_is_written() {
    let found = |code: &str| used(&absolute(code, &["source", "mysql", "plan"]), "crate::source::");
    for code in [
        "use super::super::postgres::Name;",
        "let name = super::super::postgres::name::parse(text);",
        "use super::super::{feed, postgres};",
        "use crate::source::{feed::{Closed, Outlet}, postgres};",
        "mod tests { use super::super::super::postgres; }",
    ] {
        assert!(found(code).contains("postgres"), "{code}");
    }
    assert_eq!(found("use super::{catalog, name}; mod tests { use super::*; }"), BTreeSet::from(["mysql".to_owned()]));
}

#[test]
fn use_goes_one_way() {
    let src = root().join("src");
    let mut wrong = Vec::new();
    for file in files_below(&src) {
        let room = room(&file, &src);
        let Some((_, allowed)) = USES.iter().find(|(name, _)| *name == room) else { continue };
        for name in used(&absolute_code(&file, &src), "crate::") {
            let is_room = USES.iter().any(|(other, _)| *other == name);
            if is_room && name != room && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} uses crate::{name}", file.strip_prefix(&src).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_has_a_place_in_the_order() {
    let src = root().join("src");
    let rooms: BTreeSet<_> = files_below(&src).iter().map(|file| room(file, &src)).collect();
    let known: BTreeSet<_> =
        USES.iter().map(|(name, _)| (*name).to_owned()).chain(["main", "lib"].map(str::to_owned)).collect();
    assert_eq!(rooms, known);
}

#[test]
fn siblings_do_not_know_each_other() {
    let mut wrong = Vec::new();
    for house in HOUSES {
        let src = root().join("src");
        let folder = src.join(house);
        let files = files_below(&folder);
        let rooms: BTreeSet<_> =
            files.iter().map(|file| room(file, &folder)).filter(|room| !SHARED.contains(&room.as_str())).collect();
        for file in files.iter().filter(|file| rooms.contains(&room(file, &folder))) {
            let path = format!("crate::{}::", house.replace('/', "::"));
            for name in used(&absolute_code(file, &src), &path) {
                if rooms.contains(&name) && name != room(file, &folder) {
                    wrong.push(format!("{} uses {path}{name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<_> = files_below(&root().join("src"))
        .into_iter()
        .filter(|file| fs::read_to_string(file).unwrap().lines().count() > LONGEST_FILE)
        .collect();
    assert!(long.is_empty(), "over {LONGEST_FILE} lines: {long:?}");
}

#[test]
fn there_are_no_junk_drawers() {
    let drawers: Vec<_> = files_below(&root().join("src"))
        .into_iter()
        .filter(|file| {
            let parts = file.strip_prefix(root()).unwrap().with_extension("");
            parts.iter().any(|part| DRAWERS.contains(&part.to_str().unwrap()))
        })
        .collect();
    assert!(drawers.is_empty(), "{drawers:?}");
}

#[test]
fn no_test_is_skipped_in_silence() {
    let mark = ["#[", "ignore"].concat();
    for file in files_below(&root().join("src")).into_iter().chain(files_below(&root().join("tests"))) {
        assert!(!fs::read_to_string(&file).unwrap().contains(&mark), "{}", file.display());
    }
}

/// Each row of docs/guarantees.md names the test that proves it, as `path/of/file.rs::name`.
#[test]
fn every_guarantee_names_a_test_that_is_there() {
    let page = fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let mut named = 0;
    for quoted in page.split('`').skip(1).step_by(2) {
        let Some((file, test)) = quoted.split_once(".rs::") else { continue };
        named += 1;
        let path = root().join(format!("{file}.rs"));
        let code = if path.exists() { code(&path) } else { String::new() };
        let is_there = ["(", "<"].iter().any(|after| code.contains(&format!("fn {test}{after}")));
        assert!(is_there, "{quoted} is not there");
    }
    assert!(named >= 10, "only {named} tests are named");
}

/// The text of all string literals of a file, those that go on after a line's end joined.
fn joined(code: &str) -> String {
    let mut lines = code.lines();
    let mut out = String::new();
    while let Some(line) = lines.next() {
        let mut line = line.to_owned();
        while let Some(start) = line.strip_suffix('\\') {
            line = format!("{start}{}", lines.next().unwrap_or_default().trim_start());
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// Whoever looks a message up in docs/troubleshooting.md finds it as the program says it.
#[test]
fn messages_that_are_explained_are_there() {
    let src: String = files_below(&root().join("src")).iter().map(|file| joined(&code(file))).collect();
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let (mut explained, mut wrong) = (0, Vec::new());
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cell = row.split('|').nth(1).unwrap();
        for quoted in cell.split('`').skip(1).step_by(2) {
            explained += 1;
            // Where the page has `…`, the program has a name or a number.
            let parts = quoted.split('…').map(str::trim).filter(|part| part.chars().count() > 2);
            wrong.extend(parts.filter(|part| !src.contains(part)).map(|part| format!("{quoted}: {part}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(explained >= 30, "only {explained} are explained");
}

/// Comments send their readers to other files.
#[test]
fn paths_in_comments_are_there() {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let mut wrong = Vec::new();
    for file in files_below(&root().join("src")) {
        for line in fs::read_to_string(&file).unwrap().lines() {
            let Some((_, comment)) = line.split_once("//") else { continue };
            for word in comment.split(|c: char| !is_path(c)).map(|word| word.trim_end_matches('.')) {
                let is_ours = ["docs/", "tests/", "benches/", "bench/"].iter().any(|folder| word.starts_with(folder));
                if is_ours && !word.starts_with("docs/adr/") && !root().join(word).exists() {
                    wrong.push(format!("{}: {word}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All long options of a command and of those below it.
fn options(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(options)).collect()
}

/// Begin with two dashes, and are no options of ours: the ends of bucket names.
const NO_OPTIONS: &[&str] = &["x-s3"];

/// Messages and hints name options that the program has.
#[test]
fn every_option_that_is_named_is_there() {
    let mut command = tidemark::cli::Args::command();
    command.build();
    let options = options(&command);
    let (mut named, mut wrong) = (0, Vec::new());
    for file in files_below(&root().join("src")) {
        // Two dashes before a letter stand nowhere in code but in strings.
        let code = code(&file);
        for (at, _) in code.match_indices("--") {
            let name: String = code[at + 2..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            let is_word_before = code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
            if is_word_before || !name.starts_with(|c: char| c.is_ascii_lowercase()) || NO_OPTIONS.contains(&&*name) {
                continue;
            }
            named += 1;
            if !options.contains(&name) {
                wrong.push(format!("{}: --{name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(named >= 5, "only {named} are named");
}
