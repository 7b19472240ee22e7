//! Functions in FROM.

use driftdb_query::{ColId, Expr, LogicalPlan, OutputColumn, Result, SetFunction, SqlError};
use driftdb_types::{CastContext, DataType, SqlState, common_type, resolve_operator};
use sqlparser::ast;

use super::Binder;
use super::call::is_aggregate;
use super::changes::{ALL_CHANGES, TABLE_CHANGES};
use super::diff::TABLE_DIFF;
use super::from::{Aliased, item};
use super::names::{ident, object_name};
use super::scope::{FromItem, Named};
use super::target::NO_META;

impl Binder<'_> {
    /// A function: `generate_series`, or a scalar one as a row of one column.
    pub(crate) fn function_item(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        ordinality: bool,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let parsed = object_name(name)?;
        if ordinality {
            return Err(SqlError::unsupported("WITH ORDINALITY").at(parsed.position));
        }
        let list = ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.to_vec(),
            clauses: Vec::new(),
        };
        if parsed.name == TABLE_DIFF {
            return self.table_diff(args, parsed.position, alias);
        }
        if parsed.name == TABLE_CHANGES {
            return self.table_changes(args, parsed.position, alias);
        }
        if parsed.name == ALL_CHANGES {
            return self.all_changes(args, parsed.position, alias);
        }
        let column_name = alias.map_or(parsed.name.clone(), |alias| ident(&alias.name));
        if is_aggregate(&parsed.name) {
            return Err(SqlError::new(
                SqlState::GroupingError,
                "aggregate functions are not allowed in functions in FROM",
            )
            .at(parsed.position));
        }
        let (plan, id, ty) = if parsed.name == "generate_series" {
            self.generate_series(&list).map_err(|error| error.at(parsed.position))?
        } else {
            let function = ast::Function {
                name: name.clone(),
                uses_odbc_syntax: false,
                parameters: ast::FunctionArguments::None,
                args: ast::FunctionArguments::List(list),
                within_group: Vec::new(),
                filter: None,
                null_treatment: None,
                over: None,
            };
            let value = self.function(&function)?;
            let value = self.decided(value)?;
            let (id, ty) = (self.column_id(), value.ty());
            let plan = LogicalPlan::Project {
                input: Box::new(LogicalPlan::one_row()),
                exprs: vec![(id, value)],
            };
            (plan, id, ty)
        };
        self.meta.insert(id, NO_META);
        let named = vec![Named { name: column_name, expr: Expr::Column { id, ty } }];
        item(plan, named, Aliased { alias, own: parsed.name, schema: None }, None, None)
    }

    fn generate_series(
        &mut self,
        list: &ast::FunctionArgumentList,
    ) -> Result<(LogicalPlan, ColId, DataType)> {
        let exprs = super::call::arguments(list)?;
        let bound = exprs.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        let undefined = || {
            let names: Vec<&str> = types.iter().map(|ty| ty.sql_name()).collect();
            SqlError::new(
                SqlState::UndefinedFunction,
                format!("function generate_series({}) does not exist", names.join(", ")),
            )
            .with_hint(
                "No function matches the given name and argument types. \
                 You might need to add explicit type casts.",
            )
        };
        if !(2..=3).contains(&bound.len()) {
            return Err(undefined());
        }
        let mut element = common_type(&types[..2]).map_err(|_| undefined())?;
        if types[..2] == [DataType::Unknown; 2] {
            element = types.get(2).copied().unwrap_or(DataType::Int4);
        }
        let step = match element {
            DataType::Int2 | DataType::Int4 => {
                element = DataType::Int4;
                if types.get(2) == Some(&DataType::Int8) {
                    element = DataType::Int8;
                }
                if types.get(2) == Some(&DataType::Numeric) {
                    element = DataType::Numeric;
                }
                element
            }
            DataType::Int8 if types.get(2) == Some(&DataType::Numeric) => {
                element = DataType::Numeric;
                element
            }
            DataType::Int8 | DataType::Numeric => element,
            DataType::Date | DataType::Timestamp | DataType::Timestamptz if bound.len() == 3 => {
                if element == DataType::Date {
                    element = DataType::Timestamptz;
                }
                DataType::Interval
            }
            _ => return Err(undefined()),
        };
        let mut args = Vec::with_capacity(3);
        for (index, arg) in bound.into_iter().enumerate() {
            let ty = if index == 2 { step } else { element };
            args.push(self.coerce(arg, ty, -1, CastContext::Implicit)?);
        }
        let add = resolve_operator("+", Some(element), Some(step))?.id;
        let id = self.column_id();
        let plan = LogicalPlan::FunctionScan {
            function: SetFunction::GenerateSeries { element, add },
            args,
            columns: vec![OutputColumn { id, ty: element }],
        };
        Ok((plan, id, element))
    }
}
