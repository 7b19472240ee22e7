//! Group commit: whoever waits first, flushes for all.
//!
//! There is no flusher thread. The first waiter that finds no flush running takes everything
//! gathered, writes it and syncs once, outside the latch, and then wakes the rest; appends go on
//! gathering in a second buffer meanwhile and form the next group. At one client this saves two
//! thread switches per commit, at many the group grows by itself [DeWitt84]. The end of a flush wakes
//! those whose records it made durable, and one of the next group, which flushes that. Where others waited
//! for the flush before, the flusher yields the processor once before it takes its group: commits that were
//! about to run come along, and a sync saved is worth more than the switch.
//!
//! A failed write or sync poisons the log and is never tried again: the system may have dropped the
//! data and report the next sync as a success [Rebello20].

use driftdb_env::kernel::{preemption_point, yield_now};
use driftdb_env::sync::atomic::Ordering;
use driftdb_env::sync::{Condvar, MutexGuard};
use driftdb_env::{planted, planted_order, sometimes};
use driftdb_storage::{Lsn, Result, StorageError};

use crate::log::{Chunk, Log, State};

impl Log {
    pub(crate) fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        if self.durable.load(Ordering::Acquire) >= lsn.0 {
            return Ok(());
        }
        self.counts.waits.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        if lsn > state.tail {
            let what = format!("log position {lsn} awaited, but the log ends at {}", state.tail);
            return Err(StorageError::Internal(what));
        }
        let mut has_flushed = false;
        while state.durable < lsn {
            sometimes!("wal.poisoned-under-a-waiter", state.poisoned.is_some());
            state.check_poison()?;
            has_flushed |= !state.is_flushing;
            state = self.flush_or_wait(state, lsn);
        }
        let prepare = has_flushed && state.wants_next();
        drop(state);
        if prepare {
            self.prepare_early();
        }
        Ok(())
    }

    /// Flushes what is gathered, or waits for the flush that runs; if `lsn` is of the next group, until
    /// somebody must flush that. How it went is in the state.
    pub(crate) fn flush_or_wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        lsn: Lsn,
    ) -> MutexGuard<'a, State> {
        if state.is_flushing {
            let group = state.flushes + u64::from(lsn > state.flushing_to);
            sometimes!("wal.waited-for-a-running-flush", lsn <= state.flushing_to);
            sometimes!("wal.waited-for-the-next-group", lsn > state.flushing_to);
            if planted_order!("wal.wait-after-latch") {
                drop(state);
                state = self.state.lock();
            }
            state.has_company = true;
            self.group(group).wait(&mut state);
            return state;
        }
        state.is_flushing = true;
        state.flushes += 1;
        if std::mem::take(&mut state.has_company) {
            state = self.gather(state);
        }
        state.flushing_to = state.tail;
        let group = std::mem::take(&mut state.gathered);
        state.gathered_bytes = 0;
        sometimes!("wal.group-over-two-segments", group.len() > 1);
        drop(state);
        let role = FlushRole { log: self, has_ended: false };
        let result = self.write_group(&group);
        role.end(group, result)
    }

    /// Lets others run before the group is taken: if a processor is wanted by one that is about to append,
    /// it comes along, and if none is, this takes no time. Whoever comes now is of this group.
    fn gather<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let tail = state.tail;
        state.flushing_to = Lsn(u64::MAX);
        drop(state);
        yield_now("wal.gather");
        let state = self.state.lock();
        sometimes!("wal.group-grew", state.tail > tail);
        state
    }

    /// What the waiters of a group wait on. Two are enough: those of the group before the last are awake.
    fn group(&self, group: u64) -> &Condvar {
        &self.groups[(group % 2) as usize]
    }

    fn write_group(&self, group: &[Chunk]) -> Result<()> {
        group.iter().try_for_each(|chunk| self.write_chunk(chunk))
    }

    /// Writes and syncs what goes to one segment; then it is acknowledged.
    fn write_chunk(&self, chunk: &Chunk) -> Result<()> {
        preemption_point("wal.before-write");
        if planted_order!("wal.durable-before-sync") {
            self.durable.store(chunk.end.0, Ordering::Release);
        }
        if planted!("wal.ack-before-sync") {
            chunk.segment.file.write_at(chunk.offset, &chunk.bytes)?;
        } else {
            let written = chunk.segment.file.write_sync(chunk.offset, &chunk.bytes);
            self.counts.syncs.fetch_add(1, Ordering::Relaxed);
            if !planted!("wal.sync-error-swallowed") {
                written?;
            }
        }
        self.counts.bytes.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
        sometimes!("wal.segment-begun", chunk.offset == 0);
        if chunk.offset == 0 {
            self.note_begun(&chunk.segment)?;
        }
        preemption_point("wal.synced-not-published");
        let mut state = self.state.lock();
        assert!(state.durable <= chunk.end);
        state.durable = chunk.end;
        self.durable.store(chunk.end.0, Ordering::Release);
        Ok(())
    }
}

/// Held while flushing. Dropped without [`FlushRole::end`], by a panic, it poisons the log, so
/// that nobody waits for a flush that will not come.
struct FlushRole<'a> {
    log: &'a Log,
    has_ended: bool,
}

impl<'a> FlushRole<'a> {
    fn end(mut self, mut group: Vec<Chunk>, result: Result<()>) -> MutexGuard<'a, State> {
        self.has_ended = true;
        let mut state = self.log.state.lock();
        state.is_flushing = false;
        if let Err(error) = result {
            self.log.poison(&mut state, &error.to_string());
        }
        if let Some(chunk) = group.pop()
            && chunk.bytes.capacity() <= 2 * self.log.options.buffer_bytes
        {
            state.free = chunk.bytes;
            state.free.clear();
        }
        self.log.group(state.flushes).notify_all();
        if !planted_order!("wal.next-group-not-woken") {
            self.log.group(state.flushes + 1).notify_one();
        }
        self.log.progress.notify_all();
        state
    }
}

impl Drop for FlushRole<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            let mut state = self.log.state.lock();
            state.is_flushing = false;
            self.log.poison(&mut state, "the flusher panicked");
        }
    }
}
