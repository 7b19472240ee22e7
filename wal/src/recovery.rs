//! Opening a log: where it ends, whether it is whole, and mending its tail.
//!
//! The records of a log form a chain: each valid record is followed by the next, the last of a
//! segment by the first of the next segment. Where the chain stops is the end of the log *unless*
//! something valid further on promises that this place was durable: a record that carries a later
//! synced position, or a later segment whose header stands (a segment is begun only after all before
//! it was synced). Then bytes that were acknowledged are damaged, and opening is refused.
//!
//! What nobody promised was never acknowledged and is cut. All bytes after the cut become durable
//! zeroes before anything is appended: a record of the torn group must never follow a new one.
//!
//! The end follows from the last segment and the headers of the others. An open before a replay reads
//! no more than that, and the replay checks what it reads: the log is read once, its last segment twice.
//!
//! What cannot be told: damage to the very last synced group looks like a torn write, because
//! nothing later vouches for it. An engine that knows a later position notices
//! ([`crate::Wal::replay`] refuses a position past the end).

use std::path::Path;
use std::sync::Arc;

use driftdb_env::{Env, OpenHow, planted, sometimes};
use driftdb_storage::{Damage, Lsn, Result, StorageError};

use crate::begun::{self, Begins};
use crate::cursor::{Found, SegmentCursor};
use crate::format::{FORMAT_VERSION, NotAHeader, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::segment::{Segment, segment_numbers};

/// A segment that holds a header, and thereby a place in the log.
#[derive(Clone)]
pub(crate) struct Begun {
    pub(crate) segment: Arc<Segment>,
    pub(crate) header: SegmentHeader,
}

/// Where the log ends, in its last segment.
#[derive(Debug, Clone, Copy)]
struct Tail {
    /// The file offset after the last whole record.
    offset: u64,
    /// Up to this file offset some record or header vouches for durability.
    promised_offset: u64,
    /// Where a torn last record would have ended.
    torn_end: Option<Lsn>,
}

/// What a directory holds.
pub(crate) struct Inspected {
    /// Oldest first; not empty.
    pub(crate) begun: Vec<Begun>,
    /// Prepared but not begun.
    unbegun: Vec<Segment>,
    tail: Tail,
}

/// How much of a log is read to find its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every record.
    Whole,
    /// The records of the last segment, and of the others the headers: where the log ends follows from
    /// these alone. Whoever reads the rest checks it on the way.
    LastSegment,
}

type Report<'a> = &'a mut dyn FnMut(Damage) -> Result<()>;

/// Reads the log. `None` if there is none. Each damage goes to `report`, which may end it.
pub(crate) fn inspect(
    env: &Env,
    dir: &Path,
    how: OpenHow,
    extent: Extent,
    report: Report<'_>,
) -> Result<Option<Inspected>> {
    let numbers = segment_numbers(env, dir)?;
    let vouched = begun::read(env, dir)?;
    if numbers.is_empty() {
        if let Some(Begins { number, .. }) = vouched {
            report(missing_end(dir, number))?;
        }
        return Ok(None);
    }
    let mut found = Vec::new();
    for number in numbers {
        let segment = Arc::new(Segment::open(env, dir, number, how)?);
        let header = read_header(&segment)?;
        found.push((segment, header));
    }
    let is_begun = |(segment, header): &(Arc<Segment>, Option<SegmentHeader>)| {
        header.is_some_and(|header| header.number == segment.number)
    };
    let Some(last) = found.iter().rposition(is_begun) else {
        report(found[0].0.damage(0, "the segment header is damaged"))?;
        return Ok(None);
    };
    let unbegun = found.split_off(last + 1);
    let begun = check_chain_of_headers(&found, report)?;
    let end = begun.last().map(|last| last.header);
    if let (Some(vouched), Some(end)) = (vouched, end)
        && vouched.log_id == end.log_id
        && vouched.number > end.number
    {
        report(missing_end(dir, vouched.number))?;
    }
    let tail = walk(&begun, extent, report)?;
    check_unbegun(&begun, &unbegun, tail, report)?;
    let unbegun = unbegun.into_iter().filter_map(|(segment, _)| Arc::into_inner(segment)).collect();
    Ok(Some(Inspected { begun, unbegun, tail }))
}

