//! RocksDB: leveled compaction as it comes, filters of 10 bits, one LRU block cache.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, Options, ReadOptions, WriteBatch,
    WriteOptions, properties,
};

use crate::kv::data::Rows;
use crate::kv::store::{Reader, Settings, Store};

struct RocksDb {
    db: DB,
}

pub(crate) fn open(dir: &Path, settings: &Settings) -> Result<Box<dyn Store>> {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(settings.cache_bytes)?);
    table.set_bloom_filter(10.0, false);
    table.set_block_size(8 << 10);
    table.set_format_version(5);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(settings.write_buffer_bytes);
    options.set_max_background_jobs(2);
    options.set_compression_type(if settings.is_compressed {
        DBCompressionType::Lz4
    } else {
        DBCompressionType::None
    });
    Ok(Box::new(RocksDb { db: DB::open(&options, dir)? }))
}

impl Store for RocksDb {
    fn write(&self, rows: &Rows, is_durable: bool) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in rows.iter() {
            batch.put(key, value);
        }
        let mut options = WriteOptions::default();
        options.set_sync(is_durable);
        Ok(self.db.write_opt(batch, &options)?)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(View { db: &self.db, options: ReadOptions::default() }))
    }

    fn settle(&self) -> Result<()> {
        let names = [
            properties::MEM_TABLE_FLUSH_PENDING,
            properties::NUM_RUNNING_FLUSHES,
            properties::COMPACTION_PENDING,
            properties::NUM_RUNNING_COMPACTIONS,
        ];
        // Between a flush and the compaction that it makes due, all figures may be 0 for a moment.
        let mut quiet_count = 0;
        while quiet_count < 3 {
            let mut busy = 0;
            for name in names {
                busy += self.db.property_int_value(name)?.unwrap_or(0);
            }
            quiet_count = if busy == 0 { quiet_count + 1 } else { 0 };
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

struct View<'a> {
    db: &'a DB,
    options: ReadOptions,
}

impl Reader for View<'_> {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let value = self.db.get_pinned_opt(key, &self.options)?;
        if let Some(value) = &value {
            out.extend_from_slice(value);
        }
        Ok(value.is_some())
    }

    fn scan(&mut self, from: &[u8], limit: usize) -> Result<usize> {
        let mut cursor = self.db.raw_iterator();
        cursor.seek(from);
        let mut count = 0;
        while count < limit && cursor.valid() {
            std::hint::black_box((cursor.key(), cursor.value()));
            count += 1;
            cursor.next();
        }
        cursor.status()?;
        Ok(count)
    }
}
