//! One suite for MySQL and MariaDB: what a source of type `mysql` must do on both.

pub mod access;
pub mod binlog;
pub mod changes;
pub mod chunks;
pub mod incremental;
pub mod interleaved;
pub mod reading;
pub mod statements;
pub mod values;
pub mod windows;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use self::changes::{anew, begun, checks, lag, program as changed, tables as altered, undone, worded};
use arrow_array::RecordBatch;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Value};
use tidemark::config::{Key, Section};
use tidemark::error::Result;
use tidemark::record::{Checkpoint, Event, Table};
use tidemark::source::{Description, Reader, STREAM_KEYS, Selection, Source, Stream, maker};
use tokio::sync::{Mutex, MutexGuard};

/// The tests that both servers must pass.
#[macro_export]
macro_rules! my_suite {
    () => {
        my_suite!(
            values::every_type_value_by_value,
            values::zero_dates_follow_the_policy,
            values::tinyint1_may_be_boolean,
            values::characters_of_every_set,
            values::bits_of_views_and_queries,
            values::queries_tell_their_own_types,
            values::bytes_that_are_no_text,
            values::warnings_of_the_server_are_passed_on,
            access::missing_tables_and_columns,
            access::missing_grants_are_spelled_out,
            access::wrong_logins,
            access::login_methods,
            access::verified_tls,
            access::client_certificates,
            access::lists_tables_by_name_and_pattern,
            access::describes_a_stream,
            access::errors_hold_no_secrets_and_no_values,
            reading::an_empty_table_has_a_schema,
            reading::columns_and_conditions,
            reading::a_snapshot_sees_one_moment,
            reading::an_end_is_kept,
            reading::a_table_that_takes_the_name_is_read_as_it_is_then,
            reading::large_values_come_whole,
            reading::many_rows_in_little_memory,
            reading::a_killed_connection_is_no_end,
            reading::dropping_a_reader_ends_its_statement,
            reading::session_settings,
            incremental::every_type_of_cursor,
            incremental::cursors_without_an_order_are_refused,
            incremental::composite_and_coalesced_cursors,
            incremental::open_transactions_hold_the_mark,
            incremental::prepared_transactions_hold_the_mark,
            incremental::waiting_statements_hold_the_mark,
            incremental::statements_before_their_first_row_hold_the_mark,
            incremental::short_statements_all_day_hold_nothing,
            incremental::a_forgotten_session_is_named_and_passed_by_choice,
            incremental::who_cannot_be_seen_is_given_a_fixed_time,
            incremental::null_cursors_by_policy,
            incremental::a_lookback_finds_late_rows_once,
            incremental::rows_without_a_key,
            incremental::a_first_column_that_comes_again_is_read_again,
            incremental::a_step_is_that_of_the_values,
            incremental::a_group_of_equal_cursors_is_resumed_within,
            incremental::odd_tables_are_followed,
            incremental::a_run_reads_what_is_new,
            statements::an_incremental_statement_reads_no_longer_than_it_may,
            windows::windows_of_every_type,
            windows::windows_as_the_column_has_them,
            windows::a_killed_backfill_goes_on,
            interleaved::milliseconds,
            interleaved::microseconds,
            interleaved::loses_without_a_mark,
            changes::a_snapshot_and_then_what_changes,
            changes::what_is_cut_off_goes_on,
            changes::tables_come_and_go,
            changes::changes_without_a_key,
            changes::columns_that_are_not_sent_are_named,
            begun::at_places_of_every_form,
            begun::not_before_tables_were_altered,
            undone::prepared_transactions,
            undone::prepared_before_it_began,
            undone::prepared_while_a_table_is_unknown,
            undone::savepoints_and_rollbacks,
            undone::prepared_where_the_log_is_lost,
            worded::of_another_database,
            worded::of_our_tables,
            worded::by_functions,
            worded::that_only_read_ours,
            altered::that_a_pattern_matched,
            begun::at_no_place_beyond_the_log,
            checks::all_columns_of_a_table,
            checks::a_table_that_is_not_there,
            checks::columns_of_our_names,
            checks::a_lost_place_by_choice,
            anew::tables_by_name,
            anew::all_of_it,
            anew::where_the_log_is_lost,
            anew::all_but_what_is_gone,
            anew::by_choice_without_a_snapshot,
            anew::by_choice_nothing_but_a_snapshot,
            altered::are_followed,
            altered::are_followed_from_any_place,
            altered::that_come_back_are_read_anew,
            altered::that_are_not_there_yet,
            altered::altered_in_silence,
            altered::altered_in_two_phases,
            changes::logs_that_cannot_be_read_are_named,
            checks::the_grants_that_it_takes,
            checks::rights_beyond_them_are_named,
            checks::how_long_the_log_is_kept,
            checks::where_the_stream_stands,
            checks::rows_that_foreign_keys_change,
            checks::views_are_refused,
            changed::check_run_and_status,
            lag::how_far_it_is_behind,
            lag::at_the_end_of_a_live_log_nothing_is_behind,
            chunks::every_type_of_key,
            chunks::chunks_are_ranges_of_the_index,
            chunks::small_and_uncuttable_tables_are_read_whole,
            chunks::chunks_by_columns_with_nulls_and_equals,
            chunks::chunks_by_estimates,
            chunks::stale_statistics_make_no_giant,
            chunks::no_statement_reads_longer_than_it_may,
            chunks::another_table_of_the_name_is_not_read_on,
            binlog::parity_of_every_type,
            binlog::parity_of_signs_behind_other_types,
            binlog::parity_of_texts_behind_other_types,
            binlog::parity_of_zero_dates,
            binlog::parity_of_chosen_columns,
            binlog::parity_of_documents,
            binlog::parity_of_every_character,
            binlog::parity_of_labels,
            binlog::minimal_images,
            binlog::images_without_blobs,
            binlog::values_of_several_packets,
            binlog::a_transaction_of_200_000_rows,
            binlog::compressed_is_the_same,
            binlog::begins_after_transactions,
            binlog::waits_for_more,
            binlog::goes_on_in_the_next_file,
            binlog::refusals_of_a_log,
            binlog::a_second_replica_of_our_number,
        );
    };
    ($($module:ident::$name:ident),+ $(,)?) => {
        $(#[tokio::test] async fn $name() { $crate::my::$module::$name(&SERVER).await })+
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    Mysql,
    Mariadb,
}

/// A server of the environment.
pub struct Server {
    pub flavour: Flavour,
    url: &'static str,
    ca: &'static str,
}

pub const MYSQL: Server = Server { flavour: Flavour::Mysql, url: "TIDEMARK_TEST_MYSQL", ca: "TIDEMARK_TEST_MYSQL_CA" };
pub const MARIADB: Server =
    Server { flavour: Flavour::Mariadb, url: "TIDEMARK_TEST_MARIADB", ca: "TIDEMARK_TEST_MARIADB_CA" };

/// Tests that move much data or count it run one at a time.
static HEAVY: Mutex<()> = Mutex::const_new(());

pub async fn heavy() -> MutexGuard<'static, ()> {
    HEAVY.lock().await
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: start the servers with tests/servers/up.sh"))
}

impl Server {
    pub fn port(&self) -> u16 {
        url::Url::parse(&variable(self.url)).unwrap().port().unwrap()
    }

    /// The path of the server's authority.
    pub fn ca(&self) -> String {
        variable(self.ca)
    }

    /// A connection that may do everything.
    pub async fn admin(&self) -> Conn {
        let opts = mysql_async::Opts::from_url(&variable(self.url)).unwrap();
        let opts = OptsBuilder::from_opts(opts).prefer_socket(false).db_name(None::<String>);
        let mut conn = Conn::new(opts).await.unwrap();
        conn.query_drop("set names utf8mb4").await.unwrap();
        conn
    }

    /// A new database, which goes with the next run of the same test.
    pub async fn database(&self, test: &str) -> Database<'_> {
        let name = format!("tm_{test}");
        let mut conn = self.admin().await;
        conn.query_drop(format!("drop database if exists {name}")).await.unwrap();
        conn.query_drop(format!("create database {name} character set utf8mb4")).await.unwrap();
        Database { server: self, name }
    }
}

