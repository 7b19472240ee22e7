//! Statements: from a physical statement to batches and a command tag.

pub(crate) mod ddl;
pub(crate) mod delete;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod insert;
pub(crate) mod lock;
pub(crate) mod maintain;
pub(crate) mod merge;
pub(crate) mod output;
pub(crate) mod portion;
pub(crate) mod refresh;
pub(crate) mod routine;
pub(crate) mod row;
pub(crate) mod schema;
pub(crate) mod sequence;
pub(crate) mod update;
pub(crate) mod user_type;
pub(crate) mod view;

use std::collections::VecDeque;
use std::fmt;

use driftdb_query::{CopySource, Field, PhysicalPlan, PhysicalStatement, Result, SqlError};

use crate::batch::Batch;
use crate::context::{ExecContext, Run, State};
use crate::integrity::set_constraints;
use crate::operator::{BoxOperator, build, pull};

/// What a finished statement reports: `SELECT 5`, `INSERT 0 3`, `CREATE TABLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandTag {
    /// The command.
    pub command: &'static str,
    /// Rows given or changed, if the command counts them.
    pub rows: Option<u64>,
}

impl CommandTag {
    pub(crate) fn counted(command: &'static str, rows: u64) -> Self {
        Self { command, rows: Some(rows) }
    }

    pub(crate) fn plain(command: &'static str) -> Self {
        Self { command, rows: None }
    }
}

impl fmt::Display for CommandTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.command, self.rows) {
            // The zero was an object identifier once.
            ("INSERT", Some(rows)) => write!(f, "INSERT 0 {rows}"),
            (command, Some(rows)) => write!(f, "{command} {rows}"),
            (command, None) => f.write_str(command),
        }
    }
}

/// A statement that was started. Owned: a portal can hold it between calls, as long as the
/// transaction lives.
pub struct Execution {
    fields: Option<Vec<Field>>,
    state: State,
    body: Body,
    rows: u64,
}

