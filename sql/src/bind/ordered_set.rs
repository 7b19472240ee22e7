//! Aggregates with WITHIN GROUP.
//!
//! `mode` and the percentiles are aggregates over sorted rows, whose fraction is an argument like the
//! values. Of a hypothetical row is asked how many rows come before it: `rank` and its kin are counts of
//! rows under a condition.
//!
//! Sources: PostgreSQL 15, src/backend/utils/adt/orderedsetaggs.c, parser/parse_func.c.

use driftdb_query::{AggregateCall, ColId, Expr, Result, SortKey, SqlError};
use driftdb_types::{
    CastContext, DataType, Element, SqlState, Value, can_cast, common_type, ordered_set_aggregate,
    resolve_aggregate, resolve_operator,
};
use sqlparser::ast;

use super::Binder;
use super::aggregate::for_each_column;
use super::call::{arguments, is_aggregate};
use super::order::sort_key;
use super::position::Placed;
use super::predicate::{all_of, any_of};
use super::set_function::undefined;

/// What a hypothetical row is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hypothesis {
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
}

fn hypothesis(name: &str) -> Option<Hypothesis> {
    Some(match name {
        "rank" => Hypothesis::Rank,
        "dense_rank" => Hypothesis::DenseRank,
        "percent_rank" => Hypothesis::PercentRank,
        "cume_dist" => Hypothesis::CumeDist,
        _ => return None,
    })
}

fn misused(message: String) -> SqlError {
    SqlError::new(SqlState::WrongObjectType, message)
}

/// Fails for a call that lacks WITHIN GROUP.
///
/// # Errors
/// 42809
pub(crate) fn check_within_group(name: &str) -> Result<()> {
    match ordered_set_aggregate(name) {
        None => Ok(()),
        Some(_) => {
            Err(misused(format!("WITHIN GROUP is required for ordered-set aggregate {name}")))
        }
    }
}

