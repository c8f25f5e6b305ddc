//! Where everything stands below a destination's prefix.
//!
//! ```text
//! <table>/<stream>-<seq:020>-<n:06>.<ext>                        parts
//! <table>/<generation>/<stream>.<chunk>-<seq:020>-<n:06>.<ext>   parts of a full load
//! _commits/<stream>/<seq:020>.json                               the commit log
//! _commits/<stream>/<seq:020>.summary.json                       live parts up to there
//! _commits/<stream>/_tables/<table>                              tables that may hold parts of the stream
//! _commits/<stream>/<generation>/<chunk>/…                       the same three, of a chunk
//! <table>/<stream>@<id>-<seq:020>-<n:06>.<ext>                   parts of a window
//! _commits/<stream>/@<id>/…                                      its log
//! ```
//! Names are percent-encoded, so that any table has a folder and none of them is another's, or one of ours.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::record::{StreamId, Sub};

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');

/// What the keys of all commit logs start with.
const LOGS: &str = "_commits/";

/// Where it is tried out what the store can do: no stream's, since no stream's folder begins with `_`.
const PROBES: &str = "_commits/_probe/";

/// What the keys of the logs of all streams start with whose names start with `name`.
pub fn logs_of(name: &str) -> String {
    format!("{LOGS}{}", encode(name))
}

/// The stream that a key below [`LOGS`] belongs to.
pub fn stream_of(key: &str) -> Option<String> {
    let (name, _) = key.strip_prefix(LOGS)?.split_once('/').filter(|_| !key.starts_with(PROBES))?;
    percent_decode_str(name).decode_utf8().ok().map(|name| name.into_owned())
}

/// The key of one trial.
pub fn probe(name: &str) -> String {
    format!("{PROBES}{name}.json")
}

/// The paths of one stream or chunk.
#[derive(Debug, Clone)]
pub struct Layout {
    /// `_commits/orders`, or `_commits/orders/g…/0`.
    log: String,
    /// What its parts' names start with: `orders`, or `orders.0`.
    file: String,
    /// The folder below the table's, of a chunk.
    generation: Option<String>,
}

impl Layout {
    pub fn of(stream: &StreamId) -> Self {
        let name = encode(stream.name());
        let whole = Self { log: format!("_commits/{name}"), file: name, generation: None };
        match stream.sub() {
            None => whole,
            Some(Sub::Chunk { generation, chunk }) => whole.chunk(generation, chunk),
            Some(Sub::Window(id)) => whole.window(id),
        }
    }

    /// Those of one chunk of this stream.
    pub fn chunk(&self, generation: &str, chunk: &str) -> Self {
        let (generation, chunk) = (encode(generation), encode(chunk));
        Self {
            log: format!("{}/{generation}/{chunk}", self.log),
            file: format!("{}.{chunk}", self.file),
            generation: Some(generation),
        }
    }

    /// Those of a window of this stream: beside the stream's own files, since its rows are of the same table.
    pub fn window(&self, id: &str) -> Self {
        let id = encode(id);
        Self { log: format!("{}/@{id}", self.log), file: format!("{}@{id}", self.file), generation: None }
    }

    pub fn entry(&self, seq: u64) -> String {
        format!("{}/{seq:020}.json", self.log)
    }

    pub fn summary(&self, seq: u64) -> String {
        format!("{}/{seq:020}.summary.json", self.log)
    }

    /// What the keys of all entries and summaries start with, and no other key: sequence numbers have leading zeros.
    pub fn entries(&self) -> String {
        format!("{}/0", self.log)
    }

    /// The sequence number of an entry's key; `None` for a summary.
    pub fn entry_seq(&self, key: &str) -> Option<u64> {
        let digits = key.strip_prefix(&self.log)?.strip_prefix('/')?.strip_suffix(".json")?;
        if digits.len() == 20 { digits.parse().ok() } else { None }
    }

    pub fn table_marker(&self, table: &str) -> String {
        format!("{}{}", self.table_markers(), encode(table))
    }

    pub fn table_markers(&self) -> String {
        format!("{}/_tables/", self.log)
    }

    /// The table of a marker's key.
    pub fn marked_table(&self, key: &str) -> Option<String> {
        let name = key.strip_prefix(&self.table_markers())?;
        percent_decode_str(name).decode_utf8().ok().map(|name| name.into_owned())
    }

    /// The folder of a table.
    pub fn table(table: &str) -> String {
        encode(table)
    }

    /// What the keys of all parts of this stream in a table start with.
    pub fn parts(&self, table: &str) -> String {
        let table = encode(table);
        match &self.generation {
            None => format!("{table}/{}-", self.file),
            Some(generation) => format!("{table}/{generation}/{}-", self.file),
        }
    }

    /// What the keys of all parts of this stream's windows in a table start with.
    pub fn parts_of_windows(&self, table: &str) -> String {
        format!("{}/{}@", encode(table), self.file)
    }

    /// The number of the entry that made room for the window that a part is of, of a key that starts with
    /// [`Layout::parts_of_windows`]: windows are named by it.
    pub fn window_seq(&self, table: &str, key: &str) -> Option<u64> {
        seq_of_window(key.strip_prefix(&self.parts_of_windows(table))?)
    }

    /// What the keys of the logs of this stream's windows start with.
    pub fn window_logs(&self) -> String {
        format!("{}/@", self.log)
    }

