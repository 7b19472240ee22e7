//! A picture of the tree on its way to disk.
//!
//! Dirty nodes are written children first, since a branch holds the checksums of its children's pages.
//! History comes before them, since leaves name the pages of its slices. Both keep in [`Progress`] how far
//! they are, so that they may stop after any node or slice and go on later.

use std::sync::Arc;

use driftdb_env::HashMap;
use driftdb_storage::{Compression, Result};

use crate::codec::{Overflow, encode_branch, encode_leaf};
use crate::facts::Facts;
use crate::free::{FreePages, encode_pages};
use crate::history::catalogue::Catalogue;
use crate::history::pack::Packing;
use crate::node::{Body, Branch, Child, Large, Leaf, Location, Node, PageRef};
use crate::page::PageKind;
use crate::pager::{PageWriter, Pager};
use crate::swip::Swip;
use crate::tree::Root;

/// How far a picture is written.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// From the root to the node that comes next; empty before the first step.
    path: Vec<Frame>,
    /// Every page taken, to give back if the checkpoint fails.
    pub(crate) allocated: Vec<u64>,
    pub(crate) packing: Packing,
    pub(crate) written: Written,
}

impl Progress {
    /// Nothing is written yet, `packing` comes first.
    pub(crate) fn new(packing: Packing) -> Self {
        Self { packing, ..Self::default() }
    }
}

/// A dirty branch, and where those of its children lie that are done.
#[derive(Debug)]
struct Frame {
    node: Arc<Node>,
    done: Vec<Swip>,
}

/// What was written for a picture.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) nodes: Vec<WrittenNode>,
    /// By address: a leaf and slices of its history may share one.
    pub(crate) large: HashMap<usize, WrittenLarge>,
    pub(crate) facts_pages: Option<Vec<u64>>,
    pub(crate) free_list_pages: Vec<u64>,
    /// The catalogue of history, if it is another one now, and its pages.
    pub(crate) catalogue: Option<(Catalogue, Vec<u64>)>,
}

/// A node that was written.
#[derive(Debug)]
pub(crate) struct WrittenNode {
    pub(crate) node: Arc<Node>,
    pub(crate) location: Location,
    /// The node as the cache may keep it: without references to other nodes.
    pub(crate) clean: Option<Arc<Node>>,
}

/// A large value that was written.
#[derive(Debug)]
pub(crate) struct WrittenLarge {
    pub(crate) large: Arc<Large>,
    pub(crate) location: Location,
    /// Whether a leaf or a slice will free it. A copy in an older slice may outlive its owner, when the
    /// version is promised to nobody any more but the slice is not dead.
    pub(crate) is_owned: bool,
}

/// The one who writes a picture.
pub(crate) struct Writing<'a> {
    pub(crate) pages: PageWriter<'a>,
    /// The payload of the node being written.
    payload: Vec<u8>,
    /// The facts of the picture.
    pub(crate) facts: &'a Facts,
    /// How history is compressed.
    pub(crate) compression: Compression,
    free: &'a mut FreePages,
    pub(crate) progress: &'a mut Progress,
}

impl<'a> Writing<'a> {
    pub(crate) fn new(
        pager: &'a Pager,
        generation: u64,
        facts: &'a Facts,
        compression: Compression,
        free: &'a mut FreePages,
        progress: &'a mut Progress,
    ) -> Self {
        let pages = PageWriter::new(pager, generation);
        Self { pages, payload: Vec::new(), facts, compression, free, progress }
    }

    /// Writes about `bytes` of dirty nodes; gives the root's place once all are written.
    pub(crate) fn nodes(&mut self, root: &Root, bytes: usize) -> Result<Option<PageRef>> {
        let before = self.progress.allocated.len();
        if self.progress.path.is_empty()
            && let Some(swip) = self.enter(&root.child)?
        {
            return Ok(Some(swip.at));
        }
        loop {
            let written = self.progress.allocated.len() - before;
            if written * self.pages.page_size() >= bytes {
                return Ok(None);
            }
            let Some(Frame { node, done }) = self.progress.path.last() else {
                unreachable!("the root leaves the path last, and ends the loop");
            };
            let node = Arc::clone(node);
            let Body::Branch(branch) = &node.body else {
                unreachable!("only branches are entered")
            };
            let swip = match branch.children.get(done.len()) {
                Some(child) => self.enter(child)?,
                None => {
                    let done = self.progress.path.pop().map_or(Vec::new(), |frame| frame.done);
                    Some(self.branch(branch, &node, done)?)
                }
            };
            match (swip, self.progress.path.last_mut()) {
                (Some(swip), Some(parent)) => parent.done.push(swip),
                (Some(swip), None) => return Ok(Some(swip.at)),
                (None, _) => {}
            }
        }
    }

    /// Writes a dirty leaf; puts a dirty branch on the path, and gives nothing.
    fn enter(&mut self, child: &Child) -> Result<Option<Swip>> {
        let node = match child.share() {
            Child::Disk(swip) => return Ok(Some(swip)),
            Child::Memory(node) => node,
        };
        let Body::Leaf(leaf) = &node.body else {
            let done = Vec::with_capacity(node.len());
            self.progress.path.push(Frame { node, done });
            return Ok(None);
        };
        let location = self.leaf(leaf)?;
        let swip = Swip::new(location.at);
        let clean = leaf.large.is_empty().then(|| self.clean_leaf(leaf, &node, &location));
        if let Some(clean) = &clean {
            swip.note(clean);
        }
        self.progress.written.nodes.push(WrittenNode { node, location, clean });
        Ok(Some(swip))
    }

