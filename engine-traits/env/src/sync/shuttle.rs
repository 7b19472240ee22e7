//! Latches over shuttle, whose scheduler chooses who runs at each of them.
//!
//! There is no time under shuttle. A wait with a timeout lets others run for a drawn number of turns
//! and ends at a notification or when the turns are over, so both outcomes are tried. As its time always
//! passes in the end, a loop around such a wait goes on without a notification, and these schedules do
//! not find one missing from it; they do where a wait has no timeout.
//!
//! Invariant: every call comes from a task that a shuttle runner started.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};

const UNPOISONED: &str = "a panic ends the schedule";
/// The turns of others after which a timeout has passed for sure.
const MAX_TURNS: u32 = 8;

/// Mutual exclusion.
#[derive(Debug, Default)]
pub struct Mutex<T> {
    inner: shuttle::sync::Mutex<T>,
}

/// Exclusive access to what a [`Mutex`] protects.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    // None only while a condition variable has given the latch back.
    inner: Option<shuttle::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    /// A latch around `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: shuttle::sync::Mutex::new(value) }
    }

    /// Waits for exclusive access.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, inner: Some(self.inner.lock().expect(UNPOISONED)) }
    }

    /// Exclusive access if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.inner.try_lock().ok().map(|inner| MutexGuard { mutex: self, inner: Some(inner) })
    }

    /// The value, since nobody else can hold a reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().expect(UNPOISONED)
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.inner.into_inner().expect(UNPOISONED)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("held outside of a condition variable's wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("held outside of a condition variable's wait")
    }
}

/// Waiting for a condition under a [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar {
    inner: shuttle::sync::Condvar,
    /// Notifications so far, by which a wait with a timeout knows of them. It takes none away from
    /// the waits without: that one more may wake is allowed. Std's, for the latch orders the rest.
    notified: AtomicU64,
}

impl Condvar {
    /// A condition that nobody waits for.
    pub const fn new() -> Self {
        Self { inner: shuttle::sync::Condvar::new(), notified: AtomicU64::new(0) }
    }

    /// Gives the latch back, waits for a notification, takes the latch again. May wake spuriously.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.inner.take().expect("held by the caller");
        guard.inner = Some(self.inner.wait(held).expect(UNPOISONED));
    }

    /// Gives the latch back, lets others run, takes it again; whether there was a notification before
    /// a drawn time was up.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) -> bool {
        let before = self.notified.load(Ordering::Relaxed);
        guard.inner = None;
        let is_notified = (0..thread_rng().gen_range(1..=MAX_TURNS)).any(|_| {
            shuttle::thread::yield_now();
            self.notified.load(Ordering::Relaxed) != before
        });
        guard.inner = Some(guard.mutex.inner.lock().expect(UNPOISONED));
        is_notified
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.notified.fetch_add(1, Ordering::Relaxed);
        self.inner.notify_one();
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.notified.fetch_add(1, Ordering::Relaxed);
        self.inner.notify_all();
    }
}

/// Many readers or one writer.
#[derive(Debug, Default)]
pub struct RwLock<T> {
    inner: shuttle::sync::RwLock<T>,
}

/// Shared access to what a [`RwLock`] protects.
pub type RwLockReadGuard<'a, T> = shuttle::sync::RwLockReadGuard<'a, T>;

/// Exclusive access to what a [`RwLock`] protects.
pub type RwLockWriteGuard<'a, T> = shuttle::sync::RwLockWriteGuard<'a, T>;

impl<T> RwLock<T> {
    /// A latch around `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: shuttle::sync::RwLock::new(value) }
    }

    /// Waits for shared access.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.inner.read().expect(UNPOISONED)
    }

    /// Waits for exclusive access.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.inner.write().expect(UNPOISONED)
    }

    /// The value, since nobody else can hold a reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().expect(UNPOISONED)
    }
}

/// Lets others run first: for a task that waits for them.
pub(crate) fn yield_now() {
    shuttle::thread::yield_now();
}

/// Lets the scheduler choose anew, without prejudice: under priorities a yield would give up the task's.
pub(crate) fn switch() {
    let anything = shuttle::sync::atomic::AtomicBool::new(false);
    anything.store(true, Ordering::SeqCst);
}
