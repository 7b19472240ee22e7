//! Our engines as a store: engine and log, put together as `mvcc` does, without transactions.
//!
//! A write takes the next timestamp, appends timestamp and batch to the log, applies the batch, and
//! waits for the log if it must be durable. One background task lets the engine flush and merge, and
//! releases the log. Nothing here is faster than what the product does at this level: the batch is
//! built, checksummed, logged and applied for every write.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow};
use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Env, Task};
use driftdb_storage::{
    Commit, Compression, Cursor, Engine, EngineOptions, KeyRange, KeyspaceId, Lsn, Maintained,
    Retention, RetentionPolicy, ScanSpec, Snapshot, Timestamp, Visible, WriteBatch,
};
use driftdb_wal::{Wal, WalOptions};

use super::data::Rows;
use super::store::{Reader, Settings, Store};

/// The keyspace of all rows.
pub(crate) const SPACE: KeyspaceId = KeyspaceId(2000);
/// The task is woken each time so much was logged; this and what follows are `mvcc`'s defaults.
const WAKE_BYTES: u64 = 1 << 20;
/// Writers wait when the engine is so far behind the log.
const STALL_BYTES: u64 = 512 << 20;
/// A log of this length makes a checkpoint due.
const CHECKPOINT_BYTES: u64 = 256 << 20;

/// Engine and log.
pub(crate) struct Kv<E: Engine> {
    shared: Arc<Shared<E>>,
    task: Option<Task>,
}

struct Shared<E> {
    engine: E,
    wal: Wal,
    writer: Mutex<Writer>,
    orders: Mutex<Orders>,
    woken: Condvar,
    rounded: Condvar,
    is_behind: AtomicBool,
}

struct Writer {
    ts: u64,
    batch: WriteBatch,
    unseen_bytes: u64,
}

#[derive(Default)]
struct Orders {
    is_due: bool,
    must_stop: bool,
    round_count: u64,
    error: Option<String>,
}

/// The engine's options for these settings.
pub(crate) fn options(settings: &Settings) -> EngineOptions {
    EngineOptions {
        cache_bytes: settings.cache_bytes,
        write_buffer_bytes: settings.write_buffer_bytes,
        compression: if settings.is_compressed { Compression::Lz4 } else { Compression::None },
        ..EngineOptions::default()
    }
}

impl<E: Engine> Kv<E> {
    /// Opens the store in `dir` and replays the log.
    pub(crate) fn open(dir: &Path, options: &EngineOptions) -> Result<Self> {
        let env = Env::os();
        let engine = E::open(&env, &dir.join("engine"), options)?;
        let wal = Wal::open_to_replay(&env, &dir.join("wal"), &WalOptions::default())?;
        let durable = engine.durable();
        let mut ts = durable.ts.0;
        wal.replay(durable.lsn, &mut |end, payload| {
            let at = Commit { lsn: end, ts: timestamp(payload) };
            let batch = WriteBatch::from_bytes(payload.get(8..).unwrap_or_default())
                .expect("the bench wrote this log");
            ts = at.ts.0;
            engine.apply(&batch, at)
        })?;
        let writer = Mutex::new(Writer { ts, batch: WriteBatch::new(), unseen_bytes: 0 });
        let shared = Arc::new(Shared {
            engine,
            wal,
            writer,
            orders: Mutex::default(),
            woken: Condvar::new(),
            rounded: Condvar::new(),
            is_behind: AtomicBool::new(false),
        });
        if ts == 0 {
            shared.commit(false, |batch| batch.create_keyspace(SPACE))?;
        }
        let background = Arc::clone(&shared);
        let task = env.spawn("bench-maintenance", move || background.run());
        Ok(Self { shared, task: Some(task) })
    }

    /// Logs and applies what `fill` puts into a batch; returns its timestamp.
    pub(crate) fn commit(
        &self,
        is_durable: bool,
        fill: impl FnOnce(&mut WriteBatch),
    ) -> Result<Timestamp> {
        self.shared.commit(is_durable, fill)
    }

    pub(crate) fn engine(&self) -> &E {
        &self.shared.engine
    }

    /// Drops what is older than the newest version, from now on.
    pub(crate) fn keep_only_newest(&self) {
        let now = self.shared.engine.applied().ts;
        let policy =
            RetentionPolicy { default: Retention::since(now), ..RetentionPolicy::default() };
        self.shared.engine.set_retention(Arc::new(policy));
    }

    /// Everything to disk.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.settle()?;
        let _orders = self.shared.orders.lock();
        self.shared.engine.checkpoint(&self.shared.wal)?;
        self.shared.wal.release_before(self.shared.engine.durable().lsn)?;
        Ok(())
    }
}

/// The timestamp at the front of a record.
pub(crate) fn timestamp(payload: &[u8]) -> Timestamp {
    let front = payload.first_chunk().expect("the bench wrote this log");
    Timestamp(u64::from_le_bytes(*front))
}

