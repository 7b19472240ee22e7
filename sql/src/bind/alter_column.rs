//! ALTER TABLE … ALTER COLUMN: what gives a column another type, or another source of its values.

use driftdb_query::{
    AlterAction, CatalogAt, ColumnSpec, Expr, Generated, Result, SequenceStatement, SqlError,
    Statement, Table, TableNeed, TablePart,
};
use driftdb_types::{CastContext, SqlState, Volatility, can_cast, function};
use sqlparser::ast;

use super::Binder;
use super::aggregate::for_each_column;
use super::alter::{Alteration, skipped};
use super::as_of::no_such_table;
use super::copy::to_slots;
use super::create::{check_indexable, has_subquery};
use super::generated::sequences_in;
use super::names::{ObjectName, object_name};
use super::position::Placed;
use super::scope::{Clause, Named, Scope, column_of};
use super::stored::relation;
use crate::front::cursor::QualifiedName;

/// What sqlparser's ALTER COLUMN lacks.
#[derive(Debug, Clone)]
pub(crate) enum ColumnChange {
    /// SET GENERATED, whether ALWAYS
    SetIdentity(bool),
    /// DROP IDENTITY [IF EXISTS]
    DropIdentity(bool),
    /// DROP EXPRESSION [IF EXISTS]
    DropExpression(bool),
    /// SET STATISTICS, STORAGE, COMPRESSION: nothing here depends on them.
    Nothing,
}

/// Whether all rows of a statement get the same.
pub(crate) fn is_stable(expr: &Expr) -> bool {
    let mut stable = match expr {
        Expr::Call { function: id, .. } => function(*id).volatility != Volatility::Volatile,
        _ => true,
    };
    expr.for_each_child(&mut |child| stable &= is_stable(child));
    stable
}

fn of_relation(table: &Table, position: usize) -> String {
    format!("column \"{}\" of relation \"{}\"", table.columns[position].name, table.name)
}

/// # Errors
/// 42601 for a column whose values come from elsewhere.
pub(crate) fn check_may_default(table: &Table, position: usize) -> Result<()> {
    let column = of_relation(table, position);
    let (what, hint) = match table.columns[position].generated {
        None => return Ok(()),
        Some(Generated::Identity { .. }) => ("an identity column", None),
        Some(Generated::Stored(_)) => (
            "a generated column",
            Some("Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead."),
        ),
    };
    let error = SqlError::new(SqlState::SyntaxError, format!("{column} is {what}"));
    Err(match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    })
}

/// # Errors
/// 42601 for an identity column.
pub(crate) fn check_may_be_null(table: &Table, position: usize) -> Result<()> {
    match table.columns[position].generated {
        Some(Generated::Identity { .. }) => {
            let message = format!("{} is an identity column", of_relation(table, position));
            Err(SqlError::new(SqlState::SyntaxError, message))
        }
        _ => Ok(()),
    }
}

fn has_slot(expr: &Expr, slot: usize) -> bool {
    let mut found = matches!(expr, Expr::Slot { index, .. } if *index == slot);
    expr.for_each_child(&mut |child| found = found || has_slot(child, slot));
    found
}

