//! The foreign keys of a table that came back: its own, and those that referred to it.
//!
//! Only when all tables that come back together are there, with their rows, can be said which of their
//! foreign keys hold; so this comes last. A key that cannot come back is named and left out: what it
//! referred to may be gone, or rows may have been written since that it would not have let in.

use driftdb_concurrency::ReadAt;
use driftdb_query::{ColumnId, ForeignKey, IndexId, Result, SqlError, Table};
use driftdb_storage::Timestamp;
use driftdb_types::SqlState;

use super::super::DdlContext;
use super::super::foreign::{add_referring, check_rows, has_constraint};
use crate::catalog::{put_table, table_by_id};
use crate::reference::are_comparable;

/// Brings back the foreign keys that a table had at `at`, and those that referred to it; the table is
/// there. Returns a sentence for each that stays away.
///
/// # Errors
/// Storage; deadlock; canceled.
pub fn undrop_references(
    cx: &mut DdlContext<'_>,
    was: &Table,
    at: Timestamp,
) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    for key in &was.foreign_keys {
        bring_back(cx, was, key, &mut lost)?;
    }
    for child in was.referenced_by.iter().filter(|id| **id != was.id) {
        let Some(child) = table_by_id(cx.txn, *child, ReadAt::AsOf(at))? else { continue };
        for key in child.foreign_keys.iter().filter(|key| key.referenced == was.id) {
            bring_back(cx, &child, key, &mut lost)?;
        }
    }
    Ok(lost)
}

/// Brings back one foreign key of a table, unless it is there.
fn bring_back(
    cx: &mut DdlContext<'_>,
    was: &Table,
    key: &ForeignKey,
    lost: &mut Vec<String>,
) -> Result<()> {
    // A table that is still gone takes its keys along.
    let Some(mut child) = cx.try_take_id(was.id)? else { return Ok(()) };
    if child.foreign_keys.iter().any(|other| other.id == key.id) {
        return Ok(());
    }
    if let Err(reason) = add(cx, &mut child, key)? {
        lost.push(format!(
            "foreign key \"{}\" of table \"{}\" was not brought back: {reason}",
            key.name, child.name
        ));
    }
    Ok(())
}

/// Adds the key to a table's definition, or says why not.
fn add(
    cx: &mut DdlContext<'_>,
    child: &mut Table,
    key: &ForeignKey,
) -> Result<std::result::Result<(), String>> {
    if has_constraint(child, &key.name) {
        return Ok(Err("another constraint has its name".to_owned()));
    }
    let is_own = key.referenced == child.id;
    let parent = if is_own { Some(child.clone()) } else { cx.try_take_id(key.referenced)? };
    let Some(mut parent) = parent else {
        return Ok(Err("the table that it referred to is gone".to_owned()));
    };
    let Some(referenced_index) = matching(child, &parent, key) else {
        let reason = format!("table \"{}\" no longer has a key that fits it", parent.name);
        return Ok(Err(reason));
    };
    let key = ForeignKey { referenced_index, ..key.clone() };
    if key.validated
        && let Err(error) = check_rows(cx, child, &parent, &key)
    {
        return violation(error).map(Err);
    }
    if is_own {
        add_referring(child, child.id);
    } else {
        add_referring(&mut parent, child.id);
        put_table(cx.txn, &parent)?;
    }
    let place = child.foreign_keys.partition_point(|other| other.id < key.id);
    child.foreign_keys.insert(place, key);
    put_table(cx.txn, child)?;
    Ok(Ok(()))
}

/// What rows there are against the key, in its own words; other errors stay errors.
fn violation(error: SqlError) -> Result<String> {
    match error.state {
        SqlState::ForeignKeyViolation => {
            let detail = error.detail.as_deref().unwrap_or(&error.message);
            Ok(format!("rows violate it. {}", detail.trim_end_matches('.')))
        }
        _ => Err(error),
    }
}

/// The index of the referenced table that the key can rely on, if the columns of both sides are still
/// there and fit.
fn matching(child: &Table, parent: &Table, key: &ForeignKey) -> Option<IndexId> {
    let types = |table: &Table, ids: &[ColumnId]| -> Option<Vec<_>> {
        let positions = table.positions(ids)?;
        Some(positions.into_iter().map(|at| table.columns[at].ty).collect())
    };
    let (from, to) = (types(child, &key.columns)?, types(parent, &key.referenced_columns)?);
    if !from.iter().zip(&to).all(|(from, to)| are_comparable(*from, *to)) {
        return None;
    }
    let fits = |index: &&driftdb_query::Index| {
        index.is_key()
            && !index.deferral.is_deferrable()
            && index.columns.len() == key.referenced_columns.len()
            && index.columns.iter().all(|c| key.referenced_columns.contains(&c.column))
    };
    let own = parent.index(key.referenced_index).filter(|index| fits(index));
    own.or_else(|| parent.indexes.iter().find(fits)).map(|index| index.id)
}
