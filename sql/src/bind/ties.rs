//! FETCH … WITH TIES: rows by their number and rank in the order.
//!
//! Of rows that are numbered and ranked those are kept whose number is beyond the offset and whose rank is
//! within the count. A count of parameters is known only when the rows come: then a LIMIT of NULL above
//! them all is one that is negative if the count was, and complains as any LIMIT does.

use driftdb_query::{Expr, Frame, LogicalPlan, Result, SqlError, WindowCall, WindowFunction};
use driftdb_types::{DataType, SqlState, Value};

use super::Binder;

impl Binder<'_> {
    pub(crate) fn with_ties(
        &mut self,
        plan: LogicalPlan,
        count: Option<Expr>,
        offset: Option<Expr>,
    ) -> Result<LogicalPlan> {
        let LogicalPlan::Sort { keys, .. } = &plan else {
            let locks = matches!(&plan, LogicalPlan::Project { input, .. }
                if matches!(**input, LogicalPlan::Lock { .. }));
            if locks {
                return Err(SqlError::unsupported("FETCH ... WITH TIES with row locks"));
            }
            let message = "WITH TIES cannot be specified without ORDER BY clause";
            return Err(SqlError::new(SqlState::SyntaxError, message));
        };
        let Some(count) = count.filter(|count| !is_null(count)) else {
            let message = "row count cannot be null in FETCH FIRST ... WITH TIES clause";
            return Err(SqlError::new(SqlState::InvalidRowCountInLimitClause, message));
        };
        let offset = match offset {
            Some(offset) if !is_null(&offset) => offset,
            _ => int(0),
        };
        if !is_plain(&count) || !is_plain(&offset) {
            let what = "FETCH ... WITH TIES of what is neither a constant nor a parameter";
            return Err(SqlError::unsupported(what));
        }
        let negative = |clause: &str, state| {
            Err(SqlError::new(state, format!("{clause} must not be negative")))
        };
        if is_negative(&offset) {
            return negative("OFFSET", SqlState::InvalidRowCountInResultOffsetClause);
        }
        if is_negative(&count) {
            return negative("LIMIT", SqlState::InvalidRowCountInLimitClause);
        }
        let guards = self.guards(&count, &offset)?;
        let ty = DataType::Int8;
        let offset = Expr::Coalesce { args: vec![offset, int(0)], ty };
        // A parameter may be NULL: all rows.
        let count = Expr::Coalesce { args: vec![count, int(i64::MAX)], ty };
        let order = keys.clone();
        let columns = plan.columns();
        let mut call = |function: WindowFunction| WindowCall {
            output: self.column_id(),
            function,
            args: Vec::new(),
            filter: None,
            frame: Frame::DEFAULT,
            ty,
        };
        let calls = vec![call(WindowFunction::RowNumber), call(WindowFunction::Rank)];
        let number = Expr::Column { id: calls[0].output, ty };
        let rank = Expr::Column { id: calls[1].output, ty };
        let beyond = self.operator("-", rank, offset.clone())?;
        let terms = vec![
            self.operator(">", number, offset)?,
            self.operator("<=", beyond, count.clone())?,
            // Without a row there is no last one that others could be tied with.
            self.operator(">", count, int(0))?,
        ];
        let input = Box::new(plan);
        let window = LogicalPlan::Window { input, partition: Vec::new(), order, calls };
        let plan = LogicalPlan::Filter { input: Box::new(window), predicate: Expr::And(terms) };
        let exprs = columns.iter().map(|c| (c.id, Expr::Column { id: c.id, ty: c.ty })).collect();
        let plan = LogicalPlan::Project { input: Box::new(plan), exprs };
        Ok(match guards {
            None => plan,
            Some((count, offset)) => {
                let input = Box::new(plan);
                LogicalPlan::Limit { input, count: Some(count), offset: Some(offset) }
            }
        })
    }

    /// A count and an offset that change nothing unless the given ones are negative.
    fn guards(&mut self, count: &Expr, offset: &Expr) -> Result<Option<(Expr, Expr)>> {
        if matches!((count, offset), (Expr::Const { .. }, Expr::Const { .. })) {
            return Ok(None);
        }
        let ty = DataType::Int8;
        let mut unless = |expr: &Expr, otherwise: Expr| -> Result<Expr> {
            let test = self.operator("<", expr.clone(), int(0))?;
            let arms = vec![(test, expr.clone())];
            Ok(Expr::Case { arms, otherwise: Some(Box::new(otherwise)), ty })
        };
        let count = unless(count, Expr::constant(Value::Null, ty))?;
        Ok(Some((count, unless(offset, int(0))?)))
    }
}

fn int(value: i64) -> Expr {
    Expr::constant(Value::Int8(value), DataType::Int8)
}

/// Costs nothing, and is the same for every row.
fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::Const { .. } | Expr::Param { .. } => true,
        Expr::Cast { input, .. } => is_plain(input),
        _ => false,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Const { value: Value::Null, .. })
}

fn is_negative(expr: &Expr) -> bool {
    matches!(expr, Expr::Const { value, .. } if value.as_int().is_some_and(|value| value < 0))
}
