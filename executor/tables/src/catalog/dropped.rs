//! Tables that are gone, by their names.

use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{ReadAt, RowBatch, ScanState, Transaction, VersionScan};
use driftdb_query::{Result, Table};
use driftdb_storage::{KeyRange, Timestamp};

use super::{NAMES, Named, lookup, name_key, table_by_id};

/// The table that last lost a name by being dropped, and its last moment.
///
/// # Errors
/// Storage; a malformed record.
pub(crate) fn dropped_table(
    txn: &mut dyn Transaction,
    schema: &str,
    name: &str,
) -> Result<Option<(Arc<Table>, Timestamp)>> {
    let key = name_key(schema, name);
    let range = KeyRange { start: Bound::Included(&key), end: Bound::Included(&key) };
    let (from, up_to) = (txn.oldest_readable(NAMES)?, txn.snapshot_ts());
    let mut older_than = None;
    loop {
        let scan = VersionScan { range, from, up_to, older_than, reverse: false, max_rows: 64 };
        let mut batch = RowBatch::new();
        let state = txn.scan_versions(NAMES, &scan, &mut batch)?;
        for version in batch.rows() {
            older_than = Some(version.ts);
            let last = Timestamp(version.ts.0.saturating_sub(1));
            if version.value.is_some() || last < from {
                continue;
            }
            // Whoever had the name until then may only have been renamed.
            if let Some(Named::Table(id)) = lookup(txn, schema, name, ReadAt::AsOf(last))?
                && table_by_id(txn, id, ReadAt::Statement)?.is_none()
                && let Some(table) = table_by_id(txn, id, ReadAt::AsOf(last))?
            {
                return Ok(Some((table, last)));
            }
        }
        if state == ScanState::Done {
            return Ok(None);
        }
    }
}
