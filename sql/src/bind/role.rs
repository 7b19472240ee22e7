//! Roles and privileges: what statements about them mean.
//!
//! Roles stay names: whoever runs the statement looks them up as they are then.
//!
//! Source: PostgreSQL 15, catalog/aclchk.c (ExecuteGrantStmt, objectNamesToOids), whose rules and texts
//! these are.

use driftdb_query::{
    CatalogAt, Named, ObjectKind, Result, Rights, RoleRef, RoleStatement, Securable, SqlError,
    Subject,
};
use driftdb_types::{DataType, SqlState, Value, parse_text};

use super::Binder;
use super::schema::no_such_schema;
use crate::front::cursor::QualifiedName;
use crate::front::role::{Grant, InSchema, On, Owned, RoleBody, WrittenOptions};
use crate::front::routine::RoutineWord;

/// The identifiers of the languages.
const LANGUAGES: [(&str, u32); 4] = [("internal", 12), ("c", 13), ("sql", 14), ("plpgsql", 13_576)];

/// 0LP01
fn invalid_grant(message: String) -> SqlError {
    SqlError::new(SqlState::Other(*b"0LP01"), message)
}

impl Binder<'_> {
    pub(crate) fn role_statement(&mut self, body: &RoleBody) -> Result<RoleStatement> {
        Ok(match body {
            RoleBody::Create(create) => {
                let (options, notices) = self.role_options(&create.options)?;
                let (member_of, members) = (create.member_of.clone(), create.members.clone());
                let name = create.name.clone();
                RoleStatement::Create { name, options, member_of, members, notices }
            }
            RoleBody::Alter { role, options } => {
                let (options, notices) = self.role_options(options)?;
                RoleStatement::Alter { role: role.clone(), options, notices }
            }
            RoleBody::Rename { role, to } => {
                RoleStatement::Rename { role: role.clone(), to: to.clone() }
            }
            RoleBody::Drop { roles, if_exists } => {
                RoleStatement::Drop { roles: roles.clone(), if_exists: *if_exists }
            }
            RoleBody::Member { is_grant, roles, members, admin } => RoleStatement::Member {
                is_grant: *is_grant,
                roles: roles.clone(),
                members: members.clone(),
                admin: *admin,
            },
            RoleBody::Privileges(grant) => self.grant(grant)?,
            RoleBody::SetOwner { of, if_exists, owner, command } => {
                self.set_owner(of, *if_exists, owner, command)?
            }
            RoleBody::Reassign { from, to } => {
                RoleStatement::Reassign { from: from.clone(), to: to.clone() }
            }
            RoleBody::DropOwned { roles, cascade } => {
                RoleStatement::DropOwned { roles: roles.clone(), cascade: *cascade }
            }
        })
    }

    fn role_options(
        &self,
        written: &WrittenOptions,
    ) -> Result<(driftdb_query::RoleOptions, Vec<String>)> {
        let mut options = written.options.clone();
        if let Some(text) = &written.valid_until {
            let time = parse_text(DataType::Timestamptz, -1, text, self.eval)?;
            let Value::Timestamptz(time) = time else {
                return Err(SqlError::internal("a time that is none"));
            };
            options.valid_until = Some(Some(time));
        }
        let mut notices = Vec::new();
        if written.has_password {
            notices.push("the password is not kept: this build asks nobody for one".to_owned());
        }
        Ok((options, notices))
    }

    fn grant(&mut self, grant: &Grant) -> Result<RoleStatement> {
        let mut on = Vec::new();
        for what in self.granted_on(&grant.on)? {
            let is_table = what.subject.kind == Securable::Table;
            if grant.rights.is_empty() {
                let all = what.subject.kind.all();
                on.push((what, all));
                continue;
            }
            let mut whole = Rights::NONE;
            for (name, columns) in &grant.rights {
                let right = self.right(name, columns, &grant.on, &what)?;
                if columns.is_empty() {
                    whole = whole | right;
                    continue;
                }
                if !is_table {
                    let message = "column privileges are only valid for relations";
                    return Err(invalid_grant(message.to_owned()));
                }
                for column in columns {
                    let number = self.column_number(&what, column)?;
                    let subject = Subject::column(what.subject.id, number);
                    on.push((Named { subject, name: column.clone(), ..what.clone() }, right));
                }
            }
            if !whole.is_none() {
                on.push((what, whole));
            }
        }
        Ok(RoleStatement::Privileges {
            is_grant: grant.is_grant,
            on,
            grantees: grant.grantees.clone(),
            option: grant.option,
            cascade: grant.cascade,
            grantor: grant.grantor.clone(),
            is_all: grant.rights.iter().all(|(name, _)| name.is_empty()),
        })
    }

    /// A right by its name, which must be one of what it is on; without a name all.
    fn right(&self, name: &str, columns: &[String], on: &On, what: &Named) -> Result<Rights> {
        if name.is_empty() {
            return Ok(if columns.is_empty() { what.subject.kind } else { Securable::Column }.all());
        }
        let Some(right) = Rights::named(name) else {
            let message = format!("unrecognized privilege type \"{name}\"");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        };
        let shown = name.to_uppercase();
        let shown = if shown == "TEMP" { "TEMPORARY".to_owned() } else { shown };
        let (of, all) = match on {
            _ if !columns.is_empty() => ("column", Securable::Column.all()),
            // A table's name may be a sequence's.
            On::Tables(_) => ("relation", Securable::Table.all() | Securable::Sequence.all()),
            On::In(InSchema::Tables, _) => {
                ("relation", Securable::Table.all() | Securable::Sequence.all())
            }
            On::Sequences(_) | On::In(InSchema::Sequences, _) => {
                ("sequence", Securable::Sequence.all())
            }
            On::Databases(_) => ("database", Securable::Database.all()),
            On::Schemas(_) => ("schema", Securable::Schema.all()),
            On::Languages(_) => ("language", Securable::Language.all()),
            On::Routines(word, _) | On::In(InSchema::Routines(word), _) => {
                (word.name(), Securable::Routine.all())
            }
        };
        if !all.has(right) {
            return Err(invalid_grant(format!("invalid privilege type {shown} for {of}")));
        }
        if columns.is_empty() && !what.subject.kind.all().has(right) {
            if what.subject.kind == Securable::Table {
                return Err(invalid_grant(format!("invalid privilege type {shown} for table")));
            }
            return Ok(Rights::NONE);
        }
        Ok(right)
    }

    fn column_number(&mut self, table: &Named, column: &str) -> Result<u16> {
        let id = driftdb_query::TableId(table.subject.id);
        if let Some(found) = self.catalog.table_by_id(id)? {
            if let Some((_, column)) = found.column(column) {
                return Ok(column.id.0);
            }
        } else if let Some(object) =
            self.catalog.object_by_id(driftdb_query::ObjectId(id.0), CatalogAt::Statement)?
            && let ObjectKind::View(view) = &object.kind
            && let Some(place) = view.columns.iter().position(|known| known.name == column)
        {
            return Ok(place as u16 + 1);
        }
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
        Err(SqlError::new(SqlState::UndefinedColumn, message))
    }

    fn granted_on(&mut self, on: &On) -> Result<Vec<Named>> {
        let mut found = Vec::new();
        match on {
            On::Tables(names) => {
                for name in names {
                    found.push(self.named_relation(name)?);
                }
            }
            On::Sequences(names) => {
                for name in names {
                    let relation = self.named_relation(name)?;
                    if relation.subject.kind != Securable::Sequence {
                        let message = format!("\"{}\" is not a sequence", name.name);
                        return Err(SqlError::new(SqlState::WrongObjectType, message));
                    }
                    found.push(relation);
                }
            }
            On::Databases(names) => {
                for name in names {
                    found.push(self.named_database(name)?);
                }
            }
            On::Schemas(names) => {
                for name in names {
                    found.push(self.named_schema(name)?);
                }
            }
            On::Languages(names) => {
                for name in names {
                    let known = LANGUAGES.iter().find(|(known, _)| known == name);
                    let Some((_, id)) = known else {
                        let message = format!("language \"{name}\" does not exist");
                        return Err(SqlError::new(SqlState::UndefinedObject, message));
                    };
                    let subject = Subject::whole(Securable::Language, *id);
                    found.push(Named { subject, word: "language", name: name.clone() });
                }
            }
            On::Routines(word, names) => {
                for name in names {
                    found.push(self.named_routine(*word, name)?);
                }
            }
            On::In(kind, schemas) => {
                for schema in schemas {
                    self.all_in(*kind, schema, &mut found)?;
                }
            }
        }
        Ok(found)
    }

    /// Everything of a kind in a schema.
    fn all_in(&mut self, kind: InSchema, schema: &str, found: &mut Vec<Named>) -> Result<()> {
        self.named_schema(schema)?;
        if kind == InSchema::Tables {
            for table in self.catalog.tables(CatalogAt::Statement)? {
                if table.schema == schema {
                    found.push(named_table(&table));
                }
            }
        }
        for object in self.catalog.objects(CatalogAt::Statement)? {
            if object.schema != schema {
                continue;
            }
            let is_meant = match (&object.kind, kind) {
                (ObjectKind::View(_), InSchema::Tables)
                | (ObjectKind::Sequence(_), InSchema::Sequences)
                | (ObjectKind::Routine(_), InSchema::Routines(RoutineWord::Routine)) => true,
                (ObjectKind::Routine(routine), InSchema::Routines(word)) => {
                    routine.is_procedure == (word == RoutineWord::Procedure)
                }
                _ => false,
            };
            if is_meant && let Some(named) = named_object(&object) {
                found.push(named);
            }
        }
        Ok(())
    }

    /// A table, view or sequence by name.
    pub(crate) fn named_relation(&mut self, name: &QualifiedName) -> Result<Named> {
        let schema = name.schema.as_deref();
        if let Some(table) = self.catalog.table(schema, &name.name, CatalogAt::Statement)? {
            return Ok(named_table(&table));
        }
        if let Some(object) = self.relation_named(schema, &name.name, CatalogAt::Statement)?
            && let Some(named) = named_object(&object)
        {
            return Ok(named);
        }
        if self.catalog.index(schema, &name.name)?.is_some() {
            let message = format!("\"{}\" is an index", name.name);
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        if let Some(relation) = self.catalog.system_relation(schema, &name.name)? {
            let subject = Subject::whole(Securable::Table, relation.oid);
            return Ok(Named { subject, word: "table", name: name.name.clone() });
        }
        Err(self.missing_table(schema, &name.name))
    }

    fn named_schema(&mut self, name: &str) -> Result<Named> {
        let found = self.catalog.schema(name, CatalogAt::Statement)?;
        let schema = found.ok_or_else(|| no_such_schema(name))?;
        let subject = Subject::whole(Securable::Schema, schema.id);
        Ok(Named { subject, word: "schema", name: name.to_owned() })
    }

    fn named_database(&self, name: &str) -> Result<Named> {
        if *name != *self.eval.database {
            let message = format!("database \"{name}\" does not exist");
            return Err(SqlError::new(SqlState::InvalidCatalogName, message));
        }
        // Each database has its own catalog, in which it is the only one.
        let subject = Subject::whole(Securable::Database, 0);
        Ok(Named { subject, word: "database", name: name.to_owned() })
    }

    fn named_routine(
        &mut self,
        word: RoutineWord,
        named: &crate::front::routine::Named,
    ) -> Result<Named> {
        match self.routine_named(word, named)? {
            Some(object) => named_object(&object)
                .ok_or_else(|| SqlError::internal("a function without privileges")),
            None => {
                let shown = self.missing(word, named)?;
                let message = format!("{} {shown} does not exist", word.name());
                Err(SqlError::new(SqlState::UndefinedFunction, message))
            }
        }
    }

    fn set_owner(
        &mut self,
        of: &Owned,
        if_exists: bool,
        owner: &RoleRef,
        command: &'static str,
    ) -> Result<RoleStatement> {
        let what = match of {
            Owned::Relation(word, name) => match self.named_relation(name) {
                Ok(found) if found.word == *word || *word == "table" => found,
                Ok(_) => {
                    let article = if word.starts_with('i') { "an" } else { "a" };
                    let message = format!("\"{}\" is not {article} {word}", name.name);
                    return Err(SqlError::new(SqlState::WrongObjectType, message));
                }
                Err(error) if if_exists && error.state == SqlState::UndefinedTable => {
                    let notices = vec![format!("{}, skipping", error.message)];
                    return Ok(RoleStatement::Nothing { notices, command });
                }
                Err(error) => return Err(error),
            },
            Owned::Schema(name) => self.named_schema(name)?,
            Owned::Routine(word, named) => self.named_routine(*word, named)?,
            Owned::Database(name) => self.named_database(name)?,
        };
        Ok(RoleStatement::SetOwner { of: vec![what], owner: owner.clone(), command })
    }
}

/// A table as messages about privileges name it.
pub(crate) fn named_table(table: &driftdb_query::Table) -> Named {
    let subject = Subject::whole(Securable::Table, table.id.0);
    Named { subject, word: table.word(), name: table.name.clone() }
}

/// Another object, if it has an owner.
pub(crate) fn named_object(object: &driftdb_query::Object) -> Option<Named> {
    let subject = Subject::whole(Securable::of(&object.kind)?, object.id.0);
    Some(Named { subject, word: object.kind.word(), name: object.name.clone() })
}
