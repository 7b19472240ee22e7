//! pg_constraint.

use driftdb_query::{ColumnId, Deferral, ReferentialAction, Result, Table};
use driftdb_types::Value;

use super::super::super::ask::{check_condition, checked_columns};
use super::super::rows::{Rows, braced};
use super::{Constraint, Definitions};

/// What is the same for all kinds, and what one kind has.
struct Row {
    kind: &'static str,
    deferral: Deferral,
    validated: bool,
    index: u32,
    referenced: u32,
    actions: [&'static str; 3],
    columns: Value,
    referenced_columns: Value,
    delete_columns: Value,
    expression: Value,
}

impl Row {
    fn new(kind: &'static str, columns: Value) -> Self {
        Self {
            kind,
            deferral: Deferral::Never,
            validated: true,
            index: 0,
            referenced: 0,
            actions: [" "; 3],
            columns,
            referenced_columns: Value::Null,
            delete_columns: Value::Null,
            expression: Value::Null,
        }
    }
}

pub(super) fn rows(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "oid",
        "conname",
        "connamespace",
        "conrelid",
        "contype",
        "condeferrable",
        "condeferred",
        "convalidated",
        "conindid",
        "confrelid",
        "confupdtype",
        "confdeltype",
        "confmatchtype",
        "conkey",
        "confkey",
        "confdelsetcols",
        "conbin",
        "contypid",
    ])?;
    for (oid, table, constraint) in definitions.constraints() {
        let row = row(definitions, table, &constraint);
        let [on_update, on_delete, matched] = row.actions.map(Value::text);
        columns.add([
            Value::Oid(oid),
            Value::text(constraint.name()),
            Value::Oid(definitions.schema_oid(&table.schema)),
            Value::Oid(table.id.0),
            Value::text(row.kind),
            Value::Bool(row.deferral.is_deferrable()),
            Value::Bool(row.deferral == Deferral::Deferred),
            Value::Bool(row.validated),
            Value::Oid(row.index),
            Value::Oid(row.referenced),
            on_update,
            on_delete,
            matched,
            row.columns,
            row.referenced_columns,
            row.delete_columns,
            row.expression,
            Value::Oid(0),
        ])?;
    }
    for (oid, domain, _, check) in definitions.domain_checks() {
        let none = || Value::text(" ");
        columns.add([
            Value::Oid(oid),
            Value::text(check.name.as_str()),
            Value::Oid(definitions.schema_oid(&domain.schema)),
            Value::Oid(0),
            Value::text("c"),
            Value::Bool(false),
            Value::Bool(false),
            Value::Bool(check.is_valid),
            Value::Oid(0),
            Value::Oid(0),
            none(),
            none(),
            none(),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::text(check.condition.as_str()),
            Value::Oid(domain.id.0),
        ])?;
    }
    Ok(())
}

fn row(definitions: &Definitions, table: &Table, constraint: &Constraint<'_>) -> Row {
    match constraint {
        Constraint::Key(index) => {
            let columns = braced(index.columns.iter().map(|key| key.column.0));
            Row {
                deferral: index.deferral,
                index: index.id.0,
                ..Row::new(if index.primary { "p" } else { "u" }, columns)
            }
        }
        Constraint::Check(check) => Row {
            expression: Value::text(check_condition(definitions, table, check, false)),
            validated: check.validated,
            ..Row::new("c", numbers(&checked_columns(definitions, table, check)))
        },
        Constraint::Foreign(key) => Row {
            deferral: key.deferral,
            validated: key.validated,
            index: key.referenced_index.0,
            referenced: key.referenced.0,
            actions: [
                action(key.on_update),
                action(key.on_delete),
                if key.match_full { "f" } else { "s" },
            ],
            referenced_columns: numbers(&key.referenced_columns),
            delete_columns: match &key.delete_columns[..] {
                [] => Value::Null,
                some => numbers(some),
            },
            ..Row::new("f", numbers(&key.columns))
        },
    }
}

fn numbers(columns: &[ColumnId]) -> Value {
    braced(columns.iter().map(|column| column.0))
}

fn action(action: ReferentialAction) -> &'static str {
    match action {
        ReferentialAction::NoAction => "a",
        ReferentialAction::Restrict => "r",
        ReferentialAction::Cascade => "c",
        ReferentialAction::SetNull => "n",
        ReferentialAction::SetDefault => "d",
    }
}
