//! CREATE BRANCH, DROP BRANCH, and USE, which takes a session to another database.

use std::sync::Arc;

use driftdb_concurrency::{ReadAt, StatementKinds};
use driftdb_executor::CommandTag;
use driftdb_mvcc::NewBranch;
use driftdb_query::{BranchStatement, Result, SqlError};
use driftdb_types::{SessionActions, SqlState};

use super::Session;
use super::actions::Actions;
use super::run::Ran;

impl Session {
    pub(super) fn run_branch_statement(&mut self, statement: &BranchStatement) -> Result<Ran> {
        let command = statement.command();
        self.require_no_block(command)?;
        if self.block.txn.is_some() {
            // Statements before it in the same string.
            let message = format!("{command} cannot run inside a transaction block");
            return Err(SqlError::new(SqlState::ActiveSqlTransaction, message));
        }
        if let BranchStatement::Use(name) = statement {
            self.use_database(name)?;
        } else {
            if self.is_read_only() {
                let message = format!("cannot execute {command} in a read-only transaction");
                return Err(SqlError::new(SqlState::ReadOnlySqlTransaction, message));
            }
            self.change_branches(statement)?;
        }
        Ok(Ran::Complete(CommandTag { command, rows: None }))
    }

    fn change_branches(&mut self, statement: &BranchStatement) -> Result<()> {
        let provenance = self.provenance(StatementKinds::DEFINITION);
        match statement {
            BranchStatement::Create { name, parent, at, .. } => {
                let at = at.map(|at| self.past_timestamp(at)).transpose()?;
                let current: Arc<str> = Arc::clone(self.node.name());
                let parent = Some(parent.as_deref().unwrap_or(&current));
                self.node.create_branch(&NewBranch { name, parent, at }, &provenance)
            }
            BranchStatement::Drop { name, if_exists, .. } => {
                match self.node.drop_branch(name, &provenance) {
                    Err(error) if *if_exists && error.state == SqlState::InvalidCatalogName => {
                        let message = format!("database \"{name}\" does not exist, skipping");
                        self.notices.push(SqlError::new(SqlState::SuccessfulCompletion, message));
                        Ok(())
                    }
                    dropped => dropped,
                }
            }
            BranchStatement::Use(name) => self.use_database(name),
        }
    }

    /// ERASE removes rows from one database; a branch may have copies of them.
    pub(super) fn require_no_branches(&mut self) -> Result<()> {
        let Some(txn) = self.block.txn.as_deref_mut() else {
            return Err(SqlError::internal("there is no transaction"));
        };
        let branches = self.node.branches(txn, ReadAt::Newest)?;
        if branches.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = branches.iter().map(|branch| format!("\"{}\"", branch.name)).collect();
        let message = "cannot erase while there are branches, which may have copies of the rows";
        Err(SqlError::new(SqlState::ObjectInUse, message)
            .with_detail(format!("There are {}.", names.join(", ")))
            .with_hint("Drop them first."))
    }

    /// Goes on in another database. What was prepared and locked stays behind, as after DISCARD ALL;
    /// settings come along.
    fn use_database(&mut self, name: &str) -> Result<()> {
        let node = self.node.database(name)?;
        self.portals.clear();
        self.cursors.clear();
        self.listening.unlisten_all();
        self.statements.clear();
        self.repeated.clear();
        self.actions.unlock_all();
        // Temporary tables are of the database that it leaves.
        self.drop_temporary()?;
        let (user, pid) = (&self.eval.user, self.eval.backend_pid);
        self.actions = Arc::new(Actions::new(&node, &self.cancel, user, pid));
        self.eval.actions = Arc::<Actions>::clone(&self.actions);
        self.eval.database = Arc::clone(node.name());
        self.node = node;
        Ok(())
    }
}
