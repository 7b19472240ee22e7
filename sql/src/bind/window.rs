//! Window functions: windows by name and in place, their frames, and the calls over them.
//!
//! Calls are computed after grouping and before set-returning functions, DISTINCT and ORDER BY. Windows
//! with the same partition and order are one node of the plan; the nodes come in PostgreSQL's order, which
//! shows in the order of rows that nobody asked to sort.
//!
//! Sources: PostgreSQL 15, parser/parse_agg.c (transformWindowFuncCall), parser/parse_clause.c
//! (transformWindowDefinitions, transformFrameOffset), optimizer/plan/planner.c (select_active_windows).

use std::cmp::Ordering;

use driftdb_query::{
    ColId, Expr, Frame, FrameBound, FrameExclusion, FrameUnits, LogicalPlan, Result, SortKey,
    SqlError, WindowCall, WindowFunction,
};
use driftdb_types::{CastContext, DataType, SqlState, can_cast, common_type, range_offset_types};
use sqlparser::ast;

use super::Binder;
use super::aggregate::for_each_column;
use super::call::{arguments, is_aggregate};
use super::names::{ident, ident_position};
use super::order::{check_equality, sort_key};
use super::position::Placed;
use super::scope::Clause;
use super::set_function::undefined;
use crate::front::grouping::EXCLUSIONS;

/// A window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    name: Option<String>,
    pub(crate) partition: Vec<Expr>,
    pub(crate) order: Vec<SortKey>,
    frame: Frame,
    has_frame: bool,
}

/// Where in a window's parts an expression stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InWindow {
    No,
    Call,
    Definition,
}

fn windowing(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::WindowingError, message)
}

fn unsupported(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::FeatureNotSupported, message)
}

