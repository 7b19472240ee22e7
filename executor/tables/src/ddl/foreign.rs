//! Foreign keys come and go: both tables' definitions change, so both are taken.
//!
//! Source: PostgreSQL 15, src/backend/commands/tablecmds.c (ATAddForeignKeyConstraint), whose rules and
//! texts these are.

use std::sync::Arc;

use driftdb_query::{
    ColumnId, ConstraintId, Deferral, ForeignKey, ForeignKeySpec, Index, IndexId, Result, SqlError,
    Table, TableId,
};
use driftdb_types::SqlState;

use super::{DdlContext, duplicate_constraint};
use crate::catalog::put_table;
use crate::reference::{Reference, are_comparable};

/// The most columns of a key.
const MAX_COLUMNS: usize = 32;

/// Adds a foreign key to the definition of a table, and checks its rows unless told not to.
pub(super) fn add_foreign_key(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    spec: &ForeignKeySpec,
) -> Result<()> {
    if has_constraint(table, &spec.name) {
        return Err(duplicate_constraint(table, &spec.name));
    }
    let columns = columns(table, &spec.columns)?;
    let delete_columns = delete_columns(table, spec, &columns)?;
    let mut parent = match &spec.referenced {
        Some(parent) if parent.id != table.id => cx.take(parent)?,
        _ => table.clone(),
    };
    let (index, referenced_columns) = match &spec.referenced_columns[..] {
        [] => primary_key(&parent)?,
        names => unique_key(&parent, names)?,
    };
    if columns.len() != referenced_columns.len() {
        let message = "number of referencing and referenced columns for foreign key disagree";
        return Err(SqlError::new(SqlState::InvalidForeignKey, message));
    }
    check_types(table, &columns, &parent, &referenced_columns, &spec.name)?;
    let key = ForeignKey {
        id: ConstraintId(cx.new_object_id()?),
        name: spec.name.clone(),
        columns,
        referenced: parent.id,
        referenced_index: index,
        referenced_columns,
        match_full: spec.match_full,
        on_delete: spec.on_delete,
        delete_columns,
        on_update: spec.on_update,
        deferral: spec.deferral,
        validated: !spec.not_valid,
    };
    if parent.id == table.id {
        add_referring(table, parent.id);
    } else {
        add_referring(&mut parent, table.id);
        put_table(cx.txn, &parent)?;
    }
    if key.validated {
        check_rows(cx, table, &parent, &key)?;
    }
    table.foreign_keys.push(key);
    Ok(())
}

/// Whether a name is taken among a table's constraints.
pub(super) fn has_constraint(table: &Table, name: &str) -> bool {
    table.foreign_keys.iter().any(|key| key.name == name)
        || table.checks.iter().any(|check| check.name == name)
        || table.indexes.iter().any(|index| index.constraint && index.name == name)
}

pub(super) fn add_referring(parent: &mut Table, child: TableId) {
    if let Err(place) = parent.referenced_by.binary_search(&child) {
        parent.referenced_by.insert(place, child);
    }
}

