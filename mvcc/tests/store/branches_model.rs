//! Branches of branches at any time, written beside each other, against maps of all that was written.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{
    ConcurrencyControl, Counter, HistoryRules, LockIntent, Provenance, ReadAt, RowBatch, ScanState,
    Store, TxnError, VersionScan,
};
use driftdb_mvcc::{BranchError, Branches, LockingControl, NewBranch, SsiControl};
use driftdb_storage::{KeyRange, Retention, RetentionPolicy, StorageError, Timestamp};
use proptest::prelude::*;

use crate::planted::Planted;
use crate::support::*;

#[derive(Debug, Clone)]
enum Step {
    /// Of a database: rows put and removed in one transaction, committed or not.
    Write(u8, Vec<(u8, Option<u8>)>, bool),
    /// Of a database, as of now or of a time.
    Branch(u8, Option<u8>),
    Drop(u8),
    /// Reads of a database: range, direction, batch, and times.
    Read {
        db: u8,
        low: u8,
        high: u8,
        reverse: bool,
        max_rows: usize,
        times: (u8, u8),
    },
    /// Everything before now may be forgotten.
    Forget,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let row = (0u8..9, prop::option::weighted(0.7, any::<u8>()));
    prop_oneof![
        6 => (any::<u8>(), prop::collection::vec(row, 1..5), prop::bool::weighted(0.9))
            .prop_map(|(db, rows, commits)| Step::Write(db, rows, commits)),
        2 => (any::<u8>(), prop::option::of(any::<u8>())).prop_map(|(db, at)| Step::Branch(db, at)),
        1 => any::<u8>().prop_map(Step::Drop),
        6 => (any::<u8>(), 0u8..10, 0u8..10, any::<bool>(), 1usize..5, any::<(u8, u8)>()).prop_map(
            |(db, low, high, reverse, max_rows, times)|
                Step::Read { db, low, high, reverse, max_rows, times }
        ),
        1 => Just(Step::Forget),
        1 => Just(Step::Crash),
    ]
}

type Rows = BTreeMap<String, Option<String>>;
/// Key, when it began, value: `None` where it was removed.
type Version = (String, Timestamp, Option<String>);

/// A database as it should be.
struct Db {
    name: Option<String>,
    parent: Option<usize>,
    at: Timestamp,
    created: Timestamp,
    commits: Vec<(Timestamp, Rows)>,
    is_dropped: bool,
}

struct Model {
    dbs: Vec<Db>,
    /// Every time that something happened at.
    times: Vec<Timestamp>,
    /// From here on everything is promised.
    floor: Timestamp,
}

impl Model {
    /// Every version of a database up to a time, by key and then from new to old.
    fn versions(&self, db: usize, up_to: Timestamp) -> Vec<Version> {
        let own = &self.dbs[db];
        let mut all = match own.parent {
            Some(parent) => self.versions(parent, up_to.min(own.at)),
            None => Vec::new(),
        };
        for (ts, rows) in own.commits.iter().filter(|(ts, _)| *ts <= up_to) {
            all.extend(rows.iter().map(|(key, value)| (key.clone(), *ts, value.clone())));
        }
        all.sort_by(|a, b| (&a.0, b.1).cmp(&(&b.0, a.1)));
        all
    }

    fn rows(&self, db: usize, ts: Timestamp) -> Rows {
        let versions = self.versions(db, ts);
        let mut rows = Rows::new();
        for (key, _, value) in versions.into_iter().rev() {
            rows.insert(key, value);
        }
        rows.retain(|_, value| value.is_some());
        rows
    }

    fn time(&self, draw: u8) -> Timestamp {
        let ts = self.times[usize::from(draw / 2) % self.times.len()];
        Timestamp(ts.0 - u64::from(draw % 2))
    }

    fn living(&self, draw: u8) -> usize {
        let living: Vec<usize> =
            (0..self.dbs.len()).filter(|db| !self.dbs[*db].is_dropped).collect();
        living[usize::from(draw) % living.len()]
    }

