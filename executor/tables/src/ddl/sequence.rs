//! Sequences: made, changed, and begun anew.
//!
//! A sequence that begins anew gets a new number for where it stands ([`crate::Sequences`]), as a table that is
//! emptied gets a new keyspace: so it goes with its transaction, and whoever still takes values from it as it
//! was disturbs nobody.

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    ColumnId, Generated, Need, Object, ObjectId, ObjectKind, Result, SequenceDefinition,
    SequenceOptions, SequenceSpec, SqlError, Table, TableId, TableNeed, TablePart,
};
use driftdb_types::SequenceState;

use super::DdlContext;
use super::object::{create_object, replace_object};
use crate::catalog::objects;

/// What makes a sequence a part of a column.
fn part_of((table, column): (TableId, ColumnId)) -> Need {
    Need { id: table.0, column: Some(column), is_part: true }
}

/// Makes a sequence; `None` if its name is taken and `if_not_exists` was said.
///
/// # Errors
/// 22023 for options that do not go together; a name that is taken; storage.
pub fn create_sequence(
    cx: &mut DdlContext<'_>,
    name: (&str, &str),
    options: &SequenceOptions,
    owner: Option<(TableId, ColumnId)>,
    is_identity: bool,
    if_not_exists: bool,
) -> Result<Option<ObjectId>> {
    let mut definition = SequenceDefinition::new(options, cx.new_object_id()?)?;
    definition.is_identity = is_identity;
    let needs = owner.map(part_of).into_iter().collect();
    let made = create_object(cx, name, ObjectKind::Sequence(definition), needs, if_not_exists)?;
    Ok(made.map(|object| object.id))
}

/// Changes a sequence that stands `at`; `owner`: `None` leaves it, `Some(None)` takes it away.
///
/// # Errors
/// As [`create_sequence`].
pub fn alter_sequence(
    cx: &mut DdlContext<'_>,
    id: ObjectId,
    options: &SequenceOptions,
    owner: Option<Option<(TableId, ColumnId)>>,
    at: SequenceState,
) -> Result<()> {
    let state = match options.restart {
        Some(_) => Some(cx.new_object_id()?),
        None => None,
    };
    replace_object(cx, id, |object| {
        let definition = sequence_mut(object)?;
        *definition = definition.altered(options, (at.last_value, at.is_called))?;
        if let Some(state) = state {
            definition.state = state;
            let value = options.restart.flatten().unwrap_or(definition.start);
            definition.initial = (value, false);
        }
        if let Some(owner) = owner {
            object.needs.retain(|need| !need.is_part);
            object.needs.extend(owner.map(part_of));
        }
        Ok(())
    })?;
    Ok(())
}

/// Notes what a column's default needs, and makes the sequence that comes with it: a serial column's default, or an identity column's.
///
/// # Errors
/// As [`create_sequence`].
pub(super) fn add_to_column(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    position: usize,
    spec: Option<&SequenceSpec>,
    needs: &[Need],
) -> Result<()> {
    let column = table.columns[position].id;
    let part = TablePart::Default(column);
    table.needs.extend(needs.iter().map(|need| TableNeed { part, need: *need }));
    let Some(spec) = spec else { return Ok(()) };
    let (name, owner) = ((table.schema.as_str(), spec.name.as_str()), (table.id, column));
    let is_identity = spec.identity.is_some();
    let made = create_sequence(cx, name, &spec.options, Some(owner), is_identity, false)?;
    let Some(ObjectId(sequence)) = made else { return Ok(()) };
    if let Some(always) = spec.identity {
        table.columns[position].generated = Some(Generated::Identity { always, sequence });
        return Ok(());
    }
    table.columns[position].default = Some(format!("nextval('{sequence}'::regclass)"));
    table.needs.push(TableNeed { part, need: Need::of(sequence) });
    Ok(())
}

/// The sequences that belong to a table's columns.
///
/// # Errors
/// Storage.
pub(super) fn of_table(cx: &mut DdlContext<'_>, table: TableId) -> Result<Vec<ObjectId>> {
    let mut all = objects(cx.txn, ReadAt::Newest)?;
    all.retain(|object| {
        matches!(object.kind, ObjectKind::Sequence(_))
            && object.needs.iter().any(|need| need.is_part && need.id == table.0)
    });
    Ok(all.into_iter().map(|object| object.id).collect())
}

/// Begins the sequences of a table's columns anew.
///
/// # Errors
/// Storage.
pub(super) fn restart_of_table(cx: &mut DdlContext<'_>, table: &Table) -> Result<()> {
    for id in of_table(cx, table.id)? {
        let state = cx.new_object_id()?;
        replace_object(cx, id, |object| {
            let definition = sequence_mut(object)?;
            definition.state = state;
            definition.initial = (definition.start, false);
            Ok(())
        })?;
    }
    Ok(())
}

fn sequence_mut(object: &mut Object) -> Result<&mut SequenceDefinition> {
    match &mut object.kind {
        ObjectKind::Sequence(definition) => Ok(definition),
        _ => Err(SqlError::internal(format!("{} is no sequence", object.name))),
    }
}
