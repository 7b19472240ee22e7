//! One seed: the engine lives and dies a few times, and what it acknowledged must be there after each death.
//!
//! The book of what was acknowledged is the harness's, outside of the node. It is never borrowed across a call of
//! the engine, since the node may die in that call.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use driftdb_env::{Env, Rng, planted};
use driftdb_sim::kernel::{KernelSettings, KillAt, NodeId, Sim, WallClock, simulate};
use driftdb_sim_disk::SimDisk;

use crate::engine::Tiny;

const NODE: NodeId = NodeId(1);

/// The last is left in peace: whatever happened before, it must get done.
const LIVES: u64 = 4;

const ADDED_IN_A_LIFE: usize = 5;

/// Virtual time within which a life must be over: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Mistakes that are planted in the engine, to see that they are found.
pub const BUGS: &[&str] = &["tiny.acknowledged-before-sync", "tiny.name-not-synced"];

/// Runs one seed, with a planted bug or none: what was violated, if something was.
pub fn run(seed: u64, bug: Option<&'static str>) -> Option<String> {
    planted::activate(bug);
    let outcome = simulate(KernelSettings::plain(seed), move |sim| live_all(&sim, seed));
    planted::activate(None);
    outcome.failure
}

fn live_all(sim: &Sim, seed: u64) {
    let disk = SimDisk::new(seed);
    let mut rng = Rng::stream(seed, "deaths");
    let book: Rc<RefCell<Vec<u64>>> = Rc::default();
    for life in 0..LIVES {
        let env = sim.boot(NODE, &disk, seed ^ life << 32, WallClock::default());
        // It dies before some disk operation, while it recovers or while it works; never in the last life.
        let death = KillAt::DiskOp(1 + rng.below(16));
        sim.kill_at(NODE, (life + 1 < LIVES).then_some(death));
        let is_done = Rc::new(Cell::new(false));
        {
            let (book, judge, is_done) = (Rc::clone(&book), sim.clone(), Rc::clone(&is_done));
            sim.spawn(NODE, "worker", move || {
                if let Err(what) = work(&env, &book) {
                    judge.fail(&what);
                }
                is_done.set(true);
            });
        }
        if !sim.wait_until(PATIENCE, || sim.is_dead(NODE) || is_done.get()) {
            sim.fail("liveness: it does not come to an end");
        }
        if !sim.is_dead(NODE) {
            sim.kill(NODE);
        }
        // Power fails: each write that was not synced is kept, lost or torn, and so are names.
        disk.crash();
    }
}

/// What the node does in one life.
fn work(env: &Env, book: &RefCell<Vec<u64>>) -> Result<(), String> {
    let failed = |error| format!("the disk is sound, but: {error}");
    let mut tiny = Tiny::open(env).map_err(failed)?;
    let found = tiny.numbers().to_vec();
    let acknowledged = book.borrow().len();
    // The oracle: what was acknowledged is there, in order; one more may have been on its way.
    if !found.starts_with(&book.borrow()) || found.len() > acknowledged + 1 {
        return Err(format!("durability: {:?} were acknowledged, found {found:?}", book.borrow()));
    }
    // What anybody has seen is as good as acknowledged.
    book.replace(found);
    for _ in 0..ADDED_IN_A_LIFE {
        let number = tiny.numbers().len() as u64 + 1;
        tiny.add(number).map_err(failed)?;
        book.borrow_mut().push(number);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_and_its_mistakes_are_found() {
        let found = |bug| (0..200).find_map(|seed| Some((seed, run(seed, bug)?)));
        assert_eq!(found(None), None);
        for bug in BUGS {
            let (seed, what) = found(Some(bug)).unwrap_or_else(|| panic!("{bug} is missed"));
            println!("{bug}: found by seed {seed}: {what}");
            assert!(what.starts_with("durability"), "{bug}: {what}");
            assert_eq!(run(seed, Some(bug)), Some(what), "the seed says it again");
        }
    }
}
