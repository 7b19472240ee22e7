//! Checking a store: the engine, the log after it, and the store's own keyspaces.

use driftdb_concurrency::ConcurrencyControl;
use driftdb_storage::{
    Cursor, Engine, KeyRange, Result, ScanSpec, Snapshot, StorageError, Timestamp, VerifyDepth,
    VerifyReport, Visible,
};

use crate::record::CommitRecord;
use crate::store::Shared;
use crate::system::{self, COMMITS};

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    pub(crate) fn verify(&self, depth: VerifyDepth, found: &mut dyn VerifyReport) -> Result<()> {
        self.engine.verify(depth, found)?;
        if depth < VerifyDepth::Full {
            return Ok(());
        }
        report(self.verify_log(), found)?;
        report(self.verify_commits(), found)
    }

    /// Every record that a restart would replay decodes.
    fn verify_log(&self) -> Result<()> {
        self.read_log(&mut |end, payload| CommitRecord::decode(end, payload).map(drop))
    }

    /// The index of commits is dense, and ascends in time.
    fn verify_commits(&self) -> Result<()> {
        let newest = self.visible_sequence();
        let view = self.newest_view();
        let visible = Visible::AsOf(view.ts);
        let spec = ScanSpec { range: KeyRange::ALL, visible, reverse: false };
        let mut cursor = view.snapshot.cursor(COMMITS, &spec)?;
        let fail = |what: String| {
            Err(StorageError::corruption(format!("system keyspace {COMMITS}"), 0, what))
        };
        let (mut count, mut last) = (0u64, Timestamp::MIN);
        while cursor.next()? {
            count += 1;
            let entry = cursor.entry();
            if entry.key != count.to_be_bytes() {
                return fail(format!("commit {count} is missing"));
            }
            let ts = system::commit_entry(entry.value.unwrap_or_default())?.ts;
            if ts <= last || ts != entry.ts {
                return fail(format!("commit {count} has the timestamp {ts}"));
            }
            last = ts;
        }
        if count < newest {
            return fail(format!("it ends at commit {count} of {newest}"));
        }
        Ok(())
    }
}

/// Damage is a finding; other errors end the check.
fn report(result: Result<()>, found: &mut dyn VerifyReport) -> Result<()> {
    match result {
        Err(StorageError::Corruption(damage)) => {
            found.damage(damage);
            Ok(())
        }
        other => other,
    }
}
