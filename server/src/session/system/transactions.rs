//! `driftdb_transactions`: every commit there ever was, by its sequence number: when, who, from where,
//! with what kinds of statements, what for.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemScan, timestamptz_of};
use driftdb_types::Value;

use super::SystemView;
use super::rows::Rows;

/// Commits looked up at a time.
const MOST_AT_ONCE: usize = 1024;

pub(super) fn rows(
    view: &SystemView<'_>,
    scan: &SystemScan<'_>,
    txn: &mut dyn Transaction,
    rows: &mut Rows<'_>,
) -> Result<Option<i64>> {
    // Only visible commits are listed.
    txn.settle_reads()?;
    let seen = txn.snapshot_ts();
    let [first, last] =
        [scan.keys.start(), scan.keys.end()].map(|key| u64::try_from(*key).unwrap_or(0));
    let notes = view.node.store().commits(first, last, MOST_AT_ONCE)?;
    let is_full = notes.len() == MOST_AT_ONCE;
    let next = notes.last().map(|note| note.sequence as i64 + 1);
    // What was committed after the statement's snapshot is not there yet.
    let is_end = notes.last().is_some_and(|note| note.ts > seen);
    let mut columns = rows.columns([
        "seq",
        "committed_at",
        "user_name",
        "application_name",
        "statements",
        "comment",
    ])?;
    for note in notes.into_iter().take_while(|note| note.ts <= seen) {
        let said = note.provenance;
        // A commit that said nothing has an unknown user, not one without a name.
        let text = |text: String| if text.is_empty() { Value::Null } else { Value::text(text) };
        columns.add([
            Value::Int8(note.sequence as i64),
            Value::Timestamptz(timestamptz_of(note.ts)),
            text(said.user),
            text(said.application),
            text(said.kinds.to_string()),
            text(said.comment),
        ])?;
    }
    Ok(next.filter(|_| is_full && !is_end))
}