/// A database of one test.
pub struct Database<'a> {
    pub server: &'a Server,
    pub name: String,
}

/// A user with a password, as whom to read.
pub type Login = (String, String);

impl Database<'_> {
    pub async fn conn(&self) -> Conn {
        let mut conn = self.server.admin().await;
        conn.query_drop(format!("use {}", self.name)).await.unwrap();
        conn.query_drop("set time_zone = '+00:00'").await.unwrap();
        conn
    }

    /// Runs statements.
    pub async fn run(&self, sql: &str) {
        let mut conn = self.conn().await;
        if let Err(error) = conn.query_drop(sql).await {
            panic!("{error}: {sql}");
        }
    }

    /// What the server itself says, by its text protocol.
    pub async fn texts(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        texts(&mut self.conn().await, sql).await
    }

    /// A new user of no rights but what `grant` says, with `{db}` and `{user}` in it.
    pub async fn user(&self, grant: &str) -> Login {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let user = format!("u{}_{number}", std::process::id());
        let mut conn = self.conn().await;
        for sql in [format!("drop user if exists {user}"), format!("create user {user} identified by 'hush-{user}'")] {
            conn.query_drop(sql).await.unwrap();
        }
        for grant in grant.split(';').filter(|grant| !grant.trim().is_empty()) {
            conn.query_drop(grant.replace("{db}", &self.name).replace("{user}", &user)).await.unwrap();
        }
        (user.clone(), format!("hush-{user}"))
    }

    pub fn source(&self, login: Option<&Login>, keys: &[(&str, &str)]) -> Result<Box<dyn Source>> {
        let (user, password) = login.map_or(("repl", "replpw"), |(user, password)| (user.as_str(), password.as_str()));
        let port = self.server.port().to_string();
        let mut values = vec![("port", port.as_str()), ("username", user), ("database", self.name.as_str())];
        values.push(("password", password));
        if !keys.iter().any(|(key, _)| *key == "hostname") {
            values.push(("hostname", "127.0.0.1"));
        }
        values.retain(|(key, _)| !keys.iter().any(|(other, _)| key == other));
        values.extend(keys);
        let maker = maker("mysql")?;
        let section = Section::of_kind(&maker.kind, &values)?;
        (maker.check)(&section)?;
        (maker.make)(&section)
    }

    pub async fn streams(&self, stream: &[(&str, &str)]) -> Result<Vec<Stream>> {
        self.source(None, &[])?.streams(&[selection(stream)]).await?.whole()
    }

    /// The one stream that a stream's keys ask for.
    async fn stream(&self, source: &dyn Source, stream: &[(&str, &str)]) -> Result<Stream> {
        let streams = source.streams(&[selection(stream)]).await?.whole()?;
        assert_eq!(streams.len(), 1, "{streams:?}");
        Ok(streams.into_iter().next().unwrap())
    }

    pub async fn open(&self, keys: &[(&str, &str)], stream: &[(&str, &str)]) -> Result<Box<dyn Reader>> {
        let source = self.source(None, keys)?;
        let stream = self.stream(&*source, stream).await?;
        source.open(&stream, None).await
    }

    pub async fn describe(&self, stream: &[(&str, &str)]) -> Result<Description> {
        let source = self.source(None, &[])?;
        let stream = self.stream(&*source, stream).await?;
        source.describe(&stream).await
    }

    pub async fn read(&self, stream: &[(&str, &str)]) -> Result<Read> {
        drain(self.open(&[], stream).await?).await
    }

    pub async fn read_as(&self, login: &Login, keys: &[(&str, &str)], stream: &[(&str, &str)]) -> Result<Read> {
        let source = self.source(Some(login), keys)?;
        let stream = self.stream(&*source, stream).await?;
        drain(source.open(&stream, None).await?).await
    }
}

