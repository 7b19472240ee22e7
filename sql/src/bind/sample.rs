//! TABLESAMPLE: a part of a table's rows, each drawn by itself.
//!
//! Rows are in no pages here that one could draw, so that SYSTEM draws rows as BERNOULLI does. With
//! REPEATABLE whether a row is drawn depends on its key and the seed alone.
//!
//! Source: PostgreSQL 15, parser/parse_clause.c (transformRangeTableSample), access/tablesample.

use driftdb_query::eval::{Constants, eval};
use driftdb_query::{Expr, LogicalPlan, Result, SqlError};
use driftdb_types::{CastContext, DataType, SqlState, Value, resolve_function};
use sqlparser::ast;

use super::Binder;
use super::position::Placed;
use super::scope::{Clause, FromItem, Scope};

impl Binder<'_> {
    /// A table in FROM, of which a part is drawn.
    pub(crate) fn sampled(
        &mut self,
        item: FromItem,
        sample: &ast::TableSampleKind,
    ) -> Result<FromItem> {
        let (ast::TableSampleKind::BeforeTableAlias(sample)
        | ast::TableSampleKind::AfterTableAlias(sample)) = sample;
        let is_table = item.relations.iter().any(|relation| relation.table.is_some());
        if !is_table {
            let message = "TABLESAMPLE clause can only be applied to tables and materialized views";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let is_method = matches!(
            sample.name,
            Some(ast::TableSampleMethod::Bernoulli | ast::TableSampleMethod::System)
        );
        let (Some(quantity), true, None, None) =
            (&sample.quantity, is_method, &sample.bucket, &sample.offset)
        else {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "this form of TABLESAMPLE is not PostgreSQL's",
            ));
        };
        let percent = self.sample_number(&quantity.value)?;
        let Some(percent) = percent else {
            let message = "TABLESAMPLE parameter cannot be null";
            return Err(SqlError::new(SqlState::InvalidTablesampleArgument, message));
        };
        if !(0.0..=100.0).contains(&percent) {
            let message = "sample percentage must be between 0 and 100";
            return Err(SqlError::new(SqlState::InvalidTablesampleArgument, message));
        }
        let FromItem { mut plan, relations, visible } = item;
        let predicate = match &sample.seed {
            None => {
                let random = resolve_function("random", &[])?;
                let random =
                    Expr::Call { function: random.id, args: Vec::new(), ty: random.result };
                let share = Expr::constant(Value::Float8(percent / 100.0), DataType::Float8);
                self.operator("<", random, share)?
            }
            Some(seed) => {
                let value = ast::Expr::Value(seed.value.clone());
                let Some(seed) = self.sample_number(&value)? else {
                    let message = "TABLESAMPLE REPEATABLE parameter cannot be null";
                    return Err(SqlError::new(SqlState::InvalidTablesampleRepeat, message));
                };
                self.drawn(&mut plan, percent, seed)?
            }
        };
        let plan = LogicalPlan::Filter { input: Box::new(plan), predicate };
        Ok(FromItem { plan, relations, visible })
    }

    /// Whether a row's key is drawn: the digits of its digest with the seed are below a limit.
    fn drawn(&mut self, plan: &mut LogicalPlan, percent: f64, seed: f64) -> Result<Expr> {
        if !self.locking.is_empty() {
            return Err(SqlError::unsupported("TABLESAMPLE REPEATABLE with row locks"));
        }
        let id = self.key_id();
        match plan {
            LogicalPlan::Scan { key: key @ None, .. } => *key = Some(id),
            _ => return Err(SqlError::unsupported("TABLESAMPLE REPEATABLE of versions")),
        }
        let key = Expr::Column { id, ty: DataType::Bytea };
        let seed = Value::Bytea(seed.to_be_bytes().to_vec().into());
        let seeded = self.operator("||", key, Expr::constant(seed, DataType::Bytea))?;
        let digest = resolve_function("md5", &[DataType::Bytea])?;
        let digest = Expr::Call { function: digest.id, args: vec![seeded], ty: digest.result };
        // Every digest begins with a digit that is less than this.
        const BEYOND: &str = "g";
        let limit = (percent / 100.0 * f64::from(u32::MAX)) as u32;
        let limit = if percent >= 100.0 { BEYOND.to_owned() } else { format!("{limit:08x}") };
        self.operator("<", digest, Expr::constant(Value::text(limit), DataType::Text))
    }

    /// A number that is known when the statement is bound; `None`: NULL.
    fn sample_number(&mut self, expr: &ast::Expr) -> Result<Option<f64>> {
        self.scopes.push(Scope::new(Clause::FunctionInFrom));
        let bound = self.expr(expr);
        self.scopes.pop();
        let bound = bound.at_expr(expr)?;
        let bound = self.coerce(bound, DataType::Float8, -1, CastContext::Assignment)?;
        if !is_known(&bound) {
            return Err(SqlError::unsupported("TABLESAMPLE of what is not known beforehand"));
        }
        let known = Constants { context: self.eval, params: self.params.unwrap_or_default() };
        match eval(&bound, &known) {
            Ok(Value::Null) => Ok(None),
            Ok(Value::Float8(number)) => Ok(Some(number)),
            _ => Err(SqlError::unsupported("TABLESAMPLE of what is not known beforehand")),
        }
    }
}

/// Whether an expression reads nothing, and can be computed when the statement is bound.
fn is_known(expr: &Expr) -> bool {
    let is_plain = matches!(
        expr,
        Expr::Const { .. } | Expr::Param { .. } | Expr::Cast { .. } | Expr::Call { .. }
    );
    let mut is_whole = is_plain;
    expr.for_each_child(&mut |child| is_whole &= is_known(child));
    is_whole
}
