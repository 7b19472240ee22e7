//! The seam to the simulator's scheduler.
//!
//! Primitives in [`crate::sync`] are futex-shaped: try, else wait on an address. Under a kernel they
//! wait here, otherwise on parking_lot. A kernel belongs to one OS thread, on which it runs all of
//! its fibers; [`current`] finds it. A process that never simulates pays one relaxed load.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// Somebody called [`Kernel::wake`] on the address.
    Notified,
    /// The deadline passed first.
    TimedOut,
}

/// A deterministic scheduler of fibers. All calls come from a fiber it runs.
pub trait Kernel {
    /// Parks the calling fiber until `address` is woken or virtual time reaches `deadline`.
    fn wait(&self, address: usize, deadline: Option<Duration>) -> Woken;

    /// Makes up to `count` fibers that wait on `address` runnable.
    fn wake(&self, address: usize, count: usize);

    /// A place where another fiber may be chosen, time may pass, or the node may be killed.
    fn yield_point(&self, site: &'static str);

    /// Virtual monotonic time.
    fn now(&self) -> Duration;

    /// Whether the product is to make mischief at this place, this time ([`crate::sites`]).
    fn buggify(&self, site: &'static str) -> bool;
}

static EVER_INSTALLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn Kernel>>> = const { RefCell::new(None) };
}

/// Makes `kernel` the scheduler of this OS thread, or removes it; returns the one before.
pub fn install(kernel: Option<Rc<dyn Kernel>>) -> Option<Rc<dyn Kernel>> {
    EVER_INSTALLED.store(true, Ordering::Relaxed);
    CURRENT.with(|current| current.replace(kernel))
}

/// Whether this process has simulations. One relaxed load.
#[inline]
pub fn is_simulated() -> bool {
    EVER_INSTALLED.load(Ordering::Relaxed)
}

/// The kernel that runs the calling fiber, if this thread is a simulation.
#[inline]
pub fn current() -> Option<Rc<dyn Kernel>> {
    if is_simulated() { current_slow() } else { None }
}

#[cold]
fn current_slow() -> Option<Rc<dyn Kernel>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Gives others a chance to run: a scheduling point in a simulation, a hint to the OS otherwise.
pub fn yield_now(site: &'static str) {
    match current() {
        Some(kernel) => kernel.yield_point(site),
        #[cfg(shuttle)]
        None => crate::sync::yield_now(),
        #[cfg(not(shuttle))]
        #[expect(clippy::disallowed_methods, reason = "env is the substitute that the ban names")]
        None => std::thread::yield_now(),
    }
}

/// A scheduling point for the simulator and for shuttle: free of cost in production.
#[inline]
pub fn preemption_point(site: &'static str) {
    if let Some(kernel) = current() {
        kernel.yield_point(site);
    }
    #[cfg(shuttle)]
    crate::sync::switch();
}
