//! LMDB by way of heed: one map, no cache of its own; it reads the system's page cache.
#![expect(unsafe_code, reason = "heed's open and set_flags are unsafe functions; no other way in")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, FlagSetMode, RoTxn, WithTls};

use crate::kv::data::Rows;
use crate::kv::store::{Reader, Settings, Store};

/// Address space only.
const MAP_BYTES: usize = 32 << 30;

struct Lmdb {
    env: Env<WithTls>,
    rows: Database<Bytes, Bytes>,
    is_syncing: AtomicBool,
}

pub(crate) fn open(dir: &Path, _settings: &Settings) -> Result<Box<dyn Store>> {
    let mut options = EnvOpenOptions::new();
    options.map_size(MAP_BYTES);
    // SAFETY: the directory is this run's own; nobody else opens or changes its files.
    let env = unsafe { options.open(dir)? };
    let mut txn = env.write_txn()?;
    let rows = env.create_database(&mut txn, None)?;
    txn.commit()?;
    Ok(Box::new(Lmdb { env, rows, is_syncing: AtomicBool::new(true) }))
}

impl Lmdb {
    /// The setting is the environment's; the driver changes it only between workloads.
    fn set_syncing(&self, is_syncing: bool) -> Result<()> {
        if self.is_syncing.swap(is_syncing, Ordering::Relaxed) != is_syncing {
            let mode = if is_syncing { FlagSetMode::Disable } else { FlagSetMode::Enable };
            // SAFETY: a crash without syncs may damage this run's scratch files, which nobody keeps.
            unsafe { self.env.set_flags(EnvFlags::NO_SYNC, mode)? };
        }
        Ok(())
    }
}

impl Store for Lmdb {
    fn write(&self, rows: &Rows, is_durable: bool) -> Result<()> {
        self.set_syncing(is_durable)?;
        let mut txn = self.env.write_txn()?;
        for (key, value) in rows.iter() {
            self.rows.put(&mut txn, key, value)?;
        }
        Ok(txn.commit()?)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(View { rows: self.rows, txn: self.env.read_txn()? }))
    }

    fn settle(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }
}

struct View<'a> {
    rows: Database<Bytes, Bytes>,
    txn: RoTxn<'a, WithTls>,
}

impl Reader for View<'_> {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let value = self.rows.get(&self.txn, key)?;
        if let Some(value) = value {
            out.extend_from_slice(value);
        }
        Ok(value.is_some())
    }

    fn scan(&mut self, from: &[u8], limit: usize) -> Result<usize> {
        use std::ops::Bound::{Included, Unbounded};
        // LMDB refuses an empty key, also as a bound.
        let start = if from.is_empty() { Unbounded } else { Included(from) };
        let mut count = 0;
        for row in self.rows.range(&self.txn, &(start, Unbounded))?.take(limit) {
            std::hint::black_box(row?);
            count += 1;
        }
        Ok(count)
    }
}
