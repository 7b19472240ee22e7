//! The handle through which the core reaches the outside.

use std::sync::Arc;
use std::time::Duration;

use crate::os::OsWorld;
use crate::sync::{Condvar, Mutex};
use crate::{Disk, IoOptions, Network, Rng, kernel};

/// What a world must provide; implemented by the operating system and by the simulator.
pub trait World: Send + Sync {
    /// The files.
    fn disk(&self) -> &dyn Disk;

    /// Messages to and from other nodes.
    fn network(&self) -> &dyn Network;

    /// Monotonic time since an arbitrary start.
    fn now(&self) -> Duration;

    /// Wall-clock time since 1970-01-01 UTC. May jump either way: only `mvcc`'s hybrid clock and
    /// SQL's `clock_timestamp` read it.
    fn wall(&self) -> Duration;

    /// The seed from which all random streams of this world derive.
    fn seed(&self) -> u64;

    /// Starts `body` as a task of its own.
    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>);

    /// Lets the calling task rest.
    fn sleep(&self, duration: Duration);
}

/// The outside world. Cheap to clone; every component keeps one.
#[derive(Clone)]
pub struct Env {
    world: Arc<dyn World>,
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}

impl Env {
    /// The operating system.
    pub fn os() -> Self {
        Self::os_with(IoOptions::default())
    }

    /// The operating system, its disk reached in these ways.
    pub fn os_with(options: IoOptions) -> Self {
        Self::over(Arc::new(OsWorld::new(options)))
    }

    /// Another world: the simulator's.
    pub fn over(world: Arc<dyn World>) -> Self {
        Self { world }
    }

    /// The files.
    pub fn disk(&self) -> &dyn Disk {
        self.world.disk()
    }

    /// Messages to and from other nodes.
    pub fn network(&self) -> &dyn Network {
        self.world.network()
    }

    /// Monotonic time since an arbitrary start.
    pub fn now(&self) -> Duration {
        self.world.now()
    }

    /// Wall-clock time since 1970-01-01 UTC; may jump.
    pub fn wall(&self) -> Duration {
        self.world.wall()
    }

    /// An independent random stream for one purpose.
    pub fn rng(&self, stream: &str) -> Rng {
        Rng::stream(self.world.seed(), stream)
    }

    /// Lets the calling task rest.
    pub fn sleep(&self, duration: Duration) {
        self.world.sleep(duration);
    }

    /// Starts a task: a thread in production, a fiber in a simulation.
    pub fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'static) -> Task {
        let done = Arc::new((Mutex::new(false), Condvar::new()));
        let finished = Finished(Arc::clone(&done));
        self.world.spawn(
            name,
            Box::new(move || {
                // Also runs when `body` panics, so that nobody waits for ever.
                let _finished = finished;
                kernel::preemption_point("task start");
                body();
            }),
        );
        Task { done }
    }
}

struct Finished(Arc<(Mutex<bool>, Condvar)>);

impl Drop for Finished {
    fn drop(&mut self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }
}

/// A started task. Dropping the handle lets the task run on.
#[derive(Debug)]
pub struct Task {
    done: Arc<(Mutex<bool>, Condvar)>,
}

impl Task {
    /// Waits until the task has ended, normally or by a panic.
    pub fn join(self) {
        let mut done = self.done.0.lock();
        while !*done {
            self.done.1.wait(&mut done);
        }
    }
}
