//! SERIALIZABLE against its definition: what committed could have run one after another.
//!
//! Random interleavings of up to five transactions; then every order of those that committed is tried
//! until one explains all that they read and the rows at the end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use driftdb_concurrency::{
    BeginOptions, ConcurrencyControl, LockIntent, LockStrength, ReadAt, Result, Store, TxnError,
    WaitPolicy,
};
use driftdb_mvcc::{OccControl, SsiControl, SsnControl};
use driftdb_storage::{ErrorKind, KeyRange};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRng, TestRunner};

use crate::planted::Planted;
use crate::support::*;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
const TXNS: usize = 5;

#[derive(Debug, Clone, Copy)]
enum Act {
    Read(usize),
    /// From one key to before another.
    Scan(usize, usize),
    /// Updates the row if the snapshot has it.
    Update(usize),
    Insert(usize),
    Delete(usize),
    Commit,
}

/// What a transaction did, and what it saw.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Saw(usize, usize, Vec<(usize, String)>),
    Wrote(usize, Option<String>),
}

type Rows = BTreeMap<usize, String>;

fn act() -> impl Strategy<Value = (usize, Act)> {
    let key = || 0..KEYS.len();
    let act = prop_oneof![
        4 => key().prop_map(Act::Read),
        2 => (key(), 1..=KEYS.len()).prop_map(|(from, to)| Act::Scan(from, to)),
        3 => key().prop_map(Act::Update),
        1 => key().prop_map(Act::Insert),
        1 => key().prop_map(Act::Delete),
        3 => Just(Act::Commit),
    ];
    (0..TXNS, act)
}

/// The rows of a range of keys, as a transaction sees them.
fn rows_of(txn: &mut Txn, from: usize, to: usize) -> Result<Vec<(usize, String)>> {
    let end = KEYS.get(to).map_or(&b"z"[..], |key| key.as_bytes());
    let range = KeyRange::half_open(KEYS[from].as_bytes(), end);
    let rows = scan_by(txn, range, ReadAt::Statement, false, 2)?;
    let parse = |row: String| {
        let (key, value) = row.split_once('=').unwrap();
        (KEYS.iter().position(|name| *name == key).unwrap(), value.to_owned())
    };
    Ok(rows.into_iter().map(parse).collect())
}

fn claim(txn: &mut Txn, key: usize, intent: LockIntent) -> Result<()> {
    let key = KEYS[key].as_bytes();
    txn.lock(TABLE, key, LockStrength::Update, intent, WaitPolicy::NoWait).map(drop)
}

/// One statement.
fn run_act(txn: &mut Txn, act: Act, value: &str, log: &mut Vec<Event>) -> Result<()> {
    txn.begin_statement()?;
    match act {
        Act::Read(key) => {
            let seen = get_at(txn, KEYS[key], ReadAt::Statement)?;
            log.push(Event::Saw(
                key,
                key + 1,
                seen.map(|value| (key, value)).into_iter().collect(),
            ));
        }
        Act::Scan(from, to) if from < to => {
            let seen = rows_of(txn, from, to)?;
            log.push(Event::Saw(from, to, seen));
        }
        Act::Update(key) | Act::Delete(key) => {
            let seen = rows_of(txn, key, key + 1)?;
            let is_there = !seen.is_empty();
            log.push(Event::Saw(key, key + 1, seen));
            if is_there {
                claim(txn, key, LockIntent::Existing)?;
                let new = matches!(act, Act::Update(_)).then(|| value.to_owned());
                match &new {
                    Some(value) => txn.put(TABLE, KEYS[key].as_bytes(), value.as_bytes())?,
                    None => txn.delete(TABLE, KEYS[key].as_bytes())?,
                }
                log.push(Event::Wrote(key, new));
            }
        }
        Act::Insert(key) => {
            claim(txn, key, LockIntent::Insert)?;
            if get_at(txn, KEYS[key], ReadAt::Newest)?.is_some() {
                // A duplicate key, which ends the transaction.
                return Err(TxnError::ConcurrentUpdate);
            }
            txn.put(TABLE, KEYS[key].as_bytes(), value.as_bytes())?;
            log.push(Event::Wrote(key, Some(value.to_owned())));
        }
        Act::Scan(..) | Act::Commit => {}
    }
    Ok(())
}