/// The log was begun up to a segment that is not there.
pub(crate) fn missing_end(dir: &Path, number: u32) -> Damage {
    let what = format!("segment {number:08x} was begun, and is missing");
    Damage::new(begun::path(dir).display().to_string(), 0, what)
}

pub(crate) fn read_header(segment: &Segment) -> Result<Option<SegmentHeader>> {
    let read = || {
        // A file that is too short leaves zeroes, which are no header.
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        segment.file.read_at(0, &mut bytes)?;
        Ok::<_, StorageError>(SegmentHeader::decode(&bytes))
    };
    let mut header = read()?;
    if header == Err(NotAHeader::Invalid) {
        // Once more, as with records: a bit that flipped on the way is not damage.
        header = read()?;
    }
    match header {
        Ok(header) => Ok(Some(header)),
        Err(NotAHeader::Invalid) => Ok(None),
        Err(NotAHeader::Version(found)) => Err(StorageError::FormatVersion {
            file: segment.path.display().to_string(),
            found,
            supported: FORMAT_VERSION,
        }),
    }
}

/// All segments up to the last begun one must be there, begun, and of the same log.
fn check_chain_of_headers(
    found: &[(Arc<Segment>, Option<SegmentHeader>)],
    report: Report<'_>,
) -> Result<Vec<Begun>> {
    let mut begun: Vec<Begun> = Vec::new();
    let mut before: Option<u32> = None;
    for (segment, header) in found {
        if let Some(before) = before
            && before.checked_add(1) != Some(segment.number)
        {
            report(segment.damage(0, format!("the segment after {before:08x} is missing")))?;
        }
        before = Some(segment.number);
        let log_id = begun.first().map(|first| first.header.log_id);
        match *header {
            Some(header) if log_id.is_some_and(|log_id| log_id != header.log_id) => {
                report(segment.damage(0, "the segment belongs to another log"))?;
            }
            Some(header) if header.number == segment.number => {
                begun.push(Begun { segment: Arc::clone(segment), header });
            }
            Some(header) => {
                let what = format!("the file holds segment {:08x}", header.number);
                report(segment.damage(0, what))?;
            }
            None => report(segment.damage(0, "the segment header is damaged"))?,
        }
    }
    Ok(begun)
}

/// Reads the records; each segment must end where the next one starts.
fn walk(begun: &[Begun], extent: Extent, report: Report<'_>) -> Result<Tail> {
    assert!(!begun.is_empty());
    let first = match extent {
        Extent::Whole => 0,
        Extent::LastSegment => begun.len() - 1,
    };
    let mut tail = None;
    for (index, Begun { segment, header }) in begun.iter().enumerate().skip(first) {
        let mut cursor = SegmentCursor::new(Arc::clone(segment), *header);
        let mut promised = header.first_lsn;
        let torn_end = loop {
            match cursor.next(segment.size_bytes)? {
                Found::Record { synced, .. } => promised = promised.max(synced),
                Found::Nothing => break None,
                Found::TornPayload { end } => break Some(end),
            }
        };
        match begun.get(index + 1) {
            // A missing segment between the two is reported already.
            Some(next) if next.header.number != header.number + 1 => {}
            Some(next) if header.lsn_at(cursor.offset) != Some(next.header.first_lsn) => {
                let what = format!(
                    "the record is damaged: the next segment starts at {}",
                    next.header.first_lsn
                );
                report(segment.damage(cursor.offset, what))?;
            }
            Some(_) => {}
            None => {
                if let Some(offset) = cursor.find_promise(segment.size_bytes)? {
                    let what = format!(
                        "the record is damaged: the record at byte {offset} was written after it was synced"
                    );
                    report(segment.damage(cursor.offset, what))?;
                }
                let promised_offset = header.offset_of(promised);
                tail = Some(Tail { offset: cursor.offset, promised_offset, torn_end });
            }
        }
    }
    Ok(tail.expect("the last segment has a tail"))
}

