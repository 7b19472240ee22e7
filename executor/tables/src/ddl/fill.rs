//! ALTER TABLE that gives every row a value of its own: a column that is added with one, or that gets another
//! type. The rows go into new keyspaces; the old ones, with the definition of then, stay for earlier times.

use driftdb_query::eval::{Scope, eval};
use driftdb_query::{
    ColumnSpec, Expr, Generated, ObjectId, ObjectKind, Result, SequenceOptions, SqlError, Subplan,
    Table,
};
use driftdb_types::{CastContext, DataType, EvalContext, SqlState, Value, cast};

use super::object::replace_object;
use super::{DdlContext, rewrite};
use crate::catalog::object_by_id;

/// A row that an expression is evaluated over.
struct OverRow<'a> {
    row: &'a [Value],
    context: &'a EvalContext,
}

impl Scope for OverRow<'_> {
    fn slot(&self, index: usize) -> Value {
        self.row[index].clone()
    }

    fn outer(&self, _index: usize) -> Value {
        Value::Null
    }

    fn param(&self, index: usize) -> Result<Value> {
        let message = format!("there is no parameter ${}", index + 1);
        Err(SqlError::new(SqlState::UndefinedParameter, message))
    }

    fn context(&self) -> &EvalContext {
        self.context
    }

    fn subplan(&self, _subplan: &Subplan) -> Result<Value> {
        Err(SqlError::unsupported("a subquery in a transform expression"))
    }
}

/// Fills the last column, which was just added, in existing rows.
///
/// # Errors
/// What evaluation raises; 23502; storage.
pub(super) fn added_column(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    spec: &ColumnSpec,
    fill: Option<&Expr>,
) -> Result<()> {
    let mut old = table.clone();
    let Some(column) = old.columns.pop() else { return Ok(()) };
    if spec.sequence.is_some() {
        return number(cx, &old, table, column.ty);
    }
    let Some(fill) = fill else { return Ok(()) };
    rewrite::rewrite_with(cx, &old, table, &mut |cx, mut row| {
        let value = eval(fill, &OverRow { row: &row, context: cx.eval })?;
        row.push(value);
        Ok(row)
    })
}

/// Numbers existing rows by the new column's sequence, which nobody else knows yet.
fn number(cx: &mut DdlContext<'_>, old: &Table, table: &mut Table, ty: DataType) -> Result<()> {
    let column = table.columns.last().expect("it was just added");
    let sequence = match &column.generated {
        Some(Generated::Identity { sequence, .. }) => ObjectId(*sequence),
        _ => {
            let part = driftdb_query::TablePart::Default(column.id);
            let need = table.needs.iter().find(|need| need.part == part);
            ObjectId(need.map_or(0, |need| need.need.id))
        }
    };
    let object = object_by_id(cx.txn, sequence, driftdb_concurrency::ReadAt::Newest)?;
    let gone = || SqlError::internal("the sequence of a new column is gone");
    let object = object.ok_or_else(gone)?;
    let ObjectKind::Sequence(definition) = &object.kind else { return Err(gone()) };
    let (mut at, mut is_called) = definition.initial;
    let name = &object.name;
    rewrite::rewrite_with(cx, old, table, &mut |cx, mut row| {
        if is_called {
            let cycled = definition.cycle.then(|| definition.turn());
            at = definition
                .after(at)
                .or(cycled)
                .ok_or_else(|| crate::sequence::exhausted(definition, name))?;
        }
        is_called = true;
        row.push(cast(Value::Int8(at), DataType::Int8, ty, -1, CastContext::Assignment, cx.eval)?);
        Ok(row)
    })?;
    replace_object(cx, sequence, |object| {
        if let ObjectKind::Sequence(definition) = &mut object.kind {
            definition.initial = (at, is_called);
        }
        Ok(())
    })?;
    Ok(())
}

/// Gives a column another type.
///
/// # Errors
/// 0A000 for a column that keys of other tables, or a period, are about; what conversion raises; storage.
pub(super) fn set_type(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    position: usize,
    (ty, typmod): (DataType, i32),
    using: &Expr,
) -> Result<()> {
    let column = table.columns[position].clone();
    let period = table.period.as_ref();
    if period.is_some_and(|period| [period.start, period.end].contains(&column.id)) {
        return Err(SqlError::unsupported("another type for a column of a period"));
    }
    let is_key = table.foreign_keys.iter().any(|key| {
        key.columns.contains(&column.id)
            || key.referenced == table.id && key.referenced_columns.contains(&column.id)
    });
    let referring =
        super::foreign::dependents(cx, table, |key| key.referenced_columns.contains(&column.id))?;
    if column.ty != ty && (is_key || !referring.is_empty()) {
        return Err(SqlError::unsupported("another type for a column of a foreign key")
            .with_hint("Drop the foreign key, and add it again afterwards."));
    }
    if let Some(Generated::Identity { sequence, .. }) = column.generated
        && column.ty != ty
    {
        retype_sequence(cx, ObjectId(sequence), ty)?;
    }
    let old = table.clone();
    let changed = &mut table.columns[position];
    changed.missing = if changed.missing.is_null() || changed.ty == ty {
        changed.missing.clone()
    } else {
        Value::Null
    };
    (changed.ty, changed.typmod) = (ty, typmod);
    rewrite::rewrite_with(cx, &old, table, &mut |cx, mut row| {
        row[position] = eval(using, &OverRow { row: &row, context: cx.eval })?;
        Ok(row)
    })
}

/// An identity column's sequence follows its type.
fn retype_sequence(cx: &mut DdlContext<'_>, sequence: ObjectId, ty: DataType) -> Result<()> {
    let at = cx.eval.actions.sequence_state(sequence.0)?;
    let options = SequenceOptions { ty: Some(ty), ..SequenceOptions::default() };
    replace_object(cx, sequence, |object| {
        if let (ObjectKind::Sequence(definition), Some(at)) = (&mut object.kind, at) {
            *definition = definition.altered(&options, (at.last_value, at.is_called))?;
        }
        Ok(())
    })?;
    Ok(())
}
