//! Two engines in lock-step: the same steps, the same questions, and each answer compared at once.
//!
//! The model of the suite says what is right after the fact and samples; here one engine is the oracle of
//! the other, so that every position of every cursor is compared, under settings that differ in everything
//! and are drawn anew for each case. Crashes strike both at the same step; each then replays from where
//! it says, the one little, the other everything.
//!
//! What fails is shrunk by proptest. `PROPTEST_CASES` says how many cases are tried,
//! `PROPTEST_RNG_SEED` which.

mod pair;
mod steps;

use driftdb_conformance::storage::harness::Harness;
use driftdb_env::{Env, IoOptions, ReadPath};
use driftdb_memory::MemoryEngine;
use driftdb_sim_disk::SimDisk;
use driftdb_storage::{Engine, EngineOptions};
use driftdb_storage_btree::BtreeEngine;
use driftdb_storage_lsm::LsmEngine;
use proptest::prelude::*;

use crate::pair::Pair;
use crate::steps::{Step, options, steps};

/// So many cases, unless `PROPTEST_CASES` says otherwise.
fn cases(count: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let config = ProptestConfig { failure_persistence: None, max_shrink_iters: 4000, ..default };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => ProptestConfig { cases: count, ..config },
    }
}

fn on_virtual_disk<E: Engine>(options: &EngineOptions, seed: u64) -> Harness<E> {
    let mut harness = Harness::closed(SimDisk::new(seed), seed);
    harness.options.clone_from(options);
    harness
}

fn agree<A: Engine, B: Engine>(
    steps: &[Step],
    settings: &(EngineOptions, EngineOptions),
    seed: u64,
) -> Result<(), TestCaseError> {
    let one: Harness<A> = on_virtual_disk(&settings.0, seed);
    let other: Harness<B> = on_virtual_disk(&settings.1, !seed);
    Pair::new(one, other).and_then(|mut pair| pair.run(steps)).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn lsm_and_btree_agree(steps in steps(), settings in (options(), options()), seed: u64) {
        agree::<LsmEngine, BtreeEngine>(&steps, &settings, seed)?;
    }

    #[test]
    fn lsm_and_memory_agree(steps in steps(), settings in (options(), options()), seed: u64) {
        agree::<LsmEngine, MemoryEngine>(&steps, &settings, seed)?;
    }

    #[test]
    fn btree_and_memory_agree(steps in steps(), settings in (options(), options()), seed: u64) {
        agree::<BtreeEngine, MemoryEngine>(&steps, &settings, seed)?;
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// On real files, read in every way that the system has; a crash is the end of the process there.
    #[test]
    fn every_read_path_agrees(steps in steps(), settings in (options(), options())) {
        for read_path in [ReadPath::Pread, ReadPath::Mmap, ReadPath::IoUring] {
            let scratch = tempfile::tempdir().expect("a directory for the case");
            let env = || Env::os_with(IoOptions { read_path, ..IoOptions::default() });
            let mut one = Harness::<LsmEngine>::elsewhere(env(), scratch.path().join("lsm"), 1);
            let mut other = Harness::<BtreeEngine>::elsewhere(env(), scratch.path().join("btree"), 1);
            one.options.clone_from(&settings.0);
            other.options.clone_from(&settings.1);
            let outcome = Pair::new(one, other).and_then(|mut pair| pair.run(&steps));
            outcome.map_err(|wrong| TestCaseError::fail(format!("{read_path:?}: {wrong}")))?;
        }
    }
}