impl Binder<'_> {
    /// An expression over the existing rows of a table, its columns by position.
    pub(crate) fn fill(
        &mut self,
        alteration: &Alteration,
        named: &[Named],
        work: impl FnOnce(&mut Self) -> Result<Expr>,
    ) -> Result<Expr> {
        let relations = vec![relation(&alteration.table.name, named.to_vec())];
        self.scopes.push(Scope::with(Clause::Generated, relations, named.to_vec()));
        let bound = work(self);
        self.scopes.pop();
        let mut bound = bound?;
        let ids: Vec<_> = named.iter().filter_map(|column| column_of(&column.expr)).collect();
        to_slots(&mut bound, &ids);
        Ok(bound)
    }

    /// SET DEFAULT and DROP DEFAULT, with what the default needs.
    pub(crate) fn set_default(
        &mut self,
        alteration: &mut Alteration,
        position: usize,
        text: Option<String>,
    ) -> Result<()> {
        let table = &alteration.table;
        let part = TablePart::Default(table.columns[position].id);
        let mut needs = table.needs.clone();
        needs.retain(|need| need.part != part);
        let added = text.as_deref().map(sequences_in).unwrap_or_default();
        needs.extend(added.into_iter().map(|need| TableNeed { part, need }));
        let changed = needs != table.needs;
        alteration.actions.push((AlterAction::SetDefault(position, text), None));
        if changed {
            alteration.actions.push((AlterAction::SetNeeds(needs), None));
        }
        Ok(())
    }

    /// ALTER COLUMN … TYPE.
    pub(crate) fn set_type(
        &mut self,
        alteration: &mut Alteration,
        position: usize,
        data_type: &ast::DataType,
        using: Option<&ast::Expr>,
    ) -> Result<()> {
        let table = alteration.table.clone();
        let column = &table.columns[position];
        let (ty, typmod) = self.type_name(data_type)?;
        let uses =
            |index: &&driftdb_query::Index| index.columns.iter().any(|key| key.column == column.id);
        if table.indexes.iter().any(|index| uses(&index)) {
            check_indexable(ty)?;
        }
        self.check_not_computed_from(&table, position)?;
        if matches!(column.generated, Some(Generated::Identity { .. })) {
            self.catalog.is_asked()?;
        }
        let (_, named) = self.existing_rows(alteration);
        let own: Vec<Named> = named.iter().take(table.columns.len()).cloned().collect();
        let (name, is_given) = (column.name.clone(), using.is_some());
        let shown = |message: String| SqlError::new(SqlState::DatatypeMismatch, message);
        let value = self.fill(alteration, &own, |binder| {
            let value = match using {
                Some(expr) => {
                    let bound = binder.expr(expr)?;
                    if has_subquery(&bound) {
                        let message = "cannot use subquery in transform expression";
                        let error = SqlError::new(SqlState::FeatureNotSupported, message);
                        return Err(error).at_expr(expr);
                    }
                    bound
                }
                None => own[position].expr.clone(),
            };
            let from = value.ty();
            let is_open = from == driftdb_types::DataType::Unknown;
            if !is_open && !can_cast(from, ty, CastContext::Assignment) {
                let message = if is_given {
                    format!(
                        "result of USING clause for column \"{name}\" cannot be cast \
                         automatically to type {ty}"
                    )
                } else {
                    format!("column \"{name}\" cannot be cast automatically to type {ty}")
                };
                let hint = if is_given {
                    "You might need to add an explicit cast.".to_owned()
                } else {
                    let shown = driftdb_types::type_name_with_typmod(ty, typmod);
                    format!("You might need to specify \"USING {name}::{shown}\".")
                };
                return Err(shown(message).with_hint(hint));
            }
            binder.coerce(value, ty, typmod, CastContext::Assignment)
        })?;
        // Each is computed from rows as they were; here a later one would see what an earlier one made.
        let mut changed = alteration.actions.iter().filter_map(|(action, _)| match action {
            AlterAction::SetType { position, .. } => Some(*position),
            _ => None,
        });
        if changed.any(|earlier| earlier != position && has_slot(&value, earlier)) {
            let what = "USING with a column whose type the same command changes";
            return Err(SqlError::unsupported(what));
        }
        let spec = ColumnSpec { ty, typmod, ..alteration.definition.columns[position].clone() };
        // It is of the old type.
        if column.default.is_some() && !can_cast(column.ty, ty, CastContext::Assignment) {
            let message = format!(
                "default for column \"{}\" cannot be cast automatically to type {ty}",
                spec.name
            );
            return Err(shown(message));
        }
        alteration.definition.columns[position] = spec;
        let action = AlterAction::SetType { position, ty, typmod, using: value.clone() };
        alteration.actions.push((action, None));
        for check in &table.checks {
            let violation = self.failing_after(alteration, &check.condition, position, &value)?;
            alteration.actions.push((AlterAction::Recheck(check.name.clone()), Some(violation)));
        }
        Ok(())
    }

    /// A row for which a condition is false once a column holds something else.
    fn failing_after(
        &mut self,
        alteration: &Alteration,
        condition: &str,
        position: usize,
        value: &Expr,
    ) -> Result<driftdb_query::LogicalPlan> {
        let (scan, mut named) = self.existing_rows(alteration);
        let own: Vec<Expr> = named.iter().map(|column| column.expr.clone()).collect();
        let mut held = value.clone();
        from_slots(&mut held, &own);
        named[position].expr = held;
        let condition = self.condition_text(condition, &alteration.table.name, named)?;
        Ok(super::alter::one_row(scan, Expr::Not(Box::new(condition))))
    }

    /// 0A000 for a column that others are computed from.
    fn check_not_computed_from(&mut self, table: &Table, position: usize) -> Result<()> {
        let name = &table.columns[position].name;
        for other in &table.columns {
            let Some(Generated::Stored(sql)) = &other.generated else { continue };
            let ids = self.row_ids(table);
            let named = super::stored::named_row(table, &ids);
            let bound = self.generated_text(sql, other, &table.name, named)?;
            let mut used = false;
            for_each_column(&bound, &mut |id| used |= id == ids[position]);
            if used {
                let message = "cannot alter type of a column used by a generated column";
                let detail =
                    format!("Column \"{name}\" is used by generated column \"{}\".", other.name);
                return Err(
                    SqlError::new(SqlState::FeatureNotSupported, message).with_detail(detail)
                );
            }
        }
        Ok(())
    }

    /// ALTER COLUMN … ADD GENERATED … AS IDENTITY.
    pub(crate) fn add_identity(
        &mut self,
        alteration: &mut Alteration,
        position: usize,
        place: u32,
        always: bool,
    ) -> Result<AlterAction> {
        let table = alteration.table.clone();
        let column = &table.columns[position];
        let of_relation = of_relation(&table, position);
        let state = SqlState::ObjectNotInPrerequisiteState;
        if !column.not_null {
            let message =
                format!("{of_relation} must be declared NOT NULL before identity can be added");
            return Err(SqlError::new(state, message));
        }
        if matches!(column.generated, Some(Generated::Identity { .. })) {
            let message = format!("{of_relation} is already an identity column");
            return Err(SqlError::new(state, message));
        }
        if column.default.is_some() {
            let message = format!("{of_relation} already has a default value");
            return Err(SqlError::new(state, message));
        }
        let written = self.identity_options(place);
        let spec = alteration.definition.columns[position].clone();
        let spec = self.identity_spec(&mut alteration.definition, &spec, &written, always)?;
        Ok(AlterAction::AddIdentity(position, spec))
    }

    /// What sqlparser's ALTER COLUMN lacks.
    pub(crate) fn change_column(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
        column: &str,
        change: &ColumnChange,
    ) -> Result<Statement> {
        let schema = name.schema.as_deref();
        let Some(table) = self.catalog.table(schema, &name.name, CatalogAt::Statement)? else {
            if if_exists {
                return Ok(skipped(&name.name));
            }
            return Err(no_such_table(schema, &name.name).at(name.position));
        };
        let position = self.table_column(&table, column, 0)?;
        let generated = &table.columns[position].generated;
        let is_identity = matches!(generated, Some(Generated::Identity { .. }));
        let action = match change {
            ColumnChange::SetIdentity(always) if is_identity => {
                Some(AlterAction::SetIdentity(position, *always))
            }
            ColumnChange::DropIdentity(_) if is_identity => {
                Some(AlterAction::DropIdentity(position))
            }
            ColumnChange::SetIdentity(_) | ColumnChange::DropIdentity(false) => {
                let message =
                    format!("{} is not an identity column", of_relation(&table, position));
                return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
            }
            ColumnChange::DropExpression(_) if table.columns[position].is_stored() => {
                Some(AlterAction::DropExpression(position))
            }
            ColumnChange::DropExpression(false) => {
                let message =
                    format!("{} is not a stored generated column", of_relation(&table, position));
                return Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message));
            }
            ColumnChange::DropIdentity(true)
            | ColumnChange::DropExpression(true)
            | ColumnChange::Nothing => None,
        };
        let actions = action.into_iter().map(|action| (action, None)).collect();
        Ok(Statement::AlterTable { table, actions })
    }

    /// ALTER TABLE … RENAME TO of a sequence.
    pub(crate) fn renamed_sequence(
        &mut self,
        name: &ObjectName,
        operations: &[ast::AlterTableOperation],
    ) -> Result<Option<Statement>> {
        let Some(object) = self.relation_object(name)? else { return Ok(None) };
        let [
            ast::AlterTableOperation::RenameTable { table_name: ast::RenameTableNameKind::To(to) },
        ] = operations
        else {
            return Ok(None);
        };
        let (id, schema, name) = (object.id, object.schema.clone(), object_name(to)?.name);
        Ok(Some(Statement::Sequence(SequenceStatement::Rename {
            id,
            schema,
            name,
            by_table: true,
        })))
    }
}

/// Columns by position become what they are named by.
fn from_slots(expr: &mut Expr, row: &[Expr]) {
    if let Expr::Slot { index, .. } = expr {
        *expr = row[*index].clone();
        return;
    }
    expr.for_each_child_mut(&mut |child| from_slots(child, row));
}
