//! The key of one version, and its order.
//!
//! A version is named by (keyspace, key, timestamp). Keys compare as that tuple, never as one
//! concatenated string, so that no key can run into the timestamp of another; the timestamp is
//! inverted (`age`), so that ascending order puts the newest version of a key first.

use driftdb_storage::{KeyspaceId, Timestamp};

/// The key of one version. The derived order is the order of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VersionKey<'a> {
    /// The keyspace.
    pub(crate) space: u32,
    /// The user's key.
    pub(crate) key: &'a [u8],
    /// The inverted timestamp: 0 is after every commit.
    pub(crate) age: u64,
}

impl<'a> VersionKey<'a> {
    /// Before every version.
    pub(crate) const LOWEST: VersionKey<'static> = VersionKey { space: 0, key: &[], age: 0 };

    /// The version of `key` made at `ts`: the first place where a reader as of `ts` looks.
    pub(crate) fn at(space: KeyspaceId, key: &'a [u8], ts: Timestamp) -> Self {
        Self { space: space.0, key, age: !ts.0 }
    }

    /// Before every version of `key`.
    pub(crate) fn newest(space: KeyspaceId, key: &'a [u8]) -> Self {
        Self { space: space.0, key, age: 0 }
    }

    /// When the version was made.
    pub(crate) fn ts(&self) -> Timestamp {
        Timestamp(!self.age)
    }

    /// Whether both name versions of one key.
    pub(crate) fn same_key(&self, other: &VersionKey<'_>) -> bool {
        self.space == other.space && self.key == other.key
    }

    /// A copy that owns its bytes.
    pub(crate) fn to_owned(self) -> OwnedKey {
        OwnedKey { space: self.space, key: self.key.into(), age: self.age }
    }

    /// The shortest key `s` with `left < s <= self`: what a branch needs to tell the two apart.
    ///
    /// # Panics
    /// If `left` is not below `self`.
    pub(crate) fn separator_from(self, left: VersionKey<'_>) -> OwnedKey {
        assert!(left < self, "separators stand between ascending keys");
        if left.space != self.space {
            return Self { key: &[], age: 0, ..self }.to_owned();
        }
        if left.key == self.key {
            return self.to_owned();
        }
        let common = left.key.iter().zip(self.key).take_while(|(a, b)| a == b).count();
        Self { key: &self.key[..=common], age: 0, ..self }.to_owned()
    }
}

/// A [`VersionKey`] with its own bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OwnedKey {
    pub(crate) space: u32,
    pub(crate) key: Box<[u8]>,
    pub(crate) age: u64,
}

impl OwnedKey {
    pub(crate) fn borrow(&self) -> VersionKey<'_> {
        VersionKey { space: self.space, key: &self.key, age: self.age }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_longer_key_does_not_run_into_a_timestamp() {
        let space = KeyspaceId(1);
        let short_old = VersionKey::at(space, b"a", Timestamp(0));
        let long_new = VersionKey::at(space, b"a\0", Timestamp(u64::MAX));
        assert!(short_old < long_new);
        assert!(
            VersionKey::at(space, b"a", Timestamp(2)) < VersionKey::at(space, b"a", Timestamp(1))
        );
    }

    proptest! {
        #[test]
        fn separators_separate(
            a in (0u32..3, prop::collection::vec(0u8..3, 0..4), 0u64..3),
            b in (0u32..3, prop::collection::vec(0u8..3, 0..4), 0u64..3),
        ) {
            let left = VersionKey { space: a.0, key: &a.1, age: a.2 };
            let right = VersionKey { space: b.0, key: &b.1, age: b.2 };
            prop_assume!(left < right);
            let separator = right.separator_from(left);
            prop_assert!(left < separator.borrow());
            prop_assert!(separator.borrow() <= right);
        }
    }
}
