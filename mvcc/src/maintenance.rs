//! The one background task: flush, merge, checkpoint, let history and log go.
//!
//! Commits count the bytes they log and wake the task once enough have gathered; between wake-ups it
//! sleeps. The log is released only up to what the engine has *durably*.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use driftdb_concurrency::ConcurrencyControl;
use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Task, planted};
use driftdb_storage::{Commit, Engine, Lsn, Maintained, Result, StorageError};

use crate::store::Shared;

/// The task's side of a store.
pub(crate) struct Maintenance {
    wake_bytes: u64,
    log_bytes: AtomicU64,
    orders: Mutex<Orders>,
    woken: Condvar,
    /// The engine takes one maintainer at a time.
    maintaining: Mutex<Checkpoints>,
}

#[derive(Default)]
struct Orders {
    is_due: bool,
    must_stop: bool,
    task: Option<Task>,
    first_error: Option<StorageError>,
}

#[derive(Default)]
struct Checkpoints {
    /// The log's end when the last checkpoint began.
    last_tail: Lsn,
    released: Lsn,
}

impl Maintenance {
    pub(crate) fn new(wake_bytes: u64) -> Self {
        Self {
            wake_bytes: wake_bytes.max(1),
            log_bytes: AtomicU64::new(0),
            orders: Mutex::default(),
            woken: Condvar::new(),
            maintaining: Mutex::default(),
        }
    }

    /// Counts bytes logged; wakes the task when enough have gathered.
    pub(crate) fn note_log_bytes(&self, bytes: u64) {
        let before = self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before / self.wake_bytes != (before + bytes) / self.wake_bytes {
            self.wake();
        }
    }

    pub(crate) fn wake(&self) {
        self.orders.lock().is_due = true;
        self.woken.notify_all();
    }

    /// The first error of the background task.
    pub(crate) fn first_error(&self) -> Option<StorageError> {
        self.orders.lock().first_error.clone()
    }

    /// Waits for work; false when the task must end.
    fn wait(&self) -> bool {
        let mut orders = self.orders.lock();
        loop {
            if orders.must_stop {
                return false;
            }
            if std::mem::take(&mut orders.is_due) {
                return true;
            }
            self.woken.wait(&mut orders);
        }
    }

    fn must_stop(&self) -> bool {
        self.orders.lock().must_stop
    }

    /// Ends the task and waits for it.
    pub(crate) fn stop(&self) {
        let task = {
            let mut orders = self.orders.lock();
            orders.must_stop = true;
            orders.task.take()
        };
        self.woken.notify_all();
        if let Some(task) = task {
            task.join();
        }
    }
}

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    pub(crate) fn start_maintenance(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let task = self.env.spawn("driftdb-maintenance", move || {
            while shared.maintenance.wait() {
                if let Err(error) = shared.maintain_round() {
                    shared.note_failure(error);
                }
            }
        });
        let mut orders = self.maintenance.orders.lock();
        orders.task = Some(task);
        // What recovery replayed may be due for a flush already.
        orders.is_due = true;
        drop(orders);
        self.maintenance.woken.notify_all();
    }

    /// Everything that is due now.
    pub(crate) fn maintain_round(&self) -> Result<()> {
        let mut checkpoints = self.maintenance.maintaining.lock();
        self.refresh_retention();
        while !self.maintenance.must_stop()
            && self.engine.maintain(&self.wal)? == Maintained::Worked
        {
            preemption_point("mvcc.maintain.step");
        }
        let tail = self.wal.tail();
        let since = self.engine.durable().lsn.max(checkpoints.last_tail);
        if tail.0.saturating_sub(since.0) > self.checkpoint_log_bytes {
            self.engine.checkpoint(&self.wal)?;
            checkpoints.last_tail = tail;
        }
        self.release_log(&mut checkpoints)
    }

    /// Makes everything committed durable in the engine and lets the log go.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let mut checkpoints = self.maintenance.maintaining.lock();
        self.refresh_retention();
        let tail = self.wal.tail();
        self.engine.checkpoint(&self.wal)?;
        checkpoints.last_tail = tail;
        self.release_log(&mut checkpoints)
    }

    fn release_log(&self, checkpoints: &mut Checkpoints) -> Result<()> {
        let Commit { lsn, .. } = if planted!("mvcc.log-released-before-checkpoint") {
            self.engine.applied()
        } else {
            self.engine.durable()
        };
        if lsn > checkpoints.released {
            preemption_point("mvcc.release-log");
            self.wal.release_before(lsn)?;
            checkpoints.released = lsn;
        }
        Ok(())
    }

    /// Replays the log as a restart would, to look at it; it is not released meanwhile.
    pub(crate) fn read_log(&self, visit: &mut dyn FnMut(Lsn, &[u8]) -> Result<()>) -> Result<()> {
        let _pin = self.maintenance.maintaining.lock();
        self.wal.replay(self.engine.durable().lsn, visit)
    }

    /// Keeps the first error. An engine that refuses to go on must not be given commits it cannot
    /// apply after they were logged.
    fn note_failure(&self, error: StorageError) {
        let again = {
            let _one_at_a_time = self.maintenance.maintaining.lock();
            self.engine.maintain(&self.wal)
        };
        if let Err(poisoned @ StorageError::Poisoned { .. }) = again {
            self.poison(&poisoned);
        }
        self.maintenance.orders.lock().first_error.get_or_insert(error);
    }
}
