//! VACUUM and ANALYZE.

use std::sync::Arc;

use driftdb_concurrency::{ReadAt, RowBatch, ScanRequest, ScanState};
use driftdb_query::{Result, Table};
use driftdb_tables::{ByteRange, DdlContext, NoTerms, set_row_count, tables};

use super::{CommandTag, Outcome};
use crate::batch::BATCH_ROWS;
use crate::context::Run;
use crate::operator::access::go_on_after;

/// VACUUM: what is committed becomes durable in the engine, history past the promise goes.
pub(crate) fn vacuum(
    named: &[Arc<Table>],
    analyze: bool,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    run.cx.store.checkpoint()?;
    if analyze {
        count(named, run)?;
    }
    Ok(Outcome::tag(CommandTag::plain("VACUUM")))
}

/// ANALYZE: counts rows, for the planner.
pub(crate) fn analyze(named: &[Arc<Table>], run: &mut Run<'_, '_>) -> Result<Outcome> {
    count(named, run)?;
    Ok(Outcome::tag(CommandTag::plain("ANALYZE")))
}

fn count(named: &[Arc<Table>], run: &mut Run<'_, '_>) -> Result<()> {
    let all;
    let named = if named.is_empty() {
        all = tables(run.cx.txn, ReadAt::Statement)?;
        &all
    } else {
        named
    };
    for table in named {
        let rows = count_rows(table, run)?;
        let (txn, store, eval) = (&mut *run.cx.txn, run.cx.store, run.cx.eval);
        let terms = Box::new(NoTerms);
        set_row_count(&mut DdlContext { txn, store, eval, terms }, table, rows)?;
    }
    Ok(())
}

fn count_rows(table: &Table, run: &mut Run<'_, '_>) -> Result<u64> {
    let mut batch = RowBatch::new();
    let mut range =
        ByteRange { start: std::ops::Bound::Unbounded, end: std::ops::Bound::Unbounded };
    let mut rows = 0;
    loop {
        run.check_cancel()?;
        batch.clear();
        let request = ScanRequest {
            range: range.as_range(),
            at: ReadAt::Statement,
            reverse: false,
            max_rows: BATCH_ROWS,
        };
        let state = run.cx.txn.scan(table.keyspace, &request, &mut batch)?;
        rows += batch.len() as u64;
        match batch.last_key() {
            Some(last) if state == ScanState::More => go_on_after(&mut range, last, false),
            _ => return Ok(rows),
        }
    }
}
