//! Latches over shuttle, whose scheduler chooses who runs at each of them.
//!
//! There is no time under shuttle: a wait with a timeout is a yield with the latch given back, after
//! which the caller is told that its time was up. A loop around such a wait polls, so these schedules
//! do not find a notification missing from it; they do where a wait has no timeout.
//!
//! Invariant: every call comes from a task that a shuttle runner started.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

const UNPOISONED: &str = "a panic ends the schedule";

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
}

impl Condvar {
    /// A condition that nobody waits for.
    pub const fn new() -> Self {
        Self { inner: shuttle::sync::Condvar::new() }
    }

    /// Gives the latch back, waits for a notification, takes the latch again. May wake spuriously.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.inner.take().expect("held by the caller");
        guard.inner = Some(self.inner.wait(held).expect(UNPOISONED));
    }

    /// Gives the latch back, lets others run, takes it again; false, since the time was up.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) -> bool {
        guard.inner = None;
        shuttle::thread::yield_now();
        guard.inner = Some(guard.mutex.inner.lock().expect(UNPOISONED));
        false
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        self.inner.notify_one();
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
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

/// Lets the scheduler choose again.
pub(crate) fn yield_now() {
    shuttle::thread::yield_now();
}
