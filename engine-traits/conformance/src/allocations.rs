//! An allocator that counts, for tests of what allocates nothing.
//!
//! A test binary names it as its global allocator ([`crate::storage_costs`] does); [`during`] then counts the
//! allocations of one thread, whatever other tests do meanwhile.
#![expect(unsafe_code, reason = "an allocator that counts is the only way to see allocations")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a count for each thread.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that ends may free after its counter is gone.
    ALLOCATIONS.try_with(|count| count.set(count.get() + 1)).unwrap_or_default();
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System.alloc` with that layout, as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`; the caller's promise about `new_size` is passed on.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

/// Allocations of this thread during `work`.
///
/// # Panics
/// If the binary does not allocate through [`Counting`]: the count would always be zero.
pub fn during(work: impl FnOnce()) -> u64 {
    let start = ALLOCATIONS.with(Cell::get);
    drop(std::hint::black_box(Box::new(1u8)));
    let before = ALLOCATIONS.with(Cell::get);
    assert!(before > start, "the count does not count");
    work();
    ALLOCATIONS.with(Cell::get) - before
}
