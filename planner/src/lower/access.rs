//! How a table's rows are reached: by key, by key range, by index, or all of them.
//!
//! A predicate `column op value` is usable if the value does not depend on the table's own row (it may
//! be handed down from an outer row). A path that fixes more leading columns wins; the primary key
//! wins a tie, because its entries are the rows.

use std::collections::BTreeSet;
use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_env::planted;
use driftdb_query::implied::is_implied;
use driftdb_query::{
    AccessPath, AccessTemporal, ColId, ColumnId, Expr, Index, KeyBound, KeyBounds, OutputColumn,
    PhysicalPlan, PlanContext, Result, RowKey, ScanColumn, Span, Table, TableAccess, Temporal,
};
use driftdb_types::{Comparison, DataType};

use super::order::Ordering;
use super::resolve::{Frame, resolve};
use super::{Lowered, key_column};
use crate::expr::{as_comparison, conjoin, has_subquery, is_volatile, uses_any};

/// A scan, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    pub(super) table: Arc<Table>,
    pub(super) at: ReadAt,
    pub(super) columns: Vec<ScanColumn>,
    pub(super) key: Option<ColId>,
    pub(super) temporal: Temporal,
}

impl Scan {
    /// What the scan yields: the key, if asked, then the columns, then the system columns.
    pub(super) fn outputs(&self) -> Vec<OutputColumn> {
        let scanned = self
            .columns
            .iter()
            .map(|c| OutputColumn { id: c.id, ty: self.table.columns[c.position].ty });
        let system = self.temporal.system.iter();
        let system = system.map(|(id, column)| OutputColumn { id: *id, ty: column.ty() });
        self.key.map(key_column).into_iter().chain(scanned).chain(system).collect()
    }
}

/// A predicate that a path can use.
#[derive(Debug, Clone)]
struct Usable {
    predicate: usize,
    position: usize,
    comparison: Comparison,
    value: Expr,
}

/// A path with the predicates it makes sure of.
struct Candidate {
    path: AccessPath,
    used: Vec<usize>,
    /// Fixed columns count double, a range once.
    score: usize,
    order: Vec<Ordering>,
}

/// Lowers a scan under predicates.
pub(super) fn lower_scan(
    scan: &Scan,
    predicates: Vec<Expr>,
    frame: &mut Frame,
    cx: &PlanContext,
) -> Result<Lowered> {
    let outputs = scan.outputs();
    let mut best = choose(scan, &predicates, cx);
    let span = match &scan.temporal.span {
        Span::Each(time) => Span::Each(Box::new(resolve(Expr::clone(time), &[], frame, cx)?)),
        other => other.clone(),
    };
    if span != Span::Once {
        // Earlier the table may have had another key, or not yet the index: the path tells where to
        // look, and the predicates decide.
        best.used.clear();
        best.order.clear();
    }
    let path = resolve_path(best.path, frame, cx)?;
    let rest = predicates
        .into_iter()
        .enumerate()
        .filter(|(index, _)| !best.used.contains(index))
        .map(|(_, predicate)| predicate)
        .collect();
    let filter = conjoin(rest).map(|expr| resolve(expr, &outputs, frame, cx)).transpose()?;
    let access = TableAccess {
        table: Arc::clone(&scan.table),
        at: scan.at,
        path,
        columns: scan.columns.iter().map(|column| column.position).collect(),
        with_key: scan.key.is_some(),
        filter,
        reverse: false,
        temporal: AccessTemporal {
            span,
            system: scan.temporal.system.iter().map(|(_, column)| *column).collect(),
        },
    };
    let plan = PhysicalPlan::Access(access);
    Ok(Lowered { plan, columns: outputs, order: best.order })
}

/// Whether the predicates lead to a path better than reading everything: for index joins.
pub(super) fn has_path(scan: &Scan, predicates: &[Expr], cx: &PlanContext) -> bool {
    choose(scan, predicates, cx).score >= 2
}

