//! Checking what is on disk, and telling how far the check is.

use driftdb_storage::{Damage, Result, StorageError, VerifyDepth, VerifyReport};

use crate::engine::LsmEngine;
use crate::manifest;
use crate::run::{Part, Place};
use crate::table;

/// A check under way.
pub(crate) struct Checking<'a> {
    pub(crate) depth: VerifyDepth,
    report: &'a mut dyn VerifyReport,
    done_bytes: u64,
    total_bytes: u64,
}

impl<'a> Checking<'a> {
    pub(crate) fn new(
        depth: VerifyDepth,
        report: &'a mut dyn VerifyReport,
        total_bytes: u64,
    ) -> Self {
        Self { depth, report, done_bytes: 0, total_bytes }
    }

    pub(crate) fn damage(&mut self, damage: Damage) {
        self.report.damage(damage);
    }

    /// Reports damage; gives what is whole; passes other errors.
    pub(crate) fn whole<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(StorageError::Corruption(damage)) => {
                self.report.damage(damage);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// So many more bytes have been checked.
    pub(crate) fn advance(&mut self, bytes: u64) {
        self.done_bytes = self.total_bytes.min(self.done_bytes + bytes);
        self.report.progress(self.done_bytes, self.total_bytes);
    }
}

impl LsmEngine {
    pub(crate) fn check(&self, depth: VerifyDepth, report: &mut dyn VerifyReport) -> Result<()> {
        // No step may replace the manifest between reading it and comparing.
        let state = self.maintenance.lock();
        let on_disk = manifest::load(&self.env, &self.dir);
        let version = self.present.version();
        let total_bytes = version.tables().map(|table| table.meta().size_bytes).sum();
        let mut checking = Checking::new(depth, report, total_bytes);
        match checking.whole(on_disk)? {
            Some(Some(on_disk)) if on_disk.is_behind(&state.manifest) => {}
            Some(_) => {
                let file = self.dir.join(manifest::NAME).display().to_string();
                let what = "the manifest is not the one that was written last";
                checking.damage(Damage::new(file, 0, what));
            }
            None => {}
        }
        drop(state);
        let mut before_bytes = 0;
        for part in version.parts() {
            check_bounds(part, &mut checking)?;
            table::check_table(&part.table, &mut checking)?;
            before_bytes += part.meta().size_bytes;
            let rest_bytes = before_bytes.saturating_sub(checking.done_bytes);
            checking.advance(rest_bytes);
        }
        Ok(())
    }
}

/// Parts of a run that overlap are refused when the manifest is read, so what is left to check is each
/// table for itself: the keys that it begins and ends with are those between which the manifest lets it be read: a key
/// outside would be there and never be found.
fn check_bounds(part: &Part, checking: &mut Checking<'_>) -> Result<()> {
    let (first, last) = match table::ends(&part.table) {
        Ok(ends) => ends,
        // The walk over the table finds the same, and tells it.
        Err(StorageError::Corruption(_)) => return Ok(()),
        Err(other) => return Err(other),
    };
    let mut wrong = |what: &str, place: &Place| {
        let damage = Damage::new(part.table.name(), 0, what);
        checking.damage(damage.with_keys(place.space, Some(&place.key), Some(&place.key)));
    };
    let bounds = &part.bounds;
    if !part.is_trimmed() && first < bounds.first {
        wrong("the table has keys below the first that the manifest knows of", &first);
    }
    // Version 1 of the manifest does not know it.
    if bounds.last.as_ref().is_some_and(|known| *known != last) {
        wrong("the manifest knows of another last key of the table", &last);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use driftdb_env::Env;
    use driftdb_sim_disk::{SimDisk, sim_env};
    use driftdb_storage::{
        Commit, Engine, EngineOptions, KeyspaceId, LogBarrier, Lsn, Timestamp, WriteBatch,
    };

    use super::*;
    use crate::run::Bounds;

    const DIR: &str = "/lsm";
    const SPACE: KeyspaceId = KeyspaceId(3);

    struct Always;

    impl LogBarrier for Always {
        fn wait_durable(&self, _lsn: Lsn) -> Result<()> {
            Ok(())
        }
    }

    fn open(env: &Env) -> Result<LsmEngine> {
        LsmEngine::open(env, DIR.as_ref(), &EngineOptions::tiny())
    }

    /// One table with the keys `b` to `y`.
    fn written() -> Env {
        let env = sim_env(&SimDisk::new(1), 1);
        let engine = open(&env).unwrap();
        let mut batch = WriteBatch::new();
        batch.create_keyspace(SPACE);
        (b'b'..=b'y').for_each(|key| batch.put(SPACE, &[key], &[key; 90]));
        engine.apply(&batch, Commit { lsn: Lsn(9), ts: Timestamp(9) }).unwrap();
        engine.checkpoint(&Always).unwrap();
        env
    }

    /// What `verify` finds after `change` was made to the bounds of the table in the manifest, at every
    /// depth the same.
    fn found(change: impl FnOnce(&mut Bounds)) -> Vec<Damage> {
        let env = written();
        let mut manifest = manifest::load(&env, DIR.as_ref()).unwrap().unwrap();
        change(&mut manifest.runs[0].parts[0].1);
        manifest::save(&env, DIR.as_ref(), &manifest).map_err(|_| "the disk is well").unwrap();
        let engine = open(&env).unwrap();
        let at = |depth| {
            let mut damages = Vec::new();
            engine.verify(depth, &mut |damage: Damage| damages.push(damage)).unwrap();
            damages
        };
        let damages = at(VerifyDepth::Full);
        assert_eq!(at(VerifyDepth::Structure), damages);
        damages
    }

    #[test]
    fn bounds_that_hide_keys_are_found() {
        assert_eq!(found(|_| {}), []);
        let place = |key: &[u8]| Place::new(SPACE, key);
        for (key, is_wrong) in [(&b"x"[..], true), (b"y", false), (b"z", true)] {
            let damages = found(|bounds| bounds.last = Some(place(key)));
            assert_eq!(!damages.is_empty(), is_wrong, "last {key:?}: {damages:?}");
            assert!(damages.iter().all(|damage| damage.what.contains("another last key")));
        }
        assert_eq!(found(|bounds| bounds.last = None), []);
        for (key, is_wrong) in [(&b"c"[..], true), (b"b\0", true), (b"b", false), (b"a", false)] {
            let damages = found(|bounds| bounds.first = place(key));
            assert_eq!(!damages.is_empty(), is_wrong, "first {key:?}: {damages:?}");
            assert!(damages.iter().all(|damage| damage.what.contains("below the first")));
        }
        // A compaction took the keys before `m` away.
        let trimmed = Bounds { skipped_bytes: 1, ..Bounds::new(place(b"m"), place(b"y")) };
        assert_eq!(found(|bounds| *bounds = trimmed), []);
    }

    #[test]
    fn a_manifest_that_was_exchanged_is_found() {
        let env = written();
        let engine = open(&env).unwrap();
        let mut manifest = manifest::load(&env, DIR.as_ref()).unwrap().unwrap();
        manifest.runs[0].parts[0].0.entry_count += 1;
        manifest::save(&env, DIR.as_ref(), &manifest).map_err(|_| "the disk is well").unwrap();
        let mut damages = Vec::new();
        engine.verify(VerifyDepth::Full, &mut |damage: Damage| damages.push(damage)).unwrap();
        assert!(damages.iter().any(|damage| damage.what.contains("written last")), "{damages:?}");
    }
}
