//! Subqueries inside expressions: run for each row, or once and kept.
//!
//! A subplan that is handed nothing gives the same rows all through the statement, so its answer is
//! kept; for `= ANY` in a hash table. A subplan is known by the address of its plan, which it keeps
//! alive.

use std::sync::Arc;

use driftdb_query::{Expr, PhysicalPlan, Result, SqlError, Subplan, SubqueryKind};
use driftdb_types::{Comparison, DataType, FunctionId, SqlState, Value, function};

use crate::batch::RowBuffer;
use crate::context::Run;
use crate::evaluate::{Rows, evaluate as evaluate_expr};
use crate::operator::group_table::GroupTable;
use crate::operator::{BoxOperator, build, outer, pull, rebind};
use crate::vector::{Vector, VectorBuilder, hashes_agree};

/// A subplan that was met.
pub(crate) struct SubplanState {
    /// Keeps the address from being used again.
    plan: Arc<PhysicalPlan>,
    operator: BoxOperator,
    started: bool,
    reads_ctes: bool,
    kept: Option<Arc<Kept>>,
}

/// The answer of a subplan that is handed nothing.
enum Kept {
    /// For scalars and EXISTS.
    Value(Value),
    /// For comparisons.
    Rows(KeptRows),
}

struct KeptRows {
    rows: RowBuffer,
    /// The rows again, if equality can be looked up.
    table: Option<GroupTable>,
    has_null: bool,
}

impl SubplanState {
    fn new(plan: &Arc<PhysicalPlan>) -> Self {
        Self {
            plan: Arc::clone(plan),
            operator: build(plan),
            started: false,
            reads_ctes: outer::reads_ctes(plan),
            kept: None,
        }
    }

    /// Drops an answer that common table expressions may have gone into.
    pub(crate) fn forget_ctes(&mut self) {
        if self.reads_ctes {
            self.kept = None;
        }
    }

    /// Starts the operators, over if need be.
    fn start(&mut self, run: &mut Run<'_, '_>) {
        if self.started {
            rebind(&mut self.operator, run);
        }
        self.started = true;
    }
}

/// Runs `f` with the state of a subplan, which is out of reach meanwhile.
fn with_state<R>(
    subplan: &Subplan,
    run: &mut Run<'_, '_>,
    f: impl FnOnce(&mut SubplanState, &mut Run<'_, '_>) -> Result<R>,
) -> Result<R> {
    let address = Arc::as_ptr(&subplan.plan).addr();
    let mut state = match run.state.subplans.remove(&address) {
        Some(state) => state,
        None => SubplanState::new(&subplan.plan),
    };
    debug_assert!(Arc::ptr_eq(&state.plan, &subplan.plan));
    let result = run.nested(|run| f(&mut state, run));
    run.state.subplans.insert(address, state);
    result
}

/// The answer for one row, given the values handed down and those of the left side.
pub(crate) fn answer(
    subplan: &Subplan,
    handed: Vec<Value>,
    left: &[Value],
    run: &mut Run<'_, '_>,
) -> Result<Value> {
    if subplan.outer.is_empty() {
        let kept = kept(subplan, run)?;
        return match &*kept {
            Kept::Value(value) => Ok(value.clone()),
            Kept::Rows(rows) => rows.compare(&subplan.kind, left, run),
        };
    }
    let frame: Arc<[Value]> = handed.into();
    with_state(subplan, run, |state, run| {
        run.in_frame(&frame, |run| {
            state.start(run);
            match &subplan.kind {
                SubqueryKind::Scalar => scalar(&mut state.operator, run),
                SubqueryKind::Exists => exists(&mut state.operator, run),
                SubqueryKind::Compare { operators, all, .. } => {
                    let mut verdict = Verdict::new(*all);
                    while let Some(batch) = pull(&mut state.operator, run)? {
                        run.check_cancel()?;
                        for row in 0..batch.len() {
                            let truth = compare_row(left, &batch.row(row), operators, run)?;
                            if verdict.add(truth) {
                                return Ok(verdict.value());
                            }
                        }
                    }
                    Ok(verdict.value())
                }
            }
        })
    })
}

