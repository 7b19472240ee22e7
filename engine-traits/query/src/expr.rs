//! Bound expressions: typed, every name resolved, every coercion explicit.

use std::sync::Arc;

use driftdb_types::{CastContext, DataType, FunctionId, Value};

use crate::{LogicalPlan, PhysicalPlan, RoutineCall};

/// A column of some node of one statement's logical plan; unique within the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ColId(pub u32);

/// An expression. SQL NULL propagates as each variant says; booleans are three-valued.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// A constant.
    Const {
        /// Its value.
        value: Value,
        /// Its type.
        ty: DataType,
    },
    /// A column by identity. Logical plans only.
    Column {
        /// Which.
        id: ColId,
        /// Its type.
        ty: DataType,
    },
    /// A column of the input row by position. Physical plans only.
    Slot {
        /// Which.
        index: usize,
        /// Its type.
        ty: DataType,
    },
    /// A value handed down by the enclosing [`PhysicalPlan::Apply`] or [`Subplan`]. Physical only.
    Outer {
        /// Which of the handed-down values.
        index: usize,
        /// Its type.
        ty: DataType,
    },
    /// A statement parameter: `$1` has index 0.
    Param {
        /// Which.
        index: usize,
        /// Its type.
        ty: DataType,
    },
    /// A function or operator from the one table in `driftdb_types`; arguments have its types.
    Call {
        /// Which.
        function: FunctionId,
        /// Its arguments.
        args: Vec<Self>,
        /// Its result type.
        ty: DataType,
    },
    /// A function of a user's that gives one value.
    Routine {
        /// Which.
        call: Arc<RoutineCall>,
        /// Its arguments.
        args: Vec<Self>,
        /// Its result type.
        ty: DataType,
    },
    /// A conversion.
    Cast {
        /// What.
        input: Box<Self>,
        /// To which type.
        to: DataType,
        /// With which modifier, or -1.
        typmod: i32,
        /// Under which rules.
        context: CastContext,
    },
    /// Conjunction of two or more; stops at the first false.
    And(Vec<Self>),
    /// Disjunction of two or more; stops at the first true.
    Or(Vec<Self>),
    /// Negation.
    Not(Box<Self>),
    /// IS NULL.
    IsNull(Box<Self>),
    /// IS [NOT] TRUE, FALSE, UNKNOWN.
    IsBool {
        /// What.
        input: Box<Self>,
        /// The test.
        test: BoolTest,
        /// IS NOT.
        negated: bool,
    },
    /// IS DISTINCT FROM (or, negated, IS NOT DISTINCT FROM).
    IsDistinct {
        /// One side.
        left: Box<Self>,
        /// The other, of the same type.
        right: Box<Self>,
        /// The type's equality.
        equal: FunctionId,
        /// IS NOT DISTINCT FROM.
        negated: bool,
    },
    /// IN a list.
    InList {
        /// What.
        input: Box<Self>,
        /// The candidates, of the same type.
        list: Vec<Self>,
        /// The type's equality.
        equal: FunctionId,
        /// NOT IN.
        negated: bool,
    },
    /// `input op ANY (array)`, `input op ALL (array)`: false or true of an array without elements.
    Quantified {
        /// The left side.
        input: Box<Self>,
        /// The array; its elements are of the operator's right type.
        array: Box<Self>,
        /// The operator, which yields a truth value.
        operator: FunctionId,
        /// ALL rather than ANY.
        all: bool,
    },
    /// Searched CASE; a simple CASE is bound to one.
    Case {
        /// Condition and result, in order.
        arms: Vec<(Self, Self)>,
        /// ELSE; NULL if absent.
        otherwise: Option<Box<Self>>,
        /// The common type of the results.
        ty: DataType,
    },
    /// The first argument that is not NULL.
    Coalesce {
        /// The arguments, of one type.
        args: Vec<Self>,
        /// That type.
        ty: DataType,
    },
    /// GREATEST or LEAST: NULLs are ignored.
    Extreme {
        /// The arguments, of one type.
        args: Vec<Self>,
        /// GREATEST rather than LEAST.
        greatest: bool,
        /// That type.
        ty: DataType,
    },
    /// A subquery. Logical plans only; may use columns of the enclosing query by [`ColId`].
    Subquery(Box<Subquery>),
    /// A subquery ready to run. Physical plans only.
    Subplan(Box<Subplan>),
}

/// IS TRUE and its kin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoolTest {
    /// IS TRUE
    True,
    /// IS FALSE
    False,
    /// IS UNKNOWN
    Unknown,
}

/// What a subquery is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum SubqueryKind {
    /// Its one value; NULL if it has no row; an error (21000) if it has several.
    Scalar,
    /// Whether it has a row. (NOT EXISTS is a [`Expr::Not`] around it.)
    Exists,
    /// Whether `left[i] op[i] column[i]` for all *i* holds for some (ANY, IN) row, or for every (ALL)
    /// row, three-valued. (NOT IN is a [`Expr::Not`] around it.)
    Compare {
        /// The left side: one expression, or several for a row.
        left: Vec<Expr>,
        /// The boolean operators; both sides already have their argument types.
        operators: Vec<FunctionId>,
        /// ALL rather than ANY.
        all: bool,
    },
}

