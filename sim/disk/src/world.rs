//! A world for tests of one component: the virtual disk, a clock that each look advances, and real
//! threads. The simulator has its own world, with fibers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use driftdb_env::{Disk, Env, Network, NoNetwork, World};

use crate::SimDisk;

/// 2024-01-01 00:00 UTC.
const WALL_START: Duration = Duration::from_secs(1_704_067_200);

/// A virtual disk and a virtual clock. Deterministic as long as the test uses one thread.
#[derive(Debug)]
pub struct SimWorld {
    disk: SimDisk,
    seed: u64,
    now_ns: AtomicU64,
}

impl SimWorld {
    /// A world over `disk`, with its own random streams.
    pub fn new(disk: SimDisk, seed: u64) -> Self {
        Self { disk, seed, now_ns: AtomicU64::new(0) }
    }

    fn advance(&self, by: Duration) -> Duration {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX / 2);
        Duration::from_nanos(self.now_ns.fetch_add(by, Ordering::SeqCst) + by)
    }
}

impl World for SimWorld {
    fn disk(&self) -> &dyn Disk {
        &self.disk
    }

    fn network(&self) -> &dyn Network {
        &NoNetwork
    }

    fn now(&self) -> Duration {
        self.advance(Duration::from_micros(1))
    }

    fn wall(&self) -> Duration {
        WALL_START + self.now()
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) {
        driftdb_env::sync::start_thread(name, body);
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
        driftdb_env::yield_now("sleep");
    }
}

/// An environment over `disk`, for tests of one component.
pub fn sim_env(disk: &SimDisk, seed: u64) -> Env {
    Env::over(Arc::new(SimWorld::new(disk.clone(), seed)))
}
