//! Storage keys of rows and index entries, and ranges of them.

use std::ops::Bound;

use driftdb_env::planted;
use driftdb_query::{Index, Table};
use driftdb_storage::KeyRange;
use driftdb_types::{DataType, Value, encode_key};

/// One end of a range of column values.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueBound {
    /// No limit.
    Unbounded,
    /// Up to and including.
    Included(Value),
    /// Up to, not including.
    Excluded(Value),
}

impl ValueBound {
    fn is_null(&self) -> bool {
        matches!(self, Self::Included(Value::Null) | Self::Excluded(Value::Null))
    }
}

/// What stands for a NULL that comes before all values: less than the first byte of any.
const NULL_BEFORE: u8 = 0;

/// A range of storage keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByteRange {
    /// The lower end.
    pub start: Bound<Vec<u8>>,
    /// The upper end.
    pub end: Bound<Vec<u8>>,
}

impl ByteRange {
    /// Every key.
    pub const ALL: Self = Self { start: Bound::Unbounded, end: Bound::Unbounded };

    /// As the storage contract takes it.
    pub fn as_range(&self) -> KeyRange<'_> {
        KeyRange {
            start: self.start.as_ref().map(Vec::as_slice),
            end: self.end.as_ref().map(Vec::as_slice),
        }
    }
}

/// The storage key of a row in a table without a primary key.
pub fn row_id_key(id: u64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

/// One column of a key, for ranges and entries.
#[derive(Debug, Clone, Copy)]
struct KeyColumn {
    position: usize,
    ty: DataType,
    descending: bool,
    nulls_first: bool,
}

fn key_columns(table: &Table, index: &Index) -> impl Iterator<Item = KeyColumn> {
    index.columns.iter().map(|column| {
        let position = table.place(column.column).expect("an index covers live columns");
        let ty = table.type_at(position);
        let (descending, nulls_first) = (column.descending, column.nulls_first);
        KeyColumn { position, ty, descending, nulls_first }
    })
}

fn append(column: KeyColumn, value: &Value, out: &mut Vec<u8>) {
    let start = out.len();
    if value.is_null() && column.nulls_first != column.descending {
        // On the other side of all values than where an encoding has it.
        out.push(NULL_BEFORE);
    } else {
        encode_key(value, column.ty, out);
    }
    if column.descending {
        // Encodings are prefix-free, so inverting every byte reverses their order.
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// The storage key of the row with these primary key values, in the key's order; `None` if one is
/// NULL: no row has that key.
///
/// # Panics
/// If the table has no primary key, or the count differs.
pub fn point_key(table: &Table, key: &[Value]) -> Option<Vec<u8>> {
    let index = table.primary_key().expect("the caller checked that the table has one");
    assert_eq!(key.len(), index.columns.len());
    unique_key(table, index, key.iter())
}

/// The bytes of values in an index, in its columns' order; `None` if one is NULL.
pub(crate) fn unique_key<'v>(
    table: &Table,
    index: &Index,
    values: impl Iterator<Item = &'v Value>,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(index.columns.len() * 10);
    for (column, value) in key_columns(table, index).zip(values) {
        if value.is_null() {
            return None;
        }
        append(column, value, &mut out);
    }
    Some(out)
}

/// The bytes of values in an index, in its columns' order, NULLs included.
pub(crate) fn whole_key<'v>(
    table: &Table,
    index: &Index,
    values: impl Iterator<Item = &'v Value>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(index.columns.len() * 10);
    for (column, value) in key_columns(table, index).zip(values) {
        append(column, value, &mut out);
    }
    out
}

/// The storage key of a whole row by its primary key columns.
pub(crate) fn primary_key_of(table: &Table, row: &[Value]) -> Vec<u8> {
    let index = table.primary_key().expect("the caller checked that the table has one");
    let mut out = Vec::with_capacity(index.columns.len() * 10);
    for column in key_columns(table, index) {
        append(column, &row[column.position], &mut out);
    }
    out
}

/// The key of an extended row's entry in a secondary index, and whether no other row may have the same;
/// `None` if the index does not cover the row.
pub fn index_entry(
    table: &Table,
    index: &Index,
    row: &[Value],
    row_key: &[u8],
) -> Option<(Vec<u8>, bool)> {
    if !covers(table, index, row) {
        return None;
    }
    let mut out = Vec::with_capacity(index.columns.len() * 10 + row_key.len());
    // A deferrable key may repeat for a while.
    let mut exclusive = index.unique && !index.deferral.is_deferrable();
    for column in key_columns(table, index) {
        let value = &row[column.position];
        // NULLs are distinct from each other: such an entry carries the row's key.
        exclusive &= index.nulls_equal || !value.is_null();
        append(column, value, &mut out);
    }
    if !exclusive {
        out.extend_from_slice(row_key);
    }
    Some((out, exclusive))
}

/// Whether an index has an entry of an extended row.
pub(crate) fn covers(table: &Table, index: &Index, row: &[Value]) -> bool {
    index.predicate.is_none_or(|term| {
        let place = table.place(term).expect("a predicate is a term of its table");
        row[place] == Value::Bool(true)
    })
}

/// The rows of a [`driftdb_query::RowKey::Primary`] table with `equal` leading key values and the next
/// one between the bounds; `None` if nothing can match.
pub fn primary_range(
    table: &Table,
    equal: &[Value],
    lower: &ValueBound,
    upper: &ValueBound,
) -> Option<ByteRange> {
    match table.primary_key() {
        Some(index) => index_range(table, index, equal, lower, upper),
        None => Some(ByteRange::ALL),
    }
}

/// The entries of an index with `equal` leading values and the next one between the bounds; `None` if
/// nothing can match (a bound is NULL). Rows whose next column is NULL match only if both bounds are
/// absent.
///
/// # Panics
/// If there are more values than columns.
pub fn index_range(
    table: &Table,
    index: &Index,
    equal: &[Value],
    lower: &ValueBound,
    upper: &ValueBound,
) -> Option<ByteRange> {
    if equal.iter().any(Value::is_null) || lower.is_null() || upper.is_null() {
        return None;
    }
    let mut columns = key_columns(table, index);
    let mut prefix = Vec::with_capacity((equal.len() + 1) * 10);
    for value in equal {
        let column = columns.next().expect("no more values than columns");
        append(column, value, &mut prefix);
    }
    if matches!((lower, upper), (ValueBound::Unbounded, ValueBound::Unbounded)) {
        return Some(ByteRange { end: after_prefix(&prefix), start: Bound::Included(prefix) });
    }
    let column = columns.next().expect("a bound has a column");
    let with = |value: &Value| {
        let mut key = prefix.clone();
        append(column, value, &mut key);
        key
    };
    // In key order the first and last values: swapped where the column descends.
    let (first, last) = if column.descending { (upper, lower) } else { (lower, upper) };
    // NULLs sort after all values, or before them; a range of values leaves them out.
    let start = match first {
        ValueBound::Included(value) => Bound::Included(with(value)),
        ValueBound::Excluded(value) => to_start(after_prefix(&with(value))),
        ValueBound::Unbounded if column.nulls_first => to_start(after_prefix(&with(&Value::Null))),
        ValueBound::Unbounded => Bound::Included(prefix.clone()),
    };
    let end = match last {
        ValueBound::Included(value) => after_prefix(&with(value)),
        ValueBound::Excluded(value) => Bound::Excluded(with(value)),
        ValueBound::Unbounded if column.nulls_first => after_prefix(&prefix),
        ValueBound::Unbounded if planted!("tables.range-lets-null-in") => after_prefix(&prefix),
        ValueBound::Unbounded => Bound::Excluded(with(&Value::Null)),
    };
    Some(ByteRange { start, end })
}

/// The end of all keys that begin with `prefix`.
pub(crate) fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Bound::Excluded(end);
        }
    }
    Bound::Unbounded
}

