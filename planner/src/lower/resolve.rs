//! Columns by identity become positions, or values handed down from outside.

use std::sync::Arc;

use driftdb_query::{
    ColId, Expr, OutputColumn, PlanContext, Result, SqlError, Subplan, SubqueryKind,
};
use driftdb_types::DataType;

use super::lower_in_order;

/// What a plan takes from the row that encloses it: `Expr::Outer { index }` is `outer[index]`.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) outer: Vec<(ColId, DataType)>,
}

impl Frame {
    fn index_of(&mut self, id: ColId, ty: DataType) -> usize {
        self.outer.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            self.outer.push((id, ty));
            self.outer.len() - 1
        })
    }

    /// The handed-down values as expressions of the enclosing plan.
    pub(super) fn into_exprs(
        self,
        columns: &[OutputColumn],
        enclosing: &mut Self,
        cx: &PlanContext,
    ) -> Result<Vec<Expr>> {
        let exprs = self.outer.into_iter().map(|(id, ty)| Expr::Column { id, ty });
        resolve_all(exprs, columns, enclosing, cx)
    }

    /// Nothing encloses a statement.
    pub(super) fn expect_empty(&self) -> Result<()> {
        match self.outer.first() {
            None => Ok(()),
            Some((id, _)) => Err(SqlError::internal(format!("column {} comes from nowhere", id.0))),
        }
    }
}

/// Resolves an expression over a row of `columns`; what the row does not have, the frame hands down.
pub(super) fn resolve(
    mut expr: Expr,
    columns: &[OutputColumn],
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Expr> {
    resolve_in_place(&mut expr, columns, frame, cx)?;
    Ok(expr)
}

/// [`resolve`] for several.
pub(super) fn resolve_all(
    exprs: impl IntoIterator<Item = Expr>,
    columns: &[OutputColumn],
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Vec<Expr>> {
    exprs.into_iter().map(|expr| resolve(expr, columns, frame, cx)).collect()
}

fn resolve_in_place(
    expr: &mut Expr,
    columns: &[OutputColumn],
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<()> {
    if let Expr::Column { id, ty } = *expr {
        *expr = match columns.iter().position(|column| column.id == id) {
            Some(index) => Expr::Slot { index, ty },
            None => Expr::Outer { index: frame.index_of(id, ty), ty },
        };
        return Ok(());
    }
    let mut result = Ok(());
    expr.for_each_child_mut(&mut |child| {
        if result.is_ok() {
            result = resolve_in_place(child, columns, frame, cx);
        }
    });
    result?;
    if let Expr::Subquery(_) = expr {
        let taken = std::mem::replace(expr, Expr::truth());
        *expr = subplan(taken, columns, frame, cx)?;
    }
    Ok(())
}

fn subplan(
    expr: Expr,
    columns: &[OutputColumn],
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Expr> {
    let Expr::Subquery(subquery) = expr else {
        return Err(SqlError::internal("a subquery was expected"));
    };
    let mut inner = Frame::default();
    let plan = lower_in_order(subquery.plan, &mut inner, cx)?;
    let outer = inner.into_exprs(columns, frame, cx)?;
    let kind: SubqueryKind = subquery.kind;
    Ok(Expr::Subplan(Box::new(Subplan { kind, plan: Arc::new(plan), outer, ty: subquery.ty })))
}
