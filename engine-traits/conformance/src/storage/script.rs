//! Histories as scripts: one list of steps, run by any engine under any settings, made smaller when
//! it fails.
//!
//! Each step makes sense after any other, so that a list stays a history when steps are left out.
//! [`any_script_agrees_with_the_model`] runs random lists with crashes under the settings of tests;
//! [`settings_change_no_answer`] runs the same list under settings that differ in everything. What
//! fails is cut down by [`reduce`] and printed, one step a line.
//!
//! Sources: [Zeller02] for the reduction: leave out ever smaller stretches while it still fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use driftdb_env::Rng;
use driftdb_sim_disk::{CrashMode, SimDisk};
use driftdb_storage::{
    Compaction, Compression, Engine, EngineOptions, FilterKind, Retention, RetentionPolicy,
    Snapshot, Timestamp, WriteBatch,
};

use super::compare::{Tolerance, compare};
use super::harness::{Harness, OTHER, SPACE};
use super::model::Model;

/// One step of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A commit of these changes, into one keyspace or the other.
    Commit(Vec<Change>),
    /// Maintenance until nothing is due.
    Maintain,
    /// A checkpoint.
    Checkpoint,
    /// A snapshot is taken and held.
    Hold,
    /// The oldest held snapshot is compared and let go.
    Release,
    /// The promise begins at this share of the time that it covers, in 16ths.
    Narrow(u64),
    /// Everything is compared.
    Check,
    /// Close, open, replay.
    Reopen,
    /// A crash, in the mode of this index; open, replay.
    Crash(usize),
}

/// One change of a commit. Keys are numbers, see [`key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A value of so many bytes.
    Put {
        /// In [`OTHER`].
        other: bool,
        /// Which key.
        key: u64,
        /// How long.
        len: usize,
    },
    /// A tombstone.
    Delete {
        /// In [`OTHER`].
        other: bool,
        /// Which key.
        key: u64,
    },
    /// A range of [`SPACE`].
    DeleteRange(u64, u64),
}

/// Keys of several lengths, some a prefix of others.
pub fn key(number: u64) -> Vec<u8> {
    let mut key = vec![b'a' + (number % 7) as u8; 1 + (number / 7 % 4) as usize];
    if number.is_multiple_of(5) {
        key.extend_from_slice(b"-a-longer-tail-that-fills-a-block");
    }
    key
}

/// A random list of `count` steps.
pub fn draw(rng: &mut Rng, count: usize, crashes: bool) -> Vec<Step> {
    (0..count).map(|_| draw_step(rng, crashes)).collect()
}

fn draw_step(rng: &mut Rng, crashes: bool) -> Step {
    match rng.below(20) {
        0 => Step::Maintain,
        1 => Step::Checkpoint,
        2 => Step::Hold,
        3 => Step::Release,
        4 => Step::Narrow(rng.below(10)),
        5 => Step::Check,
        6 => Step::Reopen,
        7 if crashes => Step::Crash(rng.index(CrashMode::ALL.len())),
        _ => Step::Commit((0..1 + rng.below(6)).map(|_| draw_change(rng)).collect()),
    }
}

fn draw_change(rng: &mut Rng) -> Change {
    let (other, key) = (rng.chance(1, 3), rng.below(56));
    match rng.below(12) {
        0 | 1 => Change::Delete { other, key },
        2 => Change::DeleteRange(key, rng.below(56)),
        3 => Change::Put { other, key, len: rng.index(3000) },
        _ => Change::Put { other, key, len: rng.index(80) },
    }
}

