//! ALTER TABLE, one action at a time. Rows that violate a new constraint were looked for by the
//! caller; duplicate keys are found here, while the index is built.

use std::sync::Arc;

use driftdb_query::eval::{Constants, eval};
use driftdb_query::{
    AlterAction, Check, Column, ColumnId, ColumnSpec, ConstraintSpec, Expr, Generated, Index,
    ObjectId, Result, RowKey, SqlError, Table, TablePart,
};
use driftdb_types::{SqlState, Value};

use super::{
    DdlContext, Thing, add_check, add_index, dependents, drop_keyspace, drop_needs_of_index,
    duplicate_constraint, duplicate_relation, fill, foreign, index_columns, materialized,
    new_index, period, primary_key_columns, rewrite, sequence,
};
use crate::catalog::{Named, delete_name, put_name, put_table, set_retention};

/// Carries out one action; gives the new definition, and descriptions of what CASCADE dropped.
///
/// # Errors
/// PostgreSQL's: 42701 for a column that exists, 42704 for a constraint that does not, 23505 for
/// duplicate keys, …; storage.
pub fn alter_table(
    cx: &mut DdlContext<'_>,
    table: &Arc<Table>,
    action: &AlterAction,
) -> Result<(Arc<Table>, Vec<String>)> {
    let planned = table;
    let mut table = cx.take(table)?;
    let mut dropped = Vec::new();
    match action {
        AlterAction::AddColumn { column, default, fill, if_not_exists } => {
            let values = (default.as_ref(), fill.as_ref());
            add_column(cx, &mut table, column, values, *if_not_exists)?;
        }
        AlterAction::DropColumn { position, cascade } => {
            let position = current_position(&table, planned, *position)?;
            dropped = drop_column(cx, &mut table, position, *cascade)?;
        }
        AlterAction::AddConstraint(constraint) => add_constraint(cx, &mut table, constraint)?,
        AlterAction::DropConstraint { name, cascade } => {
            dropped = drop_constraint(cx, &mut table, name, *cascade)?;
        }
        AlterAction::AlterConstraint { name, deferral } => {
            foreign::set_deferral(&mut table, name, *deferral)?;
        }
        AlterAction::ValidateConstraint(name) => foreign::validate(cx, &mut table, name)?,
        AlterAction::RenameColumn(position, name) => {
            let position = current_position(&table, planned, *position)?;
            if table.column(name).is_some() {
                return Err(duplicate_column(&table, name));
            }
            table.columns[position].name.clone_from(name);
        }
        AlterAction::RenameTable(name) => {
            if !cx.name_is_free(&table.schema, name)? {
                return Err(duplicate_relation(name));
            }
            delete_name(cx.txn, &table.schema, &table.name)?;
            put_name(cx.txn, &table.schema, name, Named::Table(table.id))?;
            table.name.clone_from(name);
        }
        AlterAction::SetDefault(position, default) => {
            let position = current_position(&table, planned, *position)?;
            let id = table.columns[position].id;
            table.columns[position].default.clone_from(default);
            table.needs.retain(|need| need.part != TablePart::Default(id));
        }
        AlterAction::RespellCheck { name, condition } => {
            if let Some(check) = table.checks.iter_mut().find(|check| check.name == *name) {
                check.condition.clone_from(condition);
            }
        }
        AlterAction::RespellTerm { id, sql, shown } => {
            if let Some(term) = table.terms.iter_mut().find(|term| term.id == *id) {
                term.sql.clone_from(sql);
                term.shown.clone_from(shown);
            }
        }
        AlterAction::RespellQuery(view) => materialized::respell(cx, &table, view)?,
        AlterAction::Index(id, action) => add_index::say(cx, &mut table, *id, action)?,
        AlterAction::Reindex(id, _) => add_index::reindex(cx, &mut table, *id)?,
        AlterAction::SetType { position, ty, typmod, using } => {
            let position = current_position(&table, planned, *position)?;
            fill::set_type(cx, &mut table, position, (*ty, *typmod), using)?;
        }
        AlterAction::Recheck(_) => {}
        AlterAction::RenameConstraint { name, to } => rename_constraint(cx, &mut table, name, to)?,
        AlterAction::AddIdentity(position, spec) => {
            let position = current_position(&table, planned, *position)?;
            sequence::add_to_column(cx, &mut table, position, Some(spec), &[])?;
        }
        AlterAction::SetIdentity(position, is_always) => {
            let position = current_position(&table, planned, *position)?;
            if let Some(Generated::Identity { always, .. }) = &mut table.columns[position].generated
            {
                *always = *is_always;
            }
        }
        AlterAction::DropIdentity(position) => {
            let position = current_position(&table, planned, *position)?;
            let was = table.columns[position].generated.take();
            if let Some(Generated::Identity { sequence, .. }) = was {
                // Nobody can need the sequence but the column.
                put_table(cx.txn, &table)?;
                dependents::drop_all(cx, &[Thing::Object(ObjectId(sequence))], true)?;
            }
        }
        AlterAction::DropExpression(position) => {
            let position = current_position(&table, planned, *position)?;
            table.columns[position].generated = None;
        }
        AlterAction::AddPeriod(spec) => period::add(&mut table, spec)?,
        AlterAction::SetNeeds(needs) => table.needs.clone_from(needs),
        AlterAction::DropPeriod => period::remove(&mut table),
        AlterAction::SetRetention(keep) => set_retention(cx.txn, &table, *keep)?,
        AlterAction::SetNotNull(position, not_null) => {
            let position = current_position(&table, planned, *position)?;
            set_not_null(&mut table, position, *not_null)?;
        }
    }
    super::hold_types(cx, &mut table)?;
    put_table(cx.txn, &table)?;
    Ok((Arc::new(table), dropped))
}

