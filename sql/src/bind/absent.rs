//! DROP of kinds of things of which there are none: a notice with IF EXISTS, else an error.
//!
//! Source: PostgreSQL 15, commands/dropcmds.c (does_not_exist_skipping), whose texts these are.

use driftdb_query::{CatalogAt, Result, SqlError, ViewStatement};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::as_of::qualified;
use super::schema::no_such_schema;
use crate::front::absent::{Absent, AbsentBody};

impl Binder<'_> {
    pub(crate) fn drop_absent(&mut self, body: &AbsentBody) -> Result<ViewStatement> {
        let mut notices = Vec::new();
        for thing in &body.things {
            let error = match self.absence(thing, body.if_exists) {
                Ok(error) | Err(error) => error,
            };
            let is_missing = matches!(
                error.state,
                SqlState::UndefinedObject
                    | SqlState::UndefinedFunction
                    | SqlState::UndefinedTable
                    | SqlState::InvalidSchemaName
                    | SqlState::InvalidCatalogName
            );
            if !body.if_exists || !is_missing {
                return Err(error);
            }
            notices.push(format!("{}, skipping", error.message));
        }
        Ok(ViewStatement::Nothing { notices, command: body.command })
    }

    /// That something is not there.
    fn absence(&mut self, thing: &Absent, is_notice: bool) -> Result<SqlError> {
        let missing = |message: String| Ok(SqlError::new(SqlState::UndefinedObject, message));
        match thing {
            Absent::Named(kind, name) => {
                self.check_schema(name.schema.as_deref())?;
                let known: &[&str] = match *kind {
                    "language" => &["sql", "plpgsql", "c", "internal"],
                    "extension" => &["plpgsql"],
                    "access method" => &["heap", "btree"],
                    "tablespace" => &["pg_default", "pg_global"],
                    _ => &[],
                };
                if known.contains(&&*name.name) {
                    let message = format!(
                        "cannot drop {kind} {} because it is required by the database system",
                        name.name
                    );
                    return Ok(SqlError::new(SqlState::DependentObjectsStillExist, message));
                }
                let shown = qualified(name.schema.as_deref(), &name.name);
                let message = format!("{kind} \"{shown}\" does not exist");
                if *kind == "foreign table" {
                    return Ok(SqlError::new(SqlState::UndefinedTable, message));
                }
                missing(message)
            }
            Absent::Collation(name) => {
                self.check_schema(name.schema.as_deref())?;
                let shown = qualified(name.schema.as_deref(), &name.name);
                let of = if is_notice { "" } else { " for encoding \"UTF8\"" };
                missing(format!("collation \"{shown}\"{of} does not exist"))
            }
            Absent::Aggregate(name, types) => {
                self.check_schema(name.schema.as_deref())?;
                if super::call::is_aggregate(&name.name) {
                    return Err(SqlError::unsupported("DROP AGGREGATE of the system's"));
                }
                let shown = qualified(name.schema.as_deref(), &name.name);
                let types = match types {
                    None => "*".to_owned(),
                    Some(types) => types
                        .iter()
                        .map(|ty| self.shown_type(ty))
                        .collect::<Result<Vec<_>>>()?
                        .join(","),
                };
                let message = format!("aggregate {shown}({types}) does not exist");
                Ok(SqlError::new(SqlState::UndefinedFunction, message))
            }
            Absent::Operator(symbol, sides) => {
                let mut shown = Vec::new();
                for side in sides {
                    match side {
                        Some(ty) => shown.push(self.shown_type(ty)?),
                        None => shown.push(String::new()),
                    }
                }
                let message = if is_notice {
                    format!("operator {symbol} does not exist")
                } else {
                    let text = format!("{} {symbol} {}", shown[0], shown[1]);
                    format!("operator does not exist: {}", text.trim())
                };
                Ok(SqlError::new(SqlState::UndefinedFunction, message))
            }
            Absent::Cast(from, to) => {
                let (from, to) = (self.shown_type(from)?, self.shown_type(to)?);
                missing(format!("cast from type {from} to type {to} does not exist"))
            }
            Absent::Of(kind, name, relation) => {
                self.check_schema(relation.schema.as_deref())?;
                self.named_relation(relation)?;
                let relation = &relation.name;
                missing(format!("{kind} \"{name}\" for relation \"{relation}\" does not exist"))
            }
            Absent::OfMethod(kind, name, method) => {
                if !matches!(&**method, "btree" | "hash" | "gist" | "gin" | "spgist" | "brin") {
                    return missing(format!("access method \"{method}\" does not exist"));
                }
                self.check_schema(name.schema.as_deref())?;
                let shown = qualified(name.schema.as_deref(), &name.name);
                missing(format!("{kind} \"{shown}\" does not exist for access method \"{method}\""))
            }
            Absent::Database(name) if **name == *self.eval.database => {
                Ok(SqlError::new(SqlState::ObjectInUse, "cannot drop the currently open database"))
            }
            Absent::Database(name) => {
                let message = format!("database \"{name}\" does not exist");
                Ok(SqlError::new(SqlState::InvalidCatalogName, message))
            }
        }
    }

    fn check_schema(&mut self, schema: Option<&str>) -> Result<()> {
        if let Some(schema) = schema
            && self.catalog.schema(schema, CatalogAt::Statement)?.is_none()
        {
            return Err(no_such_schema(schema));
        }
        Ok(())
    }

    fn shown_type(&mut self, ty: &ast::DataType) -> Result<String> {
        Ok(self.type_name(ty)?.0.sql_name().to_owned())
    }
}
