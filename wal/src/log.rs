//! The log itself: what its latch protects, and appending.
//!
//! An append computes the payload's checksum, then under one latch copies the record behind those
//! gathered before. Writing and syncing is the flusher's (`flush.rs`), outside the latch.
//!
//! Invariants
//! * `durable <= tail`; the bytes between them are in `gathered` or in the flusher's hands.
//! * At most one thread flushes. Segments are written in order, each synced before the next begins.
//! * Latch order: `store` before `state`. Nothing is read or written under `state`.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Count;

use driftdb_env::sync::atomic::{AtomicU64, Ordering};
use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Env, OpenHow, buggify, sometimes};
use driftdb_storage::{Lsn, Result, StorageError};

use crate::WalOptions;
use crate::begun::{Begins, BegunFile};
use crate::format::{
    MAX_PAYLOAD_BYTES, RECORD_HEAD_BYTES, RecordHead, SEGMENT_HEADER_BYTES, SegmentHeader,
    payload_crc,
};
use crate::recovery::{self, Begun, Extent};
use crate::segment::{PrepareError, Segment, SegmentStore};

/// Segments smaller than this would be all header.
const SEGMENT_BYTES_MIN: u64 = 1 << 10;

/// What all handles of one log share.
pub(crate) struct Log {
    pub(crate) dir: PathBuf,
    log_id: u64,
    pub(crate) options: WalOptions,
    pub(crate) state: Mutex<State>,
    /// Something was flushed, or failed: for readers.
    pub(crate) progress: Condvar,
    /// The same for those who wait for a group, by the parity of its number.
    pub(crate) groups: [Condvar; 2],
    store: Mutex<SegmentStore>,
    begun_file: BegunFile,
    /// A copy of `State::durable` that is read without the latch.
    pub(crate) durable: AtomicU64,
    pub(crate) counts: Counts,
}

/// Figures since open.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) syncs: Count,
    pub(crate) bytes: Count,
    pub(crate) records: Count,
    pub(crate) waits: Count,
}

pub(crate) struct State {
    /// The first error, as text.
    pub(crate) poisoned: Option<String>,
    pub(crate) durable: Lsn,
    pub(crate) tail: Lsn,
    pub(crate) is_flushing: bool,
    /// How many flushes have begun; the number of the last group.
    pub(crate) flushes: u64,
    /// The end of the last group; beyond every record while it gathers.
    pub(crate) flushing_to: Lsn,
    /// Whether anybody waited since the last group was taken.
    pub(crate) has_company: bool,
    /// Records that wait to be written: one chunk per segment they go to, in order.
    pub(crate) gathered: Vec<Chunk>,
    pub(crate) gathered_bytes: usize,
    /// An emptied buffer, to be used again.
    pub(crate) free: Vec<u8>,
    /// Oldest first; the last one takes the next record.
    pub(crate) segments: VecDeque<Begun>,
    /// Where the next record goes in the last segment.
    offset: u64,
    /// The segment after the last, durable and empty.
    next: Option<Segment>,
    /// The next record begins a segment, whatever room there is.
    must_begin: bool,
    /// The segment that [`Log::begin_afresh`] asked for: what is before it is to be forgotten.
    afresh: Option<u32>,
    /// The positions of living readers.
    pub(crate) pins: BTreeMap<u64, Lsn>,
    pub(crate) next_pin: u64,
}

/// Bytes bound for one place of one segment.
pub(crate) struct Chunk {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
    /// The log position after the last byte.
    pub(crate) end: Lsn,
}

impl State {
    pub(crate) fn check_poison(&self) -> Result<()> {
        match &self.poisoned {
            None => Ok(()),
            Some(first) => Err(StorageError::Poisoned { first: first.clone() }),
        }
    }

    fn current(&self) -> &Begun {
        self.segments.back().expect("a log has a segment")
    }

    /// Whether the current segment is half full and nothing is there to follow it.
    pub(crate) fn wants_next(&self) -> bool {
        self.next.is_none() && self.offset > self.current().segment.size_bytes / 2
    }

    /// Makes room for a record of `bytes`, if that needs no work on files; false if it does.
    fn has_room(&mut self, bytes: u64, log_id: u64) -> bool {
        if !self.must_begin && self.offset + bytes <= self.current().segment.size_bytes {
            return true;
        }
        let need = SEGMENT_HEADER_BYTES as u64 + bytes;
        let Some(next) = self.next.take_if(|next| need <= next.size_bytes) else { return false };
        let header = SegmentHeader { log_id, number: next.number, first_lsn: self.tail };
        if std::mem::take(&mut self.must_begin) {
            self.afresh = Some(next.number);
        }
        let segment = Arc::new(next);
        self.offset = 0;
        self.segments.push_back(Begun { segment, header });
        self.gather(&[&header.encode()]);
        true
    }

