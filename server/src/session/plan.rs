//! From a parsed statement to something that can run, and how long that holds.

use std::sync::Arc;

use driftdb_concurrency::{LockMode, LockStrength, StatementKinds};
use driftdb_env::sync::Mutex;
use driftdb_executor::Direct;
use driftdb_query::{
    Catalog, CatalogAt, DeclareCursor, Field, HistoryStatement, IndexId, LogicalPlan,
    PhysicalMergeAction, PhysicalPlan, PhysicalStatement, Query, Result, RoutineStatement,
    SqlError, Statement, Table, TableId,
};
use driftdb_sql::{BindContext, ParsedStatement, StatementKind, bind};
use driftdb_storage::Timestamp;
use driftdb_types::{DataType, Value};

use super::Session;
use super::prepared::Prepared;

/// A bound and planned statement.
pub(super) struct Planned {
    pub(super) work: Work,
    /// The result columns.
    pub(super) fields: Option<Vec<Field>>,
    pub(super) param_types: Vec<DataType>,
    /// The direct form; kept here because it owns buffers.
    pub(super) direct: Mutex<Option<Direct>>,
    /// The tables it reads, with the locks that takes.
    pub(super) reads: Vec<(Arc<Table>, LockMode)>,
    /// Whether its functions ask what the catalog says.
    pub(super) asks_catalog: bool,
    /// What it was bound to.
    bound_to: BoundTo,
    settings_epoch: u64,
}

/// The catalog that a plan was bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BoundTo {
    /// It was not looked at.
    Nothing,
    /// As committed at a snapshot.
    Snapshot(Timestamp),
    /// With changes of the transaction itself, which may be rolled back.
    OwnChanges,
}

/// What runs a statement.
pub(super) enum Work {
    /// The executor.
    Plan(Arc<PhysicalStatement>),
    /// A cursor, which runs its query when it is asked for rows.
    Cursor { declare: DeclareCursor, text: Arc<str>, physical: Arc<PhysicalStatement> },
    /// The session itself.
    Session(Statement),
}

/// A catalog for statements that name nothing in it but, perhaps, a restore point.
struct NoCatalog<'a>(&'a Session);

impl Catalog for NoCatalog<'_> {
    fn table(
        &mut self,
        _schema: Option<&str>,
        name: &str,
        _at: CatalogAt,
    ) -> Result<Option<Arc<Table>>> {
        Err(SqlError::internal(format!("\"{name}\" was looked up without a transaction")))
    }

    fn table_by_id(&mut self, id: TableId) -> Result<Option<Arc<Table>>> {
        Err(SqlError::internal(format!("table {} was looked up without a transaction", id.0)))
    }

    fn index(
        &mut self,
        _schema: Option<&str>,
        name: &str,
    ) -> Result<Option<(Arc<Table>, IndexId)>> {
        Err(SqlError::internal(format!("\"{name}\" was looked up without a transaction")))
    }

    fn tables(&mut self, _at: CatalogAt) -> Result<Vec<Arc<Table>>> {
        Err(SqlError::internal("tables were looked up without a transaction"))
    }

    fn time_of_sequence(&mut self, _sequence: u64) -> Result<Timestamp> {
        Err(SqlError::internal("a time was looked up without a transaction"))
    }

    fn time_of_restore_point(&mut self, name: &str) -> Result<Option<Timestamp>> {
        self.0.time_of_restore_point(name)
    }
}

/// Whether a statement runs in the session, without a transaction of its own.
pub(super) fn is_session_statement(prepared: &Prepared) -> bool {
    match prepared.kind() {
        StatementKind::Empty | StatementKind::Transaction => true,
        StatementKind::Utility => {
            let planned = [
                "DECLARE CURSOR",
                "EXPLAIN",
                "VACUUM",
                "ANALYZE",
                "EXECUTE",
                // It may name types of users.
                "PREPARE",
                "LOCK TABLE",
                "SET CONSTRAINTS",
            ];
            !planned.contains(&prepared.tag())
        }
        StatementKind::Query
        | StatementKind::Change
        | StatementKind::Definition
        | StatementKind::Copy => false,
    }
}

impl Session {
    /// Binds a statement that names nothing in the catalog.
    pub(super) fn bind_session_statement(&self, prepared: &Prepared) -> Result<Statement> {
        let Some(parsed) = &prepared.parsed else { return Ok(Statement::Empty) };
        let mut types = prepared.known_types();
        bind(
            parsed,
            &mut BindContext {
                catalog: &mut NoCatalog(self),
                eval: &self.eval,
                param_types: &mut types,
                params: None,
                variables: None,
            },
        )
    }

