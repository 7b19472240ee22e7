//! Checkpoints in steps, and a file that gives back its end.

use driftdb_storage::{Engine, EngineOptions, Maintained, WriteBatch};

use crate::model::{Ready, SPACE, World, check};

/// Fills the write buffer many times over in one batch.
fn load(world: &mut World, round: u8) {
    let mut batch = WriteBatch::new();
    (0..400u32).for_each(|n| batch.put(SPACE, &n.to_be_bytes(), &[round; 90]));
    world.commit(batch);
}

#[test]
fn a_checkpoint_goes_on_in_bounded_steps_while_batches_are_applied() {
    let mut world = World::new();
    load(&mut world, 1);
    let picture = (world.engine().snapshot(), world.versions.clone(), world.now());
    let target = world.engine().applied();
    let mut steps = 0;
    while world.engine().durable() < target {
        let before = world.stat("bytes_written");
        assert_eq!(world.engine().maintain(&Ready).unwrap(), Maintained::Worked);
        let written = world.stat("bytes_written") - before;
        // One step, and at its end a leaf; the last step adds facts, free pages and superblocks.
        let most = world.options.step_bytes as u64 + 6 * 512;
        assert!(written <= most, "{written} bytes in one step");
        steps += 1;
        world.put(&(steps as u32 * 7).to_be_bytes(), b"meanwhile");
        check(&picture.0, &picture.1, 0, picture.2);
        world.check();
    }
    assert!(steps >= 5, "{steps} steps");
    assert_eq!(world.engine().durable(), target);
    world.verify();
    // A crash now loses what came meanwhile, and the log has it.
    world.reopen();
    world.verify();
    world.check();
}

#[test]
fn a_checkpoint_finishes_the_one_under_way_and_makes_all_durable() {
    let mut world = World::new();
    load(&mut world, 1);
    world.engine().maintain(&Ready).unwrap();
    load(&mut world, 2);
    let switches = world.stat("checkpoints");
    world.checkpoint();
    assert_eq!(world.stat("checkpoints"), switches + 2);
    assert_eq!(world.engine().durable(), world.engine().applied());
    world.verify();
    world.check();
}

#[test]
fn what_was_replaced_meanwhile_does_not_fill_the_cache() {
    let roomy = EngineOptions { cache_bytes: 64 << 20, ..EngineOptions::tiny() };
    let mut world = World::with(1, roomy);
    load(&mut world, 0);
    world.checkpoint();
    let tree_bytes = world.stat("cache_bytes_now");
    assert!(tree_bytes > 40_000, "{tree_bytes} bytes of a tree in the cache");
    for round in 0..10 {
        load(&mut world, 2 * round);
        world.engine().maintain(&Ready).unwrap();
        // Replaces every node that the checkpoint under way writes.
        load(&mut world, 2 * round + 1);
        world.set_retention(world.now());
        world.checkpoint();
    }
    let cached_bytes = world.stat("cache_bytes_now");
    assert!(cached_bytes < 3 * tree_bytes, "{cached_bytes} bytes of a tree of {tree_bytes}");
    world.verify();
}

#[test]
fn a_step_that_finds_the_disk_full_is_as_if_never_begun() {
    let mut world = World::new();
    load(&mut world, 1);
    world.checkpoint();
    load(&mut world, 2);
    let used_bytes = world.disk.used_bytes();
    world.disk.set_capacity(Some(used_bytes + 20_000));
    let durable = world.engine().durable();
    let error = loop {
        if let Err(error) = world.engine().maintain(&Ready) {
            break error;
        }
    };
    assert_eq!(error.kind(), driftdb_storage::ErrorKind::Unavailable, "{error}");
    assert_eq!(world.disk.used_bytes(), used_bytes, "what failed gives its space back");
    assert_eq!(world.engine().durable(), durable);
    world.disk.set_capacity(None);
    load(&mut world, 3);
    world.checkpoint();
    world.verify();
    world.check();
}

#[test]
fn figures_say_what_was_asked_and_what_it_took() {
    let mut world = World::new();
    load(&mut world, 1);
    assert_eq!(world.stat("user_bytes_written"), 400 * 94);
    world.checkpoint();
    world.check();
    let file = world.disk.read_file(&std::path::Path::new(crate::model::DIR).join("pages.db"));
    assert_eq!(world.stat("disk_bytes_now"), file.unwrap().len() as u64);
    assert!(world.stat("bytes_written") > world.stat("user_bytes_written"));
    let cached = world.stat("cache_bytes_now");
    assert!(0 < cached && cached <= world.options.cache_bytes as u64, "{cached}");
    assert!(world.stat("cache_hits") > 0);
}

#[test]
fn the_file_shrinks_when_its_end_is_free() {
    let mut world = World::new();
    for round in 0..4 {
        load(&mut world, round);
    }
    world.checkpoint();
    let full = world.stat("disk_bytes_now");
    let held = world.engine().snapshot();
    let (versions, now) = (world.versions.clone(), world.now());
    let mut batch = WriteBatch::new();
    (0..390u32).for_each(|n| batch.delete(SPACE, &n.to_be_bytes()));
    world.commit(batch);
    world.set_retention(world.now());
    let mut last = u64::MAX;
    for round in 0..6 {
        world.put(b"again", &[round]);
        world.checkpoint();
        world.verify();
        last = world.stat("disk_bytes_now");
    }
    assert!(last >= full, "a snapshot still reads the pages at the end");
    check(&held, &versions, 0, now);
    drop(held);
    for round in 0..6 {
        world.put(b"again", &[round]);
        world.checkpoint();
        world.verify();
        last = world.stat("disk_bytes_now");
    }
    assert!(last * 4 < full, "{last} of {full} bytes");
    world.check();
    world.reopen();
    world.verify();
    world.check();
}
