//! Definitions: CREATE, DROP, ALTER, TRUNCATE.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    AlterAction, ConstraintSpec, CreateIndex, CreateTable, DropObjects, IndexAction, ObjectId,
    PhysicalPlan, Result, SqlError, Table, TriggerTime,
};
use driftdb_tables::{DdlContext, Inserted, TableWriter, Thing, drop_all};
use driftdb_types::SqlState;

use super::{CommandTag, Outcome};
use crate::context::Run;
use crate::integrity::terms::DdlTerms;
use crate::integrity::{Integrity, refuse_pending};
use crate::operator::{build, pull};
use crate::routine::TriggerEvent;

/// What definitions are changed with.
pub(crate) fn context<'s>(run: &'s mut Run<'_, '_>) -> DdlContext<'s> {
    let cx = &mut *run.cx;
    let terms = DdlTerms {
        system: cx.system,
        params: cx.params,
        routines: cx.routines,
        ddl: &mut *cx.ddl,
        kinds: &mut *cx.kinds,
        cancel: cx.cancel,
        pending: &mut *cx.pending,
        notices: &mut *cx.notices,
        memory_limit_bytes: cx.memory_limit_bytes,
        last: None,
    };
    DdlContext { txn: &mut *cx.txn, store: cx.store, eval: cx.eval, terms: Box::new(terms) }
}

pub(crate) fn notice(message: String, state: SqlState, run: &mut Run<'_, '_>) {
    run.cx.notices.push(SqlError::new(state, message));
}

pub(crate) fn create_table(
    spec: &CreateTable,
    source: Option<&PhysicalPlan>,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    let created = driftdb_tables::create_table(&mut context(run), spec)?;
    let Some(table) = created else {
        let message = format!("relation \"{}\" already exists, skipping", spec.name);
        notice(message, SqlState::DuplicateTable, run);
        let command = match (&spec.materialized, source) {
            (Some(_), _) => "CREATE MATERIALIZED VIEW",
            (None, Some(_)) => "CREATE TABLE AS",
            (None, None) => "CREATE TABLE",
        };
        return Ok(Outcome::tag(CommandTag::plain(command)));
    };
    if spec.materialized.as_ref().is_some_and(|spec| !spec.with_data) {
        return Ok(Outcome::tag(CommandTag::plain("CREATE MATERIALIZED VIEW")));
    }
    let Some(source) = source else {
        return Ok(Outcome::tag(CommandTag::plain("CREATE TABLE")));
    };
    let rows = fill(table, source, run)?;
    Ok(Outcome::tag(CommandTag::counted("SELECT", rows)))
}

/// Inserts what a plan yields into a table that is empty.
pub(crate) fn fill(table: Arc<Table>, source: &PhysicalPlan, run: &mut Run<'_, '_>) -> Result<u64> {
    let mut integrity = Integrity::new(&table, &Arc::default());
    let mut writer = TableWriter::new(Arc::clone(&table));
    let mut source = build(source);
    let mut rows = 0;
    while let Some(batch) = pull(&mut source, run)? {
        run.check_cancel()?;
        for row in 0..batch.len() {
            let row = batch.row(row);
            let row = integrity.extended(&table, &row, run)?;
            let cx = &mut *run.cx;
            if let Inserted::Conflict(conflict) = writer.insert(cx.txn, cx.store, &row, cx.eval)? {
                return Err(writer.conflict_error(&conflict, cx.eval));
            }
            rows += 1;
        }
    }
    Ok(rows)
}

pub(crate) fn create_index(spec: &CreateIndex, run: &mut Run<'_, '_>) -> Result<Outcome> {
    refuse_pending(&spec.table, "CREATE INDEX", run)?;
    if !driftdb_tables::create_index(&mut context(run), spec)? {
        let message = format!("relation \"{}\" already exists, skipping", spec.name);
        notice(message, SqlState::DuplicateTable, run);
    }
    Ok(Outcome::tag(CommandTag::plain("CREATE INDEX")))
}