    /// Whether a read of a database as of a time must have an answer.
    fn is_promised(&self, db: usize, ts: Timestamp) -> bool {
        let own = &self.dbs[db];
        let is_before = own.parent.is_some() && ts < own.created;
        ts >= self.floor || is_before && ts >= own.at
    }
}

/// The databases that there are: the first is the store itself.
struct World<C: ConcurrencyControl> {
    db: Fixture<C>,
    stores: Vec<Option<Arc<dyn Store>>>,
}

impl<C: ConcurrencyControl> World<C> {
    fn branches(&self) -> Branches {
        let base: Arc<dyn Store> = Arc::<TestStore<C>>::clone(&self.db.store);
        Branches::new(base)
    }

    fn tell_pins(&self) {
        let pins = self.branches().pins().unwrap();
        self.db.store.set_history_rules(HistoryRules { pins, ..HistoryRules::default() });
    }

    fn store(&self, db: usize) -> Arc<dyn Store> {
        Arc::clone(self.stores[db].as_ref().unwrap())
    }

    fn reopen(&mut self, model: &Model) {
        self.tell_pins();
        let branches = self.branches();
        let base: Arc<dyn Store> = Arc::<TestStore<C>>::clone(&self.db.store);
        self.stores = model
            .dbs
            .iter()
            .map(|db| match &db.name {
                None => Some(Arc::clone(&base)),
                Some(_) if db.is_dropped => None,
                Some(name) => {
                    let store: Arc<dyn Store> = branches.open(name).unwrap();
                    Some(store)
                }
            })
            .collect();
    }
}

fn key(n: u8) -> String {
    format!("k{n}")
}

fn live(rows: &Rows, low: &str, high: &str, reverse: bool) -> Vec<String> {
    let inside = rows.iter().filter(|(key, _)| (low..high).contains(&key.as_str()));
    let mut list: Vec<String> =
        inside.filter_map(|(key, value)| Some(format!("{key}={}", value.as_ref()?))).collect();
    if reverse {
        list.reverse();
    }
    list
}

/// The result of a read that need not be promised.
fn remembered<T>(result: driftdb_concurrency::Result<T>, is_promised: bool) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(TxnError::Storage(StorageError::SnapshotTooOld { .. })) if !is_promised => None,
        Err(error) => panic!("{error}"),
    }
}

