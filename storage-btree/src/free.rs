//! Free pages: which may be written now, and which must wait.
//!
//! A page that the tree let go in epoch *e* may be reused once the checkpoint that ended *e* is
//! durable (until then the root on disk needs it) and no snapshot of epoch *e* or earlier lives
//! (it may still read the page from disk).

use std::collections::BTreeSet;

use driftdb_storage::{read_varint, write_varint};

/// The free pages of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct FreePages {
    /// Pages in the file.
    page_count: u64,
    /// Reusable now.
    ready: BTreeSet<u64>,
    /// Let go in an epoch whose checkpoint is durable; perhaps still read.
    waiting: Vec<(u64, Vec<u64>)>,
}

impl FreePages {
    /// The free pages of a file just opened: nobody reads them.
    pub(crate) fn new(page_count: u64, ready: BTreeSet<u64>) -> Self {
        Self { page_count, ready, waiting: Vec::new() }
    }

    pub(crate) fn page_count(&self) -> u64 {
        self.page_count
    }

    /// A page to write: the lowest free one, else a new one at the end of the file.
    pub(crate) fn allocate(&mut self) -> u64 {
        self.ready.pop_first().unwrap_or_else(|| {
            self.page_count += 1;
            self.page_count
        })
    }

    /// Takes back the pages of a checkpoint that failed, as if it had never begun.
    pub(crate) fn take_back(&mut self, allocated: &[u64], page_count: u64) {
        self.page_count = page_count;
        self.ready.extend(allocated.iter().filter(|page| **page <= page_count));
    }

    /// Takes pages that the tree let go in `epoch`, whose checkpoint is durable.
    pub(crate) fn put(&mut self, epoch: u64, pages: Vec<u64>) {
        if !pages.is_empty() {
            self.waiting.push((epoch, pages));
        }
    }

    /// Makes a page reusable at once. Only the planted bug calls it.
    pub(crate) fn put_now(&mut self, pages: &[u64]) {
        self.ready.extend(pages);
    }

    /// Makes reusable what nobody of epoch `oldest_reader` or later can read.
    pub(crate) fn release(&mut self, oldest_reader: u64) {
        let ready = &mut self.ready;
        self.waiting.retain(|(epoch, pages)| {
            if *epoch < oldest_reader {
                ready.extend(pages);
            }
            *epoch >= oldest_reader
        });
    }

    /// Every page that the next root does not reach: the free ones and those `let_go` by it.
    pub(crate) fn all_with(&self, let_go: &[u64]) -> BTreeSet<u64> {
        let waiting = self.waiting.iter().flat_map(|(_, pages)| pages);
        self.ready.iter().chain(waiting).chain(let_go).copied().collect()
    }
}

/// Encodes a set of pages: a count of runs, then each run as its distance from the last one's end,
/// and its length.
pub(crate) fn encode_pages(pages: &BTreeSet<u64>) -> Vec<u8> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &page in pages {
        match runs.last_mut() {
            Some((start, len)) if *start + *len == page => *len += 1,
            _ => runs.push((page, 1)),
        }
    }
    let mut out = Vec::new();
    write_varint(&mut out, runs.len() as u64);
    let mut end = 0;
    for (start, len) in runs {
        write_varint(&mut out, start - end);
        write_varint(&mut out, len);
        end = start + len;
    }
    out
}

/// Decodes a set of pages in `1..=page_count`; `None` if the bytes are not one. Bytes after the last
/// run are padding.
pub(crate) fn decode_pages(mut bytes: &[u8], page_count: u64) -> Option<BTreeSet<u64>> {
    let runs = read_varint(&mut bytes)?;
    let mut pages = BTreeSet::new();
    let mut end = 0u64;
    for _ in 0..runs {
        let start = end.checked_add(read_varint(&mut bytes)?)?;
        let len = read_varint(&mut bytes)?;
        end = start.checked_add(len)?;
        if start == 0 || len == 0 || end > page_count + 1 {
            return None;
        }
        pages.extend(start..end);
    }
    Some(pages)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_waits_for_its_last_reader() {
        let mut free = FreePages::new(5, BTreeSet::new());
        free.put(3, vec![2]);
        free.release(3);
        assert_eq!(free.allocate(), 6);
        free.release(4);
        assert_eq!(free.allocate(), 2);
        assert_eq!(free.allocate(), 7);
    }

    proptest! {
        #[test]
        fn sets_come_back(pages in prop::collection::btree_set(1u64..200, 0..100)) {
            let mut bytes = encode_pages(&pages);
            bytes.extend([0; 9]);
            prop_assert_eq!(decode_pages(&bytes, 200), Some(pages));
        }

        #[test]
        fn any_bytes_are_a_set_or_not(bytes: Vec<u8>) {
            let _pages = decode_pages(&bytes, 1000);
        }
    }
}
