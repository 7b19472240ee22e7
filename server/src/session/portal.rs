//! Portals: statements with their parameters, ready to run or half run.

use std::collections::VecDeque;
use std::sync::Arc;

use driftdb_executor::{Batch, CommandTag};
use driftdb_query::{Result, SqlError};
use driftdb_types::{SqlState, Value};

use super::prepared::Prepared;
use super::run::{Ran, Running, Wanted, exec_context};
use super::{Formats, Progress, ResponseSink, Session};

/// A bound statement.
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) params: Vec<Value>,
    pub(super) formats: Formats,
    pub(super) state: PortalState,
}

/// How far a portal has run.
pub(super) enum PortalState {
    Ready,
    /// Between two calls, with the transaction's snapshot of the first.
    Suspended(Running),
    /// As suspended, but the rest of the rows was computed before another statement moved the
    /// transaction on.
    Kept {
        batches: VecDeque<Batch>,
        from: usize,
    },
    Finished(CommandTag),
}

impl Session {
    /// Computes what suspended portals have still to give, before the next statement makes the
    /// transaction see newer rows.
    pub(super) fn keep_suspended_rows(&mut self) -> Result<()> {
        let suspended: Vec<String> = self
            .portals
            .iter()
            .filter(|(_, portal)| matches!(portal.state, PortalState::Suspended(_)))
            .map(|(name, _)| name.clone())
            .collect();
        for name in suspended {
            let Some(mut portal) = self.portals.remove(&name) else { continue };
            if let PortalState::Suspended(running) = portal.state {
                portal.state = self.keep_rows(running, &portal.params)?;
            }
            self.portals.insert(name, portal);
        }
        self.keep_cursors()
    }

    fn keep_rows(&mut self, running: Running, params: &[Value]) -> Result<PortalState> {
        let Running { mut execution, rest } = running;
        let (mut batches, from) = match rest {
            Some((batch, from)) => (VecDeque::from([batch]), from),
            None => (VecDeque::new(), 0),
        };
        let most = self.node.config().statement_memory_bytes;
        let mut bytes = 0;
        while let Some(batch) = execution.next(&mut exec_context!(self, params))? {
            bytes += batch.size_bytes();
            if bytes > most {
                let message = "the rows of a suspended portal take too much memory";
                return Err(SqlError::new(SqlState::OutOfMemory, message)
                    .with_hint("Fetch all rows before the next statement, or fewer of them."));
            }
            batches.push_back(batch);
        }
        Ok(PortalState::Kept { batches, from })
    }

    /// Runs a portal, or goes on with it.
    pub(super) fn run_portal(
        &mut self,
        name: &str,
        portal: &mut Portal,
        limit: Option<u64>,
        sink: &mut dyn ResponseSink,
    ) -> Result<Progress> {
        let formats = portal.formats.clone();
        let wanted = Wanted { formats: &formats, describe: false, limit };
        let state = std::mem::replace(&mut portal.state, PortalState::Ready);
        let ran = match state {
            PortalState::Ready => {
                let prepared = Arc::clone(&portal.prepared);
                self.run_statement(&prepared, &portal.params, wanted, sink)?
            }
            PortalState::Suspended(running) => {
                self.give_rows(running, &portal.params, wanted, sink)?
            }
            PortalState::Kept { batches, from } => {
                portal.state = self.give_kept_rows(batches, from, wanted, sink)?;
                return Ok(Progress::Done);
            }
            PortalState::Finished(tag) if tag.command == "SELECT" => {
                Ran::Complete(CommandTag { command: "SELECT", rows: Some(0) })
            }
            PortalState::Finished(_) => {
                let message = format!("portal \"{name}\" cannot be run");
                return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
            }
        };
        self.send_notices(sink);
        match ran {
            Ran::Complete(tag) => {
                portal.state = PortalState::Finished(tag);
                sink.command_complete(tag);
            }
            Ran::Empty => sink.empty_query(),
            Ran::CopyIn => return Ok(Progress::CopyIn),
            Ran::Suspended(running) => {
                portal.state = PortalState::Suspended(running);
                sink.portal_suspended();
            }
        }
        Ok(Progress::Done)
    }

    fn give_kept_rows(
        &mut self,
        mut batches: VecDeque<Batch>,
        mut from: usize,
        wanted: Wanted<'_>,
        sink: &mut dyn ResponseSink,
    ) -> Result<PortalState> {
        let limit = wanted.limit.unwrap_or(u64::MAX);
        let mut given = 0u64;
        while let Some(batch) = batches.front() {
            let available = batch.len() - from;
            let take = available.min(usize::try_from(limit - given).unwrap_or(usize::MAX));
            if take > 0 {
                self.settle_reads()?;
                sink.rows(&batch.slice(from, take), wanted.formats, &self.eval)?;
            }
            given += take as u64;
            if take < available {
                from += take;
            } else {
                batches.pop_front();
                from = 0;
            }
            if given == limit {
                sink.portal_suspended();
                return Ok(PortalState::Kept { batches, from });
            }
        }
        let tag = CommandTag { command: "SELECT", rows: Some(given) };
        sink.command_complete(tag);
        Ok(PortalState::Finished(tag))
    }
}
