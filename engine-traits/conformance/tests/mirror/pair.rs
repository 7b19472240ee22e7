//! The two engines, and the comparison of what they say.
//!
//! Where the contract leaves something to the engine, both may differ: how a time out of the promise is
//! refused, which forgotten versions are still there, and whether a tombstone that hides nothing is.
//! Everything else is the same, entry by entry.

use std::collections::BTreeMap;
use std::fmt::Debug;

use driftdb_conformance::storage::compare::{entry, scan};
use driftdb_conformance::storage::harness::{Harness, OTHER, SPACE};
use driftdb_conformance::storage::model::Version;
use driftdb_conformance::storage::script;
use driftdb_sim_disk::CrashMode;
use driftdb_storage::{
    Cursor, Engine, KeyRange, KeyspaceId, Maintained, Retention, RetentionPolicy, ScanSpec,
    Snapshot, StorageError, Timestamp, Visible, WriteBatch,
};

use crate::steps::{Kind, Move, Query, Step};

type Outcome<T = ()> = Result<T, String>;

pub(crate) struct Pair<A: Engine, B: Engine> {
    one: Harness<A>,
    other: Harness<B>,
    /// Snapshots held, with the start of the promise when they were taken.
    held: Vec<(A::Snapshot, B::Snapshot, Timestamp)>,
}

/// What an engine answers, as far as it must be the same: a refused time is refused, however.
fn said<T>(result: driftdb_storage::Result<T>) -> Outcome<Option<T>> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(StorageError::SnapshotTooOld { .. } | StorageError::UnknownKeyspace { .. }) => Ok(None),
        Err(error) => Err(format!("a healthy engine fails: {error}")),
    }
}

fn same<T: PartialEq + Debug>(what: &str, one: T, other: T) -> Outcome {
    if one == other { Ok(()) } else { Err(format!("{what}: {one:?} and {other:?}")) }
}

fn space(other: bool) -> KeyspaceId {
    if other { OTHER } else { SPACE }
}

impl<A: Engine, B: Engine> Pair<A, B> {
    /// Two closed, empty engines, opened, with their keyspaces.
    pub(crate) fn new(mut one: Harness<A>, mut other: Harness<B>) -> Outcome<Self> {
        let mut batch = WriteBatch::new();
        batch.create_keyspace(SPACE);
        batch.create_keyspace(OTHER);
        one.open().and_then(|()| one.commit(batch.clone())).map_err(|error| error.to_string())?;
        other.open().and_then(|()| other.commit(batch)).map_err(|error| error.to_string())?;
        Ok(Self { one, other, held: Vec::new() })
    }

    pub(crate) fn run(&mut self, steps: &[Step]) -> Outcome {
        for (index, step) in steps.iter().chain([&Step::Checkpoint, &Step::Reopen]).enumerate() {
            self.step(step).map_err(|wrong| format!("step {index}, {step:?}: {wrong}"))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Get { which, other, key, time } => {
                return self.get(*which, space(*other), *key, *time);
            }
            Step::Walk { which, other, query, moves } => {
                return self.walk(*which, space(*other), query, moves);
            }
            Step::Hold => {
                let since = self.one.policy.default.keep_since;
                let (one, other) = (self.one.engine().snapshot(), self.other.engine().snapshot());
                self.held.push((one, other, since));
            }
            Step::Release => drop(self.held.pop()),
            Step::Reopen => {
                self.held.clear();
                said(self.one.reopen())?;
                said(self.other.reopen())?;
            }
            Step::Crash(mode) => {
                self.held.clear();
                self.one.crash(CrashMode::ALL[*mode], false);
                self.other.crash(CrashMode::ALL[*mode], false);
                said(self.one.reopen())?;
                said(self.other.reopen())?;
            }
            both => {
                change(&mut self.one, both)?;
                change(&mut self.other, both)?;
            }
        }
        self.present()
    }

    /// Everything there is now, and the promise at its start.
    fn present(&self) -> Outcome {
        let (one, other) = (self.one.engine(), self.other.engine());
        same("applied", one.applied(), other.applied())?;
        let (one, other) = (one.snapshot(), other.snapshot());
        same("the snapshots are at", one.at(), other.at())?;
        let lives = |snapshot: Vec<driftdb_storage::Keyspace>| {
            let living = snapshot.into_iter().map(|space| (space.id, space.created, space.dropped));
            living.collect::<Vec<_>>()
        };
        same("keyspaces", lives(one.keyspaces()), lives(other.keyspaces()))?;
        let since = self.one.policy.default.keep_since;
        for space in [SPACE, OTHER] {
            for reverse in [false, true] {
                let between = Visible::Between { after: since, up_to: Timestamp::MAX };
                for visible in [Visible::AsOf(Timestamp::MAX), Visible::AsOf(since), between] {
                    let answer = said(scan(&one, space, visible, reverse))?;
                    let what = format!("{visible:?} of {space}, reverse {reverse}");
                    same(&what, answer, said(scan(&other, space, visible, reverse))?)?;
                }
                let all = |found: Option<Vec<Version>>| {
                    let recent = found.into_iter().flatten().filter(|(_, ts, _)| *ts > since);
                    recent.collect::<Vec<_>>()
                };
                let answer = all(said(scan(&one, space, Visible::All, reverse))?);
                same("all", answer, all(said(scan(&other, space, Visible::All, reverse))?))?;
            }
        }
        Ok(())
    }

