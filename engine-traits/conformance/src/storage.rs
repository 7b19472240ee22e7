//! The storage suite: what every engine does, on a disk that fails.

pub mod backups;
pub mod batches;
pub mod compare;
pub mod costs;
pub mod crashes;
pub mod cursors;
pub mod damage;
pub mod device;
pub mod erasures;
pub mod faults;
pub mod harness;
pub mod keyspaces;
pub mod loads;
pub mod model;
pub mod random;
pub mod range_deletes;
pub mod recovery;
pub mod retention;
pub mod salvage;
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
            device::a_lost_write_is_never_believed,
            device::a_misdirected_read_is_never_believed,
            device::a_misdirected_write_is_never_believed,
            device::a_zeroed_sector_is_never_believed,
            device::too_few_handles_lose_nothing,
            erasures::a_crash_during_an_erasure,
            erasures::a_failed_erasure_is_none,
            erasures::an_erasure_makes_durable,
            erasures::erased_bytes_leave_the_directory,
            faults::a_failed_operation_never_changes_data,
            faults::a_failed_sync_is_never_trusted,
            faults::a_full_disk_keeps_old_data,
            faults::cursor_errors_are_sticky,
            faults::engines_never_run_ahead_of_the_log,
            loads::a_load_keeps_what_was_kept,
            loads::a_load_stopped_anywhere_is_nothing_or_whole,
            loads::a_loaded_directory_is_one_that_commits_filled,
            loads::what_is_out_of_order_is_refused,
            salvage::a_damaged_sector_costs_what_is_told,
            salvage::a_sound_directory_comes_out_whole,
        );
    };
    ($engine:ty, without_files) => {
        $crate::storage_cases!($engine:
            batches::a_batch_is_all_or_nothing,
            batches::a_commit_may_come_in_parts,
            batches::a_later_write_in_a_batch_replaces_the_earlier,
            cursors::bounds_are_honoured,
            cursors::cursors_walk_both_ways,
            cursors::seek_lands_on_the_neighbour,
            cursors::visible_kinds_show_their_versions,
            erasures::what_is_erased_is_gone_at_every_time,
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

/// Makes the tests of what calls cost, for one engine with its [`storage::costs::Costs`](crate::storage::costs).
/// They want a binary of their own: they count its allocations.
///
/// `storage_costs!(Engine, costs)` is for engines with files; `storage_costs!(Engine)` for those that keep
/// nothing.
#[macro_export]
macro_rules! storage_costs {
    ($engine:ty) => {
        $crate::storage_costs!($engine; among_versions 0);
    };
    ($engine:ty; among_versions $among_versions:expr) => {
        #[global_allocator]
        static ALLOCATOR: $crate::allocations::Counting = $crate::allocations::Counting;

        #[test]
        fn warm_reads_allocate_nothing() {
            $crate::storage::costs::warm_reads_allocate_nothing::<$engine>($among_versions);
        }
    };
    ($engine:ty, $costs:expr) => {
        $crate::storage_costs!($engine; among_versions $costs.allocations_among_versions);
        $crate::storage_costs!($engine, $costs,
            a_group_of_commits_shares_its_syncs,
            a_load_is_written_few_times,
            a_long_history_does_not_stand_before_the_present,
            a_slow_disk_holds_writers_back,
            cold_gets_read_little,
        );
    };
    ($engine:ty, $costs:expr, $($case:ident),+ $(,)?) => {
        $(
            #[test]
            fn $case() {
                $crate::storage::costs::$case::<$engine>($costs);
            }
        )+
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
