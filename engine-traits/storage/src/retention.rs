//! How much history is promised, and the one function that decides what may be forgotten.
//!
//! Every engine, checkpointer and verifier calls the same [`Fold`]; it is pure and safe on partial
//! views: a version is dropped only if a newer one that every readable time prefers went through
//! the same fold.

use std::collections::BTreeMap;

use crate::{KeyspaceId, Timestamp};

/// The promise about one keyspace. A time is readable if it is at or after `keep_since`, or pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Every time from here on is readable.
    pub keep_since: Timestamp,
    /// Single earlier times that stay readable, ascending.
    pub pins: Vec<Timestamp>,
    /// Versions of each key that are kept whatever their age.
    pub min_versions: u32,
}

impl Retention {
    /// Everything, for ever.
    pub const FOREVER: Self =
        Self { keep_since: Timestamp::MIN, pins: Vec::new(), min_versions: 0 };

    /// Everything readable since `keep_since`.
    pub fn since(keep_since: Timestamp) -> Self {
        Self { keep_since, ..Self::FOREVER }
    }

    /// Whether a read at `ts` is promised.
    pub fn covers(&self, ts: Timestamp) -> bool {
        ts >= self.keep_since || self.pins.binary_search(&ts).is_ok()
    }

    /// Whether some pin lies in `low..high`.
    fn pinned_within(&self, low: Timestamp, high: Timestamp) -> bool {
        let first = self.pins.partition_point(|&pin| pin < low);
        self.pins.get(first).is_some_and(|&pin| pin < high)
    }
}

/// The promises about all keyspaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// For keyspaces not listed.
    pub default: Retention,
    /// Exceptions.
    pub by_keyspace: BTreeMap<KeyspaceId, Retention>,
}

impl Default for RetentionPolicy {
    fn default() -> Self {
        Self { default: Retention::FOREVER, by_keyspace: BTreeMap::new() }
    }
}

impl RetentionPolicy {
    /// The promise about one keyspace.
    pub fn of(&self, space: KeyspaceId) -> &Retention {
        self.by_keyspace.get(&space).unwrap_or(&self.default)
    }
}

/// What becomes of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Some readable time needs it.
    Keep,
    /// No readable time sees it.
    Drop,
    /// A tombstone that only hides older versions: it may go if the fold saw *all* older versions
    /// of the key (and they all went), else it must stay.
    DropIfBottom,
}

/// Judges the versions of one key, newest first.
#[derive(Debug, Clone)]
pub struct Fold<'a> {
    retention: &'a Retention,
    seen: u32,
    newer: Option<Timestamp>,
}

impl<'a> Fold<'a> {
    /// A fold for the next key.
    pub fn new(retention: &'a Retention) -> Self {
        Self { retention, seen: 0, newer: None }
    }

    /// The verdict on the next older version of the key.
    ///
    /// # Panics
    /// If `ts` is not older than the version judged before.
    pub fn judge(&mut self, ts: Timestamp, is_tombstone: bool) -> Verdict {
        assert!(self.newer.is_none_or(|newer| ts < newer), "versions come newest first");
        // The times that read this version: from its own to just before the next newer one's.
        let until = self.newer.unwrap_or(Timestamp::MAX);
        let is_newest = self.newer.is_none();
        self.newer = Some(ts);
        self.seen += 1;
        let needed = is_newest
            || until > self.retention.keep_since
            || self.retention.pinned_within(ts, until)
            || self.seen <= self.retention.min_versions;
        match (needed, is_tombstone) {
            // A readable time that finds no version at all answers as it does at a tombstone, so a
            // tombstone that no older version needs hiding behind it is only dead weight, once no
            // readable time could be served an older version in its stead.
            (true, true) if ts <= self.retention.keep_since && self.retention.pins.is_empty() => {
                Verdict::DropIfBottom
            }
            (true, _) => Verdict::Keep,
            (false, _) => Verdict::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The value a read at `at` sees: the newest version at or below, unless a tombstone.
    fn read(versions: &[(u64, bool)], at: u64) -> Option<u64> {
        let newest = versions.iter().filter(|(ts, _)| *ts <= at).max_by_key(|(ts, _)| *ts)?;
        (!newest.1).then_some(newest.0)
    }

    fn folded(versions: &[(u64, bool)], retention: &Retention) -> Vec<(u64, bool)> {
        let mut fold = Fold::new(retention);
        let mut kept: Vec<(u64, bool)> = Vec::new();
        let mut bottoms = Vec::new();
        for &(ts, tombstone) in versions.iter().rev() {
            match fold.judge(Timestamp(ts), tombstone) {
                Verdict::Keep => kept.push((ts, tombstone)),
                Verdict::Drop => {}
                Verdict::DropIfBottom => bottoms.push(ts),
            }
        }
        // The fold saw everything: a tombstone may go if nothing older than it stayed.
        for bottom in bottoms {
            if kept.iter().any(|(ts, _)| *ts < bottom) {
                kept.push((bottom, true));
            }
        }
        kept
    }

    #[test]
    fn the_version_read_at_the_horizon_stays() {
        let kept = folded(&[(1, false), (5, false), (9, false)], &Retention::since(Timestamp(7)));
        assert_eq!(kept, [(9, false), (5, false)]);
    }

    #[test]
    fn an_old_tombstone_goes_with_what_it_hides() {
        let kept = folded(&[(1, false), (5, true)], &Retention::since(Timestamp(7)));
        assert_eq!(kept, []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]
        #[test]
        fn no_readable_time_sees_another_value(
            versions in prop::collection::btree_map(1u64..30, any::<bool>(), 0..12),
            keep_since in 0u64..32,
            pins in prop::collection::btree_set(0u64..32, 0..3),
            min_versions in 0u32..3,
        ) {
            let versions: Vec<_> = versions.into_iter().collect();
            let pins: Vec<_> = pins.into_iter().map(Timestamp).collect();
            let retention = Retention { keep_since: Timestamp(keep_since), pins, min_versions };
            let kept = folded(&versions, &retention);
            for at in (0..34).filter(|at| retention.covers(Timestamp(*at))) {
                prop_assert_eq!(read(&kept, at), read(&versions, at), "at {}", at);
            }
        }
    }
}
