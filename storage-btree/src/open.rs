//! Opening a directory: the newest superblock, and what it says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use driftdb_env::sync::Mutex;
use driftdb_env::{Disk, DiskLock, Env, File, FileKind, OpenHow};
use driftdb_storage::{EngineOptions, Result, RetentionPolicy, StorageError};

use crate::checkpoint::{Maintenance, OwnPages};
use crate::engine::{PageFile, Readers, State};
use crate::facts::Facts;
use crate::free::{FreePages, decode_pages};
use crate::health::Health;
use crate::history::catalogue::Catalogue;
use crate::history::split::Pending;
use crate::node::{Child, Node, PageRef};
use crate::page::{MAX_PAGE_SIZE, MIN_PAGE_SIZE, PageKind};
use crate::pager::Pager;
use crate::snapshot::Pin;
use crate::superblock::{self, FILE_NAME, SUPERBLOCK, SUPERBLOCK_AREA, Superblock};
use crate::tree::{LetGo, Root};

/// A file on its way to become the page file.
const NEW_FILE_NAME: &str = "pages.db.new";

/// Held by the process that owns the directory.
const LOCK_NAME: &str = "lock";

/// Keeps a second process out of a directory.
pub(crate) fn lock(env: &Env, dir: &Path) -> Result<Box<dyn DiskLock>> {
    Ok(env.disk().lock(&dir.join(LOCK_NAME))?)
}

/// Opens the page file of `dir`, of which the caller has the lock.
pub(crate) fn open(env: &Env, dir: &Path, options: &EngineOptions) -> Result<PageFile> {
    let disk = env.disk();
    let path = dir.join(FILE_NAME);
    if disk.exists(&path)? {
        // A process may have died between a rename and the directory's sync: nobody may rely on a name
        // that the next crash takes back.
        disk.sync_dir(dir)?;
    } else {
        refuse_foreign(disk, dir)?;
        create(env, dir, options)?;
    }
    open_file(env, &path, &path, options)
}

/// Begins an empty page file under the name of one on its way: [`name_file`] makes it the page file.
pub(crate) fn open_new(env: &Env, dir: &Path, options: &EngineOptions) -> Result<PageFile> {
    let path = new_path(dir);
    write_empty(env, &path, options)?;
    open_file(env, &path, &path, options)
}

/// Opens what [`open_new`] began, before it gets its name.
pub(crate) fn reopen_new(env: &Env, dir: &Path, options: &EngineOptions) -> Result<PageFile> {
    open_file(env, &new_path(dir), &dir.join(FILE_NAME), options)
}

/// The path of a page file on its way.
pub(crate) fn new_path(dir: &Path) -> PathBuf {
    dir.join(NEW_FILE_NAME)
}

/// Gives the file of [`open_new`] its name, durably.
pub(crate) fn name_file(env: &Env, dir: &Path) -> Result<()> {
    env.disk().rename(&new_path(dir), &dir.join(FILE_NAME))?;
    env.disk().sync_dir(dir)?;
    Ok(())
}

