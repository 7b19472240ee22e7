//! Checkpoints: a picture of the tree goes to free pages, then one superblock switches to it.
//!
//! The picture is a root that nobody changes any more, so readers and the writer go on while it is
//! written ([`crate::writing`]): by [`driftdb_storage::Engine::maintain`] in bounded steps, each synced
//! so that none of them leaves much for the last. A written node learns its pages only after the switch; from then on the tree leads to it
//! by page, and the cache may forget it. Source: [Rodeh08], and WiredTiger's checkpoints.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use driftdb_env::kernel::preemption_point;
use driftdb_env::{HashSet, buggify, planted, sometimes};
use driftdb_storage::{
    Commit, KeyspaceId, LogBarrier, Maintained, Result, Retention, RetentionPolicy, StorageError,
};

use crate::engine::{PageFile, State};
use crate::facts::Facts;
use crate::fold::{Doomed, Judge, Reach};
use crate::free::FreePages;
use crate::history::catalogue::Catalogue;
use crate::history::pack::Packing;
use crate::history::slice::Slice;
use crate::node::{Body, Child, Node};
use crate::snapshot::Pin;
use crate::superblock::{FORMAT_VERSION, Superblock};
use crate::tree::{LetGo, Root};
use crate::writing::{Progress, Writing, WrittenLarge, WrittenNode};

/// What only the maintainer touches.
#[derive(Debug)]
pub(crate) struct Maintenance {
    pub(crate) free: FreePages,
    own: OwnPages,
    /// The facts that are durable.
    durable_facts: Arc<Facts>,
    /// The history pages that the durable tree may lead to.
    catalogue: Catalogue,
    /// The promise and the commit of the last fold over everything.
    folded: Option<(Arc<RetentionPolicy>, Commit)>,
    /// The checkpoint that is being written.
    under_way: Option<UnderWay>,
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
        Self { free, own, durable_facts, catalogue, folded: None, under_way: None }
    }
}

/// The tree of one moment, and what the moments before it let go.
#[derive(Debug)]
struct Picture {
    root: Root,
    commit: Commit,
    facts: Arc<Facts>,
    let_go: LetGo,
    slices: Vec<Arc<Slice>>,
    epoch: u64,
    dirty_bytes: usize,
}

/// A picture of which a part is written.
#[derive(Debug)]
struct UnderWay {
    picture: Picture,
    /// Pages that the new root does not reach.
    let_go: Vec<u64>,
    /// The durable superblock before it.
    old: Superblock,
    /// Pages of the file before it.
    page_count: u64,
    progress: Progress,
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

impl PageFile {
    /// Drops history and makes everything applied so far durable.
    pub(crate) fn run_checkpoint(&self, log: &dyn LogBarrier) -> Result<()> {
        let mut maintenance = self.maintenance.lock();
        self.health.check()?;
        self.go_on(&mut maintenance, usize::MAX)?;
        self.relocate(&mut maintenance)?;
        self.begin(&mut maintenance, log, Reach::Everything)?;
        self.go_on(&mut maintenance, usize::MAX)
    }

    /// Makes everything applied so far durable; drops only history that is in memory anyway.
    pub(crate) fn checkpoint_dirty(&self, log: &dyn LogBarrier) -> Result<()> {
        let mut maintenance = self.maintenance.lock();
        self.health.check()?;
        self.go_on(&mut maintenance, usize::MAX)?;
        self.begin(&mut maintenance, log, Reach::Dirty)?;
        self.go_on(&mut maintenance, usize::MAX)
    }

    /// One step of the checkpoint under way; the first of a new one if it is time for that.
    pub(crate) fn step_checkpoint(&self, log: &dyn LogBarrier) -> Result<Maintained> {
        let mut maintenance = self.maintenance.lock();
        self.health.check()?;
        if maintenance.under_way.is_none() {
            let dirty_bytes = self.state.lock().dirty_bytes;
            let is_due = dirty_bytes >= self.write_buffer_bytes
                || dirty_bytes > 0 && buggify!("btree.checkpoint-early");
            if !is_due {
                return Ok(Maintained::Idle);
            }
            self.begin(&mut maintenance, log, Reach::Dirty)?;
        }
        let bytes = if buggify!("btree.small-steps") { 1 } else { self.step_bytes };
        self.go_on(&mut maintenance, bytes)?;
        Ok(Maintained::Worked)
    }

    /// Drops history within `reach`, and takes the picture for a checkpoint if one is needed.
    fn begin(
        &self,
        maintenance: &mut Maintenance,
        log: &dyn LogBarrier,
        reach: Reach,
    ) -> Result<()> {
        assert!(maintenance.under_way.is_none(), "one checkpoint at a time");
        self.fold(maintenance, reach)?;
        let Some(picture) = self.take_picture() else { return Ok(()) };
        preemption_point("btree.picture-taken");
        let durable = log.wait_durable(picture.commit.lsn);
        sometimes!("btree.picture-put-back", durable.is_err());
        if let Err(error) = durable {
            self.put_back(picture);
            return Err(error);
        }
        let (old, oldest_reader) = {
            let mut readers = self.readers.lock();
            (readers.superblock, readers.oldest())
        };
        sometimes!(
            "btree.freed-pages-kept-for-a-reader",
            maintenance.free.waits_for(oldest_reader)
        );
        let page_count = maintenance.free.page_count();
        maintenance.free.release(oldest_reader);
        let packing = Packing::new(&picture.slices, &picture.facts);
        let mut let_go = picture.let_go.resolve();
        match packing.owned_by_dead(&self.pager) {
            Ok(pages) => let_go.extend(pages),
            Err(error) => {
                self.put_back(picture);
                return Err(error);
            }
        }
        if planted!("btree.freed-page-reused-early") {
            maintenance.free.put_now(&let_go);
            let_go.clear();
        }
        let progress = Progress::new(packing);
        maintenance.under_way = Some(UnderWay { picture, let_go, old, page_count, progress });
        Ok(())
    }

