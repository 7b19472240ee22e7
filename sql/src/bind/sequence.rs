//! CREATE, ALTER and DROP SEQUENCE, and sequences in FROM.

use std::sync::Arc;

use driftdb_query::{
    CatalogAt, ColumnId, Expr, LogicalPlan, NameSpace, Object, ObjectKind, OutputColumn, Result,
    SequenceOptions, SequenceStatement, SqlError, Statement, TableId,
};
use driftdb_types::{
    ArrayOperation, DataType, SEQUENCE_STATE, SqlState, Value, resolve_function, resolve_operator,
};
use sqlparser::ast;

use super::Binder;
use super::as_of::{no_such_table, qualified};
use super::from::{Aliased, item};
use super::names::ObjectName;
use super::scope::{FromItem, Named};
use super::target::NO_META;
use crate::front::cursor::QualifiedName;
use crate::front::sequence::{Owner, SequenceBody, WrittenOptions};

/// The columns of a sequence.
const COLUMNS: [(&str, DataType); 3] =
    [("last_value", DataType::Int8), ("log_cnt", DataType::Int8), ("is_called", DataType::Bool)];

impl Binder<'_> {
    pub(crate) fn sequence_statement(&mut self, body: &SequenceBody) -> Result<Statement> {
        let bound = match body {
            SequenceBody::Create { name, temporary, if_not_exists, options } => {
                let schema = match temporary {
                    true => self.temporary_creation_schema(name.schema.as_deref()),
                    false => self.creation_schema(name.schema.as_deref(), &name.name),
                };
                let schema = schema.map_err(|error| error.at(name.position))?;
                let owner = self.owner(options)?.flatten();
                let (options, name) = (self.sequence_options(options)?, name.name.clone());
                let if_not_exists = *if_not_exists;
                SequenceStatement::Create { schema, name, if_not_exists, options, owner }
            }
            SequenceBody::Alter { name, if_exists, options } => {
                let Some(object) = self.sequence_or_skip(name, *if_exists)? else {
                    return Ok(skipped(name));
                };
                let owner = self.owner(options)?;
                if let (Some(_), ObjectKind::Sequence(definition)) = (owner, &object.kind)
                    && definition.is_identity
                {
                    return Err(cannot_change_owner(&object));
                }
                self.catalog.is_asked()?;
                let options = self.sequence_options(options)?;
                SequenceStatement::Alter { id: object.id, options, owner }
            }
            SequenceBody::Rename { name, if_exists, to } => {
                let Some(object) = self.sequence_or_skip(name, *if_exists)? else {
                    return Ok(skipped(name));
                };
                let (schema, name) = (object.schema.clone(), to.clone());
                SequenceStatement::Rename { id: object.id, schema, name, by_table: false }
            }
        };
        Ok(Statement::Sequence(bound))
    }

    pub(crate) fn drop_sequences(
        &mut self,
        names: &[QualifiedName],
        if_exists: bool,
        cascade: bool,
    ) -> Result<Statement> {
        let (mut ids, mut notices) = (Vec::new(), Vec::new());
        for name in names {
            let schema = name.schema.as_deref();
            match self.find_sequence(name)? {
                Some(object) => {
                    if let ObjectKind::Sequence(definition) = &object.kind
                        && definition.is_identity
                    {
                        return Err(self.required(&object)?);
                    }
                    if !ids.contains(&object.id) {
                        ids.push(object.id);
                    }
                }
                None if if_exists => {
                    let shown = qualified(schema, &name.name);
                    notices.push(format!("sequence \"{shown}\" does not exist, skipping"));
                }
                None => {
                    let shown = qualified(schema, &name.name);
                    let message = format!("sequence \"{shown}\" does not exist");
                    return Err(SqlError::new(no_such_table(schema, &name.name).state, message));
                }
            }
        }
        Ok(Statement::Sequence(SequenceStatement::Drop { ids, cascade, notices }))
    }

    /// The error for the sequence of an identity column.
    fn required(&mut self, object: &Object) -> Result<SqlError> {
        let need = object.needs.iter().find(|need| need.is_part);
        let table = match need {
            Some(need) => self.catalog.table_by_id(TableId(need.id))?,
            None => None,
        };
        let column =
            table.as_ref().zip(need.and_then(|need| need.column)).and_then(|(table, column)| {
                let name = &table.columns[table.position(column)?].name;
                Some(format!("column {name} of table {}", table.name))
            });
        let column = column.unwrap_or_else(|| "its column".into());
        let message = format!("cannot drop sequence {} because {column} requires it", object.name);
        Ok(SqlError::new(SqlState::DependentObjectsStillExist, message)
            .with_hint(format!("You can drop {column} instead.")))
    }

    fn sequence_or_skip(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
    ) -> Result<Option<Arc<Object>>> {
        match self.find_sequence(name)? {
            None if !if_exists => {
                Err(no_such_table(name.schema.as_deref(), &name.name).at(name.position))
            }
            found => Ok(found),
        }
    }

    /// A sequence by name; 42809 for another relation.
    fn find_sequence(&mut self, name: &QualifiedName) -> Result<Option<Arc<Object>>> {
        let schema = name.schema.as_deref();
        let wrong = || {
            let message = format!("\"{}\" is not a sequence", name.name);
            Err(SqlError::new(SqlState::WrongObjectType, message))
        };
        let found = self.relation_named(schema, &name.name, CatalogAt::Statement)?;
        match found {
            Some(object) if matches!(object.kind, ObjectKind::Sequence(_)) => Ok(Some(object)),
            Some(_) => wrong(),
            None => {
                let is_other =
                    self.catalog.table(schema, &name.name, CatalogAt::Statement)?.is_some()
                        || self.catalog.index(schema, &name.name)?.is_some();
                if is_other { wrong() } else { Ok(None) }
            }
        }
    }

    /// The object among the relations with a name.
    pub(crate) fn relation_named(
        &mut self,
        schema: Option<&str>,
        name: &str,
        at: CatalogAt,
    ) -> Result<Option<Arc<Object>>> {
        let found = self.catalog.objects_named(NameSpace::Relation, schema, name, at)?;
        Ok(found.into_iter().next())
    }

    /// The sequence that a name in FROM stands for.
    pub(crate) fn relation_object(&mut self, name: &ObjectName) -> Result<Option<Arc<Object>>> {
        let found =
            self.relation_named(name.schema.as_deref(), &name.name, CatalogAt::Statement)?;
        Ok(found.filter(|object| matches!(object.kind, ObjectKind::Sequence(_))))
    }

    fn sequence_options(&mut self, written: &WrittenOptions) -> Result<SequenceOptions> {
        let mut options = written.options.clone();
        if let Some(ty) = &written.ty {
            options.ty = Some(self.type_name(ty)?.0);
        }
        if written.name.is_some() {
            let message = "invalid sequence option SEQUENCE NAME";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        Ok(options)
    }

    /// OWNED BY: the column, in a table of now.
    fn owner(&mut self, written: &WrittenOptions) -> Result<Option<Option<(TableId, ColumnId)>>> {
        Ok(match &written.owned_by {
            None => None,
            Some(Owner::None) => Some(None),
            Some(Owner::Bare) => {
                let message = "invalid OWNED BY option";
                return Err(SqlError::new(SqlState::SyntaxError, message)
                    .with_hint("Specify OWNED BY table.column or OWNED BY NONE."));
            }
            Some(Owner::Column(name, column)) => {
                let schema = name.schema.as_deref();
                let found = self.catalog.table(schema, &name.name, CatalogAt::Statement)?;
                let Some(table) = found else {
                    if self.catalog.index(schema, &name.name)?.is_some()
                        || self.relation_named(schema, &name.name, CatalogAt::Statement)?.is_some()
                    {
                        let message =
                            format!("sequence cannot be owned by relation \"{}\"", name.name);
                        return Err(SqlError::new(SqlState::WrongObjectType, message));
                    }
                    return Err(no_such_table(schema, &name.name));
                };
                let Some((_, column)) = table.column(column) else {
                    let message =
                        format!("column \"{column}\" of relation \"{}\" does not exist", name.name);
                    return Err(SqlError::new(SqlState::UndefinedColumn, message));
                };
                Some(Some((table.id, column.id)))
            }
        })
    }

    /// A sequence in FROM: one row, of this moment.
    pub(crate) fn sequence_item(
        &mut self,
        object: &Object,
        name: &ObjectName,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        self.catalog.is_asked()?;
        let state = resolve_function(SEQUENCE_STATE, &[DataType::Regclass])?;
        let oid = Expr::constant(Value::Oid(object.id.0), DataType::Regclass);
        let call = Expr::Call { function: state.id, args: vec![oid], ty: state.result };
        let whole = self.column_id();
        self.meta.insert(whole, NO_META);
        let columns = vec![OutputColumn { id: whole, ty: state.result }];
        let one = LogicalPlan::Values { columns, rows: vec![vec![call]] };
        let (mut exprs, mut named) = (Vec::new(), Vec::new());
        for (place, (column, ty)) in COLUMNS.into_iter().enumerate() {
            let id = self.column_id();
            self.meta.insert(id, NO_META);
            let array = Expr::Column { id: whole, ty: state.result };
            let index = Expr::constant(Value::Int4(place as i32 + 1), DataType::Int4);
            let subscript = ArrayOperation::Subscript.function();
            let part =
                Expr::Call { function: subscript, args: vec![array, index], ty: DataType::Int8 };
            let value = if ty == DataType::Bool {
                let zero = Expr::constant(Value::Int8(0), DataType::Int8);
                let unequal = resolve_operator("<>", Some(DataType::Int8), Some(DataType::Int8))?;
                Expr::Call { function: unequal.id, args: vec![part, zero], ty: DataType::Bool }
            } else {
                part
            };
            exprs.push((id, value));
            named.push(Named { name: column.into(), expr: Expr::Column { id, ty } });
        }
        let plan = LogicalPlan::Project { input: Box::new(one), exprs };
        let own = Aliased { alias, own: name.name.clone(), schema: Some(object.schema.clone()) };
        item(plan, named, own, None, None)
    }
}

fn cannot_change_owner(object: &Object) -> SqlError {
    SqlError::new(SqlState::FeatureNotSupported, "cannot change ownership of identity sequence")
        .with_detail(format!("Sequence \"{}\" is linked to a table.", object.name))
}

/// ALTER SEQUENCE IF EXISTS of one that does not.
fn skipped(name: &QualifiedName) -> Statement {
    let shown = qualified(name.schema.as_deref(), &name.name);
    let notice = format!("relation \"{shown}\" does not exist, skipping");
    Statement::Sequence(SequenceStatement::Skipped { notice })
}
