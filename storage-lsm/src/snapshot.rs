//! Reading the engine at a moment.

use std::sync::Arc;

use driftdb_storage::{
    Commit, KeyspaceId, Result, RetentionPolicy, ScanSpec, Snapshot, StorageError, Timestamp,
    Visible,
};

use crate::cursor::LsmCursor;
use crate::history;
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
        // The snapshot's own moment and later are always exact: the newest version is never dropped.
        if ts < self.at.ts {
            history::check(self.policy.of(space), self.version.floors.get(&space), ts)?;
        }
        let at = ts.min(self.at.ts);
        match self.version.keyspaces.get(&space) {
            Some(life) if life.includes(at) => Ok(at),
            _ => Err(StorageError::UnknownKeyspace { space, at }),
        }
    }

    /// Checks that a scan is allowed.
    fn check_scan(&self, space: KeyspaceId, visible: Visible) -> Result<()> {
        let newest = match visible {
            Visible::AsOf(ts) => ts,
            Visible::All => Timestamp::MAX,
            Visible::Between { after, up_to } => {
                // Every version after a readable time is kept, but not every one after a forgotten.
                if after < self.at.ts {
                    history::check(self.policy.of(space), self.version.floors.get(&space), after)?;
                }
                up_to
            }
        };
        self.check(space, newest).map(|_| ())
    }
}

impl Snapshot for LsmSnapshot {
    type Cursor<'a> = LsmCursor;

    fn at(&self) -> Commit {
        self.at
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
            for table in &self.version.tables {
                found = table.get(space, key, at, out)?;
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
        for table in &self.version.tables {
            let found = table.newest(space, key, at)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn cursor<'a>(&'a self, space: KeyspaceId, spec: &ScanSpec<'_>) -> Result<LsmCursor> {
        self.check_scan(space, spec.visible)?;
        Ok(LsmCursor::new(&self.version, Span::new(space, spec, self.at.ts)))
    }
}
