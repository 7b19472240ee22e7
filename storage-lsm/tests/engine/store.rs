//! An engine on a virtual disk, beside a model that is plainly right.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{
    Commit, Cursor, Engine, EngineOptions, KeyRange, KeyspaceId, LogBarrier, Lsn, Maintained,
    Result, Retention, RetentionPolicy, ScanSpec, Snapshot, Timestamp, Visible, WriteBatch,
};
use driftdb_storage_lsm::{LsmEngine, LsmSnapshot};

pub(crate) const DIR: &str = "/lsm";
pub(crate) const SPACE: KeyspaceId = KeyspaceId(1);

/// A log that is always durable.
pub(crate) struct Always;

impl LogBarrier for Always {
    fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
        Ok(())
    }
}

type Versions = BTreeMap<Vec<u8>, BTreeMap<Timestamp, Option<Vec<u8>>>>;

/// One version as a scan shows it.
pub(crate) type Shown = (Vec<u8>, Timestamp, Option<Vec<u8>>);

/// All commits, and what they mean.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    versions: Versions,
    log: Vec<(Commit, WriteBatch)>,
}

impl Model {
    pub(crate) fn get(&self, key: &[u8], ts: Timestamp) -> Option<(Timestamp, Vec<u8>)> {
        let (ts, value) = self.versions.get(key)?.range(..=ts).next_back()?;
        value.clone().map(|value| (*ts, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.versions.keys()
    }

    pub(crate) fn last(&self) -> Commit {
        self.log.last().map_or(Commit::default(), |(at, _)| *at)
    }

    /// What a scan shows, without regard to retention.
    pub(crate) fn scan(&self, spec: &ScanSpec<'_>) -> Vec<Shown> {
        let mut shown = Vec::new();
        let mut keys: Vec<_> =
            self.versions.iter().filter(|(key, _)| spec.range.contains(key)).collect();
        if spec.reverse {
            keys.reverse();
        }
        for (key, versions) in keys {
            let (after, up_to) = match spec.visible {
                Visible::AsOf(ts) => (None, ts),
                Visible::Between { after, up_to } => (Some(after), up_to),
                Visible::All => (None, Timestamp::MAX),
            };
            let seen = versions
                .range(..=up_to)
                .rev()
                .filter(|(ts, _)| after.is_none_or(|after| after < **ts))
                .map(|(&ts, value)| (key.clone(), ts, value.clone()));
            if let Visible::AsOf(_) = spec.visible {
                shown.extend(seen.take(1).filter(|(_, _, value)| value.is_some()));
            } else {
                shown.extend(seen);
            }
        }
        shown
    }
}

pub(crate) struct Store {
    pub(crate) disk: SimDisk,
    pub(crate) options: EngineOptions,
    pub(crate) model: Model,
    pub(crate) engine: LsmEngine,
    policy: Arc<RetentionPolicy>,
}

pub(crate) fn open(disk: &SimDisk, options: &EngineOptions) -> Result<LsmEngine> {
    LsmEngine::open(&sim_env(disk, 1), Path::new(DIR), options)
}

impl Store {
    /// An engine with one keyspace.
    pub(crate) fn new(options: EngineOptions) -> Self {
        let disk = SimDisk::new(1);
        let engine = open(&disk, &options).unwrap();
        let policy = Arc::default();
        let mut store = Self { disk, options, model: Model::default(), engine, policy };
        let mut batch = WriteBatch::new();
        batch.create_keyspace(SPACE);
        store.commit(batch);
        store
    }

    /// Writes a value or, without one, a tombstone.
    pub(crate) fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> Timestamp {
        let mut batch = WriteBatch::new();
        match value {
            Some(value) => batch.put(SPACE, key, value),
            None => batch.delete(SPACE, key),
        }
        let at = self.commit(batch);
        let versions = self.model.versions.entry(key.to_vec()).or_default();
        versions.insert(at.ts, value.map(<[u8]>::to_vec));
        at.ts
    }

    fn commit(&mut self, batch: WriteBatch) -> Commit {
        let Commit { lsn, ts } = self.model.last();
        let at = Commit { lsn: Lsn(lsn.0 + 20), ts: Timestamp(ts.0 + 10) };
        self.engine.apply(&batch, at).unwrap();
        self.model.log.push((at, batch));
        at
    }

    pub(crate) fn maintain(&self) {
        while self.engine.maintain(&Always).unwrap() == Maintained::Worked {}
    }

    pub(crate) fn checkpoint(&self) {
        assert_eq!(self.engine.checkpoint(&Always).unwrap(), self.model.last());
    }

    /// A second engine on the same disk takes over, and replays what was not durable.
    pub(crate) fn reopen(&mut self) {
        self.open_again();
        self.replay();
    }

    /// The first half of [`Store::reopen`].
    pub(crate) fn open_again(&mut self) {
        self.engine = open(&self.disk, &self.options).unwrap();
        self.engine.set_retention(Arc::clone(&self.policy));
    }

    /// The second half.
    pub(crate) fn replay(&self) {
        let durable = self.engine.durable();
        for (at, batch) in self.model.log.iter().filter(|(at, _)| *at > durable) {
            self.engine.apply(batch, *at).unwrap();
        }
    }

    pub(crate) fn retain(&mut self, retention: Retention) {
        let by_keyspace = BTreeMap::new();
        self.policy = Arc::new(RetentionPolicy { default: retention, by_keyspace });
        self.engine.set_retention(Arc::clone(&self.policy));
    }

    pub(crate) fn stat(&self, name: &str) -> u64 {
        let mut found = None;
        self.engine.stats(&mut |stat, value| {
            if stat == name {
                found = Some(value);
            }
        });
        found.unwrap_or_else(|| panic!("no figure is called {name}"))
    }
}

pub(crate) fn get(
    snapshot: &LsmSnapshot,
    key: &[u8],
    ts: Timestamp,
) -> Result<Option<(Timestamp, Vec<u8>)>> {
    let mut out = Vec::new();
    Ok(snapshot.get(SPACE, key, ts, &mut out)?.map(|ts| (ts, out)))
}

pub(crate) fn scan(snapshot: &LsmSnapshot, spec: &ScanSpec<'_>) -> Result<Vec<Shown>> {
    let mut cursor = snapshot.cursor(SPACE, spec)?;
    let mut shown = Vec::new();
    while cursor.next()? {
        let entry = cursor.entry();
        shown.push((entry.key.to_vec(), entry.ts, entry.value.map(<[u8]>::to_vec)));
    }
    Ok(shown)
}

/// Everything, in one direction.
pub(crate) fn everything(visible: Visible, reverse: bool) -> ScanSpec<'static> {
    ScanSpec { range: KeyRange::ALL, visible, reverse }
}