/// Where the column that the statement was bound to stands now.
fn current_position(table: &Table, planned: &Table, position: usize) -> Result<usize> {
    let column = &planned.columns[position];
    table.position(column.id).ok_or_else(|| {
        SqlError::new(
            SqlState::UndefinedColumn,
            format!("column \"{}\" of relation \"{}\" does not exist", column.name, table.name),
        )
    })
}

fn duplicate_column(table: &Table, name: &str) -> SqlError {
    SqlError::new(
        SqlState::DuplicateColumn,
        format!("column \"{name}\" of relation \"{}\" already exists", table.name),
    )
}

fn add_column(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    spec: &ColumnSpec,
    (default, fill): (Option<&Expr>, Option<&Expr>),
    if_not_exists: bool,
) -> Result<()> {
    if table.column(&spec.name).is_some() {
        return if if_not_exists { Ok(()) } else { Err(duplicate_column(table, &spec.name)) };
    }
    // Evaluated once, like PostgreSQL's fast default: existing rows all read this value.
    let missing = match default {
        Some(default) => eval(default, &Constants { context: cx.eval, params: &[] })?,
        None => Value::Null,
    };
    let last = last_column_number(table);
    let id = ColumnId(last.checked_add(1).filter(|id| *id <= 1600).ok_or_else(|| {
        SqlError::new(SqlState::TooManyColumns, "tables can have at most 1600 columns")
    })?);
    table.columns.push(Column {
        id,
        name: spec.name.clone(),
        ty: spec.ty,
        typmod: spec.typmod,
        not_null: spec.not_null,
        default: spec.default.clone(),
        missing,
        generated: spec.stored.clone().map(Generated::Stored),
    });
    let position = table.columns.len() - 1;
    sequence::add_to_column(cx, table, position, spec.sequence.as_ref(), &spec.needs)?;
    fill::added_column(cx, table, spec, fill)
}

