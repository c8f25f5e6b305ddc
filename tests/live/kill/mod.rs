//! Whole runs of the real program that are killed, paused, or lose their server, against real servers: whatever
//! happens, the live files are the table, once, and nothing is left lying about.
//!
//! Tables are made and files compared by `oracle.py`, which reads both ends with programs of others.

mod changes;
mod chunks;
#[cfg(feature = "mongodb")]
mod documents;
pub mod gate;
pub mod oracle;
pub mod own;
mod paused;
mod restarted;
pub mod suite;

use self::suite::survives_kills;

#[test]
fn postgres_to_s3_as_parquet() {
    survives_kills("postgres", "TIDEMARK_TEST_POSTGRES", "s3", "parquet");
}

#[test]
fn mariadb_to_s3_as_csv() {
    survives_kills("mysql", "TIDEMARK_TEST_MARIADB", "s3", "csv");
}

#[test]
fn postgres_to_a_folder_as_json() {
    survives_kills("postgres", "TIDEMARK_TEST_POSTGRES", "local", "json");
}

/// A module of its own, so that it can be left out by name where this server cannot be had.
mod mysql {
    #[test]
    fn to_a_folder_as_parquet() {
        super::survives_kills("mysql", "TIDEMARK_TEST_MYSQL", "local", "parquet");
    }
}
