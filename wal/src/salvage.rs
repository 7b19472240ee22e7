//! Reading what verifies of a damaged log.

use std::path::Path;
use std::sync::Arc;

use driftdb_env::{Env, OpenHow};
use driftdb_storage::{Damage, Lsn, Result, StorageError};

use crate::Wal;
use crate::begun;
use crate::cursor::{Found, SegmentCursor};
use crate::format::SegmentHeader;
use crate::recovery::{missing_end, read_header};
use crate::segment::{Segment, segment_numbers};

impl Wal {
    /// Calls `visit` with each record that verifies, in order: its end and payload, across holes too.
    /// Tells `lost` of each hole. Changes nothing; nobody may have the log open for writing. A torn tail
    /// was never acknowledged and is no loss. Without a log there is nothing to visit, and that is told.
    ///
    /// # Errors
    /// Those of `visit`, at once; I/O errors other than damage.
    pub fn salvage(
        env: &Env,
        dir: &Path,
        visit: &mut dyn FnMut(Lsn, &[u8]) -> Result<()>,
        lost: &mut dyn FnMut(Damage),
    ) -> Result<()> {
        let segments = readable(env, dir, lost)?;
        let end = segments.last().map(|(segment, header)| (header.log_id, segment.number));
        if let (Some(vouched), Some((log_id, number))) = (begun::read(env, dir)?, end)
            && vouched.log_id == log_id
            && vouched.number > number
        {
            lost(missing_end(dir, vouched.number));
        }
        if segments.is_empty() {
            lost(Damage::new(
                dir.display().to_string(),
                0,
                "there is no log segment that can be read",
            ));
        }
        for (index, (segment, header)) in segments.iter().enumerate() {
            let next = segments.get(index + 1).map(|(_, header)| header.first_lsn);
            salvage_segment(segment, *header, next, visit, lost)?;
        }
        Ok(())
    }
}

/// The segments that hold records of one log, oldest first.
fn readable(
    env: &Env,
    dir: &Path,
    lost: &mut dyn FnMut(Damage),
) -> Result<Vec<(Arc<Segment>, SegmentHeader)>> {
    let mut found: Vec<(Arc<Segment>, SegmentHeader)> = Vec::new();
    if !env.disk().exists(dir)? {
        return Ok(found);
    }
    let mut last_unread: Option<Damage> = None;
    for number in segment_numbers(env, dir)? {
        let segment = Arc::new(Segment::open(env, dir, number, OpenHow::Read)?);
        match read_header(&segment) {
            Ok(Some(header)) if header.number == number => {
                // Without a header between two that stand, a segment is lost; after the last it is one
                // that was prepared.
                last_unread.take().into_iter().for_each(&mut *lost);
                if let Some((before, _)) = found.last()
                    && before.number + 1 != number
                {
                    let what = format!("the segment after {:08x} is missing", before.number);
                    lost(segment.damage(0, what));
                }
                found.push((segment, header));
            }
            Ok(_) => last_unread = Some(segment.damage(0, "the segment header is damaged")),
            Err(StorageError::FormatVersion { .. }) => {
                lost(segment.damage(0, "the segment is of another format version"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Visits the records of one segment. After a hole it goes on at the next head that stands.
fn salvage_segment(
    segment: &Arc<Segment>,
    header: SegmentHeader,
    next: Option<Lsn>,
    visit: &mut dyn FnMut(Lsn, &[u8]) -> Result<()>,
    lost: &mut dyn FnMut(Damage),
) -> Result<()> {
    let mut cursor = SegmentCursor::new(Arc::clone(segment), header);
    loop {
        let from = cursor.offset;
        match cursor.next(segment.size_bytes)? {
            Found::Record { end, payload, .. } => {
                visit(end, cursor.payload(payload))?;
                continue;
            }
            Found::Nothing | Found::TornPayload { .. } => {}
        }
        if next.is_some() && next == header.lsn_at(from) {
            return Ok(());
        }
        let Some(to) = cursor.find_head(segment.size_bytes, |_| true)? else {
            if next.is_some() {
                lost(segment.damage(from, "the rest of the segment is damaged"));
            }
            return Ok(());
        };
        lost(segment.damage(from, format!("{} bytes of records are damaged", to - from)));
        cursor.offset = to;
    }
}
