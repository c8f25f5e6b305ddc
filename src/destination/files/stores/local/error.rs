//! What an error of the file system asks of its reader.

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Something that could not be done to a file.
#[derive(Debug)]
pub struct Failure {
    error: IoError,
    /// What was tried: `cannot be written`.
    doing: &'static str,
    path: PathBuf,
}

impl Failure {
    pub fn new(error: IoError, doing: &'static str, path: &Path) -> Self {
        Self { error, doing, path: path.to_owned() }
    }

    /// What it was done to is not there, or no longer.
    pub fn is_absence(&self) -> bool {
        self.error.kind() == ErrorKind::NotFound
    }
}

impl From<Failure> for Error {
    fn from(Failure { error, doing, path }: Failure) -> Self {
        classify(&error, doing, &path)
    }
}

/// As [`Failure`], at once.
pub fn classify(error: &IoError, doing: &str, path: &Path) -> Error {
    let message = format!("{}: {doing}: {error}", path.display());
    match error.kind() {
        ErrorKind::PermissionDenied => {
            Error::denied(message).hint("Give the account that runs tidemark the right to write there.")
        }
        ErrorKind::ReadOnlyFilesystem => Error::denied(message).hint("Mount the file system for writing."),
        // Retried on purpose: room is made by the operator, not in pipeline.conf, and the run is then tried again by itself.
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::unavailable(message).hint("Make room there. What is committed stands; the rest is read again.")
        }
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            Error::config(message).hint("A file stands where a folder is needed, or a folder where a file is.")
        }
        ErrorKind::InvalidFilename => Error::config(message).hint("Choose a shorter name for the stream or the table."),
        ErrorKind::FileTooLarge => {
            Error::config(message).hint("Make parts smaller with `part_bytes`, or raise the limit of file sizes.")
        }
        _ => Error::unavailable(message),
    }
}

/// A hard link was refused: is it that there are none here?
pub fn has_no_links(error: &IoError) -> bool {
    matches!(
        error.kind(),
        // Linking a file of ours beside itself needs no right that creating it did not: EPERM means no links.
        ErrorKind::Unsupported | ErrorKind::PermissionDenied | ErrorKind::TooManyLinks | ErrorKind::CrossesDevices
    )
}

pub fn no_links(root: &Path) -> Error {
    Error::config(format!("{}: this file system has no hard links", root.display())).hint(
        "A commit is a hard link, which either takes a name or finds it taken. Use a local disk, NFS, or a bucket.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn the_number_of_an_error_decides_whose_move_it_is() {
        // As Linux numbers them.
        for (number, name, kind) in [
            (28, "ENOSPC", Kind::Unavailable),
            (122, "EDQUOT", Kind::Unavailable),
            (5, "EIO", Kind::Unavailable),
            (116, "ESTALE", Kind::Unavailable),
            (1, "EPERM", Kind::Denied),
            (13, "EACCES", Kind::Denied),
            (30, "EROFS", Kind::Denied),
            (20, "ENOTDIR", Kind::Config),
            (36, "ENAMETOOLONG", Kind::Config),
            (27, "EFBIG", Kind::Config),
        ] {
            let error = classify(&IoError::from_raw_os_error(number), "cannot be written", Path::new("/lake/t"));
            assert_eq!(error.kind(), kind, "{name}");
            assert!(error.message().starts_with("/lake/t: cannot be written: "), "{error}");
        }
        assert!(classify(&IoError::from_raw_os_error(28), "", Path::new("/")).advice().unwrap().contains("room"));
    }

    #[test]
    fn a_file_system_without_links_is_told_from_other_trouble() {
        for number in [1, 18, 31, 38, 95] {
            assert!(has_no_links(&IoError::from_raw_os_error(number)), "{number}");
        }
        for number in [2, 5, 17, 28, 30] {
            assert!(!has_no_links(&IoError::from_raw_os_error(number)), "{number}");
        }
        assert_eq!(no_links(Path::new("/mnt/usb")).kind(), Kind::Config);
    }
}
