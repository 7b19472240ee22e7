//! Running one statement to its end, or until a limit of rows.

use std::sync::Arc;

use driftdb_concurrency::IsolationLevel;
use driftdb_env::sometimes;
use driftdb_executor::{
    Batch, CommandTag, Execution, check_pending, is_stale, lock_read_tables, start,
};
use driftdb_query::{AlterAction, Field, HistoryStatement, PhysicalStatement, Result, SqlError};
use driftdb_sql::StatementKind;
use driftdb_types::{SqlState, Value};

use super::plan::{Planned, Work, changes_catalog, is_session_statement, kinds, writing_command};
use super::prepared::Prepared;
use super::{Formats, ResponseSink, Session, time};

/// What the executor is lent for one call.
macro_rules! exec_context {
    ($session:ident, $params:expr) => {
        driftdb_executor::ExecContext {
            txn: $session
                .block
                .txn
                .as_deref_mut()
                .ok_or_else(|| driftdb_query::SqlError::internal("there is no transaction"))?,
            store: $session.node.store(),
            system: &$crate::session::system::SystemView {
                node: &$session.node,
                eval: &$session.eval,
                settings: &$session.settings,
                cursors: &$session.cursors,
            },
            eval: &$session.eval,
            params: $params,
            routines: &$crate::session::routine::Runner {
                node: &$session.node,
                settings: &$session.settings,
                actions: &$session.actions,
                kept: &$session.routines,
            },
            ddl: &mut $session.block.ddl,
            kinds: &mut $session.block.kinds,
            cancel: &$session.cancel,
            pending: &mut $session.block.pending,
            notices: &mut $session.notices,
            memory_limit_bytes: $session.node.config().statement_memory_bytes,
        }
    };
}
pub(super) use exec_context;

/// How rows are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) formats: &'a Formats,
    /// Whether the columns are described before the rows (simple protocol).
    pub(super) describe: bool,
    /// At most so many rows now; then the portal is suspended.
    pub(super) limit: Option<u64>,
}

/// What became of a statement.
pub(super) enum Ran {
    /// It is finished; its commit, if it is on its own, is not.
    Complete(CommandTag),
    /// There was nothing to run.
    Empty,
    /// COPY's bytes are awaited.
    CopyIn,
    /// The limit of rows was reached.
    Suspended(Running),
}

/// A query between two calls.
pub(super) struct Running {
    pub(super) execution: Execution,
    /// The rest of a batch: from which row on.
    pub(super) rest: Option<(Batch, usize)>,
}

/// The error that ends a session at somebody's request.
pub(crate) fn ending() -> SqlError {
    let message = "terminating connection due to administrator command";
    SqlError::new(SqlState::AdminShutdown, message)
}

/// Whether a statement goes on until somebody ends it.
fn is_endless(physical: &PhysicalStatement) -> bool {
    matches!(physical, PhysicalStatement::Copy(copy, _) if copy.options.follow)
}

/// How often a statement is bound again because a table's definition changed under it.
const MOST_REBINDS: usize = 10;

fn is_serialization_failure(error: &SqlError) -> bool {
    error.state == SqlState::SerializationFailure
}

impl Session {
    /// A message has arrived: the clock of its statements, and no request to cancel is pending.
    pub(super) fn begin_message(&mut self) {
        self.cancel.reset();
        self.eval.statement_ts = time::wall_micros(self.node.env());
        self.registered.activity().begin(self.eval.statement_ts);
    }

