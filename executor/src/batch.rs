//! Batches: some columns of the same rows, perhaps seen through a selection.

use std::sync::Arc;

use driftdb_types::{DataType, EvalContext, Value};

use crate::vector::{self, Vector, VectorBuilder};

/// How many rows a batch has at most.
pub const BATCH_ROWS: usize = 2048;

/// Up to [`BATCH_ROWS`] rows.
#[derive(Debug, Clone)]
pub struct Batch {
    columns: Vec<Arc<Vector>>,
    selection: Option<Arc<[u32]>>,
    len: usize,
}

impl Batch {
    /// Columns of `len` rows each.
    ///
    /// # Panics
    /// If a column has another number of rows.
    pub fn new(columns: Vec<Arc<Vector>>, len: usize) -> Self {
        assert!(columns.iter().all(|column| column.len() == len), "columns of {len} rows");
        Self { columns, selection: None, len }
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many columns.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    fn place(&self, row: usize) -> usize {
        match &self.selection {
            Some(selection) => selection[row] as usize,
            None => row,
        }
    }

    /// The type of a column.
    pub fn ty(&self, column: usize) -> DataType {
        self.columns[column].ty()
    }

    /// Whether a value is NULL.
    pub fn is_null(&self, column: usize, row: usize) -> bool {
        self.columns[column].is_null(self.place(row))
    }

    /// One value.
    pub fn value(&self, column: usize, row: usize) -> Value {
        self.columns[column].value(self.place(row))
    }

    /// One row.
    pub fn row(&self, row: usize) -> Vec<Value> {
        let place = self.place(row);
        self.columns.iter().map(|column| column.value(place)).collect()
    }

    /// Appends the text form of a value; whether it is NULL (then nothing was written).
    pub fn write_text(
        &self,
        column: usize,
        row: usize,
        ctx: &EvalContext,
        out: &mut Vec<u8>,
    ) -> bool {
        vector::write_text(&self.columns[column], self.place(row), ctx, out)
    }

    /// Appends the binary form of a value; whether it is NULL (then nothing was written).
    pub fn write_binary(&self, column: usize, row: usize, out: &mut Vec<u8>) -> bool {
        vector::write_binary(&self.columns[column], self.place(row), out)
    }

    /// A column with a row for each row of the batch.
    pub fn column(&self, index: usize) -> Arc<Vector> {
        match &self.selection {
            Some(selection) => Arc::new(self.columns[index].gather(selection)),
            None => Arc::clone(&self.columns[index]),
        }
    }

    /// All columns, as [`Batch::column`] gives them.
    pub(crate) fn columns(&self) -> Vec<Arc<Vector>> {
        (0..self.columns.len()).map(|index| self.column(index)).collect()
    }

    /// The columns before the selection.
    pub(crate) fn stored(&self) -> &[Arc<Vector>] {
        &self.columns
    }

    /// The selection: positions in the stored columns.
    pub(crate) fn selection(&self) -> Option<&[u32]> {
        self.selection.as_deref()
    }

    /// Only the rows at `rows`.
    pub(crate) fn select(&self, rows: &[u32]) -> Self {
        let selection: Arc<[u32]> = match &self.selection {
            Some(selection) => rows.iter().map(|&row| selection[row as usize]).collect(),
            None => rows.into(),
        };
        Self { columns: self.columns.clone(), len: selection.len(), selection: Some(selection) }
    }

    /// `count` rows from row `from` on.
    #[must_use]
    pub fn slice(&self, from: usize, count: usize) -> Self {
        if from == 0 && count == self.len {
            return self.clone();
        }
        let rows: Vec<u32> = (from as u32..(from + count) as u32).collect();
        self.select(&rows)
    }

    /// Only the first columns.
    #[must_use]
    pub fn narrow(mut self, width: usize) -> Self {
        self.columns.truncate(width);
        self
    }

    /// An estimate of the memory it takes.
    pub fn size_bytes(&self) -> usize {
        self.columns.iter().map(|column| column.size_bytes()).sum::<usize>()
            + self.selection.as_ref().map_or(0, |selection| selection.len() * 4)
    }
}

/// Rows of some types that are gathered one by one, or batch by batch.
#[derive(Debug, Clone)]
pub(crate) struct RowBuffer {
    columns: Vec<VectorBuilder>,
    len: usize,
}

impl RowBuffer {
    pub(crate) fn new(types: &[DataType], capacity: usize) -> Self {
        let columns = types.iter().map(|ty| VectorBuilder::new(*ty, capacity)).collect();
        Self { columns, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn column(&self, index: usize) -> &Vector {
        self.columns[index].vector()
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &Vector> {
        self.columns.iter().map(VectorBuilder::vector)
    }

    /// The builders, to add a row of which [`RowBuffer::added`] then is told.
    pub(crate) fn builders(&mut self) -> &mut [VectorBuilder] {
        &mut self.columns
    }

    pub(crate) fn added(&mut self) {
        self.len += 1;
    }

    /// Adds a row of values.
    pub(crate) fn push(
        &mut self,
        row: impl IntoIterator<Item = Value>,
    ) -> driftdb_query::Result<()> {
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(value)?;
        }
        self.len += 1;
        Ok(())
    }

    /// Adds all rows of a batch.
    pub(crate) fn extend(&mut self, batch: &Batch) {
        for (to, from) in self.columns.iter_mut().zip(batch.stored()) {
            to.extend(from, batch.selection());
        }
        self.len += batch.len();
    }

    /// Adds one row of some vectors.
    pub(crate) fn push_from(&mut self, columns: &[Arc<Vector>], row: usize) {
        for (to, from) in self.columns.iter_mut().zip(columns) {
            to.push_from(from, row);
        }
        self.len += 1;
    }

    pub(crate) fn finish(self) -> Batch {
        let columns = self.columns.into_iter().map(|column| Arc::new(column.finish())).collect();
        Batch::new(columns, self.len)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.columns.iter().map(|column| column.vector().size_bytes()).sum()
    }
}
