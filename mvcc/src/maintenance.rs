//! The one background task: flush, merge, checkpoint, let history and log go.
//!
//! Commits count the bytes they log and wake the task once enough have gathered; between wake-ups it
//! sleeps. The log is released only up to what the engine has *durably*.
//!
//! When the engine falls behind, commits are delayed: by the square of its pressure, so that they
//! slow down long before they would have to stop. At the bound they wait for the task's next round,
//! so that memory stays bounded. `stall_count` and `stall_nanos` tell how often and how long.

use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::ConcurrencyControl;
use driftdb_env::kernel::preemption_point;
use driftdb_env::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Task, buggify, planted, sometimes};
use driftdb_storage::{Commit, Engine, Lsn, Maintained, Result, StorageError};

use crate::ballast;
use crate::store::Shared;

/// A commit that waits for the task gives up after this long: a slow task must not look like a hang.
const STALL_MAX: Duration = Duration::from_secs(1);

/// On a full disk the task looks this often whether there is room again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(500);
/// The delay of a commit just below the bound.
const DELAY_MAX: Duration = Duration::from_millis(10);
/// A shorter delay than this is none: the system could not keep it.
const DELAY_MIN: Duration = Duration::from_micros(50);

/// How long a commit is delayed at a pressure in thousandths.
fn delay(pressure: u32) -> Duration {
    let delay = DELAY_MAX * pressure * pressure / 1_000_000;
    if delay < DELAY_MIN { Duration::ZERO } else { delay }
}

/// How far the log is beyond half of what the engine may lag, in thousandths of the other half.
fn lag_pressure(lag_bytes: u64, stall_bytes: u64) -> u32 {
    let half = (stall_bytes / 2).max(1);
    (lag_bytes.saturating_sub(half).saturating_mul(1000) / half).min(1000) as u32
}

/// The task's side of a store.
pub(crate) struct Maintenance {
    wake_bytes: u64,
    stall_bytes: u64,
    /// Whether commits should wait for the next round.
    is_behind: AtomicBool,
    /// How near the log's lag is to the bound, in thousandths.
    lag_pressure: AtomicU32,
    stall_count: AtomicU64,
    stall_nanos: AtomicU64,
    log_bytes: AtomicU64,
    orders: Mutex<Orders>,
    woken: Condvar,
    /// A round has ended.
    rounded: Condvar,
    /// The engine takes one maintainer at a time.
    pub(crate) maintaining: Mutex<Checkpoints>,
}

#[derive(Default)]
struct Orders {
    is_due: bool,
    must_stop: bool,
    round_count: u64,
    task: Option<Task>,
    first_error: Option<StorageError>,
}

#[derive(Default)]
pub(crate) struct Checkpoints {
    /// The log's end when the last checkpoint began.
    last_tail: Lsn,
    pub(crate) released: Lsn,
}

impl Maintenance {
    pub(crate) fn new(wake_bytes: u64, stall_bytes: u64) -> Self {
        Self {
            wake_bytes: wake_bytes.max(1),
            stall_bytes,
            is_behind: AtomicBool::new(false),
            lag_pressure: AtomicU32::new(0),
            stall_count: AtomicU64::new(0),
            stall_nanos: AtomicU64::new(0),
            log_bytes: AtomicU64::new(0),
            orders: Mutex::default(),
            woken: Condvar::new(),
            rounded: Condvar::new(),
            maintaining: Mutex::default(),
        }
    }

    /// Counts bytes logged; true when enough have gathered to wake the task.
    fn note_log_bytes(&self, bytes: u64) -> bool {
        let before = self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
        before / self.wake_bytes != (before + bytes) / self.wake_bytes
    }

    fn wake(&self) {
        self.orders.lock().is_due = true;
        self.woken.notify_all();
    }

    /// The first error of the background task.
    pub(crate) fn first_error(&self) -> Option<StorageError> {
        self.orders.lock().first_error.clone()
    }

    /// Waits for work, on a full disk only for a while; false when the task must end.
    fn wait(&self, is_disk_full: bool) -> bool {
        let mut orders = self.orders.lock();
        loop {
            if orders.must_stop {
                return false;
            }
            if std::mem::take(&mut orders.is_due) {
                return true;
            }
            if is_disk_full {
                if !self.woken.wait_for(&mut orders, FULL_DISK_RETRY) {
                    sometimes!("mvcc.full-disk-looked-at-again");
                    return !orders.must_stop;
                }
            } else {
                self.woken.wait(&mut orders);
            }
        }
    }

