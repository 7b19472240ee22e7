//! Checkpoints: a picture of the tree goes to free pages, then one superblock switches to it.
//!
//! The picture is a root that nobody changes any more, so readers and the writer go on while it is
//! written. A written node learns its pages only after the switch; from then on the tree leads to it
//! by page, and the cache may forget it. Source: [Rodeh08], and WiredTiger's checkpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use driftdb_env::kernel::preemption_point;
use driftdb_env::{HashMap, planted};
use driftdb_storage::{
    Commit, Compression, KeyspaceId, LogBarrier, Result, Retention, RetentionPolicy, StorageError,
};

use crate::codec::{Overflow, encode_branch, encode_leaf};
use crate::engine::{BtreeEngine, State};
use crate::facts::Facts;
use crate::fold::{Doomed, Judge, Reach};
use crate::free::{FreePages, encode_pages};
use crate::history::catalogue::Catalogue;
use crate::history::pack::{Output, Packed, pack};
use crate::history::slice::Slice;
use crate::node::{Body, Branch, Child, Large, Leaf, Location, Node, PageRef};
use crate::page::PageKind;
use crate::pager::PageWriter;
use crate::snapshot::Pin;
use crate::superblock::Superblock;
use crate::tree::{LetGo, Root};

/// What only the maintainer touches.
#[derive(Debug)]
pub(crate) struct Maintenance {
    free: FreePages,
    own: OwnPages,
    /// The facts that are durable.
    durable_facts: Arc<Facts>,
    /// The history pages that the durable tree may lead to.
    catalogue: Catalogue,
    /// The promise and the commit of the last fold over everything.
    folded: Option<(Arc<RetentionPolicy>, Commit)>,
}

/// Pages of the durable root that are not part of the tree.
#[derive(Debug)]
pub(crate) struct OwnPages {
    pub(crate) facts: Vec<u64>,
    pub(crate) free_list: Vec<u64>,
    pub(crate) catalogue: Vec<u64>,
}

impl Maintenance {
    pub(crate) fn new(
        free: FreePages,
        own: OwnPages,
        durable_facts: Arc<Facts>,
        catalogue: Catalogue,
    ) -> Self {
        Self { free, own, durable_facts, catalogue, folded: None }
    }
}

/// The tree of one moment, and what the moments before it let go.
struct Picture {
    root: Root,
    commit: Commit,
    facts: Arc<Facts>,
    let_go: LetGo,
    slices: Vec<Arc<Slice>>,
    epoch: u64,
    dirty_bytes: usize,
}

/// What was written for a picture.
#[derive(Default)]
struct Written {
    nodes: Vec<(Arc<Node>, Location)>,
    large: HashMap<*const Large, WrittenLarge>,
    /// The nodes as the cache may keep them: without references to other nodes.
    clean: Vec<(PageRef, Arc<Node>)>,
    facts_pages: Option<Vec<u64>>,
    free_list_pages: Vec<u64>,
    /// Where slices of history went.
    packed: Packed,
    /// The catalogue, if it is another one now, and its pages.
    catalogue: Option<(Catalogue, Vec<u64>)>,
    /// Pages that the new root does not reach.
    let_go: Vec<u64>,
}

/// A large value that was written.
struct WrittenLarge {
    large: Arc<Large>,
    location: Location,
    /// Whether a leaf or a slice will free it. A copy in an older slice may outlive its owner, when the
    /// version is promised to nobody any more but the slice is not dead.
    is_owned: bool,
}

/// Why a checkpoint did not come about.
struct Failure {
    error: StorageError,
    /// Whether the state of the disk is unknown.
    poisons: bool,
}

impl From<StorageError> for Failure {
    /// A failure before the switch began: nothing refers to the pages written so far. Only if the
    /// disk is full may it be tried again; else the disk is not to be trusted.
    fn from(error: StorageError) -> Self {
        let is_full = matches!(&error, StorageError::Io(error) if error.is_disk_full());
        Self { error, poisons: !is_full }
    }
}

