//! The PostgreSQL source against real servers: `TIDEMARK_TEST_POSTGRES`, with `_CA` for TLS, and the newest version at
//! `TIDEMARK_TEST_POSTGRES_NEW`.

mod access;
mod altered;
mod chunks;
mod cursors;
mod database;
mod handover;
mod incremental;
mod interleaved;
mod policies;
mod render;
mod snapshot;
mod statements;
mod strays;
mod tables;
mod tls;
mod types;
mod waiting;
mod windows;

/// Runs each test on both servers, in modules of their own, so that those of a server that cannot be had can be left out
/// by name.
macro_rules! on_both_servers {
    ($($module:ident: $($test:ident)+;)+) => {
        mod postgres_usual {
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$module::$test(&crate::server("TIDEMARK_TEST_POSTGRES")).await;
                }
            )+)+
        }

        mod postgres_new {
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    super::$module::$test(&crate::server("TIDEMARK_TEST_POSTGRES_NEW")).await;
                }
            )+)+
        }
    };
}

on_both_servers! {
    types:
        every_scalar_type
        every_numeric
        every_nested_type
        every_extension_type
        types_of_a_query;
    policies:
        infinities_by_policy
        nan_by_policy
        arrays_by_policy
        text_by_column
        digits_for_unconstrained_numerics
        values_beyond_their_type_are_named;
    tables:
        names_and_schemas
        patterns_find_tables
        a_missing_table_is_named
        partitions_come_with_their_table
        views_and_queries
        columns_and_conditions
        an_empty_table_has_its_schema
        odd_tables
        mistakes_in_sql_are_those_of_the_file
        keys_and_notes
        a_read_table_is_not_read_again
        wide_rows_in_bounded_memory
        one_huge_value;
    access:
        a_wrong_password_is_denied
        a_missing_grant_is_named
        row_security_hides_nothing_in_silence
        what_is_not_there_is_named
        identity_is_the_same_for_every_role;
    snapshot:
        all_tables_of_a_run_at_one_moment
        a_server_that_exports_no_snapshot
        a_lost_snapshot_ends_the_run
        what_a_snapshot_does_not_show_is_refused
        a_connection_cut_in_the_middle_is_no_end
        a_dropped_reader_ends_its_query
        a_locked_table_is_waited_for;
    chunks:
        every_type_of_key
        chunks_are_ranges_of_the_index
        small_and_uncuttable_tables_are_read_whole
        chunks_by_columns_with_nulls_and_equals
        chunks_by_statistics
        stale_statistics_make_no_giant
        no_statement_reads_longer_than_it_may
        another_table_of_the_name_is_not_read_on
        chunks_of_one_moment
        pages_of_a_table;
    altered:
        a_table_swapped_by_name
        a_view_replaced
        a_materialized_view_refreshed
        an_inheriting_table_detached
        a_column_swapped_by_name
        what_was_not_altered;
    strays:
        cursors_without_a_place_hold_no_mark;
    windows:
        windows_of_every_type
        windows_as_the_column_has_them
        a_killed_backfill_goes_on;
    cursors:
        every_type_of_cursor
        infinite_times
        cursors_without_an_order_are_refused;
    incremental:
        composite_and_coalesced_cursors
        a_first_column_that_comes_again_is_read_again
        a_step_is_that_of_the_values
        null_cursors_by_policy
        a_lookback_finds_late_rows_once
        rows_without_a_key
        equal_values_of_other_texts_come_once
        a_group_of_equal_cursors_is_resumed_within
        odd_tables_are_followed
        a_run_reads_what_is_new
        times_without_a_zone;
    statements:
        an_incremental_statement_reads_no_longer_than_it_may;
    waiting:
        open_transactions_hold_the_mark
        parts_of_transactions_hold_the_mark
        a_chained_transaction_holds_the_mark
        prepared_transactions_hold_the_mark
        waiting_statements_hold_the_mark
        short_statements_all_day_hold_nothing
        other_databases_hold_nothing
        a_forgotten_session_is_passed_by_choice
        who_cannot_be_seen_is_given_a_fixed_time
        who_hides_is_given_a_fixed_time
        a_subscriber_is_given_a_fixed_time;
    handover:
        a_load_in_chunks_hands_over
        a_snapshot_of_the_run_loses_nothing_that_grows
        runs_say_what_they_leave_out;
    interleaved:
        a_play_of_runs_among_writers
        a_play_without_a_mark_loses;
}
