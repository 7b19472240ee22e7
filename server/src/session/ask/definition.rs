//! Definitions as SQL: constraints and indexes.

use driftdb_query::{
    Check, ColumnId, Deferral, ForeignKey, Index, IndexColumn, ReferentialAction, Table,
};
use driftdb_types::{DataType, EvalContext, Value, function, resolve_function};

/// A name in quotes where it must be.
pub(super) fn quoted(name: &str) -> String {
    let quote = resolve_function("quote_ident", &[DataType::Text]).map(|found| function(found.id));
    let quoted = quote.and_then(|quote| quote.eval(&[Value::text(name)], &EvalContext::default()));
    match quoted {
        Ok(Value::Text(text)) => text.into_string(),
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

pub(super) fn column_name(table: &Table, column: ColumnId) -> String {
    table.position(column).map_or_else(String::new, |place| quoted(&table.columns[place].name))
}

fn columns<'a>(table: &Table, columns: impl IntoIterator<Item = &'a ColumnId>) -> String {
    let names: Vec<String> =
        columns.into_iter().map(|column| column_name(table, *column)).collect();
    names.join(", ")
}

fn deferral(deferral: Deferral) -> &'static str {
    match deferral {
        Deferral::Never => "",
        Deferral::Immediate => " DEFERRABLE",
        Deferral::Deferred => " DEFERRABLE INITIALLY DEFERRED",
    }
}

/// PRIMARY KEY, UNIQUE
pub(super) fn key(table: &Table, index: &Index) -> String {
    let kind = if index.primary { "PRIMARY KEY" } else { "UNIQUE" };
    let names = columns(table, index.columns.iter().map(|key| &key.column));
    format!("{kind} ({names}){}", deferral(index.deferral))
}

pub(super) fn check(check: &Check) -> String {
    format!("CHECK ({})", check.condition)
}

pub(super) fn foreign_key(table: &Table, key: &ForeignKey, referenced: &Table) -> String {
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {}({})",
        columns(table, &key.columns),
        quoted(&referenced.name),
        columns(referenced, &key.referenced_columns)
    );
    if key.match_full {
        text.push_str(" MATCH FULL");
    }
    for (event, action) in [("UPDATE", key.on_update), ("DELETE", key.on_delete)] {
        let action = match action {
            ReferentialAction::NoAction => continue,
            ReferentialAction::Restrict => "RESTRICT",
            ReferentialAction::Cascade => "CASCADE",
            ReferentialAction::SetNull => "SET NULL",
            ReferentialAction::SetDefault => "SET DEFAULT",
        };
        text.push_str(&format!(" ON {event} {action}"));
    }
    if !key.delete_columns.is_empty() {
        text.push_str(&format!(" ({})", columns(table, &key.delete_columns)));
    }
    text.push_str(deferral(key.deferral));
    if !key.validated {
        text.push_str(" NOT VALID");
    }
    text
}

/// CREATE INDEX
pub(in crate::session) fn index(table: &Table, index: &Index) -> String {
    let key = |key: &IndexColumn| {
        let direction = if key.descending { " DESC" } else { "" };
        format!("{}{direction}", column_name(table, key.column))
    };
    let keys: Vec<String> = index.columns.iter().map(key).collect();
    format!(
        "CREATE {}INDEX {} ON {}.{} USING btree ({})",
        if index.unique { "UNIQUE " } else { "" },
        quoted(&index.name),
        quoted(&table.schema),
        quoted(&table.name),
        keys.join(", ")
    )
}
