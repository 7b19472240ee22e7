//! Transaction blocks: implicit and explicit, failed, savepoints.
//!
//! Outside of BEGIN a string of statements (simple protocol), or everything up to Sync (extended),
//! is an *implicit* block: one transaction that commits at its end. BEGIN makes it explicit.

use driftdb_concurrency::{
    BeginOptions, IsolationLevel, Provenance, SavepointId, StatementKinds, Transaction,
};
use driftdb_executor::{CommandTag, PendingChecks, PendingMark};
use driftdb_query::{PastTime, Result, SetScope, SqlError, TransactionModes, TransactionStatement};
use driftdb_storage::Timestamp;
use driftdb_tables::DdlGuard;
use driftdb_types::SqlState;

use super::{ResponseSink, Session, TransactionStatus};

/// The running transaction block.
#[derive(Default)]
pub(super) struct Block {
    kind: Kind,
    /// Begun when the first statement needs it.
    pub(super) txn: Option<Box<dyn Transaction>>,
    /// Whether no statement has used the transaction's first snapshot yet.
    is_fresh: bool,
    modes: TransactionModes,
    pub(super) ddl: Option<DdlGuard>,
    /// Deferred checks of constraints.
    pub(super) pending: PendingChecks,
    savepoints: Vec<Savepoint>,
    /// Keep the history that its restore points are to pin until they do.
    holds: Vec<Box<dyn Transaction>>,
    /// What its statements did.
    pub(super) kinds: StatementKinds,
    /// Statements run in it so far.
    statement_count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    None,
    Implicit,
    Explicit,
    /// Explicit, and a statement failed.
    Failed,
}

struct Savepoint {
    name: String,
    id: SavepointId,
    settings_mark: usize,
    locks_mark: usize,
    pending_mark: PendingMark,
    messages_mark: usize,
}

impl Block {
    pub(super) fn status(&self) -> TransactionStatus {
        match self.kind {
            Kind::None | Kind::Implicit => TransactionStatus::Idle,
            Kind::Explicit => TransactionStatus::InBlock,
            Kind::Failed => TransactionStatus::Failed,
        }
    }

    pub(super) fn is_implicit(&self) -> bool {
        self.kind == Kind::Implicit
    }

    pub(super) fn is_failed(&self) -> bool {
        self.kind == Kind::Failed
    }

    fn is_explicit(&self) -> bool {
        matches!(self.kind, Kind::Explicit | Kind::Failed)
    }

    /// The past that BEGIN or SET TRANSACTION named.
    pub(super) fn past(&self) -> Option<PastTime> {
        self.modes.as_of
    }

    /// Whether this transaction has changed the catalog.
    pub(super) fn has_ddl(&self) -> bool {
        self.ddl.is_some()
    }
}

fn no_transaction(message: &str) -> SqlError {
    SqlError::new(SqlState::NoActiveSqlTransaction, message)
}

fn no_savepoint(name: &str) -> SqlError {
    let message = format!("savepoint \"{name}\" does not exist");
    SqlError::new(SqlState::InvalidSavepointSpecification, message)
}

fn tag(command: &'static str) -> CommandTag {
    CommandTag { command, rows: None }
}

impl Session {
    /// Opens an implicit block unless there is a block.
    pub(super) fn open_implicit_block(&mut self) {
        if self.block.kind == Kind::None {
            self.block.kind = Kind::Implicit;
            self.eval.transaction_ts = self.eval.statement_ts;
            self.registered.activity().begin_transaction(self.eval.transaction_ts);
        }
    }

    /// A statement of the block runs; that it was prepared in it does not count.
    pub(super) fn count_statement(&mut self) {
        self.block.statement_count += 1;
    }

    /// A statement of the block may write.
    pub(super) fn note_kinds(&mut self, kinds: StatementKinds) {
        self.block.kinds.add(kinds);
    }

