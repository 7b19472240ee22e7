//! Nodes to payloads and back.

use std::sync::OnceLock;

use crate::history::{Era, Past, SliceRef};
use crate::key::VersionKey;
use crate::node::{
    Body, Branch, CHILD_BYTES, Child, Leaf, Location, NODE_HEAD, Node, OVERFLOW_BYTES, PageRef,
};
use crate::page::{u32_at, u64_at};
use crate::slotted::{Slotted, Tag, encode_entry};

/// Where an overflow value lies, as its leaf entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow {
    pub(crate) at: PageRef,
    pub(crate) len: u64,
}

impl Overflow {
    pub(crate) fn encode(self) -> [u8; OVERFLOW_BYTES] {
        let mut out = [0; OVERFLOW_BYTES];
        out[..8].copy_from_slice(&self.at.page.to_le_bytes());
        out[8..12].copy_from_slice(&self.at.crc.to_le_bytes());
        out[12..].copy_from_slice(&self.len.to_le_bytes());
        out
    }

    /// # Panics
    /// If `bytes` is not as long as an overflow reference; decoding a leaf checked that.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), OVERFLOW_BYTES);
        let at = PageRef { page: u64_at(bytes, 0), crc: u32_at(bytes, 8) };
        Self { at, len: u64_at(bytes, 12) }
    }
}

/// Set in the first number of a leaf that begins with its eras; the number is then their bytes.
const HAS_PAST: u32 = 1 << 31;

/// The payload of a leaf; `overflow` gives the chain of a value that is still in memory, `slice` the
/// place of an era, none for a dead one.
pub(crate) fn encode_leaf(
    leaf: &Leaf,
    overflow: impl Fn(&[u8]) -> Overflow,
    slice: impl Fn(&Era) -> Option<SliceRef>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(leaf.payload_size());
    if !leaf.past.is_empty() {
        out.resize(4, 0);
        leaf.past.encode(slice, &mut out);
        let len = u32::try_from(out.len() - 4).expect("a list of eras is short");
        out[..4].copy_from_slice(&(HAS_PAST | len).to_le_bytes());
    }
    out.extend_from_slice(&(leaf.entries.len() as u32).to_le_bytes());
    for slot in leaf.entries.iter() {
        match slot.tag {
            Tag::Pending => {
                encode_entry(&mut out, slot.key, Tag::Overflow, &overflow(slot.value).encode());
            }
            tag => encode_entry(&mut out, slot.key, tag, slot.value),
        }
    }
    out
}

/// The payload of a branch whose children lie at `children`.
pub(crate) fn encode_branch(branch: &Branch, children: &[PageRef]) -> Vec<u8> {
    assert_eq!(branch.separators.len(), children.len());
    let mut out = Vec::with_capacity(branch.payload_size());
    out.extend_from_slice(&(children.len() as u32).to_le_bytes());
    for (index, (slot, at)) in branch.separators.iter().zip(children).enumerate() {
        let key = if index == 0 { VersionKey::LOWEST } else { slot.key };
        let mut reference = [0; CHILD_BYTES];
        reference[..8].copy_from_slice(&at.page.to_le_bytes());
        reference[8..].copy_from_slice(&at.crc.to_le_bytes());
        encode_entry(&mut out, key, Tag::Child, &reference);
    }
    out
}

/// The node in `payload`.
///
/// # Errors
/// What is wrong, as a sentence fragment.
pub(crate) fn decode_node(
    payload: &[u8],
    level: u8,
    location: Location,
) -> Result<Node, &'static str> {
    if payload.len() < NODE_HEAD {
        return Err("node shorter than its head");
    }
    let (past, payload) =
        if level == 0 { decode_past(payload)? } else { (Past::default(), payload) };
    let count = u32_at(payload, 0) as usize;
    let entries = Slotted::decode(payload[NODE_HEAD..].to_vec(), count)
        .ok_or("entries out of order or out of bounds")?;
    let body = if level == 0 { decode_leaf(entries, past)? } else { decode_branch(&entries)? };
    Ok(Node { born: 0, location: OnceLock::from(location), level, body })
}

/// The eras at the front of a leaf's payload, and the rest, at least as long as its head.
fn decode_past(payload: &[u8]) -> Result<(Past, &[u8]), &'static str> {
    let first = u32_at(payload, 0);
    if first & HAS_PAST == 0 {
        return Ok((Past::default(), payload));
    }
    let malformed = "malformed list of history";
    let len = (first & !HAS_PAST) as usize;
    let (eras, rest) = payload[4..].split_at_checked(len).ok_or(malformed)?;
    let past = Past::decode(eras).ok_or(malformed)?;
    if rest.len() < NODE_HEAD { Err(malformed) } else { Ok((past, rest)) }
}

fn decode_leaf(entries: Slotted, past: Past) -> Result<Body, &'static str> {
    let valid = entries.iter().all(|slot| match slot.tag {
        Tag::Tombstone => slot.value.is_empty(),
        Tag::Inline => true,
        Tag::Overflow => {
            slot.value.len() == OVERFLOW_BYTES && !Overflow::decode(slot.value).at.is_none()
        }
        Tag::Pending | Tag::Child | Tag::Borrowed => false,
    });
    if !valid {
        return Err("leaf entry of a wrong kind");
    }
    Ok(Body::Leaf(Leaf { entries, large: Vec::new(), past }))
}

fn decode_branch(entries: &Slotted) -> Result<Body, &'static str> {
    if entries.len() == 0 {
        return Err("branch without children");
    }
    let mut branch = Branch::default();
    for (index, slot) in entries.iter().enumerate() {
        if slot.tag != Tag::Child || slot.value.len() != CHILD_BYTES {
            return Err("branch entry of a wrong kind");
        }
        let at = PageRef { page: u64_at(slot.value, 0), crc: u32_at(slot.value, 8) };
        if at.is_none() {
            return Err("branch with a missing child");
        }
        branch.insert(index, slot.key, Child::Disk(at));
    }
    Ok(Body::Branch(branch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn location() -> Location {
        Location { at: PageRef { page: 1, crc: 1 }, more: Vec::new() }
    }

    #[test]
    fn a_branch_comes_back() {
        let at = |page| PageRef { page, crc: page as u32 };
        let key = VersionKey { space: 1, key: b"m", age: 4 };
        let branch = Branch::of_two(Child::Disk(at(2)), key, Child::Disk(at(3)));
        let payload = encode_branch(&branch, &[at(2), at(3)]);
        let node = decode_node(&payload, 1, location()).unwrap();
        let Body::Branch(again) = &node.body else { panic!("a branch") };
        assert_eq!(again.separators.key(1), key);
        assert!(
            matches!(again.children[..], [Child::Disk(a), Child::Disk(b)] if a == at(2) && b == at(3))
        );
    }

    proptest! {
        #[test]
        fn any_payload_is_a_node_or_an_error(payload: Vec<u8>, level in 0u8..3) {
            let _node = decode_node(&payload, level, location());
        }
    }
}