pub(crate) fn drop_objects(objects: &DropObjects, run: &mut Run<'_, '_>) -> Result<Outcome> {
    for message in &objects.notices {
        notice(message.clone(), SqlState::SuccessfulCompletion, run);
    }
    for table in &objects.tables {
        refuse_pending(table, "DROP TABLE", run)?;
    }
    let dropped = driftdb_tables::drop_objects(&mut context(run), objects)?;
    tell_cascade(&dropped, run);
    if objects.are_materialized {
        return Ok(Outcome::tag(CommandTag::plain("DROP MATERIALIZED VIEW")));
    }
    // A statement drops objects of one kind; if IF EXISTS found none, the notice says which.
    let of_indexes = !objects.indexes.is_empty()
        || objects.tables.is_empty() && objects.notices.iter().any(|n| n.starts_with("index"));
    // ALTER TABLE IF EXISTS of no table comes as a drop of nothing.
    let of_alter = objects.notices.iter().any(|n| n.starts_with("relation"));
    let command = match (of_indexes, of_alter) {
        (true, _) => "DROP INDEX",
        (false, true) => "ALTER TABLE",
        (false, false) => "DROP TABLE",
    };
    Ok(Outcome::tag(CommandTag::plain(command)))
}

/// Drops objects that are no tables, and tells what there was none of and what went with them.
pub(crate) fn drop_objects_of(
    ids: &[ObjectId],
    cascade: bool,
    notices: &[String],
    run: &mut Run<'_, '_>,
) -> Result<()> {
    for message in notices {
        notice(message.clone(), SqlState::SuccessfulCompletion, run);
    }
    if !ids.is_empty() {
        let things: Vec<Thing> = ids.iter().map(|id| Thing::Object(*id)).collect();
        let dropped = drop_all(&mut context(run), &things, cascade)?;
        tell_cascade(&dropped, run);
    }
    Ok(())
}

/// The notice about what CASCADE dropped.
pub(crate) fn tell_cascade(dropped: &[String], run: &mut Run<'_, '_>) {
    let lines: Vec<String> = dropped.iter().map(|one| format!("drop cascades to {one}")).collect();
    match &lines[..] {
        [] => {}
        [line] => notice(line.clone(), SqlState::SuccessfulCompletion, run),
        _ => {
            let message = format!("drop cascades to {} other objects", lines.len());
            let told = SqlError::new(SqlState::SuccessfulCompletion, message);
            run.cx.notices.push(told.with_detail(driftdb_tables::told(&lines)));
        }
    }
}

pub(crate) fn truncate(
    tables: &[Arc<Table>],
    cascade: bool,
    restart: bool,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    for table in tables {
        refuse_pending(table, "TRUNCATE", run)?;
    }
    let all = with_referring(tables, cascade, run)?;
    for table in &all {
        let mut integrity = Integrity::new(table, &Arc::default());
        integrity.fire_statement(TriggerTime::Before, TriggerEvent::Truncate, &[], run)?;
    }
    let cascaded = driftdb_tables::truncate(&mut context(run), tables, cascade, restart)?;
    for table in cascaded {
        let message = format!("truncate cascades to table \"{table}\"");
        notice(message, SqlState::SuccessfulCompletion, run);
    }
    for table in &all {
        let mut integrity = Integrity::new(table, &Arc::default());
        integrity.fire_statement(TriggerTime::After, TriggerEvent::Truncate, &[], run)?;
    }
    Ok(Outcome::tag(CommandTag::plain("TRUNCATE TABLE")))
}

/// The tables of a TRUNCATE, with CASCADE those that refer to them, too.
fn with_referring(
    tables: &[Arc<Table>],
    cascade: bool,
    run: &mut Run<'_, '_>,
) -> Result<Vec<Arc<Table>>> {
    let mut all: Vec<Arc<Table>> = Vec::new();
    for table in tables {
        if all.iter().all(|known| known.id != table.id) {
            all.push(Arc::clone(table));
        }
    }
    let mut next = 0;
    while cascade && next < all.len() {
        for id in all[next].referenced_by.clone() {
            if all.iter().all(|known| known.id != id) {
                let at = ReadAt::Newest;
                all.extend(driftdb_tables::table_by_id(run.cx.txn, id, at)?);
            }
        }
        next += 1;
    }
    Ok(all)
}