    /// What the commit of a block says of itself.
    pub(super) fn provenance(&self, kinds: StatementKinds) -> Provenance {
        let (application, comment) = self.settings.said();
        Provenance {
            user: self.eval.user.to_string(),
            application: application.to_owned(),
            comment: comment.to_owned(),
            kinds,
        }
    }

    /// Begins a statement on the transaction, which is begun first if need be.
    pub(super) fn begin_statement(&mut self) -> Result<()> {
        self.open_implicit_block();
        self.keep_suspended_rows()?;
        self.begin_transaction()?;
        if self.block.is_fresh {
            self.block.is_fresh = false;
            return Ok(());
        }
        self.restart_statement()
    }

    /// Takes a new snapshot (READ COMMITTED) for the same statement.
    pub(super) fn restart_statement(&mut self) -> Result<()> {
        match &mut self.block.txn {
            Some(txn) => Ok(txn.begin_statement()?),
            None => Err(SqlError::internal("a statement runs without a transaction")),
        }
    }

    /// Begins the block's first statement anew on a newer snapshot. False: it is not the first one, or the
    /// transaction does not do that.
    pub(super) fn restart_transaction(&mut self) -> Result<bool> {
        let block = &mut self.block;
        if block.statement_count != 1 || !block.savepoints.is_empty() || block.has_ddl() {
            return Ok(false);
        }
        let Some(txn) = &mut block.txn else { return Ok(false) };
        let is_anew = txn.restart()?;
        if is_anew {
            block.pending = PendingChecks::default();
        }
        Ok(is_anew)
    }

    /// Waits until what the transaction read is durable: before a row, or an error that may come of one, goes
    /// to the client.
    pub(super) fn settle_reads(&mut self) -> Result<()> {
        match &mut self.block.txn {
            Some(txn) => Ok(txn.settle_reads()?),
            None => Ok(()),
        }
    }

    fn begin_transaction(&mut self) -> Result<()> {
        if self.block.txn.is_none() {
            let modes = self.block.modes;
            let options = BeginOptions {
                isolation: modes.isolation.unwrap_or_else(|| self.settings.default_isolation()),
                read_only: modes.read_only.unwrap_or_else(|| self.settings.default_read_only()),
                deferrable: modes.deferrable.unwrap_or_else(|| self.settings.default_deferrable()),
                as_of: self.past()?,
                cancel: self.cancel.clone(),
            };
            self.block.txn = Some(self.node.store().begin(options)?);
            self.block.is_fresh = true;
        }
        Ok(())
    }

    /// Keeps the history of a moment until the block ends.
    ///
    /// # Errors
    /// It is in the future, or gone already.
    pub(super) fn hold_moment(&mut self, at: Option<Timestamp>) -> Result<()> {
        let as_of = at.or_else(|| self.block.txn.as_ref().map(|txn| txn.snapshot_ts()));
        let options = BeginOptions { as_of, ..BeginOptions::default() };
        self.block.holds.push(self.node.store().begin(options)?);
        Ok(())
    }

    /// Announces that this transaction changes the catalog.
    pub(super) fn begin_ddl(&mut self) {
        if self.block.ddl.is_none() {
            self.block.ddl = Some(self.node.catalog().begin_ddl());
        }
    }

    /// Fails if a statement must not be part of a larger transaction.
    pub(super) fn require_no_block(&self, what: &str) -> Result<()> {
        if self.block.is_explicit() || self.block.statement_count > 1 {
            let message = format!("{what} cannot run inside a transaction block");
            return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
        }
        Ok(())
    }

    /// Fails if a statement would have no effect beyond itself.
    pub(super) fn require_block(&self, what: &str) -> Result<()> {
        if self.block.is_explicit() || self.block.statement_count > 1 {
            return Ok(());
        }
        Err(no_transaction(&format!("{what} can only be used in transaction blocks")))
    }

    /// How many savepoints there are.
    pub(super) fn savepoint_depth(&self) -> usize {
        self.block.savepoints.len()
    }

