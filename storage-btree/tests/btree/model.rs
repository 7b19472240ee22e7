//! The plainest database with versions, and an engine beside it on a virtual disk.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use driftdb_env::Env;
use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{
    Commit, Cursor, Engine, EngineOptions, KeyRange, KeyspaceId, LogBarrier, Lsn, Result,
    RetentionPolicy, ScanSpec, Snapshot, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_btree::{BtreeEngine, BtreeSnapshot};

pub(crate) const SPACE: KeyspaceId = KeyspaceId(3);
pub(crate) const DIR: &str = "/data/btree";

/// A log that is always durable.
pub(crate) struct Ready;

impl LogBarrier for Ready {
    fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
        Ok(())
    }
}

/// A log that takes its time: batches are applied, and snapshots taken, while a checkpoint waits.
pub(crate) struct Busy<'a> {
    pub(crate) engine: &'a BtreeEngine,
    pub(crate) batches: &'a [(Commit, WriteBatch)],
    pub(crate) snapshot: RefCell<Option<BtreeSnapshot>>,
    pub(crate) was_asked: Cell<bool>,
}

impl LogBarrier for Busy<'_> {
    fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
        self.was_asked.set(true);
        for (at, batch) in self.batches {
            self.engine.apply(batch, *at)?;
            *self.snapshot.borrow_mut() = Some(self.engine.snapshot());
        }
        Ok(())
    }
}

/// Values by key and time; `None` is a tombstone.
pub(crate) type Versions = BTreeMap<Vec<u8>, BTreeMap<u64, Option<Vec<u8>>>>;

pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) env: Env,
    pub(crate) options: EngineOptions,
    pub(crate) engine: Option<BtreeEngine>,
    pub(crate) log: Vec<(Commit, WriteBatch)>,
    pub(crate) versions: Versions,
    pub(crate) keep_since: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::seeded(1)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self::with(seed, EngineOptions::tiny())
    }

    pub(crate) fn with(seed: u64, options: EngineOptions) -> Self {
        let disk = SimDisk::new(seed);
        let env = sim_env(&disk, seed);
        let mut world = Self {
            disk,
            env,
            options,
            engine: None,
            log: Vec::new(),
            versions: Versions::new(),
            keep_since: 0,
        };
        world.open();
        let mut batch = WriteBatch::new();
        batch.create_keyspace(SPACE);
        world.commit(batch);
        world
    }

    pub(crate) fn engine(&self) -> &BtreeEngine {
        self.engine.as_ref().expect("open")
    }

    pub(crate) fn try_open(&mut self) -> Result<()> {
        self.engine = None;
        self.engine = Some(BtreeEngine::open(&self.env, Path::new(DIR), &self.options)?);
        Ok(())
    }

    pub(crate) fn open(&mut self) {
        self.try_open().expect("the directory opens");
    }

    /// Opens and replays the log.
    pub(crate) fn reopen(&mut self) {
        self.open();
        let durable = self.engine().durable();
        for (at, batch) in self.log.iter().filter(|(at, _)| *at > durable) {
            self.engine().apply(batch, *at).expect("replay succeeds");
        }
        self.set_retention(self.keep_since);
    }

    pub(crate) fn now(&self) -> u64 {
        self.log.len() as u64 * 10
    }

    pub(crate) fn commit(&mut self, batch: WriteBatch) {
        let at = self.log(batch);
        let (_, batch) = self.log.last().expect("just logged");
        self.engine().apply(batch, at).expect("a good batch applies");
    }

    /// Puts a batch into the log and the model, not into the engine.
    pub(crate) fn log(&mut self, batch: WriteBatch) -> Commit {
        let n = self.log.len() as u64 + 1;
        let at = Commit { lsn: Lsn(n), ts: Timestamp(n * 10) };
        for operation in batch.operations() {
            use driftdb_storage::Operation::{Delete, Put};
            let (key, value) = match operation {
                Put { key, value, .. } => (key, Some(value.to_vec())),
                Delete { key, .. } => (key, None),
                _ => continue,
            };
            self.versions.entry(key.to_vec()).or_default().insert(n * 10, value);
        }
        self.log.push((at, batch));
        at
    }

    /// A checkpoint while `batches` are applied; gives a snapshot taken just after the last of them,
    /// which is still during the checkpoint.
    pub(crate) fn busy_checkpoint(&mut self, batches: Vec<WriteBatch>) -> Option<BtreeSnapshot> {
        let first = self.log.len();
        for batch in batches {
            self.log(batch);
        }
        let batches = &self.log[first..];
        let (snapshot, was_asked) = (RefCell::new(None), Cell::new(false));
        let busy = Busy { engine: self.engine(), batches, snapshot, was_asked };
        self.engine().checkpoint(&busy).expect("a checkpoint succeeds");
        if !busy.was_asked.get() {
            // There was nothing to write.
            busy.wait_durable(Lsn(0)).expect("good batches apply");
        }
        busy.snapshot.into_inner()
    }

    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        let mut batch = WriteBatch::new();
        batch.put(SPACE, key, value);
        self.commit(batch);
    }

    pub(crate) fn set_retention(&mut self, keep_since: u64) {
        self.keep_since = keep_since;
        let default = driftdb_storage::Retention::since(Timestamp(keep_since));
        let policy = RetentionPolicy { default, ..RetentionPolicy::default() };
        self.engine().set_retention(Arc::new(policy));
    }

    pub(crate) fn checkpoint(&self) {
        self.engine().checkpoint(&Ready).expect("a checkpoint succeeds");
    }

    /// No damage, no leaked page.
    pub(crate) fn verify(&self) {
        self.engine()
            .verify(driftdb_storage::VerifyDepth::Full, &mut |damage: driftdb_storage::Damage| {
                panic!("verify finds {damage}")
            })
            .expect("verify reads everything");
    }

    pub(crate) fn stat(&self, name: &str) -> u64 {
        let mut value = None;
        self.engine().stats(&mut |found, figure| {
            if found == name {
                value = Some(figure);
            }
        });
        value.expect("a figure of that name")
    }

    pub(crate) fn check(&self) {
        check(&self.engine().snapshot(), &self.versions, self.keep_since, self.now());
    }
}

