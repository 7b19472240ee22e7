//! pg_index and pg_indexes.

use driftdb_query::{Deferral, Index, Result, Table};
use driftdb_types::Value;

use super::super::super::ask::{index_definition, term_definition};
use super::super::fixed::{TypeFacts, type_facts};
use super::super::rows::{Rows, vector};
use super::{Definitions, small};

/// pg_index.indoption
const DESCENDING: u16 = 1;
const NULLS_FIRST: u16 = 2;

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
        "indnullsnotdistinct",
        "indisclustered",
        "indexprs",
        "indpred",
    ])?;
    for table in &definitions.tables {
        for index in &table.indexes {
            let facts = facts(table, index);
            let predicate = index.predicate.map_or(Value::Null, |term| {
                Value::text(term_definition(definitions, table, term, false, true))
            });
            let keys = index.columns.iter();
            columns.add([
                Value::Oid(index.id.0),
                Value::Oid(table.id.0),
                small(index.columns.len() + index.include.len()),
                small(index.columns.len()),
                Value::Bool(index.unique),
                Value::Bool(index.primary),
                Value::Bool(index.deferral == Deferral::Never),
                vector(numbers(index)),
                vector(facts.iter().map(|facts| facts.collation)),
                vector(facts.iter().map(|facts| facts.operator_class)),
                vector(keys.map(|key| {
                    let descending = if key.descending { DESCENDING } else { 0 };
                    descending | if key.nulls_first { NULLS_FIRST } else { 0 }
                })),
                Value::Bool(index.nulls_equal),
                Value::Bool(index.is_clustered),
                expressions(definitions, table, index),
                predicate,
            ])?;
        }
    }
    Ok(())
}

fn facts(table: &Table, index: &Index) -> Vec<TypeFacts> {
    let places = index.columns.iter().filter_map(|key| table.place(key.column));
    places.map(|place| type_facts(table.type_at(place))).collect()
}

/// The columns by number; 0 for an expression.
pub(super) fn numbers(index: &Index) -> impl Iterator<Item = u16> + '_ {
    let keys = index.columns.iter().map(|key| if key.is_term() { 0 } else { key.column.0 });
    keys.chain(index.include.iter().map(|column| column.0))
}

/// The expressions; NULL if there are none.
fn expressions(definitions: &Definitions, table: &Table, index: &Index) -> Value {
    let terms = index.columns.iter().filter(|key| key.is_term());
    let shown: Vec<String> = terms
        .map(|key| bare(&term_definition(definitions, table, key.column, false, false)).to_owned())
        .collect();
    if shown.is_empty() { Value::Null } else { Value::text(shown.join(", ")) }
}

/// An expression without the brackets that a definition of an index puts around it.
fn bare(shown: &str) -> &str {
    let inner = shown.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.unwrap_or(shown)
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
                Value::text(index_definition(definitions, table, index, None, false)),
            ])?;
        }
    }
    Ok(())
}