    pub(super) fn is_in_explicit_block(&self) -> bool {
        self.block.is_explicit()
    }

    /// Commits the block, whichever it is.
    pub(super) fn commit_block(&mut self) -> Result<()> {
        let checked = self.check_pending().and_then(|()| self.hold_cursors());
        let checked = checked.and_then(|()| self.end_temporary());
        if let Err(error) = checked.and_then(|()| self.check_notifications()) {
            let error = self.settle_reads().err().unwrap_or(error);
            self.rollback_block();
            return Err(error);
        }
        let block = self.end_block();
        let committed = match block.txn {
            Some(mut txn) => {
                if txn.has_writes() {
                    txn.describe(&self.provenance(block.kinds));
                }
                txn.commit().map(|committed| committed.commit.map(|commit| commit.ts))
            }
            None => Ok(None),
        };
        if let Some(ddl) = block.ddl {
            // Where the outcome is unknown, the catalog may have changed at the newest time or later;
            // the log is poisoned then, and nothing is bound for writing any more.
            let newest = self.node.store().newest();
            ddl.finish(*committed.as_ref().unwrap_or(&Some(newest)));
            // It is committed; if this fails, the store keeps what it kept before, and the next change
            // of a definition or the next start tells it again.
            drop(self.node.follow_history_rules());
        }
        self.actions.release_since(0);
        drop(block.holds);
        match committed {
            Ok(_) => {
                self.settings.commit();
                self.apply_settings();
                self.cursors.end_transaction(true);
                self.send_notifications();
                Ok(())
            }
            Err(error) => {
                self.cursors.end_transaction(false);
                self.listening.forget();
                self.settings.rollback();
                self.apply_settings();
                Err(error.into())
            }
        }
    }

    /// Commits an implicit block; leaves others alone.
    pub(super) fn commit_implicit_block(&mut self) -> Result<()> {
        if self.block.is_implicit() { self.commit_block() } else { Ok(()) }
    }

    /// Rolls the block back, whichever it is.
    pub(super) fn rollback_block(&mut self) {
        let block = self.end_block();
        if let Some(txn) = block.txn {
            txn.rollback();
        }
        if let Some(ddl) = block.ddl {
            ddl.finish(None);
        }
        self.actions.release_since(0);
        self.cursors.end_transaction(false);
        self.listening.forget();
        self.settings.rollback();
        self.apply_settings();
    }

    fn end_block(&mut self) -> Block {
        self.portals.clear();
        std::mem::take(&mut self.block)
    }

    /// A statement failed: an implicit block is gone, an explicit one waits for its end.
    pub(super) fn fail_block(&mut self) {
        match self.block.kind {
            Kind::None => {}
            Kind::Implicit => self.rollback_block(),
            Kind::Explicit | Kind::Failed => {
                self.block.kind = Kind::Failed;
                self.portals.clear();
                if self.block.savepoints.is_empty() {
                    self.cursors.end_transaction(false);
                    // Nothing can come back: let go of its locks now.
                    if let Some(txn) = self.block.txn.take() {
                        txn.rollback();
                    }
                    if let Some(ddl) = self.block.ddl.take() {
                        ddl.finish(None);
                    }
                    self.actions.release_since(0);
                }
            }
        }
    }

    pub(super) fn forget_savepoints(&mut self) {
        self.block.savepoints.clear();
    }

    pub(super) fn apply_settings(&mut self) {
        self.apply_identity();
        self.settings.apply(&mut self.eval);
        self.cancel.set_lock_timeout(self.settings.lock_timeout());
    }