impl Binder<'_> {
    /// The WINDOW clause.
    pub(crate) fn named_windows(&mut self, windows: &[ast::NamedWindowDefinition]) -> Result<()> {
        for ast::NamedWindowDefinition(name, expr) in windows {
            let (text, position) = (ident(name), ident_position(name));
            let known = |window: &Window| window.name.as_ref() == Some(&text);
            if self.scope().windows.iter().any(known) {
                return Err(windowing(format!("window \"{text}\" is already defined")).at(position));
            }
            let ast::NamedWindowExpr::WindowSpec(spec) = expr else {
                return Err(SqlError::new(SqlState::SyntaxError, "a window needs brackets"));
            };
            let window = self.window(Some(text), spec)?;
            self.scope().windows.push(window);
        }
        Ok(())
    }

    fn find_window(&mut self, name: &str, position: u32) -> Result<usize> {
        let found = self.scope().windows.iter().position(|w| w.name.as_deref() == Some(name));
        found.ok_or_else(|| {
            let message = format!("window \"{name}\" does not exist");
            SqlError::new(SqlState::UndefinedObject, message).at(position)
        })
    }

    /// A window as written, or as it goes on from another.
    fn window(&mut self, name: Option<String>, spec: &ast::WindowSpec) -> Result<Window> {
        let before = std::mem::replace(&mut self.scope().in_window, InWindow::Definition);
        let window = self.window_parts(name, spec);
        self.scope().in_window = before;
        window
    }

    fn window_parts(&mut self, name: Option<String>, spec: &ast::WindowSpec) -> Result<Window> {
        let mut exclusion = FrameExclusion::None;
        let mut base = None;
        if let Some(ident) = &spec.window_name {
            let (mut text, position) = (self::ident(ident), ident_position(ident));
            let marks = [FrameExclusion::Current, FrameExclusion::Group, FrameExclusion::Ties];
            for (mark, excluded) in EXCLUSIONS.into_iter().zip(marks) {
                if let Some(rest) = text.strip_prefix(mark) {
                    exclusion = excluded;
                    text = rest.to_owned();
                    break;
                }
            }
            if !text.is_empty() {
                let index = self.find_window(&text, position)?;
                base = Some((self.scope().windows[index].clone(), text, position));
            }
        }
        let mut order = Vec::with_capacity(spec.order_by.len());
        for key in &spec.order_by {
            let expr = self.decided_expr(&key.expr)?;
            order.push(sort_key(expr, &key.options).at_expr(&key.expr)?);
        }
        let mut partition = Vec::with_capacity(spec.partition_by.len());
        for expr in &spec.partition_by {
            let bound = self.decided_expr(expr)?;
            check_equality(bound.ty()).at_expr(expr)?;
            partition.push(bound);
        }
        if let Some((base, name, position)) = base {
            let refused = |what: &str| {
                let message = format!("cannot override {what} clause of window \"{name}\"");
                Err(windowing(message).at(position))
            };
            if !partition.is_empty() {
                return refused("PARTITION BY");
            }
            if !order.is_empty() && !base.order.is_empty() {
                return refused("ORDER BY");
            }
            if base.has_frame {
                let message =
                    format!("cannot copy window \"{name}\" because it has a frame clause");
                let error = windowing(message).at(position);
                let alone = order.is_empty() && spec.window_frame.is_none();
                return Err(if alone {
                    error.with_hint("Omit the parentheses in this OVER clause.")
                } else {
                    error
                });
            }
            partition = base.partition;
            if order.is_empty() {
                order = base.order;
            }
        }
        let (frame, has_frame) = match &spec.window_frame {
            None => (Frame::DEFAULT, false),
            Some(frame) => (self.frame(frame, exclusion, &order)?, true),
        };
        Ok(Window { name, partition, order, frame, has_frame })
    }

    fn frame(
        &mut self,
        frame: &ast::WindowFrame,
        exclusion: FrameExclusion,
        order: &[SortKey],
    ) -> Result<Frame> {
        use ast::WindowFrameBound as B;
        let units = match frame.units {
            ast::WindowFrameUnits::Rows => FrameUnits::Rows,
            ast::WindowFrameUnits::Range => FrameUnits::Range,
            ast::WindowFrameUnits::Groups => FrameUnits::Groups,
        };
        let end_bound = frame.end_bound.as_ref().unwrap_or(&B::CurrentRow);
        let wrong = match (&frame.start_bound, end_bound) {
            (B::Following(None), _) => Some("frame start cannot be UNBOUNDED FOLLOWING"),
            (B::Following(Some(_)), _) if frame.end_bound.is_none() => {
                Some("frame starting from following row cannot end with current row")
            }
            (_, B::Preceding(None)) => Some("frame end cannot be UNBOUNDED PRECEDING"),
            (B::CurrentRow, B::Preceding(Some(_))) => {
                Some("frame starting from current row cannot have preceding rows")
            }
            (B::Following(Some(_)), B::Preceding(Some(_)) | B::CurrentRow) => {
                Some("frame starting from following row cannot have preceding rows")
            }
            _ => None,
        };
        if let Some(message) = wrong {
            return Err(windowing(message));
        }
        let has_offset = |bound: &B| matches!(bound, B::Preceding(Some(_)) | B::Following(Some(_)));
        if units == FrameUnits::Range
            && (has_offset(&frame.start_bound) || has_offset(end_bound))
            && order.len() != 1
        {
            return Err(windowing(
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            ));
        }
        if units == FrameUnits::Groups && order.is_empty() {
            return Err(windowing("GROUPS mode requires an ORDER BY clause"));
        }
        let mut bound = |bound: &B| -> Result<FrameBound> {
            Ok(match bound {
                B::CurrentRow => FrameBound::Current,
                B::Preceding(None) => FrameBound::First,
                B::Following(None) => FrameBound::Last,
                B::Preceding(Some(offset)) => {
                    FrameBound::Preceding(self.offset(offset, units, order)?)
                }
                B::Following(Some(offset)) => {
                    FrameBound::Following(self.offset(offset, units, order)?)
                }
            })
        };
        let (start, end) = (bound(&frame.start_bound)?, bound(end_bound)?);
        Ok(Frame { units, start, end, exclusion })
    }

    /// The offset of a frame's limit.
    fn offset(&mut self, expr: &ast::Expr, units: FrameUnits, order: &[SortKey]) -> Result<Expr> {
        let (clause, name) = match units {
            FrameUnits::Rows => (Clause::WindowRows, "ROWS"),
            FrameUnits::Range => (Clause::WindowRange, "RANGE"),
            FrameUnits::Groups => (Clause::WindowGroups, "GROUPS"),
        };
        let bound = self.in_clause(clause, |binder| binder.expr(expr))?;
        let mut has_column = false;
        let scope = self.scope();
        for_each_column(&bound, &mut |id| has_column |= scope.display(id).is_some());
        if has_column {
            let message = format!("argument of {name} must not contain variables");
            return Err(SqlError::new(SqlState::InvalidColumnReference, message)).at_expr(expr);
        }
        let ty = bound.ty();
        let Some(key) = order.first().filter(|_| units == FrameUnits::Range) else {
            let wanted = DataType::Int8;
            if ty != DataType::Unknown && !can_cast(ty, wanted, CastContext::Assignment)
                || ty.is_string()
            {
                let message = format!("argument of {name} must be type bigint, not type {ty}");
                return Err(SqlError::new(SqlState::DatatypeMismatch, message)).at_expr(expr);
            }
            return self.coerce(bound, wanted, -1, CastContext::Assignment).at_expr(expr);
        };
        let column = key.expr.ty();
        let what = "RANGE with offset PRECEDING/FOLLOWING";
        let wanted = range_offset_types(column);
        if wanted.is_empty() {
            let message = format!("{what} is not supported for column type {column}");
            return Err(unsupported(message)).at_expr(expr);
        }
        let preferred = if ty == DataType::Unknown { column } else { ty };
        let fitting: Vec<DataType> = wanted
            .iter()
            .copied()
            .filter(|wanted| {
                ty == DataType::Unknown
                    || ty == *wanted
                    || can_cast(ty, *wanted, CastContext::Implicit)
            })
            .collect();
        let chosen = match fitting[..] {
            [] => {
                let message = format!(
                    "{what} is not supported for column type {column} and offset type {ty}"
                );
                let hint = "Cast the offset value to an appropriate type.";
                return Err(unsupported(message).with_hint(hint)).at_expr(expr);
            }
            [only] => only,
            _ if fitting.contains(&preferred) => preferred,
            _ => {
                let message = format!(
                    "{what} has multiple interpretations for column type {column} and offset \
                     type {ty}"
                );
                let hint = "Cast the offset value to the exact intended type.";
                return Err(unsupported(message).with_hint(hint)).at_expr(expr);
            }
        };
        self.coerce(bound, chosen, -1, CastContext::Implicit).at_expr(expr)
    }

    /// A call with OVER; the result is the column that the window yields for it.
    pub(crate) fn window_call(
        &mut self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        over: &ast::WindowType,
    ) -> Result<Expr> {
        let known = WindowFunction::named(name);
        if known.is_none() && !is_aggregate(name) {
            return Err(SqlError::new(
                SqlState::WrongObjectType,
                format!(
                    "OVER specified, but {name} is not a window function nor an aggregate function"
                ),
            ));
        }
        self.check_window_call(known.is_some(), function, list)?;
        let scope = self.scope();
        scope.in_window = InWindow::Call;
        let sets = scope.set_calls.len();
        let call = match known {
            Some(known) => self.window_function(known, list),
            None => self.aggregate_over(name, function, list),
        };
        self.scope().in_window = InWindow::No;
        let mut call = call?;
        if self.scope().set_calls.len() > sets {
            let message = "window function calls cannot contain set-returning function calls";
            return Err(unsupported(message).with_hint(
                "You might be able to move the set-returning function into a LATERAL FROM item.",
            ));
        }
        let window = match over {
            ast::WindowType::NamedWindow(name) => {
                let index = self.find_window(&ident(name), ident_position(name))?;
                self.scope().windows[index].clone()
            }
            ast::WindowType::WindowSpec(spec) => self.window(None, spec)?,
        };
        call.frame = window.frame.clone();
        let index = match over {
            ast::WindowType::NamedWindow(name) => {
                self.find_window(&ident(name), ident_position(name))?
            }
            ast::WindowType::WindowSpec(_) => {
                let windows = &mut self.scope().windows;
                let same = windows.iter().position(|other| *other == window);
                same.unwrap_or_else(|| {
                    windows.push(window);
                    windows.len() - 1
                })
            }
        };
        let same = self.scope().window_calls.iter().find(|(other, known)| {
            let ours = (&call.function, &call.args, &call.filter);
            *other == index && (&known.function, &known.args, &known.filter) == ours
        });
        if let Some((_, known)) = same {
            return Ok(Expr::Column { id: known.output, ty: known.ty });
        }
        let output = self.column_id();
        call.output = output;
        let ty = call.ty;
        self.scope().window_calls.push((index, call));
        Ok(Expr::Column { id: output, ty })
    }

    /// Whether a call with OVER may stand here, and have what it has.
    fn check_window_call(
        &mut self,
        is_no_aggregate: bool,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
    ) -> Result<()> {
        let scope = self.scope();
        if scope.in_aggregate {
            return Err(SqlError::new(
                SqlState::GroupingError,
                "aggregate function calls cannot contain window function calls",
            ));
        }
        match scope.in_window {
            InWindow::No => {}
            InWindow::Call => return Err(windowing("window function calls cannot be nested")),
            InWindow::Definition => {
                return Err(windowing("window functions are not allowed in window definitions"));
            }
        }
        if !matches!(scope.clause, Clause::Select | Clause::OrderBy | Clause::DistinctOn) {
            let place = scope.clause.name();
            return Err(windowing(format!("window functions are not allowed in {place}")));
        }
        if function.null_treatment.is_some()
            || list
                .clauses
                .iter()
                .any(|c| matches!(c, ast::FunctionArgumentClause::IgnoreOrRespectNulls(_)))
        {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"NULLS\""));
        }
        if list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct) {
            return Err(unsupported("DISTINCT is not implemented for window functions"));
        }
        if !list.clauses.is_empty() {
            return Err(unsupported("aggregate ORDER BY is not implemented for window functions"));
        }
        if is_no_aggregate && function.filter.is_some() {
            let message = "FILTER is not implemented for non-aggregate window functions";
            return Err(unsupported(message));
        }
        Ok(())
    }

    fn aggregate_over(
        &mut self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
    ) -> Result<WindowCall> {
        let call = self.aggregate_call(name, function, list)?;
        Ok(WindowCall {
            output: ColId(0),
            function: WindowFunction::Aggregate(call.aggregate),
            args: call.args,
            filter: call.filter,
            frame: Frame::DEFAULT,
            ty: call.ty,
        })
    }

    fn window_function(
        &mut self,
        function: WindowFunction,
        list: &ast::FunctionArgumentList,
    ) -> Result<WindowCall> {
        use WindowFunction as W;
        let exprs = arguments(list)?;
        let bound = exprs.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
        let types: Vec<DataType> = bound.iter().map(Expr::ty).collect();
        let missing = || undefined(function.name(), &types);
        let counts = match function {
            W::RowNumber | W::Rank | W::DenseRank | W::PercentRank | W::CumeDist => 0..=0,
            W::Ntile | W::FirstValue | W::LastValue => 1..=1,
            W::Lag | W::Lead => 1..=3,
            W::NthValue => 2..=2,
            W::Aggregate(_) => return Err(missing()),
        };
        if !counts.contains(&bound.len()) {
            return Err(missing());
        }
        let mut value = types.first().copied().unwrap_or(DataType::Unknown);
        if let Some(default) = types.get(2) {
            value = common_type(&[value, *default]).map_err(|_| missing())?;
        }
        if value == DataType::Unknown && !matches!(function, W::Ntile) && !bound.is_empty() {
            let message = "could not determine polymorphic type because input has type unknown";
            return Err(SqlError::new(SqlState::DatatypeMismatch, message));
        }
        let wanted = match function {
            W::Ntile => [DataType::Int4; 3],
            _ => [value, DataType::Int4, value],
        };
        let mut args = Vec::with_capacity(bound.len());
        for ((arg, ty), expr) in bound.into_iter().zip(wanted).zip(&exprs) {
            if arg.ty() != DataType::Unknown
                && arg.ty() != ty
                && !can_cast(arg.ty(), ty, CastContext::Implicit)
            {
                return Err(missing());
            }
            args.push(self.coerce(arg, ty, -1, CastContext::Implicit).at_expr(expr)?);
        }
        let ty = match function {
            W::RowNumber | W::Rank | W::DenseRank => DataType::Int8,
            W::PercentRank | W::CumeDist => DataType::Float8,
            W::Ntile => DataType::Int4,
            _ => value,
        };
        let (output, filter, frame) = (ColId(0), None, Frame::DEFAULT);
        Ok(WindowCall { output, function, args, filter, frame, ty })
    }
}