/// Runs a script and compares with the model where it says, and at the end.
///
/// # Errors
/// The first wrong answer or failed call, with the step.
pub fn run<E: Engine>(steps: &[Step], options: &EngineOptions) -> Result<(), String> {
    let mut harness = Harness::<E>::closed(SimDisk::new(1), 1);
    harness.options.clone_from(options);
    harness.open().map_err(|error| format!("an empty directory does not open: {error}"))?;
    let mut batch = WriteBatch::new();
    batch.create_keyspace(SPACE);
    batch.create_keyspace(OTHER);
    harness.commit(batch).map_err(|error| format!("no keyspaces: {error}"))?;
    let mut run = Run { harness, held: Vec::new() };
    for (index, step) in steps.iter().chain([&Step::Check, &Step::Reopen]).enumerate() {
        run.step(step).map_err(|wrong| format!("step {index}, {step:?}: {wrong}"))?;
    }
    Ok(())
}

struct Run<E: Engine> {
    harness: Harness<E>,
    held: Vec<(E::Snapshot, Model, RetentionPolicy)>,
}

impl<E: Engine> Run<E> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        let harness = &mut self.harness;
        match step {
            Step::Commit(changes) => {
                harness.commit(batch(changes, harness.log.len())).map_err(text)?;
            }
            Step::Maintain => harness.maintain().map_err(text)?,
            Step::Checkpoint => drop(harness.checkpoint().map_err(text)?),
            Step::Hold => {
                let snapshot = harness.engine().snapshot();
                self.held.push((snapshot, Model::of(&harness.log), (*harness.policy).clone()));
            }
            Step::Release if !self.held.is_empty() => {
                let (snapshot, model, policy) = self.held.remove(0);
                compare(&snapshot, &model, &policy, Tolerance::Strict)
                    .map_err(|wrong| format!("held since {:?}: {wrong}", snapshot.at()))?;
            }
            Step::Release => {}
            Step::Narrow(share) => {
                let (since, last) = (harness.policy.default.keep_since.0, harness.last().ts.0);
                let since = since + last.saturating_sub(since) * share / 16;
                let default = Retention::since(Timestamp(since));
                harness.retain(RetentionPolicy { default, by_keyspace: BTreeMap::new() });
            }
            Step::Check => self.check()?,
            Step::Reopen => {
                self.held.clear();
                harness.reopen().map_err(text)?;
                self.check()?;
            }
            Step::Crash(mode) => {
                self.held.clear();
                harness.crash(CrashMode::ALL[*mode], false);
                harness.reopen().map_err(text)?;
                self.check()?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let harness = &self.harness;
        let (applied, last) = (harness.engine().applied(), harness.last());
        if applied != last {
            return Err(format!("applied() is {applied:?}, the log ends at {last:?}"));
        }
        let snapshot = harness.engine().snapshot();
        let model = Model::of(&harness.log);
        compare(&snapshot, &model, &harness.policy, Tolerance::Strict).map(|_| ())
    }
}

fn text(error: driftdb_storage::StorageError) -> String {
    error.to_string()
}

/// The batch of a commit. Values differ from commit to commit.
pub fn batch(changes: &[Change], number: usize) -> WriteBatch {
    let space = |other| if other { OTHER } else { SPACE };
    let mut batch = WriteBatch::new();
    for change in changes {
        match *change {
            Change::Put { other, key: number_of_key, len } => {
                let value = format!("{number}.").into_bytes().into_iter().cycle().take(len);
                batch.put(space(other), &key(number_of_key), &value.collect::<Vec<u8>>());
            }
            Change::Delete { other, key: number } => batch.delete(space(other), &key(number)),
            Change::DeleteRange(start, end) => batch.delete_range(SPACE, &key(start), &key(end)),
        }
    }
    batch
}

/// A shorter list that still fails: stretches of half the list, a quarter, … one step are left out
/// while `fails` says so; then single changes of commits.
pub fn reduce(mut steps: Vec<Step>, fails: impl Fn(&[Step]) -> bool) -> Vec<Step> {
    let mut stretch = steps.len().div_ceil(2);
    while stretch > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut shorter = steps.clone();
            shorter.drain(at..(at + stretch).min(steps.len()));
            if fails(&shorter) {
                steps = shorter;
            } else {
                at += stretch;
            }
        }
        stretch /= 2;
    }
    for index in 0..steps.len() {
        let mut at = 0;
        while let Step::Commit(changes) = &steps[index]
            && at < changes.len()
        {
            let mut fewer = changes.clone();
            fewer.remove(at);
            let mut smaller = steps.clone();
            smaller[index] = Step::Commit(fewer);
            if fails(&smaller) {
                steps = smaller;
            } else {
                at += 1;
            }
        }
    }
    steps
}

