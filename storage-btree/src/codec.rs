//! Nodes to payloads and back.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use crate::history::{Era, Past, SliceRef};
use crate::key::VersionKey;
use crate::node::{
    Body, Branch, CHILD_BYTES, Child, Leaf, Location, NODE_HEAD, Node, OVERFLOW_BYTES, PageRef,
};
use crate::packed::{self, Packer};
use crate::page::{u32_at, u64_at};
use crate::slotted::{Slot, Slotted, Tag};

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

/// The form of the entries in a node's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each with its whole key: format 1.
    Plain,
    /// What keys have in common is left out: format 2.
    Packed,
}

/// Set in the first number of a leaf that begins with its eras; the number is then their bytes.
const HAS_PAST: u32 = 1 << 31;

/// The payload of a leaf; `overflow` gives the chain of a value that is still in memory, `slice` the
/// place of an era, none for a dead one.
pub(crate) fn encode_leaf(
    leaf: &Leaf,
    overflow: impl Fn(&[u8]) -> Overflow,
    slice: impl Fn(&Era) -> Option<SliceRef>,
    out: &mut Vec<u8>,
) {
    if !leaf.past.is_empty() {
        let head = out.len();
        out.extend_from_slice(&[0; 4]);
        leaf.past.encode(slice, out);
        let len = u32::try_from(out.len() - head - 4).expect("a list of eras is short");
        out[head..head + 4].copy_from_slice(&(HAS_PAST | len).to_le_bytes());
    }
    let entries = &leaf.entries;
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    let first = if entries.is_empty() { VersionKey::LOWEST } else { entries.key(0) };
    let mut packer = Packer::new(entries.stem(), first, out);
    for slot in entries.iter() {
        match slot.tag {
            Tag::Pending => {
                packer.push(slot.key, Tag::Overflow, &overflow(slot.value).encode());
            }
            tag => packer.push(slot.key, tag, slot.value),
        }
    }
}

/// The payload of a branch whose children lie at `children`.
pub(crate) fn encode_branch(branch: &Branch, children: &[PageRef], out: &mut Vec<u8>) {
    let bounds = branch.bounds();
    assert_eq!(bounds.len() + 1, children.len());
    out.extend_from_slice(&(children.len() as u32).to_le_bytes());
    out.extend_from_slice(&encode_child(children[0]));
    let first = if bounds.is_empty() { VersionKey::LOWEST } else { bounds.key(0) };
    let mut packer = Packer::new(bounds.stem(), first, out);
    for (slot, at) in bounds.iter().zip(&children[1..]) {
        packer.push(slot.key, Tag::Child, &encode_child(*at));
    }
}

fn encode_child(at: PageRef) -> [u8; CHILD_BYTES] {
    let mut reference = [0; CHILD_BYTES];
    reference[..8].copy_from_slice(&at.page.to_le_bytes());
    reference[8..].copy_from_slice(&at.crc.to_le_bytes());
    reference
}

fn decode_child(reference: &[u8]) -> Result<Child, &'static str> {
    if reference.len() != CHILD_BYTES {
        return Err("branch entry of a wrong kind");
    }
    let at = PageRef { page: u64_at(reference, 0), crc: u32_at(reference, 8) };
    if at.is_none() { Err("branch with a missing child") } else { Ok(Child::disk(at)) }
}

/// The node in `payload`.
///
/// # Errors
/// What is wrong, as a sentence fragment.
pub(crate) fn decode_node(
    payload: &[u8],
    level: u8,
    layout: Layout,
    location: Location,
) -> Result<Node, &'static str> {
    if payload.len() < NODE_HEAD {
        return Err("node shorter than its head");
    }
    let (past, payload) = match (level, layout) {
        (0, Layout::Packed) => decode_past(payload)?,
        _ => (Past::default(), payload),
    };
    let (count, rest) = (u32_at(payload, 0) as usize, &payload[NODE_HEAD..]);
    let entries = |rest: &[u8], count| {
        match layout {
            Layout::Plain => Slotted::decode(rest, count),
            Layout::Packed => packed::unpack(rest, count),
        }
        .ok_or("entries out of order or out of bounds")
    };
    let body = match (level, layout) {
        (0, _) => decode_leaf(entries(rest, count)?, past)?,
        (_, Layout::Plain) => {
            let entries = entries(rest, count)?;
            let mut children = entries.iter();
            let first = children.next().ok_or("branch without children")?;
            decode_branch(first.tag, first.value, children)?
        }
        (_, Layout::Packed) => {
            let count = count.checked_sub(1).ok_or("branch without children")?;
            let (first, rest) =
                rest.split_at_checked(CHILD_BYTES).ok_or("node shorter than its head")?;
            decode_branch(Tag::Child, first, entries(rest, count)?.iter())?
        }
    };
    Ok(Node {
        born: 0,
        location: OnceLock::from(location),
        level,
        body,
        used: AtomicBool::new(false),
    })
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

fn decode_branch<'a>(
    tag: Tag,
    first: &[u8],
    entries: impl Iterator<Item = Slot<'a>>,
) -> Result<Body, &'static str> {
    let wrong_kind = "branch entry of a wrong kind";
    if tag != Tag::Child {
        return Err(wrong_kind);
    }
    let mut branch = Branch::of_one(decode_child(first)?);
    for slot in entries {
        if slot.tag != Tag::Child {
            return Err(wrong_kind);
        }
        branch.insert(branch.children.len(), slot.key, decode_child(slot.value)?);
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
        let mut branch = Branch::of_one(Child::disk(at(2)));
        branch.insert(1, key, Child::disk(at(3)));
        let mut payload = Vec::new();
        encode_branch(&branch, &[at(2), at(3)], &mut payload);
        let node = decode_node(&payload, 1, Layout::Packed, location()).unwrap();
        let Body::Branch(again) = &node.body else { panic!("a branch") };
        assert_eq!(again.separator(1), key);
        let [Child::Disk(a), Child::Disk(b)] = &again.children[..] else { panic!("two pages") };
        assert_eq!([a.at, b.at], [at(2), at(3)]);
    }

    proptest! {
        #[test]
        fn any_payload_is_a_node_or_an_error(payload: Vec<u8>, level in 0u8..3) {
            for layout in [Layout::Plain, Layout::Packed] {
                let _node = decode_node(&payload, level, layout, location());
            }
        }
    }
}
