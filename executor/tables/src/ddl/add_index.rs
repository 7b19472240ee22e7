//! CREATE INDEX, REINDEX, and what is said of the index of a constraint or of one that is there.

use driftdb_concurrency::LockMode;
use driftdb_query::{
    ColumnId, CreateIndex, Deferral, Index, IndexAction, IndexColumn, IndexId, KeyExtra, KeyOf,
    Result, SqlError, Table, TableNeed, TablePart, Term,
};
use driftdb_types::SqlState;

use super::{DdlContext, alter, drop_keyspace, new_index, rewrite};
use crate::catalog::put_table;

/// Creates an index and fills it; false if it exists and IF NOT EXISTS was said.
///
/// # Errors
/// 42P07 for a name that is taken; 23505 where rows repeat a unique key; what its expressions raise; storage.
pub fn create_index(cx: &mut DdlContext<'_>, spec: &CreateIndex) -> Result<bool> {
    let mut table = cx.take_in(&spec.table, LockMode::Share)?;
    if spec.if_not_exists && !cx.name_is_free(&table.schema, &spec.name)? {
        return Ok(false);
    }
    let predicate = spec.predicate.as_ref().map(|term| add_term(&mut table, term));
    let mut columns = Vec::with_capacity(spec.columns.len());
    for key in &spec.columns {
        let column = match &key.of {
            KeyOf::Column(position) => spec.table.columns[*position].id,
            KeyOf::Term(term) => add_term(&mut table, term),
        };
        let (descending, nulls_first) = (key.descending, key.nulls_first);
        let by_pattern = key.by_pattern;
        columns.push(IndexColumn { column, descending, nulls_first, by_pattern });
    }
    let keyspace = Some(cx.new_keyspace()?);
    let index = Index {
        unique: spec.unique,
        predicate,
        include: spec.include.iter().map(|at| spec.table.columns[*at].id).collect(),
        nulls_equal: spec.nulls_equal,
        is_hash: spec.is_hash,
        options: spec.options.clone(),
        ..new_index(cx, &table, &spec.name, columns, keyspace)?
    };
    let part = TablePart::Index(index.id);
    table.needs.extend(spec.needs.iter().map(|need| TableNeed { part, need: *need }));
    table.indexes.push(index.clone());
    rewrite::fill_index(cx, &table, &index)?;
    put_table(cx.txn, &table)?;
    Ok(true)
}

fn add_term(table: &mut Table, term: &Term) -> ColumnId {
    let id = table.next_term();
    table.terms.push(Term { id, ..term.clone() });
    id
}

/// Builds the entries of an index anew; those of the primary key are the rows.
///
/// # Errors
/// 23505; what its expressions raise; storage.
pub(super) fn reindex(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    id: Option<IndexId>,
) -> Result<()> {
    let meant: Vec<usize> = table
        .indexes
        .iter()
        .enumerate()
        .filter(|(_, index)| index.keyspace.is_some() && id.is_none_or(|id| index.id == id))
        .map(|(at, _)| at)
        .collect();
    for at in meant {
        drop_keyspace(cx, table.indexes[at].keyspace)?;
        table.indexes[at].keyspace = Some(cx.new_keyspace()?);
        let index = table.indexes[at].clone();
        rewrite::fill_index(cx, table, &index)?;
    }
    Ok(())
}

/// An index with what is said of a constraint's.
pub(super) fn with_extra(table: &Table, index: Index, extra: &KeyExtra) -> Result<Index> {
    let mut include = Vec::with_capacity(extra.include.len());
    for name in &extra.include {
        let Some((_, column)) = table.column(name) else {
            let message = format!("column \"{name}\" named in key does not exist");
            return Err(SqlError::new(SqlState::UndefinedColumn, message));
        };
        include.push(column.id);
    }
    let (nulls_equal, options) = (extra.nulls_equal, extra.options.clone());
    Ok(Index { include, nulls_equal, options, ..index })
}

/// Makes an index a constraint's, which gives it its name.
pub(super) fn adopt(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    (name, id): (&str, IndexId),
    primary: bool,
    deferral: Deferral,
) -> Result<()> {
    let Some(was) = table.index(id).cloned() else {
        return Err(SqlError::new(SqlState::UndefinedObject, "the index is gone"));
    };
    if was.constraint {
        let message = format!("index \"{}\" is already associated with a constraint", was.name);
        return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
    }
    if was.name != name {
        alter::rename_index(cx, table, &was.name, name)?;
    }
    if primary {
        if table.primary_key().is_some() {
            let message =
                format!("multiple primary keys for table \"{}\" are not allowed", table.name);
            return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
        }
        for column in &mut table.columns {
            column.not_null |= was.columns.iter().any(|key| key.column == column.id);
        }
    }
    let Some(index) = table.indexes.iter_mut().find(|index| index.id == id) else { return Ok(()) };
    // The rows stay where they are: the key keeps an index of its own.
    (index.constraint, index.primary, index.deferral) = (true, primary, deferral);
    if deferral.is_deferrable() {
        // Entries end in the row's key from now on.
        drop_keyspace(cx, was.keyspace)?;
        index.keyspace = Some(cx.new_keyspace()?);
        let index = index.clone();
        rewrite::fill_index(cx, table, &index)?;
    }
    Ok(())
}

/// What is said of an index.
pub(super) fn say(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    id: IndexId,
    action: &IndexAction,
) -> Result<()> {
    let gone = || SqlError::new(SqlState::UndefinedObject, "the index is gone");
    if let IndexAction::Rename(to) = action {
        let name = table.index(id).ok_or_else(gone)?.name.clone();
        return alter::rename_index(cx, table, &name, to);
    }
    if matches!(action, IndexAction::Cluster(_) | IndexAction::ClusterNow) {
        table.indexes.iter_mut().for_each(|index| index.is_clustered = false);
    }
    let index = table.indexes.iter_mut().find(|index| index.id == id).ok_or_else(gone)?;
    match action {
        IndexAction::Rename(_) => {}
        IndexAction::Cluster(is_clustered) => index.is_clustered = *is_clustered,
        IndexAction::ClusterNow => index.is_clustered = true,
        IndexAction::Set(options) => {
            index.options.retain(|(name, _)| options.iter().all(|(other, _)| other != name));
            index.options.extend(options.iter().cloned());
        }
        IndexAction::Reset(names) => index.options.retain(|(name, _)| !names.contains(name)),
    }
    Ok(())
}
