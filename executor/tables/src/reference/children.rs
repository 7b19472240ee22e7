//! The rows that refer to a key.

use driftdb_concurrency::{
    LockIntent, LockStrength, ReadAt, RowBatch, ScanRequest, ScanState, Transaction, TxnError,
    WaitPolicy,
};
use driftdb_query::{Result, RowKey};
use driftdb_storage::KeyspaceId;
use driftdb_types::{EvalContext, Value, compare_typed};

use super::{Reference, Referral};
use crate::key::{ByteRange, ValueBound, index_range};

/// Rows or entries read at a time.
const BATCH: usize = 256;
/// Referring rows may go and come while they are waited for; then they are looked for again, so often.
const ATTEMPTS: usize = 100;

/// A row and its storage key.
pub type FoundRow = (Vec<u8>, Vec<Value>);

/// Finds rows of the referencing table, as of now, a batch at a time. Rows may be changed between
/// batches.
#[derive(Debug)]
pub struct ChildScan<'a> {
    reference: &'a Reference,
    /// The values that rows must have; `None`: any.
    values: Option<Vec<Value>>,
    /// The index's keyspace, if one is used.
    index: Option<KeyspaceId>,
    /// What is left to be read.
    range: Option<ByteRange>,
}

impl Reference {
    /// The rows that refer to a referenced row by its values.
    pub fn children(&self, values: &[Value], context: &EvalContext) -> ChildScan<'_> {
        let scan = ChildScan { reference: self, values: None, index: None, range: None };
        match self.to_child(values, context) {
            Some(values) => {
                let (index, range) = self.child_path(&values);
                ChildScan { values: Some(values), index, range: Some(range), ..scan }
            }
            None => scan,
        }
    }

    /// All rows of the referencing table.
    pub fn all_children(&self) -> ChildScan<'_> {
        let range = Some(ByteRange::ALL);
        ChildScan { reference: self, values: None, index: None, range }
    }

    /// The index whose leading columns are most of the key's, and its entries with these values.
    fn child_path(&self, values: &[Value]) -> (Option<KeyspaceId>, ByteRange) {
        let child = &self.child;
        let mut best = (0, None, ByteRange::ALL);
        for index in &child.indexes {
            // A partial index need not have every row that refers.
            if index.keyspace.is_none() && child.key != RowKey::Primary || index.predicate.is_some()
            {
                continue;
            }
            let place = |id| self.key.columns.iter().position(|other| *other == id);
            let places = index.columns.iter().map_while(|column| place(column.column));
            let equal: Vec<Value> = places.map(|place| values[place].clone()).collect();
            if equal.len() <= best.0 {
                continue;
            }
            let unbounded = ValueBound::Unbounded;
            if let Some(range) = index_range(child, index, &equal, &unbounded, &unbounded) {
                best = (equal.len(), index.keyspace, range);
            }
        }
        (best.1, best.2)
    }

    /// Whether a row has the values.
    fn has_values(&self, row: &[Value], values: &[Value]) -> bool {
        self.child_positions.iter().zip(values).all(|(at, value)| {
            let ty = self.child.columns[*at].ty;
            !row[*at].is_null() && compare_typed(ty, &row[*at], value).is_eq()
        })
    }

    /// The row of the referencing table at a key, as of now.
    ///
    /// # Errors
    /// Storage.
    pub fn child_at(&self, txn: &mut dyn Transaction, key: &[u8]) -> Result<Option<Vec<Value>>> {
        let mut bytes = Vec::new();
        if !txn.get(self.child.keyspace, key, ReadAt::Newest, &mut bytes)? {
            return Ok(None);
        }
        let mut row = Vec::with_capacity(self.child_reader.len());
        self.child_reader.read(&bytes, &mut row)?;
        Ok(Some(row))
    }

    /// Whether a row still refers to a referenced row's values.
    pub fn refers(&self, row: &[Value], values: &[Value], context: &EvalContext) -> bool {
        self.to_child(values, context).is_some_and(|values| self.has_values(row, &values))
    }

    /// Whether any row refers to a referenced row's values; not held.
    ///
    /// # Errors
    /// Storage; canceled.
    pub fn may_be_referenced(
        &self,
        txn: &mut dyn Transaction,
        values: &[Value],
        context: &EvalContext,
    ) -> Result<bool> {
        let mut scan = self.children(values, context);
        while let Some(found) = scan.next(txn)? {
            if !found.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether any row refers to a referenced row's values, once those who are about to take such rows
    /// away have ended; the row found is held for key-share.
    ///
    /// # Errors
    /// Deadlock; canceled; storage.
    pub fn is_referenced(
        &self,
        txn: &mut dyn Transaction,
        values: &[Value],
        context: &EvalContext,
    ) -> Result<bool> {
        let mut scan = self.children(values, context);
        while let Some(found) = scan.next(txn)? {
            for (key, _) in found {
                let (intent, wait) = (LockIntent::Insert, WaitPolicy::Wait(None));
                txn.lock(self.child.keyspace, &key, LockStrength::KeyShare, intent, wait)?;
                let now = self.child_at(txn, &key)?;
                if now.is_some_and(|row| self.refers(&row, values, context)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Looks at every row of the referencing table: the error for one that violates the constraint.
    /// Referenced rows are held.
    ///
    /// # Errors
    /// Deadlock; canceled; storage.
    pub fn find_violation(
        &self,
        txn: &mut dyn Transaction,
        context: &EvalContext,
    ) -> Result<Option<driftdb_query::SqlError>> {
        let mut scan = self.all_children();
        while let Some(found) = scan.next(txn)? {
            for (key, row) in found {
                if let Some(error) = self.violation(txn, &key, row, context)? {
                    return Ok(Some(error));
                }
            }
        }
        Ok(None)
    }

    /// The error if the row violates the constraint and is still there.
    fn violation(
        &self,
        txn: &mut dyn Transaction,
        key: &[u8],
        mut row: Vec<Value>,
        context: &EvalContext,
    ) -> Result<Option<driftdb_query::SqlError>> {
        for _ in 0..ATTEMPTS {
            let error = match self.referral(&row) {
                Referral::None => return Ok(None),
                Referral::Mixed => self.mixed_nulls(),
                Referral::To(values) => {
                    // Whoever brought both: rows of other transactions are looked at, too.
                    if let Some(parent) = self.to_parent(&values, context)
                        && self.stands(txn, &parent)?
                    {
                        return Ok(None);
                    }
                    self.missing_parent(&values, context)
                }
            };
            // Both may have gone since the row was read.
            match self.child_at(txn, key)? {
                None => return Ok(None),
                Some(now) if now == row => return Ok(Some(error)),
                Some(now) => row = now,
            }
        }
        Err(TxnError::ConcurrentUpdate.into())
    }
}

impl ChildScan<'_> {
    /// The next rows; empty batches may come before the end, which is `None`.
    ///
    /// # Errors
    /// Storage; canceled.
    pub fn next(&mut self, txn: &mut dyn Transaction) -> Result<Option<Vec<FoundRow>>> {
        let Some(range) = &mut self.range else { return Ok(None) };
        let space = self.index.unwrap_or(self.reference.child.keyspace);
        let request = ScanRequest {
            range: range.as_range(),
            at: ReadAt::Newest,
            reverse: false,
            max_rows: BATCH,
        };
        let mut batch = RowBatch::new();
        let state = txn.scan(space, &request, &mut batch)?;
        match batch.last_key() {
            Some(last) if state == ScanState::More => {
                range.start = std::ops::Bound::Excluded(last.to_vec());
            }
            _ => self.range = None,
        }
        let mut found = Vec::new();
        for entry in batch.rows() {
            let value = entry.value.unwrap_or_default();
            let (key, row) = if self.index.is_some() {
                match self.reference.child_at(txn, value)? {
                    Some(row) => (value, row),
                    // Deleted since the entry was read.
                    None => continue,
                }
            } else {
                let mut row = Vec::with_capacity(self.reference.child_reader.len());
                self.reference.child_reader.read(value, &mut row)?;
                (entry.key, row)
            };
            let is_meant = match &self.values {
                Some(values) => self.reference.has_values(&row, values),
                None => true,
            };
            if is_meant {
                found.push((key.to_vec(), row));
            }
        }
        Ok(Some(found))
    }
}