impl BtreeEngine {
    /// Drops history within `reach`, and makes everything applied so far durable.
    pub(crate) fn run_checkpoint(&self, log: &dyn LogBarrier, reach: Reach) -> Result<()> {
        let mut maintenance = self.maintenance.lock();
        self.health.check()?;
        self.fold(&mut maintenance, reach)?;
        let Some(mut picture) = self.take_picture() else { return Ok(()) };
        preemption_point("btree.picture-taken");
        if let Err(error) = log.wait_durable(picture.commit.lsn) {
            self.put_back(picture);
            return Err(error);
        }
        let page_count = maintenance.free.page_count();
        let mut allocated = Vec::new();
        match self.persist(&mut maintenance, &mut picture, &mut allocated) {
            Ok((superblock, written)) => {
                self.publish(&mut maintenance, &picture, superblock, written);
                Ok(())
            }
            Err(failure) => {
                maintenance.free.take_back(&allocated, page_count);
                self.put_back(picture);
                let Failure { error, poisons } = failure;
                if !poisons {
                    // The log needs what the attempt took of a full disk.
                    self.pager.cut_to_pages();
                }
                Err(if poisons { self.health.poison(error) } else { error })
            }
        }
    }

    /// Removes the versions within `reach` that no promise covers.
    fn fold(&self, maintenance: &mut Maintenance, reach: Reach) -> Result<()> {
        let (policy, gone, facts, root, applied) = {
            let mut state = self.state.lock();
            let policy = Arc::clone(&state.policy);
            let forever = |retention: &Retention| *retention == Retention::FOREVER;
            let nothing_to_do =
                forever(&policy.default) && policy.by_keyspace.values().all(forever);
            let done = maintenance.folded.as_ref();
            let is_done = done.is_some_and(|(p, at)| *p == policy && *at == state.applied);
            if nothing_to_do || is_done {
                return Ok(());
            }
            let folded = state.facts.folded(&policy);
            if folded != *state.facts {
                // From now on nobody is promised what is about to go.
                state.facts = Arc::new(folded);
                state.changed = true;
                state.view = None;
            }
            let everything = reach == Reach::Everything;
            let gone = if everything { state.facts.forgettable(&policy) } else { Vec::new() };
            (policy, gone, Arc::clone(&state.facts), state.root.share(), state.applied)
        };
        let mut remove = |doomed| self.remove(doomed);
        Judge::new(&self.pager, &policy, &gone, &facts, reach, &mut remove).run(&root)?;
        if reach == Reach::Everything {
            self.forget(&gone, &policy);
            maintenance.folded = Some((policy, applied));
        }
        Ok(())
    }

    fn remove(&self, doomed: Vec<Doomed>) -> Result<()> {
        preemption_point("btree.fold");
        let _nobody_applies = self.applying.lock();
        for Doomed { key, chain } in doomed {
            self.change(|root, writer| writer.remove(root, key.borrow(), &chain))?;
        }
        Ok(())
    }

    fn forget(&self, gone: &[KeyspaceId], policy: &RetentionPolicy) {
        if !gone.is_empty() {
            self.change_facts(|facts| {
                gone.iter().for_each(|space| facts.forget(*space, policy.of(*space)));
            });
        }
    }

    /// The tree as it is now; `None` if the durable one is the same.
    fn take_picture(&self) -> Option<Picture> {
        let _nobody_applies = self.applying.lock();
        let mut state = self.state.lock();
        if !state.changed {
            return None;
        }
        let picture = Picture {
            root: state.root.share(),
            commit: state.applied,
            facts: Arc::clone(&state.facts),
            let_go: std::mem::take(&mut state.let_go),
            slices: std::mem::take(&mut state.history.slices),
            epoch: state.epoch,
            dirty_bytes: std::mem::take(&mut state.dirty_bytes),
        };
        state.changed = false;
        state.epoch += 1;
        state.view = None;
        state.pin = Arc::new(Pin);
        let pin = (state.epoch, Arc::downgrade(&state.pin));
        self.readers.lock().pins.push(pin);
        Some(picture)
    }

    /// Undoes the taking of a picture that did not become durable.
    fn put_back(&self, picture: Picture) {
        let mut state = self.state.lock();
        state.changed = true;
        state.dirty_bytes += picture.dirty_bytes;
        state.let_go.extend(picture.let_go);
        state.history.put_back(picture.slices);
    }

