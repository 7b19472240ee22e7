//! Versions over a stretch of time, against a model that keeps every one.

use std::collections::BTreeMap;
use std::ops::Bound;

use driftdb_concurrency::{
    IsolationLevel, ReadAt, RowBatch, ScanRequest, ScanState, TxnError, VersionScan,
};
use driftdb_storage::{KeyRange, KeyspaceId, Timestamp};

use super::driver::{Fixture, Open, SPACE, get, put};

/// Commits of the history that is scanned.
const COMMITS: u64 = 60;
const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A key, when the version began, and its value: `None` where the key was removed.
type Version = (String, Timestamp, Option<String>);

/// Scrambles a number (SplitMix64's finalizer), so that the history looks random and never changes.
fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// When the row that a fixture was made with began.
fn began(fixture: &Fixture) -> Timestamp {
    let mut rows = RowBatch::new();
    let (range, at) = (KeyRange::ALL, ReadAt::Statement);
    let request = ScanRequest { range, at, reverse: false, max_rows: 1 };
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    txn.scan(SPACE, &request, &mut rows).expect("a healthy store reads");
    rows.row(0).ts
}

/// Writes and removes keys, some several in a commit. Returns every version.
fn write_history(fixture: &Fixture) -> Vec<Version> {
    let mut versions = vec![("a".to_owned(), began(fixture), Some("first".to_owned()))];
    for round in 0..COMMITS {
        let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
        let mut written = BTreeMap::new();
        for draw in 0..=scrambled(round) % 3 {
            let draw = scrambled(round * 7 + draw);
            let key = KEYS[(draw % KEYS.len() as u64) as usize];
            let value = (!draw.is_multiple_of(4)).then(|| format!("{round}.{draw}"));
            put(&mut *txn, key, value.as_deref().unwrap_or_default()).expect("nobody else writes");
            if value.is_none() {
                txn.delete(SPACE, key.as_bytes()).expect("the key is locked");
            }
            written.insert(key.to_owned(), value);
        }
        let commit = txn.commit().expect("nobody else writes").commit.expect("it wrote");
        versions.extend(written.into_iter().map(|(key, value)| (key, commit.ts, value)));
        if round % 17 == 16 {
            fixture.store.checkpoint().expect("a healthy store checkpoints");
        }
    }
    versions
}

/// What a scan must give, from all there ever was.
fn expected(all: &[Version], from: Timestamp, up_to: Timestamp, keys: &[&str]) -> Vec<Version> {
    let mut found = Vec::new();
    for key in keys {
        let of_key = || all.iter().rev().filter(|version| version.0 == *key);
        found.extend(of_key().filter(|version| version.1 > from && version.1 <= up_to).cloned());
        let alive = of_key().find(|version| version.1 <= from);
        found.extend(alive.filter(|version| version.2.is_some()).cloned());
    }
    found
}

/// Every version of a range of keys, in batches of `max_rows`.
fn scan_versions(
    txn: &mut dyn driftdb_concurrency::Transaction,
    scan: VersionScan<'_>,
    with_alive: bool,
) -> Vec<Version> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut found: Vec<Version> = Vec::new();
    loop {
        let mut scan = scan;
        let last = found.last().cloned();
        if let Some((key, ts, _)) = &last {
            let bound = Bound::Included(key.as_bytes());
            *(if scan.reverse { &mut scan.range.end } else { &mut scan.range.start }) = bound;
            scan.older_than = Some(*ts);
        }
        let mut batch = RowBatch::new();
        let state = if with_alive {
            txn.scan_versions(SPACE, &scan, &mut batch)
        } else {
            txn.scan_begun(SPACE, &scan, &mut batch)
        };
        let state = state.expect("a remembered stretch");
        assert!(batch.len() <= scan.max_rows);
        found.extend(batch.rows().map(|row| (text(row.key), row.ts, row.value.map(text))));
        if state == ScanState::Done {
            return found;
        }
        assert!(!batch.is_empty(), "more means that there was something");
    }
}