    /// The window of a key that starts with [`Layout::window_logs`].
    pub fn window_of(&self, key: &str) -> Option<String> {
        let (id, _) = key.strip_prefix(&self.window_logs())?.split_once('/')?;
        percent_decode_str(id).decode_utf8().ok().map(|id| id.into_owned())
    }

    pub fn part(&self, table: &str, seq: u64, n: u32, extension: &str) -> String {
        format!("{}{seq:020}-{n:06}.{extension}", self.parts(table))
    }

    /// What the keys of all parts that were written for one entry start with.
    pub fn parts_of_entry(&self, table: &str, seq: u64) -> String {
        format!("{}{seq:020}-", self.parts(table))
    }

    /// The number of the entry that a part was written for, of a key that starts with [`Layout::parts`].
    ///
    /// `None` for a key of another stream whose name goes on where ours ends.
    pub fn part_seq(&self, table: &str, key: &str) -> Option<u64> {
        let rest = key.strip_prefix(&self.parts(table))?;
        let (seq, rest) = rest.split_at_checked(20)?;
        let (n, extension) = rest.strip_prefix('-')?.split_at_checked(6)?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let extension = extension.strip_prefix('.')?;
        let plain = extension.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        if digits(seq) && digits(n) && plain { seq.parse().ok() } else { None }
    }

    /// What the keys of the logs of one generation's chunks start with.
    pub fn generation_logs(&self, generation: &str) -> String {
        format!("{}/{}/", self.log, encode(generation))
    }

    /// The table of a marker below [`Layout::generation_logs`], whichever chunk's.
    pub fn generation_marked_table(&self, generation: &str, key: &str) -> Option<String> {
        let (_chunk, rest) = key.strip_prefix(&self.generation_logs(generation))?.split_once('/')?;
        let name = rest.strip_prefix("_tables/")?;
        percent_decode_str(name).decode_utf8().ok().map(|name| name.into_owned())
    }

    /// The folder of one generation's parts in a table.
    pub fn generation_parts(table: &str, generation: &str) -> String {
        format!("{}/{}/", encode(table), encode(generation))
    }
}

/// The number of the entry that made room for a window, of its id or what begins with it.
pub fn seq_of_window(id: &str) -> Option<u64> {
    let (seq, rest) = id.split_at_checked(20)?;
    let is_window = rest.starts_with('-') && seq.bytes().all(|byte| byte.is_ascii_digit());
    if is_window { seq.parse().ok() } else { None }
}

/// Letters, digits, `_`, `-` and `.` stand for themselves, but not `_` or `.` at the start.
fn encode(name: &str) -> String {
    let encoded = utf8_percent_encode(name, ENCODED).to_string();
    match encoded.as_bytes().first() {
        Some(b'_') => format!("%5F{}", &encoded[1..]),
        Some(b'.') => format!("%2E{}", &encoded[1..]),
        _ => encoded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_reaches_into_another_folder() {
        assert_eq!(encode("../etc"), "%2E.%2Fetc");
        assert_eq!(encode("_commits"), "%5Fcommits");
        assert_eq!(encode("Straße 7"), "Stra%C3%9Fe%207");
        let layout = Layout::of(&StreamId::new("a/b"));
        assert_eq!(layout.part("t", 7, 1, "csv"), "t/a%2Fb-00000000000000000007-000001.csv");
        assert_eq!(layout.marked_table(&layout.table_marker("ü/x")).unwrap(), "ü/x");
    }

    #[test]
    fn a_chunk_has_a_log_and_files_of_its_own() {
        let layout = Layout::of(&StreamId::new("orders").chunk("g1", "0"));
        assert_eq!(layout.entry(3), "_commits/orders/g1/0/00000000000000000003.json");
        assert_eq!(layout.part("t", 3, 1, "parquet"), "t/g1/orders.0-00000000000000000003-000001.parquet");
        let stream = Layout::of(&StreamId::new("orders"));
        assert!(!layout.entry(3).starts_with(&stream.entries()));
        assert_eq!(stream.generation_marked_table("g1", &layout.table_marker("t")).unwrap(), "t");
    }

    #[test]
    fn knows_its_own_parts() {
        let layout = Layout::of(&StreamId::new("a"));
        assert_eq!(layout.part_seq("t", &layout.part("t", 42, 9, "csv.gz")), Some(42));
        let other = Layout::of(&StreamId::new("a-00000000000000000001-000001.csv"));
        assert_eq!(layout.part_seq("t", &other.part("t", 2, 1, "csv")), None);
        assert_eq!(layout.part_seq("t", "t/a-readme"), None);
    }

    #[test]
    fn finds_the_logs_of_a_name() {
        let key = Layout::of(&StreamId::new("a b.c")).entry(3);
        assert!(key.starts_with(&logs_of("a b.")) && key.starts_with(&logs_of("")));
        assert_eq!(stream_of(&key).unwrap(), "a b.c");
        assert_eq!(stream_of(&probe("x")), None);
    }

    #[test]
    fn tells_entries_from_summaries() {
        let layout = Layout::of(&StreamId::new("a"));
        assert_eq!(layout.entry_seq(&layout.entry(5)), Some(5));
        assert_eq!(layout.entry_seq(&layout.summary(5)), None);
    }
}
