//! Opening: the engine's durable state, then the log after it.
//!
//! Replay applies each record at the position and timestamp it was given when it was logged, so
//! that doing it again, or doing it on top of what the engine already has, changes nothing.

use driftdb_env::planted;
use driftdb_storage::{Commit, Engine, Lsn, Maintained, Result, StorageError, Timestamp};
use driftdb_wal::Wal;

use crate::clock::HybridClock;
use crate::commit::Position;
use crate::record::{CommitRecord, RecordKind};
use crate::sequence::last_sequence;

/// Replay lets the engine flush after this much.
const MAINTAIN_EVERY_BYTES: u64 = 1 << 20;

/// Brings the engine to the end of the log; returns where that is. The clock is past all of it.
pub(crate) fn replay<E: Engine>(engine: &E, wal: &Wal, clock: &HybridClock) -> Result<Position> {
    let durable = engine.durable();
    let tail = wal.tail();
    if durable.lsn > tail {
        let what = format!("it ends at {tail}, but the engine is complete up to {}", durable.lsn);
        return Err(StorageError::corruption("the log", tail.0, what));
    }
    let mut replay =
        Replay { engine, wal, clock, last: start(engine, durable)?, unflushed_bytes: 0 };
    clock.observe(durable.ts);
    wal.replay(durable.lsn, &mut |end, payload| replay.record(end, payload))?;
    Ok(replay.last)
}

/// What the engine has on disk.
fn start<E: Engine>(engine: &E, durable: Commit) -> Result<Position> {
    if durable == Commit::default() {
        return Ok(Position::default());
    }
    let sequence = last_sequence(&engine.snapshot(), durable.ts)?;
    Ok(Position { commit: durable, sequence })
}

struct Replay<'a, E> {
    engine: &'a E,
    wal: &'a Wal,
    clock: &'a HybridClock,
    last: Position,
    unflushed_bytes: u64,
}

impl<E: Engine> Replay<'_, E> {
    fn record(&mut self, end: Lsn, payload: &[u8]) -> Result<()> {
        let mut record = CommitRecord::decode(end, payload)?;
        if planted!("mvcc.replay-not-idempotent") {
            record.ts = self.clock.tick();
        }
        self.check_order(end, &record)?;
        let commit = Commit { lsn: end, ts: record.ts };
        self.engine.apply(&record.batch, commit)?;
        self.clock.observe(record.ts);
        self.last = Position { commit, sequence: record.sequence };
        self.unflushed_bytes += payload.len() as u64;
        if self.unflushed_bytes >= MAINTAIN_EVERY_BYTES {
            self.unflushed_bytes = 0;
            self.maintain()?;
        }
        Ok(())
    }

    /// Lets the engine flush. A full disk must not keep the database shut: what is in the log is safe
    /// there, and the background task tries again.
    fn maintain(&self) -> Result<()> {
        loop {
            match self.engine.maintain(self.wal) {
                Ok(Maintained::Worked) => {}
                Ok(Maintained::Idle) => return Ok(()),
                Err(StorageError::Io(error)) if error.is_disk_full() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn check_order(&self, end: Lsn, record: &CommitRecord) -> Result<()> {
        let last = self.last;
        let expected = last.sequence + u64::from(record.kind == RecordKind::Commit);
        let fail = |what: String| Err(StorageError::corruption("the log", end.0, what));
        if record.ts <= last.commit.ts || record.ts == Timestamp::MAX {
            return fail(format!("timestamp {} follows {}", record.ts, last.commit.ts));
        }
        if record.sequence != expected {
            return fail(format!("sequence number {} follows {}", record.sequence, last.sequence));
        }
        Ok(())
    }
}
