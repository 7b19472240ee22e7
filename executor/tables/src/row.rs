//! A stored row: cells found by column number in constant time.
//!
//! `flags | count | null bitmap | end offsets | cells`: see `docs/formats/row.md`. Columns are named
//! by their number, so that adding and dropping columns rewrites nothing: a number beyond `count`
//! reads as the column's `missing` value, a number that no column has any more is passed over.

use driftdb_query::{Result, SqlError, Table};
use driftdb_types::{DataType, SqlState, Value, decode_value, encode_value};

/// Offsets are four bytes wide instead of two.
const WIDE: u8 = 1;

/// Appends the stored form of `row`, one value per column of `table`.
///
/// # Panics
/// If the counts differ.
pub fn encode_row(table: &Table, row: &[Value], out: &mut Vec<u8>) {
    assert_eq!(row.len(), table.columns.len());
    let count = table.columns.iter().map(|column| usize::from(column.id.0)).max().unwrap_or(0);
    let mut cells = Vec::with_capacity(count * 8);
    let mut ends = vec![0u32; count];
    let mut nulls = vec![0xffu8; count.div_ceil(8)];
    // Columns are in the order of their numbers: numbers only grow, and dropping keeps the order.
    let mut next = 0;
    for (column, value) in table.columns.iter().zip(row) {
        let index = usize::from(column.id.0) - 1;
        ends[next..index].fill(cells.len() as u32);
        if !value.is_null() {
            nulls[index / 8] &= !(1 << (index % 8));
            encode_value(value, column.ty, &mut cells);
        }
        ends[index] = cells.len() as u32;
        next = index + 1;
    }
    let wide = cells.len() > usize::from(u16::MAX);
    out.push(if wide { WIDE } else { 0 });
    out.extend_from_slice(&(count as u16).to_le_bytes());
    out.extend_from_slice(&nulls);
    for end in ends {
        if wide {
            out.extend_from_slice(&end.to_le_bytes());
        } else {
            out.extend_from_slice(&(end as u16).to_le_bytes());
        }
    }
    out.extend_from_slice(&cells);
}