    /// BEGIN, COMMIT and their kin.
    pub(super) fn run_transaction_statement(
        &mut self,
        statement: &TransactionStatement,
        sink: &mut dyn ResponseSink,
    ) -> Result<CommandTag> {
        match statement {
            TransactionStatement::Begin(modes) => self.begin_block(*modes, sink),
            TransactionStatement::Commit { chain } => self.commit(*chain, sink),
            TransactionStatement::Rollback { chain } => self.rollback(*chain, sink),
            TransactionStatement::Savepoint(name) => self.savepoint(name),
            TransactionStatement::Release(name) => self.release(name),
            TransactionStatement::RollbackTo(name) => self.rollback_to(name),
            TransactionStatement::SetTransaction(modes) => {
                if self.block.is_explicit() {
                    if let Some(time) = modes.as_of {
                        self.check_past(time)?;
                    }
                    self.set_modes(*modes)?;
                } else {
                    let message = "SET TRANSACTION can only be used in transaction blocks";
                    self.warn(&no_transaction(message), sink);
                }
                Ok(tag("SET"))
            }
            TransactionStatement::SetSession(modes) => {
                if let Some(isolation) = modes.isolation {
                    let level = isolation.to_string();
                    self.change_setting("default_transaction_isolation", Some(&level))?;
                }
                if let Some(read_only) = modes.read_only {
                    let value = if read_only { "on" } else { "off" };
                    self.change_setting("default_transaction_read_only", Some(value))?;
                }
                Ok(tag("SET"))
            }
        }
    }

    fn change_setting(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        self.settings.set(name, value, SetScope::Session)
    }

    fn begin_block(
        &mut self,
        modes: TransactionModes,
        sink: &mut dyn ResponseSink,
    ) -> Result<CommandTag> {
        if let Some(time) = modes.as_of {
            self.check_past(time)?;
        }
        if self.block.is_explicit() {
            let message = "there is already a transaction in progress";
            self.warn(&SqlError::new(SqlState::ActiveSqlTransaction, message), sink);
        } else {
            self.open_implicit_block();
            self.block.kind = Kind::Explicit;
        }
        self.set_modes(modes)?;
        Ok(tag("BEGIN"))
    }

    /// SET TRANSACTION's modes; those not mentioned stay.
    pub(super) fn set_modes(&mut self, modes: TransactionModes) -> Result<()> {
        let refuse = |message: &str| Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
        if let Some(txn) = &self.block.txn {
            let granted = modes.isolation.map(|level| self.node.store().granted(level));
            if granted.is_some_and(|level| level != txn.isolation()) {
                let message = "SET TRANSACTION ISOLATION LEVEL must be called before any query";
                return refuse(message);
            }
            if modes.as_of.is_some() {
                return refuse("SET TRANSACTION AS OF must be called before any query");
            }
            match modes.read_only {
                Some(false) if txn.is_read_only() => {
                    return refuse("transaction read-write mode must be set before any query");
                }
                Some(true) if !txn.is_read_only() => {
                    return Err(SqlError::unsupported(
                        "SET TRANSACTION READ ONLY after the first query",
                    ));
                }
                _ => {}
            }
        }
        let own = &mut self.block.modes;
        own.isolation = modes.isolation.or(own.isolation);
        own.read_only = modes.read_only.or(own.read_only);
        own.deferrable = modes.deferrable.or(own.deferrable);
        own.as_of = modes.as_of.or(own.as_of);
        Ok(())
    }

    /// The level of the running transaction, or of the next.
    pub(super) fn isolation(&self) -> IsolationLevel {
        match &self.block.txn {
            Some(txn) => txn.isolation(),
            None => {
                let own = self.block.modes.isolation;
                let asked = own.unwrap_or_else(|| self.settings.default_isolation());
                self.node.store().granted(asked)
            }
        }
    }

    /// Whether the running transaction, or the next, is read-only.
    pub(super) fn is_read_only(&self) -> bool {
        match &self.block.txn {
            Some(txn) => txn.is_read_only(),
            None => {
                let own = self.block.modes.read_only;
                self.is_in_past() || own.unwrap_or_else(|| self.settings.default_read_only())
            }
        }
    }

