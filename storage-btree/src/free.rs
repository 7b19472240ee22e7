//! Free pages: which may be written now, and which must wait.
//!
//! A page that the tree let go in epoch *e* may be reused once the checkpoint that ended *e* is
//! durable (until then the root on disk needs it) and no snapshot of epoch *e* or earlier lives
//! (it may still read the page from disk).

use std::collections::BTreeSet;

use driftdb_storage::{read_varint, write_varint};

/// The file is cut when this fraction of it is free at its end: to grow again costs more than to use
/// pages again.
const TAIL_FRACTION: u64 = 8;

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

    /// Pages of the file that are not to be written now.
    pub(crate) fn used_pages(&self) -> u64 {
        self.page_count - self.ready.len() as u64
    }

    /// A page to write: the lowest free one, else a new one at the end of the file.
    pub(crate) fn allocate(&mut self) -> u64 {
        self.ready.pop_first().unwrap_or_else(|| {
            self.page_count += 1;
            self.page_count
        })
    }

    /// Takes the free pages at the end off the file if they are many, and gives them. Nobody reads a
    /// page that is ready, and the durable root does not reach it.
    pub(crate) fn cut_tail(&mut self) -> Vec<u64> {
        let ends = self.ready.iter().rev().zip((0..=self.page_count).rev());
        let tail: Vec<u64> = ends.map_while(|(&a, b)| (a == b).then_some(a)).collect();
        if (tail.len() as u64) < self.page_count / TAIL_FRACTION + 1 {
            return Vec::new();
        }
        for page in &tail {
            self.ready.remove(page);
        }
        self.page_count -= tail.len() as u64;
        tail
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

    /// Whether pages that were let go may still be read by somebody of epoch `oldest_reader`.
    pub(crate) fn waits_for(&self, oldest_reader: u64) -> bool {
        self.waiting.iter().any(|(epoch, _)| *epoch >= oldest_reader)
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

    #[test]
    fn a_free_end_is_cut_off_and_comes_back_after_a_failure() {
        let mut free = FreePages::new(20, (2..=4).chain(11..=20).collect());
        let tail = free.cut_tail();
        assert_eq!(tail.len(), 10);
        assert_eq!((free.page_count(), free.used_pages()), (10, 7));
        assert!(free.cut_tail().is_empty());
        let mut allocated = tail;
        allocated.extend((0..4).map(|_| free.allocate()));
        assert_eq!(free.page_count(), 11);
        free.take_back(&allocated, 20);
        assert_eq!((free.page_count(), free.used_pages()), (20, 7));
        assert_eq!(free.allocate(), 2);
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
