//! Salvage: what verifies comes out as it went in, and what does not is told.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use driftdb_env::Rng;
use driftdb_storage::{
    Commit, Damage, Entry, ErrorKind, FileEngine, Keyspace, KeyspaceId, Retention, RetentionPolicy,
    SalvageSink, Snapshot, Timestamp, Visible,
};

use super::compare::{difference, scan};
use super::damage::{MOST_OPERATIONS, files};
use super::harness::{Harness, SPACE, Upkeep, directory};
use super::model::{Model, Version};
use super::workload::{Mix, Workload};

/// The sector of the virtual disk and of most real ones.
const SECTOR_BYTES: u64 = 512;

/// Keeps everything it is told; refuses what breaks the contract of a sink.
#[derive(Debug, Default)]
struct Found {
    at: Option<Commit>,
    keyspaces: Vec<Keyspace>,
    versions: BTreeMap<KeyspaceId, Vec<Version>>,
    lost: Vec<Damage>,
    done_bytes: u64,
}

impl SalvageSink for Found {
    fn begin(&mut self, at: Commit) -> driftdb_storage::Result<()> {
        assert!(self.at.is_none(), "a salvage begins once");
        self.at = Some(at);
        Ok(())
    }

    fn keyspace(&mut self, space: &Keyspace) -> driftdb_storage::Result<()> {
        assert!(self.at.is_some(), "keyspaces come after the commit");
        let ascends = self.keyspaces.last().is_none_or(|last| last.id < space.id);
        assert!(ascends, "{space:?} comes after {:?}", self.keyspaces.last());
        self.keyspaces.push(space.clone());
        Ok(())
    }

    fn version(&mut self, space: KeyspaceId, entry: Entry<'_>) -> driftdb_storage::Result<()> {
        let begun = self.keyspaces.last().map(|keyspace| keyspace.id);
        assert_eq!(begun, Some(space), "versions follow their keyspace");
        let versions = self.versions.entry(space).or_default();
        if let Some((key, ts, _)) = versions.last() {
            let is_after =
                (&key[..], std::cmp::Reverse(*ts)) < (entry.key, std::cmp::Reverse(entry.ts));
            assert!(is_after, "{:?}@{:?} comes after {key:?}@{ts:?}", entry.key, entry.ts);
        }
        versions.push((entry.key.to_vec(), entry.ts, entry.value.map(<[u8]>::to_vec)));
        Ok(())
    }

    fn lost(&mut self, damage: Damage) {
        self.lost.push(damage);
    }

    fn progress(&mut self, done_bytes: u64, total_bytes: u64) {
        assert!(done_bytes <= total_bytes, "{done_bytes} of {total_bytes} bytes");
        assert!(done_bytes >= self.done_bytes, "progress goes back");
        self.done_bytes = done_bytes;
    }
}

impl Found {
    /// Whether some lost place may have held the key.
    fn tells_of(&self, space: KeyspaceId, key: &[u8]) -> bool {
        self.lost.iter().any(|damage| {
            damage.keys.as_ref().is_none_or(|keys| {
                keys.space == space
                    && keys.first.as_ref().is_none_or(|first| **first <= *key)
                    && keys.last.as_ref().is_none_or(|last| *key <= **last)
            })
        })
    }

    /// Whether a place was lost of which nobody knows what it held.
    fn has_unnamed_loss(&self) -> bool {
        self.lost.iter().any(|damage| damage.keys.is_none())
    }

    fn version_count(&self) -> usize {
        self.versions.values().map(Vec::len).sum()
    }
}

/// A closed engine with everything in files: short and long chains of versions, small and large values,
/// tombstones, deleted ranges, dropped keyspaces.
pub(crate) fn filled<E: FileEngine>(seed: u64, upkeep: Upkeep) -> Harness<E> {
    let mut harness = Harness::<E>::new(seed);
    harness.upkeep = upkeep;
    let mut workload = Workload::new(seed, Mix { turnover: 3, large: 6, keys: 90, ranges: 5 });
    workload.run(&mut harness, 90).expect("a healthy engine works");
    for round in 0..130u32 {
        let value = [b"round ".as_slice(), &round.to_be_bytes()].concat();
        let value = (round % 9 != 4).then_some(&value[..]);
        harness.write(SPACE, &[(b"key/hot, many versions", value), (&round.to_be_bytes(), value)]);
    }
    let mut large = vec![0; 60_000];
    harness.rng.fill(&mut large);
    harness.write(SPACE, &[(b"key/large", Some(&large)), (b"key/larger", Some(&large[..5000]))]);
    workload.run(&mut harness, 20).expect("a healthy engine works");
    harness.checkpoint().expect("a healthy engine checkpoints");
    harness.close();
    harness
}

