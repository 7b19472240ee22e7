//! EXPLAIN, in PostgreSQL's shape: as lines or as a document; with ANALYZE the statement runs, too.

mod access;
mod document;
mod expr;
mod node;
mod plan;

use std::collections::VecDeque;
use std::sync::Arc;

use driftdb_query::{
    ExplainFormat, ExplainOutput, PhysicalPlan, PhysicalStatement, Result, SqlError,
};
use driftdb_types::{DataType, Value};

use super::{CommandTag, Outcome, delete, insert, update};
use crate::batch::{BATCH_ROWS, Batch};
use crate::context::Run;
use crate::operator::meter::Meter;
use crate::operator::{build_metered, pull};
use crate::vector::Vector;
use node::Node;

/// What is shown of the times.
struct Shown {
    /// Whether those of the nodes are.
    timing: bool,
    /// How long all took.
    summary: Option<i64>,
}

/// Explains a statement.
pub(crate) fn run(
    statement: &PhysicalStatement,
    analyze: bool,
    output: ExplainOutput,
    run: &mut Run<'_, '_>,
) -> Result<Outcome> {
    let source = source(statement)?;
    let clock = Arc::clone(&run.cx.eval.clock);
    let start = clock();
    let meters = if analyze { execute(statement, source, run)? } else { Vec::new() };
    let micros = clock() - start;
    let summary = (analyze && output.summary).then_some(micros);
    let shown = Shown { timing: output.timing, summary };
    let node = plan::explain(statement, source, meters, run.cx.eval);
    let lines = match output.format {
        ExplainFormat::Text => text(&node, &shown),
        format => vec![document::write(&node, &shown, format)],
    };
    let tag = CommandTag::plain("EXPLAIN");
    Ok(Outcome { tag, batches: batches(lines, output.column_type())? })
}

/// The plan that a statement gets its rows from.
fn source(statement: &PhysicalStatement) -> Result<&PhysicalPlan> {
    match statement {
        PhysicalStatement::Query(query) => Ok(&query.plan),
        PhysicalStatement::Insert(insert) => Ok(&insert.source),
        PhysicalStatement::Update(update) => Ok(&update.source),
        PhysicalStatement::Delete(delete) => Ok(&delete.source),
        PhysicalStatement::Merge(merge) => Ok(&merge.source),
        PhysicalStatement::CreateTable(_, Some(plan)) | PhysicalStatement::Copy(_, Some(plan)) => {
            Ok(plan)
        }
        _ => Err(SqlError::unsupported("EXPLAIN of this statement")),
    }
}

/// Runs the statement; its rows are thrown away.
fn execute(
    statement: &PhysicalStatement,
    source: &PhysicalPlan,
    run: &mut Run<'_, '_>,
) -> Result<Vec<Meter>> {
    let (mut operator, meters) = build_metered(source);
    match statement {
        PhysicalStatement::Insert(insert) => drop(insert::run(insert, operator, run)?),
        PhysicalStatement::Update(update) => drop(update::run(update, operator, run)?),
        PhysicalStatement::Delete(delete) => drop(delete::run(delete, operator, run)?),
        PhysicalStatement::Merge(merge) => drop(super::merge::run(merge, operator, run)?),
        PhysicalStatement::Query(_) => {
            while pull(&mut operator, run)?.is_some() {
                run.check_cancel()?;
            }
        }
        _ => return Err(SqlError::unsupported("EXPLAIN ANALYZE of this statement")),
    }
    Ok(meters)
}

fn text(node: &Node, shown: &Shown) -> Vec<String> {
    let mut lines = Vec::new();
    node.write(0, "", shown.timing, &mut lines);
    if let Some(micros) = shown.summary {
        lines.push(format!("Execution Time: {} ms", millis(micros)));
    }
    lines
}

/// Milliseconds, as EXPLAIN prints them.
fn millis(micros: i64) -> String {
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

fn batches(lines: Vec<String>, ty: DataType) -> Result<VecDeque<Batch>> {
    let mut batches = VecDeque::new();
    for lines in lines.chunks(BATCH_ROWS) {
        let values = lines.iter().map(|line| match ty {
            DataType::Json => Value::Json(line.as_str().into()),
            _ => Value::text(line.as_str()),
        });
        let column = Vector::from_values(ty, values)?;
        batches.push_back(Batch::new(vec![Arc::new(column)], lines.len()));
    }
    Ok(batches)
}