fn choose(scan: &Scan, predicates: &[Expr], cx: &PlanContext) -> Candidate {
    let usable = if cx.disable_index_scan { Vec::new() } else { usable(scan, predicates) };
    let primary = match scan.table.key {
        RowKey::Primary => scan.table.primary_key(),
        RowKey::RowId => None,
    };
    let everything = Candidate {
        path: AccessPath::Table { bounds: KeyBounds::ALL },
        used: Vec::new(),
        score: 0,
        order: primary.map(|index| order_of(scan, index, 0)).unwrap_or_default(),
    };
    let by_primary = primary.map(|index| candidate(scan, index, &usable));
    let secondary = scan.table.indexes.iter().filter(|index| index.keyspace.is_some());
    // A partial index has all the rows that are asked for if they all satisfy its predicate.
    let secondary = secondary.filter(|index| {
        !cx.disable_index_scan && index.predicate.is_none_or(|term| covers(scan, term, predicates))
    });
    let candidates = by_primary.into_iter().chain(secondary.map(|i| candidate(scan, i, &usable)));
    // The first of the best: the primary key comes first.
    candidates.fold(everything, |best, next| if next.score > best.score { next } else { best })
}

fn usable(scan: &Scan, predicates: &[Expr]) -> Vec<Usable> {
    let own: BTreeSet<ColId> = scan.outputs().iter().map(|column| column.id).collect();
    let mut found = Vec::new();
    for (predicate, expr) in predicates.iter().enumerate() {
        let Some(compared) = as_comparison(expr) else { continue };
        let sides = [
            (compared.left, compared.right, compared.comparison),
            (compared.right, compared.left, compared.comparison.commuted()),
        ];
        for (side, value, comparison) in sides {
            let free = !uses_any(value, &own) && !is_volatile(value) && !has_subquery(value);
            if !free || comparison == Comparison::Ne {
                continue;
            }
            let places = scanned_position(scan, side).into_iter().chain(terms_like(scan, side));
            let fitting = places.filter(|place| keys_alike(scan.table.type_at(*place), value.ty()));
            let before = found.len();
            found.extend(fitting.map(|position| {
                let value = value.clone();
                Usable { predicate, position, comparison, value }
            }));
            if found.len() > before {
                break;
            }
        }
    }
    found
}

/// An expression of a scan over the table's row, as terms are bound.
fn over_row(scan: &Scan, expr: &Expr) -> Expr {
    let mut expr = expr.clone();
    put_over_row(scan, &mut expr);
    expr
}

fn put_over_row(scan: &Scan, expr: &mut Expr) {
    if let Expr::Column { id, ty } = expr
        && let Some(column) = scan.columns.iter().find(|column| column.id == *id)
    {
        *expr = Expr::Slot { index: column.position, ty: *ty };
        return;
    }
    expr.for_each_child_mut(&mut |child| put_over_row(scan, child));
}

/// The places of the terms that an expression is the same as.
fn terms_like(scan: &Scan, expr: &Expr) -> Vec<usize> {
    let table = &scan.table;
    if table.terms.is_empty() || matches!(expr, Expr::Column { .. }) {
        return Vec::new();
    }
    let expr = over_row(scan, expr);
    let alike = table
        .terms
        .iter()
        .enumerate()
        .filter(|(_, term)| term.bound.0.as_deref().is_some_and(|bound| *bound == expr));
    alike.map(|(at, _)| table.columns.len() + at).collect()
}

/// Whether every row that passes the predicates satisfies that of a partial index.
fn covers(scan: &Scan, predicate: ColumnId, predicates: &[Expr]) -> bool {
    let term = scan.table.term(predicate);
    let Some(bound) = term.and_then(|term| term.bound.0.as_deref()) else { return false };
    if planted!("planner.partial-index-unproved") {
        return !predicates.is_empty();
    }
    let given: Vec<Expr> = predicates.iter().map(|given| over_row(scan, given)).collect();
    is_implied(bound, &given)
}

/// The table's position of a bare column; a change of name among string types does not hide it.
fn scanned_position(scan: &Scan, expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Column { id, .. } => {
            scan.columns.iter().find(|column| column.id == *id).map(|column| column.position)
        }
        Expr::Cast { input, to, typmod: -1, .. }
            if same_encoding(*to) && same_encoding(input.ty()) =>
        {
            scanned_position(scan, input)
        }
        _ => None,
    }
}

/// String types whose keys are encoded alike. Blank-padded ones are not among them.
fn same_encoding(ty: DataType) -> bool {
    matches!(ty, DataType::Text | DataType::Varchar)
}

/// Whether the values of a type can stand in a key of another: the executor converts widths of
/// integers; anything else would compare the encodings of different things.
fn keys_alike(column: DataType, value: DataType) -> bool {
    let is_integer = |ty| matches!(ty, DataType::Int2 | DataType::Int4 | DataType::Int8);
    column == value
        || same_encoding(column) && same_encoding(value)
        || is_integer(column) && is_integer(value)
}

