//! pg_index and pg_indexes.

use driftdb_query::{Deferral, Index, Result, Table};
use driftdb_types::Value;

use super::super::super::ask::index_definition;
use super::super::fixed::{TypeFacts, type_facts};
use super::super::rows::{Rows, vector};
use super::{Definitions, small};

/// pg_index.indoption: descending, with NULLs first.
const DESCENDING: u16 = 3;

pub(super) fn rows(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "indexrelid",
        "indrelid",
        "indnatts",
        "indnkeyatts",
        "indisunique",
        "indisprimary",
        "indimmediate",
        "indkey",
        "indcollation",
        "indclass",
        "indoption",
    ])?;
    for table in &definitions.tables {
        for index in &table.indexes {
            let facts = facts(table, index);
            let keys = index.columns.iter();
            columns.add([
                Value::Oid(index.id.0),
                Value::Oid(table.id.0),
                small(index.columns.len()),
                small(index.columns.len()),
                Value::Bool(index.unique),
                Value::Bool(index.primary),
                Value::Bool(index.deferral == Deferral::Never),
                vector(keys.clone().map(|key| key.column.0)),
                vector(facts.iter().map(|facts| facts.collation)),
                vector(facts.iter().map(|facts| facts.operator_class)),
                vector(keys.map(|key| if key.descending { DESCENDING } else { 0 })),
            ])?;
        }
    }
    Ok(())
}

fn facts(table: &Table, index: &Index) -> Vec<TypeFacts> {
    let places = index.columns.iter().filter_map(|key| table.position(key.column));
    places.map(|place| type_facts(table.columns[place].ty)).collect()
}

/// pg_indexes: not a view, so that the definitions are those of its own time.
pub(super) fn definitions(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns(["schemaname", "tablename", "indexname", "indexdef"])?;
    for table in &definitions.tables {
        for index in &table.indexes {
            columns.add([
                Value::text(table.schema.clone()),
                Value::text(table.name.clone()),
                Value::text(index.name.clone()),
                Value::text(index_definition(table, index, None)),
            ])?;
        }
    }
    Ok(())
}
