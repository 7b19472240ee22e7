//! The concurrency suite: what every store does, whatever its control and its engine.
//!
//! Cases see a [`driftdb_concurrency::Store`] only. Those about waiting and anomalies drive one
//! thread per transaction and state what must *not* come out: a protocol may wait, abort, or let
//! both through, as long as no forbidden history commits.

pub mod anomalies;
pub mod bank;
pub mod basics;
pub mod driver;
pub mod early;
pub mod history;
pub mod locks;
pub mod objects;
pub mod restart;
pub mod versions;

/// Makes the tests of the concurrency suite for one way to open a store.
///
/// The argument names a `fn(&Env) -> Arc<dyn Store>` that opens (or reopens) the store of that
/// environment, with a background task or without. The suite puts the tests of several stores apart
/// if each call stands in its own module:
///
/// ```ignore
/// mod ssi_on_memory {
///     driftdb_conformance::concurrency_suite!(super::open::<MemoryEngine, SsiControl>);
/// }
/// ```
#[macro_export]
macro_rules! concurrency_suite {
    ($open:expr) => {
        $crate::concurrency_cases!(
            $open,
            anomalies::aborted_reads,
            anomalies::circular_information_flow,
            anomalies::dirty_reads,
            anomalies::dirty_writes,
            anomalies::fuzzy_reads,
            anomalies::intermediate_reads,
            anomalies::lost_updates,
            anomalies::phantoms,
            anomalies::read_skew,
            anomalies::write_skew,
            anomalies::write_skew_on_ranges,
            bank::money_is_neither_made_nor_lost,
            basics::commits_number_themselves,
            basics::keyspaces_come_and_go_with_their_transaction,
            basics::own_writes_are_seen_by_later_statements,
            basics::rollback_leaves_nothing,
            basics::savepoints_nest,
            basics::scans_merge_own_writes,
            basics::unique_ids_are_never_given_twice,
            early::what_is_not_durable_is_not_told,
            history::acknowledged_commits_survive_power_loss,
            history::the_past_is_readable_and_not_writable,
            history::times_past_retention_are_refused,
            locks::a_canceled_waiter_stops,
            locks::a_changed_row_is_told,
            locks::deadlocks_have_a_victim,
            locks::locks_end_with_their_transaction,
            locks::nowait_and_timeouts_do_not_wait,
            objects::a_session_is_one_holder,
            objects::modes_conflict_as_they_say,
            objects::savepoints_give_locks_back,
            restart::a_first_statement_may_begin_anew,
            restart::others_do_not_begin_anew,
            versions::a_stretch_of_time_shows_each_version_once,
            versions::stretches_end_with_their_keyspace,
        );
    };
}

/// Makes one named test for each case.
#[doc(hidden)]
#[macro_export]
macro_rules! concurrency_cases {
    ($open:expr, $($module:ident::$case:ident),+ $(,)?) => {
        $(
            #[test]
            fn $case() {
                $crate::concurrency::$module::$case(&$open);
            }
        )+
    };
}