/// One cell of a stored row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// A value in the form of `driftdb_types::decode_value`.
    Bytes(&'a [u8]),
    /// The column is younger than the row.
    Missing(&'a Value),
}

/// Reads some columns of the stored rows of one table.
#[derive(Debug, Clone)]
pub struct RowReader {
    columns: Vec<ReadColumn>,
}

#[derive(Debug, Clone)]
struct ReadColumn {
    index: usize,
    ty: DataType,
    missing: Value,
}

impl RowReader {
    /// A reader of the columns at `positions` of [`Table::columns`], in that order.
    pub fn new(table: &Table, positions: &[usize]) -> Self {
        let columns = positions
            .iter()
            .map(|&position| {
                let column = &table.columns[position];
                ReadColumn {
                    index: usize::from(column.id.0) - 1,
                    ty: column.ty,
                    missing: column.missing.clone(),
                }
            })
            .collect();
        Self { columns }
    }

    /// A reader of every column.
    pub fn whole(table: &Table) -> Self {
        Self::new(table, &(0..table.columns.len()).collect::<Vec<_>>())
    }

    /// How many columns it reads.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether it reads none.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The type of the `i`-th column it reads.
    pub fn ty(&self, i: usize) -> DataType {
        self.columns[i].ty
    }

    /// The `i`-th column it reads.
    ///
    /// # Errors
    /// The row is malformed (XX001).
    #[inline]
    pub fn cell<'a>(&'a self, row: &'a [u8], i: usize) -> Result<Cell<'a>> {
        let column = &self.columns[i];
        locate(row, column.index, &column.missing).ok_or_else(malformed)
    }

    /// Appends the value of each column it reads.
    ///
    /// # Errors
    /// The row is malformed (XX001).
    pub fn read(&self, row: &[u8], out: &mut Vec<Value>) -> Result<()> {
        for (i, column) in self.columns.iter().enumerate() {
            out.push(match self.cell(row, i)? {
                Cell::Null => Value::Null,
                Cell::Bytes(mut bytes) => decode_value(column.ty, &mut bytes)?,
                Cell::Missing(value) => value.clone(),
            });
        }
        Ok(())
    }
}

#[inline]
fn locate<'a>(row: &'a [u8], index: usize, missing: &'a Value) -> Option<Cell<'a>> {
    let wide = row.first()? & WIDE != 0;
    let count = usize::from(u16::from_le_bytes(row.get(1..3)?.try_into().ok()?));
    if index >= count {
        return Some(Cell::Missing(missing));
    }
    let bitmap = 3;
    if row.get(bitmap + index / 8)? & (1 << (index % 8)) != 0 {
        return Some(Cell::Null);
    }
    let ends = bitmap + count.div_ceil(8);
    let width = if wide { 4 } else { 2 };
    let end_of = |index: usize| -> Option<usize> {
        let at = ends + index * width;
        if wide {
            Some(u32::from_le_bytes(row.get(at..at + 4)?.try_into().ok()?) as usize)
        } else {
            Some(usize::from(u16::from_le_bytes(row.get(at..at + 2)?.try_into().ok()?)))
        }
    };
    let cells = ends + count * width;
    let start = if index == 0 { 0 } else { end_of(index - 1)? };
    row.get(cells + start..cells + end_of(index)?).map(Cell::Bytes)
}

fn malformed() -> SqlError {
    SqlError::new(SqlState::DataCorrupted, "malformed stored row")
        .with_hint("Run driftdb verify --data DIR and restore what it names.")
}

#[cfg(test)]
mod tests {
    use driftdb_query::{Column, ColumnId, RowKey, TableId};
    use driftdb_storage::KeyspaceId;

    use super::*;

    fn table(columns: &[(u16, DataType, Value)]) -> Table {
        Table {
            id: TableId(1),
            schema: "public".into(),
            name: "t".into(),
            keyspace: KeyspaceId(1024),
            key: RowKey::RowId,
            dropped_columns: 0,
            columns: columns
                .iter()
                .map(|(id, ty, missing)| Column {
                    id: ColumnId(*id),
                    name: format!("c{id}"),
                    ty: *ty,
                    typmod: -1,
                    not_null: false,
                    default: None,
                    missing: missing.clone(),
                    generated: None,
                })
                .collect(),
            indexes: Vec::new(),
            terms: Vec::new(),
            checks: Vec::new(),
            foreign_keys: Vec::new(),
            referenced_by: Vec::new(),
            row_count: None,
            period: None,
            needs: Vec::new(),
        }
    }

    fn read(table: &Table, bytes: &[u8]) -> Vec<Value> {
        let mut out = Vec::new();
        RowReader::whole(table).read(bytes, &mut out).unwrap();
        out
    }

    #[test]
    fn rows_survive_a_change_of_columns() {
        let before = table(&[
            (1, DataType::Int4, Value::Null),
            (2, DataType::Text, Value::Null),
            (3, DataType::Int8, Value::Null),
        ]);
        let mut bytes = Vec::new();
        encode_row(&before, &[Value::Int4(7), Value::text("x"), Value::Null], &mut bytes);
        assert_eq!(read(&before, &bytes), [Value::Int4(7), Value::text("x"), Value::Null]);
        // Column 2 dropped, column 4 added with a default of 9.
        let after = table(&[
            (1, DataType::Int4, Value::Null),
            (3, DataType::Int8, Value::Null),
            (4, DataType::Int4, Value::Int4(9)),
        ]);
        assert_eq!(read(&after, &bytes), [Value::Int4(7), Value::Null, Value::Int4(9)]);
    }

    #[test]
    fn wide_rows_round_trip() {
        let table = table(&[(1, DataType::Text, Value::Null), (2, DataType::Text, Value::Null)]);
        let row = [Value::text("x".repeat(70_000)), Value::text("end")];
        let mut bytes = Vec::new();
        encode_row(&table, &row, &mut bytes);
        assert_eq!(read(&table, &bytes), row);
    }

    #[test]
    fn no_bytes_make_a_reader_panic() {
        let table = table(&[(1, DataType::Int4, Value::Null), (2, DataType::Text, Value::Null)]);
        let mut bytes = Vec::new();
        encode_row(&table, &[Value::Int4(7), Value::text("hello")], &mut bytes);
        for at in 0..bytes.len() {
            for flip in [1u8, 0x80, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] ^= flip;
                RowReader::whole(&table).read(&damaged, &mut Vec::new()).ok();
                RowReader::whole(&table).read(&damaged[..at], &mut Vec::new()).ok();
            }
        }
    }
}
