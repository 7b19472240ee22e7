//! Who may do what: `has_…_privilege`, `pg_has_role`, `acldefault`.
//!
//! Source: PostgreSQL 15, utils/adt/acl.c, whose rules and texts these are.

use driftdb_query::{
    Acting, BOOTSTRAP_ROLE, EVERYBODY, ObjectKind, Privileges, Rights, Securable, SqlError, Subject,
};
use driftdb_types::{CatalogQuestion, SqlState, Value, ValueError};

use super::Answering;

fn failed(error: SqlError) -> ValueError {
    ValueError::new(error.state, error.message)
}

impl Answering<'_> {
    /// A role by name. Whoever is connected under a name that is no role's may do everything.
    pub(super) fn role_named(&self, name: &str) -> Option<u32> {
        let found = self.definitions.role_named(name);
        found.or_else(|| (name == self.user).then_some(self.role))
    }

    fn no_such_role(name: &str) -> ValueError {
        ValueError::new(SqlState::UndefinedObject, format!("role \"{name}\" does not exist"))
    }

    /// A role as an argument gives it.
    fn role_of(&self, value: &Value) -> Result<u32, ValueError> {
        match value.as_str() {
            Some("public") => Ok(EVERYBODY),
            Some(name) => self.role_named(name).ok_or_else(|| Self::no_such_role(name)),
            None => Ok(value.as_int().unwrap_or_default() as u32),
        }
    }

    fn acting(&self, role: u32) -> Result<Acting, ValueError> {
        if role == EVERYBODY {
            return Ok(Acting::default());
        }
        // The name of somebody who is no role.
        let role = if self.definitions.role_name(role).is_none() && role < 16_384 {
            BOOTSTRAP_ROLE
        } else {
            role
        };
        Acting::of(role, &mut &*self.definitions).map_err(failed)
    }

    /// Whether somebody may do something: perhaps a role, the thing, and rights.
    pub(super) fn privilege(
        &self,
        question: CatalogQuestion,
        args: &[Value],
    ) -> Result<Value, ValueError> {
        let (role, what, rights) = match args {
            [what, rights] => (self.role, what, rights),
            [role, what, rights] => (self.role_of(role)?, what, rights),
            _ => return Ok(Value::Null),
        };
        let acting = self.acting(role)?;
        let rights = rights.as_str().unwrap_or_default();
        if question == CatalogQuestion::HasRole {
            return self.has_role(&acting, what, rights);
        }
        let Some(subject) = self.subject(question, what)? else { return Ok(Value::Null) };
        let privileges = self.definitions.privileges_of(subject);
        for wanted in rights.split(',') {
            let (name, option) = grant_option(wanted.trim());
            // What a table has need not be what this kind has.
            let known = Rights::named(name).filter(|right| self.kind_of(question).has(*right));
            let Some(right) = known else {
                let message = format!("unrecognized privilege type: \"{}\"", wanted.trim());
                return Err(ValueError::new(SqlState::InvalidParameterValue, message));
            };
            let held =
                if option { privileges.grantable(&acting) } else { privileges.held(&acting) };
            let mut has = held.has(right);
            if !has && question == CatalogQuestion::AnyColumnPrivilege {
                has = self.any_column(subject.id, &acting, right);
            }
            if has {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }

    fn any_column(&self, table: u32, acting: &Acting, right: Rights) -> bool {
        let Some(table) = self.definitions.table(table) else { return false };
        table.columns.iter().any(|column| {
            let subject = Subject::column(table.id.0, column.id.0);
            self.definitions.privileges_of(subject).held(acting).has(right)
        })
    }

    /// `has_column_privilege`: perhaps a role, the table, the column, and rights.
    pub(super) fn column_privilege(&self, args: &[Value]) -> Result<Value, ValueError> {
        let (role, table, column, rights) = match args {
            [table, column, rights] => (self.role, table, column, rights),
            [role, table, column, rights] => (self.role_of(role)?, table, column, rights),
            _ => return Ok(Value::Null),
        };
        let acting = self.acting(role)?;
        let question = CatalogQuestion::TablePrivilege;
        let Some(subject) = self.subject(question, table)? else { return Ok(Value::Null) };
        let number = match (column.as_str(), self.definitions.table(subject.id)) {
            (Some(name), Some(table)) => match table.column(name) {
                Some((_, column)) => column.id.0,
                None => {
                    let message =
                        format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                    return Err(ValueError::new(SqlState::UndefinedColumn, message));
                }
            },
            (Some(_), None) => 0,
            (None, _) => u16::try_from(column.as_int().unwrap_or_default()).unwrap_or_default(),
        };
        let whole = self.definitions.privileges_of(subject);
        let own = self.definitions.privileges_of(Subject::column(subject.id, number));
        for wanted in rights.as_str().unwrap_or_default().split(',') {
            let (name, option) = grant_option(wanted.trim());
            let known = Rights::named(name).filter(|right| Securable::Column.all().has(*right));
            let Some(right) = known else {
                let message = format!("unrecognized privilege type: \"{}\"", wanted.trim());
                return Err(ValueError::new(SqlState::InvalidParameterValue, message));
            };
            let held = if option {
                whole.grantable(&acting)
            } else {
                whole.held(&acting) | own.held(&acting)
            };
            if held.has(right) {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }

    fn kind_of(&self, question: CatalogQuestion) -> Rights {
        match question {
            CatalogQuestion::AnyColumnPrivilege => Securable::Column,
            CatalogQuestion::SequencePrivilege => Securable::Sequence,
            CatalogQuestion::SchemaPrivilege => Securable::Schema,
            CatalogQuestion::DatabasePrivilege => Securable::Database,
            CatalogQuestion::FunctionPrivilege => Securable::Routine,
            CatalogQuestion::TypePrivilege | CatalogQuestion::LanguagePrivilege => Securable::Type,
            CatalogQuestion::TablespacePrivilege => Securable::Schema,
            _ => Securable::Table,
        }
        .all()
    }

    /// What privileges are asked of; `None` if an identifier is nothing's.
    fn subject(
        &self,
        question: CatalogQuestion,
        what: &Value,
    ) -> Result<Option<Subject>, ValueError> {
        let name = what.as_str();
        let oid = what.as_int().unwrap_or_default() as u32;
        let missing = |state: SqlState, kind: &str, name: &str| {
            ValueError::new(state, format!("{kind} \"{name}\" does not exist"))
        };
        Ok(match question {
            CatalogQuestion::TablePrivilege
            | CatalogQuestion::AnyColumnPrivilege
            | CatalogQuestion::SequencePrivilege => {
                let oid = match name {
                    Some(name) => self.relation_oid(name)?,
                    None => oid,
                };
                let is_sequence = self
                    .definitions
                    .object(oid)
                    .is_some_and(|object| matches!(object.kind, ObjectKind::Sequence(_)));
                if !is_sequence && question == CatalogQuestion::SequencePrivilege && name.is_some()
                {
                    let name = name.unwrap_or_default();
                    let message = format!("\"{name}\" is not a sequence");
                    return Err(ValueError::new(SqlState::WrongObjectType, message));
                }
                let kind = if is_sequence { Securable::Sequence } else { Securable::Table };
                self.relation_name(oid).map(|_| Subject::whole(kind, oid))
            }
            CatalogQuestion::SchemaPrivilege => {
                let mut schemas = self.definitions.schemas.iter();
                let found = match name {
                    Some(name) => match self.definitions.schema(name) {
                        Some(schema) => Some(schema),
                        None => return Err(missing(SqlState::InvalidSchemaName, "schema", name)),
                    },
                    None => schemas.find(|schema| schema.id == oid),
                };
                found.map(|schema| Subject::whole(Securable::Schema, schema.id))
            }
            CatalogQuestion::DatabasePrivilege => match name {
                Some(name) if name != self.database => {
                    return Err(missing(SqlState::InvalidCatalogName, "database", name));
                }
                _ => Some(Subject::whole(Securable::Database, 0)),
            },
            CatalogQuestion::FunctionPrivilege => {
                let oid = match name {
                    Some(text) => match self.routine_oid(text) {
                        Some(oid) => oid,
                        None => match super::names::procedure_oid(text)? {
                            Value::Oid(oid) => oid,
                            _ => return Ok(None),
                        },
                    },
                    None => oid,
                };
                Some(Subject::whole(Securable::Routine, oid))
            }
            CatalogQuestion::TypePrivilege => {
                if let Some(name) = name
                    && super::names::type_oid(name).is_none()
                {
                    return Err(missing(SqlState::UndefinedObject, "type", name));
                }
                Some(Subject::whole(Securable::Type, oid))
            }
            CatalogQuestion::LanguagePrivilege => {
                let known = [("internal", 12), ("c", 13), ("sql", 14), ("plpgsql", 13_576)];
                let oid = match name {
                    Some(name) => match known.iter().find(|(known, _)| *known == name) {
                        Some((_, oid)) => *oid,
                        None => return Err(missing(SqlState::UndefinedObject, "language", name)),
                    },
                    None => oid,
                };
                Some(Subject::whole(Securable::Language, oid))
            }
            _ => Some(Subject::whole(Securable::Schema, 0)),
        })
    }

    /// `pg_has_role`
    fn has_role(&self, acting: &Acting, role: &Value, rights: &str) -> Result<Value, ValueError> {
        let role = self.role_of(role)?;
        for wanted in rights.split(',') {
            let wanted = wanted.trim();
            let has = match wanted.to_ascii_lowercase().as_str() {
                "member" => acting.may_be(role),
                "usage" => acting.has_all_of(role),
                "member with grant option"
                | "member with admin option"
                | "usage with grant option"
                | "usage with admin option" => {
                    acting.is_superuser || acting.administers.contains(&role)
                }
                _ => {
                    let message = format!("unrecognized privilege type: \"{wanted}\"");
                    return Err(ValueError::new(SqlState::InvalidParameterValue, message));
                }
            };
            if has {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }

    /// `acldefault`
    pub(super) fn default_list(&self, args: &[Value]) -> Result<Value, ValueError> {
        let letter = match args.first() {
            Some(Value::Char(letter)) => char::from(*letter),
            _ => ' ',
        };
        let owner = args.get(1).and_then(Value::as_int).unwrap_or_default() as u32;
        let Some(kind) = Securable::of_letter(letter) else {
            let message = format!("unrecognized object type abbreviation: {letter}");
            return Err(ValueError::new(SqlState::InternalError, message));
        };
        let subject = Subject::whole(kind, 1);
        let first = Privileges { owner, ..Privileges::first(subject) };
        self.definitions.shown_list(&first).map_err(failed)
    }
}

/// `SELECT WITH GRANT OPTION`
fn grant_option(text: &str) -> (&str, bool) {
    const OPTION: &str = " with grant option";
    let lower = text.to_ascii_lowercase();
    match lower.strip_suffix(OPTION) {
        Some(rest) => (text[..rest.len()].trim_end(), true),
        None => (text, false),
    }
}