fn run<C: ConcurrencyControl>(steps: &[Step]) -> Result<(), TestCaseError> {
    let db = Fixture::<C>::holding(&[("k1", "old"), ("k5", "old")]);
    let first = db.store.newest();
    // The number of the fixture's table is given out: a branch's is higher.
    db.store.unique_ids(Counter::Keyspace, 1).unwrap();
    let rows = ["k1", "k5"].map(|key| (key.to_owned(), Some("old".to_owned())));
    let main = Db {
        name: None,
        parent: None,
        at: Timestamp::MIN,
        created: Timestamp::MIN,
        commits: vec![(first, rows.into())],
        is_dropped: false,
    };
    let mut model = Model { dbs: vec![main], times: vec![first], floor: Timestamp::MIN };
    let mut world = World { db, stores: Vec::new() };
    world.reopen(&model);
    for step in steps {
        match step {
            Step::Write(db, rows, commits) => write(&world, &mut model, *db, rows, *commits)?,
            Step::Branch(parent, at) => branch(&mut world, &mut model, *parent, *at)?,
            Step::Drop(db) => {
                let db = model.living(*db);
                let Some(name) = model.dbs[db].name.clone() else { continue };
                let is_parent =
                    model.dbs.iter().any(|other| !other.is_dropped && other.parent == Some(db));
                match world.branches().drop(&name, &[], &Provenance::default()) {
                    Ok(()) => {
                        prop_assert!(!is_parent);
                        model.dbs[db].is_dropped = true;
                        world.stores[db] = None;
                        world.tell_pins();
                    }
                    Err(BranchError::HasBranches { .. }) => prop_assert!(is_parent),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Read { db, low, high, reverse, max_rows, times } => {
                let db = model.living(*db);
                let (low, high) = (key(*low), key(*high));
                let read = Read { low: &low, high: &high, reverse: *reverse, max_rows: *max_rows };
                let times = [times.0, times.1].map(|draw| model.time(draw));
                read.check(&world, &model, db, times)?;
            }
            Step::Forget => {
                model.floor = world.db.store.newest();
                let default = Retention::since(model.floor);
                let policy = RetentionPolicy { default, by_keyspace: BTreeMap::new() };
                world.db.store.set_retention(policy);
                world.db.store.checkpoint().unwrap();
            }
            Step::Crash => {
                world.stores.clear();
                world.db = world.db.crash();
                world.reopen(&model);
            }
        }
    }
    Ok(())
}

fn write<C: ConcurrencyControl>(
    world: &World<C>,
    model: &mut Model,
    db: u8,
    rows: &[(u8, Option<u8>)],
    commits: bool,
) -> Result<(), TestCaseError> {
    let db = model.living(db);
    let store = world.store(db);
    let mut txn = begin(&*store, ReadCommitted);
    let mut written = Rows::new();
    let mut newest = model.rows(db, Timestamp::MAX);
    for (n, value) in rows {
        let value = value.map(|value| value.to_string());
        match &value {
            Some(value) => put(&mut txn, &key(*n), value).unwrap(),
            None => {
                lock(&mut txn, &key(*n), LockIntent::Insert).unwrap();
                txn.delete(TABLE, key(*n).as_bytes()).unwrap();
            }
        }
        written.insert(key(*n), value.clone());
        newest.insert(key(*n), value);
    }
    let found = scan_by(&mut txn, KeyRange::ALL, ReadAt::Newest, false, 2).unwrap();
    prop_assert_eq!(found, live(&newest, "", "z", false));
    if commits {
        let ts = txn.commit().unwrap().commit.unwrap().ts;
        model.dbs[db].commits.push((ts, written));
        model.times.push(ts);
    } else {
        txn.rollback();
    }
    Ok(())
}

fn branch<C: ConcurrencyControl>(
    world: &mut World<C>,
    model: &mut Model,
    parent: u8,
    at: Option<u8>,
) -> Result<(), TestCaseError> {
    let parent = model.living(parent);
    let at = at.map(|draw| model.time(draw)).filter(|at| model.is_promised(parent, *at));
    let name = format!("b{}", model.dbs.len());
    let of = model.dbs[parent].name.clone();
    let new = NewBranch { name: &name, parent: of.as_deref(), at };
    let branches = world.branches();
    match branches.create(&new, &Provenance::default()) {
        Ok((made, held)) => {
            world.tell_pins();
            drop(held);
            prop_assert!(at.is_none_or(|at| made.at <= at));
            let at = at.unwrap_or(made.at);
            let (parent, created) = (Some(parent), made.created);
            let commits = Vec::new();
            let name = Some(name.clone());
            model.dbs.push(Db { name, parent, at, created, commits, is_dropped: false });
            model.times.extend([at, created]);
        }
        Err(BranchError::TooDeep) => return Ok(()),
        Err(error) => panic!("{error}"),
    }
    world.stores.push(Some(branches.open(&name).unwrap()));
    Ok(())
}

struct Read<'a> {
    low: &'a str,
    high: &'a str,
    reverse: bool,
    max_rows: usize,
}

impl Read<'_> {
    fn check<C: ConcurrencyControl>(
        &self,
        world: &World<C>,
        model: &Model,
        db: usize,
        [a, b]: [Timestamp; 2],
    ) -> Result<(), TestCaseError> {
        let store = world.store(db);
        let mut txn = begin(&*store, ReadCommitted);
        let range = KeyRange::half_open(self.low.as_bytes(), self.high.as_bytes());
        let now = model.rows(db, Timestamp::MAX);
        let found = scan_by(&mut txn, range, ReadAt::Statement, self.reverse, self.max_rows);
        prop_assert_eq!(found.unwrap(), live(&now, self.low, self.high, self.reverse));
        let one = get_at(&mut txn, self.low, ReadAt::Statement).unwrap();
        prop_assert_eq!(one, now.get(self.low).cloned().flatten());
        for ts in [a, b] {
            let is_promised = model.is_promised(db, ts);
            let then = model.rows(db, ts);
            let at = ReadAt::AsOf(ts);
            // Before the first commit there was no table.
            if ts >= model.times[0] {
                let found = scan_by(&mut txn, range, at, self.reverse, self.max_rows);
                if let Some(found) = remembered(found, is_promised) {
                    prop_assert_eq!(found, live(&then, self.low, self.high, self.reverse));
                }
                let one = get_at(&mut txn, self.low, at);
                if let Some(one) = remembered(one, is_promised) {
                    prop_assert_eq!(one, then.get(self.low).cloned().flatten());
                }
                let options = driftdb_concurrency::BeginOptions {
                    as_of: Some(ts),
                    ..driftdb_concurrency::BeginOptions::default()
                };
                if let Some(mut past) = remembered(store.begin(options), is_promised) {
                    let at = ReadAt::Statement;
                    let found = scan_by(&mut past, range, at, self.reverse, self.max_rows);
                    if let Some(found) = remembered(found, is_promised) {
                        prop_assert_eq!(found, live(&then, self.low, self.high, self.reverse));
                    }
                }
            }
        }
        let (from, up_to) = (a.min(b).max(model.times[0]), a.max(b).max(model.times[0]));
        self.check_versions(&mut txn, model, db, from, up_to)?;
        let oldest = txn.oldest_readable(TABLE).unwrap();
        prop_assert!(oldest <= model.floor);
        self.check_versions(&mut txn, model, db, oldest.max(model.times[0]), up_to.max(oldest))
    }

    fn check_versions(
        &self,
        txn: &mut Txn,
        model: &Model,
        db: usize,
        from: Timestamp,
        up_to: Timestamp,
    ) -> Result<(), TestCaseError> {
        let is_promised = from >= model.floor;
        let expected = self.expected(model, db, from, up_to);
        if let Some(begun) = remembered(self.versions(txn, from, up_to, false), is_promised) {
            let expected = expected.iter().filter(|(_, ts, _)| *ts > from);
            prop_assert_eq!(begun, expected.cloned().collect::<Vec<Version>>());
        }
        if let Some(found) = remembered(self.versions(txn, from, up_to, true), is_promised) {
            prop_assert_eq!(found, expected, "{:?} {:?}", from, up_to);
        }
        if let Some(found) = remembered(self.changes(txn, from, up_to), is_promised) {
            let mut seen = BTreeSet::new();
            let expected: Vec<Version> = model
                .versions(db, up_to)
                .into_iter()
                .filter(|(key, ts, _)| *ts > from && self.holds(key) && seen.insert(key.clone()))
                .collect();
            prop_assert_eq!(found, expected);
        }
        Ok(())
    }

    fn holds(&self, key: &str) -> bool {
        (self.low..self.high).contains(&key)
    }

    fn expected(
        &self,
        model: &Model,
        db: usize,
        from: Timestamp,
        up_to: Timestamp,
    ) -> Vec<Version> {
        let mut by_key: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        for version in model.versions(db, up_to) {
            if !self.holds(&version.0) {
                continue;
            }
            let list = by_key.entry(version.0.clone()).or_default();
            // Newest first: what was alive at the beginning is the first at or before it.
            let is_complete = list.last().is_some_and(|last| last.1 <= from);
            if !is_complete {
                list.push(version);
            }
        }
        for list in by_key.values_mut() {
            list.retain(|(_, ts, value)| *ts > from || value.is_some());
        }
        let lists: Vec<Vec<Version>> = by_key.into_values().collect();
        if self.reverse {
            lists.into_iter().rev().flatten().collect()
        } else {
            lists.into_iter().flatten().collect()
        }
    }

    fn versions(
        &self,
        txn: &mut Txn,
        from: Timestamp,
        up_to: Timestamp,
        with_alive: bool,
    ) -> driftdb_concurrency::Result<Vec<Version>> {
        let mut found: Vec<Version> = Vec::new();
        loop {
            let range = KeyRange::half_open(self.low.as_bytes(), self.high.as_bytes());
            let last = found.last().cloned();
            let (reverse, max_rows) = (self.reverse, self.max_rows);
            let mut scan = VersionScan { range, from, up_to, older_than: None, reverse, max_rows };
            if let Some((key, ts, _)) = &last {
                let bound = Bound::Included(key.as_bytes());
                *(if reverse { &mut scan.range.end } else { &mut scan.range.start }) = bound;
                scan.older_than = Some(*ts);
            }
            let mut batch = RowBatch::new();
            let state = if with_alive {
                txn.scan_versions(TABLE, &scan, &mut batch)?
            } else {
                txn.scan_begun(TABLE, &scan, &mut batch)?
            };
            assert!(batch.len() <= max_rows);
            assert!(state == ScanState::Done || !batch.is_empty());
            found.extend(batch.rows().map(version));
            if state == ScanState::Done {
                return Ok(found);
            }
        }
    }

    fn changes(
        &self,
        txn: &mut Txn,
        from: Timestamp,
        up_to: Timestamp,
    ) -> driftdb_concurrency::Result<Vec<Version>> {
        let mut found: Vec<Version> = Vec::new();
        loop {
            let mut range = KeyRange::half_open(self.low.as_bytes(), self.high.as_bytes());
            let last = found.last().cloned();
            if let Some((key, ..)) = &last {
                range.start = Bound::Excluded(key.as_bytes());
            }
            let mut batch = RowBatch::new();
            let state = txn.scan_changes(TABLE, &range, from, up_to, self.max_rows, &mut batch)?;
            assert!(batch.len() <= self.max_rows);
            assert!(state == ScanState::Done || !batch.is_empty());
            found.extend(batch.rows().map(version));
            if state == ScanState::Done {
                return Ok(found);
            }
        }
    }
}

