//! A table over a stretch of time, or at a time that another row tells: versions as rows.
//!
//! The stretch is taken apart into the table's generations (where its rows were when). In each, the
//! rows' own key range is walked version by version, or an index is: an entry of an index says which row
//! had a value from when to when, so that the versions of that row during exactly that time are those
//! with that value. Every version has one entry that lived as long as it did, so it is met once and
//! cannot be missed. Where the table then had another key, or not yet the index, everything is walked;
//! the filter decides in any case.
//!
//! What ended a version is known from its next one, so that only a query that asks for ends reads past
//! its stretch, up to the statement's snapshot.

mod walk;

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use driftdb_concurrency::{ReadAt, TxnError};
use driftdb_env::planted;
use driftdb_query::{
    AccessPath, KeyBounds, Moment, Period, Result, Span, SqlError, SystemColumn, Table, TableAccess,
};
use driftdb_storage::{KeyspaceId, Timestamp};
use driftdb_tables::{
    ByteRange, Generation, check_same_types, generations, oldest_definitions, point_key, seen_from,
};
use driftdb_types::{DataType, Value};

use super::Operator;
use super::access::Decoder;
use super::bounds::{byte_range, fit_key};
use super::filter::filtered;
use super::meter::Meter;
use super::system_columns::{Ended, System, Version, was_there};
use crate::batch::{BATCH_ROWS, Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_free;
use walk::{Found, Older, Walk};

/// The first batch is small: a LIMIT or an EXISTS may need no more.
const FIRST_ROWS: usize = 64;
/// A batch ends where it takes so much.
const BATCH_BYTES: usize = 4 << 20;

/// Whether an access is one over versions.
pub(crate) fn is_over_versions(access: &TableAccess) -> bool {
    let asks_end = access.temporal.system.iter().any(|column| column.is_of_end());
    access.temporal.span != Span::Once || asks_end && matches!(access.at, ReadAt::AsOf(_))
}

pub(crate) struct Versions {
    access: TableAccess,
    decoder: Decoder,
    system: System,
    types: Vec<DataType>,
    meter: Option<Meter>,
    known: Option<Known>,
    state: State,
}

/// Every generation of the table up to the statement's snapshot.
struct Known {
    from: Timestamp,
    up_to: Timestamp,
    all: Vec<Generation>,
}

enum State {
    New,
    Running(Box<Work>),
    Done,
}

/// A stretch that is being walked.
struct Work {
    period: Period,
    /// What begins later is not shown.
    began_by: Timestamp,
    /// Up to here is read.
    up_to: Timestamp,
    /// Whether the ends of versions matter.
    wants_end: bool,
    ahead: VecDeque<Generation>,
    part: Option<Part>,
    batch_rows: usize,
}

/// What is walked of one generation.
struct Part {
    /// Where the rows are.
    space: KeyspaceId,
    from: Timestamp,
    up_to: Timestamp,
    /// The commit that ended all its versions.
    ended: Option<Timestamp>,
    /// The entries of an index; without them `rows` is all.
    entries: Option<Walk>,
    rows: Option<Walk>,
    /// When the entry ended whose row is walked.
    entry_ended: Option<Timestamp>,
}

impl Versions {
    pub(crate) fn new(access: TableAccess, meter: Option<Meter>) -> Self {
        let decoder = Decoder::new(&access);
        let system = System::new(&access.temporal.system);
        let types = access.types();
        Self { access, decoder, system, types, meter, known: None, state: State::New }
    }

    /// Finds out which versions are wanted; `None`: none.
    fn start(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Work>> {
        let Some(period) = self.period(run)? else { return Ok(None) };
        if period.is_empty() {
            return Ok(None);
        }
        let snapshot = run.cx.txn.snapshot_ts();
        let now = match period.began_by() {
            Timestamp::MAX => snapshot,
            named => snapshot.max(named),
        };
        let began_by = period.began_by().min(now);
        let wants_end = self.system.wants_end() || period.ended_by() != Timestamp::MAX;
        let up_to = if wants_end { now } else { began_by };
        let from = match period.alive_from() {
            Some(from) if from > now => {
                return Err(TxnError::FutureTime { requested: from }.into());
            }
            Some(from) => from,
            None => oldest_definitions(run.cx.txn)?,
        };
        let ahead = self.generations(from, up_to, run)?;
        let (part, batch_rows) = (None, FIRST_ROWS);
        Ok(Some(Work { period, began_by, up_to, wants_end, ahead, part, batch_rows }))
    }

    /// The table's generations over a stretch. Where each row of another table asks for a stretch of its
    /// own, they are read once for all.
    fn generations(
        &mut self,
        from: Timestamp,
        up_to: Timestamp,
        run: &mut Run<'_, '_>,
    ) -> Result<VecDeque<Generation>> {
        let id = self.access.table.id;
        if !matches!(self.access.temporal.span, Span::Each(_)) {
            return Ok(generations(run.cx.txn, id, from, up_to)?.into());
        }
        let known = match &self.known {
            Some(known) => known,
            None => {
                let (from, up_to) = (oldest_definitions(run.cx.txn)?, run.cx.txn.snapshot_ts());
                let all = generations(run.cx.txn, id, from, up_to)?;
                self.known.insert(Known { from, up_to, all })
            }
        };
        if from < known.from || up_to > known.up_to {
            return Ok(generations(run.cx.txn, id, from, up_to)?.into());
        }
        let lived = known.all.iter().filter(|generation| {
            generation.from <= up_to && generation.ended.is_none_or(|ended| ended > from)
        });
        let clip = |generation: &Generation| Generation {
            from: generation.from.max(from),
            ended: generation.ended.filter(|ended| *ended <= up_to),
            table: Arc::clone(&generation.table),
        };
        Ok(lived.map(clip).collect())
    }

    fn period(&self, run: &mut Run<'_, '_>) -> Result<Option<Period>> {
        match (&self.access.temporal.span, self.access.at) {
            (Span::Period(period), _) => Ok(Some(*period)),
            (Span::Each(time), _) => match evaluate_free(time, run)? {
                Value::Null => Ok(None),
                Value::Timestamptz(micros) => {
                    Ok(Some(Period::at(Moment::of_timestamptz(micros).last)))
                }
                other => Err(SqlError::internal(format!("a time of type {}", other.data_type()))),
            },
            (Span::Once, ReadAt::AsOf(ts)) => Ok(Some(Period::at(ts))),
            (Span::Once, _) => Err(SqlError::internal("a scan of now is none of versions")),
        }
    }

    /// Begins with the next generation; false if there is none.
    fn next_part(&self, work: &mut Work, run: &mut Run<'_, '_>) -> Result<bool> {
        if planted!("executor.newest-generation-only") {
            work.ahead.drain(..work.ahead.len().saturating_sub(1));
        }
        let Some(generation) = work.ahead.pop_front() else { return Ok(false) };
        let then = &generation.table;
        let shown = &self.access.table;
        let table: Arc<Table> = if then.keyspace == shown.keyspace {
            Arc::clone(shown)
        } else {
            check_same_types(shown, then)?;
            Arc::new(seen_from(shown, then))
        };
        let mut from = generation.from;
        if work.period.alive_from().is_none() {
            // What is kept of the table is kept of its indexes, too, so that the path makes no
            // difference.
            let indexes = table.indexes.iter().filter_map(|index| index.keyspace);
            for space in std::iter::once(table.keyspace).chain(indexes) {
                from = from.max(run.cx.txn.oldest_readable(space)?);
            }
        }
        let before_end = |ended: Timestamp| Timestamp(ended.0.saturating_sub(1));
        let up_to = generation.ended.map_or(work.up_to, |ended| work.up_to.min(before_end(ended)));
        let mut part = Part {
            space: table.keyspace,
            from,
            up_to,
            ended: generation.ended,
            entries: None,
            rows: None,
            entry_ended: None,
        };
        let index = match &self.access.path {
            AccessPath::Index { index, .. } => table.index(*index).filter(|index| {
                planted!("executor.young-indexes-are-asked")
                    || then.index(index.id).is_some_and(|old| old.columns == index.columns)
            }),
            _ => None,
        };
        if let Some(space) = index.and_then(|index| index.keyspace) {
            if let Some(range) = self.range(&table, &self.access.path, run)? {
                part.entries = Some(Walk::new(space, range, from, up_to));
            }
        } else {
            let all = AccessPath::Table { bounds: KeyBounds::ALL };
            let path = match &self.access.path {
                AccessPath::Index { .. } => &all,
                path => path,
            };
            let range = self.range(&table, path, run)?;
            part.rows = range.map(|range| Walk::new(table.keyspace, range, from, up_to));
        }
        work.part = Some(part);
        Ok(true)
    }

    /// The keys of a path in the layout of `table`; `None` if nothing can match.
    fn range(
        &self,
        table: &Arc<Table>,
        path: &AccessPath,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<ByteRange>> {
        let bounds = match path {
            AccessPath::Point { key } => {
                let Some(index) = table.primary_key() else { return Ok(Some(ByteRange::ALL)) };
                let mut values = Vec::with_capacity(key.len());
                for expr in key {
                    values.push(evaluate_free(expr, run)?);
                }
                let fits = fit_key(table, index, &mut values);
                let key = point_key(table, &values).filter(|_| fits);
                return Ok(key.map(only));
            }
            AccessPath::Table { bounds } | AccessPath::Index { bounds, .. } => bounds,
        };
        let access = TableAccess {
            table: Arc::clone(table),
            path: path.clone(),
            columns: Vec::new(),
            filter: None,
            ..self.access.clone()
        };
        byte_range(&access, bounds, run)
    }

    /// Fills a batch; `None` at the end.
    fn batch(&mut self, work: &mut Work, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        let mut out = RowBuffer::new(&self.types, 0);
        let mut bytes = 0;
        while out.len() < work.batch_rows && bytes < BATCH_BYTES {
            let Some(part) = &mut work.part else {
                if self.next_part(work, run)? {
                    continue;
                }
                break;
            };
            let Some(rows) = &mut part.rows else {
                if !part.next_entry(work.began_by, self.meter.as_ref(), run)? {
                    work.part = None;
                }
                continue;
            };
            let found = rows.next(run)?;
            if let Some(meter) = &self.meter {
                meter.add_versions(rows.take_read_count());
            }
            match found {
                Some(found) => bytes += self.give(work, found, &mut out, run)?,
                None => part.rows = None,
            }
        }
        work.batch_rows = (work.batch_rows * 4).min(BATCH_ROWS);
        if out.len() == 0 {
            return Ok(None);
        }
        let batch = out.finish();
        Ok(Some(match &self.access.filter {
            Some(filter) => filtered(batch, filter, run)?,
            None => batch,
        }))
    }

    /// Adds a version, if it is wanted; returns the size of its row.
    fn give(
        &mut self,
        work: &Work,
        found: Found,
        out: &mut RowBuffer,
        run: &mut Run<'_, '_>,
    ) -> Result<usize> {
        let (Some(part), period) = (&work.part, &work.period) else { return Ok(0) };
        let Some(walk) = &part.rows else { return Ok(0) };
        let row = walk.row(found);
        if row.ts > work.began_by || row.ts < period.began_since() {
            return Ok(0);
        }
        let end = if work.wants_end { part.end_of(row.key, found, run)? } else { None };
        if end.map_or(Timestamp::MAX, |(ts, _)| ts) > period.ended_by() {
            return Ok(0);
        }
        let was_there = match found.older {
            _ if !self.system.wants(SystemColumn::Op) => None,
            Older::Row => Some(true),
            Older::Nothing => Some(false),
            Older::Unknown => was_there(run.cx.txn, walk.space(), row.key, row.ts)?,
        };
        let version = Version { start: row.ts, end, was_there };
        let system = self.system.values(version, run.cx.store)?;
        let bytes = row.value.unwrap_or_default();
        self.decoder.push(row.key, bytes, system, out)?;
        Ok(row.key.len() + bytes.len())
    }
}

/// The range of one key.
fn only(key: Vec<u8>) -> ByteRange {
    ByteRange { start: Bound::Included(key.clone()), end: Bound::Included(key) }
}

impl Part {
    /// Goes on to the row of the next index entry; false if there is none.
    fn next_entry(
        &mut self,
        began_by: Timestamp,
        meter: Option<&Meter>,
        run: &mut Run<'_, '_>,
    ) -> Result<bool> {
        let Some(entries) = &mut self.entries else { return Ok(false) };
        let found = entries.next(run)?;
        if let Some(meter) = meter {
            meter.add_versions(entries.take_read_count());
        }
        let Some(found) = found else { return Ok(false) };
        let entry = entries.row(found);
        if entry.ts > began_by {
            return Ok(true);
        }
        self.entry_ended = found.newer.map(|(ts, _)| ts);
        if planted!("executor.entries-never-end") {
            self.entry_ended = None;
        }
        let last = self
            .entry_ended
            .map_or(self.up_to, |ended| self.up_to.min(Timestamp(ended.0.saturating_sub(1))));
        let key = entry.value.unwrap_or_default().to_vec();
        self.rows = Some(Walk::new(self.space, only(key), self.from.max(entry.ts), last));
        Ok(true)
    }

    /// What ended a version, if anything did up to where it is read.
    fn end_of(
        &self,
        key: &[u8],
        found: Found,
        run: &mut Run<'_, '_>,
    ) -> Result<Option<(Timestamp, Ended)>> {
        let how = |is_row: bool| if is_row { Ended::Updated } else { Ended::Deleted };
        if let Some((ts, is_row)) = found.newer {
            return Ok(Some((ts, how(is_row))));
        }
        if let Some(ended) = self.entry_ended {
            // The value changed, or the row went.
            let at = ReadAt::AsOf(ended);
            let is_row = run.cx.txn.get(self.space, key, at, &mut Vec::new())?;
            return Ok(Some((ended, how(is_row))));
        }
        Ok(self.ended.map(|ended| (ended, Ended::Deleted)))
    }
}

impl Operator for Versions {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if matches!(self.state, State::New) {
            let work = self.start(run)?;
            self.state = work.map_or(State::Done, |work| State::Running(Box::new(work)));
        }
        let State::Running(mut work) = std::mem::replace(&mut self.state, State::Done) else {
            return Ok(None);
        };
        let batch = self.batch(&mut work, run)?;
        if batch.is_some() {
            self.state = State::Running(work);
        }
        Ok(batch)
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.state = State::New;
    }
}
