//! Latches over parking_lot, and over a simulation's kernel where one is installed.
#![expect(clippy::disallowed_types, reason = "this module is the substitute that the bans name")]

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::kernel::{self, Woken};

/// The address a fiber waits on: identity only, never read through.
fn address_of<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>().addr()
}

/// Mutual exclusion.
#[derive(Debug, Default)]
pub struct Mutex<T> {
    inner: parking_lot::Mutex<T>,
}

/// Exclusive access to what a [`Mutex`] protects.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    // None only while a condition variable has given the latch back.
    inner: Option<parking_lot::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    /// A latch around `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: parking_lot::Mutex::new(value) }
    }

    /// Waits for exclusive access.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let inner = match kernel::current() {
            None => self.inner.lock(),
            Some(kernel) => loop {
                if let Some(guard) = self.inner.try_lock() {
                    break guard;
                }
                kernel.wait(address_of(self), None);
            },
        };
        MutexGuard { mutex: self, inner: Some(inner) }
    }

    /// Exclusive access if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.inner.try_lock().map(|inner| MutexGuard { mutex: self, inner: Some(inner) })
    }

    /// The value, since nobody else can hold a reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Takes the value out.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T> MutexGuard<'_, T> {
    fn unlock(&mut self) {
        self.inner = None;
        if let Some(kernel) = kernel::current() {
            kernel.wake(address_of(self.mutex), 1);
        }
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

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.unlock();
    }
}

/// Waiting for a condition under a [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar {
    inner: parking_lot::Condvar,
    // A zero-sized condition variable would share its address with its neighbour.
    _address: u8,
}

impl Condvar {
    /// A condition that nobody waits for.
    pub const fn new() -> Self {
        Self { inner: parking_lot::Condvar::new(), _address: 0 }
    }

    /// Gives the latch back, waits for a notification, takes the latch again. May wake spuriously.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        match kernel::current() {
            None => {
                let inner = guard.inner.as_mut().expect("held by the caller");
                self.inner.wait(inner);
            }
            Some(kernel) => {
                guard.unlock();
                kernel.wait(address_of(self), None);
                guard.inner = guard.mutex.lock().inner.take();
            }
        }
    }

    /// As [`Condvar::wait`], for at most `timeout`; true if it was notified in time.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, timeout: Duration) -> bool {
        match kernel::current() {
            None => {
                let inner = guard.inner.as_mut().expect("held by the caller");
                !self.inner.wait_for(inner, timeout).timed_out()
            }
            Some(kernel) => {
                guard.unlock();
                let deadline = kernel.now().saturating_add(timeout);
                let woken = kernel.wait(address_of(self), Some(deadline));
                guard.inner = guard.mutex.lock().inner.take();
                woken == Woken::Notified
            }
        }
    }

    /// Wakes one waiter.
    pub fn notify_one(&self) {
        match kernel::current() {
            None => {
                self.inner.notify_one();
            }
            Some(kernel) => kernel.wake(address_of(self), 1),
        }
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        match kernel::current() {
            None => {
                self.inner.notify_all();
            }
            Some(kernel) => kernel.wake(address_of(self), usize::MAX),
        }
    }
}

/// Many readers or one writer.
#[derive(Debug, Default)]
pub struct RwLock<T> {
    inner: parking_lot::RwLock<T>,
}

/// Shared access to what a [`RwLock`] protects.
#[derive(Debug)]
pub struct RwLockReadGuard<'a, T> {
    lock: &'a RwLock<T>,
    inner: Option<parking_lot::RwLockReadGuard<'a, T>>,
}

/// Exclusive access to what a [`RwLock`] protects.
#[derive(Debug)]
pub struct RwLockWriteGuard<'a, T> {
    lock: &'a RwLock<T>,
    inner: Option<parking_lot::RwLockWriteGuard<'a, T>>,
}

impl<T> RwLock<T> {
    /// A latch around `value`.
    pub const fn new(value: T) -> Self {
        Self { inner: parking_lot::RwLock::new(value) }
    }

    /// Waits for shared access.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let inner = match kernel::current() {
            None => self.inner.read(),
            Some(kernel) => loop {
                if let Some(guard) = self.inner.try_read() {
                    break guard;
                }
                kernel.wait(address_of(self), None);
            },
        };
        RwLockReadGuard { lock: self, inner: Some(inner) }
    }

    /// Waits for exclusive access.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let inner = match kernel::current() {
            None => self.inner.write(),
            Some(kernel) => loop {
                if let Some(guard) = self.inner.try_write() {
                    break guard;
                }
                kernel.wait(address_of(self), None);
            },
        };
        RwLockWriteGuard { lock: self, inner: Some(inner) }
    }

    /// The value, since nobody else can hold a reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    fn wake_waiters(&self) {
        if let Some(kernel) = kernel::current() {
            // Readers and a writer may wait together; each tries again.
            kernel.wake(address_of(self), usize::MAX);
        }
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("held until dropped")
    }
}

impl<T> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.inner = None;
        self.lock.wake_waiters();
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("held until dropped")
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("held until dropped")
    }
}

impl<T> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.inner = None;
        self.lock.wake_waiters();
    }
}
