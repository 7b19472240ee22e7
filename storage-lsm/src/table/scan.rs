//! Reads a whole table in order, for merges: every keyspace, every version, past the cache.

use std::sync::Arc;

use driftdb_storage::{Entry, KeyspaceId, Result};

use super::block::DataBlock;
use super::index::Index;
use super::{Fill, Table};
use crate::run::Place;

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

    /// Stands on the first entry at or after `first`.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn starting_at(table: Arc<Table>, first: &Place) -> Result<Self> {
        let index = Arc::clone(table.index()?);
        let next_block =
            index.partition_point(|block| first.cmp_key(block.space, block.last_key).is_gt());
        let mut scan = Self { table, index, next_block, block: None, slot: 0 };
        scan.read_block()?;
        while scan.head().is_some_and(|(space, entry)| first.cmp_key(space, entry.key).is_gt()) {
            scan.advance()?;
        }
        Ok(scan)
    }

    /// Where in the file the block begins in which it stands; the end of the blocks, at the end.
    pub(crate) fn offset(&self) -> u64 {
        match self.next_block.checked_sub(1) {
            Some(current) if self.block.is_some() => self.index.block(current).offset,
            _ => self.table.meta().size_bytes,
        }
    }

    /// The entry it stands on; `None` at the end.
    pub(crate) fn head(&self) -> Option<(KeyspaceId, Entry<'_>)> {
        let block = self.block.as_ref()?;
        Some((block.space(), block.entry(self.slot)))
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
