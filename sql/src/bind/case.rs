//! CASE, COALESCE, NULLIF, GREATEST and LEAST.

use driftdb_query::{Expr, Result, SqlError};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::literal::null;
use super::position::Placed;

impl Binder<'_> {
    pub(crate) fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        arms: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Expr> {
        let mut conditions = Vec::with_capacity(arms.len());
        // ELSE comes first when the common type is looked for, as in PostgreSQL.
        let mut results = Vec::with_capacity(arms.len() + 1);
        results.push(match otherwise {
            Some(otherwise) => self.expr(otherwise)?,
            None => null(),
        });
        for arm in arms {
            conditions.push(match operand {
                None => self.predicate(&arm.condition, "CASE/WHEN")?,
                Some(operand) => {
                    let left = self.decided_expr(operand)?;
                    let right = self.expr(&arm.condition)?;
                    let pair = Some((operand, left));
                    let equal = self.operator_at("=", pair, (&arm.condition, right))?;
                    self.condition(equal, "CASE/WHEN")?
                }
            });
            results.push(self.expr(&arm.result)?);
        }
        let (mut results, ty) = self.unify(results, "CASE")?;
        let bound_otherwise = results.remove(0);
        let otherwise = otherwise.is_some().then(|| Box::new(bound_otherwise));
        Ok(Expr::Case { arms: conditions.into_iter().zip(results).collect(), otherwise, ty })
    }

    pub(crate) fn coalesce(&mut self, args: &[&ast::Expr]) -> Result<Expr> {
        let Some(first) = args.first() else {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \")\""));
        };
        let args = self.without_sets("COALESCE", first, |binder| binder.args(args))?;
        let (args, ty) = self.unify(args, "COALESCE")?;
        Ok(Expr::Coalesce { args, ty })
    }

    pub(crate) fn extreme(&mut self, args: &[&ast::Expr], greatest: bool) -> Result<Expr> {
        let args = self.args(args)?;
        let construct = if greatest { "GREATEST" } else { "LEAST" };
        let (args, ty) = self.unify(args, construct)?;
        Ok(Expr::Extreme { args, greatest, ty })
    }

    fn args(&mut self, args: &[&ast::Expr]) -> Result<Vec<Expr>> {
        if args.is_empty() {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \")\""));
        }
        args.iter().map(|arg| self.expr(arg)).collect()
    }

    /// NULL if they are equal, else the first.
    pub(crate) fn nullif(&mut self, args: &[&ast::Expr]) -> Result<Expr> {
        let [left, right] = args else {
            return Err(SqlError::new(SqlState::SyntaxError, "NULLIF takes two arguments"));
        };
        let (left_bound, right_bound) = (self.expr(left)?, self.expr(right)?);
        let pair = Some((*left, left_bound));
        let equal = self.operator_at("=", pair, (right, right_bound))?;
        // The left side as the operator takes it: of a varchar it is the text.
        let result = match &equal {
            Expr::Call { args, .. } => args[0].clone(),
            _ => self.decided_expr(left).at_expr(left)?,
        };
        let ty = result.ty();
        let none = Expr::constant(driftdb_types::Value::Null, ty);
        Ok(Expr::Case { arms: vec![(equal, none)], otherwise: Some(Box::new(result)), ty })
    }
}