impl Binder<'_> {
    /// A call with WITHIN GROUP.
    pub(crate) fn ordered_set(
        &mut self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        position: u32,
    ) -> Result<Expr> {
        let (known, asked) = (ordered_set_aggregate(name), hypothesis(name));
        if known.is_none() && asked.is_none() {
            return Err(misused(if is_aggregate(name) {
                format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP")
            } else {
                format!("WITHIN GROUP specified, but {name} is not an aggregate function")
            }));
        }
        if list.duplicate_treatment.is_some() {
            let message = "cannot use DISTINCT with WITHIN GROUP";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        if !list.clauses.is_empty() {
            let message = "cannot use multiple ORDER BY clauses with WITHIN GROUP";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        if function.over.is_some() {
            let message = format!("OVER is not supported for ordered-set aggregate {name}");
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let (parts, level) = self.leveled(
            |binder| binder.set_parts(function, list),
            |parts| parts.keys.iter().map(|key| &key.expr).chain(&parts.filter).collect(),
        )?;
        self.check_direct(&parts.direct, level)?;
        match asked {
            Some(asked) => self.hypothetical(name, asked, parts, level, position),
            None => self.percentile(name, parts, level, position),
        }
    }

    /// Direct arguments are computed once for each group of the query that the aggregate belongs to.
    fn check_direct(&self, direct: &[Expr], level: usize) -> Result<()> {
        for expr in direct {
            let mut lower = None;
            for_each_column(expr, &mut |id| {
                if self.scopes[level + 1..].iter().any(|scope| scope.display(id).is_some()) {
                    lower = lower.or(Some(id));
                }
            });
            let Some(id) = lower else { continue };
            let error = SqlError::new(
                SqlState::GroupingError,
                "outer-level aggregate cannot contain a lower-level variable in its direct arguments",
            );
            let position = self.scopes.iter().rev().find_map(|scope| scope.positions.get(&id));
            return Err(position.map_or(error.clone(), |position| error.at(*position)));
        }
        Ok(())
    }

    fn set_parts(
        &mut self,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
    ) -> Result<Parts> {
        let exprs = arguments(list)?;
        let direct = exprs.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
        let mut keys = Vec::with_capacity(function.within_group.len());
        for key in &function.within_group {
            let expr = self.decided_expr(&key.expr)?;
            keys.push(sort_key(expr, &key.options).at_expr(&key.expr)?);
        }
        let filter = match &function.filter {
            Some(filter) => Some(self.predicate(filter, "FILTER")?),
            None => None,
        };
        Ok(Parts { direct, keys, filter })
    }

    fn percentile(
        &mut self,
        name: &str,
        parts: Parts,
        level: usize,
        position: u32,
    ) -> Result<Expr> {
        let Parts { mut direct, mut keys, filter } = parts;
        let types: Vec<DataType> =
            direct.iter().chain(keys.iter().map(|key| &key.expr)).map(Expr::ty).collect();
        let missing = || undefined(name, &types);
        let [key] = &mut keys[..] else { return Err(missing()) };
        let mut ty = key.expr.ty();
        let mut args = Vec::with_capacity(2);
        if name == "percentile_cont" && ty != DataType::Interval {
            ty = DataType::Float8;
            if key.expr.ty() != ty && !can_cast(key.expr.ty(), ty, CastContext::Implicit) {
                return Err(missing());
            }
            let expr = std::mem::replace(&mut key.expr, Expr::truth());
            key.expr = self.coerce(expr, ty, -1, CastContext::Implicit)?;
        }
        args.push(key.expr.clone());
        let mut result = ty;
        if name == "mode" {
            if !direct.is_empty() {
                return Err(missing());
            }
        } else {
            let (Some(fraction), true) = (direct.pop(), direct.is_empty()) else {
                return Err(missing());
            };
            let wanted = if fraction.ty().element().is_some() {
                result = ty.array().ok_or_else(missing)?;
                DataType::Array(Element::Float8)
            } else {
                DataType::Float8
            };
            let from = fraction.ty();
            if from != DataType::Unknown
                && from != wanted
                && !can_cast(from, wanted, CastContext::Implicit)
            {
                return Err(missing());
            }
            let fraction = self.coerce(fraction, wanted, -1, CastContext::Implicit)?;
            self.scopes[level].direct.push(fraction.clone());
            args.push(fraction);
        }
        let aggregate = ordered_set_aggregate(name).ok_or_else(missing)?;
        let call = AggregateCall {
            output: ColId(0),
            aggregate,
            args,
            distinct: false,
            filter,
            order_by: keys,
            ty: result,
        };
        self.aggregated(call, level, position)
    }

    fn hypothetical(
        &mut self,
        name: &str,
        asked: Hypothesis,
        parts: Parts,
        level: usize,
        position: u32,
    ) -> Result<Expr> {
        let Parts { direct, keys, filter } = parts;
        if direct.len() != keys.len() {
            let types: Vec<DataType> =
                direct.iter().chain(keys.iter().map(|key| &key.expr)).map(Expr::ty).collect();
            return Err(undefined(name, &types).with_hint(format!(
                "To use the hypothetical-set aggregate {name}, the number of hypothetical direct \
                 arguments (here {}) must match the number of ordering columns (here {}).",
                direct.len(),
                keys.len()
            )));
        }
        let mut values = Vec::with_capacity(keys.len());
        let mut alternatives = Vec::with_capacity(keys.len() + 1);
        let mut equal = Vec::with_capacity(keys.len());
        for (own, key) in direct.into_iter().zip(keys) {
            let ty = common_type(&[own.ty(), key.expr.ty()])
                .map_err(|differ| differ.error("WITHIN GROUP"))?;
            let own = self.coerce(own, ty, -1, CastContext::Implicit)?;
            let value = self.coerce(key.expr, ty, -1, CastContext::Implicit)?;
            self.scopes[level].direct.push(own.clone());
            let mut terms = equal.clone();
            terms.push(self.comes_before(&value, &own, key.descending, key.nulls_first)?);
            alternatives.push(all_of(terms));
            equal.push(Expr::IsDistinct {
                left: Box::new(value.clone()),
                right: Box::new(own),
                equal: resolve_operator("=", Some(ty), Some(ty))?.id,
                negated: true,
            });
            values.push(value);
        }
        if asked == Hypothesis::CumeDist {
            alternatives.push(all_of(equal));
        }
        let before = any_of(alternatives);
        let mut both: Vec<Expr> = filter.iter().cloned().collect();
        both.push(before);
        let one = Expr::constant(Value::Int8(1), DataType::Int8);
        let distinct = asked == Hypothesis::DenseRank;
        let count = self.count(
            if distinct { values } else { Vec::new() },
            distinct,
            Some(all_of(both)),
            level,
            position,
        )?;
        if matches!(asked, Hypothesis::Rank | Hypothesis::DenseRank) {
            return self.operator("+", count, one);
        }
        let all = self.count(Vec::new(), false, filter, level, position)?;
        let float = |binder: &mut Self, expr| {
            binder.coerce(expr, DataType::Float8, -1, CastContext::Explicit)
        };
        if asked == Hypothesis::CumeDist {
            let (count, all) =
                (self.operator("+", count, one.clone())?, self.operator("+", all, one)?);
            let (count, all) = (float(self, count)?, float(self, all)?);
            return self.operator("/", count, all);
        }
        let zero = Expr::constant(Value::Int8(0), DataType::Int8);
        let is_empty = self.operator("=", all.clone(), zero)?;
        let (count, all) = (float(self, count)?, float(self, all)?);
        let share = self.operator("/", count, all)?;
        let none = Expr::constant(Value::Float8(0.0), DataType::Float8);
        let otherwise = Some(Box::new(share));
        Ok(Expr::Case { arms: vec![(is_empty, none)], otherwise, ty: DataType::Float8 })
    }

    /// Whether `value` is sorted before `own`.
    fn comes_before(
        &mut self,
        value: &Expr,
        own: &Expr,
        descending: bool,
        nulls_first: bool,
    ) -> Result<Expr> {
        let is_null = |expr: &Expr| Expr::IsNull(Box::new(expr.clone()));
        let is_value = |expr: &Expr| Expr::Not(Box::new(is_null(expr)));
        let by_null = if nulls_first {
            Expr::And(vec![is_null(value), is_value(own)])
        } else {
            Expr::And(vec![is_value(value), is_null(own)])
        };
        let symbol = if descending { ">" } else { "<" };
        let by_value = self.operator(symbol, value.clone(), own.clone())?;
        Ok(Expr::Or(vec![by_null, by_value]))
    }

    /// A count of rows, or of what is different in them.
    fn count(
        &mut self,
        values: Vec<Expr>,
        distinct: bool,
        filter: Option<Expr>,
        level: usize,
        position: u32,
    ) -> Result<Expr> {
        let absent = || SqlError::internal("count is an aggregate");
        let mut args = Vec::new();
        if distinct {
            // Rows count whatever is in them.
            args.push(Expr::truth());
            args.extend(values);
        }
        let types: &[DataType] = if distinct { &[DataType::Bool] } else { &[] };
        let resolved = resolve_aggregate("count", types, !distinct).ok_or_else(absent)??;
        let call = AggregateCall {
            output: ColId(0),
            aggregate: resolved.id,
            args,
            distinct,
            filter,
            order_by: Vec::new(),
            ty: DataType::Int8,
        };
        self.aggregated(call, level, position)
    }
}

/// What a call consists of.
struct Parts {
    direct: Vec<Expr>,
    keys: Vec<SortKey>,
    filter: Option<Expr>,
}
