//! Distinct rows in a hash table: what grouping, DISTINCT and set operations stand on.
//!
//! Rows are equal if their columns are, NULL being equal to NULL. Each distinct row has a number, in
//! the order of first appearance.

use std::sync::Arc;

use driftdb_types::DataType;

use crate::batch::RowBuffer;
use crate::vector::{Vector, hash_rows};

const EMPTY: u32 = u32::MAX;

/// The table: open addressing over the numbers of rows.
pub(crate) struct GroupTable {
    rows: RowBuffer,
    hashes: Vec<u64>,
    slots: Vec<u32>,
}

impl GroupTable {
    pub(crate) fn new(types: &[DataType]) -> Self {
        Self { rows: RowBuffer::new(types, 0), hashes: Vec::new(), slots: vec![EMPTY; 16] }
    }

    /// How many distinct rows there are.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The distinct rows.
    pub(crate) fn rows(&self) -> &RowBuffer {
        &self.rows
    }

    /// The hashes of rows, for the calls below.
    pub(crate) fn hash(keys: &[Arc<Vector>], len: usize) -> Vec<u64> {
        hash_rows(keys.iter().map(|key| &**key), len)
    }

    /// The number of row `row` of `keys`, if it is in the table.
    pub(crate) fn find(&self, keys: &[Arc<Vector>], row: usize, hash: u64) -> Option<u32> {
        let slot = self.slot(keys, row, hash);
        Some(self.slots[slot]).filter(|&number| number != EMPTY)
    }

    /// The number of row `row` of `keys`, and whether it was added.
    pub(crate) fn insert(&mut self, keys: &[Arc<Vector>], row: usize, hash: u64) -> (u32, bool) {
        if self.hashes.len() * 8 >= self.slots.len() * 7 {
            self.grow();
        }
        let slot = self.slot(keys, row, hash);
        if self.slots[slot] != EMPTY {
            return (self.slots[slot], false);
        }
        let number = self.hashes.len() as u32;
        self.slots[slot] = number;
        self.hashes.push(hash);
        self.rows.push_from(keys, row);
        (number, true)
    }

    /// Where the row is, or would be.
    fn slot(&self, keys: &[Arc<Vector>], row: usize, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = start(hash) & mask;
        loop {
            let number = self.slots[slot];
            if number == EMPTY {
                return slot;
            }
            let stored = number as usize;
            if self.hashes[stored] == hash
                && keys
                    .iter()
                    .enumerate()
                    .all(|(i, key)| key.same(row, self.rows.column(i), stored))
            {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let len = self.slots.len() * 2;
        assert!(len < EMPTY as usize, "fewer than 2^31 groups");
        self.slots = vec![EMPTY; len];
        for (number, hash) in self.hashes.iter().enumerate() {
            let mut slot = start(*hash) & (len - 1);
            while self.slots[slot] != EMPTY {
                slot = (slot + 1) & (len - 1);
            }
            self.slots[slot] = number as u32;
        }
    }

    /// About how much memory a row takes, besides its values.
    pub(crate) const ROW_BYTES: usize = 24;
}

fn start(hash: u64) -> usize {
    (hash >> 20) as usize
}