/// What a `[stream s]` with these keys selects.
pub fn selection(values: &[(&str, &str)]) -> Selection {
    let policies = maker("mysql").unwrap().kind.stream_keys;
    let keys: Vec<&'static Key> = STREAM_KEYS.iter().chain(policies).collect();
    let section = Section::of_keys("stream s", keys, values).unwrap();
    Selection::of("s", &section, None).unwrap()
}

/// All that a reader yields.
#[derive(Debug)]
pub struct Read {
    pub table: Arc<Table>,
    pub batches: Vec<RecordBatch>,
    pub end: Checkpoint,
}

impl Read {
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// Reads to the end: an announcement first, a checkpoint last.
pub async fn drain(mut reader: Box<dyn Reader>) -> Result<Read> {
    let Some(Event::Rows(first)) = reader.next().await? else { panic!("no announcement") };
    assert_eq!(first.batch.num_rows(), 0);
    let mut batches = Vec::new();
    let mut end = None;
    while let Some(event) = reader.next().await? {
        assert!(end.is_none(), "something after the end");
        match event {
            Event::Rows(rows) => {
                assert!(rows.batch.num_rows() > 0);
                assert_eq!(rows.batch.schema(), first.table.schema);
                batches.push(rows.batch);
            }
            Event::Checkpoint(checkpoint) => end = Some(checkpoint),
        }
    }
    Ok(Read { table: first.table, batches, end: end.expect("a checkpoint") })
}

pub async fn texts(conn: &mut Conn, sql: &str) -> Vec<Vec<Option<String>>> {
    let rows: Vec<mysql_async::Row> = match conn.query(sql).await {
        Ok(rows) => rows,
        Err(error) => panic!("{error}: {sql}"),
    };
    let text = |value: Value| match value {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
        other => panic!("{other:?}"),
    };
    rows.into_iter().map(|row| row.unwrap().into_iter().map(text).collect()).collect()
}
