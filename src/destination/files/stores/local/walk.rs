//! Keys found by walking the folders.

use std::fs;
use std::io::Result as IoResult;
use std::path::{Path, PathBuf};

use super::error::classify;
use super::{key, name, present};
use crate::error::Result;

/// The keys of objects that start with `prefix` and are greater than `after`, in byte order.
pub fn objects(root: &Path, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
    // All that lies in a folder is below `after` if the folder's own name is and `after` lies elsewhere.
    let below = |folder: &str| after.is_none_or(|after| folder > after || after.starts_with(folder));
    walk(root, prefix, &below, &mut |key, file, _| {
        let key = format!("{key}{file}");
        if name::target(file).is_none() && wanted(&key) {
            keys.push(key);
        }
    })?;
    keys.sort_unstable();
    Ok(keys)
}

/// Temporary files of keys that start with `prefix`: the key, and where the file is.
pub fn temporaries(root: &Path, prefix: &str) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    walk(root, prefix, &|_| true, &mut |key, file, path| {
        if let Some(target) = name::target(file) {
            let key = format!("{key}{target}");
            if key.starts_with(prefix) {
                found.push((key, path));
            }
        }
    })?;
    Ok(found)
}

/// Calls `each` with every file's folder as a start of keys (`` or `a/b/`), its name and its path, wherever keys that
/// start with `prefix` may lie.
fn walk(
    root: &Path,
    prefix: &str,
    enter: &dyn Fn(&str) -> bool,
    each: &mut dyn FnMut(&str, &str, PathBuf),
) -> Result<()> {
    let start = match prefix.rsplit_once('/') {
        Some((folder, _)) => format!("{}/", key::checked(folder)?),
        None => String::new(),
    };
    let mut folders = vec![start];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        let mut file = |name: &str, is_folder: bool| {
            let inner = format!("{folder}{name}/");
            match is_folder {
                false => each(&folder, name, path.join(name)),
                true if inner.starts_with(prefix) && enter(&inner) => folders.push(inner),
                true => {}
            }
        };
        read(&path, &mut file).map_err(|e| classify(&e, "cannot be listed", &path))?;
    }
    Ok(())
}

/// Calls `each` with the names in a folder, and whether they are folders.
fn read(folder: &Path, each: &mut dyn FnMut(&str, bool)) -> IoResult<()> {
    let Some(entries) = present(fs::read_dir(folder))? else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        // A name that cannot be in a key is none of ours.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if key::checked(&name).is_err() {
            continue;
        }
        let mut kind = entry.file_type()?;
        if kind.is_symlink() {
            // A table's folder may have been moved to another disk.
            let Some(target) = present(fs::metadata(entry.path()))? else { continue };
            kind = target.file_type();
        }
        if kind.is_dir() || kind.is_file() {
            each(&name, kind.is_dir());
        }
    }
    Ok(())
}
