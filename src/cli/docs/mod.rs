//! `tidemark docs`: the reference of the configuration and its example, from what the connectors say of themselves.

mod example;
mod reference;

use std::path::Path;

use super::Console;
use crate::config::Registry;
use crate::error::{Error, Kind, Result};

pub use self::example::example;
pub use self::reference::reference;

/// Writes the two files below `dir`, or compares them with what is there.
pub fn command(console: &Console, registry: &Registry, dir: &Path, check: bool) -> Result<u8> {
    let files = [("docs/configuration.md", reference(registry)), ("pipeline.conf.example", example(registry))];
    if !check {
        files.iter().try_for_each(|(name, _)| refuse_another_hand(&dir.join(name)))?;
    }
    for (name, text) in files {
        let path = dir.join(name);
        match check {
            true => compare(&path, &text)?,
            false => write(&path, &text)?,
        }
        console.print(&format!("{}\n", path.display()));
    }
    Ok(0)
}

fn compare(path: &Path, text: &str) -> Result<()> {
    let found = std::fs::read_to_string(path).map_err(|e| refused(path, &e))?;
    let differs = found.lines().zip(text.lines()).position(|(found, wanted)| found != wanted);
    let line = differs.unwrap_or(found.lines().count().min(text.lines().count())) + 1;
    match found == text {
        true => Ok(()),
        false => Err(Error::data(format!("{}:{line}: is out of date", path.display()))
            .hint("Regenerate it with `tidemark docs`.")),
    }
}

/// What stands in the first lines of both files.
const MARK: &str = "tidemark docs";

/// A project may have a page of that name of its own.
fn refuse_another_hand(path: &Path) -> Result<()> {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.lines().take(5).any(|line| line.contains(MARK)) => {
            Err(Error::config(format!("{}: exists, and was not written by `{MARK}`", path.display()))
                .hint("Move it out of the way, or name another folder with --dir."))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text)).map_err(|e| refused(path, &e))
}

fn refused(path: &Path, error: &std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => Kind::Config,
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => Kind::Denied,
        _ => Kind::Unavailable,
    };
    Error::new(kind, format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("configuration.md");
        assert!(refuse_another_hand(&path).is_ok());
        std::fs::write(&path, "# My own page\n").unwrap();
        assert!(refuse_another_hand(&path).unwrap_err().message().contains("configuration.md"));
        for ours in [reference(&crate::pipeline::registry()), example(&crate::pipeline::registry())] {
            std::fs::write(&path, ours).unwrap();
            assert!(refuse_another_hand(&path).is_ok());
        }
    }

    #[test]
    fn a_file_that_differs_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/x.md");
        write(&path, "one\ntwo\n").unwrap();
        assert!(compare(&path, "one\ntwo\n").is_ok());
        let line = |text: &str| compare(&path, text).unwrap_err().message().to_owned();
        assert!(line("one\n2\n").contains("x.md:2:"));
        assert!(line("one\ntwo\nthree\n").contains("x.md:3:"));
        assert!(line("one\ntwo").contains("x.md:3:"));
    }
}
