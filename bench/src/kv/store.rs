//! What every store must do to be compared, and the store that does nothing.
//!
//! The null store runs the same driver: what it costs is the driver's own cost, and is taken off.

use std::path::Path;

use anyhow::Result;

use super::data::Rows;

/// How a store is opened: the same for all.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Memory for cached blocks or pages; LMDB has none of its own.
    pub(crate) cache_bytes: usize,
    /// Memtable, or dirty data before a checkpoint.
    pub(crate) write_buffer_bytes: usize,
    /// LZ4 where the store has it; none where it has not.
    pub(crate) is_compressed: bool,
}

/// A key-value store under test.
pub(crate) trait Store: Send + Sync {
    /// Writes the rows together; durable on return if `is_durable`.
    fn write(&self, rows: &Rows, is_durable: bool) -> Result<()>;

    /// A view of now. Held over a read-only workload, made anew for each operation in a mixed one.
    fn reader(&self) -> Result<Box<dyn Reader + '_>>;

    /// Returns when the background work that is due is done.
    fn settle(&self) -> Result<()>;

    /// Figures of its own, for the report.
    fn figures(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

/// A view of a store.
pub(crate) trait Reader {
    /// Puts the value into `out`; false if there is none.
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool>;

    /// Visits up to `limit` rows from `from` on, key and value; returns how many there were.
    fn scan(&mut self, from: &[u8], limit: usize) -> Result<usize>;
}

/// What opens a store in an empty directory.
pub(crate) type Open = fn(&Path, &Settings) -> Result<Box<dyn Store>>;

/// Whose cost is the driver's.
#[derive(Debug)]
pub(crate) struct Null;

impl Store for Null {
    fn write(&self, rows: &Rows, _is_durable: bool) -> Result<()> {
        std::hint::black_box(rows.len());
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(Self))
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }
}

impl Reader for Null {
    fn get(&mut self, key: &[u8], _out: &mut Vec<u8>) -> Result<bool> {
        std::hint::black_box(key);
        Ok(false)
    }

    fn scan(&mut self, from: &[u8], _limit: usize) -> Result<usize> {
        std::hint::black_box(from);
        Ok(0)
    }
}