    /// The snapshots that a question goes to, and the start of the promise for them.
    fn asked(&self, which: usize) -> (A::Snapshot, B::Snapshot, Timestamp) {
        match self.held.get(which) {
            Some((one, other, since)) => (one.clone(), other.clone(), *since),
            None => {
                let since = self.one.policy.default.keep_since;
                (self.one.engine().snapshot(), self.other.engine().snapshot(), since)
            }
        }
    }

    fn time(&self, share: u64) -> Timestamp {
        match share {
            17.. => Timestamp::MAX,
            share => Timestamp(self.one.last().ts.0 * share / 16),
        }
    }

    fn get(&self, which: usize, space: KeyspaceId, key: u64, time: u64) -> Outcome {
        let (one, other, _) = self.asked(which);
        let (key, ts) = (script::key(key), self.time(time));
        let mut values = (b"kept".to_vec(), b"kept".to_vec());
        let answer = said(one.get(space, &key, ts, &mut values.0))?;
        same("the version", answer, said(other.get(space, &key, ts, &mut values.1))?)?;
        same("the value", values.0, values.1)?;
        let newest = (said(one.newest(space, &key))?, said(other.newest(space, &key))?);
        if newest.0 == newest.1 {
            return Ok(());
        }
        // A tombstone that hides nothing may be gone.
        let is_gone = [&newest.0, &newest.1].contains(&&Some(None));
        let value = said(one.get(space, &key, Timestamp::MAX, &mut Vec::new()))?;
        if is_gone && value == Some(None) {
            return Ok(());
        }
        Err(format!("the newest: {:?} and {:?}", newest.0, newest.1))
    }

    fn walk(&self, which: usize, space: KeyspaceId, query: &Query, moves: &[Move]) -> Outcome {
        let (one, other, since) = self.asked(which);
        let visible = match query.kind {
            Kind::AsOf(ts) => Visible::AsOf(self.time(ts)),
            Kind::Between(after, up_to) => {
                Visible::Between { after: self.time(after).max(since), up_to: self.time(up_to) }
            }
            Kind::All if since == Timestamp::MIN => Visible::All,
            // Which forgotten versions are still there is left to the engine.
            Kind::All => Visible::Between { after: since, up_to: Timestamp::MAX },
        };
        let (start, end) = (query.start.map(script::key), query.end.map(script::key));
        let range = KeyRange {
            start: start.as_ref().map(|key| &key[..]),
            end: end.as_ref().map(|key| &key[..]),
        };
        let spec = ScanSpec { range, visible, reverse: query.reverse };
        let cursors = (said(one.cursor(space, &spec))?, said(other.cursor(space, &spec))?);
        let (mut one, mut other) = match cursors {
            (Some(one), Some(other)) => (one, other),
            (None, None) => return Ok(()),
            (one, _) => return Err(format!("only one is refused, the first {}", one.is_none())),
        };
        for (index, step) in moves.iter().enumerate() {
            let context = format!("move {index}, {step:?}");
            match *step {
                Move::Seek(number) => {
                    let key = script::key(number);
                    same(&context, said(one.seek(&key))?, said(other.seek(&key))?)?;
                }
                Move::Next(count) => {
                    for _ in 0..count {
                        next(&mut one, &mut other, &context)?;
                    }
                }
                Move::ToTheEnd => while next(&mut one, &mut other, &context)? {},
            }
        }
        Ok(())
    }
}

/// One entry on; false at the end.
fn next(one: &mut impl Cursor, other: &mut impl Cursor, context: &str) -> Outcome<bool> {
    let moved = (said(one.next())?, said(other.next())?);
    same(context, moved.0, moved.1)?;
    let is_on_entry = moved.0 == Some(true);
    if is_on_entry {
        same(context, entry(one), entry(other))?;
    }
    Ok(is_on_entry)
}

/// A step that is the same for both and asks nothing.
fn change<E: Engine>(harness: &mut Harness<E>, step: &Step) -> Outcome {
    let done = match step {
        Step::Commit(changes) => {
            let batch = script::batch(changes, harness.log.len());
            harness.commit(batch).map(|_| ())
        }
        Step::Maintain(count) => (0..*count)
            .try_for_each(|_| harness.engine().maintain(&harness.barrier).map(|_: Maintained| ())),
        Step::Checkpoint => harness.checkpoint().map(|_| ()),
        Step::Narrow(share) => {
            let (since, last) = (harness.policy.default.keep_since.0, harness.last().ts.0);
            let since = since + last.saturating_sub(since) * share / 16;
            let default = Retention::since(Timestamp(since));
            harness.retain(RetentionPolicy { default, by_keyspace: BTreeMap::new() });
            Ok(())
        }
        _ => unreachable!("questions, and what is done to both at once, are not changes"),
    };
    done.map_err(|error| format!("a healthy engine fails: {error}"))
}