    /// Runs a statement.
    pub(super) fn run_statement(
        &mut self,
        prepared: &Prepared,
        params: &[Value],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        self.check_not_failed(prepared.is_allowed_in_failed_transaction())?;
        if let Some(parsed) = &prepared.parsed {
            self.cancel.set_activity(parsed.shared_text());
        }
        if is_session_statement(prepared) {
            let statement = self.bind_session_statement(prepared)?;
            return self.run_session_statement(&statement, params, wanted, sink);
        }
        let limit = self.settings.statement_timeout();
        let armed =
            limit.map(|limit| self.node.timeouts().arm(self.node.env(), &self.cancel, limit));
        let result = self.run_planned(prepared, params, wanted, sink);
        let result = result.and_then(|ran| self.take_back_settings().map(|()| ran));
        let result = result.and_then(|ran| self.adopt_temporary().map(|()| ran));
        let result = match self.notices.is_empty() {
            true => result,
            false => result.and_then(|ran| self.settle_reads().map(|()| ran)),
        };
        if self.is_ending()
            && matches!(&result, Err(error) if error.state == SqlState::QueryCanceled)
        {
            return Err(ending());
        }
        result.map_err(|error| match armed {
            Some(armed) if armed.has_fired() && error.state == SqlState::QueryCanceled => {
                SqlError::new(error.state, "canceling statement due to statement timeout")
            }
            _ => error,
        })
    }

    fn run_planned(
        &mut self,
        prepared: &Prepared,
        params: &[Value],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        let is_first = self.block.txn.is_none();
        self.begin_statement()?;
        if prepared.kind() != StatementKind::Change {
            // Its rows would wait: so it need not see what others do not. Changes of rows go on.
            self.settle_reads()?;
        }
        self.count_statement();
        self.lend_settings();
        super::routine::Runner::begin(&self.routines);
        let planned = self.planned(prepared, Some(params))?;
        let ran = self.run_until_it_holds(prepared, planned, params, wanted, sink)?;
        if is_first
            && prepared.tag() == "LOCK TABLE"
            && let Some(planned) = prepared.plan()
        {
            // Given back once the new transaction has its own.
            let held = self.begin_after_lock(&planned)?;
            if held.is_some() {
                let planned = self.replan(prepared, Some(params))?;
                return self.run_until_it_holds(prepared, planned, params, wanted, sink);
            }
        }
        Ok(ran)
    }

    /// Runs a plan, and binds the statement anew as long as definitions change under it.
    fn run_until_it_holds(
        &mut self,
        prepared: &Prepared,
        mut planned: Arc<Planned>,
        params: &[Value],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        for _ in 0..MOST_REBINDS {
            match self.run_plan(&planned, params, wanted, sink) {
                Err(error) if is_stale(&error) => {
                    sometimes!("session.bound-again-after-ddl");
                    if !self.restart_transaction()? && !self.goes_on_at_its_snapshot(&planned)? {
                        return Err(error);
                    }
                    planned = self.replan(prepared, Some(params))?;
                }
                Err(error)
                    if is_serialization_failure(&error) && self.was_unseen(&planned, wanted) =>
                {
                    if !self.restart_transaction()? {
                        return Err(error);
                    }
                    sometimes!("session.statement-begun-again");
                    planned = self.planned(prepared, Some(params))?;
                }
                result => return result,
            }
        }
        self.run_plan(&planned, params, wanted, sink)
    }

    /// Begins a statement again that met a definition newer than its snapshot. False if the transaction keeps
    /// that and the statement writes: it must not write to what is no more. Who reads may read it.
    fn goes_on_at_its_snapshot(&mut self, planned: &Planned) -> Result<bool> {
        let snapshot = |session: &Self| {
            let txn = session.block.txn.as_deref();
            txn.filter(|txn| txn.isolation() >= IsolationLevel::RepeatableRead)
                .map(driftdb_concurrency::Transaction::snapshot_ts)
        };
        let before = snapshot(self);
        self.restart_statement()?;
        let is_kept = before.is_some() && snapshot(self) == before;
        let writes = matches!(&planned.work, Work::Plan(plan) if writing_command(plan).is_some());
        Ok(!(is_kept && writes))
    }