/// Runs a script; if it fails or panics, fails with the smallest script that does so too.
fn holds<E: Engine>(steps: Vec<Step>, options: &EngineOptions, context: &str) {
    let outcome = |steps: &[Step]| {
        catch_unwind(AssertUnwindSafe(|| run::<E>(steps, options)))
            .unwrap_or_else(|_| Err("panics (see above)".to_owned()))
    };
    if outcome(&steps).is_ok() {
        return;
    }
    let steps = reduce(steps, |steps| outcome(steps).is_err());
    let wrong = outcome(&steps).expect_err("the reduction keeps what fails");
    let mut script = String::new();
    for step in &steps {
        writeln!(script, "  {step:?}").expect("a string takes everything");
    }
    panic!("{context}: {wrong}\nwith {options:?}\nafter\n{script}");
}

/// Random scripts with crashes give what the model gives.
pub fn any_script_agrees_with_the_model<E: Engine>() {
    for seed in 0..60 {
        let mut rng = Rng::stream(seed, "script");
        let count = 10 + rng.index(60);
        let steps = draw(&mut rng, count, true);
        holds::<E>(steps, &EngineOptions::tiny(), &format!("seed {seed}"));
    }
}

/// The same script gives the same answers whatever the settings: no cache or a large one, blocks of
/// any size, filters of any kind or none, every compression, every order of merges, steps of one key.
pub fn settings_change_no_answer<E: Engine>() {
    for seed in 0..6 {
        let mut rng = Rng::stream(seed, "settings");
        let steps = draw(&mut rng, 90, false);
        for _ in 0..5 {
            let options = draw_options(&mut rng);
            holds::<E>(steps.clone(), &options, &format!("seed {seed}"));
        }
    }
}

/// Settings from one end to the other, each drawn on its own.
pub fn draw_options(rng: &mut Rng) -> EngineOptions {
    EngineOptions {
        write_buffer_bytes: [1, 1 << 10, 4 << 10, 1 << 20][rng.index(4)],
        cache_bytes: [0, 512, 16 << 10, 1 << 20][rng.index(4)],
        block_size_bytes: [128, 512, 4 << 10, 64 << 10][rng.index(4)],
        filter_bits_per_key: [0, 1, 10, 20][rng.index(4)],
        filter: [FilterKind::Bloom, FilterKind::Fuse][rng.index(2)],
        compression: [Compression::None, Compression::Lz4, Compression::Zstd][rng.index(3)],
        compaction: [Compaction::Leveled, Compaction::Tiered][rng.index(2)],
        step_bytes: [1, 1 << 10, 8 << 10, 4 << 20][rng.index(4)],
        dictionary_sample_bytes: [0, 1 << 10, 4 << 10, 4 << 20][rng.index(4)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when some put of key 3 comes before a checkpoint, as a bug might.
    fn fails(steps: &[Step]) -> bool {
        let is_put = |change: &Change| matches!(change, Change::Put { key: 3, .. });
        let put = steps
            .iter()
            .position(|step| matches!(step, Step::Commit(changes) if changes.iter().any(is_put)));
        put.is_some_and(|put| steps[put..].contains(&Step::Checkpoint))
    }

    #[test]
    fn a_script_is_cut_down_to_what_matters() {
        let steps = draw(&mut Rng::stream(5, "reduce"), 400, true);
        assert!(fails(&steps), "the draw contains what fails");
        let reduced = reduce(steps, fails);
        assert_eq!(reduced.len(), 2, "{reduced:?}");
        assert!(matches!(&reduced[0], Step::Commit(changes) if changes.len() == 1));
    }
}
