//! Definitions as SQL: constraints and indexes.

use std::sync::Arc;

use driftdb_query::{
    Catalog, CatalogAt, Check, Column, ColumnId, Deferral, ForeignKey, Index, IndexColumn, IndexId,
    NameSpace, Object, ReferentialAction, Result, SqlError, Table, TableId, Trigger,
};
use driftdb_sql::{
    BindContext, check_columns, show_check, show_default, show_domain_check, show_domain_default,
    show_generated, show_term, show_trigger_condition,
};
use driftdb_storage::Timestamp;
use driftdb_types::{
    DataType, Domain, DomainCheck, EvalContext, Value, function, resolve_function,
};

use crate::session::system::Definitions;

/// A name in quotes where it must be.
pub(in crate::session) fn quoted(name: &str) -> String {
    let quote = resolve_function("quote_ident", &[DataType::Text]).map(|found| function(found.id));
    let quoted = quote.and_then(|quote| quote.eval(&[Value::text(name)], &EvalContext::default()));
    match quoted {
        Ok(Value::Text(text)) => text.into_string(),
        _ => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}

pub(in crate::session) fn column_name(table: &Table, column: ColumnId) -> String {
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
    let nulls = if index.nulls_equal { " NULLS NOT DISTINCT" } else { "" };
    format!("{kind}{nulls} ({names}){}{}", include(table, index), deferral(index.deferral))
}

fn include(table: &Table, index: &Index) -> String {
    if index.include.is_empty() {
        return String::new();
    }
    format!(" INCLUDE ({})", columns(table, &index.include))
}

/// A term of a table as PostgreSQL shows it.
pub(in crate::session) fn term(
    definitions: &Definitions,
    table: &Table,
    id: ColumnId,
    pretty: bool,
    is_predicate: bool,
) -> String {
    let Some(term) = table.term(id) else { return String::new() };
    let shown = with_binder(definitions, |cx| show_term(term, table, pretty, is_predicate, cx));
    // A function of a user's is not known here; where it is not pretty it has its schema, for whoever reads
    // the definition back.
    shown.unwrap_or_else(|| match &*term.shown {
        shown if pretty => shown.to_owned(),
        shown if is_predicate || !shown.starts_with('(') => term.sql.clone(),
        _ => format!("({})", term.sql),
    })
}

/// What stands for a column of an index: by place, INCLUDE behind the keys.
pub(super) fn index_column(
    definitions: &Definitions,
    table: &Table,
    index: &Index,
    place: usize,
    pretty: bool,
) -> String {
    match index.columns.get(place) {
        Some(key) if key.is_term() => term(definitions, table, key.column, pretty, false),
        Some(key) => column_name(table, key.column),
        None => {
            let included = index.include.get(place - index.columns.len());
            included.map_or_else(String::new, |column| column_name(table, *column))
        }
    }
}

pub(super) fn check(
    definitions: &Definitions,
    table: &Table,
    check: &Check,
    pretty: bool,
) -> String {
    let inherit = if check.no_inherit { " NO INHERIT" } else { "" };
    let valid = if check.validated { "" } else { " NOT VALID" };
    format!("CHECK ({}){inherit}{valid}", condition(definitions, table, check, pretty))
}

/// A CHECK's condition as PostgreSQL shows it.
pub(in crate::session) fn condition(
    definitions: &Definitions,
    table: &Table,
    check: &Check,
    pretty: bool,
) -> String {
    let shown = with_binder(definitions, |cx| show_check(&check.condition, table, pretty, cx));
    shown.unwrap_or_else(|| check.condition.clone())
}

/// A DEFAULT, or what a column is generated from, as PostgreSQL shows it; relations are named by identifier.
pub(in crate::session) fn default(
    definitions: &Definitions,
    table: &Table,
    column: &Column,
    stored: &str,
    pretty: bool,
) -> String {
    let shown = with_binder(definitions, |cx| {
        if column.is_stored() {
            show_generated(stored, column, table, pretty, cx)
        } else {
            show_default(stored, column, pretty, cx)
        }
    });
    shown.unwrap_or_else(|| stored.to_owned())
}

/// CHECK of a domain.
pub(super) fn domain_check(domain: &Domain, check: &DomainCheck, pretty: bool) -> String {
    let valid = if check.is_valid { "" } else { " NOT VALID" };
    let shown = show_domain_check(&check.condition, domain.base, pretty);
    format!("CHECK ({}){valid}", shown.unwrap_or_else(|_| check.condition.clone()))
}

/// The DEFAULT of a domain as PostgreSQL shows it.
pub(in crate::session) fn domain_default(
    definitions: &Definitions,
    domain: &Domain,
    stored: &str,
) -> String {
    let shown = with_binder(definitions, |cx| show_domain_default(stored, domain.base, cx));
    shown.unwrap_or_else(|| stored.to_owned())
}

/// WHEN of a trigger as PostgreSQL shows it.
pub(super) fn trigger_condition(
    definitions: &Definitions,
    table: &Arc<Table>,
    trigger: &Trigger,
    condition: &str,
    pretty: bool,
) -> String {
    let shown = with_binder(definitions, |cx| {
        show_trigger_condition(condition, table, trigger, pretty, cx)
    });
    shown.unwrap_or_else(|| condition.to_owned())
}

/// A shown expression with the names of relations where it has identifiers: `'16384'::regclass`.
pub(super) fn with_names(shown: &str, name_of: &dyn Fn(u32) -> Option<String>) -> String {
    let mut out = String::with_capacity(shown.len());
    let mut pieces = shown.split('\'').peekable();
    while let Some(piece) = pieces.next() {
        let is_relation = pieces.peek().is_some_and(|next| next.starts_with("::regclass"));
        let name = piece.parse().ok().filter(|_| is_relation).and_then(name_of);
        match name {
            Some(name) => out.push_str(&name.replace('\'', "''")),
            None => out.push_str(piece),
        }
        if pieces.peek().is_some() {
            out.push('\'');
        }
    }
    out
}

/// The columns that a CHECK names.
pub(in crate::session) fn checked_columns(
    definitions: &Definitions,
    table: &Table,
    check: &Check,
) -> Vec<ColumnId> {
    with_binder(definitions, |cx| check_columns(&check.condition, table, cx)).unwrap_or_default()
}

/// Binds a stored text, which names no table, and functions and types with their schemas.
fn with_binder<T>(
    definitions: &Definitions,
    work: impl FnOnce(&mut BindContext<'_>) -> Result<T>,
) -> Option<T> {
    let eval = EvalContext::default();
    let (mut catalog, mut param_types) = (Stored(definitions), Vec::new());
    let mut cx = BindContext {
        catalog: &mut catalog,
        eval: &eval,
        param_types: &mut param_types,
        params: None,
        variables: None,
    };
    work(&mut cx).ok()
}

/// The catalog of expressions that name relations by identifier only.
struct Stored<'a>(&'a Definitions);

impl Catalog for Stored<'_> {
    fn table(&mut self, _: Option<&str>, _: &str, _: CatalogAt) -> Result<Option<Arc<Table>>> {
        Ok(None)
    }

    fn table_by_id(&mut self, _: TableId) -> Result<Option<Arc<Table>>> {
        Ok(None)
    }

    fn index(&mut self, _: Option<&str>, _: &str) -> Result<Option<(Arc<Table>, IndexId)>> {
        Ok(None)
    }

    fn tables(&mut self, _: CatalogAt) -> Result<Vec<Arc<Table>>> {
        Ok(Vec::new())
    }

    fn objects_named(
        &mut self,
        space: NameSpace,
        schema: Option<&str>,
        name: &str,
        _: CatalogAt,
    ) -> Result<Vec<Arc<Object>>> {
        let Some(schema) = schema.filter(|_| space != NameSpace::Relation) else {
            return Ok(Vec::new());
        };
        let is_it = |object: &&Arc<Object>| {
            object.kind.name_space() == space && object.schema == schema && object.name == name
        };
        Ok(self.0.objects.iter().filter(is_it).cloned().collect())
    }

    fn time_of_sequence(&mut self, sequence: u64) -> Result<Timestamp> {
        Err(SqlError::internal(format!("an expression names commit {sequence}")))
    }
}