/// What a salvage of the harness's directory finds, or why it gave up.
fn salvage<E: FileEngine>(harness: &Harness<E>, context: &str) -> driftdb_storage::Result<Found> {
    let env = harness.env()?;
    let before = (files(harness), harness.disk.counters().writes);
    harness.disk.halt_after(MOST_OPERATIONS);
    let mut found = Found::default();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        E::salvage(&env, &directory(), &harness.options, &mut found)
    }));
    assert!(!harness.disk.is_halted(), "{context}: a salvage does I/O without end");
    let Ok(outcome) = outcome else { panic!("{context}: a salvage panics (see above)") };
    let after = (files(harness), harness.disk.counters().writes);
    assert!(after == before, "{context}: a salvage changes the directory");
    outcome.map(|()| found)
}

/// A salvage of a sound directory finds every keyspace, every version at every time, and nothing lost;
/// under every upkeep, and after versions were let go.
pub fn a_sound_directory_comes_out_whole<E: FileEngine>() {
    for (seed, upkeep) in
        [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(20)].into_iter().enumerate()
    {
        let mut harness = filled::<E>(130 + seed as u64, upkeep);
        let found = salvage(&harness, "sound").expect("a sound directory can be salvaged");
        assert_eq!(found.lost, [], "{upkeep:?}: nothing is lost");
        assert_eq!(found.at, Some(harness.last()), "{upkeep:?}");
        let model = Model::of(&harness.log);
        for (id, space) in &model.spaces {
            let expected = Keyspace {
                id: *id,
                created: space.created,
                dropped: space.dropped,
                kept: Retention::FOREVER,
            };
            let is_listed = found.keyspaces.contains(&expected);
            assert!(is_listed, "{upkeep:?}: {expected:?} is not among {:?}", found.keyspaces);
            let empty = Vec::new();
            let versions = found.versions.get(id).unwrap_or(&empty);
            if let Some(wrong) = difference(versions, &space.between(None, Timestamp::MAX)) {
                panic!("{upkeep:?}, keyspace {id}: the salvage {wrong}");
            }
        }
        assert_eq!(found.keyspaces.len(), model.spaces.len(), "{upkeep:?}: none is invented");
        narrowed(&mut harness, &format!("{upkeep:?}, narrowed"));
    }
}

/// After versions were let go, a salvage finds what the engine itself still shows.
fn narrowed<E: FileEngine>(harness: &mut Harness<E>, context: &str) {
    harness.reopen().expect("a closed engine reopens");
    let since = Timestamp(harness.last().ts.0 * 2 / 3);
    let default = Retention::since(since);
    harness.retain(RetentionPolicy { default, by_keyspace: BTreeMap::new() });
    harness.checkpoint().expect("a healthy engine checkpoints");
    harness.maintain().expect("a healthy engine maintains");
    harness.checkpoint().expect("a healthy engine checkpoints");
    harness.reopen().expect("a closed engine reopens");
    let snapshot = harness.engine().snapshot();
    let listed = snapshot.keyspaces();
    let living = listed.iter().filter(|keyspace| keyspace.dropped.is_none());
    let shown: Vec<_> = living
        .map(|keyspace| {
            let all = scan(&snapshot, keyspace.id, Visible::All, false);
            (keyspace.id, all.expect("a healthy engine scans"))
        })
        .collect();
    drop(snapshot);
    harness.close();
    let found = salvage(harness, context).expect("a sound directory can be salvaged");
    assert_eq!(found.lost, [], "{context}: nothing is lost");
    assert_eq!(found.keyspaces, listed, "{context}");
    for (id, all) in shown {
        let empty = Vec::new();
        if let Some(wrong) = difference(found.versions.get(&id).unwrap_or(&empty), &all) {
            panic!("{context}, keyspace {id}: the salvage {wrong}");
        }
    }
}