    /// The plan of a statement, on the running transaction's snapshot: the one from before while it
    /// holds, else a new one.
    pub(super) fn planned(
        &mut self,
        prepared: &Prepared,
        params: Option<&[Value]>,
    ) -> Result<Arc<Planned>> {
        if let Some(planned) = prepared.plan()
            && self.still_holds(&planned)
            && !prepared.depends_on_time()
        {
            return Ok(planned);
        }
        self.replan(prepared, params)
    }

    /// Whether binding again would give the same.
    pub(super) fn still_holds(&self, planned: &Planned) -> bool {
        if planned.settings_epoch != self.settings.epoch() {
            return false;
        }
        match (planned.bound_to, &self.block.txn) {
            // A cursor of this name may come to give other columns.
            (BoundTo::Nothing, _) => !matches!(planned.work, Work::Session(Statement::Fetch(_))),
            (BoundTo::Snapshot(bound_at), Some(txn)) => {
                !self.block.has_ddl() && self.node.catalog().is_same_at(bound_at, txn.snapshot_ts())
            }
            (BoundTo::Snapshot(_), None) | (BoundTo::OwnChanges, _) => false,
        }
    }

    /// Binds and plans anew.
    pub(super) fn replan(
        &mut self,
        prepared: &Prepared,
        params: Option<&[Value]>,
    ) -> Result<Arc<Planned>> {
        let planned = Arc::new(self.bind_and_plan(prepared, params)?);
        prepared.check_announced(planned.fields.as_deref())?;
        prepared.keep_plan(&planned);
        Ok(planned)
    }

    fn bind_and_plan(&mut self, prepared: &Prepared, params: Option<&[Value]>) -> Result<Planned> {
        let settings_epoch = self.settings.epoch();
        let mut param_types = prepared.known_types();
        if is_session_statement(prepared) {
            let statement = self.bind_session_statement(prepared)?;
            let fields = match &statement {
                Statement::Fetch(fetch) => self.fetched_fields(fetch),
                statement => statement.fields(),
            };
            return Ok(Planned {
                fields,
                work: Work::Session(statement),
                param_types,
                direct: Mutex::new(None),
                reads: Vec::new(),
                asks_catalog: false,
                bound_to: BoundTo::Nothing,
                settings_epoch,
            });
        }
        if let Some(cursor) = prepared.parsed.as_ref().and_then(ParsedStatement::current_of) {
            self.actions.lend_cursor(self.cursors.place(cursor)?);
        }
        let own_changes = self.block.has_ddl();
        let (Some(txn), Some(parsed)) = (&mut self.block.txn, &prepared.parsed) else {
            return Err(SqlError::internal("a statement is bound without a transaction"));
        };
        let bound_to =
            if own_changes { BoundTo::OwnChanges } else { BoundTo::Snapshot(txn.snapshot_ts()) };
        let node = &self.node;
        let (actions, snapshot) = (&self.actions, txn.snapshot_ts());
        let lend = |tables, objects| {
            actions.lend_definitions(tables, objects, (!own_changes).then_some(snapshot));
        };
        let catalog = node.catalog().reader(txn.as_mut(), node.store(), own_changes);
        let catalog = catalog.on_path(&self.eval.schemas).lending(lend);
        let catalog = catalog.with_temporary(self.temporary.schema());
        let mut catalog = catalog.acting_as(self.eval.role);
        let statement = bind(
            parsed,
            &mut BindContext {
                catalog: &mut catalog,
                eval: &self.eval,
                param_types: &mut param_types,
                params,
                variables: None,
            },
        )?;
        let mut asks_catalog = catalog.was_asked();
        let reads = catalog.into_used();
        let mut fields = statement.fields();
        if let Statement::Execute { name, .. } = &statement {
            let inner = self.statement(name)?;
            let inner = self.planned(&inner, None)?;
            asks_catalog |= inner.asks_catalog;
            fields = inner.fields.clone();
        }
        if is_session_work(&statement) {
            let work = Work::Session(statement);
            let direct = Mutex::new(None);
            return Ok(Planned {
                work,
                fields,
                param_types,
                direct,
                reads: Vec::new(),
                asks_catalog,
                bound_to,
                settings_epoch,
            });
        }
        if let Statement::DeclareCursor(mut declare) = statement {
            let fields = declare.query.fields.clone();
            let plan = std::mem::replace(&mut declare.query.plan, LogicalPlan::one_row());
            let query = Statement::Query(Query { plan, fields });
            let physical = Arc::new(self.physical(query)?);
            return Ok(Planned {
                reads: reads_of(&physical, reads),
                work: Work::Cursor { declare, text: Arc::clone(parsed.shared_text()), physical },
                fields: None,
                param_types,
                direct: Mutex::new(None),
                asks_catalog,
                bound_to,
                settings_epoch,
            });
        }
        let physical = Arc::new(self.physical(statement)?);
        let direct = Direct::prepare(&physical);
        Ok(Planned {
            fields,
            param_types,
            direct: Mutex::new(direct),
            reads: reads_of(&physical, reads),
            asks_catalog,
            work: Work::Plan(physical),
            bound_to,
            settings_epoch,
        })
    }

