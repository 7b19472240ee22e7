//! The decoders behind the checksums, for the targets in `fuzz/`. Built only with `--cfg fuzzing`.

use crate::codec::{Layout, Overflow, decode_node, encode_branch, encode_leaf};
use crate::facts::Facts;
use crate::free::{decode_pages, encode_pages};
use crate::history::catalogue::Catalogue;
use crate::history::pack::unpack;
use crate::history::{Era, Past, slice};
use crate::node::{Body, Child, Location, Node, PageRef};
use crate::slotted::{Slotted, Tag};
use crate::superblock::{self, SUPERBLOCK, Superblock};

/// A node that was read.
#[derive(Debug)]
pub struct ReadNode {
    node: Node,
}

/// Reads the payload of a node; `None` if it is not one.
///
/// # Panics
/// If an entry of it is not found by its key.
pub fn read_node(payload: &[u8], level: u8, is_packed: bool) -> Option<ReadNode> {
    let layout = if is_packed { Layout::Packed } else { Layout::Plain };
    let location = Location { at: PageRef { page: 1, crc: 1 }, more: Vec::new() };
    let node = decode_node(payload, level, layout, location).ok()?;
    let read = ReadNode { node };
    let entries = read.entries();
    for (index, slot) in entries.iter().enumerate() {
        assert_eq!(entries.search(slot.key), Ok(index), "an entry is not found");
        assert_eq!(entries.key(index), slot.key);
    }
    Some(read)
}

impl ReadNode {
    fn entries(&self) -> &Slotted {
        match &self.node.body {
            Body::Leaf(leaf) => &leaf.entries,
            Body::Branch(branch) => branch.bounds(),
        }
    }

    /// The node as it would be written now.
    ///
    /// # Panics
    /// If it takes more bytes than the node said.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match &self.node.body {
            Body::Leaf(leaf) => {
                let overflow = |_: &[u8]| -> Overflow { unreachable!("no value is in memory") };
                encode_leaf(leaf, overflow, Era::on_disk, &mut out);
            }
            Body::Branch(branch) => encode_branch(branch, &children(branch), &mut out),
        }
        assert!(out.len() <= self.node.payload_size(), "more bytes than was said");
        out
    }

    /// Everything that the node says.
    pub fn describe(&self) -> String {
        let entries: Vec<_> = self.entries().iter().collect();
        let children = match &self.node.body {
            Body::Leaf(_) => Vec::new(),
            Body::Branch(branch) => children(branch),
        };
        assert!(entries.iter().all(|slot| slot.tag != Tag::Pending));
        format!("{entries:?} {children:?}")
    }
}

fn children(branch: &crate::node::Branch) -> Vec<PageRef> {
    let at = |child: &Child| match child {
        Child::Disk(swip) => swip.at,
        Child::Memory(_) => unreachable!("a node that was just read"),
    };
    branch.children.iter().map(at).collect()
}

/// Reads a list of free pages, and writes it again.
///
/// # Panics
/// If it does not come back.
pub fn free_pages(bytes: &[u8], page_count: u64) {
    let Some(pages) = decode_pages(bytes, page_count) else { return };
    assert!(pages.iter().all(|page| (1..=page_count).contains(page)));
    assert_eq!(decode_pages(&encode_pages(&pages), page_count), Some(pages));
}

/// Reads facts about keyspaces, and writes them again.
///
/// # Panics
/// If they do not come back.
pub fn facts(bytes: &[u8]) {
    let Some(facts) = Facts::decode(bytes) else { return };
    let written = facts.encode();
    let again = Facts::decode(&written).expect("facts that were written");
    assert!(again.encode() == written, "facts changed when they were written");
}

/// Reads a page of history, and every slice in it; writes the eras of an index again.
///
/// # Panics
/// If entries are not in order, or eras do not come back.
pub fn history_page(bytes: &[u8]) {
    for bytes in unpack(bytes).unwrap_or_default() {
        slice(bytes);
    }
}

/// Reads one slice of history.
///
/// # Panics
/// As for [`history_page`].
pub fn slice(bytes: &[u8]) {
    let Some((_, content)) = slice::decode(bytes) else { return };
    let entries = &content.leaf.entries;
    for (index, slot) in entries.iter().enumerate() {
        assert_eq!(entries.search(slot.key), Ok(index), "an entry is not found");
    }
    let mut written = Vec::new();
    content.leaf.past.encode(Era::on_disk, &mut written);
    let again = Past::decode(&written).expect("eras that were written");
    assert!(again.is_same(&content.leaf.past), "eras changed when they were written");
}

/// Reads a catalogue of history for the keyspaces of `facts`, and writes it again.
///
/// # Panics
/// If it does not come back.
pub fn catalogue(facts: &[u8], bytes: &[u8]) {
    let Some(mut facts) = Facts::decode(facts) else { return };
    let Some(found) = Catalogue::decode(bytes, &mut facts) else { return };
    let again = Catalogue::decode(&found.encode(&facts), &mut facts);
    assert_eq!(again, Some(found), "the catalogue changed when it was written");
}

/// Reads a superblock whose checksum holds, and writes it again.
///
/// # Panics
/// If it does not come back.
pub fn superblock(bytes: &[u8]) {
    let mut sector = [0; SUPERBLOCK];
    let len = bytes.len().min(SUPERBLOCK);
    sector[..len].copy_from_slice(&bytes[..len]);
    sector[12..16].fill(0);
    let crc = crc32c::crc32c(&sector);
    sector[12..16].copy_from_slice(&crc.to_le_bytes());
    for slot in 0..2 {
        let Ok(found) = Superblock::decode(&sector, superblock::FILE_NAME, slot, 0) else {
            continue;
        };
        let again = Superblock::decode(&found.encode(), superblock::FILE_NAME, slot, 0);
        assert_eq!(again.expect("a superblock that was written"), found);
    }
}