/// One sector of any file is zeroed, noise, or that of another place: every version that does not come
/// out is under a key that is told as lost, and nothing comes out that was never written.
pub fn a_damaged_sector_costs_what_is_told<E: FileEngine>() {
    let base = filled::<E>(133, Upkeep::Checkpoint(40));
    let model = Model::of(&base.log);
    let mut rng = Rng::stream(133, "sectors");
    let files = files(&base);
    let share = (400 / files.len()).clamp(12, 120);
    let mut tally = Tally::default();
    for (path, len) in &files {
        let sectors = len.div_ceil(SECTOR_BYTES);
        let edge = (share as u64 / 4).min(sectors);
        let ends = (0..edge).chain(sectors - edge..sectors);
        let within: Vec<u64> = (0..share).map(|_| rng.below(sectors)).collect();
        for sector in ends.chain(within).collect::<BTreeSet<_>>() {
            for fate in 0..3 {
                let fork = base.fork(sector);
                let what = damage_sector(&fork, path, *len, sector, fate, &mut rng);
                let context = format!("{} sector {sector} {what}", path.display());
                judge(&fork, &model, &context, &mut tally);
            }
        }
    }
    tally.says_something();
}

/// How the cases went, all together.
#[derive(Debug, Default)]
struct Tally {
    cases: usize,
    refused: usize,
    /// Cases in which something did not come out.
    lossy: usize,
    /// Of these, those in which every loss was told with its keys.
    named: usize,
    /// Of the lossy, those that brought out more than nine tenths.
    nearly_whole: usize,
}

impl Tally {
    /// A salvage that gives up, or says that everything may be lost, tells no lie and helps nobody.
    fn says_something(&self) {
        let Self { cases, refused, lossy, named, nearly_whole } = *self;
        assert!(lossy * 20 > cases, "hardly anything was lost: {self:?}");
        assert!(refused * 10 < cases, "too often nothing was to be had: {self:?}");
        assert!(named * 10 > lossy * 9, "too often nobody knows what was lost: {self:?}");
        assert!(nearly_whole * 10 > lossy * 7, "too much is lost for a sector: {self:?}");
    }
}

fn damage_sector<E: FileEngine>(
    fork: &Harness<E>,
    path: &Path,
    len: u64,
    sector: u64,
    fate: u32,
    rng: &mut Rng,
) -> &'static str {
    let offset = sector * SECTOR_BYTES;
    let size = SECTOR_BYTES.min(len - offset);
    let mut bytes = vec![0; size as usize];
    let what = match fate {
        0 => "zeroed",
        1 => {
            rng.fill(&mut bytes);
            "noise"
        }
        _ => {
            let all = fork.disk.read_file(path).expect("the file is there");
            let from = rng.below(len - size + 1) as usize;
            bytes.copy_from_slice(&all[from..from + size as usize]);
            "from elsewhere"
        }
    };
    assert!(fork.disk.overwrite(path, offset, &bytes));
    what
}

fn judge<E: FileEngine>(fork: &Harness<E>, model: &Model, context: &str, tally: &mut Tally) {
    tally.cases += 1;
    let found = match salvage(fork, context) {
        Ok(found) => found,
        Err(error) => {
            let clear = matches!(error.kind(), ErrorKind::Corruption | ErrorKind::Invalid);
            assert!(clear, "{context}: the salvage blames something else: {error}");
            tally.refused += 1;
            return;
        }
    };
    assert!(found.at.is_some(), "{context}: a salvage that succeeds says where it is complete");
    let mut missing = 0;
    let mut total = 0;
    for (id, space) in &model.spaces {
        let versions: BTreeSet<&Version> = found.versions.get(id).into_iter().flatten().collect();
        let written = space.between(None, Timestamp::MAX);
        total += written.len();
        let record = found.keyspaces.iter().find(|keyspace| keyspace.id == *id);
        let is_known = record.is_some_and(|keyspace| {
            keyspace.created == space.created && keyspace.dropped == space.dropped
        });
        assert!(is_known || found.has_unnamed_loss(), "{context}: keyspace {id} is {record:?}");
        for version in written.iter().filter(|version| !versions.contains(version)) {
            missing += 1;
            let (key, ts, _) = version;
            assert!(
                found.tells_of(*id, key),
                "{context}: {key:?}@{ts:?} is lost, and only {:?} told",
                found.lost
            );
        }
        let written: BTreeSet<&Version> = written.iter().collect();
        let invented = versions.iter().find(|version| !written.contains(*version));
        assert!(invented.is_none(), "{context}: {invented:?} was never written");
    }
    let known: usize =
        model.spaces.keys().filter_map(|id| found.versions.get(id)).map(Vec::len).sum();
    assert_eq!(known, found.version_count(), "{context}: versions of a keyspace that never was");
    if missing > 0 {
        tally.lossy += 1;
        tally.named += usize::from(!found.has_unnamed_loss());
        tally.nearly_whole += usize::from(missing * 10 < total);
    }
}