/// The answers for some rows.
pub(crate) fn evaluate(subplan: &Subplan, rows: Rows<'_>, run: &mut Run<'_, '_>) -> Result<Vector> {
    let vectors = |exprs: &[Expr], run: &mut Run<'_, '_>| -> Result<Vec<Arc<Vector>>> {
        exprs.iter().map(|expr| evaluate_expr(expr, rows, run)).collect()
    };
    let handed = vectors(&subplan.outer, run)?;
    let left = match &subplan.kind {
        SubqueryKind::Compare { left, .. } => vectors(left, run)?,
        SubqueryKind::Scalar | SubqueryKind::Exists => Vec::new(),
    };
    if subplan.outer.is_empty() {
        match &*kept(subplan, run)? {
            Kept::Value(value) => {
                return Ok(Vector::constant(subplan.ty, value.clone(), rows.len()));
            }
            Kept::Rows(kept) => return kept.compare_all(&subplan.kind, &left, rows.len(), run),
        }
    }
    let mut out = VectorBuilder::new(subplan.ty, rows.len());
    for row in 0..rows.len() {
        let handed = handed.iter().map(|vector| vector.value(row)).collect();
        let left: Vec<Value> = left.iter().map(|vector| vector.value(row)).collect();
        out.push(answer(subplan, handed, &left, run)?)?;
    }
    Ok(out.finish())
}

/// What is kept of a subplan that is handed nothing; computed now if this is the first time.
fn kept(subplan: &Subplan, run: &mut Run<'_, '_>) -> Result<Arc<Kept>> {
    with_state(subplan, run, |state, run| {
        if let Some(kept) = &state.kept {
            return Ok(Arc::clone(kept));
        }
        let nothing: Arc<[Value]> = Arc::default();
        let kept = run.in_frame(&nothing, |run| {
            state.start(run);
            Ok::<Kept, SqlError>(match &subplan.kind {
                SubqueryKind::Scalar => Kept::Value(scalar(&mut state.operator, run)?),
                SubqueryKind::Exists => Kept::Value(exists(&mut state.operator, run)?),
                SubqueryKind::Compare { left, operators, all } => {
                    let types = state.plan.types();
                    let hashable = !all && is_equality(left, operators, &types);
                    Kept::Rows(KeptRows::read(&mut state.operator, &types, hashable, run)?)
                }
            })
        })?;
        let kept = Arc::new(kept);
        state.kept = Some(Arc::clone(&kept));
        Ok(kept)
    })
}

/// The one value, or NULL.
fn scalar(operator: &mut BoxOperator, run: &mut Run<'_, '_>) -> Result<Value> {
    let mut answer = None;
    while let Some(batch) = pull(operator, run)? {
        for row in 0..batch.len() {
            if answer.replace(batch.value(0, row)).is_some() {
                return Err(SqlError::new(
                    SqlState::CardinalityViolation,
                    "more than one row returned by a subquery used as an expression",
                ));
            }
        }
    }
    Ok(answer.unwrap_or(Value::Null))
}