    /// Copies bytes behind those gathered before.
    fn gather(&mut self, pieces: &[&[u8]]) {
        let segment = &self.segments.back().expect("a log has a segment").segment;
        if self.gathered.last().is_none_or(|chunk| !Arc::ptr_eq(&chunk.segment, segment)) {
            let segment = Arc::clone(segment);
            let bytes = std::mem::take(&mut self.free);
            self.gathered.push(Chunk { segment, offset: self.offset, bytes, end: self.tail });
        }
        let chunk = self.gathered.last_mut().expect("pushed if there was none");
        for piece in pieces {
            chunk.bytes.extend_from_slice(piece);
            self.offset += piece.len() as u64;
            self.gathered_bytes += piece.len();
        }
    }

    fn append(&mut self, payload_crc: u32, payload: &[&[u8]], payload_bytes: u32) -> Lsn {
        let head = RecordHead { payload_crc, payload_bytes, synced: self.durable };
        let bytes = head.encode(&self.current().header, self.tail);
        self.gather(&[&bytes]);
        self.gather(payload);
        self.tail = Lsn(self.tail.0 + head.record_bytes());
        self.gathered.last_mut().expect("gathered just now").end = self.tail;
        self.tail
    }
}

impl Log {
    /// Opens the log in `dir`, or makes one whose first record begins at `first_lsn`.
    pub(crate) fn open(
        env: &Env,
        dir: &Path,
        options: &WalOptions,
        first_lsn: Lsn,
        extent: Extent,
    ) -> Result<Self> {
        let mut options = options.clone();
        options.segment_bytes = options.segment_bytes.max(SEGMENT_BYTES_MIN);
        env.disk().create_dir_all(dir)?;
        let mut store =
            SegmentStore::open(env, dir, options.segment_bytes, options.spare_segment_count)?;
        let refuse = &mut |damage| Err(StorageError::Corruption(damage));
        let (begun, tail) = match recovery::inspect(env, dir, OpenHow::ReadWrite, extent, refuse)? {
            Some(inspected) => {
                let tail = recovery::repair(env, dir, &inspected)?;
                (inspected.begun, tail)
            }
            None => {
                store.remove_spares()?;
                let log_id = env.rng("wal").next_u64();
                let header = SegmentHeader { log_id, number: 1, first_lsn };
                let segment = Arc::new(store.create_first(&header)?);
                (vec![Begun { segment, header }], first_lsn)
            }
        };
        let last = begun.last().expect("a log has a segment").header;
        let now = Begins { number: last.number, log_id: last.log_id };
        let begun_file = BegunFile::open(env, dir, now)?;
        let state = State {
            poisoned: None,
            durable: tail,
            tail,
            is_flushing: false,
            flushes: 0,
            flushing_to: Lsn::default(),
            has_company: false,
            gathered: Vec::new(),
            gathered_bytes: 0,
            free: Vec::new(),
            segments: begun.into(),
            offset: last.offset_of(tail),
            next: None,
            must_begin: false,
            afresh: None,
            pins: BTreeMap::new(),
            next_pin: 0,
        };
        Ok(Self {
            dir: dir.to_owned(),
            log_id: last.log_id,
            options,
            state: Mutex::new(state),
            progress: Condvar::new(),
            groups: [Condvar::new(), Condvar::new()],
            store: Mutex::new(store),
            begun_file,
            durable: AtomicU64::new(tail.0),
            counts: Counts::default(),
        })
    }

    pub(crate) fn append(&self, payload: &[&[u8]]) -> Result<Lsn> {
        let size_bytes: u64 = payload.iter().map(|piece| piece.len() as u64).sum();
        if size_bytes > MAX_PAYLOAD_BYTES {
            return Err(StorageError::TooLarge {
                what: "a log record",
                size_bytes,
                limit_bytes: MAX_PAYLOAD_BYTES,
            });
        }
        let crc = payload_crc(payload);
        let record_bytes = RECORD_HEAD_BYTES as u64 + size_bytes;
        let mut state = self.state.lock();
        loop {
            state.check_poison()?;
            let is_full =
                state.gathered_bytes as u64 + record_bytes > self.options.buffer_bytes as u64;
            // It ends: after a flush nothing is gathered.
            if state.gathered_bytes > 0 && (is_full || buggify!("wal.buffer-small")) {
                let running = state.flushing_to;
                sometimes!("wal.buffer-full");
                state = self.flush_or_wait(state, running);
            } else if state.has_room(record_bytes, self.log_id) {
                self.counts.records.fetch_add(1, Ordering::Relaxed);
                return Ok(state.append(crc, payload, size_bytes as u32));
            } else {
                sometimes!("wal.append-waits-for-a-segment");
                drop(state);
                self.prepare_next(&mut self.store.lock(), record_bytes)?;
                state = self.state.lock();
            }
        }
    }