/// Opens the file at `path`, which messages call `known_as`.
fn open_file(env: &Env, path: &Path, known_as: &Path, options: &EngineOptions) -> Result<PageFile> {
    let disk = env.disk();
    let name = known_as.display().to_string();
    let file = disk.open(path, OpenHow::ReadWrite, FileKind::Pages)?;
    let slots = [read_slot(&*file, &name, 0)?, read_slot(&*file, &name, 1)?];
    let superblock = newest(&slots, &name)?;
    let pager = Pager::new(file, name, &superblock, options.cache_bytes);
    let (needed, found) = (pager.file_len(superblock.page_count), pager.file().len()?);
    if found < needed {
        return Err(StorageError::corruption(pager.name(), found, "file shorter than its pages"));
    }
    slots.iter().try_for_each(|slot| repair(&pager, slot))?;
    // The superblock may be one that a dying process wrote but did not sync, or whose sync failed:
    // nobody may rely on it before it is known to be on disk.
    pager.write_superblock(&superblock)?;
    pager.sync()?;
    let (mut facts, facts_pages) = read_facts(&pager, superblock.facts)?;
    let (catalogue, catalogue_pages) = read_catalogue(&pager, superblock.catalogue, &mut facts)?;
    let (free, free_list_pages) = read_free_list(&pager, &superblock)?;
    let root = if superblock.root.is_none() {
        Root { child: Child::Memory(Arc::new(Node::empty(0))), level: 0 }
    } else {
        Root { child: Child::disk(superblock.root), level: superblock.root_level }
    };
    let facts = Arc::new(facts);
    let history_page_count = AtomicU64::new(catalogue.len() as u64);
    let own =
        OwnPages { facts: facts_pages, free_list: free_list_pages, catalogue: catalogue_pages };
    let maintenance = Maintenance::new(free, own, Arc::clone(&facts), catalogue);
    let epoch = 1;
    let pin = Arc::new(Pin);
    let pins = vec![(epoch, Arc::downgrade(&pin))];
    let state = State {
        root,
        applied: superblock.commit,
        facts,
        policy: Arc::new(RetentionPolicy::default()),
        epoch,
        pin,
        let_go: LetGo::default(),
        history: Pending::default(),
        dirty_bytes: 0,
        changed: false,
        view: None,
    };
    Ok(PageFile {
        pager: Arc::new(pager),
        maintenance: Mutex::new(maintenance),
        applying: Mutex::new(()),
        readers: Mutex::new(Readers { superblock, since_epoch: epoch, pins }),
        state: Mutex::new(state),
        health: Health::default(),
        write_buffer_bytes: options.write_buffer_bytes,
        env: env.clone(),
        step_bytes: options.step_bytes,
        compression: options.compression,
        history_page_count,
    })
}

/// A directory that holds something else is no place for a new tree.
fn refuse_foreign(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let ours = [FILE_NAME, NEW_FILE_NAME, LOCK_NAME];
    let foreign = disk.list(dir)?.into_iter().find(|entry| !ours.contains(&&*entry.name));
    match foreign {
        None => Ok(()),
        Some(entry) => Err(StorageError::WrongDirectory {
            dir: dir.display().to_string(),
            found: format!("\"{}\"", entry.name),
            expected: format!("\"{FILE_NAME}\" of the btree engine"),
        }),
    }
}

/// Makes a page file with an empty tree: whole, or not at all.
fn create(env: &Env, dir: &Path, options: &EngineOptions) -> Result<()> {
    let path = dir.join(NEW_FILE_NAME);
    write_empty(env, &path, options)?;
    name_file(env, dir)
}

/// Writes an empty tree to a file, and syncs it.
fn write_empty(env: &Env, path: &Path, options: &EngineOptions) -> Result<()> {
    let file = env.disk().open(path, OpenHow::OpenOrCreate, FileKind::Pages)?;
    let page_size =
        options.block_size_bytes.clamp(MIN_PAGE_SIZE, MAX_PAGE_SIZE).next_power_of_two();
    let empty = Superblock::empty(env.rng("btree.database-id").next_u64(), page_size);
    let second = Superblock { generation: 1, ..empty };
    file.set_len(0)?;
    file.write_at(0, &superblock_area(empty, second))?;
    file.sync_data()?;
    Ok(())
}

/// The bytes before the first page: both copies of two superblocks.
pub(crate) fn superblock_area(first: Superblock, second: Superblock) -> Vec<u8> {
    let mut area = vec![0; SUPERBLOCK_AREA as usize];
    for (superblock, copy) in [(first, 0), (first, 1), (second, 0), (second, 1)] {
        let at = superblock::offset(superblock.slot(), copy) as usize;
        area[at..at + SUPERBLOCK].copy_from_slice(&superblock.encode());
    }
    area
}

/// A slot as found.
struct SlotFound {
    /// The newer of its whole copies.
    best: Superblock,
    /// Whether each copy is that.
    is_best: [bool; 2],
}