/// FOREIGN KEY; the referenced table under the name that the search path asks for.
pub(super) fn foreign_key(
    table: &Table,
    key: &ForeignKey,
    referenced: &Table,
    referenced_name: &str,
) -> String {
    let mut text = format!(
        "FOREIGN KEY ({}) REFERENCES {referenced_name}({})",
        columns(table, &key.columns),
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

/// CREATE INDEX; on a table under some name, or its whole one.
pub(in crate::session) fn index(
    definitions: &Definitions,
    table: &Table,
    index: &Index,
    name: Option<String>,
    pretty: bool,
) -> String {
    let name = name.unwrap_or_else(|| format!("{}.{}", quoted(&table.schema), quoted(&table.name)));
    let key = |(place, key): (usize, &IndexColumn)| {
        let class = match table.place(key.column).map(|place| table.type_at(place)) {
            _ if !key.by_pattern => "",
            Some(DataType::Varchar) => " varchar_pattern_ops",
            Some(DataType::Bpchar) => " bpchar_pattern_ops",
            _ => " text_pattern_ops",
        };
        let order = match (key.descending, key.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        format!("{}{class}{order}", index_column(definitions, table, index, place, pretty))
    };
    let keys: Vec<String> = index.columns.iter().enumerate().map(key).collect();
    let mut text = format!(
        "CREATE {}INDEX {} ON {name} USING {} ({}){}",
        if index.unique { "UNIQUE " } else { "" },
        quoted(&index.name),
        if index.is_hash { "hash" } else { "btree" },
        keys.join(", "),
        include(table, index)
    );
    if index.nulls_equal {
        text.push_str(" NULLS NOT DISTINCT");
    }
    if !index.options.is_empty() {
        let option = |(name, value): &(String, String)| format!("{}='{value}'", quoted(name));
        let options: Vec<String> = index.options.iter().map(option).collect();
        text.push_str(&format!(" WITH ({})", options.join(", ")));
    }
    if let Some(predicate) = index.predicate {
        text.push_str(&format!(" WHERE {}", term(definitions, table, predicate, pretty, true)));
    }
    text
}

/// An expression without the brackets around the whole of it.
pub(super) fn without_brackets(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else {
        return text;
    };
    let (mut depth, mut quote) = (0i32, None);
    for c in inner.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => match c {
                '\'' | '"' => quote = Some(c),
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            },
        }
        if depth < 0 {
            return text;
        }
    }
    inner
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_taken_off_only_around_the_whole() {
        for (text, expected) in [
            ("(1 + 2)", "1 + 2"),
            ("(1) + (2)", "(1) + (2)"),
            ("(')' || 'a')", "')' || 'a'"),
            ("now()", "now()"),
        ] {
            assert_eq!(without_brackets(text), expected);
        }
    }
}