fn candidate(scan: &Scan, index: &Index, usable: &[Usable]) -> Candidate {
    let table = &scan.table;
    let positions: Vec<usize> =
        index.columns.iter().filter_map(|column| table.place(column.column)).collect();
    let on = |position: usize, comparison: Comparison| {
        usable.iter().find(|u| u.position == position && u.comparison == comparison)
    };
    let fixed: Vec<&Usable> =
        positions.iter().map_while(|&position| on(position, Comparison::Eq)).collect();
    let mut used: Vec<usize> = fixed.iter().map(|u| u.predicate).collect();
    let equal: Vec<Expr> = fixed.iter().map(|u| u.value.clone()).collect();
    let order = order_of(scan, index, equal.len());
    // A partial index is the smaller one.
    let mut score = 2 * equal.len() + usize::from(index.predicate.is_some());
    if index.keyspace.is_none() && equal.len() == positions.len() {
        // One row at most, without a search: better than any index.
        return Candidate { path: AccessPath::Point { key: equal }, used, score: score + 2, order };
    }
    let mut bound = |comparisons: [(Comparison, bool); 2]| {
        let next = positions.get(fixed.len())?;
        let (found, included) = comparisons
            .iter()
            .find_map(|(comparison, included)| Some((on(*next, *comparison)?, *included)))?;
        used.push(found.predicate);
        let value = found.value.clone();
        Some(if included { KeyBound::Included(value) } else { KeyBound::Excluded(value) })
    };
    let lower = bound([(Comparison::Ge, true), (Comparison::Gt, false)]);
    let upper = bound([(Comparison::Le, true), (Comparison::Lt, false)]);
    score += usize::from(lower.is_some() || upper.is_some());
    let bounds = KeyBounds {
        equal,
        lower: lower.unwrap_or(KeyBound::Unbounded),
        upper: upper.unwrap_or(KeyBound::Unbounded),
    };
    let path = match index.keyspace {
        None => AccessPath::Table { bounds },
        Some(_) => AccessPath::Index { index: index.id, bounds },
    };
    Candidate { path, used, score, order }
}

/// The order of rows along an index, after `fixed` leading columns that are all equal.
fn order_of(scan: &Scan, index: &Index, fixed: usize) -> Vec<Ordering> {
    let id_of = |position: usize| {
        scan.columns.iter().find(|column| column.position == position).map(|column| column.id)
    };
    index.columns[fixed..]
        .iter()
        .map_while(|column| {
            let id = id_of(scan.table.position(column.column)?)?;
            if column.nulls_first != column.descending {
                return None;
            }
            // Stored keys put NULLs last, or first where the column descends: PostgreSQL's default.
            Some(Ordering { id, descending: column.descending })
        })
        .collect()
}

fn resolve_path(path: AccessPath, frame: &mut Frame, cx: &PlanContext) -> Result<AccessPath> {
    Ok(match path {
        AccessPath::Point { key } => {
            AccessPath::Point { key: super::resolve::resolve_all(key, &[], frame, cx)? }
        }
        AccessPath::Table { bounds } => {
            AccessPath::Table { bounds: resolve_bounds(bounds, frame, cx)? }
        }
        AccessPath::Index { index, bounds } => {
            AccessPath::Index { index, bounds: resolve_bounds(bounds, frame, cx)? }
        }
    })
}

fn resolve_bounds(bounds: KeyBounds, frame: &mut Frame, cx: &PlanContext) -> Result<KeyBounds> {
    Ok(KeyBounds {
        equal: super::resolve::resolve_all(bounds.equal, &[], frame, cx)?,
        lower: resolve_bound(bounds.lower, frame, cx)?,
        upper: resolve_bound(bounds.upper, frame, cx)?,
    })
}

fn resolve_bound(bound: KeyBound, frame: &mut Frame, cx: &PlanContext) -> Result<KeyBound> {
    Ok(match bound {
        KeyBound::Unbounded => KeyBound::Unbounded,
        KeyBound::Included(expr) => KeyBound::Included(resolve(expr, &[], frame, cx)?),
        KeyBound::Excluded(expr) => KeyBound::Excluded(resolve(expr, &[], frame, cx)?),
    })
}