fn rename_constraint(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    name: &str,
    to: &str,
) -> Result<()> {
    let names = table.checks.iter().map(|check| &check.name);
    let names = names.chain(table.foreign_keys.iter().map(|key| &key.name));
    let keys = table.indexes.iter().filter(|index| index.constraint || index.primary);
    if names.chain(keys.map(|index| &index.name)).any(|taken| taken == to) {
        return Err(duplicate_constraint(table, to));
    }
    if let Some(check) = table.checks.iter_mut().find(|check| check.name == name) {
        check.name = to.into();
        if let Some(period) = table.period.as_mut().filter(|period| period.check == name) {
            period.check = to.into();
        }
    } else if let Some(key) = table.foreign_keys.iter_mut().find(|key| key.name == name) {
        key.name = to.into();
    } else {
        rename_index(cx, table, name, to)?;
    }
    Ok(())
}

/// Gives an index, and the constraint that it belongs to, another name.
pub(super) fn rename_index(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    name: &str,
    to: &str,
) -> Result<()> {
    let Some(place) = table.indexes.iter().position(|index| index.name == name) else {
        let message = format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
        return Err(SqlError::new(SqlState::UndefinedObject, message));
    };
    if !cx.name_is_free(&table.schema, to)? {
        return Err(duplicate_relation(to));
    }
    delete_name(cx.txn, &table.schema, name)?;
    put_name(cx.txn, &table.schema, to, Named::Index(table.id, table.indexes[place].id))?;
    table.indexes[place].name = to.into();
    Ok(())
}

/// The highest number that a column has, or had.
fn last_column_number(table: &Table) -> u16 {
    table.columns.iter().map(|column| column.id.0).max().unwrap_or(0).max(table.dropped_columns)
}

pub(super) fn drop_column(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    position: usize,
    cascade: bool,
) -> Result<Vec<String>> {
    let column = table.columns[position].clone();
    period::drop_with_column(table, &column, cascade)?;
    let own = table.foreign_keys.iter().filter(|key| key.columns.contains(&column.id));
    for id in own.map(|key| key.id).collect::<Vec<_>>() {
        foreign::remove(cx, table, id)?;
    }
    let dependents =
        foreign::dependents(cx, table, |key| key.referenced_columns.contains(&column.id))?;
    let needed = format!("column {} of table {}", column.name, table.name);
    let mut dropped = foreign::drop_dependents(cx, table, dependents, cascade, &needed, &needed)?;
    dropped.extend(dependents::drop_dependents_of(
        cx,
        &[Thing::Column(table.id, column.id)],
        cascade,
    )?);
    let before = table.clone();
    table.dropped_columns = last_column_number(table);
    table.columns.remove(position);
    let gone: Vec<Index> =
        before.indexes.iter().filter(|index| index.uses(&before, column.id)).cloned().collect();
    gone.iter().for_each(|index| table.remove_index(index.id));
    table.checks.retain(|check| !mentions(&check.condition, &column.name));
    table.needs.retain(|need| match need.part {
        TablePart::Column(id) | TablePart::Default(id) => id != column.id,
        TablePart::Index(id) => gone.iter().all(|index| index.id != id),
        TablePart::Trigger | TablePart::Materialized | TablePart::Unpopulated => true,
    });
    for index in &gone {
        delete_name(cx.txn, &table.schema, &index.name)?;
    }
    if before.key == RowKey::Primary && gone.iter().any(|index| index.primary) {
        table.key = RowKey::RowId;
        rewrite_without(cx, &before, table, &column)?;
    } else {
        gone.iter().try_for_each(|index| drop_keyspace(cx, index.keyspace))?;
    }
    Ok(dropped)
}

/// Rewrites the rows under a new key while the dropped column is still there to be read, so that
/// reader and writer agree on the columns.
fn rewrite_without(
    cx: &mut DdlContext<'_>,
    before: &Table,
    after: &mut Table,
    dropped: &Column,
) -> Result<()> {
    let position = before.position(dropped.id).expect("it was there before");
    after.columns.insert(position, dropped.clone());
    rewrite::rewrite(cx, before, after)?;
    after.columns.remove(position);
    Ok(())
}