enum Body {
    /// Rows come as they are asked for.
    Query { operator: BoxOperator, command: &'static str },
    /// Everything has happened; these rows are left to give.
    Finished { batches: VecDeque<Batch>, tag: CommandTag },
}

/// What a statement that runs to its end at once leaves behind.
pub(crate) struct Outcome {
    pub(crate) tag: CommandTag,
    pub(crate) batches: VecDeque<Batch>,
}

impl Outcome {
    pub(crate) fn tag(tag: CommandTag) -> Self {
        Self { tag, batches: VecDeque::new() }
    }
}

/// Starts a statement. A query computes nothing yet; everything else runs to its end at once, and
/// [`Execution::next`] then gives what RETURNING or EXPLAIN yields.
///
/// # Errors
/// Whatever the statement raises; [`is_stale`] tells when it must be bound and planned again.
pub fn start(statement: &PhysicalStatement, cx: &mut ExecContext<'_>) -> Result<Execution> {
    let mut state = State::default();
    let query = |plan, fields: &[Field], command| {
        let body = Body::Query { operator: build(plan), command };
        (Some(fields.to_vec()), body)
    };
    let (fields, body) = match statement {
        PhysicalStatement::Query(physical) if !physical.plan.changes().is_empty() => {
            let mut run = Run { cx, state: &mut state };
            let (batches, rows) = all_rows(&physical.plan, &mut run)?;
            let tag = CommandTag::counted("SELECT", rows);
            (Some(physical.fields.clone()), Body::Finished { batches, tag })
        }
        PhysicalStatement::Query(physical) => query(&physical.plan, &physical.fields, "SELECT"),
        PhysicalStatement::Copy(copy, Some(plan)) => match &copy.source {
            CopySource::To(to) => query(plan, &to.fields, "COPY"),
            CopySource::From { .. } => return Err(SqlError::internal("COPY FROM has a plan")),
        },
        PhysicalStatement::Call(physical, has_output) => {
            let (fields, body) = query(&physical.plan, &physical.fields, "CALL");
            if *has_output {
                (fields, body)
            } else {
                let mut execution = Execution { fields: None, state, body, rows: 0 };
                while execution.next(cx)?.is_some() {}
                let body =
                    Body::Finished { batches: VecDeque::new(), tag: CommandTag::plain("CALL") };
                return Ok(Execution { body, ..execution });
            }
        }
        PhysicalStatement::Copy(_, None) => {
            return Err(SqlError::internal("COPY FROM is run by CopyIn"));
        }
        _ => {
            let mut run = Run { cx, state: &mut state };
            let Outcome { tag, batches } = run_to_end(statement, &mut run)?;
            (fields(statement), Body::Finished { batches, tag })
        }
    };
    Ok(Execution { fields, state, body, rows: 0 })
}

/// The rows of a query that changes something, which therefore happens as a whole.
fn all_rows(plan: &PhysicalPlan, run: &mut Run<'_, '_>) -> Result<(VecDeque<Batch>, u64)> {
    let (mut operator, mut batches, mut rows) = (build(plan), VecDeque::new(), 0);
    while let Some(batch) = pull(&mut operator, run)? {
        run.check_cancel()?;
        run.hold(batch.size_bytes())?;
        rows += batch.len() as u64;
        batches.push_back(batch);
    }
    Ok((batches, rows))
}

/// The result columns of a statement that runs to its end at once.
fn fields(statement: &PhysicalStatement) -> Option<Vec<Field>> {
    match statement {
        PhysicalStatement::Insert(insert) => insert.returning.as_ref().map(|_| &insert.fields),
        PhysicalStatement::Update(update) => update.returning.as_ref().map(|_| &update.fields),
        PhysicalStatement::Delete(delete) => delete.returning.as_ref().map(|_| &delete.fields),
        PhysicalStatement::Explain { output, .. } => {
            let (name, ty) = ("QUERY PLAN".to_owned(), output.column_type());
            return Some(vec![Field { name, ty, typmod: -1, origin: (0, 0) }]);
        }
        _ => None,
    }
    .cloned()
}

pub(crate) fn run_to_end(statement: &PhysicalStatement, run: &mut Run<'_, '_>) -> Result<Outcome> {
    match statement {
        PhysicalStatement::Insert(insert) => insert::run(insert, build(&insert.source), run),
        PhysicalStatement::Update(update) => update::run(update, build(&update.source), run),
        PhysicalStatement::Delete(delete) => delete::run(delete, build(&delete.source), run),
        PhysicalStatement::Merge(merge) => merge::run(merge, build(&merge.source), run),
        PhysicalStatement::CreateTable(spec, source) => {
            ddl::create_table(spec, source.as_ref(), run)
        }
        PhysicalStatement::Refresh(refresh, source) => refresh::run(refresh, source.as_ref(), run),
        PhysicalStatement::CreateIndex(spec) => ddl::create_index(spec, run),
        PhysicalStatement::Drop(objects) => ddl::drop_objects(objects, run),
        PhysicalStatement::AlterTable { table, actions } => ddl::alter_table(table, actions, run),
        PhysicalStatement::Truncate { tables, cascade, restart } => {
            ddl::truncate(tables, *cascade, *restart, run)
        }
        PhysicalStatement::Sequence(statement) => sequence::run(statement, run),
        PhysicalStatement::Type(statement) => user_type::run(statement, run),
        PhysicalStatement::SetConstraints { names, deferred } => {
            set_constraints(names.as_deref(), *deferred, run)?;
            Ok(Outcome::tag(CommandTag::plain("SET CONSTRAINTS")))
        }
        PhysicalStatement::View(statement) => view::run(statement, run),
        PhysicalStatement::Comment(comment) => {
            driftdb_tables::set_comment(&mut ddl::context(run), comment)?;
            Ok(Outcome::tag(CommandTag::plain("COMMENT")))
        }
        PhysicalStatement::Schema(statement) => schema::run(statement, run),
        PhysicalStatement::Role(statement) => {
            let told = driftdb_tables::run_role_statement(&mut ddl::context(run), statement)?;
            run.cx.notices.extend(told);
            Ok(Outcome::tag(CommandTag::plain(statement.command())))
        }
        PhysicalStatement::LockTable(locks) => lock::lock_tables(locks, run),
        PhysicalStatement::Explain { statement, analyze, output } => {
            explain::run(statement, *analyze, *output, run)
        }
        PhysicalStatement::Vacuum { tables, analyze } => maintain::vacuum(tables, *analyze, run),
        PhysicalStatement::Analyze(tables) => maintain::analyze(tables, run),
        PhysicalStatement::History(statement) => history::run(statement, run),
        PhysicalStatement::Routine(statement) => routine::run(statement, run),
        PhysicalStatement::Query(_) | PhysicalStatement::Call(..) | PhysicalStatement::Copy(..) => {
            Err(SqlError::internal("a query does not run at once"))
        }
    }
}

impl Execution {
    /// The result columns, if the statement gives rows.
    pub fn fields(&self) -> Option<&[Field]> {
        self.fields.as_deref()
    }

    /// The next rows; `None` at the end. Empty batches may come before it.
    ///
    /// # Errors
    /// Whatever the statement raises. After one, the execution is of no more use.
    pub fn next(&mut self, cx: &mut ExecContext<'_>) -> Result<Option<Batch>> {
        match &mut self.body {
            Body::Query { operator, .. } => {
                let mut run = Run { cx, state: &mut self.state };
                run.check_cancel()?;
                let batch = pull(operator, &mut run)?;
                self.rows += batch.as_ref().map_or(0, |batch| batch.len() as u64);
                Ok(batch)
            }
            Body::Finished { batches, .. } => Ok(batches.pop_front()),
        }
    }

    /// What to report. For a query: so far.
    pub fn tag(&self) -> CommandTag {
        match &self.body {
            Body::Query { command: "CALL", .. } => CommandTag::plain("CALL"),
            Body::Query { command, .. } => CommandTag::counted(command, self.rows),
            Body::Finished { tag, .. } => *tag,
        }
    }
}

/// The error of a statement whose table another transaction changed since it was bound.
pub(crate) fn stale(table: &str) -> SqlError {
    let message = format!("{STALE} \"{table}\"");
    SqlError::new(driftdb_types::SqlState::SerializationFailure, message)
        .with_hint("The statement might succeed if retried.")
}

const STALE: &str =
    "could not serialize access due to concurrent change of the definition of table";

/// Whether an error of [`start`] (or the point path) only means that a table was changed since the
/// statement was bound. Nothing was written: begin the statement again, bind and plan it, start it.
pub fn is_stale(error: &SqlError) -> bool {
    error.state == driftdb_types::SqlState::SerializationFailure && error.message.starts_with(STALE)
}
