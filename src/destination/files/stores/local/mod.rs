//! A folder on a file system.
//!
//! Nothing is ever written under its final name. An object is a temporary file in the same folder, written, synced, and
//! then given its name: by a hard link where the name must be free (the link is refused if it is not), by a rename
//! where it need not be. Then the folder is synced, so that the name outlives a power cut. A crash leaves temporary
//! files and nothing else.

mod error;
mod folders;
mod name;
mod upload;
mod walk;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Result as IoResult, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::error::{Failure, classify};
use self::folders::Folders;
use super::{Maker, key};
use crate::config::{Key, Section, Value};
use crate::destination::files::store::{Created, Store, Upload};
use crate::error::{Error, Result};

pub const MAKER: Maker = Maker {
    kind: super::kind(
        "local",
        "A folder on this machine's disk, or on a network file system that has hard links.",
        &[KEYS],
    ),
    check: |section| folder(section).map(|_| ()),
    make: |section| Ok(Arc::new(Local::new(&folder(section)?))),
};

const KEYS: &[Key] = &[Key::new(
    "path",
    Value::Path,
    "The folder; made if it is not there. A relative path is taken from the folder of `pipeline.conf`.",
)
.required()
.example("./lake")];

fn folder(section: &Section) -> Result<PathBuf> {
    match section.path("path").filter(|_| section.get("path") != Some("")) {
        Some(path) => Ok(path),
        None => Err(section.error("path", "is missing")),
    }
}

/// Objects are files below a root folder.
#[derive(Clone)]
pub struct Local {
    shared: Arc<Shared>,
}

struct Shared {
    /// Absolute.
    root: PathBuf,
    folders: Folders,
}

impl Local {
    /// Touches nothing; folders are made when the first object comes.
    pub fn new(root: &Path) -> Self {
        // It fails only where the working directory is gone, and then so does every use of the path.
        let root = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Self { shared: Arc::new(Shared { folders: Folders::new(&root), root }) }
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Shared) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = self.shared.clone();
        let result = tokio::task::spawn_blocking(move || work(&shared)).await;
        result.unwrap_or_else(|_| Err(Error::bug("work on files panicked")))
    }
}

#[async_trait]
impl Store for Local {
    async fn create(&self, key: &str, body: Bytes) -> Result<Created> {
        let path = self.shared.path(key)?;
        self.blocking(move |shared| shared.create(&path, &body)).await
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let path = self.shared.path(key)?;
        self.blocking(move |_| match fs::read(&path) {
            Ok(body) => Ok(Some(body.into())),
            Err(e) if is_absent(e.kind()) => Ok(None),
            Err(e) => Err(classify(&e, "cannot be read", &path)),
        })
        .await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.blocking(move |shared| walk::objects(&shared.root, &prefix, after.as_deref())).await
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        let paths = keys.iter().map(|key| self.shared.path(key)).collect::<Result<Vec<_>>>()?;
        self.blocking(move |shared| shared.remove(&paths)).await
    }

    async fn upload(&self, key: &str) -> Result<Box<dyn Upload>> {
        let path = self.shared.path(key)?;
        let (file, temporary) = self.blocking(move |shared| shared.begin(&path)).await?;
        Ok(Box::new(upload::Uploading::new(file, temporary)))
    }

    async fn sweep(&self, prefix: &str, dead: &(dyn for<'a> Fn(&'a str) -> bool + Sync)) -> Result<()> {
        let owned = prefix.to_owned();
        let mut found = self.blocking(move |shared| walk::temporaries(&shared.root, &owned)).await?;
        found.retain(|(key, _)| dead(key));
        let paths: Vec<_> = found.into_iter().map(|(_, path)| path).collect();
        self.blocking(move |shared| shared.remove(&paths)).await
    }

    fn url(&self, key: &str) -> String {
        self.shared.root.join(key).display().to_string()
    }
}

impl Shared {
    fn path(&self, key: &str) -> Result<PathBuf> {
        let key = key::checked(key)?;
        match key.split('/').any(|segment| name::target(segment).is_some()) {
            true => Err(Error::bug(format!("{key:?} is the name of a temporary file"))),
            false => Ok(self.root.join(key)),
        }
    }

    fn create(&self, path: &Path, body: &[u8]) -> Result<Created> {
        let (mut file, temporary) = self.begin(path)?;
        let written = file.write_all(body).and_then(|()| file.sync_all());
        written.map_err(|e| classify(&e, "cannot be written", path))?;
        let created = match fs::hard_link(&temporary.path, path) {
            Ok(()) => Created::Yes,
            // Over NFS the answer to a link that succeeded can be lost, and its repetition then says EEXIST.
            Err(e) if e.kind() == ErrorKind::AlreadyExists && links(&temporary.path)? > 1 => Created::Yes,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Created::AlreadyThere,
            Err(e) if error::has_no_links(&e) => return Err(error::no_links(&self.root)),
            Err(e) => return Err(classify(&e, "cannot be created", path)),
        };
        // Also where it was there already: whoever acts on it must find it again after a power cut.
        folders::sync(temporary.folder()).map_err(|e| classify(&e, "cannot be synced", path))?;
        Ok(created)
    }

    /// Begins a file that is to be `path`.
    fn begin(&self, path: &Path) -> Result<(File, Temporary)> {
        let temporary = Temporary::of(path)?;
        let begin = || {
            self.folders.ensure(temporary.folder())?;
            let file = OpenOptions::new().write(true).create_new(true).open(&temporary.path);
            file.map_err(|e| Failure::new(e, "cannot be created", path))
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match begin() {
                Ok(file) => return Ok((file, temporary)),
                // A delete took a folder away, because it was empty.
                Err(e) if e.is_absence() && tries < 100 => self.folders.forget(temporary.folder()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Removes files, and then the folders that are empty without them.
    fn remove(&self, paths: &[PathBuf]) -> Result<()> {
        let mut touched = BTreeSet::new();
        for path in paths {
            match fs::remove_file(path) {
                Ok(()) => touched.extend(path.parent()),
                Err(e) if is_absent(e.kind()) => {}
                Err(e) => return Err(classify(&e, "cannot be deleted", path)),
            }
        }
        for folder in touched {
            // An orphan that a power cut brings back would be read again by those who read without the log.
            match folders::sync(folder) {
                Err(e) if !is_absent(e.kind()) => return Err(classify(&e, "cannot be synced", folder)),
                _ => self.folders.prune(folder),
            }
        }
        Ok(())
    }
}

/// A file on its way to its name; removed when this is dropped, unless it has got there.
struct Temporary {
    path: PathBuf,
    target: PathBuf,
    /// Nothing is left at `path` to remove.
    is_named: bool,
}

impl Temporary {
    fn of(target: &Path) -> Result<Self> {
        let name = target.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::bug(format!("{} has no name", target.display())))?;
        let path = target.with_file_name(name::temporary(name));
        Ok(Self { path, target: target.to_owned(), is_named: false })
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_named {
            // What cannot be removed now, a sweep removes.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn links(path: &Path) -> Result<u64> {
    fs::metadata(path).map(|file| file.nlink()).map_err(|e| classify(&e, "cannot be examined", path))
}

/// No such file, or a file where the path wants a folder.
fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// As [`is_absent`] of a result: `None` instead of the error.
fn present<T>(result: IoResult<T>) -> IoResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if is_absent(e.kind()) => Ok(None),
        Err(e) => Err(e),
    }
}
