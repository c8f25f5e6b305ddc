//! What can be told about the streams of a file without a connection.

use crate::config::{Config, StreamSection};
use crate::destination;
use crate::error::{Error, Result};
use crate::record::Mode;
use crate::source::{self, Selection};

/// All that is wrong with the streams of a file, beyond what single keys tell.
pub fn streams(config: &Config) -> Vec<Error> {
    config.streams.iter().flat_map(|stream| stream_errors(config, stream)).collect()
}

fn stream_errors(config: &Config, stream: &StreamSection) -> Vec<Error> {
    let section = &stream.section;
    let source = || -> Result<()> { (source::maker(&config.sources[&stream.source].0)?.check_stream)(section) };
    let selected = Selection::of(&stream.name, section, None);
    let mode = selected.and_then(|selection| mode(config, stream, selection.mode));
    let checked = [mode, source(), destination::check_stream(section)];
    checked.into_iter().filter_map(Result::err).collect()
}

/// Refuses a mode in which the stream's source cannot be read.
pub fn mode(config: &Config, stream: &StreamSection, mode: Mode) -> Result<()> {
    (source::maker(&config.sources[&stream.source].0)?.check_mode)(&stream.section, mode)
}