/// The windows of a SELECT with their calls.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    pub(crate) windows: Vec<Window>,
    pub(crate) calls: Vec<(usize, WindowCall)>,
    /// The order of windows goes by when their keys were first used; these were before.
    ranks: Vec<Expr>,
    keys: Vec<Vec<(usize, bool, bool)>>,
}

impl Windows {
    /// `before`: what is sorted by, grouped by and made distinct.
    pub(crate) fn new(
        windows: Vec<Window>,
        calls: Vec<(usize, WindowCall)>,
        before: Vec<Expr>,
    ) -> Self {
        let mut all = Self { windows, calls, ranks: Vec::new(), keys: Vec::new() };
        for expr in before {
            all.rank(&expr);
        }
        for index in 0..all.windows.len() {
            let window = all.windows[index].clone();
            let order: Vec<(usize, bool, bool)> = window
                .order
                .iter()
                .map(|key| (all.rank(&key.expr), key.descending, key.nulls_first))
                .collect();
            let mut keys: Vec<(usize, bool, bool)> = Vec::new();
            for expr in &window.partition {
                let rank = all.rank(expr);
                // A column that is also ordered by is partitioned in that order.
                let same = order.iter().find(|key| key.0 == rank).copied();
                keys.push(same.unwrap_or((rank, false, false)));
            }
            let rest = order.into_iter().filter(|key| !keys.contains(key)).collect::<Vec<_>>();
            keys.extend(rest);
            all.keys.push(keys);
        }
        all
    }