    /// Sees to it that an empty segment follows the current one, with room for a record of
    /// `record_bytes`. A full disk is an error that leaves the log as it was; others poison it.
    fn prepare_next(&self, store: &mut SegmentStore, record_bytes: u64) -> Result<()> {
        let need = SEGMENT_HEADER_BYTES as u64 + record_bytes;
        let mut state = self.state.lock();
        state.check_poison()?;
        // Taken out, so that nobody begins it while it grows.
        let old = state.next.take_if(|next| next.size_bytes < need);
        if state.next.is_some() {
            return Ok(());
        }
        let number = state.current().segment.number.checked_add(1);
        sometimes!("wal.prepared-segment-too-small", old.is_some());
        drop(state);
        let number = number.ok_or_else(|| StorageError::Internal("log segment numbers".into()))?;
        let prepared = match &old {
            None => store.prepare(number, need),
            Some(old) => store.extend(old, need),
        };
        let mut state = self.state.lock();
        match prepared {
            Ok(next) => state.next = Some(next),
            Err(error) => {
                state.next = old;
                if let PrepareError::Failed(error) = &error {
                    self.poison(&mut state, &error.to_string());
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Prepares the next segment before an append must wait for it. Called by a committer whose
    /// own record is durable already; a failure is the business of whoever needs the segment.
    pub(crate) fn prepare_early(&self) {
        if let Some(mut store) = self.store.try_lock() {
            sometimes!("wal.segment-prepared-early");
            drop(self.prepare_next(&mut store, 0));
        }
    }

    /// Makes it durable that a segment has begun, before anything in it is acknowledged.
    pub(crate) fn note_begun(&self, segment: &Segment) -> Result<()> {
        self.counts.syncs.fetch_add(1, Ordering::Relaxed);
        self.begun_file.write(Begins { number: segment.number, log_id: self.log_id })
    }

    /// Records the first failure and wakes everybody.
    pub(crate) fn poison(&self, state: &mut State, error: &str) {
        sometimes!("wal.poisoned", state.poisoned.is_none());
        state.poisoned.get_or_insert_with(|| error.to_owned());
        self.groups.iter().chain([&self.progress]).for_each(Condvar::notify_all);
    }

    pub(crate) fn release_before(&self, lsn: Lsn) -> Result<()> {
        let mut store = self.store.lock();
        while let Some(segment) = self.take_released(lsn)? {
            if let Err(error) = store.release(&segment) {
                self.poison(&mut self.state.lock(), &error.to_string());
                return Err(error);
            }
        }
        Ok(())
    }

    /// Lets the next record begin a segment, in a file that never held another: spares and a prepared
    /// segment go, and until [`Log::forget_before`] has succeeded nothing becomes a spare.
    pub(crate) fn begin_afresh(&self) -> Result<()> {
        let mut store = self.store.lock();
        store.keep_spares(false);
        let next = {
            let mut state = self.state.lock();
            state.check_poison()?;
            state.must_begin = true;
            state.afresh = None;
            state.next.take()
        };
        let removed = next.map_or(Ok(()), |next| store.remove(&next));
        removed.and_then(|()| store.remove_spares_durably()).inspect_err(|error| {
            self.poison(&mut self.state.lock(), &error.to_string());
        })
    }

    /// Removes every segment before the one that began afresh, if `lsn` lies in that or later; whether
    /// they are gone.
    pub(crate) fn forget_before(&self, lsn: Lsn) -> Result<bool> {
        self.release_before(lsn)?;
        let mut store = self.store.lock();
        let state = self.state.lock();
        let oldest = state.segments.front().map(|begun| begun.segment.number);
        let is_done = state.afresh.is_some_and(|afresh| oldest >= Some(afresh));
        if is_done {
            store.keep_spares(true);
        }
        Ok(is_done)
    }

    /// Takes the oldest segment off the list, if nobody can need it.
    fn take_released(&self, lsn: Lsn) -> Result<Option<Arc<Segment>>> {
        let mut state = self.state.lock();
        state.check_poison()?;
        let pinned = state.pins.values().min().copied().unwrap_or(lsn);
        let Some(next) = state.segments.get(1) else { return Ok(None) };
        let next_lsn = next.header.first_lsn;
        // Only when a record in the next one is durable, its header surely is, and the log has a
        // beginning without this one.
        if next_lsn > lsn.min(pinned) || next_lsn >= state.durable {
            return Ok(None);
        }
        Ok(state.segments.pop_front().map(|released| released.segment))
    }
}
