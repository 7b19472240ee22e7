//! The hash of one commit: of what it says of itself, and of all that it changed in rows and definitions.
//!
//! ```text
//! change:  H(0 ‖ keyspace ‖ length of key ‖ key ‖ 0 deleted, or 1 ‖ value)
//! commit:  H(2 ‖ number ‖ time ‖ kinds ‖ user ‖ application ‖ comment ‖ number of changes ‖ tree of changes)
//! ```
//!
//! The changes of a commit come in the order of their hashes, so that a change of which only the hash is left
//! has its place without a key. What a commit deleted is a change only if it was there before.
//!
//! Numbers are big-endian: 4 bytes for keyspaces, else 8. Texts have their lengths before them.

use driftdb_concurrency::{CommitNote, Provenance};
use driftdb_storage::KeyspaceId;

use super::merkle::{Hash, Tree, hash};

const CHANGE: u8 = 0;
const COMMIT: u8 = 2;
/// A commit whose changes were forgotten before it was hashed: only what it says of itself is.
const FORGOTTEN: u8 = 3;

/// The hash of a change: the key was given a value, or removed.
pub(super) fn change(space: KeyspaceId, key: &[u8], value: Option<&[u8]>) -> Hash {
    let (space, len) = (space.0.to_be_bytes(), (key.len() as u64).to_be_bytes());
    let is_there = [u8::from(value.is_some())];
    hash(&[&[CHANGE], &space, &len, key, &is_there, value.unwrap_or_default()])
}

/// The hash of a commit with a tree of its changes.
pub(super) fn commit(note: &CommitNote, changes: &Tree) -> Hash {
    let count = changes.count().to_be_bytes();
    said(COMMIT, note, &[&count, &changes.root()])
}

/// The hash of a commit whose changes nobody knows any more.
pub(super) fn forgotten(note: &CommitNote) -> Hash {
    said(FORGOTTEN, note, &[])
}

fn said(kind: u8, note: &CommitNote, rest: &[&[u8]]) -> Hash {
    let (number, time) = (note.sequence.to_be_bytes(), note.ts.0.to_be_bytes());
    let Provenance { user, application, comment, kinds } = &note.provenance;
    let head = [kind];
    let kinds = [kinds.bits()];
    let texts = [user, application, comment];
    let lengths = texts.map(|text| (text.len() as u64).to_be_bytes());
    let mut parts: Vec<&[u8]> = vec![&head, &number, &time, &kinds];
    for (text, length) in texts.iter().zip(&lengths) {
        parts.extend([&length[..], text.as_bytes()]);
    }
    parts.extend(rest);
    hash(&parts)
}

#[cfg(test)]
mod tests {
    use driftdb_storage::Timestamp;

    use super::*;

    fn note(user: &str, application: &str) -> CommitNote {
        let (user, application) = (user.to_owned(), application.to_owned());
        let provenance = Provenance { user, application, ..Provenance::default() };
        CommitNote { sequence: 7, ts: Timestamp(9), provenance, keyspaces: None }
    }

    #[test]
    fn whatever_differs_hashes_differently() {
        let space = KeyspaceId(1024);
        let mut seen = std::collections::BTreeSet::new();
        assert!(seen.insert(change(space, b"k", Some(b"v"))));
        assert!(seen.insert(change(KeyspaceId(1025), b"k", Some(b"v"))));
        assert!(seen.insert(change(space, b"kv", Some(b""))));
        assert!(seen.insert(change(space, b"k", Some(b""))));
        assert!(seen.insert(change(space, b"k", None)));
        let mut tree = Tree::default();
        assert!(seen.insert(commit(&note("ab", "c"), &tree)));
        assert!(seen.insert(commit(&note("a", "bc"), &tree)));
        assert!(seen.insert(forgotten(&note("a", "bc"))));
        tree.push(change(space, b"k", None));
        assert!(seen.insert(commit(&note("a", "bc"), &tree)));
    }
}