pub(crate) fn alter_table(
    table: &Arc<Table>,
    actions: &[(AlterAction, Option<PhysicalPlan>)],
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    refuse_pending(table, "ALTER TABLE", run)?;
    // Positions are those of the table as it was bound; the newest definition only tells names.
    let mut newest = Arc::clone(table);
    // Looked for in the rows as they are, which some action may rewrite.
    for (action, violation) in actions {
        if let Some(violation) = violation
            && yields_row(violation, run)?
        {
            return Err(violated(table, action));
        }
    }
    for (action, _) in actions {
        if let AlterAction::AddColumn { column, if_not_exists: true, .. } = action
            && newest.column(&column.name).is_some()
        {
            let message = format!(
                "column \"{}\" of relation \"{}\" already exists, skipping",
                column.name, table.name
            );
            notice(message, SqlState::DuplicateColumn, run);
            continue;
        }
        if let AlterAction::AddConstraint(ConstraintSpec::UsingIndex { name, index, .. }) = action
            && let Some(index) = table.index(*index)
            && index.name != *name
        {
            let message = format!(
                "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{}\" to \"{name}\"",
                index.name
            );
            notice(message, SqlState::SuccessfulCompletion, run);
        }
        let dropped;
        (newest, dropped) = driftdb_tables::alter_table(&mut context(run), table, action)?;
        tell_cascade(&dropped, run);
    }
    Ok(Outcome::tag(CommandTag::plain(match actions.first() {
        Some((AlterAction::Reindex(..), _)) => "REINDEX",
        Some((AlterAction::Index(_, IndexAction::ClusterNow), _)) => "CLUSTER",
        Some((AlterAction::Index(_, action), _)) if !matches!(action, IndexAction::Cluster(_)) => {
            "ALTER INDEX"
        }
        _ if table.materialized().is_some() => "ALTER MATERIALIZED VIEW",
        _ => "ALTER TABLE",
    })))
}

fn yields_row(plan: &PhysicalPlan, run: &mut Run<'_, '_>) -> Result<bool> {
    let mut operator = build(plan);
    while let Some(batch) = pull(&mut operator, run)? {
        run.check_cancel()?;
        if !batch.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The error for rows that stand in the way of an action.
fn violated(table: &Table, action: &AlterAction) -> SqlError {
    let contains_null = |column: &str| {
        let message =
            format!("column \"{column}\" of relation \"{}\" contains null values", table.name);
        let mut error = SqlError::new(SqlState::NotNullViolation, message);
        error.table = Some(table.name.as_str().into());
        error.column = Some(column.into());
        error
    };
    match action {
        AlterAction::AddConstraint(ConstraintSpec::Check { name, .. }) => {
            let message = format!(
                "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                table.name
            );
            SqlError::new(SqlState::CheckViolation, message).with_constraint(&table.name, name)
        }
        AlterAction::AddConstraint(ConstraintSpec::UsingIndex { index, .. }) => {
            let keys = table.index(*index).map_or(&[][..], |index| &index.columns);
            let columns = keys.iter().filter_map(|key| table.position(key.column));
            let mut columns =
                columns.map(|at| &table.columns[at]).filter(|column| !column.not_null);
            contains_null(columns.next().map_or("", |column| &column.name))
        }
        AlterAction::Recheck(name) | AlterAction::ValidateConstraint(name) => {
            let message = format!(
                "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                table.name
            );
            SqlError::new(SqlState::CheckViolation, message).with_constraint(&table.name, name)
        }
        AlterAction::AddConstraint(ConstraintSpec::PrimaryKey { columns, .. }) => {
            let nullable =
                |name: &&String| table.column(name).is_some_and(|(_, column)| !column.not_null);
            let column = columns.iter().find(nullable).or(columns.first());
            contains_null(column.map_or("", String::as_str))
        }
        AlterAction::SetNotNull(position, _) => contains_null(&table.columns[*position].name),
        AlterAction::AddColumn { column, .. } => contains_null(&column.name),
        _ => {
            SqlError::internal(format!("rows of \"{}\" are in the way of ALTER TABLE", table.name))
        }
    }
}