    fn physical(&self, statement: Statement) -> Result<PhysicalStatement> {
        self.node.planner().plan(statement, &self.settings.plan_context())
    }
}

fn is_session_work(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Transaction(_)
            | Statement::Set { .. }
            | Statement::Reset(_)
            | Statement::Show(_)
            | Statement::Prepare { .. }
            | Statement::Execute { .. }
            | Statement::Deallocate(_)
            | Statement::DiscardAll
            | Statement::DiscardSequences
            | Statement::Checkpoint
            | Statement::Branch(_)
            | Statement::Fetch(_)
            | Statement::CloseCursor(_)
            | Statement::Channel(_)
            | Statement::Empty
    )
}

/// Of the tables that a statement names, those that it reads. What it changes, defines or locks it
/// locks itself.
pub(super) fn reads_of(
    statement: &PhysicalStatement,
    mut named: Vec<(Arc<Table>, LockMode)>,
) -> Vec<(Arc<Table>, LockMode)> {
    let target = match statement {
        PhysicalStatement::Query(_)
        | PhysicalStatement::Call(..)
        | PhysicalStatement::Copy(..)
        | PhysicalStatement::CreateTable(_, Some(_)) => return named,
        PhysicalStatement::Insert(insert) => &insert.table,
        PhysicalStatement::Update(update) => &update.table,
        PhysicalStatement::Delete(delete) => &delete.table,
        PhysicalStatement::Merge(merge) => &merge.table,
        PhysicalStatement::Refresh(refresh, _) => &refresh.table,
        PhysicalStatement::Explain { statement, .. } => return reads_of(statement, named),
        _ => return Vec::new(),
    };
    named.retain(|(table, _)| table.id != target.id);
    named
}

/// Whether a statement changes the catalog.
pub(super) fn changes_catalog(statement: &PhysicalStatement) -> bool {
    match statement {
        PhysicalStatement::CreateTable(..)
        | PhysicalStatement::Refresh(..)
        | PhysicalStatement::CreateIndex(_)
        | PhysicalStatement::Drop(_)
        | PhysicalStatement::AlterTable { .. }
        | PhysicalStatement::Truncate { .. }
        | PhysicalStatement::View(_)
        | PhysicalStatement::Schema(_)
        | PhysicalStatement::Role(_)
        | PhysicalStatement::Sequence(_)
        | PhysicalStatement::Type(_)
        | PhysicalStatement::Comment(_)
        | PhysicalStatement::Analyze(_)
        | PhysicalStatement::History(
            HistoryStatement::CreateRestorePoint { .. }
            | HistoryStatement::DropRestorePoint { .. }
            | HistoryStatement::Undrop { .. }
            | HistoryStatement::Restore { is_database: true, .. },
        )
        | PhysicalStatement::Vacuum { analyze: true, .. } => true,
        PhysicalStatement::Routine(statement) => {
            !matches!(statement, RoutineStatement::Do { .. } | RoutineStatement::Call { .. })
        }
        PhysicalStatement::Explain { statement, analyze: true, .. } => changes_catalog(statement),
        PhysicalStatement::Explain { .. }
        | PhysicalStatement::Vacuum { .. }
        | PhysicalStatement::Query(_)
        | PhysicalStatement::Call(..)
        | PhysicalStatement::Insert(_)
        | PhysicalStatement::Update(_)
        | PhysicalStatement::Delete(_)
        | PhysicalStatement::Merge(_)
        | PhysicalStatement::LockTable(_)
        | PhysicalStatement::History(_)
        | PhysicalStatement::SetConstraints { .. }
        | PhysicalStatement::Copy(..) => false,
    }
}