/// Whether running these one after another, in this order, shows what they saw.
fn explains(order: &[&Vec<Event>], start: &Rows, end: &Rows) -> bool {
    let mut rows = start.clone();
    for event in order.iter().copied().flatten() {
        match event {
            Event::Saw(from, to, seen) => {
                let there = rows.range(from..to).map(|(key, value)| (*key, value.clone()));
                if !there.eq(seen.iter().cloned()) {
                    return false;
                }
            }
            Event::Wrote(key, Some(value)) => drop(rows.insert(*key, value.clone())),
            Event::Wrote(key, None) => drop(rows.remove(key)),
        }
    }
    rows == *end
}

fn some_order_explains<'a>(
    order: &mut Vec<&'a Vec<Event>>,
    rest: &[&'a Vec<Event>],
    start: &Rows,
    end: &Rows,
) -> bool {
    if rest.is_empty() {
        return explains(order, start, end);
    }
    (0..rest.len()).any(|index| {
        let mut rest = rest.to_vec();
        order.push(rest.remove(index));
        let found = some_order_explains(order, &rest, start, end);
        order.pop();
        found
    })
}

#[derive(Default)]
struct Counts {
    committed: AtomicUsize,
    aborted: AtomicUsize,
}

/// Runs an interleaving: each transaction begins at its first step.
fn run<C: ConcurrencyControl>(steps: &[(usize, Act)], counts: &Counts) -> TestCaseResult {
    let db = Fixture::<C>::holding(&[("a", "0"), ("b", "0"), ("d", "0")]);
    let start: Rows = [0, 1, 3].map(|key| (key, "0".to_owned())).into();
    let mut running: Vec<Option<(Txn, Vec<Event>)>> = (0..TXNS).map(|_| None).collect();
    let mut has_ended = [false; TXNS];
    let mut committed = Vec::new();
    let failed = |error: TxnError| {
        counts.aborted.fetch_add(1, Ordering::Relaxed);
        assert!(
            error.kind() == ErrorKind::Retry || matches!(error, TxnError::LockNotAvailable),
            "{error}"
        );
    };
    let commits = (0..TXNS).map(|index| (index, Act::Commit));
    for (step, (index, act)) in steps.iter().copied().chain(commits).enumerate() {
        if has_ended[index] {
            continue;
        }
        let (mut txn, mut log) =
            running[index].take().unwrap_or_else(|| (begin(&*db.store, Serializable), Vec::new()));
        if matches!(act, Act::Commit) {
            has_ended[index] = true;
            match txn.commit() {
                Ok(_) => committed.push(log),
                Err(error) => failed(error),
            }
            continue;
        }
        match run_act(&mut txn, act, &step.to_string(), &mut log) {
            Ok(()) => running[index] = Some((txn, log)),
            Err(error) => {
                has_ended[index] = true;
                failed(error);
            }
        }
    }
    counts.committed.fetch_add(committed.len(), Ordering::Relaxed);
    let mut last = begin(&*db.store, ReadCommitted);
    let end: Rows = rows_of(&mut last, 0, KEYS.len()).unwrap().into_iter().collect();
    let logs: Vec<&Vec<Event>> = committed.iter().collect();
    let is_serial = some_order_explains(&mut Vec::new(), &logs, &start, &end);
    prop_assert!(is_serial, "{}: {committed:#?} ends with {end:?}", C::NAME);
    Ok(())
}

/// Runs many interleavings; returns how many transactions committed and how many failed.
fn check<C: ConcurrencyControl>(cases: u32) -> std::result::Result<(usize, usize), String> {
    let counts = Counts::default();
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        // A planted bug need not be found small.
        max_shrink_iters: if Planted::is_active() { 0 } else { 10_000 },
        ..ProptestConfig::default()
    };
    // A fixed generator: every control meets the same interleavings.
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let steps = prop::collection::vec(act(), 0..40);
    let checked = runner.run(&steps, |steps| run::<C>(&steps, &counts));
    checked.map_err(|error| error.to_string())?;
    Ok((counts.committed.into_inner(), counts.aborted.into_inner()))
}

#[test]
fn what_commits_is_serializable() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = cases.unwrap_or(1500);
    let ssi = check::<SsiControl>(cases).unwrap();
    let ssn = check::<SsnControl>(cases).unwrap();
    let occ = check::<OccControl>(cases).unwrap();
    println!("committed and failed: ssi {ssi:?}, ssn {ssn:?}, occ {occ:?}");
    // Both look at more than one edge before they fail somebody.
    assert!(ssi.0 > occ.0 && ssn.0 > occ.0, "ssi {ssi:?}, ssn {ssn:?}, occ {occ:?}");
}