/// A subquery inside an expression, before planning.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is asked.
    pub kind: SubqueryKind,
    /// Its plan.
    pub plan: LogicalPlan,
    /// The type of the answer.
    pub ty: DataType,
}

/// A subquery inside an expression, after planning. Run again for each row, unless `outer` is empty:
/// then once per statement, and its rows may be kept in a hash table.
#[derive(Debug, Clone, PartialEq)]
pub struct Subplan {
    /// What is asked; `left` is over the enclosing row.
    pub kind: SubqueryKind,
    /// Its plan, shared so that the executor can key what it kept by address.
    pub plan: Arc<PhysicalPlan>,
    /// What it is handed: `Expr::Outer { index }` inside `plan` is `outer[index]`, evaluated over the
    /// enclosing row.
    pub outer: Vec<Expr>,
    /// The type of the answer.
    pub ty: DataType,
}

impl Expr {
    /// A constant.
    pub fn constant(value: Value, ty: DataType) -> Self {
        Self::Const { value, ty }
    }

    /// The constant TRUE.
    pub fn truth() -> Self {
        Self::constant(Value::Bool(true), DataType::Bool)
    }

    /// The type of the result.
    pub fn ty(&self) -> DataType {
        match self {
            Self::Const { ty, .. }
            | Self::Column { ty, .. }
            | Self::Slot { ty, .. }
            | Self::Outer { ty, .. }
            | Self::Param { ty, .. }
            | Self::Call { ty, .. }
            | Self::Routine { ty, .. }
            | Self::Case { ty, .. }
            | Self::Coalesce { ty, .. }
            | Self::Extreme { ty, .. } => *ty,
            Self::Cast { to, .. } => *to,
            Self::Subquery(subquery) => subquery.ty,
            Self::Subplan(subplan) => subplan.ty,
            Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::IsNull(_)
            | Self::IsBool { .. }
            | Self::IsDistinct { .. }
            | Self::InList { .. }
            | Self::Quantified { .. } => DataType::Bool,
        }
    }

    /// Calls `visit` for each direct sub-expression (a subquery's plan is not entered, the left side
    /// of its comparison and a subplan's handed-down values are).
    pub fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        match self {
            Self::Const { .. }
            | Self::Column { .. }
            | Self::Slot { .. }
            | Self::Outer { .. }
            | Self::Param { .. } => {}
            Self::Call { args, .. }
            | Self::Routine { args, .. }
            | Self::And(args)
            | Self::Or(args)
            | Self::Coalesce { args, .. }
            | Self::Extreme { args, .. } => args.iter().for_each(visit),
            Self::Cast { input, .. }
            | Self::Not(input)
            | Self::IsNull(input)
            | Self::IsBool { input, .. } => visit(input),
            Self::IsDistinct { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Self::InList { input, list, .. } => {
                visit(input);
                list.iter().for_each(visit);
            }
            Self::Quantified { input, array, .. } => {
                visit(input);
                visit(array);
            }
            Self::Case { arms, otherwise, .. } => {
                for (condition, result) in arms {
                    visit(condition);
                    visit(result);
                }
                if let Some(otherwise) = otherwise {
                    visit(otherwise);
                }
            }
            Self::Subquery(subquery) => {
                if let SubqueryKind::Compare { left, .. } = &subquery.kind {
                    left.iter().for_each(visit);
                }
            }
            Self::Subplan(subplan) => {
                if let SubqueryKind::Compare { left, .. } = &subplan.kind {
                    left.iter().for_each(&mut *visit);
                }
                subplan.outer.iter().for_each(visit);
            }
        }
    }

    /// As [`Expr::for_each_child`], to change them.
    pub fn for_each_child_mut(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        match self {
            Self::Const { .. }
            | Self::Column { .. }
            | Self::Slot { .. }
            | Self::Outer { .. }
            | Self::Param { .. } => {}
            Self::Call { args, .. }
            | Self::Routine { args, .. }
            | Self::And(args)
            | Self::Or(args)
            | Self::Coalesce { args, .. }
            | Self::Extreme { args, .. } => args.iter_mut().for_each(visit),
            Self::Cast { input, .. }
            | Self::Not(input)
            | Self::IsNull(input)
            | Self::IsBool { input, .. } => visit(input),
            Self::IsDistinct { left, right, .. } => {
                visit(left);
                visit(right);
            }
            Self::InList { input, list, .. } => {
                visit(input);
                list.iter_mut().for_each(visit);
            }
            Self::Quantified { input, array, .. } => {
                visit(input);
                visit(array);
            }
            Self::Case { arms, otherwise, .. } => {
                for (condition, result) in arms {
                    visit(condition);
                    visit(result);
                }
                if let Some(otherwise) = otherwise {
                    visit(otherwise);
                }
            }
            Self::Subquery(subquery) => {
                if let SubqueryKind::Compare { left, .. } = &mut subquery.kind {
                    left.iter_mut().for_each(visit);
                }
            }
            Self::Subplan(subplan) => {
                if let SubqueryKind::Compare { left, .. } = &mut subplan.kind {
                    left.iter_mut().for_each(&mut *visit);
                }
                subplan.outer.iter_mut().for_each(visit);
            }
        }
    }
}