    fn commit(&mut self, chain: bool, sink: &mut dyn ResponseSink) -> Result<CommandTag> {
        let modes = self.block.modes;
        let was_failed = self.block.is_failed();
        if !self.block.is_explicit() {
            if chain {
                return Err(no_transaction(
                    "COMMIT AND CHAIN can only be used in transaction blocks",
                ));
            }
            self.warn(&no_transaction("there is no transaction in progress"), sink);
        }
        if was_failed {
            self.rollback_block();
        } else {
            self.commit_block()?;
        }
        self.chain(chain, modes);
        Ok(tag(if was_failed { "ROLLBACK" } else { "COMMIT" }))
    }

    fn rollback(&mut self, chain: bool, sink: &mut dyn ResponseSink) -> Result<CommandTag> {
        let modes = self.block.modes;
        if !self.block.is_explicit() {
            if chain {
                return Err(no_transaction(
                    "ROLLBACK AND CHAIN can only be used in transaction blocks",
                ));
            }
            self.warn(&no_transaction("there is no transaction in progress"), sink);
        }
        self.rollback_block();
        self.chain(chain, modes);
        Ok(tag("ROLLBACK"))
    }

    fn chain(&mut self, chain: bool, modes: TransactionModes) {
        if chain {
            self.open_implicit_block();
            self.block.kind = Kind::Explicit;
            self.block.modes = modes;
        }
    }

    fn savepoint(&mut self, name: &str) -> Result<CommandTag> {
        if !self.block.is_explicit() {
            return Err(no_transaction("SAVEPOINT can only be used in transaction blocks"));
        }
        // What a suspended portal has not given yet, it gives from before the savepoint.
        self.keep_suspended_rows()?;
        self.begin_transaction()?;
        if let Some(txn) = &mut self.block.txn {
            let id = txn.savepoint();
            let settings_mark = self.settings.mark();
            let locks_mark = self.actions.mark();
            let pending_mark = self.block.pending.mark();
            let messages_mark = self.listening.mark();
            let name = name.to_owned();
            let savepoint =
                Savepoint { name, id, settings_mark, locks_mark, pending_mark, messages_mark };
            self.block.savepoints.push(savepoint);
        }
        Ok(tag("SAVEPOINT"))
    }

    /// The position of the newest savepoint of a name.
    fn find_savepoint(&self, name: &str) -> Result<usize> {
        let found = self.block.savepoints.iter().rposition(|savepoint| savepoint.name == name);
        found.ok_or_else(|| no_savepoint(name))
    }

    fn release(&mut self, name: &str) -> Result<CommandTag> {
        if !self.block.is_explicit() {
            return Err(no_transaction("RELEASE SAVEPOINT can only be used in transaction blocks"));
        }
        let position = self.find_savepoint(name)?;
        let id = self.block.savepoints[position].id;
        self.block.savepoints.truncate(position);
        self.cursors.release(position);
        if let Some(txn) = &mut self.block.txn {
            txn.release(id);
        }
        Ok(tag("RELEASE"))
    }

    fn rollback_to(&mut self, name: &str) -> Result<CommandTag> {
        if !self.block.is_explicit() {
            return Err(no_transaction(
                "ROLLBACK TO SAVEPOINT can only be used in transaction blocks",
            ));
        }
        let position = self.find_savepoint(name)?;
        self.portals.clear();
        self.cursors.rollback_to(position);
        self.listening.rollback_to(self.block.savepoints[position].messages_mark);
        let Savepoint { id, settings_mark, locks_mark, .. } = self.block.savepoints[position];
        self.block.pending.rollback_to(&self.block.savepoints[position].pending_mark);
        self.block.savepoints.truncate(position + 1);
        if let Some(txn) = &mut self.block.txn {
            txn.rollback_to(id);
        }
        self.actions.release_since(locks_mark);
        self.settings.rollback_to(settings_mark);
        self.apply_settings();
        self.block.kind = Kind::Explicit;
        Ok(tag("ROLLBACK"))
    }
}