/// Files past the last begun segment hold nothing, unless damage hides that they do.
fn check_unbegun(
    begun: &[Begun],
    unbegun: &[(Arc<Segment>, Option<SegmentHeader>)],
    tail: Tail,
    report: Report<'_>,
) -> Result<()> {
    let first = begun.first().expect("not empty").header;
    let last = begun.last().expect("not empty").header;
    let mut before = last.number;
    for (segment, header) in unbegun {
        if before.checked_add(1) != Some(segment.number) {
            report(segment.damage(0, format!("the segment after {before:08x} is missing")))?;
        }
        before = segment.number;
        if let Some(header) = header
            && (header.log_id != last.log_id || header.number >= first.number)
        {
            // What an earlier use leaves is of this log, and of a segment that was released.
            report(segment.damage(0, "the file holds a segment that does not belong here"))?;
        }
    }
    let next = last.number.checked_add(1);
    let Some((segment, _)) = unbegun.iter().find(|(segment, _)| Some(segment.number) == next)
    else {
        return Ok(());
    };
    let Some(first_lsn) = last.lsn_at(tail.offset) else { return Ok(()) };
    let as_if_begun = SegmentHeader { number: segment.number, first_lsn, ..last };
    let cursor = SegmentCursor::new(Arc::clone(segment), as_if_begun);
    if let Some(offset) = cursor.find_promise(segment.size_bytes)? {
        let what = format!("the segment header is damaged: byte {offset} was written after it");
        report(segment.damage(0, what))?;
    }
    Ok(())
}

/// Makes what was read durable and the rest empty; returns the end of the log.
///
/// Every step may be cut short by a crash and is then done again by the next open.
pub(crate) fn repair(env: &Env, dir: &Path, inspected: &Inspected) -> Result<Lsn> {
    // Records of a segment that was not begun would be valid there: their files must go.
    // The last first, each for good: a gap in the numbers means that a segment was lost.
    sometimes!("wal.opened-with-an-unbegun-segment", !inspected.unbegun.is_empty());
    sometimes!("wal.opened-with-many-segments", inspected.begun.len() > 1);
    for segment in inspected.unbegun.iter().rev() {
        env.disk().remove(&segment.path)?;
        env.disk().sync_dir(dir)?;
    }
    let last = inspected.begun.last().expect("not empty");
    let Begun { segment, header } = last;
    let tail = inspected.tail;
    let mut end = header.lsn_at(tail.offset).expect("the record before it ended there");
    if !planted!("wal.tail-not-written-again") {
        rewrite_unpromised(last, tail)?;
    }
    sometimes!("wal.torn-tail", tail.torn_end.is_some());
    sometimes!("wal.tail-vouched-for-by-nothing", tail.promised_offset < tail.offset);
    match tail.torn_end {
        Some(torn_end) if planted!("wal.append-after-torn-tail") => end = torn_end,
        // All of it, also where zeroes are read: those may be of an earlier try whose sync failed.
        _ => segment.write_zeroes(tail.offset)?,
    }
    segment.file.sync_data()?;
    // A process may have died between a rename and the directory's sync.
    env.disk().sync_dir(dir)?;
    Ok(end)
}

/// Writes again what was read but may never have been synced. A sync alone would not do: after a
/// failed one the system may hold the pages as clean and report success without writing them.
fn rewrite_unpromised(Begun { segment, header }: &Begun, tail: Tail) -> Result<()> {
    if tail.promised_offset == SEGMENT_HEADER_BYTES as u64 {
        // Nothing vouches for the header either.
        sometimes!("wal.header-vouched-for-by-nothing");
        segment.file.write_at(0, &header.encode())?;
    }
    let mut cursor = SegmentCursor::new(Arc::clone(segment), *header);
    cursor.offset = tail.promised_offset;
    while cursor.offset < tail.offset {
        let from = cursor.offset;
        // Checked as it is written: a bad read here must not become what is on disk.
        let Found::Record { payload, .. } = cursor.next(tail.offset)? else {
            let what = "the record changed while the log was opened";
            return Err(StorageError::Corruption(segment.damage(from, what)));
        };
        segment.file.write_at(from, cursor.record(payload))?;
    }
    Ok(())
}
