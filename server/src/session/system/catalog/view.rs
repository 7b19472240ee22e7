//! Views in the catalog: pg_class, pg_attribute, pg_rewrite, and what they depend on.
//!
//! A view's rule has the view's identifier with a bit of its own.

use driftdb_query::{
    CheckOption, Object, ObjectKind, Result, Securable, Subject, View, row_type_oid,
};
use driftdb_types::Value;

use super::super::rows::{Columns, Rows};
use super::Definitions;
use super::attribute::{Attribute, add};
use super::class::{Class, ClassColumns, owner};
use super::classes::{PG_CLASS, PG_NAMESPACE, PG_REWRITE};

/// Sets rules apart from views.
const RULE: u32 = 1 << 29;

pub(super) fn views(definitions: &Definitions) -> impl Iterator<Item = (&Object, &View)> {
    definitions.objects.iter().filter_map(|object| {
        if let ObjectKind::View(view) = &object.kind { Some((&**object, view)) } else { None }
    })
}

/// What has a rule: views, and the tables that are materialized views; each with what the rule needs.
fn with_rules(definitions: &Definitions) -> impl Iterator<Item = (u32, &Object)> {
    definitions.objects.iter().filter_map(|object| match &object.kind {
        ObjectKind::View(_) => Some((object.id.0, &**object)),
        ObjectKind::Materialized(it) => Some((it.table.0, &**object)),
        _ => None,
    })
}

/// pg_class
pub(super) fn classes(definitions: &Definitions, columns: &mut ClassColumns<'_, '_>) -> Result<()> {
    for (object, view) in views(definitions) {
        let class = Class {
            columns: view.columns.len(),
            has_rules: true,
            options: match view.check {
                None => Value::Null,
                Some(CheckOption::Local) => Value::text("{check_option=local}"),
                Some(CheckOption::Cascaded) => Value::text("{check_option=cascaded}"),
            },
            owner: owner(definitions, object.id.0),
            list: definitions.list_of(Subject::whole(Securable::Table, object.id.0))?,
            row_type: row_type_oid(object.id.0),
            ..Class::new(object.id.0, &object.name, &object.schema, 'v')
        };
        class.add_to(columns, definitions)?;
    }
    Ok(())
}

/// pg_attribute
pub(super) fn attributes(
    definitions: &Definitions,
    columns: &mut Columns<'_, '_, 15>,
) -> Result<()> {
    for (object, view) in views(definitions) {
        for (place, column) in view.columns.iter().enumerate() {
            add(
                columns,
                &Attribute {
                    relation: object.id.0,
                    name: &column.name,
                    number: place + 1,
                    ty: column.ty,
                    typmod: column.typmod,
                    not_null: false,
                    has_default: column.default.is_some(),
                    identity: "",
                    generated: "",
                    list: definitions.list_of(Subject::column(object.id.0, (place + 1) as u16))?,
                },
            )?;
        }
    }
    Ok(())
}

/// pg_rewrite
pub(super) fn rules(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "oid",
        "rulename",
        "ev_class",
        "ev_type",
        "ev_enabled",
        "is_instead",
        "ev_qual",
    ])?;
    for (relation, _) in with_rules(definitions) {
        columns.add([
            Value::Oid(relation | RULE),
            Value::text("_RETURN"),
            Value::Oid(relation),
            Value::text("1"),
            Value::text("O"),
            Value::Bool(true),
            Value::text("<>"),
        ])?;
    }
    Ok(())
}

/// pg_depend: adds each by what depends, on what, and how.
pub(super) fn dependencies(
    definitions: &Definitions,
    add: &mut impl FnMut((u32, u32), (u32, u32, u16), &str) -> Result<()>,
) -> Result<()> {
    for (object, _) in views(definitions) {
        add(
            (PG_CLASS, object.id.0),
            (PG_NAMESPACE, definitions.schema_oid(&object.schema), 0),
            "n",
        )?;
    }
    for (relation, object) in with_rules(definitions) {
        let rule = (PG_REWRITE, relation | RULE);
        add(rule, (PG_CLASS, relation, 0), "i")?;
        for need in object.needs.iter().filter(|need| need.id != relation) {
            let is_relation =
                definitions.table(need.id).is_some() || definitions.object(need.id).is_some();
            if is_relation {
                add(rule, (PG_CLASS, need.id, need.column.map_or(0, |column| column.0)), "n")?;
            }
        }
    }
    Ok(())
}