/// What is visible as of `ts`.
pub(crate) fn as_of(versions: &Versions, ts: u64) -> Vec<(Vec<u8>, u64, Vec<u8>)> {
    let newest = |(key, times): (&Vec<u8>, &BTreeMap<u64, Option<Vec<u8>>>)| {
        let (ts, value) = times.range(..=ts).next_back()?;
        Some((key.clone(), *ts, value.clone()?))
    };
    versions.iter().filter_map(newest).collect()
}

pub(crate) fn scan(
    snapshot: &BtreeSnapshot,
    visible: Visible,
    reverse: bool,
) -> Result<Vec<(Vec<u8>, u64, Option<Vec<u8>>)>> {
    let spec = ScanSpec { range: KeyRange::ALL, visible, reverse };
    let mut cursor = snapshot.cursor(SPACE, &spec)?;
    let mut found = Vec::new();
    while cursor.next()? {
        let entry = cursor.entry();
        found.push((entry.key.to_vec(), entry.ts.0, entry.value.map(<[u8]>::to_vec)));
    }
    Ok(found)
}

/// The snapshot answers as the model does, at a few times from `since` to `now`.
pub(crate) fn check(snapshot: &BtreeSnapshot, versions: &Versions, since: u64, now: u64) {
    let step = ((now - since) / 5).max(1);
    for ts in (since..=now).step_by(step as usize).chain([now, u64::MAX]).filter(|ts| *ts >= 10) {
        let expected = as_of(versions, ts);
        let mut shown: Vec<_> = scan(snapshot, Visible::AsOf(Timestamp(ts)), false)
            .expect("a scan succeeds")
            .into_iter()
            .map(|(key, ts, value)| (key, ts, value.expect("no tombstones as of a time")))
            .collect();
        assert!(shown == expected, "as of {ts}: {} of {}", shown.len(), expected.len());
        shown.reverse();
        let backwards =
            scan(snapshot, Visible::AsOf(Timestamp(ts)), true).expect("a scan succeeds");
        assert_eq!(backwards.len(), shown.len());
        assert!(backwards.iter().zip(&shown).all(|(a, b)| a.0 == b.0 && a.1 == b.1));
        let by_key: BTreeMap<_, _> = expected.iter().map(|(k, ts, v)| (k, (*ts, v))).collect();
        for key in versions.keys() {
            let mut out = b"kept".to_vec();
            let found = snapshot.get(SPACE, key, Timestamp(ts), &mut out).expect("a get succeeds");
            match by_key.get(key) {
                None => assert!(found.is_none() && out == b"kept"),
                Some((ts, value)) => {
                    assert_eq!(found, Some(Timestamp(*ts)));
                    assert!(out[4..] == value[..]);
                }
            }
        }
    }
}