    /// How many pages the file would have if none were free.
    pub(crate) fn used_pages(&self) -> u64 {
        self.free.used_pages()
    }

    /// Writes the facts.
    pub(crate) fn facts(&mut self, facts: &Facts) -> Result<PageRef> {
        let location = self.chain(PageKind::Facts, 0, &facts.encode())?;
        self.progress.written.facts_pages = Some(location.pages().collect());
        Ok(location.at)
    }

    /// Hands what is gathered to the file.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.pages.flush()
    }

    fn allocate(&mut self, count: usize) -> Vec<u64> {
        let pages: Vec<u64> = (0..count).map(|_| self.free.allocate()).collect();
        self.progress.allocated.extend(&pages);
        pages
    }

    pub(crate) fn chain(&mut self, kind: PageKind, level: u8, payload: &[u8]) -> Result<Location> {
        let pages = self.allocate(self.pages.pages_for(payload.len()));
        self.pages.write_chain(kind, level, payload, &pages)
    }

    fn leaf(&mut self, leaf: &Leaf) -> Result<Location> {
        let mut overflows = Vec::with_capacity(leaf.large.len());
        for large in &leaf.large {
            overflows.push(self.large(large, true)?);
        }
        let overflow = |reference: &[u8]| overflows[Leaf::pending_index(reference)];
        let packed = &self.progress.packing.packed;
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        encode_leaf(leaf, overflow, |era| packed.place(era), &mut payload);
        let location = self.chain(PageKind::Leaf, 0, &payload);
        self.payload = payload;
        location
    }

    /// A written leaf as the cache may keep it: not with slices of history in memory, nor with the room
    /// that it grew for entries to come.
    fn clean_leaf(&self, leaf: &Leaf, node: &Arc<Node>, location: &Location) -> Arc<Node> {
        let is_placed = leaf.past.eras().iter().all(|era| era.on_disk().is_some());
        if is_placed && leaf.entries.memory() < leaf.entries.bytes() * 2 {
            return Arc::clone(node);
        }
        let past = self.progress.packing.packed.placed(&leaf.past);
        let (entries, large) = (leaf.entries.copy(), Vec::new());
        let clean = Node::new(node.born, 0, Body::Leaf(Leaf { entries, large, past }));
        clean.location.get_or_init(|| location.clone());
        Arc::new(clean)
    }

    /// The chain of a large value, written now if it is not on disk. `is_owner` if who asks will free it.
    pub(crate) fn large(&mut self, large: &Arc<Large>, is_owner: bool) -> Result<Overflow> {
        let len = large.bytes.len() as u64;
        if let Some(location) = large.location.get() {
            return Ok(Overflow { at: location.at, len });
        }
        let address = Arc::as_ptr(large).addr();
        if let Some(written) = self.progress.written.large.get_mut(&address) {
            written.is_owned |= is_owner;
            return Ok(Overflow { at: written.location.at, len });
        }
        let location = self.chain(PageKind::Overflow, 0, &large.bytes)?;
        let at = location.at;
        let written = WrittenLarge { large: Arc::clone(large), location, is_owned: is_owner };
        self.progress.written.large.insert(address, written);
        Ok(Overflow { at, len })
    }

    fn branch(&mut self, branch: &Branch, node: &Arc<Node>, done: Vec<Swip>) -> Result<Swip> {
        let places: Vec<PageRef> = done.iter().map(|swip| swip.at).collect();
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        encode_branch(branch, &places, &mut payload);
        let location = self.chain(PageKind::Branch, node.level, &payload);
        self.payload = payload;
        let location = location?;
        let body = Body::Branch(branch.over(done.into_iter().map(Child::Disk).collect()));
        let clean = Node::new(node.born, node.level, body);
        clean.location.get_or_init(|| location.clone());
        let (clean, swip) = (Arc::new(clean), Swip::new(location.at));
        swip.note(&clean);
        let (node, clean) = (Arc::clone(node), Some(clean));
        self.progress.written.nodes.push(WrittenNode { node, location, clean });
        Ok(swip)
    }

    /// Writes the list of every page that the new root does not reach.
    pub(crate) fn free_list(&mut self, let_go: &[u64]) -> Result<(PageRef, u64)> {
        // As if taken: a failure makes them free again.
        self.progress.allocated.extend(self.free.cut_tail());
        let pages = self.free.all_with(let_go);
        if pages.is_empty() {
            return Ok((PageRef::default(), 0));
        }
        // The list takes pages from itself; each may split a run in two.
        let bytes_per_page = self.pages.capacity() - SPLIT_RUN_BYTES;
        let count = (encode_pages(&pages).len() + SPLIT_RUN_BYTES).div_ceil(bytes_per_page);
        let own = self.allocate(count);
        let pages = self.free.all_with(let_go);
        let location =
            self.pages.write_chain(PageKind::FreeList, 0, &encode_pages(&pages), &own)?;
        self.progress.written.free_list_pages = own;
        Ok((location.at, pages.len() as u64))
    }
}

/// How much longer the list of free pages may get when one page is taken from it: a distance and a
/// length more, and each of their neighbours longer.
const SPLIT_RUN_BYTES: usize = 40;