fn exists(operator: &mut BoxOperator, run: &mut Run<'_, '_>) -> Result<Value> {
    while let Some(batch) = pull(operator, run)? {
        if !batch.is_empty() {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

/// Whether the comparison is equality on columns whose hashes agree between both sides.
fn is_equality(left: &[Expr], operators: &[FunctionId], right: &[DataType]) -> bool {
    operators.iter().all(|id| function(*id).comparison() == Some(Comparison::Eq))
        && left.iter().zip(right).all(|(left, right)| hashes_agree(left.ty(), *right))
}

/// `left[i] op[i] right[i]` for all *i*, three-valued.
fn compare_row(
    left: &[Value],
    right: &[Value],
    operators: &[FunctionId],
    run: &Run<'_, '_>,
) -> Result<Option<bool>> {
    let mut unknown = false;
    for ((left, right), operator) in left.iter().zip(right).zip(operators) {
        match function(*operator).eval(&[left.clone(), right.clone()], run.cx.eval)? {
            Value::Bool(false) => return Ok(Some(false)),
            Value::Bool(true) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(true) })
}

/// ANY (true as soon as one is) or ALL (false as soon as one is) of several truth values.
struct Verdict {
    all: bool,
    unknown: bool,
    decided: bool,
}

impl Verdict {
    fn new(all: bool) -> Self {
        Self { all, unknown: false, decided: false }
    }

    /// Adds one; whether the verdict is final.
    fn add(&mut self, truth: Option<bool>) -> bool {
        match truth {
            Some(truth) => self.decided = truth != self.all,
            None => self.unknown = true,
        }
        self.decided
    }

    fn value(&self) -> Value {
        match (self.decided, self.unknown) {
            (true, _) => Value::Bool(!self.all),
            (false, true) => Value::Null,
            (false, false) => Value::Bool(self.all),
        }
    }
}

impl KeptRows {
    fn read(
        operator: &mut BoxOperator,
        types: &[DataType],
        hashable: bool,
        run: &mut Run<'_, '_>,
    ) -> Result<Self> {
        let mut rows = RowBuffer::new(types, 0);
        let mut table = hashable.then(|| GroupTable::new(types));
        while let Some(batch) = pull(operator, run)? {
            run.check_cancel()?;
            let copies = 1 + usize::from(hashable);
            run.hold(batch.size_bytes() * copies + batch.len() * GroupTable::ROW_BYTES)?;
            rows.extend(&batch);
            if let Some(table) = &mut table {
                let keys = batch.columns();
                for (row, hash) in GroupTable::hash(&keys, batch.len()).into_iter().enumerate() {
                    table.insert(&keys, row, hash);
                }
            }
        }
        let has_null = rows.columns().any(|column| (0..rows.len()).any(|row| column.is_null(row)));
        Ok(Self { rows, table, has_null })
    }

    /// The answer for one row.
    fn compare(&self, kind: &SubqueryKind, left: &[Value], run: &mut Run<'_, '_>) -> Result<Value> {
        let SubqueryKind::Compare { left: exprs, .. } = kind else {
            return Err(SqlError::internal("rows were kept for a subquery without comparison"));
        };
        let left: Vec<Arc<Vector>> = left
            .iter()
            .zip(exprs)
            .map(|(value, expr)| Arc::new(Vector::constant(expr.ty(), value.clone(), 1)))
            .collect();
        Ok(self.compare_all(kind, &left, 1, run)?.value(0))
    }

    /// The answers for some rows.
    fn compare_all(
        &self,
        kind: &SubqueryKind,
        left: &[Arc<Vector>],
        len: usize,
        run: &mut Run<'_, '_>,
    ) -> Result<Vector> {
        let SubqueryKind::Compare { operators, all, .. } = kind else {
            return Err(SqlError::internal("rows were kept for a subquery without comparison"));
        };
        let hashes = self.table.as_ref().map(|_| GroupTable::hash(left, len));
        let mut out = VectorBuilder::new(DataType::Bool, len);
        for row in 0..len {
            if let (Some(table), Some(hashes)) = (&self.table, &hashes)
                && left.iter().all(|vector| !vector.is_null(row))
            {
                if table.find(left, row, hashes[row]).is_some() {
                    out.push(Value::Bool(true))?;
                    continue;
                } else if !self.has_null {
                    out.push(Value::Bool(false))?;
                    continue;
                }
            }
            let values: Vec<Value> = left.iter().map(|vector| vector.value(row)).collect();
            out.push(self.compare_slowly(&values, operators, *all, run)?)?;
        }
        Ok(out.finish())
    }

    /// Where NULLs are, every row may matter.
    fn compare_slowly(
        &self,
        left: &[Value],
        operators: &[FunctionId],
        all: bool,
        run: &mut Run<'_, '_>,
    ) -> Result<Value> {
        if let ([left], Some(table)) = (left, &self.table) {
            // One column, not found: unknown if anything is, unless there is nothing to compare with.
            let unknown = table.len() > 0 && (left.is_null() || self.has_null);
            return Ok(if unknown { Value::Null } else { Value::Bool(false) });
        }
        let mut verdict = Verdict::new(all);
        for row in 0..self.rows.len() {
            let right: Vec<Value> = self.rows.columns().map(|column| column.value(row)).collect();
            if verdict.add(compare_row(left, &right, operators, run)?) {
                break;
            }
        }
        Ok(verdict.value())
    }
}