/// The place where one range ends is where the next one starts.
fn to_start(end: Bound<Vec<u8>>) -> Bound<Vec<u8>> {
    match end {
        Bound::Excluded(key) => Bound::Included(key),
        // Nothing lies beyond: an empty range.
        _ => Bound::Excluded(vec![0xff; 64]),
    }
}

#[cfg(test)]
mod tests {
    use driftdb_query::{Column, ColumnId, IndexColumn, IndexId, RowKey, TableId};
    use driftdb_storage::KeyspaceId;

    use super::*;

    fn table(descending: bool, nulls_first: bool) -> Table {
        let columns = (1..=2)
            .map(|id| Column {
                id: ColumnId(id),
                name: format!("c{id}"),
                ty: DataType::Int4,
                typmod: -1,
                not_null: false,
                default: None,
                missing: Value::Null,
                generated: None,
            })
            .collect();
        let column = |id| IndexColumn { nulls_first, ..IndexColumn::new(ColumnId(id), descending) };
        let keys = (1..=2).map(column).collect();
        let index = Index::new(IndexId(1), "i", Some(KeyspaceId(2)), keys);
        Table {
            id: TableId(1),
            schema: "public".into(),
            name: "t".into(),
            keyspace: KeyspaceId(1),
            key: RowKey::RowId,
            dropped_columns: 0,
            columns,
            indexes: vec![index],
            terms: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            referenced_by: Vec::new(),
            row_count: None,
            period: None,
            needs: Vec::new(),
        }
    }

    /// Which of the values -2..=2 and NULL for the second column (the first being 1) are in the range.
    fn matches(
        (descending, nulls_first): (bool, bool),
        lower: ValueBound,
        upper: ValueBound,
    ) -> Vec<Option<i32>> {
        let table = table(descending, nulls_first);
        let index = &table.indexes[0];
        let range = index_range(&table, index, &[Value::Int4(1)], &lower, &upper).unwrap();
        let all = (-2..=2).map(Some).chain([None]);
        all.filter(|value| {
            let second = value.map_or(Value::Null, Value::Int4);
            let entry = index_entry(&table, index, &[Value::Int4(1), second], b"\x80row");
            let (key, _) = entry.unwrap();
            range.as_range().contains(&key)
        })
        .collect()
    }

    #[test]
    fn ranges_hold_exactly_their_values() {
        use ValueBound::{Excluded, Included, Unbounded};
        let one = || Value::Int4(1);
        for way in [(false, false), (false, true), (true, false), (true, true)] {
            let check = |lower, upper, expected: &[Option<i32>]| {
                assert_eq!(matches(way, lower, upper), expected, "{way:?}");
            };
            check(Included(one()), Unbounded, &[Some(1), Some(2)]);
            check(Excluded(one()), Unbounded, &[Some(2)]);
            check(Unbounded, Included(one()), &[Some(-2), Some(-1), Some(0), Some(1)]);
            check(Unbounded, Excluded(one()), &[Some(-2), Some(-1), Some(0)]);
            check(Included(one()), Included(one()), &[Some(1)]);
            check(Unbounded, Unbounded, &[Some(-2), Some(-1), Some(0), Some(1), Some(2), None]);
        }
    }

    #[test]
    fn a_null_bound_matches_nothing() {
        let table = table(false, false);
        let index = &table.indexes[0];
        let unbounded = ValueBound::Unbounded;
        assert_eq!(index_range(&table, index, &[Value::Null], &unbounded, &unbounded), None);
    }
}
