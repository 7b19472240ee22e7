//! What is to be removed from all history, and the one function that says what stays.
//!
//! An erasure names *keys*, of which every version goes, and *values*: a version that holds one of them
//! goes, whatever its key. (Entries of an index name the row they lead to, so that whoever erases rows
//! need not know under which keys the indexes had them.) Versions later than the erasure are none of its
//! business, so that it may be done again.
//!
//! A version that goes leaves a tombstone where an older version of its key would else be seen in its
//! time; a tombstone that has nothing older to hide goes too. So of a key whose versions all go, nothing
//! is left.
//!
//! Layout (docs/formats/erasure.md): version, time, and for each keyspace its keys and its values.

use std::collections::{BTreeMap, BTreeSet};

use crate::{KeyspaceId, Timestamp, read_varint, write_varint};

const VERSION: u8 = 1;

/// What goes from one keyspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Targets {
    keys: BTreeSet<Vec<u8>>,
    values: BTreeSet<Vec<u8>>,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erasure {
    /// Later versions stay.
    pub up_to: Timestamp,
    spaces: BTreeMap<KeyspaceId, Targets>,
}

impl Erasure {
    /// The same, but that versions after `up_to` stay.
    #[must_use]
    pub fn limited_to(mut self, up_to: Timestamp) -> Self {
        self.up_to = up_to;
        self
    }

    /// Every version of a key goes.
    pub fn add_key(&mut self, space: KeyspaceId, key: &[u8]) {
        self.spaces.entry(space).or_default().keys.insert(key.to_vec());
    }

    /// Every version with this value goes.
    pub fn add_value(&mut self, space: KeyspaceId, value: &[u8]) {
        self.spaces.entry(space).or_default().values.insert(value.to_vec());
    }

