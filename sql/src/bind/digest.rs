//! `driftdb_digest([sequence])` and `driftdb_verify_digest(sequence, digest)`, in FROM.

use driftdb_query::{Expr, LogicalPlan, OutputColumn, Result, SetFunction, SqlError};
use driftdb_types::{CastContext, DataType, SqlState};
use sqlparser::ast;

use super::Binder;
use super::from::{Aliased, item};
use super::scope::{FromItem, Named};
use super::target::NO_META;

/// The function of a name, if it is one of these.
pub(super) fn digest_function(name: &str) -> Option<SetFunction> {
    match name {
        "driftdb_digest" => Some(SetFunction::Digest),
        "driftdb_verify_digest" => Some(SetFunction::VerifyDigest),
        _ => None,
    }
}

const DIGEST: [(&str, DataType); 3] =
    [("seq", DataType::Int8), ("committed_at", DataType::Timestamptz), ("digest", DataType::Text)];
const VERDICTS: [(&str, DataType); 4] = [
    ("verdict", DataType::Text),
    ("first_seq", DataType::Int8),
    ("last_seq", DataType::Int8),
    ("detail", DataType::Text),
];

impl Binder<'_> {
    pub(super) fn digest_item(
        &mut self,
        name: &str,
        function: SetFunction,
        exprs: &[&ast::Expr],
        ordinality: bool,
        alias: Option<&ast::TableAlias>,
    ) -> Result<FromItem> {
        if ordinality {
            return Err(SqlError::unsupported(format!("WITH ORDINALITY of {name}")));
        }
        let (columns, wanted): (&[(&str, DataType)], &[DataType]) = match function {
            SetFunction::Digest => (&DIGEST, &[DataType::Int8][..exprs.len().min(1)]),
            _ => (&VERDICTS, &[DataType::Int8, DataType::Text]),
        };
        let bound = exprs.iter().map(|expr| self.expr(expr)).collect::<Result<Vec<_>>>()?;
        if bound.len() != wanted.len() {
            let types: Vec<&str> = bound.iter().map(|expr| expr.ty().sql_name()).collect();
            let message = format!("function {name}({}) does not exist", types.join(", "));
            return Err(SqlError::new(SqlState::UndefinedFunction, message).with_hint(
                "It is driftdb_digest(), driftdb_digest(sequence), or driftdb_verify_digest(sequence, digest).",
            ));
        }
        let args = bound.into_iter().zip(wanted);
        let args = args
            .map(|(arg, ty)| self.coerce(arg, *ty, -1, CastContext::Implicit))
            .collect::<Result<Vec<_>>>()?;
        let (mut outputs, mut named) = (Vec::new(), Vec::new());
        for &(name, ty) in columns {
            let id = self.column_id();
            self.meta.insert(id, NO_META);
            outputs.push(OutputColumn { id, ty });
            named.push(Named { name: name.to_owned(), expr: Expr::Column { id, ty } });
        }
        let plan = LogicalPlan::FunctionScan { function, args, columns: outputs };
        item(plan, named, Aliased { alias, own: name.to_owned(), schema: None }, None, None)
    }
}
