//! Opening: the engine's durable state, then the log after it.
//!
//! Replay applies each record at the position and timestamp it was given when it was logged, so
//! that doing it again, or doing it on top of what the engine already has, changes nothing.
//!
//! The parts of a commit are applied as they come, but only once the log has been read ahead to the last of
//! them. Parts without a last one are what a crash or a full disk left, and are passed over.

use driftdb_env::{buggify, planted, sometimes};
use driftdb_storage::{Commit, Engine, Lsn, Maintained, Result, StorageError, Timestamp};
use driftdb_wal::{Wal, WalStep};

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
    let mut replay = Replay {
        engine,
        wal,
        clock,
        last: start(engine, durable)?,
        unflushed_bytes: 0,
        parts: Parts::AtStart(durable.ts),
    };
    sometimes!("mvcc.replay-after-a-flush", durable != Commit::default() && durable.lsn < tail);
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
    parts: Parts,
}

/// What is known of the commit whose parts are being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parts {
    /// There is none.
    None,
    /// The engine has made part of the commit at this time durable, or all of it.
    AtStart(Timestamp),
    /// It is whole, and this part comes next.
    Whole { ts: Timestamp, next: u32 },
    /// Its last part is missing.
    Unfinished(Timestamp),
}

impl<E: Engine> Replay<'_, E> {
    fn record(&mut self, end: Lsn, payload: &[u8]) -> Result<()> {
        let mut record = CommitRecord::decode(end, payload)?;
        if planted!("mvcc.replay-not-idempotent") {
            record.ts = self.clock.tick();
        }
        if record.kind.is_part() && !self.is_whole(end, &record)? {
            if self.parts == Parts::AtStart(record.ts) {
                let what =
                    format!("the engine has parts of the commit at {}, the log not", record.ts);
                return Err(StorageError::corruption("the log", end.0, what));
            }
            sometimes!("mvcc.unfinished-parts-passed-over");
            self.parts = Parts::Unfinished(record.ts);
            self.clock.observe(record.ts);
            return Ok(());
        }
        self.check_order(end, &record)?;
        let commit = Commit { lsn: end, ts: record.ts };
        self.engine.apply(&record.batch, commit)?;
        self.clock.observe(record.ts);
        self.parts = match record.kind {
            RecordKind::Part => Parts::Whole { ts: record.ts, next: record.part + 1 },
            _ => Parts::None,
        };
        let sequence = record.sequence - u64::from(record.kind == RecordKind::Part);
        self.last = Position { commit, sequence };
        self.unflushed_bytes += payload.len() as u64;
        if self.unflushed_bytes >= MAINTAIN_EVERY_BYTES || buggify!("mvcc.replay-maintains-early") {
            self.unflushed_bytes = 0;
            self.maintain()?;
        }
        Ok(())
    }

    /// Whether the commit that a part belongs to is in the log up to its last part.
    fn is_whole(&self, end: Lsn, part: &CommitRecord) -> Result<bool> {
        match self.parts {
            Parts::Whole { ts, .. } if ts == part.ts => return Ok(true),
            Parts::Unfinished(ts) if ts == part.ts => return Ok(false),
            _ if planted!("mvcc.parts-without-commit") => return Ok(true),
            _ => {}
        }
        let mut reader = self.wal.reader(end)?;
        let (mut kind, mut next) = (part.kind, part.part);
        while kind == RecordKind::Part {
            let WalStep::Record { end, payload } = reader.step()? else { return Ok(false) };
            let record = CommitRecord::decode(end, payload)?;
            next += 1;
            if record.ts != part.ts || record.part != next {
                return Ok(false);
            }
            kind = record.kind;
        }
        Ok(kind == RecordKind::LastPart)
    }

    /// Lets the engine flush. A full disk must not keep the database shut: what is in the log is safe
    /// there, and the background task tries again.
    fn maintain(&self) -> Result<()> {
        loop {
            match self.engine.maintain(self.wal) {
                Ok(Maintained::Worked) => sometimes!("mvcc.replay-flushes"),
                Ok(Maintained::Idle) => return Ok(()),
                Err(StorageError::Io(error)) if error.is_disk_full() => {
                    sometimes!("mvcc.replay-on-a-full-disk");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn check_order(&self, end: Lsn, record: &CommitRecord) -> Result<()> {
        let last = self.last;
        let expected = last.sequence + u64::from(record.kind != RecordKind::System);
        let fail = |what: String| Err(StorageError::corruption("the log", end.0, what));
        let goes_on = match self.parts {
            Parts::Whole { ts, next } if (ts, next) != (record.ts, record.part) => {
                return fail(format!("part {next} of the commit at {ts} is missing"));
            }
            Parts::Whole { .. } => true,
            // Some parts are durable in the engine already.
            Parts::AtStart(ts) => {
                let is_within = record.kind.is_part() && ts == record.ts;
                sometimes!("mvcc.replay-begins-within-a-commit", is_within);
                is_within
            }
            Parts::None | Parts::Unfinished(_) => false,
        };
        if record.kind.is_part() && record.part > 0 && !goes_on {
            return fail(format!("part {} of a commit follows no part", record.part));
        }
        if !goes_on && record.ts <= last.commit.ts || record.ts == Timestamp::MAX {
            return fail(format!("timestamp {} follows {}", record.ts, last.commit.ts));
        }
        if record.sequence != expected {
            return fail(format!("sequence number {} follows {}", record.sequence, last.sequence));
        }
        Ok(())
    }
}
