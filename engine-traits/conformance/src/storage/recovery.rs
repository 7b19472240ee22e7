//! Opening again: what was applied is there, and replay changes nothing twice.

use driftdb_storage::{Commit, Engine};

use super::harness::{Harness, Upkeep};
use super::workload::{Mix, Workload};

/// Close and open, at any moment between upkeep, and go on.
pub fn a_reopened_engine_answers_the_same<E: Engine>() {
    for upkeep in [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(4), Upkeep::Checkpoint(1)] {
        let mut harness = Harness::<E>::new(70);
        harness.upkeep = upkeep;
        let mut workload = Workload::new(70, Mix::default());
        harness.reopen().expect("an empty engine reopens");
        harness.check_whole("empty");
        for round in 0..8 {
            workload.run(&mut harness, 11 + round).expect("a healthy engine works");
            harness.reopen().expect("a closed engine reopens");
            harness.check_whole(&format!("{upkeep:?}, round {round}"));
        }
        let durable = harness.checkpoint().expect("a healthy engine checkpoints");
        harness.checkpoint().expect("a second checkpoint has nothing to do");
        harness.reopen().expect("a closed engine reopens");
        assert_eq!(harness.engine().durable(), durable, "durable() survives");
        harness.check_whole("after checkpoints");
    }
}

/// Replay may start earlier than it must; a batch at or below what the engine has changes nothing.
pub fn replay_is_idempotent<E: Engine>() {
    for upkeep in [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(9)] {
        let mut harness = Harness::<E>::new(71);
        harness.upkeep = upkeep;
        let mut workload = Workload::new(71, Mix::default());
        workload.run(&mut harness, 60).expect("a healthy engine works");
        for earlier in [0usize, 1, 7, 1000] {
            harness.open().expect("a closed engine opens");
            let durable = harness.engine().durable();
            let durable_index = harness.log.partition_point(|(at, _)| *at <= durable);
            let start = durable_index.saturating_sub(earlier);
            let from = match start {
                0 => Commit::default(),
                start => harness.log[start - 1].0,
            };
            harness.replay_after(from).expect("replay from before durable() is accepted");
            harness.check_whole(&format!("{upkeep:?}, replay from {earlier} commits earlier"));
            // Work interleaved with the replay of what is there already.
            workload.run(&mut harness, 3).expect("a healthy engine works");
            harness.checkpoint().expect("a healthy engine checkpoints");
            harness.check_whole(&format!("{upkeep:?}, went on after replay from {earlier}"));
        }
    }
}
