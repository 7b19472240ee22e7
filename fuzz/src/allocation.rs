//! An allocator that refuses what no honest length asks for.
//!
//! libFuzzer's own limit hangs on a sanitizer, and memory that is reserved but never touched does not
//! show in what a process uses: without this, a length of 4 GiB that a damaged page claims would pass.
#![expect(unsafe_code, reason = "an allocator is unsafe by its interface; it only adds a check")]

use std::alloc::{GlobalAlloc, Layout, System};

/// No input is near this, nor anything that an engine with tiny options makes of it.
const ALLOCATION_MAX_BYTES: usize = 64 << 20;

struct Limited;

#[global_allocator]
static LIMITED: Limited = Limited;

fn check(size: usize) {
    if size > ALLOCATION_MAX_BYTES {
        // A panic could be caught, and would allocate itself.
        eprintln!("panicked at an allocation of {size} bytes");
        std::process::abort();
    }
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        // SAFETY: the caller keeps the same contract.
        unsafe { System.realloc(ptr, layout, size) }
    }
}
