//! Expressions over one row: the definition itself, with subqueries that can run.

use std::cell::RefCell;
use std::sync::Arc;

use driftdb_query::eval::{Scope, eval, missing_parameter};
use driftdb_query::{Expr, Result, RoutineCall, Subplan, SubqueryKind};
use driftdb_types::{EvalContext, Value};

use crate::context::Run;
use crate::subplan;

/// One row, and what a statement reaches.
struct RowScope<'s, 'r, 'a> {
    row: &'s [Value],
    frame: Arc<[Value]>,
    params: &'a [Value],
    context: &'a EvalContext,
    /// Borrowed only while a subquery runs; its own rows have scopes of their own.
    run: RefCell<&'s mut Run<'r, 'a>>,
}

impl Scope for RowScope<'_, '_, '_> {
    fn slot(&self, index: usize) -> Value {
        self.row[index].clone()
    }

    fn outer(&self, index: usize) -> Value {
        self.frame[index].clone()
    }

    fn param(&self, index: usize) -> Result<Value> {
        self.params.get(index).cloned().ok_or_else(|| missing_parameter(index))
    }

    fn context(&self) -> &EvalContext {
        self.context
    }

    fn subplan(&self, subplan: &Subplan) -> Result<Value> {
        let values = |exprs: &[Expr]| -> Result<Vec<Value>> {
            exprs.iter().map(|expr| eval(expr, self)).collect()
        };
        let outer = values(&subplan.outer)?;
        let left = match &subplan.kind {
            SubqueryKind::Compare { left, .. } => values(left)?,
            SubqueryKind::Scalar | SubqueryKind::Exists => Vec::new(),
        };
        subplan::answer(subplan, outer, &left, &mut self.run.borrow_mut())
    }

    fn routine(&self, call: &RoutineCall, args: Vec<Value>) -> Result<Value> {
        crate::routine::call_value(call, args, &mut self.run.borrow_mut())
    }
}

/// Evaluates over a row.
pub(crate) fn evaluate_row(expr: &Expr, row: &[Value], run: &mut Run<'_, '_>) -> Result<Value> {
    match expr {
        Expr::Const { value, .. } => return Ok(value.clone()),
        Expr::Slot { index, .. } => return Ok(row[*index].clone()),
        Expr::Param { index, .. } => {
            return run.cx.params.get(*index).cloned().ok_or_else(|| missing_parameter(*index));
        }
        Expr::Outer { index, .. } => return Ok(run.state.frame[*index].clone()),
        _ => {}
    }
    let scope = RowScope {
        row,
        frame: Arc::clone(&run.state.frame),
        params: run.cx.params,
        context: run.cx.eval,
        run: RefCell::new(run),
    };
    eval(expr, &scope)
}

/// Evaluates an expression that uses no columns.
pub(crate) fn evaluate_free(expr: &Expr, run: &mut Run<'_, '_>) -> Result<Value> {
    evaluate_row(expr, &[], run)
}

/// Whether a predicate holds for a row: true, not false and not NULL.
pub(crate) fn holds(predicate: &Expr, row: &[Value], run: &mut Run<'_, '_>) -> Result<bool> {
    Ok(evaluate_row(predicate, row, run)? == Value::Bool(true))
}