/// Reads both copies of a slot. They differ only if the switch to the newer one was cut short, or if
/// one was damaged since; either way the newer whole one is right: its pages were synced before.
fn read_slot(file: &dyn File, name: &str, slot: usize) -> Result<SlotFound> {
    let copies = [0, 1].map(|copy| Pager::read_superblock(file, name, slot, copy));
    let whole = copies.iter().flatten().max_by_key(|superblock| superblock.generation).copied();
    let is_best = [0, 1].map(|copy| copies[copy].as_ref().ok() == whole.as_ref());
    let mut worst = None;
    for error in copies.into_iter().filter_map(Result::err) {
        if whole.is_none() || !matches!(error, StorageError::Corruption(_)) {
            worst = Some(error);
        }
    }
    match (whole, worst) {
        (Some(best), None) => Ok(SlotFound { best, is_best }),
        (_, Some(error)) => Err(error),
        (None, None) => Err(StorageError::Internal("a copy is whole or damaged".into())),
    }
}

/// Makes both copies alike again, one at a time: the other must be on disk meanwhile.
fn repair(pager: &Pager, slot: &SlotFound) -> Result<()> {
    for copy in 0..2 {
        if !slot.is_best[copy] {
            pager.write_superblock_copy(&slot.best, copy)?;
            pager.sync()?;
        }
    }
    Ok(())
}

/// The superblock of the last switch. Both slots must be good: a damaged one might be the newer.
fn newest(slots: &[SlotFound; 2], name: &str) -> Result<Superblock> {
    let [first, second] = [slots[0].best, slots[1].best];
    let (older, newer) =
        if first.generation < second.generation { (first, second) } else { (second, first) };
    let belong = older.generation + 1 == newer.generation
        && older.database_id == newer.database_id
        && older.page_size == newer.page_size;
    if !belong {
        let at = superblock::offset(older.slot(), 0);
        let what = "superblocks that do not follow each other";
        return Err(StorageError::corruption(name, at, what));
    }
    Ok(newer)
}

pub(crate) fn read_facts(pager: &Pager, at: PageRef) -> Result<(Facts, Vec<u64>)> {
    if at.is_none() {
        return Ok((Facts::default(), Vec::new()));
    }
    let chain = pager.read_chain(at, PageKind::Facts, u64::MAX)?;
    let facts = Facts::decode(&chain.payload)
        .ok_or_else(|| pager.damage(at.page, "malformed keyspace facts"))?;
    Ok((facts, chain.location.pages().collect()))
}

/// The catalogue of history, by which `facts` is completed.
pub(crate) fn read_catalogue(
    pager: &Pager,
    at: PageRef,
    facts: &mut Facts,
) -> Result<(Catalogue, Vec<u64>)> {
    if at.is_none() {
        return Ok((Catalogue::default(), Vec::new()));
    }
    let chain = pager.read_chain(at, PageKind::Catalogue, u64::MAX)?;
    let catalogue = Catalogue::decode(&chain.payload, facts)
        .ok_or_else(|| pager.damage(at.page, "malformed catalogue of history"))?;
    Ok((catalogue, chain.location.pages().collect()))
}

fn read_free_list(pager: &Pager, superblock: &Superblock) -> Result<(FreePages, Vec<u64>)> {
    let (pages, own) = read_free_pages(pager, superblock)?;
    Ok((FreePages::new(superblock.page_count, pages), own))
}

/// The free pages by the list of a superblock, and the pages of that list.
pub(crate) fn read_free_pages(
    pager: &Pager,
    superblock: &Superblock,
) -> Result<(BTreeSet<u64>, Vec<u64>)> {
    let at = superblock.free_list;
    if at.is_none() {
        return Ok((BTreeSet::new(), Vec::new()));
    }
    let chain = pager.read_chain(at, PageKind::FreeList, u64::MAX)?;
    let pages = decode_pages(&chain.payload, superblock.page_count)
        .filter(|pages| pages.len() as u64 == superblock.free_count)
        .ok_or_else(|| pager.damage(at.page, "malformed list of free pages"))?;
    Ok((pages, chain.location.pages().collect()))
}