/// A scan over a stretch gives what was alive at its beginning and what began within it, once each,
/// newest first within a key, whatever the batches are; without the transaction's own writes.
pub fn a_stretch_of_time_shows_each_version_once(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "first")]);
    let all = write_history(&fixture);
    let newest = fixture.store.newest();
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    put(&mut *txn, "c", "own").expect("nobody else writes");
    txn.begin_statement().expect("a healthy store begins statements");
    let times: Vec<Timestamp> = all.iter().map(|version| version.1).collect();
    let mut scans = 0;
    for round in 0..40 {
        let draw = |what: u64| scrambled(round * 31 + what);
        let time = |what: u64| {
            let ts = times[(draw(what) % times.len() as u64) as usize];
            Timestamp(ts.0 - draw(what + 9) % 2)
        };
        let (a, b) = (time(1), time(2));
        let (from, up_to) = match round % 4 {
            0 => (a, a),
            1 => (a.min(b), newest),
            2 => (Timestamp::MIN, a),
            _ => (a.min(b), a.max(b)),
        };
        let (low, high) = (draw(3) as usize % KEYS.len(), draw(4) as usize % KEYS.len());
        let (low, high) = (low.min(high), low.max(high));
        let range = KeyRange {
            start: Bound::Included(KEYS[low].as_bytes()),
            end: Bound::Included(KEYS[high].as_bytes()),
        };
        for (reverse, max_rows) in [(false, 1), (true, 2), (false, 7), (true, 1000)] {
            let scan = VersionScan { range, from, up_to, older_than: None, reverse, max_rows };
            let mut keys = KEYS[low..=high].to_vec();
            if reverse {
                keys.reverse();
            }
            let found = scan_versions(&mut *txn, scan, true);
            let mut expected = expected(&all, from, up_to, &keys);
            assert_eq!(found, expected, "{from:?} to {up_to:?}");
            scans += found.len();
            expected.retain(|(_, ts, _)| *ts > from);
            let begun = scan_versions(&mut *txn, scan, false);
            assert_eq!(begun, expected, "begun after {from:?}, up to {up_to:?}");
        }
    }
    assert!(scans > 1000, "the scans of this test found little: {scans}");
    let own = get(&mut *txn, "c", ReadAt::Statement).expect("a healthy store reads");
    assert_eq!(own.as_deref(), Some("own"));
    assert_eq!(txn.oldest_readable(SPACE).expect("a healthy store"), Timestamp::MIN);
}

/// The history of a keyspace that is gone can be listed; a stretch may not reach into the future.
pub fn stretches_end_with_their_keyspace(open: &Open) {
    let fixture = Fixture::new(open, &[("a", "1")]);
    let began = began(&fixture);
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    txn.drop_keyspace(SPACE).expect("it is there");
    let dropped = txn.commit().expect("nobody else writes").commit.expect("it wrote").ts;
    let mut txn = fixture.begin(IsolationLevel::ReadCommitted);
    let range = KeyRange::ALL;
    let (older_than, reverse, max_rows) = (None, false, 10);
    let stretch = |from, up_to| VersionScan { range, from, up_to, older_than, reverse, max_rows };
    let before = Timestamp(dropped.0 - 1);
    let version = ("a".to_owned(), began, Some("1".to_owned()));
    let expected = [version];
    for with_alive in [true, false] {
        let found = scan_versions(&mut *txn, stretch(Timestamp::MIN, before), with_alive);
        assert_eq!(found, expected, "from before there was anything");
    }
    assert_eq!(scan_versions(&mut *txn, stretch(before, before), true), expected);
    assert!(scan_versions(&mut *txn, stretch(before, before), false).is_empty());
    let mut out = RowBatch::new();
    let future = Timestamp(u64::MAX / 2);
    let refused = txn.scan_versions(SPACE, &stretch(began, future), &mut out);
    assert!(matches!(refused, Err(TxnError::FutureTime { .. })), "{refused:?}");
    let unknown = KeyspaceId(9999);
    let refused = txn.scan_versions(unknown, &stretch(began, dropped), &mut out);
    assert!(matches!(refused, Err(TxnError::Storage(_))), "{refused:?}");
}
