//! fjall: leveled compaction and filters as they come (10 bits below the first level).

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use fjall::config::{BlockSizePolicy, CompressionPolicy};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot,
};

use crate::kv::data::Rows;
use crate::kv::store::{Reader, Settings, Store};

struct Fjall {
    db: Database,
    rows: Keyspace,
}

pub(crate) fn open(dir: &Path, settings: &Settings) -> Result<Box<dyn Store>> {
    let kind = if settings.is_compressed { CompressionType::Lz4 } else { CompressionType::None };
    let db = Database::builder(dir)
        .cache_size(settings.cache_bytes as u64)
        .journal_compression(CompressionType::None)
        .worker_threads(2)
        .open()?;
    let write_buffer_bytes = settings.write_buffer_bytes as u64;
    let rows = db.keyspace("rows", move || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(write_buffer_bytes)
            .data_block_size_policy(BlockSizePolicy::all(8 << 10))
            .data_block_compression_policy(CompressionPolicy::all(kind))
    })?;
    Ok(Box::new(Fjall { db, rows }))
}

impl Store for Fjall {
    fn write(&self, rows: &Rows, is_durable: bool) -> Result<()> {
        let mut batch = self.db.batch();
        for (key, value) in rows.iter() {
            batch.insert(&self.rows, key, value);
        }
        // As the others: what is not durable need not have left the process.
        Ok(batch.durability(is_durable.then_some(PersistMode::SyncData)).commit()?)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(View { snapshot: self.db.snapshot(), rows: &self.rows }))
    }

    fn settle(&self) -> Result<()> {
        let mut quiet_count = 0;
        while quiet_count < 3 {
            let busy = self.db.outstanding_flushes() + self.db.active_compactions();
            quiet_count = if busy == 0 { quiet_count + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

struct View<'a> {
    snapshot: Snapshot,
    rows: &'a Keyspace,
}

impl Reader for View<'_> {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let value = self.snapshot.get(self.rows, key)?;
        if let Some(value) = &value {
            out.extend_from_slice(value);
        }
        Ok(value.is_some())
    }

    fn scan(&mut self, from: &[u8], limit: usize) -> Result<usize> {
        let mut count = 0;
        for row in self.snapshot.range(self.rows, from..).take(limit) {
            std::hint::black_box(row.into_inner()?);
            count += 1;
        }
        Ok(count)
    }
}