    /// Writes the picture and switches to it.
    fn persist(
        &self,
        maintenance: &mut Maintenance,
        picture: &mut Picture,
        allocated: &mut Vec<u64>,
    ) -> std::result::Result<(Superblock, Written), Failure> {
        let (old, oldest_reader) = {
            let mut readers = self.readers.lock();
            (readers.superblock, readers.oldest())
        };
        maintenance.free.release(oldest_reader);
        let mut let_go = picture.let_go.resolve();
        if planted!("btree.freed-page-reused-early") {
            maintenance.free.put_now(&let_go);
            let_go.clear();
        }
        let generation = old.generation + 1;
        let mut writing = Writing {
            pages: PageWriter::new(&self.pager, generation),
            free: &mut maintenance.free,
            allocated,
            written: Written::default(),
            facts: &picture.facts,
            compression: self.compression,
        };
        let_go.extend(writing.history(&picture.slices)?);
        let root = writing.child(&picture.root.child)?;
        let_go.extend(writing.disown());
        let mut facts = old.facts;
        if maintenance.durable_facts != picture.facts {
            let location = writing.chain(PageKind::Facts, 0, &picture.facts.encode())?;
            facts = location.at;
            writing.written.facts_pages = Some(location.pages().collect());
            let_go.extend(&maintenance.own.facts);
        }
        let mut catalogue = old.catalogue;
        let history =
            writing.catalogue(catalogue, &maintenance.catalogue, &maintenance.durable_facts)?;
        if let Some((at, freed)) = history {
            catalogue = at;
            let_go.extend(freed);
            let_go.extend(&maintenance.own.catalogue);
        }
        let_go.extend(&maintenance.own.free_list);
        let (free_list, free_count) = writing.free_list(&let_go)?;
        writing.pages.flush()?;
        let mut written = writing.written;
        written.let_go = let_go;
        let superblock = Superblock {
            generation,
            commit: picture.commit,
            page_count: maintenance.free.page_count(),
            free_count,
            root,
            root_level: picture.root.level,
            free_list,
            facts,
            catalogue,
            ..old
        };
        let poisons = |error| Failure { error, poisons: true };
        preemption_point("btree.pages-written");
        if !planted!("btree.root-switch-before-sync") {
            self.pager.sync().map_err(poisons)?;
        }
        preemption_point("btree.pages-synced");
        {
            // `verify` reads superblocks under the same latch: it must not see half of one.
            let _no_verifier = self.readers.lock();
            self.pager.write_superblock(&superblock).map_err(poisons)?;
        }
        self.pager.sync().map_err(poisons)?;
        Ok((superblock, written))
    }

    /// Makes the switch known: to readers, to the written nodes, to the tree.
    fn publish(
        &self,
        maintenance: &mut Maintenance,
        picture: &Picture,
        superblock: Superblock,
        written: Written,
    ) {
        preemption_point("btree.switched");
        self.pager.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.pager.set_page_count(superblock.page_count);
        {
            let mut readers = self.readers.lock();
            readers.superblock = superblock;
            readers.since_epoch = picture.epoch + 1;
        }
        maintenance.free.put(picture.epoch, written.let_go);
        maintenance.own.free_list = written.free_list_pages;
        if let Some(pages) = written.facts_pages {
            maintenance.own.facts = pages;
        }
        if let Some((catalogue, pages)) = written.catalogue {
            self.history_page_count.store(catalogue.len() as u64, Ordering::Relaxed);
            maintenance.catalogue = catalogue;
            maintenance.own.catalogue = pages;
        }
        for slice in &picture.slices {
            if let Some(at) = written.packed.places.get(&slice.id) {
                slice.location.get_or_init(|| *at);
            }
        }
        maintenance.durable_facts = Arc::clone(&picture.facts);
        for (at, node) in &written.clean {
            self.pager.keep(*at, node);
        }
        for WrittenLarge { large, location, .. } in written.large.into_values() {
            large.location.get_or_init(|| location);
        }
        for (node, location) in written.nodes {
            node.location.get_or_init(|| location);
        }
        let _nobody_applies = self.applying.lock();
        let mut state = self.state.lock();
        state.view = None;
        let State { root, .. } = &mut *state;
        trim(&mut root.child);
    }
}

