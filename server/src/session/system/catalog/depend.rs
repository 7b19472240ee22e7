//! pg_depend: what goes with what, so that a dump is in an order that can be restored.

use driftdb_query::{ObjectKind, Result, TablePart};
use driftdb_types::Value;

use super::super::rows::Rows;
use super::classes::{PG_ATTRDEF, PG_CLASS, PG_CONSTRAINT, PG_NAMESPACE, PG_PROC};
use super::{Constraint, Definitions};

pub(super) fn rows(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns =
        rows.columns(["classid", "objid", "refclassid", "refobjid", "refobjsubid", "deptype"])?;
    let mut add = |from: (u32, u32), to: (u32, u32, u16), kind: &str| {
        columns.add([
            Value::Oid(from.0),
            Value::Oid(from.1),
            Value::Oid(to.0),
            Value::Oid(to.1),
            Value::Int4(to.2.into()),
            Value::text(kind),
        ])
    };
    super::view::dependencies(definitions, &mut add)?;
    for table in &definitions.tables {
        add((PG_CLASS, table.id.0), (PG_NAMESPACE, definitions.schema_oid(&table.schema), 0), "n")?;
        for index in &table.indexes {
            if index.constraint || index.primary {
                add((PG_CLASS, index.id.0), (PG_CONSTRAINT, index.constraint_id().0, 0), "i")?;
                continue;
            }
            let from = (PG_CLASS, index.id.0);
            for column in table.columns.iter().filter(|column| index.uses(table, column.id)) {
                add(from, (PG_CLASS, table.id.0, column.id.0), "a")?;
            }
            // Of constants alone: on the table as a whole.
            if !table.columns.iter().any(|column| index.uses(table, column.id)) {
                add(from, (PG_CLASS, table.id.0, 0), "a")?;
            }
            let part = TablePart::Index(index.id);
            for needing in table.needs.iter().filter(|needing| needing.part == part) {
                add(from, (PG_PROC, needing.need.id, 0), "n")?;
            }
        }
    }
    for (object, sequence) in definitions.sequences() {
        let from = (PG_CLASS, object.id.0);
        add(from, (PG_NAMESPACE, definitions.schema_oid(&object.schema), 0), "n")?;
        for need in object.needs.iter().filter(|need| need.is_part) {
            let column = need.column.map_or(0, |column| column.0);
            add(from, (PG_CLASS, need.id, column), if sequence.is_identity { "i" } else { "a" })?;
        }
    }
    for (oid, table, column, _) in definitions.defaults() {
        add((PG_ATTRDEF, oid), (PG_CLASS, table.id.0, column.id.0), "a")?;
        let part = TablePart::Default(column.id);
        for needing in table.needs.iter().filter(|needing| needing.part == part) {
            let is_sequence = definitions
                .object(needing.need.id)
                .is_some_and(|object| matches!(object.kind, ObjectKind::Sequence(_)));
            if is_sequence {
                add((PG_ATTRDEF, oid), (PG_CLASS, needing.need.id, 0), "n")?;
            }
        }
    }
    for (oid, table, constraint) in definitions.constraints() {
        let from = (PG_CONSTRAINT, oid);
        match constraint {
            Constraint::Key(index) => {
                for key in &index.columns {
                    add(from, (PG_CLASS, table.id.0, key.column.0), "a")?;
                }
            }
            Constraint::Check(_) => add(from, (PG_CLASS, table.id.0, 0), "a")?,
            Constraint::Foreign(key) => {
                for column in &key.columns {
                    add(from, (PG_CLASS, table.id.0, column.0), "a")?;
                }
                for column in &key.referenced_columns {
                    add(from, (PG_CLASS, key.referenced.0, column.0), "n")?;
                }
                add(from, (PG_CLASS, key.referenced_index.0, 0), "n")?;
            }
        }
    }
    Ok(())
}
