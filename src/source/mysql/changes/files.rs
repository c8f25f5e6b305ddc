//! The files of the server's log: how much stands behind a place, and how long that stays there.

use std::time::Duration;

use jiff::Timestamp;

use super::Asker;
use super::place::Place;
use super::server::Kept;
use crate::error::{Error, Result};
use crate::source::mysql::binlog::Start;
use crate::source::mysql::connect::{Connection, number, text};
use crate::source::mysql::rights;

/// The first event of a file is at its beginning; a few others may be made up before it.
const FEW: usize = 8;

/// Names and sizes, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files(Vec<(String, u64)>);

impl Files {
    pub async fn of(connection: &mut Connection) -> Result<Self> {
        match connection.texts("show binary logs").await {
            Ok(rows) => Ok(Self(rows.iter().map(|row| (text(row, 0), number(row, 1).unwrap_or(0))).collect())),
            Err(failure) => Err(rights::refused(connection, failure).await),
        }
    }

    pub fn oldest(&self) -> Option<&str> {
        self.0.first().map(|(file, _)| file.as_str())
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(file, _)| file.as_str())
    }

    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, size)| size).sum()
    }

    /// How much stands behind a place. `None` where its file is not there: purged, or of another server.
    pub fn behind(&self, file: &str, pos: u64) -> Option<u64> {
        if let Some(at) = self.0.iter().position(|(name, _)| name == file) {
            let rest = self.0[at + 1..].iter().map(|(_, size)| size).sum::<u64>();
            return Some(rest + self.0[at].1.saturating_sub(pos));
        }
        // It was begun after these were asked for.
        let (last, size) = self.0.last()?;
        let end = Place { file: last.clone(), pos: *size, gtids: None };
        let place = Place { file: file.to_owned(), pos, gtids: None };
        (place.is_at_or_behind(&end) && stem(file) == stem(last)).then_some(0)
    }

    /// The oldest of these that is there.
    pub fn oldest_of<'a>(&self, files: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let place = |file: &str| self.0.iter().position(|(name, _)| name == file);
        files.into_iter().filter_map(|file| Some((place(file)?, file))).min().map(|(_, file)| file)
    }

    /// Refuses a place that is in none of them, as people name it.
    pub fn refuse_beyond(&self, file: &str, pos: u64) -> Result<()> {
        let Some((_, size)) = self.0.iter().find(|(name, _)| name == file) else {
            let error = Error::config(format!("--from: the server has no file {file} of its log"));
            return Err(match (self.0.first(), self.0.last()) {
                (Some((first, _)), Some((last, _))) => error.hint(format!("It has {first} to {last}.")),
                _ => error,
            });
        };
        match pos > *size {
            true => Err(Error::config(format!("--from: {file} ends at {size}, before {pos}"))),
            false => Ok(()),
        }
    }

    /// The file that goes on behind another one.
    pub fn next(&self, file: &str) -> Option<&str> {
        let at = self.0.iter().position(|(name, _)| name == file)?;
        self.0.get(at + 1).map(|(name, _)| name.as_str())
    }
}

fn stem(file: &str) -> &str {
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// When a file was begun, as its first event says. `None` where that cannot be told.
pub async fn begun_at(asker: &Asker, file: &str) -> Result<Option<Timestamp>> {
    let mut log = asker.log(&asker.options(Start::of_file(file), true)).await?;
    for _ in 0..FEW {
        match log.next().await? {
            Some(entry) if entry.header.timestamp > 0 => {
                return Ok(Timestamp::from_second(entry.header.timestamp.into()).ok());
            }
            Some(_) => {}
            None => break,
        }
    }
    Ok(None)
}

/// How long until the server may purge a file whose successor was begun at this moment, which is when the file was last written
/// to. Zero where it may already.
pub fn left(kept: Kept, ended_at: Timestamp, now: Timestamp) -> Option<Duration> {
    let Kept::For(kept) = kept else { return None };
    let age = Duration::try_from(now.duration_since(ended_at)).unwrap_or_default();
    Some(kept.saturating_sub(age))
}

/// Whether so little is left that somebody should know.
pub fn is_little(kept: Kept, left: Duration) -> bool {
    matches!(kept, Kept::For(kept) if left < kept / 4)
}

/// How long a file of the place's is still kept; `None` where the server writes to it yet, or never purges.
pub async fn kept_for(asker: &Asker, files: &Files, kept: Kept, file: &str) -> Result<Option<Duration>> {
    let Some(next) = files.next(file).filter(|_| kept != Kept::Always) else { return Ok(None) };
    let ended_at = begun_at(asker, next).await?;
    Ok(ended_at.and_then(|at| left(kept, at, Timestamp::now())))
}

/// `3.2 MiB`
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// `3 h`, in the largest unit that says enough.
pub fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_a_place() {
        let files = [("b.000009", 100), ("b.000010", 200), ("b.000011", 50)];
        let files = Files(files.map(|(name, size)| (name.to_owned(), size)).to_vec());
        assert_eq!(files.behind("b.000009", 40), Some(310));
        assert_eq!(files.behind("b.000011", 50), Some(0));
        assert_eq!(files.behind("b.000011", 60), Some(0));
        assert_eq!(files.behind("b.000012", 4), Some(0));
        assert_eq!(files.behind("b.000008", 4), None);
        assert_eq!(files.behind("other.000012", 4), None);
        assert_eq!(files.oldest_of(["b.000011", "b.000010", "b.000007"]), Some("b.000010"));
        assert_eq!((files.next("b.000009"), files.next("b.000011")), (Some("b.000010"), None));
    }

    #[test]
    fn a_file_is_kept_from_its_last_event_on() {
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).unwrap();
        let hour = Kept::For(Duration::from_secs(3_600));
        assert_eq!(left(hour, at(0), at(600)), Some(Duration::from_secs(3_000)));
        assert_eq!(left(hour, at(0), at(9_000)), Some(Duration::ZERO));
        assert_eq!(left(Kept::Always, at(0), at(9_000)), None);
        assert!(is_little(hour, Duration::from_secs(800)) && !is_little(hour, Duration::from_secs(3_000)));
    }

    #[test]
    fn durations_and_sizes_in_words() {
        let shown = [59, 600, 10_800, 864_000].map(|seconds| in_words(Duration::from_secs(seconds)));
        assert_eq!(shown, ["59 s", "10 min", "3 h", "10 days"]);
        assert_eq!([7, 1_536, 5 << 20, 3 << 30].map(size), ["7 bytes", "1.5 KiB", "5.0 MiB", "3.0 GiB"]);
    }
}
