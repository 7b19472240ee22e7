//! Nodes move from the end of the file to free pages before it, so that the end can be cut off.
//!
//! Copy-on-write moves what changes; what nobody changes would hold the end of the file for ever. When
//! much of the file is free, a checkpoint makes a bounded number of nodes beyond the pages that would
//! suffice dirty, with the branches above them; they are written to the lowest free pages, and a later
//! checkpoint cuts the file. Overflow chains stay where they are until their value goes.
//!
//! Cost: a walk over the branches, which know the pages of their children; no leaf is read to find it.

use driftdb_env::sometimes;
use driftdb_storage::Result;

use crate::checkpoint::Maintenance;
use crate::engine::PageFile;
use crate::key::{OwnedKey, VersionKey};
use crate::node::{Body, Child};
use crate::pager::Pager;
use crate::position::load;

/// The file is worth shrinking when this fraction of it is free.
const FREE_FRACTION: u64 = 4;

/// Nodes to move in one checkpoint.
const MAX_NODES: usize = 256;

/// The nodes that lie too far back.
struct Search<'a> {
    pager: &'a Pager,
    /// The last page that is near enough.
    limit: u64,
    /// The lowest key of each.
    found: Vec<OwnedKey>,
}

impl PageFile {
    /// Makes nodes at the end of the file dirty, if much of the file is free.
    pub(crate) fn relocate(&self, maintenance: &mut Maintenance) -> Result<()> {
        let oldest_reader = self.readers.lock().oldest();
        let free = &mut maintenance.free;
        free.release(oldest_reader);
        let (used, all) = (free.used_pages(), free.page_count());
        if (all - used) * FREE_FRACTION < all {
            return Ok(());
        }
        let root = self.state.lock().root.share();
        // A little room: the new places of the nodes and of the branches above them.
        let limit = used + used / 8;
        let mut search = Search { pager: &self.pager, limit, found: Vec::new() };
        search.walk(&root.child, root.level, VersionKey::LOWEST)?;
        let found = search.found;
        drop(root);
        sometimes!("btree.nodes-relocated", !found.is_empty());
        let _nobody_applies = self.applying.lock();
        for key in &found {
            self.change(|root, writer| writer.touch(root, key.borrow()))?;
        }
        Ok(())
    }
}

impl Search<'_> {
    fn walk(&mut self, child: &Child, level: u8, lowest: VersionKey<'_>) -> Result<()> {
        if let Child::Disk(swip) = child
            && swip.at.page > self.limit
        {
            self.found.push(lowest.to_owned());
        }
        if level == 0 || self.found.len() >= MAX_NODES {
            return Ok(());
        }
        let node = load(self.pager, child, level)?;
        let Body::Branch(branch) = &node.body else { return Ok(()) };
        for (index, child) in branch.children.iter().enumerate() {
            let lowest = if index == 0 { lowest } else { branch.separator(index) };
            self.walk(child, level - 1, lowest)?;
        }
        Ok(())
    }
}
