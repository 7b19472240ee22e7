//! Reading what verifies of a damaged directory.
//!
//! The manifest says which tables count, and in each table the index says where blocks are; a block that
//! fails its checksum costs its own keys and no others. Without a manifest every table in the directory
//! counts: also one that a merge had replaced, whose versions are true but may have been forgotten, which
//! is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use driftdb_env::Env;
use driftdb_storage::{
    Commit, Damage, EngineOptions, Keyspace, KeyspaceId, Lsn, Result, Retention, SalvageSink,
    StorageError, Timestamp,
};

use crate::engine::names_in;
use crate::keyspaces::Life;
use crate::manifest::{self, Manifest, RunRecord};
use crate::run::{Bounds, Place};
use crate::table::{self, ReadableScan, Table, TableContext, TableMeta};

/// See [`driftdb_storage::FileEngine::salvage`].
pub(crate) fn salvage(
    env: &Env,
    dir: &Path,
    options: &EngineOptions,
    sink: &mut dyn SalvageSink,
) -> Result<()> {
    let context = Arc::new(TableContext::new(options.cache_bytes));
    let manifest = match manifest::load(env, dir) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            let file = dir.join(manifest::NAME).display().to_string();
            sink.lost(Damage::new(file, 0, "the manifest is missing"));
            without_manifest(env, dir, &context, sink)?
        }
        Err(StorageError::Corruption(damage)) => {
            sink.lost(damage);
            without_manifest(env, dir, &context, sink)?
        }
        Err(error) => return Err(error),
    };
    sink.begin(manifest.durable)?;
    let mut salvage = Salvage {
        scans: Vec::new(),
        keyspaces: manifest.keyspaces.clone(),
        floors: manifest.floors.clone(),
        total_bytes: manifest.tables().map(|meta| meta.size_bytes).sum(),
        sink,
    };
    for (meta, bounds) in manifest.runs.iter().flat_map(|run| &run.parts) {
        let opened = Table::open(env, dir, *meta, &context).map(Arc::new);
        // Smaller keys were taken over by another table.
        let first = &bounds.first;
        let scans = match opened.and_then(|table| ReadableScan::of_table(&table, first)) {
            Err(StorageError::Corruption(damage)) => {
                salvage.tell_table(&damage, bounds);
                Vec::new()
            }
            scans => scans?,
        };
        for mut scan in scans {
            salvage.next_block(&mut scan)?;
            salvage.scans.push(scan);
        }
    }
    salvage.run()
}

/// What the tables themselves say, where no manifest says which count.
fn without_manifest(
    env: &Env,
    dir: &Path,
    context: &Arc<TableContext>,
    sink: &mut dyn SalvageSink,
) -> Result<Manifest> {
    let mut tables: Vec<TableMeta> = Vec::new();
    for name in names_in(env, dir)? {
        let Some(file_id) = table::id_of(&name) else { continue };
        match Table::describe(env, dir, file_id, context) {
            Ok(meta) => tables.push(meta),
            Err(StorageError::Corruption(damage)) => sink.lost(damage),
            Err(error) => return Err(error),
        }
    }
    let file = dir.join(manifest::NAME).display().to_string();
    let what = "without the manifest it is not known when keyspaces were created and dropped, nor how \
                far back each was kept: dropped tables and forgotten rows may come back";
    sink.lost(Damage::new(file, 0, what));
    let newest = tables.iter().map(|meta| meta.max_ts).max().unwrap_or_default();
    let record =
        |meta| RunRecord { parts: vec![(meta, Bounds::default())], ..RunRecord::default() };
    let runs = tables.into_iter().map(record).collect();
    Ok(Manifest { durable: Commit { lsn: Lsn(0), ts: newest }, runs, ..Manifest::default() })
}

/// A merge of all tables that leaves out what cannot be read.
struct Salvage<'a> {
    scans: Vec<ReadableScan>,
    keyspaces: BTreeMap<KeyspaceId, Life>,
    floors: BTreeMap<KeyspaceId, Retention>,
    total_bytes: u64,
    sink: &'a mut dyn SalvageSink,
}