/// Whether an SQL text names an identifier.
fn mentions(sql: &str, name: &str) -> bool {
    sql.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .any(|word| word.eq_ignore_ascii_case(name))
}

fn add_constraint(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    constraint: &ConstraintSpec,
) -> Result<()> {
    match constraint {
        ConstraintSpec::Check { name, condition, not_valid, no_inherit } => {
            let (validated, no_inherit) = (!*not_valid, *no_inherit);
            add_check(table, Check { validated, no_inherit, ..Check::new(name, condition) })
        }
        ConstraintSpec::UsingIndex { name, index, primary, deferral } => {
            add_index::adopt(cx, table, (name, *index), *primary, *deferral)
        }
        ConstraintSpec::Unique { name, columns, deferral, extra } => {
            if table.indexes.iter().any(|index| index.constraint && index.name == *name) {
                return Err(duplicate_constraint(table, name));
            }
            let columns = index_columns(table, columns)?;
            let keyspace = Some(cx.new_keyspace()?);
            let index = new_index(cx, table, name, columns, keyspace)?;
            let index = add_index::with_extra(table, index, extra)?;
            let deferral = *deferral;
            let index = Index { unique: true, constraint: true, deferral, ..index };
            rewrite::fill_index(cx, table, &index)?;
            table.indexes.push(index);
            Ok(())
        }
        ConstraintSpec::PrimaryKey { name, columns, deferral, extra } => {
            let before = table.clone();
            let columns = primary_key_columns(table, columns)?;
            let keyspace = if deferral.is_deferrable() { Some(cx.new_keyspace()?) } else { None };
            let index = new_index(cx, table, name, columns, keyspace)?;
            let index = add_index::with_extra(table, index, extra)?;
            let deferral = *deferral;
            let index = Index { unique: true, primary: true, constraint: true, deferral, ..index };
            if keyspace.is_some() {
                rewrite::fill_index(cx, table, &index)?;
                table.indexes.push(index);
                return Ok(());
            }
            table.indexes.push(index);
            table.key = RowKey::Primary;
            rewrite::rewrite(cx, &before, table)
        }
        ConstraintSpec::ForeignKey(spec) => foreign::add_foreign_key(cx, table, spec),
    }
}

fn drop_constraint(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    name: &str,
    cascade: bool,
) -> Result<Vec<String>> {
    if table.checks.iter().any(|check| check.name == name) {
        period::drop_with_check(table, name, cascade)?;
        table.checks.retain(|check| check.name != name);
        return Ok(Vec::new());
    }
    if let Some(id) = table.foreign_keys.iter().find(|key| key.name == name).map(|key| key.id) {
        foreign::remove(cx, table, id)?;
        return Ok(Vec::new());
    }
    let found = table.indexes.iter().find(|index| index.constraint && index.name == name).cloned();
    let Some(index) = found else {
        return Err(SqlError::new(
            SqlState::UndefinedObject,
            format!("constraint \"{name}\" of relation \"{}\" does not exist", table.name),
        ));
    };
    let dropped = drop_needs_of_index(cx, table, &index, cascade)?;
    let before = table.clone();
    table.remove_index(index.id);
    delete_name(cx.txn, &table.schema, name)?;
    if index.keyspace.is_none() {
        table.key = RowKey::RowId;
        rewrite::rewrite(cx, &before, table)?;
    } else {
        drop_keyspace(cx, index.keyspace)?;
    }
    Ok(dropped)
}

fn set_not_null(table: &mut Table, position: usize, not_null: bool) -> Result<()> {
    let id = table.columns[position].id;
    let in_key = table.primary_key().is_some_and(|key| key.columns.iter().any(|c| c.column == id));
    if in_key && !not_null {
        return Err(SqlError::new(
            SqlState::InvalidTableDefinition,
            format!("column \"{}\" is in a primary key", table.columns[position].name),
        ));
    }
    if !not_null {
        period::check_not_bound(table, position)?;
    }
    table.columns[position].not_null = not_null;
    Ok(())
}