/// Replaces written nodes by their pages, so that the cache decides what stays in memory. A node that
/// a snapshot shares is left; the next copy of it does the same.
fn trim(child: &mut Child) {
    let shared = child.share();
    if let Child::Disk(_) = shared {
        *child = shared;
        return;
    }
    drop(shared);
    let Child::Memory(node) = child else { return };
    if let Some(node) = Arc::get_mut(node)
        && let Body::Branch(branch) = &mut node.body
    {
        branch.children.iter_mut().for_each(trim);
    }
}

/// A picture on its way to disk.
struct Writing<'a> {
    pages: PageWriter<'a>,
    free: &'a mut FreePages,
    /// Every page taken, to give back if the checkpoint fails.
    allocated: &'a mut Vec<u64>,
    written: Written,
    facts: &'a Arc<Facts>,
    compression: Compression,
}

impl Writing<'_> {
    fn allocate(&mut self, count: usize) -> Vec<u64> {
        let pages: Vec<u64> = (0..count).map(|_| self.free.allocate()).collect();
        self.allocated.extend(&pages);
        pages
    }

    fn chain(&mut self, kind: PageKind, level: u8, payload: &[u8]) -> Result<Location> {
        let pages = self.allocate(self.pages.pages_for(payload.len()));
        self.pages.write_chain(kind, level, payload, &pages)
    }

    /// Writes the dirty nodes below and including `child`, children first.
    fn child(&mut self, child: &Child) -> Result<PageRef> {
        let node = match child.share() {
            Child::Disk(at) => return Ok(at),
            Child::Memory(node) => node,
        };
        let (location, clean) = match &node.body {
            Body::Leaf(leaf) => self.leaf(leaf, &node)?,
            Body::Branch(branch) => {
                let (location, clean) = self.branch(branch, &node)?;
                (location, Some(clean))
            }
        };
        let at = location.at;
        self.written.clean.extend(clean.map(|clean| (at, clean)));
        self.written.nodes.push((node, location));
        Ok(at)
    }

    /// Writes a leaf; gives it as the cache may keep it, unless large values hang on it.
    fn leaf(&mut self, leaf: &Leaf, node: &Arc<Node>) -> Result<(Location, Option<Arc<Node>>)> {
        let mut overflows = Vec::with_capacity(leaf.large.len());
        for large in &leaf.large {
            overflows.push(self.large(large, true)?);
        }
        let packed = &self.written.packed;
        let payload = encode_leaf(
            leaf,
            |reference| overflows[Leaf::pending_index(reference)],
            |era| packed.place(era),
        );
        let location = self.chain(PageKind::Leaf, 0, &payload)?;
        if !leaf.large.is_empty() {
            return Ok((location, None));
        }
        if leaf.past.eras().iter().all(|era| era.on_disk().is_some()) {
            return Ok((location, Some(Arc::clone(node))));
        }
        // The cache must not keep slices in memory that it does not account for.
        let (entries, large) = (leaf.entries.copy(), Vec::new());
        let past = self.written.packed.placed(&leaf.past);
        let clean = Node::new(node.born, 0, Body::Leaf(Leaf { entries, large, past }));
        clean.location.get_or_init(|| location.clone());
        Ok((location, Some(Arc::new(clean))))
    }

    /// Writes the history made since the last checkpoint; gives the pages that were owned by slices
    /// which are dead already, and so are not written.
    fn history(&mut self, slices: &[Arc<Slice>]) -> Result<Vec<u64>> {
        let mut live = Vec::with_capacity(slices.len());
        let mut freed = Vec::new();
        for slice in slices {
            let low = slice.low.min(slice.oldest_owned());
            if self.facts.is_dead(KeyspaceId(slice.space), low, slice.high) {
                freed.extend(slice.owned_pages(self.pages.pager())?);
            } else {
                live.push(Arc::clone(slice));
            }
        }
        let (compression, capacity) = (self.compression, self.pages.capacity());
        self.written.packed = pack(&live, compression, capacity, self)?;
        let counters = &self.pages.pager().counters;
        counters.history_slices_written.fetch_add(live.len() as u64, Ordering::Relaxed);
        Ok(freed)
    }

    /// Takes out the large values that nobody will free; gives their pages.
    fn disown(&mut self) -> Vec<u64> {
        let mut pages = Vec::new();
        self.written.large.retain(|_, written| {
            if !written.is_owned {
                pages.extend(written.location.pages());
            }
            written.is_owned
        });
        pages
    }

    /// Writes the catalogue if it changed since `old`, with what has died since; gives its place and
    /// the pages that are free now.
    fn catalogue(
        &mut self,
        at: PageRef,
        old: &Catalogue,
        old_facts: &Facts,
    ) -> Result<Option<(PageRef, Vec<u64>)>> {
        let mut catalogue = old.clone();
        for (space, entry) in &self.written.packed.entries {
            catalogue.pages.entry(*space).or_default().push(*entry);
        }
        let dead = catalogue.take_dead(self.facts);
        // While there never was any history, nothing leads to it.
        let none_yet = at.is_none() && catalogue.pages.is_empty();
        if none_yet || (catalogue == *old && self.facts.same_pages(old_facts)) {
            return Ok(None);
        }
        let pager = self.pages.pager();
        let mut freed = Vec::new();
        for entry in &dead {
            freed.extend(entry.freed_pages(pager)?);
        }
        pager.counters.history_pages_freed.fetch_add(dead.len() as u64, Ordering::Relaxed);
        let location = self.chain(PageKind::Catalogue, 0, &catalogue.encode(self.facts))?;
        self.written.catalogue = Some((catalogue, location.pages().collect()));
        Ok(Some((location.at, freed)))
    }

    fn branch(&mut self, branch: &Branch, node: &Node) -> Result<(Location, Arc<Node>)> {
        let mut children = Vec::with_capacity(branch.children.len());
        for child in &branch.children {
            children.push(self.child(child)?);
        }
        let payload = encode_branch(branch, &children);
        let location = self.chain(PageKind::Branch, node.level, &payload)?;
        let body = Body::Branch(Branch {
            separators: branch.separators.copy(),
            children: children.into_iter().map(Child::Disk).collect(),
        });
        let clean = Node::new(node.born, node.level, body);
        clean.location.get_or_init(|| location.clone());
        Ok((location, Arc::new(clean)))
    }

    /// Writes the list of every page that the new root does not reach.
    fn free_list(&mut self, let_go: &[u64]) -> Result<(PageRef, u64)> {
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
        self.written.free_list_pages = own;
        Ok((location.at, pages.len() as u64))
    }
}