    fn rank(&mut self, expr: &Expr) -> usize {
        self.ranks.iter().position(|known| known == expr).unwrap_or_else(|| {
            self.ranks.push(expr.clone());
            self.ranks.len() - 1
        })
    }

    /// Every expression of windows and calls, to be rewritten over a grouping.
    pub(crate) fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let windows = self.windows.iter_mut().flat_map(|window| {
            window.partition.iter_mut().chain(window.order.iter_mut().map(|key| &mut key.expr))
        });
        windows.chain(self.calls.iter_mut().flat_map(|(_, call)| call.exprs_mut()))
    }

    /// Puts the windows that are used above a plan.
    pub(crate) fn above(self, mut plan: LogicalPlan) -> LogicalPlan {
        let mut active: Vec<usize> = (0..self.windows.len())
            .filter(|index| self.calls.iter().any(|(window, _)| window == index))
            .collect();
        active.sort_by(|a, b| prefix_order(&self.keys[*a], &self.keys[*b]));
        let mut nodes: Vec<(usize, Vec<WindowCall>)> = Vec::new();
        for index in active {
            let calls = self.calls.iter().filter(|(window, _)| *window == index);
            let calls = calls.map(|(_, call)| call.clone());
            let same = |other: usize| {
                let (a, b) = (&self.windows[other], &self.windows[index]);
                a.partition == b.partition && a.order == b.order
            };
            match nodes.last_mut() {
                Some((other, known)) if same(*other) => known.extend(calls),
                _ => nodes.push((index, calls.collect())),
            }
        }
        for (index, calls) in nodes {
            let window = &self.windows[index];
            plan = LogicalPlan::Window {
                input: Box::new(plan),
                partition: window.partition.clone(),
                order: window.order.clone(),
                calls,
            };
        }
        plan
    }
}

/// The order in which PostgreSQL computes windows: those that begin alike beside each other, the longer
/// first.
fn prefix_order(a: &[(usize, bool, bool)], b: &[(usize, bool, bool)]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        // Later keys, descending ones and NULLS FIRST come first.
        let order = b.cmp(a);
        if order.is_ne() {
            return order;
        }
    }
    b.len().cmp(&a.len())
}
