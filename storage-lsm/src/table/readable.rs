//! What can be read of a section, block by block, for a salvage: a block that fails costs its own keys.

use std::sync::Arc;

use driftdb_storage::{Entry, KeyspaceId, Result};

use super::block::DataBlock;
use super::{Fill, Section, Sections, Table};
use crate::run::Place;

#[derive(Debug)]
pub(crate) struct ReadableScan {
    table: Arc<Table>,
    sections: Arc<Sections>,
    section: Section,
    first: Place,
    next_block: usize,
    block: Option<DataBlock>,
    key_index: usize,
    slot: usize,
    key: Vec<u8>,
}

impl ReadableScan {
    /// A scan for each section of a table, before its first block. Keys before `first` are left out.
    ///
    /// # Errors
    /// I/O; damage to what leads to the blocks.
    pub(crate) fn of_table(table: &Arc<Table>, first: &Place) -> Result<Vec<Self>> {
        let sections = table.sections()?;
        let all = [Section::Newest, Section::History];
        let all = if sections.is_mixed() { &all[..1] } else { &all[..] };
        let scan = |&section| Self {
            table: Arc::clone(table),
            sections: Arc::clone(sections),
            section,
            first: first.clone(),
            next_block: 0,
            block: None,
            key_index: 0,
            slot: 0,
            key: Vec::new(),
        };
        Ok(all.iter().map(scan).collect())
    }

    /// Goes to the start of the next block, or to the end; called after one that could not be read, it
    /// leaves that out.
    ///
    /// # Errors
    /// I/O; damage, told with the keys that lie there. The block counts as passed.
    pub(crate) fn next_block(&mut self) -> Result<()> {
        self.block = None;
        let sections = Arc::clone(&self.sections);
        let index = sections.index(self.section);
        while self.block.is_none() && self.next_block < index.len() {
            let position = self.next_block;
            self.next_block += 1;
            let block = self.table.block(&sections, self.section, position, Fill::Bypass);
            self.stand_on(index.with_keys(position, block)?, 0);
            while self.is_before_first() && self.step() {}
        }
        Ok(())
    }

    fn is_before_first(&self) -> bool {
        let first = &self.first;
        self.head().is_some_and(|(space, entry)| first.cmp_key(space, entry.key).is_gt())
    }

    fn stand_on(&mut self, block: DataBlock, key_index: usize) {
        self.key_index = key_index;
        self.slot = block.start(key_index);
        block.copy_key(key_index, &mut self.key);
        self.block = Some(block);
    }

    /// The entry it stands on; `None` at the end, and where a block could not be read.
    pub(crate) fn head(&self) -> Option<(KeyspaceId, Entry<'_>)> {
        let block = self.block.as_ref()?;
        let (ts, value) = (block.ts(self.slot), block.value(self.slot));
        Some((block.space(), Entry { key: &self.key, ts, value }))
    }

    /// To the next entry of the block; false if the block has ended.
    pub(crate) fn step(&mut self) -> bool {
        let Some(block) = self.block.take() else { return false };
        self.slot += 1;
        if self.slot < block.end(self.key_index) {
            self.block = Some(block);
        } else if self.key_index + 1 < block.key_count() {
            self.stand_on(block, self.key_index + 1);
        }
        self.block.is_some()
    }

    /// Bytes of the blocks passed so far.
    pub(crate) fn passed_bytes(&self) -> u64 {
        let index = self.sections.index(self.section);
        (0..self.next_block).map(|position| u64::from(index.block(position).len)).sum()
    }
}