impl Salvage<'_> {
    fn run(mut self) -> Result<()> {
        let mut key: Vec<u8> = Vec::new();
        let mut last: Option<(KeyspaceId, Timestamp)> = None;
        let known: Vec<KeyspaceId> = self.keyspaces.keys().copied().collect();
        let mut known = known.into_iter().peekable();
        while let Some(first) = self.first() {
            let (space, entry) = self.scans[first].head().expect("the first head is there");
            if last.is_none_or(|(before, _)| before != space) {
                // Those without a single version come in their turn.
                while let Some(empty) = known.next_if(|known| *known < space) {
                    self.sink.keyspace(&describe(&self.keyspaces, &self.floors, empty))?;
                }
                known.next_if_eq(&space);
                self.sink.keyspace(&describe(&self.keyspaces, &self.floors, space))?;
            }
            let is_twin = last == Some((space, entry.ts)) && *key == *entry.key;
            if !is_twin {
                self.sink.version(space, entry)?;
            }
            last = Some((space, entry.ts));
            key.clear();
            key.extend_from_slice(entry.key);
            self.advance(first)?;
        }
        for empty in known {
            self.sink.keyspace(&describe(&self.keyspaces, &self.floors, empty))?;
        }
        Ok(())
    }

    /// The scan that stands on the first version of all.
    fn first(&self) -> Option<usize> {
        let heads = self.scans.iter().enumerate();
        let heads = heads.filter_map(|(at, scan)| Some((at, scan.head()?)));
        let first = heads.min_by(|(_, (a_space, a)), (_, (b_space, b))| {
            let by_key = a_space.cmp(b_space).then_with(|| a.key.cmp(b.key));
            by_key.then_with(|| b.ts.cmp(&a.ts))
        });
        first.map(|(at, _)| at)
    }

    fn advance(&mut self, at: usize) -> Result<()> {
        if self.scans[at].step() {
            return Ok(());
        }
        let mut scan = self.scans.swap_remove(at);
        self.next_block(&mut scan)?;
        self.scans.push(scan);
        let done: u64 = self.scans.iter().map(ReadableScan::passed_bytes).sum();
        self.sink.progress(done.min(self.total_bytes), self.total_bytes);
        Ok(())
    }

    /// To the start of the next block that can be read.
    fn next_block(&mut self, scan: &mut ReadableScan) -> Result<()> {
        loop {
            let read = scan.next_block();
            if self.tell_damage(read)?.is_some() {
                return Ok(());
            }
        }
    }

    /// Tells that a whole table is lost, for every keyspace that may have keys in it: the manifest knows
    /// where it begins and ends, if not a manifest of version 1.
    fn tell_table(&mut self, damage: &Damage, bounds: &Bounds) {
        let Some(last) = &bounds.last else { return self.sink.lost(damage.clone()) };
        let first = &bounds.first;
        let within = self.keyspaces.range(first.space..=last.space).map(|(&space, _)| space);
        let spaces: BTreeSet<KeyspaceId> = within.chain([first.space, last.space]).collect();
        for space in spaces {
            let end = |place: &Place| (place.space == space).then(|| place.key.clone());
            let (first, last) = (end(first), end(last));
            self.sink.lost(damage.clone().with_keys(space, first.as_deref(), last.as_deref()));
        }
    }

    /// Tells damage; passes other errors.
    fn tell_damage<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(StorageError::Corruption(damage)) => {
                self.sink.lost(damage);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn describe(
    keyspaces: &BTreeMap<KeyspaceId, Life>,
    floors: &BTreeMap<KeyspaceId, Retention>,
    id: KeyspaceId,
) -> Keyspace {
    let life = keyspaces.get(&id).copied();
    let life = life.unwrap_or(Life { created: Timestamp(1), dropped: None });
    let kept = floors.get(&id).unwrap_or(&Retention::FOREVER).clone();
    Keyspace { id, created: life.created, dropped: life.dropped, kept }
}
