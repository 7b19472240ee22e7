//! Partitions, peers and frames.
//!
//! Rows are asked for in order, so that both limits of a frame only move forward: a partition costs as many
//! comparisons as it has rows, whatever the offsets.

use std::sync::Arc;

use driftdb_query::{
    Frame, FrameBound, FrameExclusion, FrameUnits, PhysicalSortKey, Result, SqlError,
};
use driftdb_types::{SqlState, Value, check_range_offset, in_range};

use super::free;
use crate::context::Run;
use crate::vector::Vector;

/// The offsets of a frame's limits, where it has them.
pub(super) struct Offsets {
    start: Value,
    end: Value,
}

impl Offsets {
    pub(super) fn evaluate(frame: &Frame, run: &mut Run<'_, '_>) -> Result<Self> {
        let mut one = |bound: &FrameBound, which: &str| -> Result<Value> {
            let Some(expr) = bound.offset() else { return Ok(Value::Null) };
            let value = free(expr, run)?;
            if value.is_null() {
                let message = format!("frame {which} offset must not be null");
                return Err(SqlError::new(SqlState::NullValueNotAllowed, message));
            }
            if frame.units == FrameUnits::Range {
                check_range_offset(&value)?;
            } else if value.as_int().is_some_and(|count| count < 0) {
                let message = format!("frame {which} offset must not be negative");
                return Err(SqlError::new(SqlState::InvalidPrecedingOrFollowingSize, message));
            }
            Ok(value)
        };
        Ok(Self { start: one(&frame.start, "starting")?, end: one(&frame.end, "ending")? })
    }
}

/// Rows from one place up to, not including, another.
pub(super) type Span = (usize, usize);

/// One partition: places are those of the whole batch.
pub(super) struct Partition<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    keys: &'a [Arc<Vector>],
    order: &'a [PhysicalSortKey],
    /// Where each group of peers begins, and the partition's end.
    groups: Vec<usize>,
    /// The group of the row that was asked for last.
    group: usize,
    /// Where the limits of a RANGE frame with offsets were last.
    head: usize,
    tail: usize,
}

impl<'a> Partition<'a> {
    pub(super) fn new(
        start: usize,
        end: usize,
        keys: &'a [Arc<Vector>],
        order: &'a [PhysicalSortKey],
    ) -> Self {
        let mut groups = vec![start];
        let differ = |row: usize| keys.iter().any(|key| !key.same(row - 1, key, row));
        groups.extend((start + 1..end).filter(|row| differ(*row)));
        groups.push(end);
        Self { start, end, keys, order, groups, group: 0, head: start, tail: start }
    }

    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Goes on to a row; rows come in order.
    pub(super) fn go_to(&mut self, row: usize) {
        while self.groups[self.group + 1] <= row {
            self.group += 1;
        }
    }

    /// How many groups are before the current row's.
    pub(super) fn group(&self) -> usize {
        self.group
    }

    /// The current row and its peers.
    pub(super) fn peers(&self) -> Span {
        (self.groups[self.group], self.groups[self.group + 1])
    }

