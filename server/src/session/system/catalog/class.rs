//! pg_class: tables, indexes, and the system relations themselves.

use driftdb_concurrency::Keep;
use driftdb_query::{Result, Securable, Subject, Table, TablePart, is_temporary, row_type_oid};
use driftdb_types::{Array, DataType, EvalContext, Value, write_text};

use super::super::super::ask::{column_name, quoted};
use super::super::declared::declared;
use super::super::retention::interval;
use super::super::rows::{Columns, Rows, braced};
use super::{BTREE, Definitions, HASH, HEAP, sequence, small, user_type};

/// A row of pg_class: what its kinds of relations do not share.
pub(super) struct Class<'a> {
    pub(super) id: u32,
    pub(super) name: &'a str,
    pub(super) schema: &'a str,
    pub(super) kind: char,
    /// The access method, or 0.
    pub(super) method: u32,
    /// Whether it has storage of its own.
    pub(super) is_stored: bool,
    pub(super) tuples: f32,
    pub(super) has_index: bool,
    /// How many columns it has.
    pub(super) columns: usize,
    pub(super) checks: usize,
    pub(super) has_triggers: bool,
    pub(super) has_rules: bool,
    pub(super) options: Value,
    pub(super) owner: Value,
    /// Who may do what.
    pub(super) list: Value,
    /// The type of its rows, or 0.
    pub(super) row_type: u32,
    /// Whether it may be read.
    pub(super) is_populated: bool,
}

pub(super) type ClassColumns<'r, 'a> = Columns<'r, 'a, 18>;

impl<'a> Class<'a> {
    /// A relation without storage, indexes and rights.
    pub(super) fn new(id: u32, name: &'a str, schema: &'a str, kind: char) -> Self {
        Self {
            id,
            name,
            schema,
            kind,
            method: 0,
            is_stored: false,
            tuples: -1.0,
            has_index: false,
            columns: 0,
            checks: 0,
            has_triggers: false,
            has_rules: false,
            options: Value::Null,
            owner: Value::Null,
            list: Value::Null,
            row_type: 0,
            is_populated: true,
        }
    }

    pub(super) fn add_to(
        self,
        columns: &mut ClassColumns<'_, '_>,
        definitions: &Definitions,
    ) -> Result<()> {
        columns.add([
            Value::Oid(self.id),
            Value::text(self.name),
            Value::Oid(definitions.schema_oid(self.schema)),
            Value::text(self.kind.to_string()),
            Value::Oid(self.method),
            Value::Oid(if self.is_stored { self.id } else { 0 }),
            Value::Float4(self.tuples),
            Value::Bool(self.has_index),
            small(self.columns),
            small(self.checks),
            Value::Bool(self.has_triggers),
            Value::Bool(self.has_rules),
            self.options,
            Value::text(if is_temporary(self.schema) { "t" } else { "p" }),
            self.owner,
            self.list,
            Value::Oid(self.row_type),
            Value::Bool(self.is_populated),
        ])
    }
}

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
        "relispopulated",
    ])?;
    for relation in declared() {
        let it = &relation.definition;
        let class = Class {
            method: if relation.kind == 'r' { HEAP } else { 0 },
            columns: it.columns.len(),
            has_rules: relation.kind == 'v',
            owner: owner(definitions, it.oid),
            list: definitions.list_of(Subject::whole(Securable::Table, it.oid))?,
            ..Class::new(it.oid, it.name, it.schema, relation.kind)
        };
        class.add_to(&mut columns, definitions)?;
    }
    super::view::classes(definitions, &mut columns)?;
    for table in &definitions.tables {
        table_and_indexes(table, definitions, &mut columns)?;
    }
    for (object, _) in definitions.sequences() {
        let subject = Subject::whole(Securable::Sequence, object.id.0);
        let class = Class {
            is_stored: true,
            tuples: 1.0,
            columns: sequence::COLUMNS.len(),
            owner: definitions.owner_of(subject),
            list: definitions.list_of(subject)?,
            ..Class::new(object.id.0, &object.name, &object.schema, 'S')
        };
        class.add_to(&mut columns, definitions)?;
    }
    for (object, _, highest) in user_type::composites(definitions) {
        let class = Class {
            columns: highest,
            owner: owner(definitions, object.id.0),
            row_type: object.id.0,
            ..Class::new(object.id.0, &object.name, &object.schema, 'c')
        };
        class.add_to(&mut columns, definitions)?;
    }
    Ok(())
}

fn table_and_indexes(
    table: &Table,
    definitions: &Definitions,
    columns: &mut ClassColumns<'_, '_>,
) -> Result<()> {
    let tuples = table.row_count.map_or(-1.0, |count| count as f32);
    let kind = if table.materialized().is_some() { 'm' } else { 'r' };
    let class = Class {
        method: HEAP,
        is_stored: true,
        tuples,
        has_index: !table.indexes.is_empty(),
        columns: highest_number(table),
        checks: table.checks.len(),
        // Foreign keys are looked for where there are triggers.
        has_triggers: !table.foreign_keys.is_empty()
            || !table.referenced_by.is_empty()
            || table.needs.iter().any(|needing| needing.part == TablePart::Trigger),
        owner: owner(definitions, table.id.0),
        list: definitions.list_of(Subject::whole(Securable::Table, table.id.0))?,
        has_rules: table.materialized().is_some(),
        row_type: row_type_oid(table.id.0),
        is_populated: table.is_populated(),
        options: table_options(table, definitions)?,
        ..Class::new(table.id.0, &table.name, &table.schema, kind)
    };
    class.add_to(columns, definitions)?;
    for index in &table.indexes {
        let class = Class {
            method: if index.is_hash { HASH } else { BTREE },
            is_stored: true,
            tuples,
            columns: index.columns.len() + index.include.len(),
            options: options(&index.options),
            owner: owner(definitions, table.id.0),
            ..Class::new(index.id.0, &index.name, &table.schema, 'i')
        };
        class.add_to(columns, definitions)?;
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

/// What CREATE TABLE of DriftDB has and PostgreSQL's has not, as storage parameters, so that it is dumped.
fn table_options(table: &Table, definitions: &Definitions) -> Result<Value> {
    let mut options = Vec::new();
    if let Some(keep) = definitions.retentions.get(&table.id) {
        options.push(match keep {
            Keep::Forever => "retention=forever".to_owned(),
            Keep::For(period) => {
                let mut text = b"retention=".to_vec();
                let interval = Value::Interval(interval(*period));
                write_text(&interval, DataType::Interval, &EvalContext::default(), &mut text);
                String::from_utf8_lossy(&text).into_owned()
            }
        });
    }
    if let Some(period) = &table.period {
        let column = |id| column_name(table, id);
        let (start, end) = (column(period.start), column(period.end));
        options.push(format!("period={} ({start}, {end})", quoted(&period.name)));
    }
    if options.is_empty() {
        return Ok(Value::Null);
    }
    let options = options.into_iter().map(Value::text).collect();
    Ok(Value::array(Array::from_values(DataType::Text, options)?))
}

/// The number of the last column, dropped ones counted.
fn highest_number(table: &Table) -> usize {
    let last = table.columns.iter().map(|column| column.id.0).max().unwrap_or(0);
    usize::from(last.max(table.dropped_columns))
}
