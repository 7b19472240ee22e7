//! Three-valued logic over vectors.

use std::sync::Arc;

use driftdb_query::{Expr, Result, eval};
use driftdb_types::{Comparison, DataType, FunctionId, Value};

use super::{Rows, call, evaluate};
use crate::context::Run;
use crate::operator::group_table::GroupTable;
use crate::vector::{Bitmap, Vector, hashes_agree};

/// A vector of truth values computed from row numbers.
pub(super) fn from_truth(len: usize, truth: impl Fn(usize) -> Option<bool>) -> Vector {
    let mut data = Vec::with_capacity(len);
    let mut validity: Option<Bitmap> = None;
    for row in 0..len {
        let truth = truth(row);
        if truth.is_none() {
            validity.get_or_insert_with(|| Bitmap::filled(len, true)).set(row, false);
        }
        data.push(truth == Some(true));
    }
    Vector::bools(data, validity)
}

/// AND (absorbed by false) and OR (absorbed by true): each argument sees the rows that the ones
/// before it left open.
pub(super) fn connective(
    args: &[Expr],
    absorbing: bool,
    rows: Rows<'_>,
    run: &mut Run<'_, '_>,
) -> Result<Vector> {
    let mut result = vec![Some(!absorbing); rows.len()];
    let mut open: Option<Vec<u32>> = None;
    for arg in args {
        let places;
        let narrowed = match &open {
            Some(open) if open.is_empty() => break,
            Some(open) => {
                places = rows.places(open);
                rows.at(&places)
            }
            None => rows,
        };
        let truth = evaluate(arg, narrowed, run)?;
        let mut still_open = Vec::with_capacity(narrowed.len());
        for index in 0..narrowed.len() {
            let row = open.as_ref().map_or(index as u32, |open| open[index]);
            match truth.truth(index) {
                Some(truth) if truth == absorbing => result[row as usize] = Some(absorbing),
                Some(_) => still_open.push(row),
                None => {
                    result[row as usize] = None;
                    still_open.push(row);
                }
            }
        }
        open = if still_open.len() == rows.len() { None } else { Some(still_open) };
    }
    Ok(from_truth(rows.len(), |row| result[row]))
}

/// IN a list: each candidate is compared with the rows that have not matched yet.
pub(super) fn in_list(
    input: &Expr,
    list: &[Expr],
    equal: FunctionId,
    negated: bool,
    rows: Rows<'_>,
    run: &mut Run<'_, '_>,
) -> Result<Vector> {
    let input = evaluate(input, rows, run)?;
    let equal = driftdb_types::function(equal);
    if list.len() >= LOOKED_UP
        && rows.len() >= LOOKED_UP
        && equal.comparison() == Some(Comparison::Eq)
        && let Some(constants) = constants(list, run)
        && list.iter().all(|candidate| hashes_agree(input.ty(), candidate.ty()))
    {
        return look_up(&input, list[0].ty(), constants, negated);
    }
    let mut result = vec![Some(negated); rows.len()];
    let mut open = Vec::with_capacity(rows.len());
    for (row, result) in result.iter_mut().enumerate() {
        if input.is_null(row) {
            *result = None;
        } else {
            open.push(row as u32);
        }
    }
    for candidate in list {
        if open.is_empty() {
            break;
        }
        let places = rows.places(&open);
        let narrowed = rows.at(&places);
        let candidate = evaluate(candidate, narrowed, run)?;
        let input = if open.len() == rows.len() {
            Arc::clone(&input)
        } else {
            Arc::new(input.gather(&open))
        };
        let same =
            call::apply(equal, DataType::Bool, &[input, candidate], open.len(), run.cx.eval)?;
        let mut index = 0;
        open.retain(|&row| {
            let truth = same.truth(index);
            index += 1;
            match truth {
                Some(true) => {
                    result[row as usize] = Some(!negated);
                    false
                }
                Some(false) => true,
                None => {
                    result[row as usize] = None;
                    true
                }
            }
        });
    }
    Ok(from_truth(rows.len(), |row| result[row]))
}

/// ANY and ALL of arrays, row by row.
pub(super) fn quantified(
    input: &Expr,
    array: &Expr,
    operator: FunctionId,
    all: bool,
    rows: Rows<'_>,
    run: &mut Run<'_, '_>,
) -> Result<Vector> {
    let (input, array) = (evaluate(input, rows, run)?, evaluate(array, rows, run)?);
    let truths = (0..rows.len())
        .map(|row| {
            let (input, array) = (input.value(row), array.value(row));
            eval::quantified(&input, &array, operator, all, run.cx.eval)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(from_truth(rows.len(), |row| truths[row].as_bool()))
}

/// From so many rows and candidates on, candidates that are constants go into a hash table.
const LOOKED_UP: usize = 8;

/// The values of candidates, if they are known.
fn constants(list: &[Expr], run: &Run<'_, '_>) -> Option<Vec<Value>> {
    list.iter()
        .map(|candidate| match candidate {
            Expr::Const { value, .. } => Some(value.clone()),
            Expr::Param { index, .. } => run.cx.params.get(*index).cloned(),
            _ => None,
        })
        .collect()
}

fn look_up(
    input: &Arc<Vector>,
    ty: DataType,
    candidates: Vec<Value>,
    negated: bool,
) -> Result<Vector> {
    let has_null = candidates.iter().any(Value::is_null);
    let known = candidates.into_iter().filter(|value| !value.is_null());
    let keys = [Arc::new(Vector::from_values(ty, known)?)];
    let mut table = GroupTable::new(&[ty]);
    for (row, hash) in GroupTable::hash(&keys, keys[0].len()).into_iter().enumerate() {
        table.insert(&keys, row, hash);
    }
    let input = std::slice::from_ref(input);
    let hashes = GroupTable::hash(input, input[0].len());
    Ok(from_truth(hashes.len(), |row| {
        if input[0].is_null(row) {
            None
        } else if table.find(input, row, hashes[row]).is_some() {
            Some(!negated)
        } else {
            (!has_null).then_some(negated)
        }
    }))
}