    /// The limits of the current row's frame, before anything is left out.
    pub(super) fn limits(
        &mut self,
        row: usize,
        frame: &Frame,
        offsets: &Offsets,
        run: &Run<'_, '_>,
    ) -> Result<Span> {
        let count =
            |value: &Value| usize::try_from(value.as_int().unwrap_or(0)).unwrap_or(usize::MAX);
        let start = match (&frame.start, frame.units) {
            (FrameBound::First, _) => self.start,
            (FrameBound::Last, _) => self.end,
            (FrameBound::Current, FrameUnits::Rows) => row,
            (FrameBound::Current, _) => self.peers().0,
            (FrameBound::Preceding(_), FrameUnits::Rows) => {
                row.saturating_sub(count(&offsets.start)).max(self.start)
            }
            (FrameBound::Following(_), FrameUnits::Rows) => {
                row.saturating_add(count(&offsets.start)).min(self.end)
            }
            (FrameBound::Preceding(_), FrameUnits::Groups) => {
                self.groups[self.group.saturating_sub(count(&offsets.start))]
            }
            (FrameBound::Following(_), FrameUnits::Groups) => {
                self.group_start(self.group.saturating_add(count(&offsets.start)))
            }
            (bound, FrameUnits::Range) => {
                let subtract = matches!(bound, FrameBound::Preceding(_));
                self.head = self.range_start(row, &offsets.start, subtract, run)?;
                self.head
            }
        };
        let end = match (&frame.end, frame.units) {
            (FrameBound::First, _) => self.start,
            (FrameBound::Last, _) => self.end,
            (FrameBound::Current, FrameUnits::Rows) => row + 1,
            (FrameBound::Current, _) => self.peers().1,
            (FrameBound::Preceding(_), FrameUnits::Rows) => {
                (row + 1).saturating_sub(count(&offsets.end)).max(self.start)
            }
            (FrameBound::Following(_), FrameUnits::Rows) => {
                (row + 1).saturating_add(count(&offsets.end)).min(self.end)
            }
            (FrameBound::Preceding(_), FrameUnits::Groups) => {
                self.groups[(self.group + 1).saturating_sub(count(&offsets.end))]
            }
            (FrameBound::Following(_), FrameUnits::Groups) => {
                self.group_start((self.group + 1).saturating_add(count(&offsets.end)))
            }
            (bound, FrameUnits::Range) => {
                let subtract = matches!(bound, FrameBound::Preceding(_));
                self.tail = self.range_end(row, &offsets.end, subtract, run)?;
                self.tail
            }
        };
        Ok((start, end.max(start)))
    }

    /// Where a group begins; the partition's end if there are fewer.
    fn group_start(&self, group: usize) -> usize {
        self.groups.get(group).copied().unwrap_or(self.end)
    }

    /// The first row that is not before `row`'s value moved by the offset.
    fn range_start(
        &self,
        row: usize,
        offset: &Value,
        subtract: bool,
        run: &Run<'_, '_>,
    ) -> Result<usize> {
        let (key, order) = (&self.keys[0], &self.order[0]);
        let mut head = self.head;
        while head < self.end {
            let reached = match (key.is_null(head), key.is_null(row)) {
                (false, false) => in_range(
                    &key.value(head),
                    &key.value(row),
                    offset,
                    subtract != order.descending,
                    order.descending,
                    run.cx.eval,
                )?,
                (head_null, row_null) if order.nulls_first => !head_null || row_null,
                (head_null, row_null) => head_null || !row_null,
            };
            if reached {
                break;
            }
            head += 1;
        }
        Ok(head)
    }

    /// The row after the last that is not beyond `row`'s value moved by the offset.
    fn range_end(
        &self,
        row: usize,
        offset: &Value,
        subtract: bool,
        run: &Run<'_, '_>,
    ) -> Result<usize> {
        let (key, order) = (&self.keys[0], &self.order[0]);
        let mut tail = self.tail;
        while tail < self.end {
            let beyond = match (key.is_null(tail), key.is_null(row)) {
                (false, false) => !in_range(
                    &key.value(tail),
                    &key.value(row),
                    offset,
                    subtract != order.descending,
                    !order.descending,
                    run.cx.eval,
                )?,
                (tail_null, _) if order.nulls_first => !tail_null,
                (_, row_null) => !row_null,
            };
            if beyond {
                break;
            }
            tail += 1;
        }
        Ok(tail)
    }

    /// The rows of the current row's frame, as up to three spans in order.
    pub(super) fn spans(
        &mut self,
        row: usize,
        frame: &Frame,
        offsets: &Offsets,
        run: &Run<'_, '_>,
    ) -> Result<[Span; 3]> {
        let (start, end) = self.limits(row, frame, offsets, run)?;
        let peers = self.peers();
        const EMPTY: Span = (0, 0);
        let clip = |from: usize, to: usize| {
            let (from, to) = (from.max(start), to.min(end));
            if from < to { (from, to) } else { EMPTY }
        };
        Ok(match frame.exclusion {
            FrameExclusion::None => [clip(start, end), EMPTY, EMPTY],
            FrameExclusion::Current => [clip(start, row), clip(row + 1, end), EMPTY],
            FrameExclusion::Group => [clip(start, peers.0), clip(peers.1, end), EMPTY],
            FrameExclusion::Ties => [clip(start, peers.0), clip(row, row + 1), clip(peers.1, end)],
        })
    }
}