    fn end_round(&self) {
        self.orders.lock().round_count += 1;
        self.rounded.notify_all();
    }

    /// Wakes the task. False if there is none, and so nothing to wait for.
    fn hurry(&self) -> bool {
        let mut orders = self.orders.lock();
        if orders.task.is_none() || orders.must_stop {
            return false;
        }
        orders.is_due = true;
        self.woken.notify_all();
        true
    }

    /// Reports how often and how long commits waited.
    pub(crate) fn stats(&self, out: &mut dyn FnMut(&'static str, u64)) {
        out("stall_count", self.stall_count.load(Ordering::Relaxed));
        out("stall_nanos", self.stall_nanos.load(Ordering::Relaxed));
    }

    /// Waits until the engine has caught up, or the next round has ended.
    fn wait_for_round(&self) {
        let mut orders = self.orders.lock();
        let round_count = orders.round_count;
        if orders.task.is_none() || orders.must_stop {
            return;
        }
        orders.is_due = true;
        self.woken.notify_all();
        let is_behind = || self.is_behind.load(Ordering::Relaxed);
        while is_behind() && orders.round_count == round_count && !orders.must_stop {
            let longest = if buggify!("mvcc.stall-short") { DELAY_MIN } else { STALL_MAX };
            if !self.rounded.wait_for(&mut orders, longest) {
                sometimes!("mvcc.commit-stalled-in-vain");
                return;
            }
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
        self.rounded.notify_all();
        if let Some(task) = task {
            task.join();
        }
    }
}

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    pub(crate) fn start_maintenance(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let task = self.env.spawn("driftdb-maintenance", move || {
            shared.ballast.fill();
            if buggify!("mvcc.maintenance-late") {
                shared.env.sleep(DELAY_MAX);
            }
            while shared.maintenance.wait(shared.is_disk_full.load(Ordering::Relaxed)) {
                shared.run_round();
                shared.maintenance.end_round();
            }
        });
        let mut orders = self.maintenance.orders.lock();
        orders.task = Some(task);
        // What recovery replayed may be due for a flush already.
        orders.is_due = true;
        drop(orders);
        self.maintenance.woken.notify_all();
    }

    /// One round of the background task, and what follows from how it went.
    fn run_round(&self) {
        match self.maintain_round() {
            Err(error) if ballast::is_full(&error) => {
                self.note_full();
                // What the ballast gives is for this.
                drop(self.checkpoint());
            }
            Err(error) => {
                sometimes!("mvcc.maintenance-failed");
                self.note_failure(error);
            }
            Ok(()) if self.is_disk_full.load(Ordering::Relaxed) => {
                drop(self.checkpoint());
                if self.ballast.fill() {
                    sometimes!("mvcc.full-disk-has-room-again");
                    self.is_disk_full.store(false, Ordering::Relaxed);
                }
            }
            Ok(()) => {}
        }
    }

    /// The disk is full: gives up the ballast, refuses commits that need room, and lets the background task
    /// look for room from now on. It is woken by the first to notice only: each of its own attempts
    /// notices again, and would be followed by the next at once for as long as the disk is full.
    pub(crate) fn note_full(&self) {
        let was_known = self.is_disk_full.swap(true, Ordering::Relaxed);
        sometimes!("mvcc.disk-is-full", !was_known);
        self.ballast.release();
        if !was_known {
            self.maintenance.wake();
        }
    }

    /// Counts the bytes of a record that ends at `end`, and wakes the task when it is due.
    pub(crate) fn note_logged(&self, bytes: usize, end: Lsn) {
        if self.maintenance.note_log_bytes(bytes as u64) {
            self.note_lag(end);
            self.maintenance.wake();
        }
    }

    fn note_lag(&self, tail: Lsn) {
        let durable = self.engine.durable();
        let lag_bytes = tail.0.saturating_sub(durable.lsn.0);
        // An engine that has never made anything durable may be one that never does.
        let can_lag = durable != Commit::default();
        let lag = if can_lag { lag_pressure(lag_bytes, self.maintenance.stall_bytes) } else { 0 };
        self.maintenance.lag_pressure.store(lag, Ordering::Relaxed);
        let is_behind = lag.max(self.engine.write_pressure()) >= 1000;
        if self.maintenance.is_behind.swap(is_behind, Ordering::Relaxed) && !is_behind {
            // Under the latch, so that no waiter is between its look and its wait.
            let _orders = self.maintenance.orders.lock();
            self.maintenance.rounded.notify_all();
        }
    }

    /// Called before a commit, without latches.
    pub(crate) fn stall_if_behind(&self) {
        let maintenance = &self.maintenance;
        let is_behind = maintenance.is_behind.load(Ordering::Relaxed);
        let lag = maintenance.lag_pressure.load(Ordering::Relaxed);
        let delay = delay(lag.max(self.engine.write_pressure()));
        if !(is_behind || delay > Duration::ZERO) || !maintenance.hurry() {
            return;
        }
        let start = self.env.now();
        sometimes!("mvcc.commit-stalled", is_behind);
        sometimes!("mvcc.commit-slowed-down", !is_behind);
        if is_behind {
            maintenance.wait_for_round();
        } else {
            self.env.sleep(delay);
        }
        let stalled = self.env.now().saturating_sub(start);
        maintenance.stall_count.fetch_add(1, Ordering::Relaxed);
        maintenance.stall_nanos.fetch_add(stalled.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Waits, though not for ever, while the engine cannot bear more; with the commit latch held.
    pub(crate) fn wait_for_engine(&self) {
        let start = self.env.now();
        while self.engine.write_pressure() >= 1000
            && self.env.now().saturating_sub(start) < STALL_MAX
            && self.maintenance.hurry()
        {
            sometimes!("mvcc.part-waits-for-the-engine");
            self.env.sleep(DELAY_MAX);
        }
    }

    /// Everything that is due now.
    pub(crate) fn maintain_round(&self) -> Result<()> {
        let mut checkpoints = self.maintenance.maintaining.lock();
        self.refresh_retention();
        let worked = self.work_off(&mut checkpoints);
        self.note_lag(self.wal.tail());
        // Also after a failure: what was made durable before it may be all that frees a full disk.
        let released = self.release_log(&mut checkpoints);
        worked.and(released)
    }

    fn work_off(&self, checkpoints: &mut Checkpoints) -> Result<()> {
        while !self.maintenance.must_stop()
            && self.engine.maintain(&self.barrier())? == Maintained::Worked
        {
            preemption_point("mvcc.maintain.step");
            self.note_lag(self.wal.tail());
        }
        let tail = self.wal.tail();
        let since = self.engine.durable().lsn.max(checkpoints.last_tail);
        if tail.0.saturating_sub(since.0) > self.checkpoint_log_bytes
            || buggify!("mvcc.checkpoint-early")
        {
            sometimes!("mvcc.checkpoint-by-itself");
            self.engine.checkpoint(&self.barrier())?;
            checkpoints.last_tail = tail;
        }
        Ok(())
    }

    /// Makes everything committed durable in the engine and lets the log go.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        let finished = self.finish_pending_erasure();
        let mut checkpoints = self.maintenance.maintaining.lock();
        self.refresh_retention();
        let tail = self.wal.tail();
        self.engine.checkpoint(&self.barrier())?;
        checkpoints.last_tail = tail;
        self.release_log(&mut checkpoints)?;
        finished
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
            self.engine.maintain(&self.barrier())
        };
        if let Err(poisoned @ StorageError::Poisoned { .. }) = again {
            self.poison(&poisoned);
        }
        self.maintenance.orders.lock().first_error.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_slow_down_before_they_stop() {
        assert_eq!(lag_pressure(0, 1000), 0);
        assert_eq!(lag_pressure(500, 1000), 0);
        assert_eq!(lag_pressure(750, 1000), 500);
        assert_eq!(lag_pressure(u64::MAX, 1000), 1000);
        assert_eq!(delay(0), Duration::ZERO);
        assert_eq!(delay(50), Duration::ZERO);
        assert_eq!(delay(500), Duration::from_micros(2500));
        let delays: Vec<_> = (0..=1000).map(delay).collect();
        assert!(delays.is_sorted());
        assert_eq!(delays[1000], DELAY_MAX);
    }
}
