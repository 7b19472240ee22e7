//! Schemas: statements about them, and in which one something new is made.
//!
//! Source: PostgreSQL 15, src/backend/catalog/namespace.c and commands/schemacmds.c, whose rules and texts
//! these are.

use std::sync::Arc;

use driftdb_query::{
    CatalogAt, OWNER, Result, SYSTEM_SCHEMA, Schema, SchemaStatement, SqlError, Statement,
    TEMPORARY, is_temporary, temporary_schema,
};
use driftdb_types::SqlState;

use super::Binder;
use super::alter::skipped;
use super::as_of::no_such_table;
use crate::front::cursor::QualifiedName;
use crate::front::schema::{RoleName, SchemaBody};

impl Binder<'_> {
    pub(crate) fn schema_statement(&mut self, body: &SchemaBody) -> Result<Statement> {
        Ok(Statement::Schema(match body {
            SchemaBody::Create { name, if_not_exists, owner } => {
                let owner = owner.as_ref().unwrap_or(&RoleName::Current);
                let name = match name {
                    Some(name) => name.clone(),
                    None => self.role_name(owner),
                };
                check_name(&name)?;
                self.check_role(owner)?;
                SchemaStatement::Create { name, if_not_exists: *if_not_exists }
            }
            SchemaBody::Drop { names, if_exists, cascade } => {
                self.drop_schemas(names, *if_exists, *cascade)?
            }
            SchemaBody::Rename { name, to } => {
                let schema = self.changeable_schema(name, "rename")?;
                check_name(to)?;
                SchemaStatement::Rename { schema, to: to.clone() }
            }
            SchemaBody::SetOwner { name, owner } => {
                let schema = self.changeable_schema(name, "change the owner of")?;
                self.check_role(owner)?;
                SchemaStatement::SetOwner { schema }
            }
            SchemaBody::DropTemporary => {
                let own = temporary_schema(self.eval.backend_pid);
                let schema = self.catalog.schema(&own, CatalogAt::Statement)?;
                SchemaStatement::DropTemporary { schema }
            }
            SchemaBody::MoveTable { table, if_exists, to } => {
                return self.move_table(table, *if_exists, to);
            }
        }))
    }

    fn drop_schemas(
        &mut self,
        names: &[String],
        if_exists: bool,
        cascade: bool,
    ) -> Result<SchemaStatement> {
        let (mut schemas, mut notices) = (Vec::<Arc<Schema>>::new(), Vec::new());
        for name in names {
            match self.catalog.schema(name, CatalogAt::Statement)? {
                Some(schema) if schema.is_of_system() => {
                    let message = format!(
                        "cannot drop schema {name} because it is required by the database system"
                    );
                    return Err(SqlError::new(SqlState::DependentObjectsStillExist, message));
                }
                Some(schema) => {
                    if schemas.iter().all(|other| other.id != schema.id) {
                        schemas.push(schema);
                    }
                }
                None if if_exists => {
                    notices.push(format!("schema \"{name}\" does not exist, skipping"));
                }
                None => return Err(no_such_schema(name)),
            }
        }
        Ok(SchemaStatement::Drop { schemas, cascade, notices })
    }

    fn changeable_schema(&mut self, name: &str, what: &str) -> Result<Arc<Schema>> {
        let schema = self.existing_schema(name)?;
        if schema.is_of_system() {
            let message = format!("cannot {what} schema \"{name}\"");
            return Err(SqlError::new(SqlState::FeatureNotSupported, message)
                .with_detail("It is required by the database system."));
        }
        Ok(schema)
    }

    fn existing_schema(&mut self, name: &str) -> Result<Arc<Schema>> {
        let found = self.catalog.schema(name, CatalogAt::Statement)?;
        found.ok_or_else(|| no_such_schema(name))
    }

    fn move_table(
        &mut self,
        table: &QualifiedName,
        if_exists: bool,
        to: &str,
    ) -> Result<Statement> {
        let schema = table.schema.as_deref();
        let Some(found) = self.catalog.table(schema, &table.name, CatalogAt::Statement)? else {
            if if_exists {
                return Ok(skipped(&table.name));
            }
            return Err(self.missing_table(schema, &table.name));
        };
        let to = self.existing_schema(to)?;
        if found.schema != to.name && (is_temporary(&to.name) || is_temporary(&found.schema)) {
            let message = "cannot move objects into or out of temporary schemas";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        check_may_hold(&to.name, &found.name)?;
        let to = to.name.clone();
        Ok(Statement::Schema(SchemaStatement::MoveTable { table: found, to }))
    }

    /// The schema of this session's temporary tables, which a name may say or not. It is made when it is first
    /// needed.
    pub(crate) fn temporary_creation_schema(&mut self, named: Option<&str>) -> Result<String> {
        let own = temporary_schema(self.eval.backend_pid);
        match named {
            None | Some(TEMPORARY) => Ok(own),
            Some(named) if named == own => Ok(own),
            Some(named) => {
                self.existing_schema(named)?;
                let message = "cannot create temporary relation in non-temporary schema";
                Err(SqlError::new(SqlState::InvalidTableDefinition, message))
            }
        }
    }

    /// The schema in which something is made under a name, which says it or not.
    ///
    /// # Errors
    /// 3F000 if there is none, or not the one that was named; 42501 for the system's.
    pub(crate) fn creation_schema(&mut self, named: Option<&str>, name: &str) -> Result<String> {
        let schema = match named {
            Some(TEMPORARY) => return self.temporary_creation_schema(named),
            Some(named) if is_temporary(named) => {
                return if named == temporary_schema(self.eval.backend_pid) {
                    Ok(named.to_owned())
                } else {
                    self.existing_schema(named)?;
                    let message = "cannot create relations in temporary schemas of other sessions";
                    Err(SqlError::new(SqlState::InvalidTableDefinition, message))
                };
            }
            Some(named) => self.existing_schema(named)?.name.clone(),
            None => {
                let path = Arc::clone(&self.eval.schemas);
                let mut found = None;
                for schema in path.iter() {
                    if is_temporary(schema) {
                        return Ok(schema.to_string());
                    }
                    found = self.catalog.schema(schema, CatalogAt::Statement)?;
                    if found.is_some() {
                        break;
                    }
                }
                let Some(found) = found else {
                    let message = "no schema has been selected to create in";
                    return Err(SqlError::new(SqlState::InvalidSchemaName, message));
                };
                found.name.clone()
            }
        };
        check_may_hold(&schema, name)?;
        self.ask_create_in(&schema)?;
        Ok(schema)
    }

    /// Whether a table that is about to be in a schema will be what its name alone means.
    pub(crate) fn comes_first(&mut self, schema: &str, name: &str) -> Result<bool> {
        let path = Arc::clone(&self.eval.schemas);
        for on_path in path.iter() {
            if **on_path == *schema {
                return Ok(true);
            }
            if self.catalog.table(Some(on_path), name, CatalogAt::Statement)?.is_some() {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// The error for a table that a statement must have and that is not there: where a schema is named and does
    /// not exist, that is what is said.
    pub(crate) fn missing_table(&mut self, schema: Option<&str>, name: &str) -> SqlError {
        match self.missing_schema(schema) {
            Ok(None) => no_such_table(schema, name),
            Ok(Some(schema)) => no_such_schema(&schema),
            Err(error) => error,
        }
    }

    /// The schema, if one is named and does not exist.
    pub(crate) fn missing_schema(&mut self, schema: Option<&str>) -> Result<Option<String>> {
        let Some(schema) = schema.filter(|schema| *schema != TEMPORARY) else { return Ok(None) };
        let found = self.catalog.schema(schema, CatalogAt::Statement)?;
        Ok(found.is_none().then(|| schema.to_owned()))
    }

    fn role_name(&self, role: &RoleName) -> String {
        match role {
            RoleName::Current => self.eval.user.to_string(),
            RoleName::Session => self.eval.session_user.to_string(),
            RoleName::Named(name) => name.clone(),
        }
    }

    /// Everything belongs to one role, which is whoever is connected.
    pub(crate) fn check_role(&self, role: &RoleName) -> Result<()> {
        let name = self.role_name(role);
        if name == OWNER || *name == *self.eval.session_user {
            return Ok(());
        }
        let message = format!("role \"{name}\" does not exist");
        Err(SqlError::new(SqlState::UndefinedObject, message))
    }
}

/// 3F000
pub(crate) fn no_such_schema(name: &str) -> SqlError {
    SqlError::new(SqlState::InvalidSchemaName, format!("schema \"{name}\" does not exist"))
}

/// Names that begin so are the system's.
fn check_name(name: &str) -> Result<()> {
    if !name.starts_with("pg_") {
        return Ok(());
    }
    let message = format!("unacceptable schema name \"{name}\"");
    Err(SqlError::new(SqlState::ReservedName, message)
        .with_detail("The prefix \"pg_\" is reserved for system schemas."))
}

fn check_may_hold(schema: &str, name: &str) -> Result<()> {
    if schema != SYSTEM_SCHEMA {
        return Ok(());
    }
    let message = format!("permission denied to create \"{schema}.{name}\"");
    Err(SqlError::new(SqlState::InsufficientPrivilege, message)
        .with_detail("System catalog modifications are currently disallowed."))
}
