//! What a commit says of itself, in bytes: docs/formats/commit-record.md.
//!
//! A text that is too long is cut, at a character: a commit must not fail for what it says of itself.

use driftdb_concurrency::{Provenance, StatementKinds};

/// As PostgreSQL cuts names.
const NAME_MOST_BYTES: usize = 63;
/// A sentence or two, not a document.
const COMMENT_MOST_BYTES: usize = 1024;

/// The bytes; none if nothing is said.
pub(crate) fn encode(provenance: &Provenance) -> Vec<u8> {
    if *provenance == Provenance::default() {
        return Vec::new();
    }
    let Provenance { user, application, comment, kinds } = provenance;
    let [user, application] = [user, application].map(|name| cut(name, NAME_MOST_BYTES));
    let comment = cut(comment, COMMENT_MOST_BYTES);
    let mut out = Vec::with_capacity(5 + user.len() + application.len() + comment.len());
    out.push(kinds.bits());
    for name in [user, application] {
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(comment.as_bytes());
    out
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// The reverse; `None` if these are not such bytes.
pub(crate) fn decode(bytes: &[u8]) -> Option<Provenance> {
    let Some((&kinds, mut rest)) = bytes.split_first() else { return Some(Provenance::default()) };
    let mut name = || {
        let (&len, after) = rest.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(len))?;
        rest = after;
        String::from_utf8(name.to_vec()).ok()
    };
    let (user, application) = (name()?, name()?);
    let comment = String::from_utf8(rest.to_vec()).ok()?;
    Some(Provenance { user, application, comment, kinds: StatementKinds::from_bits(kinds) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let long = Provenance {
            user: "ä".repeat(100),
            application: String::new(),
            comment: "x".repeat(5000),
            kinds: StatementKinds::UPDATE,
        };
        let read = decode(&encode(&long)).unwrap();
        assert_eq!(read.user, "ä".repeat(31));
        assert_eq!(read.comment.len(), COMMENT_MOST_BYTES);
        assert_eq!(encode(&Provenance::default()), []);
    }

    proptest! {
        #[test]
        fn short_texts_come_back(
            user in ".{0,15}", application in ".{0,15}", comment in ".{0,40}", bits in any::<u8>(),
        ) {
            let kinds = StatementKinds::from_bits(bits);
            let said = Provenance { user, application, comment, kinds };
            prop_assert_eq!(decode(&encode(&said)), Some(said));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(said) = decode(&bytes) {
                prop_assert!(said.comment.len() <= bytes.len());
            }
        }
    }
}