/// Every part of each rule is needed: without it the same check fails.
#[test]
fn what_commits_without_a_rule_is_not_serializable() {
    let find = |bug: &'static str,
                check: fn(u32) -> std::result::Result<(usize, usize), String>| {
        let _bug = Planted::new(bug);
        let counts = check(10_000);
        assert!(counts.is_err(), "{bug}: not found, {counts:?}");
    };
    find("mvcc.ssi-pivot-not-seen", check::<SsiControl>);
    find("mvcc.ssi-first-of-three-not-seen", check::<SsiControl>);
    find("mvcc.readers-not-certified", check::<SsiControl>);
    find("mvcc.scan-extent-not-tracked", check::<SsiControl>);
    find("mvcc.footprint-forgotten-early", check::<SsiControl>);
    find("mvcc.ssn-reader-not-seen", check::<SsnControl>);
    find("mvcc.occ-reads-not-validated", check::<OccControl>);
}

fn read_only(store: &TestStore<SsiControl>, deferrable: bool) -> Txn {
    let options = BeginOptions {
        isolation: Serializable,
        read_only: true,
        deferrable,
        ..BeginOptions::default()
    };
    let mut txn = store.begin(options).unwrap();
    txn.begin_statement().unwrap();
    txn
}

/// A withdrawal that has seen no deposit, and a deposit that has committed.
fn accounts() -> (Fixture<SsiControl>, Txn) {
    let db = Fixture::<SsiControl>::holding(&[("checking", "0"), ("savings", "0")]);
    let mut withdrawal = db.begin(Serializable);
    get(&mut withdrawal, "checking");
    get(&mut withdrawal, "savings");
    let mut deposit = db.begin(Serializable);
    get(&mut deposit, "savings");
    update(&mut deposit, "savings", "20").unwrap();
    deposit.commit().unwrap();
    (db, withdrawal)
}

/// The read-only anomaly [Fekete04]: a report sees a deposit, and not the withdrawal that a serial order has
/// before it.
#[test]
fn a_reader_alone_can_make_two_writers_wrong() {
    for declared in [true, false] {
        let (db, mut withdrawal) = accounts();
        let mut report =
            if declared { read_only(&db.store, false) } else { db.begin(Serializable) };
        assert_eq!(get(&mut report, "checking").as_deref(), Some("0"));
        assert_eq!(get(&mut report, "savings").as_deref(), Some("20"));
        report.commit().unwrap();
        // The edge from the report is there with the write, and the one to the deposit was before.
        let error = update(&mut withdrawal, "checking", "-11").unwrap_err();
        assert!(matches!(error, TxnError::ReadWriteDependency { .. }), "{error}");
    }
    // Without the report the withdrawal came first.
    let (_db, mut withdrawal) = accounts();
    update(&mut withdrawal, "checking", "-11").unwrap();
    withdrawal.commit().unwrap();
}

/// The report fails if it is the last of the three to end.
#[test]
fn a_reader_fails_where_the_writers_have_committed() {
    let (db, mut withdrawal) = accounts();
    let mut report = read_only(&db.store, false);
    assert_eq!(get(&mut report, "savings").as_deref(), Some("20"));
    update(&mut withdrawal, "checking", "-11").unwrap();
    withdrawal.commit().unwrap();
    let error = get_at(&mut report, "checking", ReadAt::Statement).unwrap_err();
    assert!(matches!(error, TxnError::ReadWriteDependency { .. }), "{error}");
}

/// DEFERRABLE waits until its snapshot cannot fail, and takes another one if it could.
#[test]
fn a_deferrable_reader_waits_for_a_safe_snapshot() {
    let (db, mut withdrawal) = accounts();
    let store = std::sync::Arc::clone(&db.store);
    let report = beside(&db.env, move || {
        let mut report = read_only(&store, true);
        let seen = [get(&mut report, "checking"), get(&mut report, "savings")];
        report.commit().unwrap();
        seen
    });
    // The withdrawal holds a snapshot, and from its beginning on the report does.
    let snapshots = || {
        let mut count = 0;
        db.store.stats(&mut |name, figure| {
            if name == "long_reader_count" {
                count = figure;
            }
        });
        count
    };
    while snapshots() < 2 {
        driftdb_env::yield_now("test");
    }
    update(&mut withdrawal, "checking", "-11").unwrap();
    withdrawal.commit().unwrap();
    // The snapshot before the withdrawal was unsafe; the one after it is of a serial order.
    assert_eq!(report.join(), [Some("-11".to_owned()), Some("20".to_owned())]);
}
