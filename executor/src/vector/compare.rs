//! Order, equality and hashes of rows; what joins, groups and sorts stand on.

use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher};

use driftdb_env::FixedState;
use driftdb_types::{DataType, compare_typed, hash_typed};

use super::{Data, Vector};

impl Vector {
    /// The order of two rows that are not NULL, in vectors of one type.
    pub(crate) fn compare(&self, row: usize, other: &Self, other_row: usize) -> Ordering {
        match (&self.data, &other.data) {
            (Data::Int(a), Data::Int(b)) => a[row].cmp(&b[other_row]),
            (Data::Bool(a), Data::Bool(b)) => a[row].cmp(&b[other_row]),
            (Data::Text(a), Data::Text(b)) if self.ty != DataType::Bpchar => {
                a.get(row).as_bytes().cmp(b.get(other_row).as_bytes())
            }
            (Data::Values(a), Data::Values(b)) => compare_typed(self.ty, &a[row], &b[other_row]),
            _ => compare_typed(self.ty, &self.value(row), &other.value(other_row)),
        }
    }

    /// Whether two rows belong to one group: equal, or both NULL.
    pub(crate) fn same(&self, row: usize, other: &Self, other_row: usize) -> bool {
        match (self.is_null(row), other.is_null(other_row)) {
            (true, true) => true,
            (false, false) => self.compare(row, other, other_row).is_eq(),
            _ => false,
        }
    }

    /// Folds the hash of each row into `hashes`.
    pub(crate) fn hash_into(&self, hashes: &mut [u64]) {
        assert_eq!(hashes.len(), self.len);
        if let Data::Constant(_) = self.data {
            let Some(hash) = (self.len > 0).then(|| self.hash(0)) else { return };
            hashes.iter_mut().for_each(|slot| *slot = fold(*slot, hash));
        } else {
            for (row, slot) in hashes.iter_mut().enumerate() {
                *slot = fold(*slot, self.hash(row));
            }
        }
    }

    fn hash(&self, row: usize) -> u64 {
        let mut hasher = FixedState.build_hasher();
        match &self.data {
            _ if self.is_null(row) => hasher.write_u8(0),
            Data::Int(data) => hasher.write_i64(data[row]),
            Data::Text(data) if self.ty != DataType::Bpchar => {
                hasher.write(data.get(row).as_bytes());
                hasher.write_u8(0xff);
            }
            Data::Values(data) => hash_typed(self.ty, &data[row], &mut hasher),
            _ => hash_typed(self.ty, &self.value(row), &mut hasher),
        }
        hasher.finish()
    }
}

fn fold(seed: u64, hash: u64) -> u64 {
    (seed.rotate_left(23) ^ hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Whether rows of two types can be looked up by hash: equal values hash alike, and are compared alike.
pub(crate) fn hashes_agree(a: DataType, b: DataType) -> bool {
    use DataType as T;
    let integer = |ty| matches!(ty, T::Int2 | T::Int4 | T::Int8);
    let string = |ty| matches!(ty, T::Text | T::Varchar | T::Name);
    a == b || (integer(a) && integer(b)) || (string(a) && string(b))
}

/// The hashes of rows over several columns.
pub(crate) fn hash_rows<'a>(columns: impl IntoIterator<Item = &'a Vector>, len: usize) -> Vec<u64> {
    let mut hashes = vec![0x51_7c_c1_b7; len];
    columns.into_iter().for_each(|column| column.hash_into(&mut hashes));
    hashes
}
