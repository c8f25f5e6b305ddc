//! What a run asks of a stream of changes besides following it, against the place that the stream has come to.

use super::place::{Place, Snapshot};
use crate::error::{Error, Result};
use crate::source::Stream;
use crate::source::following::What;

impl Place {
    /// Refuses `--from` where the stream has come to a place already, unless it began by it in this run.
    pub fn check_from(&self, stream: &Stream) -> Result<()> {
        let following = &stream.following;
        if following.from.is_none() || self.again.as_ref() == Some(&following.run) {
            return Ok(());
        }
        Err(Error::config(format!("stream {} has come to a place already", stream.id)).hint(
            "`--from` is for one that begins. `--full-refresh` reads all that it has anew, from the log's end on.",
        ))
    }

    /// What the run asks to be read from its beginning, unless that was begun: it is from now on.
    pub fn take_asked<'s>(&mut self, stream: &'s Stream) -> Option<&'s What> {
        let following = &stream.following;
        let asked = following.again.as_ref().filter(|_| self.again.as_ref() != Some(&following.run))?;
        self.again = Some(following.run.clone());
        Some(asked)
    }

    /// A table is read from its beginning, and what was read of it before is forgotten.
    pub fn read_anew(&mut self, table: &str) {
        self.snapshots.insert(table.to_owned(), Snapshot { after: None, anew: true });
    }
}

/// Of a name that people wrote, where a stream has no such table (or whatever the source calls it).
pub fn unknown(stream: &Stream, what: &str, name: &str, names: &[String]) -> Error {
    let near = crate::config::nearest(name, names.iter().map(String::as_str));
    let near = near.map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    Error::config(format!("stream {} has no {what} {name}{near}", stream.id))
}
