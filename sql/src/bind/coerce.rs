//! Coercions: every conversion that PostgreSQL does unasked becomes explicit here.

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::{CastContext, DataType, Resolved, SqlState, can_cast, cast, common_type};

use super::Binder;
use super::scope::column_of;

impl Binder<'_> {
    /// The modifier that an expression's values are known to have been fitted to.
    pub(crate) fn typmod(&self, expr: &Expr) -> i32 {
        match expr {
            Expr::Cast { typmod, .. } => *typmod,
            _ => column_of(expr).and_then(|id| self.meta.get(&id)).map_or(-1, |meta| meta.typmod),
        }
    }

    /// Converts an expression to a type in a context. Literals are read now; parameters without a type
    /// take this one.
    ///
    /// # Errors
    /// 42846 if there is no such conversion in the context, and what reading a literal raises.
    pub(crate) fn coerce(
        &mut self,
        expr: Expr,
        to: DataType,
        typmod: i32,
        context: CastContext,
    ) -> Result<Expr> {
        let from = expr.ty();
        if from == to && (typmod < 0 || self.typmod(&expr) == typmod) {
            return Ok(expr);
        }
        if shows_names(to) {
            self.catalog.is_asked()?;
        }
        if from == DataType::Unknown {
            return self.decide(expr, to, typmod, context);
        }
        if !can_cast(from, to, context) {
            let message = format!("cannot cast type {from} to {to}");
            return Err(SqlError::new(SqlState::CannotCoerce, message));
        }
        if let Expr::Const { value, .. } = &expr
            && folds(from, to)
            && let Ok(value) = cast(value.clone(), from, to, typmod, context, self.eval)
        {
            return Ok(Expr::constant(value, to));
        }
        Ok(Expr::Cast { input: Box::new(expr), to, typmod, context })
    }

    /// Gives an undecided literal or parameter its type.
    fn decide(
        &mut self,
        expr: Expr,
        to: DataType,
        typmod: i32,
        context: CastContext,
    ) -> Result<Expr> {
        match expr {
            // What a domain says of a value is asked when the statement runs.
            Expr::Const { value, .. } if to.as_domain().is_some() => {
                let (base, fitted) = to.base_with_typmod(typmod);
                let value = cast(value, DataType::Unknown, base, fitted, context, self.eval)?;
                let input = Box::new(Expr::constant(value, base));
                Ok(Expr::Cast { input, to, typmod, context })
            }
            Expr::Const { value, .. } => {
                let value = cast(value, DataType::Unknown, to, typmod, context, self.eval)?;
                Ok(Expr::constant(value, to))
            }
            Expr::Param { index, .. } => {
                let known = self.param_types[index];
                if known == DataType::Unknown {
                    self.param_types[index] = to;
                    let param = Expr::Param { index, ty: to };
                    return if typmod < 0 {
                        Ok(param)
                    } else {
                        Ok(Expr::Cast { input: Box::new(param), to, typmod, context })
                    };
                }
                self.coerce(Expr::Param { index, ty: known }, to, typmod, context)
            }
            other => Ok(Expr::Cast { input: Box::new(other), to, typmod, context }),
        }
    }

    /// An expression whose type must be decided: undecided literals are text.
    pub(crate) fn decided(&mut self, expr: Expr) -> Result<Expr> {
        if expr.ty() == DataType::Unknown {
            self.coerce(expr, DataType::Text, -1, CastContext::Implicit)
        } else {
            Ok(expr)
        }
    }

    /// A condition.
    pub(crate) fn condition(&mut self, expr: Expr, construct: &str) -> Result<Expr> {
        match expr.ty() {
            DataType::Bool => Ok(expr),
            DataType::Unknown => self.coerce(expr, DataType::Bool, -1, CastContext::Implicit),
            other => Err(SqlError::new(
                SqlState::DatatypeMismatch,
                format!("argument of {construct} must be type boolean, not type {other}"),
            )),
        }
    }

    /// Converts expressions to the one type they have in common.
    pub(crate) fn unify(
        &mut self,
        exprs: Vec<Expr>,
        construct: &str,
    ) -> Result<(Vec<Expr>, DataType)> {
        let types: Vec<DataType> = exprs.iter().map(Expr::ty).collect();
        let ty = common_type(&types).map_err(|differ| differ.error(construct))?;
        let exprs = exprs
            .into_iter()
            .map(|expr| self.coerce(expr, ty, -1, CastContext::Implicit))
            .collect::<Result<_>>()?;
        Ok((exprs, ty))
    }

    /// A call with its arguments converted to what the function takes.
    pub(crate) fn resolved_call(&mut self, resolved: &Resolved, args: Vec<Expr>) -> Result<Expr> {
        let args = args
            .into_iter()
            .zip(&resolved.arg_types)
            // Resolution has decided that they convert; what prints its arguments takes more.
            .map(|(arg, ty)| self.coerce(arg, *ty, -1, CastContext::Assignment))
            .collect::<Result<_>>()?;
        Ok(Expr::Call { function: resolved.id, args, ty: resolved.result })
    }

    /// Converts a value for storing it in a column.
    pub(crate) fn assign(&mut self, expr: Expr, column: &driftdb_query::Column) -> Result<Expr> {
        let from = expr.ty();
        if from != DataType::Unknown && !can_cast(from, column.ty, CastContext::Assignment) {
            let name = &column.name;
            return Err(SqlError::new(
                SqlState::DatatypeMismatch,
                format!(
                    "column \"{name}\" is of type {} but expression is of type {from}",
                    column.ty
                ),
            )
            .with_hint("You will need to rewrite or cast the expression."));
        }
        self.coerce(expr, column.ty, column.typmod, CastContext::Assignment)
    }
}

/// Whether a conversion of a constant depends on nothing but the constant.
fn folds(from: DataType, to: DataType) -> bool {
    to.as_domain().is_none()
        && ((from.is_numeric() && to.is_numeric()) || (from.is_string() && to.is_string()))
}

/// Whether values are read and shown as names of objects.
pub(crate) fn shows_names(ty: DataType) -> bool {
    ty.is_reg() || ty.element().is_some_and(DataType::is_reg)
}
