//! Latches and condition variables for both worlds.
//!
//! In production these are parking_lot's. Under a simulation's kernel each is "try, else wait on my
//! address", so that the kernel knows exactly who is blocked on what. Latches are for short
//! exclusion inside a component; a transaction's claims on data are *locks* and live in `mvcc`.
//!
//! A build with `--cfg shuttle` has shuttle's instead, which try random schedules (`CONTRIBUTING.md`).

pub mod atomic;
#[cfg(not(shuttle))]
mod latch;
#[cfg(shuttle)]
mod shuttle;

#[cfg(not(shuttle))]
pub use latch::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(shuttle)]
pub use shuttle::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(shuttle)]
pub(crate) use shuttle::{switch, yield_now};

/// Starts a thread that nobody joins: for a [`crate::World`] whose tasks are threads.
pub fn start_thread(name: &str, body: Box<dyn FnOnce() + Send>) {
    #[cfg(shuttle)]
    let builder = ::shuttle::thread::Builder::new();
    #[cfg(not(shuttle))]
    let builder = std::thread::Builder::new();
    builder.name(name.to_owned()).spawn(body).expect("the system can start a thread");
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::Env;

    #[test]
    fn a_waiter_sees_what_the_notifier_wrote() {
        let env = Env::os();
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let task = env.spawn("notifier", move || {
            *theirs.0.lock() = 7;
            theirs.1.notify_all();
        });
        let mut guard = shared.0.lock();
        while *guard == 0 {
            shared.1.wait(&mut guard);
        }
        assert_eq!(*guard, 7);
        drop(guard);
        task.join();
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let latch = Mutex::new(());
        let mut guard = latch.lock();
        assert!(!Condvar::new().wait_for(&mut guard, Duration::from_millis(1)));
    }
}
