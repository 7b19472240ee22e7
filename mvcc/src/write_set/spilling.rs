//! From memory to runs, and from there into a commit.
//!
//! Savepoints divide what is in memory into layers: what was written before the first, between each two,
//! and after the last. Each layer becomes a run of its own, so that a rollback to a savepoint drops runs.
//! The layers are had by undoing, from the newest back.
//!
//! Of runs at one level, eight that lie between the same savepoints become one of the next level, so that
//! there are few to look into.
//!
//! Invariants
//! * Newer runs come after older ones; memory is newer than all.
//! * What was in memory when a savepoint was made, if it has spilled, is within the savepoint's
//!   `run_count`, and nothing later is.
//! * A spill that fails has changed nothing.

use std::collections::BTreeMap;

use driftdb_env::sometimes;
use driftdb_storage::{KeyRange, KeyspaceId, Result, WriteBatch};

use super::rows::OwnRows;
use super::run::{self, Entry, Run, RunWriter};
use super::{Fate, OwnView, Undo, Versions, WriteSet};
use crate::spill::Spill;

/// So many runs of a level become one of the next.
const FAN_IN: usize = 8;

/// What was written between two savepoints, as it was at the second.
type Layer = BTreeMap<(KeyspaceId, Box<[u8]>), Versions>;

impl WriteSet {
    /// Moves what is in memory into runs.
    ///
    /// # Errors
    /// The disk is full or failed. Nothing has changed.
    pub(crate) fn spill(&mut self, spill: &Spill) -> Result<()> {
        let layers = self.take_layers();
        sometimes!("mvcc.writes-spilled");
        sometimes!("mvcc.writes-spilled-between-savepoints", layers.len() > 1);
        match self.write_layers(&layers, spill) {
            Ok((runs, run_counts)) => self.forget_memory(runs, &run_counts),
            Err(error) => {
                sometimes!("mvcc.spill-undone");
                self.put_back(layers);
                return Err(error);
            }
        }
        self.merge_runs(spill)
    }

    /// Takes the layers after each savepoint out of memory, which is then as at the first of them. The
    /// undo log stays.
    fn take_layers(&mut self) -> Vec<Layer> {
        let undo = std::mem::take(&mut self.undo);
        let starts: Vec<usize> = self.savepoints.iter().map(|mark| mark.undo_len).collect();
        let mut layers = Vec::new();
        let mut end = undo.len();
        for start in starts.into_iter().rev() {
            let mut layer = Layer::new();
            for undo in undo[start..end].iter().rev() {
                let Undo::Write { space, key, before } = undo else { continue };
                let keys = &mut self.space_mut(*space).keys;
                let now = match before {
                    Some(before) => keys.insert(key.clone(), before.clone()),
                    None => keys.remove(key),
                };
                let now = now.expect("what was written is there until it is undone");
                // The first met is the newest.
                layer.entry((*space, key.clone())).or_insert(now);
            }
            layers.push(layer);
            end = start;
        }
        layers.reverse();
        self.undo = undo;
        layers
    }

    fn put_back(&mut self, layers: Vec<Layer>) {
        for ((space, key), versions) in layers.into_iter().flatten() {
            self.space_mut(space).keys.insert(key, versions);
        }
    }

    /// Writes memory, then the layers. Gives the runs, and how many of them there were at each savepoint.
    fn write_layers(&self, layers: &[Layer], spill: &Spill) -> Result<(Vec<Run>, Vec<usize>)> {
        let mut runs = Vec::new();
        let mut run_counts = Vec::new();
        let in_memory = self.spaces.iter().flat_map(|(space, of)| {
            of.keys.iter().map(|(key, versions)| (*space, &**key, versions))
        });
        runs.extend(write_run(in_memory, spill)?);
        for layer in layers {
            run_counts.push(runs.len());
            let entries = layer.iter().map(|((space, key), versions)| (*space, &**key, versions));
            runs.extend(write_run(entries, spill)?);
        }
        Ok((runs, run_counts))
    }

