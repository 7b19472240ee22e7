//! Reading the engine at a moment.

use std::sync::Arc;

use driftdb_storage::{
    Commit, Keyspace, KeyspaceId, Result, Retention, RetentionPolicy, ScanSpec, Snapshot,
    StorageError, Timestamp, Visible,
};

use crate::cursor::LsmCursor;
use crate::history;
use crate::keyspaces::{Life, known_at};
use crate::memtable::Found;
use crate::span::Span;
use crate::version::{Present, Version};

/// A stable view of an [`crate::LsmEngine`].
#[derive(Debug, Clone)]
pub struct LsmSnapshot {
    version: Arc<Version>,
    at: Commit,
    policy: Arc<RetentionPolicy>,
}

impl LsmSnapshot {
    pub(crate) fn new(present: Present) -> Self {
        Self { version: present.version, at: present.applied, policy: present.policy }
    }

    /// Checks that a read of `space` at `ts` is allowed. Returns the newest commit it may see.
    fn check(&self, space: KeyspaceId, ts: Timestamp) -> Result<Timestamp> {
        history::check(self.policy.of(space), self.version.floors.get(&space), ts)?;
        let at = ts.min(self.at.ts);
        match self.version.keyspaces.get(&space) {
            Some(life) if life.includes(at) => Ok(at),
            _ => Err(StorageError::UnknownKeyspace { space, at }),
        }
    }

    /// Checks that a scan is allowed.
    fn check_scan(&self, space: KeyspaceId, visible: Visible) -> Result<()> {
        let at = match visible {
            Visible::AsOf(ts) => return self.check(space, ts).map(|_| ()),
            Visible::All => self.at.ts,
            Visible::Between { after, up_to } => {
                let floor = self.version.floors.get(&space);
                history::check_since(self.policy.of(space), floor, after)?;
                up_to.min(self.at.ts)
            }
        };
        // The history of a dropped keyspace can be scanned as long as it is kept.
        match self.version.keyspaces.get(&space) {
            Some(life) if life.created <= at => Ok(()),
            _ => Err(StorageError::UnknownKeyspace { space, at }),
        }
    }
}

impl Snapshot for LsmSnapshot {
    type Cursor<'a> = LsmCursor;

    fn at(&self) -> Commit {
        self.at
    }

    fn keyspaces(&self) -> Vec<Keyspace> {
        let seen = known_at(&self.version.keyspaces, self.at.ts);
        seen.into_iter()
            .map(|(id, Life { created, dropped })| {
                let kept = self.version.floors.get(&id).unwrap_or(&Retention::FOREVER).clone();
                Keyspace { id, created, dropped, kept }
            })
            .collect()
    }

    fn get(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Option<Timestamp>> {
        let at = self.check(space, ts)?;
        // Runs are ordered by age, so the first that has a version has the newest.
        let mut found = self.version.memtables().find_map(|run| run.get(space, key, at, out));
        if found.is_none() {
            for run in &self.version.runs {
                let Some(part) = run.find(space, key) else { continue };
                found = part.table.get(space, key, at, out)?;
                if found.is_some() {
                    break;
                }
            }
        }
        Ok(match found {
            Some(Found::Value(ts)) => Some(ts),
            Some(Found::Tombstone(_)) | None => None,
        })
    }

    fn newest(&self, space: KeyspaceId, key: &[u8]) -> Result<Option<Timestamp>> {
        let at = self.check(space, Timestamp::MAX)?;
        let found = self.version.memtables().find_map(|run| run.newest(space, key, at));
        if found.is_some() {
            return Ok(found);
        }
        for run in &self.version.runs {
            let Some(part) = run.find(space, key) else { continue };
            let found = part.table.newest(space, key, at)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn cursor(&self, space: KeyspaceId, spec: &ScanSpec<'_>) -> Result<LsmCursor> {
        self.check_scan(space, spec.visible)?;
        Ok(LsmCursor::new(&self.version, Span::new(space, spec, self.at.ts)))
    }
}