fn version(row: driftdb_concurrency::RowRef<'_>) -> Version {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(row.key), row.ts, row.value.map(text))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn branches_agree_with_the_model_under_ssi(steps in prop::collection::vec(step(), 0..60)) {
        run::<SsiControl>(&steps)?;
    }

    #[test]
    fn branches_agree_with_the_model_under_locking(steps in prop::collection::vec(step(), 0..60)) {
        run::<LockingControl>(&steps)?;
    }
}

/// The model test notices what it is there for.
#[test]
fn planted_bugs_of_branches_are_found() {
    let write = |db, key, value| Step::Write(db, vec![(key, value)], true);
    let read = Step::Read { db: 1, low: 0, high: 9, reverse: false, max_rows: 2, times: (6, 8) };
    let steps = [
        Step::Branch(0, None),
        write(1, 1, Some(7)),
        write(1, 5, None),
        write(1, 1, Some(8)),
        read,
    ];
    run::<SsiControl>(&steps).unwrap();
    for bug in [
        "mvcc.branch-deletes-without-a-mark",
        "mvcc.branch-shows-what-it-hides",
        "mvcc.branch-versions-overlap",
    ] {
        let _bug = Planted::new(bug);
        let found = std::panic::catch_unwind(|| run::<SsiControl>(&steps));
        assert!(!matches!(found, Ok(Ok(()))), "{bug} is not noticed");
    }
}
