//! The storage suite: what every engine does, on a disk that fails.

pub mod backups;
pub mod batches;
pub mod compare;
pub mod crashes;
pub mod cursors;
pub mod damage;
pub mod faults;
pub mod harness;
pub mod keyspaces;
pub mod model;
pub mod random;
pub mod range_deletes;
pub mod recovery;
pub mod retention;
#[cfg(shuttle)]
pub mod schedules;
pub mod script;
pub mod snapshots;
pub mod values;
pub mod workload;

/// Makes the tests of the storage suite for one engine.
///
/// `storage_suite!(Engine)` is for engines with files; `storage_suite!(Engine, without_files)` for
/// those that keep nothing, where a crash leaves the log only.
#[macro_export]
macro_rules! storage_suite {
    ($engine:ty) => {
        $crate::storage_suite!($engine, without_files);
        $crate::storage_cases!($engine:
            backups::a_backup_answers_the_same,
            backups::a_failed_backup_leaves_the_original,
            crashes::a_crash_at_every_operation,
            crashes::a_crash_at_every_sync,
            crashes::a_crash_during_recovery,
            crashes::checkpoints_free_the_log,
            damage::flipped_bits_are_found_or_harmless,
            damage::misplaced_and_missing_bytes_are_found,
            damage::verify_finds_what_readers_would,
            faults::a_failed_operation_never_changes_data,
            faults::a_failed_sync_is_never_trusted,
            faults::a_full_disk_keeps_old_data,
            faults::cursor_errors_are_sticky,
            faults::engines_never_run_ahead_of_the_log,
        );
    };
    ($engine:ty, without_files) => {
        $crate::storage_cases!($engine:
            batches::a_batch_is_all_or_nothing,
            batches::a_later_write_in_a_batch_replaces_the_earlier,
            cursors::bounds_are_honoured,
            cursors::cursors_walk_both_ways,
            cursors::seek_lands_on_the_neighbour,
            cursors::visible_kinds_show_their_versions,
            keyspaces::keyspaces_are_apart,
            keyspaces::keyspaces_live_in_time,
            keyspaces::unknown_keyspaces_are_refused,
            random::any_history_agrees_with_the_model,
            random::same_operations_same_trace,
            range_deletes::range_deletes_change_no_snapshot,
            range_deletes::range_deletes_keep_their_place_in_a_batch,
            range_deletes::ranges_delete_what_has_a_value,
            range_deletes::replayed_range_deletes_change_nothing,
            recovery::a_reopened_engine_answers_the_same,
            recovery::replay_is_idempotent,
            retention::covered_times_stay_exact,
            retention::open_snapshots_outlive_their_promise,
            retention::pins_keep_single_times,
            retention::uncovered_times_are_refused,
            script::any_script_agrees_with_the_model,
            script::settings_change_no_answer,
            snapshots::snapshots_are_stable,
            values::keys_are_ordered_bytewise,
            values::large_values_come_back,
            values::the_newest_version_at_a_time_is_read,
        );
    };
}

/// Makes one named test for each case.
#[doc(hidden)]
#[macro_export]
macro_rules! storage_cases {
    ($engine:ty: $($module:ident::$case:ident),+ $(,)?) => {
        $(
            #[test]
            fn $case() {
                $crate::storage::$module::$case::<$engine>();
            }
        )+
    };
}
