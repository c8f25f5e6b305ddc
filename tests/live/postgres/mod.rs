//! The PostgreSQL source against real servers: `TIDEMARK_TEST_POSTGRES`, with `_CA` for TLS, and the newest version at
//! `TIDEMARK_TEST_POSTGRES_NEW`.

mod access;
mod altered;
mod changes;
mod chunks;
mod cursors;
mod database;
mod handover;
mod incremental;
mod interleaved;
mod policies;
mod replication;
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
    replication:
        a_log_is_what_the_server_shows
        old_rows_by_identity
        open_transactions_come_in_blocks
        a_huge_value_comes_whole
        values_as_text_are_those_of_a_query
        binary_values_are_those_of_copy
        the_slot_moves_only_when_told
        keepalives_tell_of_what_is_not_ours
        a_busy_reader_keeps_its_session
        a_dropped_call_loses_nothing
        ends_of_a_log
        a_slot_from_beginning_to_end
        a_slot_that_survives_a_fail_over
        why_a_slot_is_not_read
        a_missing_publication_is_named
        a_publication_of_an_odd_name;
    changes:
        a_snapshot_and_then_what_changes
        what_is_cut_off_goes_on
        tables_come_and_go
        idle_tables_hold_no_log
        only_what_is_committed_is_confirmed
        two_databases
        another_schema
        a_place_of_another_log_is_not_confirmed
        who_wrote_before_a_table_was_published
        partitions_of_other_identities
        a_key_that_is_not_sent
        a_table_comes_back_with_rows
        partitions_are_filled_by_a_default
        generated_columns_come_once
        a_partitioned_table_is_renamed
        names_of_tables_as_values
        a_key_by_identity
        odd_names
        altered_tables_are_followed
        altered_tables_are_followed_at_once
        altered_tables_are_followed_from_any_place
        altered_while_a_snapshot_is_half_way
        two_that_become_others_at_once
        tables_that_are_not_there_yet
        altered_without_a_change_behind_it
        large_transactions
        a_large_transaction_is_one
        tables_told_of_by_what_came_to_nothing
        rows_behind_what_came_to_nothing
        tables_altered_within_a_transaction
        transactions_in_two_phases
        prepared_while_a_snapshot_is_read
        values_that_are_not_sent_are_named
        a_key_changes_beside_a_value_that_is_not_sent
        values_are_filled_in
        rows_that_are_gone_are_not_filled
        keys_of_every_kind
        partitions_and_heirs
        what_became_another_is_not_read
        keys_of_labels_that_are_named_otherwise
        large_values_in_little_memory
        large_transactions_are_filled
        filled_from_a_place_on
        tables_that_cannot_be_filled
        filled_values_are_those_of_a_snapshot
        tables_without_a_key
        an_identity_of_nothing
        an_identity_by_another_index
        partitions_are_their_table
        rows_of_partitions_that_come_and_go
        partitions_by_their_own_names_are_refused
        tables_that_inherit
        lists_of_columns
        filters_of_rows
        generated_columns
        a_table_leaves_the_publication_and_comes_back
        at_places_that_are_named
        tables_by_name
        all_of_it
        all_but_what_is_gone
        without_a_snapshot
        nothing_but_a_snapshot
        what_a_stream_needs_is_named
        a_slot_that_somebody_reads
        a_slot_that_was_moved_on_or_dropped
        a_slot_that_is_dropped_while_it_is_read
        a_publication_that_is_dropped_while_it_is_read
        places_that_are_none
        rights_that_are_missing_are_named
        what_the_server_would_refuse_is_not_published
        places_that_the_log_has_not_come_to
        names_that_no_slot_has
        kinds_of_changes_that_are_left_out
        what_is_not_published_any_more_ends_the_reading
        a_table_that_goes_in_silence
        policies_hold_both_ways
        values_beyond_their_type_end_the_log
        types_that_grow;
    interleaved:
        a_play_of_runs_among_writers
        a_play_without_a_mark_loses;
}
