//! Loading: a directory that was filled from outside is as good as one that commits filled.

use driftdb_env::Rng;
use driftdb_sim_disk::{CrashMode, Effect, Fault, SimDisk};
use driftdb_storage::{
    Commit, Entry, ErrorKind, FileEngine, Keyspace, KeyspaceId, Loader, Result, Retention,
    RetentionPolicy, Snapshot, StorageError, Timestamp,
};

use super::harness::{Harness, SPACE, Upkeep, directory};
use super::model::{Model, Version};
use super::salvage::filled;
use super::script::draw_options;
use super::workload::{Mix, Workload};

/// Fills the directory of a closed harness with what its log says, every keyspace kept as `kept` says.
fn load<E: FileEngine>(harness: &Harness<E>, kept: &Retention) -> Result<()> {
    let model = Model::of(&harness.log);
    let mut loader = E::loader(&harness.env()?, &directory(), &harness.options)?;
    for (&id, space) in &model.spaces {
        let (created, dropped) = (space.created, space.dropped);
        loader.keyspace(&Keyspace { id, created, dropped, kept: kept.clone() })?;
        for (key, ts, value) in &space.between(None, Timestamp::MAX) {
            loader.add(Entry { key, ts: *ts, value: value.as_deref() })?;
        }
    }
    loader.finish(harness.last())
}

/// All keyspaces and versions, under settings of every kind: the same answers at all times, sound files,
/// durable at once, and it goes on.
pub fn a_loaded_directory_is_one_that_commits_filled<E: FileEngine>() {
    let source = filled::<E>(140, Upkeep::None);
    let mut rng = Rng::stream(140, "options");
    for seed in 0..8 {
        let context = format!("settings {seed}");
        let mut loaded = source.over(SimDisk::new(seed), seed);
        if seed > 0 {
            loaded.options = draw_options(&mut rng);
        }
        load(&loaded, &Retention::FOREVER).expect("a healthy disk takes a load");
        loaded.crash(CrashMode::LoseAll, false);
        loaded.open().expect("a loaded directory opens");
        assert_eq!(loaded.engine().durable(), loaded.last(), "{context}");
        loaded.check_whole(&context);
        loaded.upkeep = Upkeep::Checkpoint(9);
        let mut workload = Workload::after(seed, Mix::default(), &Model::of(&loaded.log));
        workload.run(&mut loaded, 40).expect("a loaded engine works");
        loaded.reopen().expect("a closed engine reopens");
        loaded.check_whole(&format!("{context}, after more work"));
    }
}

/// What a keyspace was kept for stays so: a time before is refused, whatever the promise of now.
pub fn a_load_keeps_what_was_kept<E: FileEngine>() {
    let source = filled::<E>(141, Upkeep::None);
    let mut loaded = source.over(SimDisk::new(141), 141);
    let since = Timestamp(loaded.last().ts.0 / 2);
    load(&loaded, &Retention::since(since)).expect("a healthy disk takes a load");
    loaded.open().expect("a loaded directory opens");
    let mut out = Vec::new();
    let before = Timestamp(since.0 - 1);
    let got = loaded.engine().snapshot().get(SPACE, b"key/hot, many versions", before, &mut out);
    assert!(matches!(got, Err(StorageError::SnapshotTooOld { .. })), "{got:?}");
    let default = Retention::since(since);
    loaded.retain(RetentionPolicy { default, ..RetentionPolicy::default() });
    loaded.check_whole("kept since the middle");
}

/// A load that is dropped, fails or is cut off by a crash at any operation is nothing, or whole.
pub fn a_load_stopped_anywhere_is_nothing_or_whole<E: FileEngine>() {
    let mut source = Harness::<E>::new(142);
    Workload::new(142, Mix::default()).run(&mut source, 60).expect("a healthy engine works");
    source.close();
    for n in 1.. {
        let effect = [Effect::Halt, Effect::Error(std::io::ErrorKind::StorageFull)][n as usize % 2];
        let mode = CrashMode::ALL[n as usize % CrashMode::ALL.len()];
        let context = format!("a load meets {effect:?} at operation {n}, {mode:?}");
        let mut loaded = source.over(SimDisk::new(n), n);
        let fault = loaded.disk.inject(Fault::at(n).effect(effect));
        let outcome = load(&loaded, &Retention::FOREVER);
        let struck = loaded.disk.fired_by(fault) > 0;
        loaded.crash(mode, false);
        match loaded.open() {
            Ok(()) if loaded.engine().durable() == Commit::default() => {
                assert!(outcome.is_err(), "{context}: a load that succeeded is gone");
                let spaces = loaded.engine().snapshot().keyspaces();
                assert_eq!(spaces, [], "{context}: half of a load");
            }
            Ok(()) => loaded.check_whole(&context),
            Err(error) => {
                assert!(outcome.is_err(), "{context}: {error}");
                let clear = matches!(error.kind(), ErrorKind::Corruption | ErrorKind::Invalid);
                assert!(clear, "{context}: open blames something else: {error}");
            }
        }
        if !struck {
            assert!(outcome.is_ok(), "{context}: {outcome:?}");
            assert!(loaded.disk.counters().syncs > 0, "a load syncs");
            return;
        }
    }
}

/// Each thing that can be out of order is an error, and what was loaded before it does not open.
pub fn what_is_out_of_order_is_refused<E: FileEngine>() {
    let version =
        |key: &[u8], ts| -> Version { (key.to_vec(), Timestamp(ts), Some(b"v".to_vec())) };
    let cases = [
        ("a key below the last", vec![version(b"b", 5), version(b"a", 9)]),
        ("a key that is a prefix of the last", vec![version(b"ab", 5), version(b"a", 9)]),
        ("a newer version after an older", vec![version(b"a", 5), version(b"a", 9)]),
        ("a version twice", vec![version(b"a", 5), version(b"a", 5)]),
    ];
    let keyspace =
        |id| Keyspace { id, created: Timestamp(1), dropped: None, kept: Retention::FOREVER };
    let add = |loader: &mut E::Loader, (key, ts, value): &Version| {
        loader.add(Entry { key, ts: *ts, value: value.as_deref() })
    };
    let begin = |seed| {
        let harness = Harness::<E>::closed(SimDisk::new(seed), seed);
        let env = harness.env().expect("a healthy disk");
        let loader = E::loader(&env, &directory(), &harness.options);
        (harness, loader.expect("an empty directory takes a load"))
    };
    for (what, versions) in cases {
        let (mut harness, mut loader) = begin(1);
        loader.keyspace(&keyspace(SPACE)).expect("the first keyspace");
        add(&mut loader, &versions[0]).expect("the first version");
        let refused = add(&mut loader, &versions[1]);
        assert!(matches!(refused, Err(StorageError::Internal(_))), "{what}: {refused:?}");
        drop(loader);
        if harness.open().is_ok() {
            assert_eq!(harness.engine().durable(), Commit::default(), "{what}: it is there");
        }
    }
    let (_harness, mut loader) = begin(2);
    let refused = add(&mut loader, &version(b"a", 1));
    assert!(matches!(refused, Err(StorageError::Internal(_))), "no keyspace: {refused:?}");
    let (_harness, mut loader) = begin(3);
    loader.keyspace(&keyspace(SPACE)).expect("the first keyspace");
    for id in [SPACE, KeyspaceId(SPACE.0 - 1)] {
        let refused = loader.keyspace(&keyspace(id));
        assert!(matches!(refused, Err(StorageError::Internal(_))), "keyspace {id}: {refused:?}");
    }
}