/// The command that a read-only transaction refuses, if a statement writes.
pub(super) fn writing_command(statement: &PhysicalStatement) -> Option<&'static str> {
    Some(match statement {
        PhysicalStatement::Insert(_) => "INSERT",
        PhysicalStatement::Update(_) => "UPDATE",
        PhysicalStatement::Delete(_) => "DELETE",
        PhysicalStatement::Merge(_) => "MERGE",
        PhysicalStatement::CreateTable(create, _) if create.materialized.is_some() => {
            "CREATE MATERIALIZED VIEW"
        }
        PhysicalStatement::Refresh(..) => "REFRESH MATERIALIZED VIEW",
        PhysicalStatement::CreateTable(_, None) => "CREATE TABLE",
        PhysicalStatement::CreateTable(_, Some(_)) => "CREATE TABLE AS",
        PhysicalStatement::CreateIndex(_) => "CREATE INDEX",
        PhysicalStatement::Drop(objects) if objects.are_materialized => "DROP MATERIALIZED VIEW",
        PhysicalStatement::Drop(objects) if objects.tables.is_empty() => "DROP INDEX",
        PhysicalStatement::Drop(_) => "DROP TABLE",
        PhysicalStatement::AlterTable { .. } => "ALTER TABLE",
        PhysicalStatement::Truncate { .. } => "TRUNCATE TABLE",
        PhysicalStatement::Routine(statement) => match statement {
            RoutineStatement::Create { routine, .. } if routine.is_procedure => "CREATE PROCEDURE",
            RoutineStatement::Create { .. } => "CREATE FUNCTION",
            RoutineStatement::Drop { command, .. } | RoutineStatement::Alter { command, .. } => {
                command
            }
            RoutineStatement::CreateTrigger { .. } => "CREATE TRIGGER",
            RoutineStatement::EnableTriggers { .. } => "ALTER TABLE",
            RoutineStatement::Do { .. } | RoutineStatement::Call { .. } => return None,
        },
        PhysicalStatement::Schema(statement) => statement.tag(),
        PhysicalStatement::Role(statement) => statement.command(),
        PhysicalStatement::Sequence(statement) => statement.command(),
        PhysicalStatement::Type(statement) => statement.command(),
        PhysicalStatement::Comment(_) => "COMMENT",
        PhysicalStatement::Copy(_, None) => "COPY FROM",
        PhysicalStatement::Explain { statement, analyze: true, .. } => {
            return writing_command(statement);
        }
        PhysicalStatement::View(statement) => statement.command(),
        PhysicalStatement::Analyze(_) => "ANALYZE",
        PhysicalStatement::History(statement) => statement.command(),
        PhysicalStatement::Vacuum { analyze: true, .. } => "VACUUM",
        PhysicalStatement::Explain { .. }
        | PhysicalStatement::Vacuum { .. }
        | PhysicalStatement::LockTable(_)
        | PhysicalStatement::SetConstraints { .. }
        | PhysicalStatement::Call(..) => return None,
        PhysicalStatement::Copy(_, Some(plan)) => return writing_command(plan.changes().first()?),
        PhysicalStatement::Query(query) => match query.plan.changes().first() {
            Some(change) => return writing_command(change),
            None => return locking_command(&query.plan),
        },
    })
}

/// The command that a query with a row lock is; only at its top, where users write it.
fn locking_command(plan: &PhysicalPlan) -> Option<&'static str> {
    match plan {
        PhysicalPlan::Lock { clauses, .. } => Some(match clauses.first()?.strength {
            LockStrength::KeyShare => "SELECT FOR KEY SHARE",
            LockStrength::Share => "SELECT FOR SHARE",
            LockStrength::NoKeyUpdate => "SELECT FOR NO KEY UPDATE",
            LockStrength::Update => "SELECT FOR UPDATE",
        }),
        PhysicalPlan::Project { input, .. } | PhysicalPlan::Limit { input, .. } => {
            locking_command(input)
        }
        PhysicalPlan::With { body, .. } => locking_command(body),
        _ => None,
    }
}

/// What kinds of statements its commit says it was made with.
pub(super) fn kinds(statement: &PhysicalStatement) -> StatementKinds {
    match statement {
        PhysicalStatement::Insert(_) | PhysicalStatement::Copy(_, None) => StatementKinds::INSERT,
        PhysicalStatement::Update(_) => StatementKinds::UPDATE,
        PhysicalStatement::Delete(_) => StatementKinds::DELETE,
        PhysicalStatement::Merge(merge) => {
            let mut kinds = StatementKinds::default();
            for clause in &merge.clauses {
                kinds.add(match clause.action {
                    PhysicalMergeAction::Nothing => StatementKinds::default(),
                    PhysicalMergeAction::Insert(_) => StatementKinds::INSERT,
                    PhysicalMergeAction::Update(_) => StatementKinds::UPDATE,
                    PhysicalMergeAction::Delete(_) => StatementKinds::DELETE,
                });
            }
            kinds
        }
        PhysicalStatement::History(
            HistoryStatement::Restore { .. } | HistoryStatement::Undo { .. },
        ) => StatementKinds::RESTORE,
        PhysicalStatement::History(HistoryStatement::Erase { .. }) => StatementKinds::ERASE,
        PhysicalStatement::Explain { statement, analyze: true, .. } => kinds(statement),
        statement if changes_catalog(statement) => StatementKinds::DEFINITION,
        _ => StatementKinds::default(),
    }
}