/// The error unless every row satisfies a foreign key.
pub(super) fn check_rows(
    cx: &mut DdlContext<'_>,
    child: &Table,
    parent: &Table,
    key: &ForeignKey,
) -> Result<()> {
    let reference = Reference::new(key, &Arc::new(child.clone()), &Arc::new(parent.clone()))?;
    match reference.find_violation(cx.txn, cx.eval)? {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// ALTER CONSTRAINT.
pub(super) fn set_deferral(table: &mut Table, name: &str, deferral: Deferral) -> Result<()> {
    let known = has_constraint(table, name);
    let relation = &table.name;
    if let Some(key) = table.foreign_keys.iter_mut().find(|key| key.name == name) {
        key.deferral = deferral;
        return Ok(());
    }
    let (state, what) = if known {
        (SqlState::WrongObjectType, "is not a foreign key constraint")
    } else {
        (SqlState::UndefinedObject, "does not exist")
    };
    Err(SqlError::new(state, format!("constraint \"{name}\" of relation \"{relation}\" {what}")))
}

/// VALIDATE CONSTRAINT.
pub(super) fn validate(cx: &mut DdlContext<'_>, table: &mut Table, name: &str) -> Result<()> {
    let Some(place) = table.foreign_keys.iter().position(|key| key.name == name) else {
        // The caller looked at the rows.
        if let Some(check) = table.checks.iter_mut().find(|check| check.name == name) {
            check.validated = true;
            return Ok(());
        }
        let is_index = table.indexes.iter().any(|index| index.constraint && index.name == name);
        let (state, what) = if is_index {
            (SqlState::WrongObjectType, "is not a foreign key or check constraint")
        } else {
            (SqlState::UndefinedObject, "does not exist")
        };
        let message = format!("constraint \"{name}\" of relation \"{}\" {what}", table.name);
        return Err(SqlError::new(state, message));
    };
    let key = table.foreign_keys[place].clone();
    if !key.validated {
        let is_own = key.referenced == table.id;
        let parent = if is_own { table.clone() } else { cx.take_id(key.referenced)? };
        check_rows(cx, table, &parent, &key)?;
        table.foreign_keys[place].validated = true;
    }
    Ok(())
}

/// Takes a foreign key out of the definition of its table, which the caller puts.
pub(super) fn remove(cx: &mut DdlContext<'_>, table: &mut Table, id: ConstraintId) -> Result<()> {
    let Some(place) = table.foreign_keys.iter().position(|key| key.id == id) else {
        return Ok(());
    };
    let parent = table.foreign_keys.remove(place).referenced;
    if table.foreign_keys.iter().any(|key| key.referenced == parent) {
        return Ok(());
    }
    let own = table.id;
    if parent == own {
        table.referenced_by.retain(|id| *id != own);
        return Ok(());
    }
    // It may have been dropped just before, by the same statement.
    let Some(mut parent) = cx.try_take_id(parent)? else { return Ok(()) };
    parent.referenced_by.retain(|id| *id != own);
    put_table(cx.txn, &parent)
}

/// A foreign key of another table that stands in the way.
pub(super) struct Dependent {
    pub(super) child: Table,
    pub(super) key: ForeignKey,
}

impl Dependent {
    /// As PostgreSQL describes it.
    pub(super) fn describe(&self, cx: &mut DdlContext<'_>) -> Result<String> {
        let table = cx.shown(&self.child.schema, &self.child.name)?;
        Ok(format!("constraint {} on table {table}", self.key.name))
    }
}

/// The foreign keys that refer to a table and meet a condition, those of the table itself included.
pub(super) fn dependents(
    cx: &mut DdlContext<'_>,
    table: &Table,
    condition: impl Fn(&ForeignKey) -> bool,
) -> Result<Vec<Dependent>> {
    let mut found = Vec::new();
    for id in &table.referenced_by {
        let child = if *id == table.id { table.clone() } else { cx.take_id(*id)? };
        for key in &child.foreign_keys {
            if key.referenced == table.id && condition(key) {
                found.push(Dependent { child: child.clone(), key: key.clone() });
            }
        }
    }
    found.sort_by_key(|dependent| dependent.key.id);
    Ok(found)
}

/// Drops what depends on an object if CASCADE was said, and gives its description; else an error.
/// `table` is the definition that the caller is changing and will put.
pub(super) fn drop_dependents(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    dependents: Vec<Dependent>,
    cascade: bool,
    object: &str,
    needed: &str,
) -> Result<Vec<String>> {
    let mut dropped = Vec::with_capacity(dependents.len());
    for dependent in &dependents {
        dropped.push(dependent.describe(cx)?);
    }
    if !dropped.is_empty() && !cascade {
        let lines = dropped.iter().map(|one| format!("{one} depends on {needed}"));
        return Err(still_needed(object, &lines.collect::<Vec<_>>()));
    }
    for dependent in dependents {
        drop_key(cx, table, &dependent)?;
    }
    Ok(dropped)
}

/// Drops one foreign key that refers to `table`, which the caller is changing and will put.
pub(super) fn drop_key(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    dependent: &Dependent,
) -> Result<()> {
    if dependent.child.id == table.id {
        return remove(cx, table, dependent.key.id);
    }
    let mut child = cx.take_id(dependent.child.id)?;
    child.foreign_keys.retain(|key| key.id != dependent.key.id);
    if !child.foreign_keys.iter().any(|key| key.referenced == table.id) {
        table.referenced_by.retain(|id| *id != child.id);
    }
    put_table(cx.txn, &child)
}

/// Lines about what depends on something, as one text; of very many only the first.
pub fn told(lines: &[String]) -> String {
    const MOST: usize = 100;
    let mut told = lines[..lines.len().min(MOST)].join("\n");
    if lines.len() > MOST {
        let rest = lines.len() - MOST;
        told.push_str(&format!("\nand {rest} other objects (see server log for list)"));
    }
    told
}

/// 2BP01
pub(super) fn still_needed(object: &str, lines: &[String]) -> SqlError {
    SqlError::new(
        SqlState::DependentObjectsStillExist,
        format!("cannot drop {object} because other objects depend on it"),
    )
    .with_detail(told(lines))
    .with_hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

/// 2BP01 for several objects at once.
pub(super) fn several_needed(lines: &[String]) -> SqlError {
    let message = "cannot drop desired object(s) because other objects depend on them";
    SqlError { message: message.into(), ..still_needed("", lines) }
}

fn columns(table: &Table, names: &[String]) -> Result<Vec<ColumnId>> {
    if names.len() > MAX_COLUMNS {
        let message = format!("cannot have more than {MAX_COLUMNS} keys in a foreign key");
        return Err(SqlError::new(SqlState::TooManyColumns, message));
    }
    let column = |name: &String| match table.column(name) {
        Some((_, column)) => Ok(column.id),
        None => Err(SqlError::new(
            SqlState::UndefinedColumn,
            format!("column \"{name}\" referenced in foreign key constraint does not exist"),
        )),
    };
    names.iter().map(column).collect()
}

/// The columns that ON DELETE sets, which must be the key's.
fn delete_columns(
    table: &Table,
    spec: &ForeignKeySpec,
    columns: &[ColumnId],
) -> Result<Vec<ColumnId>> {
    let named = self::columns(table, &spec.delete_columns)?;
    let foreign = named.iter().zip(&spec.delete_columns).find(|(id, _)| !columns.contains(id));
    match foreign {
        Some((_, name)) => Err(SqlError::new(
            SqlState::InvalidColumnReference,
            format!(
                "column \"{name}\" referenced in ON DELETE SET action must be part of foreign key"
            ),
        )),
        None => Ok(named),
    }
}

fn not_immediate(parent: &Table, what: &str) -> SqlError {
    let name = &parent.name;
    SqlError::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!("cannot use a deferrable {what} for referenced table \"{name}\""),
    )
}

fn primary_key(parent: &Table) -> Result<(IndexId, Vec<ColumnId>)> {
    let Some(index) = parent.primary_key() else {
        let message = format!("there is no primary key for referenced table \"{}\"", parent.name);
        return Err(SqlError::new(SqlState::UndefinedObject, message));
    };
    if index.deferral.is_deferrable() {
        return Err(not_immediate(parent, "primary key"));
    }
    Ok((index.id, index.columns.iter().map(|column| column.column).collect()))
}

fn unique_key(parent: &Table, names: &[String]) -> Result<(IndexId, Vec<ColumnId>)> {
    let columns = columns(parent, names)?;
    if (1..columns.len()).any(|at| columns[..at].contains(&columns[at])) {
        let message = "foreign key referenced-columns list must not contain duplicates";
        return Err(SqlError::new(SqlState::InvalidForeignKey, message));
    }
    let fits = |index: &&Index| {
        index.is_key()
            && index.columns.len() == columns.len()
            && index.columns.iter().all(|column| columns.contains(&column.column))
    };
    let mut fitting = parent.indexes.iter().filter(fits).peekable();
    if fitting.peek().is_none() {
        let name = &parent.name;
        let message = format!(
            "there is no unique constraint matching given keys for referenced table \"{name}\""
        );
        return Err(SqlError::new(SqlState::InvalidForeignKey, message));
    }
    match fitting.find(|index| !index.deferral.is_deferrable()) {
        Some(index) => Ok((index.id, columns)),
        None => Err(not_immediate(parent, "unique constraint")),
    }
}

fn check_types(
    table: &Table,
    columns: &[ColumnId],
    parent: &Table,
    referenced: &[ColumnId],
    name: &str,
) -> Result<()> {
    for (from, to) in columns.iter().zip(referenced) {
        let from = table.position(*from).map(|at| &table.columns[at]);
        let to = parent.position(*to).map(|at| &parent.columns[at]);
        let (Some(from), Some(to)) = (from, to) else { continue };
        if !are_comparable(from.ty, to.ty) {
            let message = format!("foreign key constraint \"{name}\" cannot be implemented");
            return Err(SqlError::new(SqlState::DatatypeMismatch, message).with_detail(format!(
                "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                from.name, to.name, from.ty, to.ty
            )));
        }
    }
    Ok(())
}
