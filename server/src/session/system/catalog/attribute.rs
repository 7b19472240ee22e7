//! pg_attribute and pg_attrdef: the columns of tables, indexes and system relations.

use driftdb_query::{Generated, Result, Subject};
use driftdb_types::{DataType, Value};

use super::super::super::ask::default_definition;
use super::super::declared::declared;
use super::super::fixed::type_facts;
use super::super::rows::{Columns, Rows};
use super::{Definitions, FIRST_DEFAULT, default_of, sequence, small};

/// What a row says.
pub(super) struct Attribute<'a> {
    pub(super) relation: u32,
    pub(super) name: &'a str,
    pub(super) number: usize,
    pub(super) ty: DataType,
    pub(super) typmod: i32,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    pub(super) identity: &'a str,
    pub(super) generated: &'a str,
    /// `attacl`
    pub(super) list: Value,
}

#[expect(clippy::too_many_lines, reason = "one row for each kind of relation")]
pub(super) fn rows(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "attrelid",
        "attname",
        "atttypid",
        "attlen",
        "attnum",
        "atttypmod",
        "attbyval",
        "attalign",
        "attstorage",
        "attnotnull",
        "atthasdef",
        "attcollation",
        "attidentity",
        "attgenerated",
        "attacl",
    ])?;
    for relation in declared() {
        for (place, &(name, ty)) in relation.definition.columns.iter().enumerate() {
            let relation = relation.definition.oid;
            let (number, typmod) = (place + 1, -1);
            let (not_null, has_default) = (false, false);
            let (identity, generated) = ("", "");
            add(
                &mut columns,
                &Attribute {
                    relation,
                    name,
                    number,
                    ty,
                    typmod,
                    not_null,
                    has_default,
                    identity,
                    generated,
                    list: Value::Null,
                },
            )?;
        }
    }
    super::view::attributes(definitions, &mut columns)?;
    for table in &definitions.tables {
        for column in &table.columns {
            add(
                &mut columns,
                &Attribute {
                    relation: table.id.0,
                    name: &column.name,
                    number: column.id.0.into(),
                    ty: column.ty,
                    typmod: column.typmod,
                    not_null: column.not_null,
                    has_default: default_of(column).is_some(),
                    identity: match column.generated {
                        Some(Generated::Identity { always: true, .. }) => "a",
                        Some(Generated::Identity { always: false, .. }) => "d",
                        _ => "",
                    },
                    generated: if column.is_stored() { "s" } else { "" },
                    list: definitions.list_of(Subject::column(table.id.0, column.id.0))?,
                },
            )?;
        }
        for index in &table.indexes {
            let keys = index.columns.iter().map(|key| key.column);
            let keys = keys.chain(index.include.iter().copied()).enumerate();
            for (place, id) in keys {
                let (name, ty, typmod) = match (table.term(id), table.position(id)) {
                    (Some(term), _) => (&term.name, term.ty, -1),
                    (None, Some(at)) => {
                        let column = &table.columns[at];
                        (&column.name, column.ty, column.typmod)
                    }
                    (None, None) => continue,
                };
                // A hash index has hashes.
                let ty = if index.is_hash { DataType::Int4 } else { ty };
                add(
                    &mut columns,
                    &Attribute {
                        relation: index.id.0,
                        name,
                        number: place + 1,
                        ty,
                        typmod,
                        not_null: false,
                        has_default: false,
                        identity: "",
                        generated: "",
                        list: Value::Null,
                    },
                )?;
            }
        }
    }
    for (object, fields, _) in super::user_type::composites(definitions) {
        for field in fields {
            add(
                &mut columns,
                &Attribute {
                    relation: object.id.0,
                    name: &field.name,
                    number: field.number.into(),
                    ty: field.ty,
                    typmod: field.typmod,
                    not_null: false,
                    has_default: false,
                    identity: "",
                    generated: "",
                    list: Value::Null,
                },
            )?;
        }
    }
    for (object, _) in definitions.sequences() {
        for (place, (name, ty)) in sequence::COLUMNS.into_iter().enumerate() {
            let (number, typmod, not_null, has_default) = (place + 1, -1, true, false);
            let (relation, identity, generated) = (object.id.0, "", "");
            add(
                &mut columns,
                &Attribute {
                    relation,
                    name,
                    number,
                    ty,
                    typmod,
                    not_null,
                    has_default,
                    identity,
                    generated,
                    list: Value::Null,
                },
            )?;
        }
    }
    Ok(())
}

pub(super) fn add(columns: &mut Columns<'_, '_, 15>, attribute: &Attribute<'_>) -> Result<()> {
    let facts = type_facts(attribute.ty);
    columns.add([
        Value::Oid(attribute.relation),
        Value::text(attribute.name),
        Value::Oid(attribute.ty.oid()),
        Value::text(facts.len),
        small(attribute.number),
        Value::Int4(attribute.typmod),
        Value::text(facts.by_value),
        Value::text(facts.align),
        Value::text(facts.storage),
        Value::Bool(attribute.not_null),
        Value::Bool(attribute.has_default),
        Value::Oid(facts.collation),
        Value::text(attribute.identity),
        Value::text(attribute.generated),
        attribute.list.clone(),
    ])
}

/// pg_attrdef. The expression is kept as text, and given so.
pub(super) fn defaults(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns(["oid", "adrelid", "adnum", "adbin"])?;
    for (oid, table, column, text) in definitions.defaults() {
        columns.add([
            Value::Oid(oid),
            Value::Oid(table.id.0),
            small(column.id.0.into()),
            Value::text(default_definition(definitions, table, column, text, false)),
        ])?;
    }
    let mut of_views = FIRST_DEFAULT + definitions.defaults().count() as u32..;
    for (object, view) in super::view::views(definitions) {
        for (place, column) in view.columns.iter().enumerate() {
            let (Some(text), Some(oid)) = (&column.default, of_views.next()) else { continue };
            columns.add([
                Value::Oid(oid),
                Value::Oid(object.id.0),
                small(place + 1),
                Value::text(text.as_str()),
            ])?;
        }
    }
    Ok(())
}
