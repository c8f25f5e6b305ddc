//! The server's log of changes: from its bytes to events, and from the rows of events to Arrow, in the types and with the
//! values that a query of the same rows gives.
//!
//! [`Log`] brings the events of a server, whatever they are packed in. [`Maps`] keeps for each table that the log names what the
//! caller knows of it: a [`Layout`], made of the log's own words and of the table's [`Definition`]. [`Layout::rows`] reads the rows of an
//! event into columns that the caller keeps, so that a transaction of any size goes through in batches.
//!
//! Nothing here knows of streams, positions and commits.

mod bytes;
mod charset;
mod definition;
mod event;
mod fault;
mod gtid;
mod json;
mod layout;
mod log;
mod maps;
mod refusal;
#[cfg(test)]
mod replay;
mod rows;
mod sum;
mod value;

use std::sync::Arc;

pub use self::charset::CharacterSets;
pub use self::definition::{Column, Definition, Target};
pub use self::event::metadata::Metadata;
pub use self::event::query::Query;
pub use self::event::rows::{Change, RowsEvent};
pub use self::event::table_map::{LogColumn, Stored, TableMap, TableMapEvent};
pub use self::event::{Event, Heartbeat, Rotate};
pub use self::gtid::event::{MariadbTransaction, Transaction, XaId, XaPrepare};
pub use self::gtid::{mariadb, mysql};
pub use self::layout::Layout;
pub use self::log::{Entry, Log, Options, Start};
pub use self::maps::Maps;
pub use self::rows::{Image, Room, Rows};
use super::Stream;
use super::config::Settings;
use super::connect::{self, Connection};
use super::error::{self, Doing};
use super::plan::Plan;
use crate::config::Section;
use crate::error::{Context, Result};

/// Reads the log of the server of a `[source]` section.
pub async fn open(section: &Section, options: &Options) -> Result<Log> {
    let settings = Arc::new(Settings::of(section)?);
    let connection = Connection::open(&settings).await?;
    let is_mariadb = connection.is_mariadb;
    connection.close().await;
    let client = settings.endpoint().log_in().await.map_err(|failure| connect::connect_failure(&settings, failure))?;
    Log::open(client, is_mariadb, options).await.at(|| settings.address())
}

/// What the catalog says of a stream's table now, and the character sets of its texts.
pub async fn define(section: &Section, stream: &Stream) -> Result<(Definition, CharacterSets)> {
    let settings = Arc::new(Settings::of(section)?);
    let mut connection = Connection::open(&settings).await?;
    let plan = Plan::of(&mut connection, &settings, stream).await?;
    let definition = Definition::of(&mut connection, &plan).await?;
    let sets = async {
        let mut sets = CharacterSets::of(&mut connection).await?;
        for column in definition.columns.iter().filter(|column| column.target.is_some()) {
            if let Some(set) = &column.character_set {
                sets.learn(&mut connection, set).await?;
            }
        }
        Ok(sets)
    };
    let sets = sets.await.map_err(|failure| error::of(failure, Doing::Preparing)).at(|| settings.address())?;
    connection.close().await;
    Ok((definition, sets))
}