    /// Writes about `bytes` more of the picture, and switches to it when it is whole.
    fn go_on(&self, maintenance: &mut Maintenance, bytes: usize) -> Result<()> {
        let Some(mut under_way) = maintenance.under_way.take() else { return Ok(()) };
        match self.persist(maintenance, &mut under_way, bytes) {
            Ok(None) => {
                sometimes!("btree.checkpoint-gave-way");
                maintenance.under_way = Some(under_way);
            }
            Ok(Some(superblock)) => self.publish(maintenance, under_way, superblock),
            Err(failure) => {
                let UnderWay { picture, page_count, progress, .. } = under_way;
                maintenance.free.take_back(&progress.allocated, page_count);
                self.put_back(picture);
                let Failure { error, poisons } = failure;
                if poisons {
                    return Err(self.health.poison(error));
                }
                // The log needs what the attempt took of a full disk.
                sometimes!("btree.checkpoint-undone");
                self.pager.cut_to_pages();
                return Err(error);
            }
        }
        Ok(())
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
                sometimes!("btree.promise-shortened");
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
        sometimes!("btree.version-folded", !doomed.is_empty());
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
            sometimes!("btree.nothing-to-write");
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

    /// Writes about `bytes` of the picture; switches to it, and gives its superblock, if that was all.
    fn persist(
        &self,
        maintenance: &mut Maintenance,
        under_way: &mut UnderWay,
        bytes: usize,
    ) -> std::result::Result<Option<Superblock>, Failure> {
        let poisons = |error| Failure { error, poisons: true };
        let UnderWay { picture, let_go, old, progress, .. } = under_way;
        let generation = old.generation + 1;
        let mut writing = Writing::new(
            &self.pager,
            generation,
            &picture.facts,
            self.compression,
            &mut maintenance.free,
            progress,
        );
        let root = match writing.history(bytes)? {
            false => None,
            true => writing.nodes(&picture.root, bytes)?,
        };
        let Some(root) = root else {
            writing.flush()?;
            preemption_point("btree.step-written");
            self.pager.sync().map_err(poisons)?;
            return Ok(None);
        };
        let_go.extend(writing.disown());
        let mut facts = old.facts;
        // Facts seldom change: at the end of the file they would keep it from shrinking.
        let own = &maintenance.own;
        let used_pages = writing.used_pages();
        let is_in_the_way = |pages: &[u64]| pages.iter().any(|page| *page > used_pages);
        if maintenance.durable_facts != picture.facts || is_in_the_way(&own.facts) {
            sometimes!("btree.facts-written-anew");
            facts = writing.facts(&picture.facts)?;
            let_go.extend(&own.facts);
        }
        let mut catalogue = old.catalogue;
        let stays = !is_in_the_way(&own.catalogue);
        let durable = (&maintenance.catalogue, &*maintenance.durable_facts);
        if let Some((at, freed)) = writing.catalogue(catalogue, durable, stays)? {
            catalogue = at;
            let_go.extend(freed);
            let_go.extend(&own.catalogue);
        }
        let_go.extend(&own.free_list);
        let (free_list, free_count) = writing.free_list(let_go)?;
        writing.flush()?;
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
            version: FORMAT_VERSION,
            ..*old
        };
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
        Ok(Some(superblock))
    }

    /// Makes the switch known: to readers, to the written nodes, to the tree.
    fn publish(&self, maintenance: &mut Maintenance, under_way: UnderWay, superblock: Superblock) {
        let UnderWay { picture, let_go, old, progress, .. } = under_way;
        let Progress { written, packing, .. } = progress;
        preemption_point("btree.switched");
        self.pager.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.pager.set_page_count(superblock.page_count);
        if superblock.page_count < old.page_count {
            sometimes!("btree.file-shrank");
            self.pager.cut_to_pages();
        }
        {
            let mut readers = self.readers.lock();
            readers.superblock = superblock;
            readers.since_epoch = picture.epoch + 1;
        }
        maintenance.free.put(picture.epoch, let_go);
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
            if let Some(at) = packing.packed.places.get(&slice.id) {
                slice.location.get_or_init(|| *at);
            }
        }
        maintenance.durable_facts = picture.facts;
        // What the writer has replaced meanwhile would only fill the cache.
        let address = |node: &Arc<Node>| Arc::as_ptr(node).addr();
        let replaced: HashSet<usize> = self.state.lock().let_go.nodes.iter().map(address).collect();
        sometimes!("btree.written-while-replaced", !replaced.is_empty());
        for WrittenNode { node, location, clean } in &written.nodes {
            if let Some(clean) = clean
                && !replaced.contains(&address(node))
            {
                self.pager.keep(location.at, clean);
            }
        }
        for WrittenLarge { large, location, .. } in written.large.into_values() {
            large.location.get_or_init(|| location);
        }
        for WrittenNode { node, location, .. } in written.nodes {
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