    /// Memory is in runs now.
    fn forget_memory(&mut self, runs: Vec<Run>, run_counts: &[usize]) {
        let is_fate = |undo: &Undo| matches!(undo, Undo::Fate { .. });
        for (savepoint, run_count) in self.savepoints.iter_mut().zip(run_counts) {
            savepoint.undo_len =
                self.undo[..savepoint.undo_len].iter().filter(|undo| is_fate(undo)).count();
            if !savepoint.has_spilled {
                savepoint.has_spilled = true;
                savepoint.run_count = self.runs.len() + run_count;
            }
        }
        self.undo.retain(is_fate);
        self.undo.shrink_to_fit();
        for (_, space) in &mut self.spaces {
            space.keys.clear();
        }
        self.memory_bytes = 0;
        self.runs.extend(runs);
    }

    fn merge_runs(&mut self, spill: &Spill) -> Result<()> {
        if self.has_inner_statements() {
            // One entry could not say what each of the statements sees.
            return Ok(());
        }
        let floor = self.savepoints.last().map_or(0, |savepoint| savepoint.run_count);
        loop {
            let newer = &self.runs[floor..];
            let Some(level) = newer.last().map(|run| run.level) else { return Ok(()) };
            let count = newer.iter().rev().take_while(|run| run.level == level).count();
            if count < FAN_IN {
                return Ok(());
            }
            sometimes!("mvcc.spilled-runs-merged");
            let first = self.runs.len() - count;
            let merged = run::merge(&self.runs[first..], level + 1, spill)?;
            self.runs.truncate(first);
            self.runs.push(merged);
        }
    }

    /// Everything in batches of about `part_bytes`, in the same pieces every time: keyspaces made and
    /// dropped in the first, then writes in key order. `take` is told whether it is the last.
    ///
    /// # Errors
    /// A run cannot be read; those of `take`, at once.
    pub(crate) fn parts<Error: From<driftdb_storage::StorageError>>(
        &self,
        part_bytes: usize,
        mut take: impl FnMut(WriteBatch, bool) -> std::result::Result<(), Error>,
    ) -> std::result::Result<(), Error> {
        let mut batch = WriteBatch::new();
        self.spaces_of(Fate::Created).for_each(|space| batch.create_keyspace(space));
        self.spaces_of(Fate::Dropped).for_each(|space| batch.drop_keyspace(space));
        for (id, space) in &self.spaces {
            if matches!(space.fate, Fate::Dropped | Fate::CreatedAndDropped) {
                continue;
            }
            let mut rows = self.spilled(*id, &KeyRange::ALL, OwnView::All, false)?;
            while let Some((key, value)) = rows.current() {
                if value.is_some() || space.fate != Fate::Created {
                    if batch.as_bytes().len() >= part_bytes {
                        take(std::mem::take(&mut batch), false)?;
                    }
                    match value {
                        Some(value) => batch.put(*id, key, value),
                        None => batch.delete(*id, key),
                    }
                }
                rows.advance()?;
            }
        }
        take(batch, true)
    }

    /// The keyspaces that it writes.
    pub(crate) fn written_spaces(&self) -> Vec<KeyspaceId> {
        let is_written = |(id, space): &&(KeyspaceId, super::Space)| {
            matches!(space.fate, Fate::Lives | Fate::Created) && self.has_keys(*id, space)
        };
        self.spaces.iter().filter(is_written).map(|(id, _)| *id).collect()
    }
}

/// Writes entries as a run; none if there are none.
fn write_run<'a>(
    entries: impl Iterator<Item = (KeyspaceId, &'a [u8], &'a Versions)>,
    spill: &Spill,
) -> Result<Option<Run>> {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return Ok(None);
    }
    let mut writer = RunWriter::new(spill, 0)?;
    for (space, key, versions) in entries {
        writer.add(Entry { space, key, versions: versions.as_ref() })?;
    }
    writer.finish().map(Some)
}