impl Output for Writing<'_> {
    fn history_page(&mut self, payload: &[u8]) -> Result<Location> {
        let location = self.chain(PageKind::History, 0, payload)?;
        let pages = location.pages().count() as u64;
        let counters = &self.pages.pager().counters;
        counters.history_pages_written.fetch_add(pages, Ordering::Relaxed);
        Ok(location)
    }

    fn large(&mut self, large: &Arc<Large>, is_owner: bool) -> Result<Overflow> {
        let len = large.bytes.len() as u64;
        if let Some(location) = large.location.get() {
            return Ok(Overflow { at: location.at, len });
        }
        // A leaf and slices of its history may share it.
        if let Some(written) = self.written.large.get_mut(&Arc::as_ptr(large)) {
            written.is_owned |= is_owner;
            return Ok(Overflow { at: written.location.at, len });
        }
        let location = self.chain(PageKind::Overflow, 0, &large.bytes)?;
        let at = location.at;
        let written = WrittenLarge { large: Arc::clone(large), location, is_owned: is_owner };
        self.written.large.insert(Arc::as_ptr(large), written);
        Ok(Overflow { at, len })
    }
}

/// How much longer the list of free pages may get when one page is taken from it: a distance and a
/// length more, and each of their neighbours longer.
const SPLIT_RUN_BYTES: usize = 40;
