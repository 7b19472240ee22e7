//! COMMENT ON: what it is about.
//!
//! Source: PostgreSQL 15, src/backend/commands/comment.c and catalog/objectaddress.c, whose texts these are.

use driftdb_query::{
    CatalogAt, Comment, CommentSubject, IndexId, NameSpace, Need, ObjectKind, Result, SqlError,
    Table,
};
use driftdb_types::SqlState;

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
            CommentOn::Column { table: name, column } => {
                if let Some((view, number)) = self.commented_view(name, column)? {
                    let class = CommentSubject::RELATIONS;
                    let subject = CommentSubject { class, id: view, column: number, check };
                    return Ok(Comment { subject, need: part_of(view), text: body.text.clone() });
                }
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

    /// A view of that name, and the number of its column.
    fn commented_view(&mut self, name: &QualifiedName, column: &str) -> Result<Option<(u32, u16)>> {
        let at = CatalogAt::Statement;
        let found = self.relation_named(name.schema.as_deref(), &name.name, at)?;
        let Some(object) = found else { return Ok(None) };
        let ObjectKind::View(view) = &object.kind else { return Ok(None) };
        let Some(index) = view.columns.iter().position(|known| known.name == column) else {
            let message =
                format!("column \"{column}\" of relation \"{}\" does not exist", object.name);
            return Err(SqlError::new(SqlState::UndefinedColumn, message));
        };
        Ok(Some((object.id.0, index as u16 + 1)))
    }

    fn commented_table(&mut self, name: &QualifiedName) -> Result<std::sync::Arc<Table>> {
        let schema = name.schema.as_deref();
        match self.catalog.table(schema, &name.name, CatalogAt::Statement)? {
            Some(table) => Ok(table),
            None => Err(self.missing_table(schema, &name.name)),
        }
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