impl<E: Engine> Shared<E> {
    fn commit(&self, is_durable: bool, fill: impl FnOnce(&mut WriteBatch)) -> Result<Timestamp> {
        if self.is_behind.load(Ordering::Relaxed) {
            self.wait_for_round();
        }
        let (lsn, ts, is_due) = {
            let mut guard = self.writer.lock();
            let writer = &mut *guard;
            writer.batch.clear();
            fill(&mut writer.batch);
            let ts = Timestamp(writer.ts + 1);
            let bytes = writer.batch.as_bytes();
            let lsn = self.wal.append(&[&ts.0.to_le_bytes(), bytes])?;
            self.engine.apply(&writer.batch, Commit { lsn, ts })?;
            writer.ts = ts.0;
            writer.unseen_bytes += bytes.len() as u64;
            let is_due = writer.unseen_bytes >= WAKE_BYTES;
            if is_due {
                writer.unseen_bytes = 0;
            }
            (lsn, ts, is_due)
        };
        if is_due {
            self.note_lag(lsn);
            self.orders.lock().is_due = true;
            self.woken.notify_all();
        }
        if is_durable {
            self.wal.wait_durable(lsn)?;
        }
        Ok(ts)
    }

    fn note_lag(&self, tail: Lsn) {
        let durable = self.engine.durable();
        let lag_bytes = tail.0.saturating_sub(durable.lsn.0);
        let is_behind = durable != Commit::default() && lag_bytes > STALL_BYTES;
        self.is_behind.store(is_behind, Ordering::Relaxed);
    }

    fn wait_for_round(&self) {
        let mut orders = self.orders.lock();
        let round_count = orders.round_count;
        orders.is_due = true;
        self.woken.notify_all();
        while orders.round_count == round_count && !orders.must_stop && orders.error.is_none() {
            if !self.rounded.wait_for(&mut orders, Duration::from_secs(1)) {
                return;
            }
        }
    }

    /// The background task.
    fn run(&self) {
        loop {
            {
                let mut orders = self.orders.lock();
                while !orders.is_due && !orders.must_stop {
                    self.woken.wait(&mut orders);
                }
                if orders.must_stop {
                    return;
                }
                orders.is_due = false;
            }
            let result = self.work_off();
            let mut orders = self.orders.lock();
            if let Err(error) = result {
                orders.error.get_or_insert(error.to_string());
            }
            orders.round_count += 1;
            drop(orders);
            self.rounded.notify_all();
        }
    }

    fn work_off(&self) -> Result<()> {
        while self.engine.maintain(&self.wal)? == Maintained::Worked {
            self.note_lag(self.wal.tail());
            if self.orders.lock().must_stop {
                return Ok(());
            }
        }
        let lag_bytes = self.wal.tail().0.saturating_sub(self.engine.durable().lsn.0);
        if lag_bytes > CHECKPOINT_BYTES {
            self.engine.checkpoint(&self.wal)?;
        }
        self.note_lag(self.wal.tail());
        self.wal.release_before(self.engine.durable().lsn)?;
        Ok(())
    }
}

impl<E: Engine> Store for Kv<E> {
    fn write(&self, rows: &Rows, is_durable: bool) -> Result<()> {
        self.commit(is_durable, |batch| {
            for (key, value) in rows.iter() {
                batch.put(SPACE, key, value);
            }
        })?;
        Ok(())
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(View { snapshot: self.shared.engine.snapshot() }))
    }

    /// One whole round of the background task that begins after this call.
    fn settle(&self) -> Result<()> {
        let mut orders = self.shared.orders.lock();
        // A round that runs may have looked already: the one after it has not.
        for _ in 0..2 {
            let round_count = orders.round_count;
            orders.is_due = true;
            self.shared.woken.notify_all();
            while orders.round_count == round_count {
                self.shared.rounded.wait(&mut orders);
            }
        }
        match &orders.error {
            Some(error) => Err(anyhow!("maintenance failed: {error}")),
            None => Ok(()),
        }
    }

    fn figures(&self) -> Vec<(String, u64)> {
        let mut figures = Vec::new();
        self.shared.engine.stats(&mut |name, value| figures.push((name.to_owned(), value)));
        self.shared.wal.stats(&mut |name, value| figures.push((format!("wal_{name}"), value)));
        figures
    }
}

impl<E: Engine> Drop for Kv<E> {
    fn drop(&mut self) {
        self.shared.orders.lock().must_stop = true;
        self.shared.woken.notify_all();
        if let Some(task) = self.task.take() {
            task.join();
        }
    }
}

struct View<S> {
    snapshot: S,
}

impl<S: Snapshot> Reader for View<S> {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        Ok(self.snapshot.get(SPACE, key, self.snapshot.at().ts, out)?.is_some())
    }

    fn scan(&mut self, from: &[u8], limit: usize) -> Result<usize> {
        let mut range = KeyRange::ALL;
        range.start = std::ops::Bound::Included(from);
        let spec =
            ScanSpec { range, visible: Visible::AsOf(self.snapshot.at().ts), reverse: false };
        let mut cursor = self.snapshot.cursor(SPACE, &spec)?;
        let mut count = 0;
        while count < limit && cursor.next()? {
            let entry = cursor.entry();
            std::hint::black_box((entry.key, entry.value));
            count += 1;
        }
        Ok(count)
    }
}
