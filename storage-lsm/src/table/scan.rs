//! Reads a whole table in order, for merges: every keyspace, every version, past the cache.

use std::sync::Arc;

use driftdb_storage::{Entry, KeyspaceId, Result, StorageError};

use super::block::DataBlock;
use super::index::Index;
use super::{Fill, Table};

#[derive(Debug)]
pub(crate) struct TableScan {
    table: Arc<Table>,
    index: Arc<Index>,
    /// The next block to read.
    next_block: usize,
    block: Option<DataBlock>,
    slot: usize,
}

impl TableScan {
    /// Stands on the first entry.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn new(table: Arc<Table>) -> Result<Self> {
        let index = Arc::clone(table.index()?);
        let mut scan = Self { table, index, next_block: 0, block: None, slot: 0 };
        scan.read_block()?;
        Ok(scan)
    }

    /// Stands before the first block: [`TableScan::skip_block`] goes on.
    ///
    /// # Errors
    /// I/O; damage to what leads to the blocks.
    pub(crate) fn unread(table: Arc<Table>) -> Result<Self> {
        let index = Arc::clone(table.index()?);
        Ok(Self { table, index, next_block: 0, block: None, slot: 0 })
    }

    /// Goes to the start of the next block; called after one that could not be read, it leaves that out.
    ///
    /// # Errors
    /// I/O; damage, told with the keys that lie there. The block counts as left out.
    pub(crate) fn next_readable_block(&mut self) -> Result<()> {
        let result = self.read_block();
        if result.is_err() {
            self.next_block += 1;
        }
        result.map_err(|error| match error {
            StorageError::Corruption(damage) => {
                StorageError::Corruption(self.index.name_keys(self.next_block - 1, damage))
            }
            other => other,
        })
    }

    /// Bytes of the blocks passed so far.
    pub(crate) fn passed_bytes(&self) -> u64 {
        match self.next_block.checked_sub(1) {
            Some(last) => self.index.block(last).offset + u64::from(self.index.block(last).len),
            None => 0,
        }
    }

    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The entry it stands on; `None` at the end.
    pub(crate) fn head(&self) -> Option<(KeyspaceId, Entry<'_>)> {
        let block = self.block.as_ref()?;
        Some((block.space(), block.entry(self.slot)))
    }

    /// To the next entry of the block; false if the block has ended.
    pub(crate) fn step(&mut self) -> bool {
        self.slot += 1;
        let is_inside = self.block.as_ref().is_some_and(|block| self.slot < block.len());
        if !is_inside {
            self.block = None;
        }
        is_inside
    }

    /// # Errors
    /// I/O; damage.
    pub(crate) fn advance(&mut self) -> Result<()> {
        self.slot += 1;
        if self.block.as_ref().is_some_and(|block| self.slot >= block.len()) {
            self.read_block()?;
        }
        Ok(())
    }

    fn read_block(&mut self) -> Result<()> {
        self.slot = 0;
        self.block = None;
        if self.next_block < self.index.len() {
            let place = self.index.block(self.next_block);
            self.block = Some(self.table.block(&place, Fill::Bypass)?);
            self.next_block += 1;
        }
        Ok(())
    }
}