    /// Whether nobody can know yet that the block's statement has begun. ON CONFLICT is left as PostgreSQL has
    /// it, where it fails for a row that its snapshot does not show.
    fn was_unseen(&self, planned: &Planned, wanted: Wanted<'_>) -> bool {
        // The direct form gives its rows at the end; a portal with a limit does not run it.
        let is_direct = wanted.limit.is_none() && planned.direct.lock().is_some();
        let gives_no_rows = planned.fields.is_none() || is_direct;
        let has_conflict_clause = matches!(
            &planned.work,
            Work::Plan(plan) if matches!(&**plan, PhysicalStatement::Insert(insert) if insert.on_conflict.is_some())
        );
        gives_no_rows
            && !has_conflict_clause
            && self.notices.is_empty()
            && !self.actions.is_touched()
    }

    fn run_plan(
        &mut self,
        planned: &Planned,
        params: &[Value],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        let physical = match &planned.work {
            Work::Session(statement) => {
                return self.run_session_statement(statement, params, wanted, sink);
            }
            Work::Plan(physical) | Work::Cursor { physical, .. } => physical,
        };
        if matches!(&planned.work, Work::Cursor { declare, .. } if !declare.hold) {
            self.require_block("DECLARE CURSOR")?;
        }
        self.check_may_run(physical)?;
        if planned.asks_catalog {
            self.lend_definitions()?;
        }
        // The past cannot be taken from anybody. A statement that never ends would never give a lock back.
        if !planned.reads.is_empty() && !self.is_in_past() && !is_endless(physical) {
            lock_read_tables(&planned.reads, &mut exec_context!(self, params))?;
        }
        self.note_kinds(kinds(physical));
        if let Work::Cursor { declare, text, physical } = &planned.work {
            return self.declare_cursor(declare, text, physical, params);
        }
        if changes_catalog(physical) {
            self.begin_ddl();
            self.expect_temporary(physical);
        }
        if let PhysicalStatement::History(HistoryStatement::CreateRestorePoint { at, .. }) =
            &**physical
        {
            self.hold_moment(*at)?;
        }
        if matches!(**physical, PhysicalStatement::SetConstraints { .. })
            && !self.is_in_explicit_block()
        {
            let message = "SET CONSTRAINTS can only be used in transaction blocks";
            self.warn(&SqlError::new(SqlState::NoActiveSqlTransaction, message), sink);
        }
        if wanted.limit.is_none() && planned.direct.lock().is_some() {
            return self.run_direct(planned, params, wanted, sink);
        }
        if is_endless(physical) {
            self.cancel.set_endless(true);
            let ran = self.run_operators(physical, params, wanted, sink);
            self.cancel.set_endless(false);
            return ran;
        }
        self.run_operators(physical, params, wanted, sink)
    }

    /// Makes the deferred checks of a block that is about to be committed.
    pub(super) fn check_pending(&mut self) -> Result<()> {
        if self.block.txn.is_none() || self.block.pending.is_empty() {
            return Ok(());
        }
        check_pending(&mut exec_context!(self, &[]))
    }

    fn check_may_run(&mut self, physical: &PhysicalStatement) -> Result<()> {
        if matches!(physical, PhysicalStatement::Vacuum { .. }) {
            self.require_no_block("VACUUM")?;
        }
        match physical {
            PhysicalStatement::CreateIndex(create) if create.concurrently => {
                self.require_no_block("CREATE INDEX CONCURRENTLY")?;
            }
            PhysicalStatement::Drop(objects) if objects.concurrently => {
                self.require_no_block("DROP INDEX CONCURRENTLY")?;
            }
            PhysicalStatement::AlterTable { actions, .. }
                if matches!(&actions[..], [(AlterAction::Reindex(_, true), _)]) =>
            {
                self.require_no_block("REINDEX CONCURRENTLY")?;
            }
            _ => {}
        }
        if is_endless(physical) {
            self.require_no_block("COPY with FOLLOW")?;
            if self.is_in_past() {
                let message = "COPY cannot follow in a session that reads the past";
                return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
            }
        }
        if matches!(physical, PhysicalStatement::History(HistoryStatement::Erase { .. })) {
            self.require_no_block("ERASE")?;
            self.require_no_branches()?;
        }
        if matches!(physical, PhysicalStatement::LockTable(_)) {
            self.require_block("LOCK TABLE")?;
        }
        if self.is_read_only()
            && let Some(command) = writing_command(physical)
        {
            let message = format!("cannot execute {command} in a read-only transaction");
            let error = SqlError::new(SqlState::ReadOnlySqlTransaction, message);
            return Err(if self.is_in_past() {
                error.with_hint(
                    "The transaction reads the past. To write, end it, and RESET driftdb.as_of if \
                     that is set.",
                )
            } else {
                error
            });
        }
        Ok(())
    }

