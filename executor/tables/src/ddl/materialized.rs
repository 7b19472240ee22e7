//! Materialized views: a table becomes one, and is emptied to be filled anew.

use std::sync::Arc;

use driftdb_query::{
    Materialized, MaterializedSpec, Need, ObjectKind, Result, Table, TableNeed, TablePart, View,
};

use super::object::{create_object, replace_object};
use super::{DdlContext, empty};
use crate::catalog::put_table;

/// Makes the object that makes a new table a materialized view.
pub(super) fn attach(
    cx: &mut DdlContext<'_>,
    table: &mut Table,
    spec: &MaterializedSpec,
) -> Result<()> {
    let mut needs = vec![part(table.id.0)];
    needs.extend(spec.needs.iter().copied());
    let kind = Materialized { table: table.id, view: spec.view.clone() };
    let kind = ObjectKind::Materialized(Box::new(kind));
    let name = table.id.0.to_string();
    if let Some(object) = create_object(cx, ("", &name), kind, needs, false)? {
        table.needs.push(TableNeed { part: TablePart::Materialized, need: part(object.id.0) });
    }
    populated(table, spec.with_data);
    Ok(())
}

/// Empties a materialized view, which then holds data or does not; gives its definition.
///
/// # Errors
/// It is gone, or none any more; storage.
pub fn empty_materialized(
    cx: &mut DdlContext<'_>,
    table: &Table,
    with_data: bool,
) -> Result<Arc<Table>> {
    let mut table = cx.take(table)?;
    empty(cx, &mut table)?;
    populated(&mut table, with_data);
    put_table(cx.txn, &table)?;
    Ok(Arc::new(table))
}

/// Says the query of a materialized view anew.
pub(super) fn respell(cx: &mut DdlContext<'_>, table: &Table, view: &View) -> Result<()> {
    let Some(id) = table.materialized() else { return Ok(()) };
    replace_object(cx, id, |object| {
        if let ObjectKind::Materialized(it) = &mut object.kind {
            it.view = view.clone();
        }
        Ok(())
    })?;
    Ok(())
}

/// Notes whether a materialized view holds data.
fn populated(table: &mut Table, with_data: bool) {
    table.needs.retain(|needing| needing.part != TablePart::Unpopulated);
    if let Some(object) = table.materialized().filter(|_| !with_data) {
        table.needs.push(TableNeed { part: TablePart::Unpopulated, need: part(object.0) });
    }
}

fn part(id: u32) -> Need {
    Need { id, column: None, is_part: true }
}
