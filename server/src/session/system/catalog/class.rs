//! pg_class: tables, indexes, and the system relations themselves.

use driftdb_query::{Result, Securable, Subject, Table, is_temporary, row_type_oid};
use driftdb_types::Value;

use super::super::declared::declared;
use super::super::rows::{Rows, braced};
use super::{BTREE, Definitions, HASH, HEAP, sequence, small, user_type};

pub(super) fn rows(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "oid",
        "relname",
        "relnamespace",
        "relkind",
        "relam",
        "relfilenode",
        "reltuples",
        "relhasindex",
        "relnatts",
        "relchecks",
        "relhastriggers",
        "relhasrules",
        "reloptions",
        "relpersistence",
        "relowner",
        "relacl",
        "reltype",
    ])?;
    for relation in declared() {
        let definition = &relation.definition;
        columns.add([
            Value::Oid(definition.oid),
            Value::text(definition.name),
            Value::Oid(definitions.schema_oid(definition.schema)),
            Value::text(relation.kind.to_string()),
            Value::Oid(if relation.kind == 'r' { HEAP } else { 0 }),
            Value::Oid(0),
            Value::Float4(-1.0),
            Value::Bool(false),
            small(definition.columns.len()),
            Value::Int2(0),
            Value::Bool(false),
            Value::Bool(relation.kind == 'v'),
            Value::Null,
            Value::text("p"),
            owner(definitions, definition.oid),
            definitions.list_of(Subject::whole(Securable::Table, definition.oid))?,
            Value::Oid(0),
        ])?;
    }
    super::view::classes(definitions, &mut columns)?;
    for table in &definitions.tables {
        let persistence = Value::text(if is_temporary(&table.schema) { "t" } else { "p" });
        let tuples = Value::Float4(table.row_count.map_or(-1.0, |count| count as f32));
        columns.add([
            Value::Oid(table.id.0),
            Value::text(table.name.clone()),
            Value::Oid(definitions.schema_oid(&table.schema)),
            Value::text("r"),
            Value::Oid(HEAP),
            Value::Oid(table.id.0),
            tuples.clone(),
            Value::Bool(!table.indexes.is_empty()),
            small(highest_number(table)),
            small(table.checks.len()),
            // Foreign keys are looked for where there are triggers.
            Value::Bool(!table.foreign_keys.is_empty() || !table.referenced_by.is_empty()),
            Value::Bool(false),
            Value::Null,
            persistence.clone(),
            owner(definitions, table.id.0),
            definitions.list_of(Subject::whole(Securable::Table, table.id.0))?,
            Value::Oid(row_type_oid(table.id.0)),
        ])?;
        for index in &table.indexes {
            columns.add([
                Value::Oid(index.id.0),
                Value::text(index.name.clone()),
                Value::Oid(definitions.schema_oid(&table.schema)),
                Value::text("i"),
                Value::Oid(if index.is_hash { HASH } else { BTREE }),
                Value::Oid(index.id.0),
                tuples.clone(),
                Value::Bool(false),
                small(index.columns.len() + index.include.len()),
                Value::Int2(0),
                Value::Bool(false),
                Value::Bool(false),
                options(&index.options),
                persistence.clone(),
                owner(definitions, table.id.0),
                Value::Null,
                Value::Oid(0),
            ])?;
        }
    }
    for (object, _) in definitions.sequences() {
        columns.add([
            Value::Oid(object.id.0),
            Value::text(object.name.clone()),
            Value::Oid(definitions.schema_oid(&object.schema)),
            Value::text("S"),
            Value::Oid(0),
            Value::Oid(object.id.0),
            Value::Float4(1.0),
            Value::Bool(false),
            small(sequence::COLUMNS.len()),
            Value::Int2(0),
            Value::Bool(false),
            Value::Bool(false),
            Value::Null,
            Value::text(if is_temporary(&object.schema) { "t" } else { "p" }),
            definitions.owner_of(Subject::whole(Securable::Sequence, object.id.0)),
            definitions.list_of(Subject::whole(Securable::Sequence, object.id.0))?,
            Value::Oid(0),
        ])?;
    }
    for (object, _, highest) in user_type::composites(definitions) {
        columns.add([
            Value::Oid(object.id.0),
            Value::text(object.name.clone()),
            Value::Oid(definitions.schema_oid(&object.schema)),
            Value::text("c"),
            Value::Oid(0),
            Value::Oid(0),
            Value::Float4(-1.0),
            Value::Bool(false),
            highest,
            Value::Int2(0),
            Value::Bool(false),
            Value::Bool(false),
            Value::Null,
            Value::text("p"),
            owner(definitions, object.id.0),
            Value::Null,
            Value::Oid(object.id.0),
        ])?;
    }
    Ok(())
}

/// Who owns a table or view.
pub(super) fn owner(definitions: &Definitions, id: u32) -> Value {
    definitions.owner_of(Subject::whole(Securable::Table, id))
}

/// pg_class.reloptions
fn options(options: &[(String, String)]) -> Value {
    if options.is_empty() {
        return Value::Null;
    }
    braced(options.iter().map(|(name, value)| format!("{name}={value}")))
}

/// The number of the last column, dropped ones counted.
fn highest_number(table: &Table) -> usize {
    let last = table.columns.iter().map(|column| column.id.0).max().unwrap_or(0);
    usize::from(last.max(table.dropped_columns))
}
