//! Following the log: replay after a crash, replicas, archives, change feeds.

use std::sync::Arc;
use std::time::Duration;

use driftdb_storage::{Lsn, Result, StorageError};

use crate::cursor::{Found, SegmentCursor};
use crate::log::{Log, State};
use crate::recovery::Begun;

/// What a reader came upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalStep<'a> {
    /// The next record.
    Record {
        /// The position after it: its name.
        end: Lsn,
        /// What was appended.
        payload: &'a [u8],
    },
    /// Everything durable was read, up to here. More may come.
    CaughtUp(Lsn),
    /// The records asked for were released; the reader will not move.
    Gone {
        /// The position after which the log still has all records.
        oldest: Lsn,
    },
}

/// Reads durable records in order. While it lives, the log keeps what it has not read.
pub struct WalReader {
    log: Arc<Log>,
    /// The end of the last record that was read or is not wanted.
    position: Lsn,
    place: Place,
}

enum Place {
    Gone {
        oldest: Lsn,
    },
    In {
        cursor: SegmentCursor,
        /// Up to here the cursor's segment holds durable records.
        limit: Lsn,
        pin: u64,
    },
}

impl std::fmt::Debug for WalReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WalReader").field("position", &self.position).finish_non_exhaustive()
    }
}

impl WalReader {
    pub(crate) fn open(log: Arc<Log>, after: Lsn) -> Result<Self> {
        let mut state = log.state.lock();
        if after > state.tail {
            // Whoever asks has a record that the log lost.
            return Err(StorageError::corruption(
                log.dir.display().to_string(),
                0,
                format!("the log ends at {}, before the known position {after}", state.tail),
            ));
        }
        let oldest = state.segments.front().expect("a log has a segment").header.first_lsn;
        if after < oldest && oldest != crate::format::FIRST_LSN {
            drop(state);
            return Ok(Self { log, position: after, place: Place::Gone { oldest } });
        }
        let position = after.max(oldest);
        let pin = state.next_pin;
        state.next_pin += 1;
        state.pins.insert(pin, position);
        let (Begun { segment, header }, limit) = state.readable_from(position);
        drop(state);
        let cursor = SegmentCursor::new(segment, header);
        Ok(Self { log, position, place: Place::In { cursor, limit, pin } })
    }

    /// The next record, or why there is none. Does not wait.
    ///
    /// # Errors
    /// The file cannot be read; a durable record is not what was written.
    pub fn step(&mut self) -> Result<WalStep<'_>> {
        let (cursor, limit, pin) = match &mut self.place {
            Place::Gone { oldest } => return Ok(WalStep::Gone { oldest: *oldest }),
            Place::In { cursor, limit, pin } => (cursor, limit, *pin),
        };
        let (end, payload) = loop {
            let here = cursor.header.lsn_at(cursor.offset).expect("records were read up to here");
            if here >= *limit {
                let mut state = self.log.state.lock();
                let (begun, new_limit) = state.readable_from(here);
                state.pins.insert(pin, here.max(self.position));
                drop(state);
                if begun.header.number != cursor.header.number {
                    *cursor = SegmentCursor::new(begun.segment, begun.header);
                }
                *limit = new_limit;
                if here >= *limit {
                    return Ok(WalStep::CaughtUp(here));
                }
            }
            match cursor.next(cursor.header.offset_of(*limit))? {
                // Before the position asked for.
                Found::Record { end, .. } if end <= self.position => {}
                Found::Record { end, payload, .. } => break (end, payload),
                Found::Nothing | Found::TornPayload { .. } => {
                    let what = "the record is damaged: it was synced";
                    return Err(StorageError::Corruption(
                        cursor.segment.damage(cursor.offset, what),
                    ));
                }
            }
        };
        self.position = end;
        Ok(WalStep::Record { end, payload: cursor.payload(payload) })
    }

    /// The end of the last record read.
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// Waits for a record to read, for at most `timeout`; whether there is one. May return early.
    ///
    /// # Errors
    /// The log is poisoned: nothing more will come.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        let mut state = self.log.state.lock();
        if state.durable <= self.position {
            state.check_poison()?;
            self.log.progress.wait_for(&mut state, timeout);
        }
        Ok(state.durable > self.position)
    }
}

impl Drop for WalReader {
    fn drop(&mut self) {
        if let Place::In { pin, .. } = self.place {
            self.log.state.lock().pins.remove(&pin);
        }
    }
}

impl State {
    /// The segment in which the record after `lsn` is or will be, and up to where it holds durable
    /// records.
    fn readable_from(&self, lsn: Lsn) -> (Begun, Lsn) {
        // The last of those that start there or before: one without records has the start of the
        // next.
        let after = self.segments.partition_point(|begun| begun.header.first_lsn <= lsn);
        let begun = self.segments[after - 1].clone();
        let next = self.segments.get(after).map_or(self.durable, |next| next.header.first_lsn);
        (begun, next.min(self.durable))
    }
}
