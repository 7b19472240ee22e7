//! The planted bugs of this engine are found by crashing it often enough; without them nothing is.

use std::panic::{AssertUnwindSafe, catch_unwind};

use driftdb_conformance::storage::erasures;
use driftdb_env::planted;
use driftdb_sim_disk::CrashMode;
use driftdb_storage::{Engine, Timestamp, Visible};
use driftdb_storage_btree::BtreeEngine;

use crate::model::{Ready, World, as_of, scan};

const SEEDS: u64 = 120;

/// Works, stops the machine during a checkpoint, and looks at what is left.
fn crash_and_recover(seed: u64) -> Result<(), String> {
    let mut world = World::seeded(seed);
    for n in 0..60u32 {
        world.put(&(n % 20).to_be_bytes(), &[n as u8; 70]);
        if n % 15 == 0 {
            world.engine().checkpoint(&Ready).map_err(|error| error.to_string())?;
        }
    }
    world.disk.halt_after(seed % 12);
    let stopped = world.engine().checkpoint(&Ready);
    world.disk.crash_with(CrashMode::ALL[seed as usize % CrashMode::ALL.len()]);
    world.disk.clear_faults();
    world.try_open().map_err(|error| format!("after {stopped:?}: {error}"))?;
    let durable = world.engine().durable();
    for (at, batch) in world.log.iter().filter(|(at, _)| *at > durable) {
        world.engine().apply(batch, *at).map_err(|error| error.to_string())?;
    }
    let mut damages = Vec::new();
    let verified = world.engine().verify(
        driftdb_storage::VerifyDepth::Full,
        &mut |damage: driftdb_storage::Damage| {
            damages.push(damage.to_string());
        },
    );
    verified.map_err(|error| error.to_string())?;
    if let Some(damage) = damages.pop() {
        return Err(damage);
    }
    let now = world.now();
    let shown = scan(&world.engine().snapshot(), Visible::AsOf(Timestamp(now)), false);
    let shown = shown.map_err(|error| error.to_string())?;
    let expected = as_of(&world.versions, now);
    let same = shown.len() == expected.len()
        && shown.iter().zip(&expected).all(|(a, b)| a.2.as_ref() == Some(&b.2));
    if same { Ok(()) } else { Err("other data than was written".to_owned()) }
}

/// How many seeds fail.
fn failures(bug: Option<&'static str>) -> usize {
    planted::activate(bug);
    let failures = (0..SEEDS).filter(|seed| crash_and_recover(*seed).is_err()).count();
    planted::activate(None);
    failures
}

#[test]
fn a_clean_engine_survives_every_crash() {
    for seed in 0..SEEDS {
        assert_eq!(crash_and_recover(seed), Ok(()), "seed {seed}");
    }
}

#[test]
fn a_page_reused_too_early_is_found() {
    assert!(failures(Some("btree.freed-page-reused-early")) > 0);
}

#[test]
fn a_root_switched_before_the_sync_is_found() {
    assert!(failures(Some("btree.root-switch-before-sync")) > 0);
}

#[test]
fn a_file_that_outlives_an_erasure_is_found() {
    planted::activate(Some("btree.erased-file-stays"));
    let case = erasures::erased_bytes_leave_the_directory::<BtreeEngine>;
    let outcome = catch_unwind(AssertUnwindSafe(case));
    planted::activate(None);
    assert!(outcome.is_err());
}
