//! COMMENT ON: what it is about.
//!
//! Source: PostgreSQL 15, src/backend/commands/comment.c and catalog/objectaddress.c, whose texts these are.

use driftdb_query::{
    CatalogAt, Comment, CommentSubject, IndexId, NameSpace, Need, ObjectId, ObjectKind, Result,
    SqlError, Table,
};
use driftdb_types::{SqlState, UserKind};

use super::Binder;
use super::schema::no_such_schema;
use crate::front::comment::{CommentBody, CommentOn};
use crate::front::cursor::QualifiedName;

impl Binder<'_> {
    pub(crate) fn comment(&mut self, body: &CommentBody) -> Result<Comment> {
        let mut check = String::new();
        let (class, id, column, need) = match &body.on {
            CommentOn::Relation { word, name } => {
                let (id, need) = self.commented_relation(word, name)?;
                (CommentSubject::RELATIONS, id, 0, need)
            }
            CommentOn::Column { table: name, column }
                if let Some((id, number)) = self.column_of_object(name, column)? =>
            {
                (CommentSubject::RELATIONS, id, number, part_of(id))
            }
            CommentOn::Column { table: name, column } => {
                let table = self.commented_table(name)?;
                let Some((_, found)) = table.column(column) else {
                    let message = format!(
                        "column \"{column}\" of relation \"{}\" does not exist",
                        table.name
                    );
                    return Err(SqlError::new(SqlState::UndefinedColumn, message));
                };
                let need = Need { id: table.id.0, column: Some(found.id), is_part: true };
                (CommentSubject::RELATIONS, table.id.0, found.id.0, need)
            }
            CommentOn::Constraint { name, table } => {
                let table = self.commented_table(table)?;
                let is_check = table.checks.iter().any(|check| check.name == *name);
                if is_check {
                    check.clone_from(name);
                }
                let Some(id) = constraint_id(&table, name) else {
                    let message = format!(
                        "constraint \"{name}\" for table \"{}\" does not exist",
                        table.name
                    );
                    return Err(SqlError::new(SqlState::UndefinedObject, message));
                };
                (CommentSubject::CONSTRAINTS, id, 0, part_of(table.id.0))
            }
            CommentOn::Type { name, is_domain } => {
                let id = self.commented_type(name, *is_domain)?;
                (CommentSubject::TYPES, id, 0, part_of(id))
            }
            CommentOn::Routine { word, named } => {
                let Some(object) = self.routine_named(*word, named)? else {
                    let shown = self.missing(*word, named)?;
                    let message = format!("{} {shown} does not exist", word.name());
                    return Err(SqlError::new(SqlState::UndefinedFunction, message));
                };
                (CommentSubject::ROUTINES, object.id.0, 0, part_of(object.id.0))
            }
            CommentOn::Trigger { name, table } => {
                let (_, object) = self.trigger_named(table, name)?;
                (CommentSubject::TRIGGERS, object.id.0, 0, part_of(object.id.0))
            }
            CommentOn::DomainConstraint { name, domain } => {
                let id = self.domain_with_check(domain, name)?;
                check.clone_from(name);
                (CommentSubject::CONSTRAINTS, id, 0, part_of(id))
            }
            CommentOn::Schema(name) => {
                let found = self.catalog.schema(name, CatalogAt::Statement)?;
                let schema = found.ok_or_else(|| no_such_schema(name))?;
                if schema.is_of_system() {
                    let what = format!("COMMENT ON SCHEMA {name}");
                    return Err(SqlError::unsupported(what));
                }
                (CommentSubject::SCHEMAS, schema.id, 0, part_of(schema.id))
            }
        };
        let subject = CommentSubject { class, id, column, check };
        Ok(Comment { subject, need, text: body.text.clone() })
    }

    fn commented_table(&mut self, name: &QualifiedName) -> Result<std::sync::Arc<Table>> {
        let schema = name.schema.as_deref();
        match self.catalog.table(schema, &name.name, CatalogAt::Statement)? {
            Some(table) => Ok(table),
            None => Err(self.missing_table(schema, &name.name)),
        }
    }

    /// A column of a view or composite type: the identifier, and its number.
    fn column_of_object(
        &mut self,
        name: &QualifiedName,
        column: &str,
    ) -> Result<Option<(u32, u16)>> {
        let (schema, at) = (name.schema.as_deref(), CatalogAt::Statement);
        if self.catalog.table(schema, &name.name, at)?.is_some() {
            return Ok(None);
        }
        let views = self.catalog.objects_named(NameSpace::Relation, schema, &name.name, at)?;
        let types = self.catalog.objects_named(NameSpace::Type, schema, &name.name, at)?;
        let Some(object) = views.into_iter().chain(types).next() else { return Ok(None) };
        let number = match &object.kind {
            ObjectKind::View(view) => {
                let place = view.columns.iter().position(|known| known.name == column);
                place.map(|place| place + 1)
            }
            ObjectKind::Type(definition) => match &definition.kind {
                UserKind::Composite { fields, .. } => {
                    let field = fields.iter().find(|field| *field.name == *column);
                    field.map(|field| field.number.into())
                }
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        match number {
            Some(number) => Ok(Some((object.id.0, u16::try_from(number).unwrap_or(u16::MAX)))),
            None => {
                let message =
                    format!("column \"{column}\" of relation \"{}\" does not exist", object.name);
                Err(SqlError::new(SqlState::UndefinedColumn, message))
            }
        }
    }

    /// A domain that has a constraint of a name.
    fn domain_with_check(&mut self, domain: &QualifiedName, name: &str) -> Result<u32> {
        let id = self.commented_type(domain, true)?;
        let object = self.catalog.object_by_id(ObjectId(id), CatalogAt::Statement)?;
        let has_it = object.is_some_and(|object| match &object.kind {
            ObjectKind::Type(definition) => match &definition.kind {
                UserKind::Domain(known) => known.checks.iter().any(|check| check.name == name),
                _ => false,
            },
            _ => false,
        });
        if has_it {
            return Ok(id);
        }
        let message = format!("constraint \"{name}\" for domain {} does not exist", domain.name);
        Err(SqlError::new(SqlState::UndefinedObject, message))
    }

    fn commented_relation(&mut self, word: &str, name: &QualifiedName) -> Result<(u32, Need)> {
        let (schema, at) = (name.schema.as_deref(), CatalogAt::Statement);
        let (kind, id) = if let Some(table) = self.catalog.table(schema, &name.name, at)? {
            (table.word(), table.id.0)
        } else if let Some((table, index)) = self.catalog.index(schema, &name.name)? {
            return commented_index(word, &name.name, &table, index);
        } else {
            let space = NameSpace::Relation;
            let found = self.catalog.objects_named(space, schema, &name.name, at)?;
            match found.first() {
                Some(object) => (object.kind.word(), object.id.0),
                None => return Err(self.missing_table(schema, &name.name)),
            }
        };
        if kind != word {
            return Err(wrong_kind(word, &name.name));
        }
        Ok((id, part_of(id)))
    }
}

/// An index and what it is a part of: it goes with its table, and its comment with that.
fn commented_index(word: &str, name: &str, table: &Table, index: IndexId) -> Result<(u32, Need)> {
    if word == "index" {
        return Ok((index.0, part_of(table.id.0)));
    }
    Err(wrong_kind(word, name))
}

fn wrong_kind(word: &str, name: &str) -> SqlError {
    let article = if word.starts_with('i') { "an" } else { "a" };
    SqlError::new(SqlState::WrongObjectType, format!("\"{name}\" is not {article} {word}"))
}

fn part_of(id: u32) -> Need {
    Need { id, column: None, is_part: true }
}

/// The identifier that a constraint has in pg_constraint.
fn constraint_id(table: &Table, name: &str) -> Option<u32> {
    let key = table.foreign_keys.iter().find(|key| key.name == name).map(|key| key.id.0);
    let index = || {
        let index = table.indexes.iter().find(|i| (i.constraint || i.primary) && i.name == name)?;
        Some(index.constraint_id().0)
    };
    let check = || table.checks.iter().any(|check| check.name == name).then_some(table.id.0);
    key.or_else(index).or_else(check)
}
