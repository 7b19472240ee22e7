//! Digests of history, taken and checked.

use driftdb_query::{Expr, Result, SetFunction, SqlError, timestamptz_of};
use driftdb_tables::{Digest, Finding, Verdict, check_digest, digest, from_hex, hex};
use driftdb_types::{DataType, SqlState, Value};

use super::Operator;
use crate::batch::{Batch, RowBuffer};
use crate::context::Run;
use crate::evaluate::row::evaluate_free;

pub(crate) struct Digests {
    is_check: bool,
    args: Vec<Expr>,
    types: Vec<DataType>,
    is_done: bool,
}

impl Digests {
    pub(crate) fn new(function: &SetFunction, args: Vec<Expr>, types: Vec<DataType>) -> Self {
        let is_check = matches!(function, SetFunction::VerifyDigest);
        Self { is_check, args, types, is_done: false }
    }

    fn rows(&self, run: &mut Run<'_, '_>) -> Result<Vec<Vec<Value>>> {
        let mut args = Vec::with_capacity(self.args.len());
        for arg in &self.args {
            args.push(evaluate_free(arg, run)?);
        }
        let (store, cancel) = (run.cx.store, run.cx.cancel);
        match &args[..] {
            // Strict, as functions are.
            args if args.iter().any(Value::is_null) => Ok(Vec::new()),
            [Value::Int8(number), Value::Text(text)] if self.is_check => {
                let hash = from_hex(text).ok_or_else(malformed)?;
                let found = check_digest(store, commit(*number)?, &hash, cancel)?;
                Ok(found.iter().map(finding).collect())
            }
            [] => Ok(vec![row(&digest(store, None, cancel)?)]),
            [Value::Int8(number)] => Ok(vec![row(&digest(store, Some(commit(*number)?), cancel)?)]),
            _ => Err(SqlError::internal("a digest of something else than a commit")),
        }
    }
}

fn commit(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|_| {
        let message = format!("there is no commit {number}");
        SqlError::new(SqlState::InvalidParameterValue, message)
    })
}

fn malformed() -> SqlError {
    let message = "a digest has 64 hexadecimal digits";
    SqlError::new(SqlState::InvalidParameterValue, message)
}

fn number(number: u64) -> Value {
    Value::Int8(i64::try_from(number).unwrap_or(i64::MAX))
}

fn row(digest: &Digest) -> Vec<Value> {
    let time = Value::Timestamptz(timestamptz_of(digest.ts));
    vec![number(digest.sequence), time, Value::text(hex(&digest.hash))]
}

fn finding(finding: &Finding) -> Vec<Value> {
    let detail = match (finding.verdict, finding.erased) {
        (Verdict::Erased, 1) => Value::text("the hash of 1 change is left"),
        (Verdict::Erased, count) => Value::text(format!("the hashes of {count} changes are left")),
        (Verdict::Unproved, _) => {
            Value::text("the kept hashes of commits do not lead to the digest")
        }
        _ => Value::Null,
    };
    let name = Value::text(finding.verdict.name());
    vec![name, number(finding.first), number(finding.last), detail]
}

impl Operator for Digests {
    fn next(&mut self, run: &mut Run<'_, '_>) -> Result<Option<Batch>> {
        if std::mem::replace(&mut self.is_done, true) {
            return Ok(None);
        }
        let rows = self.rows(run)?;
        let mut out = RowBuffer::new(&self.types, rows.len());
        for row in rows {
            out.push(row)?;
        }
        Ok(if out.len() == 0 { None } else { Some(out.finish()) })
    }

    fn rebind(&mut self, _run: &mut Run<'_, '_>) {
        self.is_done = false;
    }
}
