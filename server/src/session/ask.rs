//! Answers to what functions ask of the catalog.
//!
//! Functions see the definitions as of their statement, whatever times its tables are read at: they are
//! lent before a statement that asks is bound or run ([`super::actions`]).

mod definition;
mod names;

use std::sync::Arc;

use driftdb_query::{SYSTEM_SCHEMA, Table};
use driftdb_types::{CatalogQuestion, DataType, SqlState, Value, ValueError};

use super::system::{
    Constraint, Definitions, SCHEMAS, fixed_function, relation_with_oid, role_names,
};
use names::{Qualified, qualified};

pub(super) use definition::index as index_definition;

/// Whoever answers.
pub(super) struct Answering<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) user: &'a str,
    /// The schemas on the search path.
    pub(super) path: &'a [Box<str>],
}

impl Answering<'_> {
    /// As `SessionActions::ask`.
    pub(super) fn answer(
        &self,
        question: CatalogQuestion,
        args: &[Value],
    ) -> Result<Value, ValueError> {
        let oid = args.first().and_then(Value::as_int).unwrap_or_default() as u32;
        let wanted = |name: Option<String>| Ok(name.map_or(Value::Null, Value::text));
        match question {
            CatalogQuestion::TableIsVisible => Ok(self.relation_is_visible(oid)),
            CatalogQuestion::TypeIsVisible => Ok(known(DataType::from_oid(oid).is_some())),
            CatalogQuestion::FunctionIsVisible => Ok(known(fixed_function(oid).is_some())),
            CatalogQuestion::OtherIsVisible => Ok(Value::Bool(true)),
            CatalogQuestion::ConstraintDefinition => wanted(self.constraint(oid)),
            CatalogQuestion::IndexDefinition => {
                let column = args.get(1).and_then(Value::as_int).unwrap_or_default();
                wanted(self.index(oid, column))
            }
            CatalogQuestion::ViewDefinition => wanted(
                relation_with_oid(oid)
                    .and_then(|relation| relation.view)
                    .map(|text| format!("{text};")),
            ),
            CatalogQuestion::FunctionArguments => {
                wanted(fixed_function(oid).map(|function| names::type_list(&function.args)))
            }
            CatalogQuestion::FunctionResult => {
                wanted(fixed_function(oid).map(|function| names::type_name(function.result)))
            }
            CatalogQuestion::UserName => {
                let mut roles = role_names(self.user).into_iter();
                let found = roles.find(|role| role.0 == oid).map(|role| role.1);
                Ok(Value::text(found.unwrap_or_else(|| format!("unknown (OID={oid})"))))
            }
            CatalogQuestion::SerialSequence => {
                let (table, column) = (text(args, 0)?, text(args, 1)?);
                let oid = self.relation_oid(table)?;
                let exists = match self.definitions.table(oid) {
                    Some(table) => table.column(column).is_some(),
                    None => true,
                };
                if exists {
                    return Ok(Value::Null);
                }
                let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
                Err(ValueError::new(SqlState::UndefinedColumn, message))
            }
            CatalogQuestion::TablePrivilege => match object(args) {
                Value::Text(name) => self.relation_oid(name).map(|_| Value::Bool(true)),
                oid => {
                    Ok(known(self.relation_name(oid.as_int().unwrap_or_default() as u32).is_some()))
                }
            },
            CatalogQuestion::SchemaPrivilege => match object(args) {
                Value::Text(name) if SCHEMAS.iter().all(|schema| schema.1 != &**name) => {
                    let message = format!("schema \"{name}\" does not exist");
                    Err(ValueError::new(SqlState::InvalidSchemaName, message))
                }
                Value::Text(_) => Ok(Value::Bool(true)),
                oid => {
                    let oid = oid.as_int().unwrap_or_default();
                    Ok(known(SCHEMAS.iter().any(|schema| i64::from(schema.0) == oid)))
                }
            },
            CatalogQuestion::OtherPrivilege => Ok(Value::Bool(true)),
        }
    }

    /// Whether a name without a schema means this relation: one of the system hides a user's.
    fn relation_is_visible(&self, oid: u32) -> Value {
        match self.relation_name(oid) {
            Some((schema, name)) => Value::Bool(match schema {
                SYSTEM_SCHEMA => true,
                schema => {
                    self.path.iter().any(|on_path| **on_path == *schema)
                        && super::system::relation_named(None, name).is_none()
                }
            }),
            None => Value::Null,
        }
    }

    /// Schema and name of a table, index or system relation.
    fn relation_name(&self, oid: u32) -> Option<(&str, &str)> {
        if let Some(relation) = relation_with_oid(oid) {
            return Some((relation.schema, relation.name));
        }
        if let Some(table) = self.definitions.table(oid) {
            return Some((&table.schema, &table.name));
        }
        let (table, index) = self.definitions.index(oid)?;
        Some((&table.schema, &index.name))
    }

    /// The relation that a text names.
    fn relation_oid(&self, text: &str) -> Result<u32, ValueError> {
        let name = qualified(text)?;
        self.find_relation(&name).ok_or_else(|| {
            let message = format!("relation \"{}\" does not exist", name.display());
            ValueError::new(SqlState::UndefinedTable, message)
        })
    }

    fn find_relation(&self, name: &Qualified) -> Option<u32> {
        let of_system = super::system::relation_named(name.schema.as_deref(), &name.name);
        of_system.map(|relation| relation.oid).or_else(|| match &name.schema {
            Some(schema) => self.definitions.named(schema, &name.name),
            None => self.path.iter().find_map(|schema| {
                let of_system = super::system::relation_named(Some(schema), &name.name);
                let of_system = of_system.map(|relation| relation.oid);
                of_system.or_else(|| self.definitions.named(schema, &name.name))
            }),
        })
    }

    fn constraint(&self, oid: u32) -> Option<String> {
        let mut all = self.definitions.constraints();
        let (_, table, constraint) = all.find(|constraint| constraint.0 == oid)?;
        Some(match constraint {
            Constraint::Key(index) => definition::key(table, index),
            Constraint::Check(check) => definition::check(check),
            Constraint::Foreign(key) => {
                let referenced = self.definitions.table(key.referenced.0)?;
                definition::foreign_key(table, key, referenced)
            }
        })
    }

    fn index(&self, oid: u32, column: i64) -> Option<String> {
        let (table, index): (&Arc<Table>, _) = self.definitions.index(oid)?;
        if column == 0 {
            return Some(definition::index(table, index));
        }
        let place = usize::try_from(column).ok()?.checked_sub(1)?;
        Some(match index.columns.get(place) {
            Some(key) => definition::column_name(table, key.column),
            None => String::new(),
        })
    }
}

fn known(exists: bool) -> Value {
    if exists { Value::Bool(true) } else { Value::Null }
}

fn text(args: &[Value], index: usize) -> Result<&str, ValueError> {
    args.get(index).and_then(Value::as_str).ok_or_else(|| {
        ValueError::new(SqlState::InternalError, "a question about the catalog without a name")
    })
}

/// The object that privileges are asked of: before the privilege, perhaps after a role.
fn object(args: &[Value]) -> &Value {
    args.len().checked_sub(2).map_or(&Value::Null, |place| &args[place])
}