    /// Whether nothing is to go.
    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }

    /// The keyspaces that lose something, ascending.
    pub fn keyspaces(&self) -> impl Iterator<Item = KeyspaceId> {
        self.spaces.keys().copied()
    }

    /// Whether something may go from a stretch of keys, both ends included.
    pub fn may_touch(&self, first: (KeyspaceId, &[u8]), last: (KeyspaceId, &[u8])) -> bool {
        if first.0 > last.0 {
            return false;
        }
        self.spaces.range(first.0..=last.0).any(|(&space, targets)| {
            let is_after_start = |key: &[u8]| space > first.0 || key >= first.1;
            let is_before_end = |key: &[u8]| space < last.0 || key <= last.1;
            !targets.values.is_empty()
                || targets.keys.iter().any(|key| is_after_start(key) && is_before_end(key))
        })
    }

    /// Whether a key's versions must be looked at together.
    pub fn may_touch_key(&self, space: KeyspaceId, key: &[u8]) -> bool {
        let targets = self.spaces.get(&space);
        targets.is_some_and(|targets| !targets.values.is_empty() || targets.keys.contains(key))
    }

    /// Takes out of all kept versions of a key, newest first, what is to go. Returns how many versions
    /// fewer there are.
    pub fn apply<V: AsRef<[u8]>>(
        &self,
        space: KeyspaceId,
        key: &[u8],
        versions: &mut Vec<(Timestamp, Option<V>)>,
    ) -> usize {
        let Some(targets) = self.spaces.get(&space) else { return 0 };
        let whole = targets.keys.contains(key);
        let goes = |ts: Timestamp, value: &V| {
            ts <= self.up_to && (whole || targets.values.contains(value.as_ref()))
        };
        let holds = |(ts, value): &(Timestamp, Option<V>)| {
            value.as_ref().is_some_and(|value| goes(*ts, value))
        };
        if !whole && !versions.iter().any(holds) {
            return 0;
        }
        let count = versions.len();
        // Oldest first: whether something older is there to be hidden.
        let mut hides = false;
        versions.reverse();
        versions.retain_mut(|(ts, value)| {
            if value.as_ref().is_some_and(|value| goes(*ts, value)) {
                *value = None;
            }
            let stays = value.is_some() || hides || *ts > self.up_to;
            hides = value.is_some();
            stays
        });
        versions.reverse();
        count - versions.len()
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        write_varint(&mut out, self.up_to.0);
        write_varint(&mut out, self.spaces.len() as u64);
        for (space, targets) in &self.spaces {
            write_varint(&mut out, u64::from(space.0));
            for set in [&targets.keys, &targets.values] {
                write_varint(&mut out, set.len() as u64);
                for bytes in set {
                    write_varint(&mut out, bytes.len() as u64);
                    out.extend_from_slice(bytes);
                }
            }
        }
        out
    }

    /// Reads what [`Erasure::encode`] wrote; `None` if these are other bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, mut rest) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        let rest = &mut rest;
        let mut erasure =
            Self { up_to: Timestamp(read_varint(rest)?), spaces: BTreeMap::default() };
        for _ in 0..read_varint(rest)? {
            let space = KeyspaceId(u32::try_from(read_varint(rest)?).ok()?);
            let targets = erasure.spaces.entry(space).or_default();
            for set in [&mut targets.keys, &mut targets.values] {
                for _ in 0..read_varint(rest)? {
                    let len = usize::try_from(read_varint(rest)?).ok()?;
                    let (bytes, after) = rest.split_at_checked(len)?;
                    set.insert(bytes.to_vec());
                    *rest = after;
                }
            }
        }
        rest.is_empty().then_some(erasure)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPACE: KeyspaceId = KeyspaceId(3);

    /// What a read at `at` sees.
    fn read(versions: &[(Timestamp, Option<Vec<u8>>)], at: u64) -> Option<&Vec<u8>> {
        versions.iter().find(|(ts, _)| ts.0 <= at)?.1.as_ref()
    }

    #[test]
    fn a_key_goes_without_a_trace() {
        let mut erasure = Erasure { up_to: Timestamp(9), ..Erasure::default() };
        erasure.add_key(SPACE, b"k");
        let put = |ts, value: &[u8]| (Timestamp(ts), Some(value.to_vec()));
        let mut versions =
            vec![(Timestamp(9), None), put(5, b"b"), (Timestamp(4), None), put(1, b"a")];
        assert_eq!(erasure.apply(SPACE, b"k", &mut versions), 4);
        assert_eq!(versions, []);
        let mut later = vec![put(10, b"new"), put(5, b"b")];
        assert_eq!(erasure.apply(SPACE, b"k", &mut later), 1);
        assert_eq!(later, [put(10, b"new")]);
        let mut other = vec![put(5, b"b")];
        assert_eq!(erasure.apply(SPACE, b"l", &mut other), 0);
        assert_eq!(erasure.apply(KeyspaceId(4), b"k", &mut other), 0);
    }

    #[test]
    fn stretches_are_told_apart() {
        let mut erasure = Erasure::default();
        erasure.add_key(SPACE, b"k");
        assert!(erasure.may_touch((SPACE, b"a"), (SPACE, b"k")));
        assert!(erasure.may_touch((KeyspaceId(1), b"z"), (KeyspaceId(9), b"a")));
        assert!(!erasure.may_touch((SPACE, b"l"), (KeyspaceId(9), b"a")));
        assert!(!erasure.may_touch((KeyspaceId(9), b""), (KeyspaceId(1), b"")));
        erasure.add_value(KeyspaceId(5), b"k");
        assert!(erasure.may_touch((SPACE, b"l"), (KeyspaceId(9), b"a")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        /// What did not go is read as before at every time; what went, and only that, is read as nothing.
        #[test]
        fn others_are_read_as_before(
            history in prop::collection::btree_map(1u64..30, prop::option::of(0u8..3), 0..12),
            up_to in 0u64..32,
            whole: bool,
        ) {
            let versions: Vec<_> =
                history.iter().rev().map(|(&ts, value)| (Timestamp(ts), value.map(|v| vec![v]))).collect();
            let mut erasure = Erasure { up_to: Timestamp(up_to), ..Erasure::default() };
            if whole { erasure.add_key(SPACE, b"k") } else { erasure.add_value(SPACE, &[1]) }
            let mut left = versions.clone();
            let gone = erasure.apply(SPACE, b"k", &mut left);
            prop_assert_eq!(versions.len() - gone, left.len());
            for at in 0..34 {
                let begun = versions.iter().find(|(ts, _)| ts.0 <= at);
                let goes = |value: &Vec<u8>| begun.is_some_and(|(ts, _)| ts.0 <= up_to) && (whole || value == &[1]);
                let expected = read(&versions, at).filter(|value| !goes(value));
                prop_assert_eq!(read(&left, at), expected, "at {}", at);
            }
            let mut again = left.clone();
            erasure.apply(SPACE, b"k", &mut again);
            prop_assert_eq!(&again, &left, "doing it again changes nothing");
            for (_, value) in &left {
                prop_assert!(value.is_some() || whole || left.iter().any(|(_, v)| v.is_some())
                    || left == versions || left.iter().all(|(ts, _)| ts.0 > up_to));
            }
        }

        #[test]
        fn bytes_round_trip(
            keys in prop::collection::vec((0u32..4, prop::collection::vec(any::<u8>(), 0..5)), 0..6),
            values in prop::collection::vec((0u32..4, prop::collection::vec(any::<u8>(), 0..5)), 0..6),
            up_to: u64,
        ) {
            let mut erasure = Erasure { up_to: Timestamp(up_to), ..Erasure::default() };
            keys.iter().for_each(|(space, key)| erasure.add_key(KeyspaceId(*space), key));
            values.iter().for_each(|(space, value)| erasure.add_value(KeyspaceId(*space), value));
            let bytes = erasure.encode();
            prop_assert_eq!(Erasure::decode(&bytes), Some(erasure));
            for len in 0..bytes.len() {
                prop_assert_eq!(Erasure::decode(&bytes[..len]), None);
            }
        }

        #[test]
        fn any_bytes_are_an_erasure_or_none(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            drop(Erasure::decode(&bytes));
        }
    }
}
