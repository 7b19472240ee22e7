//! How far back can be read.
//!
//! Two promises bound a read: the policy in force when its snapshot was made, and the *floor*, what
//! merges have left. The floor is on disk, because a reopened engine starts with the policy
//! "for ever" and must still refuse times whose versions are gone.

use std::collections::BTreeMap;

use driftdb_storage::{KeyspaceId, Result, Retention, StorageError, Timestamp};

use crate::keyspaces::Life;

/// What can still be read, for keyspaces that have lost history. (`min_versions` is not used.)
pub(crate) type Floors = BTreeMap<KeyspaceId, Retention>;

/// Lowers what a keyspace can still answer to what `policy` also covers.
pub(crate) fn raise(floors: &mut Floors, space: KeyspaceId, policy: &Retention) {
    let floor = floors.entry(space).or_insert(Retention::FOREVER);
    let keep_since = floor.keep_since.max(policy.keep_since);
    let mut pins: Vec<Timestamp> = floor
        .pins
        .iter()
        .chain(&policy.pins)
        .copied()
        .filter(|&pin| pin < keep_since && floor.covers(pin) && policy.covers(pin))
        .collect();
    pins.sort_unstable();
    pins.dedup();
    *floor = Retention { keep_since, pins, min_versions: 0 };
}

/// Whether a read at `ts` is allowed.
///
/// # Errors
/// [`StorageError::SnapshotTooOld`].
pub(crate) fn check(policy: &Retention, floor: Option<&Retention>, ts: Timestamp) -> Result<()> {
    if policy.covers(ts) && floor.is_none_or(|floor| floor.covers(ts)) {
        return Ok(());
    }
    let oldest = floor.map_or(policy.keep_since, |floor| policy.keep_since.max(floor.keep_since));
    Err(StorageError::SnapshotTooOld { requested: ts, oldest })
}

/// Whether every version after `ts` is kept. A pin does not suffice: it keeps one version of each
/// key, not the stretch after it.
///
/// # Errors
/// [`StorageError::SnapshotTooOld`].
pub(crate) fn check_since(
    policy: &Retention,
    floor: Option<&Retention>,
    ts: Timestamp,
) -> Result<()> {
    let oldest = floor.map_or(policy.keep_since, |floor| policy.keep_since.max(floor.keep_since));
    if ts >= oldest { Ok(()) } else { Err(StorageError::SnapshotTooOld { requested: ts, oldest }) }
}

/// Whether no time that `policy` covers can see the keyspace, given what is durable.
pub(crate) fn is_gone(life: &Life, policy: &Retention, durable: Timestamp) -> bool {
    // A removal that is not yet durable may be undone by a crash: its data must stay till then.
    let Some(dropped) = life.dropped.filter(|&dropped| dropped <= durable) else { return false };
    let pinned = policy.pins.iter().any(|&pin| life.includes(pin));
    policy.keep_since >= dropped && !pinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(ts: u64, pins: &[u64]) -> Retention {
        let pins = pins.iter().copied().map(Timestamp).collect();
        Retention { keep_since: Timestamp(ts), pins, min_versions: 0 }
    }

    #[test]
    fn a_floor_is_what_all_policies_covered() {
        let space = KeyspaceId(1);
        let mut floors = Floors::new();
        raise(&mut floors, space, &since(10, &[3, 5]));
        raise(&mut floors, space, &since(20, &[3, 4, 15]));
        assert_eq!(floors[&space], since(20, &[3, 15]));
        raise(&mut floors, space, &since(2, &[]));
        assert_eq!(floors[&space], since(20, &[3, 15]));
    }

    #[test]
    fn a_dropped_keyspace_goes_when_no_time_sees_it() {
        let life = Life { created: Timestamp(5), dropped: Some(Timestamp(8)) };
        let durable = Timestamp(100);
        assert!(is_gone(&life, &since(8, &[]), durable));
        assert!(!is_gone(&life, &since(7, &[]), durable));
        assert!(!is_gone(&life, &since(8, &[7]), durable));
        assert!(is_gone(&life, &since(8, &[4]), durable));
        assert!(!is_gone(&life, &since(8, &[]), Timestamp(7)));
    }
}
