//! Functions in FROM.

use driftdb_query::{Expr, LogicalPlan, Result, SetFunction, SqlError};
use driftdb_types::{CastContext, DataType, Element, SqlState, Value, resolve_function};
use sqlparser::ast;

use super::Binder;
use super::call::is_aggregate;
use super::changes::{ALL_CHANGES, TABLE_CHANGES};
use super::diff::TABLE_DIFF;
use super::digest::digest_function;
use super::from::{Aliased, item};
use super::keywords::KEYWORDS;
use super::names::{ident, object_name};
use super::scope::{FromItem, Named};
use super::set_function::{SetCall, is_pair_function, is_set_function, scan_of};
use super::target::NO_META;

impl Binder<'_> {
    /// A function: one that yields rows, or a scalar one as a row of one column.
    pub(crate) fn function_item(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        ordinality: bool,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let parsed = object_name(name)?;
        let list = ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.to_vec(),
            clauses: Vec::new(),
        };
        if let Some(item) = self.routine_item((&parsed, name), &list, ordinality, alias)? {
            return Ok(item);
        }
        if parsed.name == TABLE_DIFF {
            return self.table_diff(args, parsed.position, alias);
        }
        if parsed.name == TABLE_CHANGES {
            return self.table_changes(args, parsed.position, alias);
        }
        if parsed.name == ALL_CHANGES {
            return self.all_changes(args, parsed.position, alias);
        }
        if let Some(function) = digest_function(&parsed.name) {
            let exprs = super::call::arguments(&list)?;
            let item = self.digest_item(&parsed.name, function, &exprs, ordinality, alias);
            return item.map_err(|error| error.at(parsed.position));
        }
        let column_name = alias.map_or(parsed.name.clone(), |alias| ident(&alias.name));
        if is_aggregate(&parsed.name) {
            return Err(SqlError::new(
                SqlState::GroupingError,
                "aggregate functions are not allowed in functions in FROM",
            )
            .at(parsed.position));
        }
        if parsed.name == "pg_options_to_table" && !ordinality {
            let exprs = super::call::arguments(&list)?;
            return self.options_item(&exprs, alias).map_err(|error| error.at(parsed.position));
        }
        if parsed.name == KEYWORDS && args.is_empty() && !ordinality {
            return self.keywords_item(alias);
        }
        if is_set_function(&parsed.name) {
            let ordered = super::named_arguments::ordered_arguments(&parsed.name, args)
                .map_err(|error| error.at(parsed.position))?;
            let exprs = match &ordered {
                Some(ordered) => ordered.iter().collect(),
                None => super::call::arguments(&list)?,
            };
            return self
                .set_item(&parsed.name, &exprs, ordinality, alias)
                .map_err(|error| error.at(parsed.position));
        }
        if ordinality {
            return Err(SqlError::unsupported(
                "WITH ORDINALITY of a function that yields one value",
            )
            .at(parsed.position));
        }
        let (plan, id, ty) = {
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
        let (plan, named) = self.spread(plan, named)?;
        item(plan, named, Aliased { alias, own: parsed.name, schema: None }, None, None)
    }

    /// A function that yields rows; `unnest` of several arrays yields them side by side.
    pub(crate) fn set_item(
        &mut self,
        name: &str,
        exprs: &[&ast::Expr],
        ordinality: bool,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let is_pair = is_pair_function(name);
        let calls = if is_pair {
            self.pair_calls(name, exprs)?.into()
        } else if name == "unnest" && exprs.len() > 1 {
            exprs.iter().map(|expr| self.set_call(name, &[expr])).collect::<Result<Vec<_>>>()?
        } else {
            vec![self.set_call(name, exprs)?]
        };
        // The one column is called as the item is.
        let column_name = match alias {
            // Named by the function itself.
            _ if name.contains("_array_elements") => "value".to_owned(),
            Some(alias) if calls.len() == 1 => ident(&alias.name),
            _ => name.to_owned(),
        };
        let calls: Vec<_> = calls.into_iter().map(|call| (self.column_id(), call)).collect();
        let number = ordinality.then(|| self.column_id());
        if let ([(only, _)], None) = (&calls[..], number) {
            self.function_values.insert(*only);
        }
        let (plan, columns) = scan_of(calls, number);
        let named = columns
            .into_iter()
            .enumerate()
            .map(|(index, column)| {
                self.meta.insert(column.id, NO_META);
                let name = match index {
                    _ if Some(column.id) == number => "ordinality".to_owned(),
                    0 if is_pair => "key".to_owned(),
                    1 if is_pair => "value".to_owned(),
                    _ => column_name.clone(),
                };
                Named { name, expr: Expr::Column { id: column.id, ty: column.ty } }
            })
            .collect();
        let (plan, named) = self.spread(plan, named)?;
        item(plan, named, Aliased { alias, own: name.to_owned(), schema: None }, None, None)
    }

    /// In the place of each column that is a row of a composite type, its columns.
    fn spread(
        &mut self,
        plan: LogicalPlan,
        named: Vec<Named>,
    ) -> Result<(LogicalPlan, Vec<Named>)> {
        if named.iter().all(|one| one.expr.ty().fields().is_none()) {
            return Ok((plan, named));
        }
        let (mut exprs, mut spread) = (Vec::new(), Vec::new());
        for Named { name, expr } in named {
            let columns = match expr.ty().fields() {
                None => vec![(name, expr)],
                Some(fields) => fields
                    .iter()
                    .map(|field| {
                        let column = self.column_of_row(expr.clone(), &field.name)?;
                        Ok((field.name.to_string(), column))
                    })
                    .collect::<Result<_>>()?,
            };
            for (name, value) in columns {
                let (id, ty) = (self.column_id(), value.ty());
                self.meta.insert(id, NO_META);
                exprs.push((id, value));
                spread.push(Named { name, expr: Expr::Column { id, ty } });
            }
        }
        Ok((LogicalPlan::Project { input: Box::new(plan), exprs }, spread))
    }

    /// `pg_options_to_table(options)`: each `name=value` as a row of two columns.
    fn options_item(
        &mut self,
        exprs: &[&ast::Expr],
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        let name = "pg_options_to_table";
        let [options] = exprs else {
            let message = format!("function {name} takes one array of text");
            return Err(SqlError::new(SqlState::UndefinedFunction, message));
        };
        let array = DataType::Array(Element::Text);
        let options = self.expr(options)?;
        let options = self.coerce(options, array, -1, CastContext::Implicit)?;
        let call =
            SetCall { function: SetFunction::Unnest, args: vec![options], ty: DataType::Text };
        let option = self.column_id();
        self.meta.insert(option, NO_META);
        let ty = call.ty;
        let (plan, _) = scan_of(vec![(option, call)], None);
        let option = Expr::Column { id: option, ty };
        let text = |text: &str| Expr::constant(Value::text(text), DataType::Text);
        let mut exprs = Vec::with_capacity(2);
        let mut named = Vec::with_capacity(2);
        for (column, pattern) in [("option_name", "^[^=]*"), ("option_value", "^[^=]*=(.*)$")] {
            let args = vec![option.clone(), text(pattern)];
            let types: Vec<DataType> = args.iter().map(Expr::ty).collect();
            let resolved = resolve_function("substring", &types)?;
            let value = self.resolved_call(&resolved, args)?;
            let (id, ty) = (self.column_id(), value.ty());
            self.meta.insert(id, NO_META);
            exprs.push((id, value));
            named.push(Named { name: column.to_owned(), expr: Expr::Column { id, ty } });
        }
        let plan = LogicalPlan::Project { input: Box::new(plan), exprs };
        item(plan, named, Aliased { alias, own: name.to_owned(), schema: None }, None, None)
    }
}