    fn run_direct(
        &mut self,
        planned: &Planned,
        params: &[Value],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        let mut rows = Vec::new();
        let tag = {
            let mut direct = planned.direct.lock();
            let Some(direct) = direct.as_mut() else {
                return Err(SqlError::internal("a direct statement lost its direct form"));
            };
            direct.run(&mut exec_context!(self, params), &mut rows)?
        };
        if let Some(fields) = &planned.fields {
            self.settle_reads()?;
            if wanted.describe {
                sink.row_description(fields, wanted.formats);
            }
            for row in rows.chunks_exact(fields.len().max(1)) {
                sink.row(row, fields, wanted.formats, &self.eval)?;
            }
        }
        Ok(Ran::Complete(tag))
    }

    fn run_operators(
        &mut self,
        physical: &Arc<PhysicalStatement>,
        params: &[Value],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        if let PhysicalStatement::Copy(copy, source) = &**physical {
            return match source {
                None => self.start_copy_in(copy, sink),
                Some(_) => self.copy_out(physical, copy, params, sink),
            };
        }
        let execution = start(physical, &mut exec_context!(self, params))?;
        self.note_temporary(physical)?;
        if wanted.describe
            && let Some(fields) = execution.fields()
        {
            sink.row_description(fields, wanted.formats);
        }
        let running = Running { execution, rest: None };
        self.give_rows(running, params, wanted, sink)
    }

    /// Gives the rows of a statement, up to the limit.
    pub(super) fn give_rows(
        &mut self,
        mut running: Running,
        params: &[Value],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Ran> {
        let limit = wanted.limit.unwrap_or(u64::MAX);
        let mut given = 0u64;
        loop {
            let (batch, from) = match running.rest.take() {
                Some(rest) => rest,
                None => match running.execution.next(&mut exec_context!(self, params))? {
                    Some(batch) => (batch, 0),
                    None => break,
                },
            };
            let available = batch.len() - from;
            let take = available.min(usize::try_from(limit - given).unwrap_or(usize::MAX));
            if running.execution.fields().is_some() && take > 0 {
                self.settle_reads()?;
                let slice = batch.slice(from, take);
                sink.rows(&slice, wanted.formats, &self.eval)?;
            }
            given += take as u64;
            if take < available {
                running.rest = Some((batch, from + take));
            }
            if given == limit {
                return Ok(Ran::Suspended(running));
            }
        }
        if running.execution.fields().is_some() {
            // That there are no more rows may come of one.
            self.settle_reads()?;
        }
        let mut tag = running.execution.tag();
        if wanted.limit.is_some() && tag.command == "SELECT" {
            // A portal reports the rows of its last call.
            tag.rows = Some(given);
        }
        Ok(Ran::Complete(tag))
    }

    /// Sends rows that the session itself made.
    pub(super) fn give_values(
        &mut self,
        fields: &[Field],
        rows: &[Vec<Value>],
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<()> {
        self.settle_reads()?;
        if wanted.describe {
            sink.row_description(fields, wanted.formats);
        }
        rows.iter().try_for_each(|row| sink.row(row, fields, wanted.formats, &self.eval))
    }
}
