//! A batch of rows as flat bytes: what crosses the one virtual boundary.

use driftdb_storage::Timestamp;

/// Keys, values and version timestamps of up to a few thousand rows, in three buffers that are
/// reused from batch to batch.
#[derive(Debug, Clone, Default)]
pub struct RowBatch {
    bytes: Vec<u8>,
    rows: Vec<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    key: usize,
    value: usize,
    end: usize,
    ts: Timestamp,
    live: bool,
}

/// One row of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRef<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value; `None` is a tombstone (only in scans over several versions).
    pub value: Option<&'a [u8]>,
    /// The commit that made it; [`Timestamp::MAX`] for the transaction's own write.
    pub ts: Timestamp,
}

impl RowBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the rows, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }

    /// Adds a row.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>, ts: Timestamp) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.rows.push(Place {
            key: start,
            value: start + key.len(),
            end: self.bytes.len(),
            ts,
            live: value.is_some(),
        });
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of keys and values held.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The row at `index`.
    ///
    /// # Panics
    /// If there is none.
    pub fn row(&self, index: usize) -> RowRef<'_> {
        let place = self.rows[index];
        RowRef {
            key: &self.bytes[place.key..place.value],
            value: place.live.then(|| &self.bytes[place.value..place.end]),
            ts: place.ts,
        }
    }

    /// The rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = RowRef<'_>> + DoubleEndedIterator {
        (0..self.rows.len()).map(|index| self.row(index))
    }

    /// The last key, from which a scan goes on.
    pub fn last_key(&self) -> Option<&[u8]> {
        self.rows.last().map(|place| &self.bytes[place.key..place.value])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back() {
        let mut batch = RowBatch::new();
        batch.push(b"a", Some(b""), Timestamp(1));
        batch.push(b"", None, Timestamp(2));
        let rows: Vec<_> = batch.rows().collect();
        assert_eq!(rows[0], RowRef { key: b"a", value: Some(b""), ts: Timestamp(1) });
        assert_eq!(rows[1], RowRef { key: b"", value: None, ts: Timestamp(2) });
        assert_eq!(batch.last_key(), Some(&b""[..]));
    }
}
