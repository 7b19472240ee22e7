//! The world as a node's code sees it.

use std::time::Duration;

use driftdb_env::kernel::Kernel;
use driftdb_env::{Disk, World};
use driftdb_sim_disk::SimDisk;

use super::NodeId;
use super::sim::current;

/// 2024-01-01 00:00 UTC.
const WALL_START: Duration = Duration::from_secs(1_704_067_200);

/// One life of a node: its disk, its clock, its randomness.
#[derive(Debug)]
pub struct SimNodeWorld {
    node: NodeId,
    disk: SimDisk,
    seed: u64,
    wall_start: Duration,
}

impl SimNodeWorld {
    /// A life on `disk`, with random streams from `seed`, whose wall clock is ahead of virtual time
    /// by `ahead` beyond the start of 2024.
    pub fn new(node: NodeId, disk: SimDisk, seed: u64, ahead: Duration) -> Self {
        Self { node, disk, seed, wall_start: WALL_START + ahead }
    }
}

impl World for SimNodeWorld {
    fn disk(&self) -> &dyn Disk {
        &self.disk
    }

    fn now(&self) -> Duration {
        current().now()
    }

    fn wall(&self) -> Duration {
        self.wall_start + current().now()
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn spawn(&self, name: &str, body: Box<dyn FnOnce() + Send>) {
        current().spawn(self.node, name, body);
    }

    fn sleep(&self, duration: Duration) {
        current().sleep(duration);
    }
}
