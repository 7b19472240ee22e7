//! CREATE TABLE … (LIKE t): the columns of another table, and what comes along with them.
//!
//! Source: PostgreSQL 15, parser/parse_utilcmd.c (transformTableLikeClause).

use std::sync::Arc;

use driftdb_query::{
    CatalogAt, ColumnSpec, CommentSubject, ConstraintSpec, Generated, KeyExtra, NameSpace,
    ObjectId, ObjectKind, Result, SequenceOptions, SequenceSpec, SqlError, Table,
};
use driftdb_types::SqlState;

use super::Binder;
use super::create::Definition;
use super::generated::sequences_in;
use crate::front::like::LikeClause;

impl Binder<'_> {
    /// Adds the columns; gives the table that they are of, if it is one.
    pub(crate) fn like_columns(
        &mut self,
        definition: &mut Definition,
        like: &LikeClause,
    ) -> Result<Option<Arc<Table>>> {
        let (schema, name) = (like.table.schema.as_deref(), &like.table.name);
        let at = CatalogAt::Statement;
        let Some(table) = self.catalog.table(schema, name, at)? else {
            self.like_view(definition, like)?;
            return Ok(None);
        };
        self.ask_read(&table, std::iter::empty());
        for column in &table.columns {
            let mut spec = ColumnSpec::new(column.name.clone(), column.ty, column.typmod);
            spec.not_null = column.not_null;
            match &column.generated {
                Some(Generated::Stored(text)) if like.options.generated => {
                    spec.stored = Some(text.clone());
                }
                Some(Generated::Identity { always, sequence }) if like.options.identity => {
                    let of = self.like_sequence(*sequence)?;
                    let name = self.sequence_name(definition, &column.name)?;
                    let identity = Some(*always);
                    spec.sequence = Some(SequenceSpec { name, options: of, identity });
                }
                None if like.options.defaults => {
                    if let Some(default) = &column.default {
                        spec.needs = sequences_in(default);
                        spec.default = Some(default.clone());
                    }
                }
                _ => {}
            }
            add(definition, spec)?;
        }
        Ok(Some(table))
    }

    fn like_view(&mut self, definition: &mut Definition, like: &LikeClause) -> Result<()> {
        let (schema, name) = (like.table.schema.as_deref(), &like.table.name);
        let found = self.relation_named(schema, name, CatalogAt::Statement)?;
        let Some(object) = found else {
            if let Some((table, index)) = self.catalog.index(schema, name)? {
                let index = table.index(index).map_or("", |index| index.name.as_str());
                let message = format!("relation \"{index}\" is invalid in LIKE clause");
                return Err(SqlError::new(SqlState::WrongObjectType, message)
                    .with_detail("This operation is not supported for indexes.")
                    .at(like.table.position));
            }
            return Err(self.missing_table(schema, name).at(like.table.position));
        };
        let ObjectKind::View(view) = &object.kind else {
            let message = format!("relation \"{}\" is invalid in LIKE clause", object.name);
            let kind = object.kind.word();
            return Err(SqlError::new(SqlState::WrongObjectType, message)
                .with_detail(format!("This operation is not supported for {kind}s."))
                .at(like.table.position));
        };
        for column in &view.columns {
            add(definition, ColumnSpec::new(column.name.clone(), column.ty, column.typmod))?;
        }
        Ok(())
    }

    /// The options of a sequence, for another like it.
    fn like_sequence(&mut self, id: u32) -> Result<SequenceOptions> {
        let found = self.catalog.object_by_id(ObjectId(id), CatalogAt::Statement)?;
        let Some(ObjectKind::Sequence(of)) = found.as_ref().map(|object| &object.kind) else {
            return Err(SqlError::internal("an identity column without its sequence"));
        };
        Ok(SequenceOptions {
            ty: Some(of.ty),
            increment: Some(of.increment),
            min: Some(Some(of.min)),
            max: Some(Some(of.max)),
            start: Some(of.start),
            restart: None,
            cache: Some(of.cache),
            cycle: Some(of.cycle),
        })
    }

    /// Adds what comes along besides columns.
    pub(crate) fn like_constraints(
        &mut self,
        definition: &mut Definition,
        like: &LikeClause,
        table: Option<&Table>,
    ) -> Result<()> {
        let Some(table) = table else { return Ok(()) };
        if like.options.constraints {
            for check in &table.checks {
                let (name, condition) = (check.name.clone(), check.condition.clone());
                if definition.taken.contains(&name) {
                    let message = format!(
                        "constraint \"{name}\" for relation \"{}\" already exists",
                        definition.table
                    );
                    return Err(SqlError::new(SqlState::DuplicateObject, message));
                }
                definition.taken.push(name.clone());
                let (not_valid, no_inherit) = (false, check.no_inherit);
                definition.constraints.push(ConstraintSpec::Check {
                    name,
                    condition,
                    not_valid,
                    no_inherit,
                });
            }
        }
        if like.options.comments {
            self.check_no_comments(table)?;
        }
        if !like.options.indexes {
            return Ok(());
        }
        for index in &table.indexes {
            if !(index.primary || index.constraint) {
                return Err(SqlError::unsupported(
                    "LIKE ... INCLUDING INDEXES of an index that is no constraint's",
                ));
            }
            let mut columns = Vec::with_capacity(index.columns.len());
            for key in &index.columns {
                let place = table.position(key.column);
                let place = place.ok_or_else(|| SqlError::internal("an index on no column"))?;
                columns.push(table.columns[place].name.clone());
            }
            let (schema, of) = (definition.schema.clone(), definition.table.clone());
            let (names, label) =
                if index.primary { (&[][..], "pkey") } else { (&columns[..], "key") };
            let name = self.free_name(&schema, &of, names, label, &definition.taken)?;
            definition.taken.push(name.clone());
            let deferral = index.deferral;
            let include = index.include.iter().filter_map(|id| table.position(*id));
            let extra = KeyExtra {
                include: include.map(|place| table.columns[place].name.clone()).collect(),
                nulls_equal: index.nulls_equal,
                options: index.options.clone(),
            };
            if index.primary {
                if definition.has_primary {
                    let message =
                        format!("multiple primary keys for table \"{of}\" are not allowed");
                    return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
                }
                definition.has_primary = true;
                for column in &mut definition.columns {
                    column.not_null |= columns.contains(&column.name);
                }
                definition.constraints.push(ConstraintSpec::PrimaryKey {
                    name,
                    columns,
                    deferral,
                    extra,
                });
            } else {
                definition.constraints.push(ConstraintSpec::Unique {
                    name,
                    columns,
                    deferral,
                    extra,
                });
            }
        }
        Ok(())
    }

    /// What is said of the table's parts does not come along yet.
    fn check_no_comments(&mut self, table: &Table) -> Result<()> {
        for column in &table.columns {
            let subject = CommentSubject {
                class: CommentSubject::RELATIONS,
                id: table.id.0,
                column: column.id.0,
                check: String::new(),
            };
            let (space, at) = (NameSpace::Comment, CatalogAt::Statement);
            if !self.catalog.objects_named(space, None, &subject.name(), at)?.is_empty() {
                return Err(SqlError::unsupported(
                    "LIKE ... INCLUDING COMMENTS of a table with comments",
                ));
            }
        }
        Ok(())
    }
}

fn add(definition: &mut Definition, spec: ColumnSpec) -> Result<()> {
    if definition.columns.iter().any(|other| other.name == spec.name) {
        let message = format!("column \"{}\" specified more than once", spec.name);
        return Err(SqlError::new(SqlState::DuplicateColumn, message));
    }
    definition.columns.push(spec);
    Ok(())
}
