//! `driftdb_transactions`: every commit there ever was, by its sequence number: when, who, from where,
//! with what kinds of statements, what for.

use driftdb_concurrency::Transaction;
use driftdb_query::{Result, SystemRelation, SystemScan, timestamptz_of};
use driftdb_types::{DataType, Value};

use super::{Relation, SystemView};

pub(super) struct Transactions;

/// Commits looked up at a time.
const MOST_AT_ONCE: usize = 1024;

impl Relation for Transactions {
    fn definition(&self) -> SystemRelation {
        SystemRelation {
            name: "driftdb_transactions",
            columns: vec![
                ("seq", DataType::Int8),
                ("committed_at", DataType::Timestamptz),
                ("user_name", DataType::Text),
                ("application_name", DataType::Text),
                ("statements", DataType::Text),
                ("comment", DataType::Text),
            ],
            key: Some(0),
            has_history: false,
        }
    }

    fn rows(
        &self,
        view: &SystemView<'_>,
        scan: &SystemScan<'_>,
        txn: &mut dyn Transaction,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<Option<i64>> {
        let seen = txn.snapshot_ts();
        let [first, last] =
            [scan.keys.start(), scan.keys.end()].map(|key| u64::try_from(*key).unwrap_or(0));
        let notes = view.node.store().commits(first, last, MOST_AT_ONCE)?;
        let is_full = notes.len() == MOST_AT_ONCE;
        let next = notes.last().map(|note| note.sequence as i64 + 1);
        // What was committed after the statement's snapshot is not there yet.
        let is_end = notes.last().is_some_and(|note| note.ts > seen);
        for note in notes.into_iter().take_while(|note| note.ts <= seen) {
            let said = note.provenance;
            // A commit that said nothing has an unknown user, not one without a name.
            let text = |text: String| if text.is_empty() { Value::Null } else { Value::text(text) };
            out.push(vec![
                Value::Int8(note.sequence as i64),
                Value::Timestamptz(timestamptz_of(note.ts)),
                text(said.user),
                text(said.application),
                text(said.kinds.to_string()),
                text(said.comment),
            ]);
        }
        Ok(next.filter(|_| is_full && !is_end))
    }
}
