//! Choosing rows.

use std::sync::Arc;

use driftdb_types::{DataType, Value};

use super::{Bitmap, Data, TextData, Vector, VectorBuilder};

/// Stands for NULL in [`Vector::gather_or_null`].
pub(crate) const NO_ROW: u32 = u32::MAX;

impl Vector {
    /// The rows at `rows`, in that order.
    pub(crate) fn gather(&self, rows: &[u32]) -> Self {
        let validity =
            self.validity.as_ref().map(|valid| bits(rows, |row| valid.get(row as usize)));
        let data = match &self.data {
            Data::Int(data) => Data::Int(rows.iter().map(|&row| data[row as usize]).collect()),
            Data::Float(data) => Data::Float(rows.iter().map(|&row| data[row as usize]).collect()),
            Data::Bool(data) => Data::Bool(rows.iter().map(|&row| data[row as usize]).collect()),
            Data::Text(data) => {
                let mut text = TextData::with_capacity(rows.len());
                rows.iter().for_each(|&row| text.push(data.get(row as usize)));
                Data::Text(text)
            }
            Data::Values(data) => {
                Data::Values(rows.iter().map(|&row| data[row as usize].clone()).collect())
            }
            Data::Constant(value) => Data::Constant(value.clone()),
        };
        Self { ty: self.ty, len: rows.len(), data, validity }
    }

    /// As [`Vector::gather`]; [`NO_ROW`] gives NULL.
    pub(crate) fn gather_or_null(&self, rows: &[u32]) -> Self {
        if !rows.contains(&NO_ROW) {
            return self.gather(rows);
        }
        let mut out = VectorBuilder::new(self.ty, rows.len());
        for &row in rows {
            if row == NO_ROW {
                out.push_null();
            } else {
                out.push_from(self, row as usize);
            }
        }
        out.finish()
    }

    /// A vector whose row `i` is row `picks[i].1` of `parts[picks[i].0]`, NULL where that part is
    /// [`NO_ROW`].
    pub(crate) fn assemble(ty: DataType, parts: &[Arc<Self>], picks: &[(u32, u32)]) -> Self {
        let mut out = VectorBuilder::new(ty, picks.len());
        for &(part, row) in picks {
            if part == NO_ROW {
                out.push_null();
            } else {
                out.push_from(&parts[part as usize], row as usize);
            }
        }
        out.finish()
    }

    /// NULL `len` times.
    pub(crate) fn nulls(ty: DataType, len: usize) -> Self {
        Self::constant(ty, Value::Null, len)
    }
}

fn bits(rows: &[u32], bit: impl Fn(u32) -> bool) -> Bitmap {
    Bitmap::from_fn(rows.len(), |index| bit(rows[index]))
}
