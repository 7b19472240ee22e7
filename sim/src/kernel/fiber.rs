//! Fibers: stacks that can be left, returned to, and abandoned. The only unsafe code of the simulator.
//!
//! A fiber runs on a stack of its own until it calls [`suspend`]; whoever resumed it goes on. A
//! fiber that is *abandoned* vanishes as a process does in a crash: no destructor runs, what it
//! owned on the heap leaks, its stack goes back to the pool.
//!
//! `stacker`, by which the SQL stack grows its stack on deep trees, knows one stack limit per OS
//! thread. [`on_host_stack`] sets that limit below all pooled stacks: inside a fiber `stacker` then
//! sees plenty of room and never switches to a stack of its own, which a kill would leak. So deep
//! recursion is not for the simulator; its guard pages stop it with a fault.
#![expect(
    unsafe_code,
    reason = "switching stacks: corosensei, 15 ns per switch (research/sim.md 2.2)"
)]

use std::cell::{Cell, RefCell};
use std::ptr;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

type Switch = Yielder<(), ()>;

/// Room for the SQL stack in a debug build. Virtual: pages that are never touched cost nothing.
const STACK_BYTES: usize = 2 << 20;

/// Stacks made before the host's, so that they lie above it.
const POOLED_STACKS: usize = 24;

/// Larger than any gap between earlier mappings, so that the system places it below them.
const HOST_STACK_BYTES: usize = 128 << 20;

thread_local! {
    /// Where the running fiber returns to when it suspends; null outside of fibers.
    static RETURN: Cell<*const Switch> = const { Cell::new(ptr::null()) };
    static POOL: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
    static ON_HOST_STACK: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body` so that `stacker` counts every pooled stack as roomy. Calls may nest.
pub(crate) fn on_host_stack<T>(body: impl FnOnce() -> T) -> T {
    if ON_HOST_STACK.replace(true) {
        return body();
    }
    POOL.with_borrow_mut(|pool| {
        while pool.len() < POOLED_STACKS {
            pool.push(new_stack());
        }
    });
    let result = stacker::grow(HOST_STACK_BYTES, body);
    ON_HOST_STACK.set(false);
    result
}

fn new_stack() -> DefaultStack {
    DefaultStack::new(STACK_BYTES).expect("the system has address space for another stack")
}

/// A computation with its own stack.
pub(crate) struct Fiber {
    coroutine: Coroutine<(), (), (), DefaultStack>,
    /// Its way back while it is suspended; null before it has started.
    way_back: *const Switch,
}

impl Fiber {
    /// A fiber that will run `body`, which must not panic.
    pub(crate) fn new(body: Box<dyn FnOnce()>) -> Self {
        let stack = POOL.with_borrow_mut(Vec::pop).unwrap_or_else(new_stack);
        let coroutine = Coroutine::with_stack(stack, move |way_back, ()| {
            RETURN.set(way_back);
            body();
        });
        Self { coroutine, way_back: ptr::null() }
    }

    /// Runs it until it suspends or ends; true if it has ended.
    pub(crate) fn resume(&mut self) -> bool {
        let outer = RETURN.replace(self.way_back);
        let result = self.coroutine.resume(());
        self.way_back = RETURN.replace(outer);
        matches!(result, CoroutineResult::Return(()))
    }

    /// Forgets it where it stands and takes its stack back.
    pub(crate) fn abandon(mut self) {
        // SAFETY: as a longjmp past the fiber's frames, which leaks what they own. Nothing outside of
        // them points into them: a node's fibers share through `Arc` only (`Env::spawn` takes
        // `'static` bodies), and all of them are abandoned together (`Scheduler::kill`).
        unsafe { self.coroutine.force_reset() };
        self.recycle();
    }

    /// Takes the stack of an ended fiber back.
    pub(crate) fn recycle(self) {
        let stack = self.coroutine.into_stack();
        POOL.with_borrow_mut(|pool| pool.push(stack));
    }
}

/// Leaves the running fiber; returns when it is resumed.
///
/// # Panics
/// Outside of a fiber.
pub(crate) fn suspend() {
    let way_back = RETURN.get();
    assert!(!way_back.is_null(), "only a fiber can wait");
    // SAFETY: `RETURN` is set by the running fiber itself when it starts, and by `resume` to what
    // that fiber had there; corosensei keeps the yielder in place until the fiber ends.
    unsafe { &*way_back }.suspend(());
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_fiber_goes_on_where_it_left() {
        let steps = Rc::new(RefCell::new(Vec::new()));
        let theirs = Rc::clone(&steps);
        let mut fiber = Fiber::new(Box::new(move || {
            theirs.borrow_mut().push(1);
            suspend();
            theirs.borrow_mut().push(3);
        }));
        assert!(!fiber.resume());
        steps.borrow_mut().push(2);
        assert!(fiber.resume());
        assert_eq!(*steps.borrow(), [1, 2, 3]);
        fiber.recycle();
    }

    #[test]
    fn an_abandoned_fiber_runs_no_destructor() {
        struct Loud(Rc<Cell<bool>>);
        impl Drop for Loud {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let dropped = Rc::new(Cell::new(false));
        let loud = Loud(Rc::clone(&dropped));
        let mut fiber = Fiber::new(Box::new(move || {
            let _loud = loud;
            suspend();
        }));
        assert!(!fiber.resume());
        fiber.abandon();
        assert!(!dropped.get());
    }

    #[test]
    fn stacker_sees_room_inside_fibers() {
        on_host_stack(|| {
            let room = Rc::new(Cell::new(0));
            let theirs = Rc::clone(&room);
            let mut fiber = Fiber::new(Box::new(move || {
                theirs.set(stacker::remaining_stack().unwrap_or(0));
            }));
            assert!(fiber.resume());
            fiber.recycle();
            assert!(room.get() >= STACK_BYTES / 2, "stacker sees {} bytes", room.get());
        });
    }
}
