//! The world as a node's code sees it.

use std::sync::Arc;
use std::time::Duration;

use driftdb_env::kernel::Kernel;
use driftdb_env::{Disk, Network, World};
use driftdb_sim_disk::SimDisk;

use super::NodeId;
use super::sim::current;

/// 2024-01-01 00:00 UTC.
const WALL_START: Duration = Duration::from_secs(1_704_067_200);

/// The wall clock of one life, against virtual time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WallClock {
    /// How far ahead it is at first.
    pub ahead: Duration,
    /// How fast it is, in millionths; slow if negative.
    pub drift_ppm: i64,
    /// When it is set anew, in virtual time since the life began.
    pub set_after: Option<Duration>,
    /// By how many nanoseconds it is set ahead then; back if negative.
    pub set_by_ns: i64,
}

impl WallClock {
    /// What it shows, beyond its start, at a virtual time of a life that began at `boot`.
    fn reading(&self, boot: Duration, now: Duration) -> Duration {
        let lived = now.saturating_sub(boot);
        let lived_ns = i64::try_from(lived.as_nanos()).unwrap_or(i64::MAX);
        let mut error_ns = (lived_ns / 1_000_000).saturating_mul(self.drift_ppm);
        if self.is_set_anew(lived) {
            error_ns = error_ns.saturating_add(self.set_by_ns);
        }
        let error = Duration::from_nanos(error_ns.unsigned_abs());
        let right = now + self.ahead;
        if error_ns < 0 { right.saturating_sub(error) } else { right.saturating_add(error) }
    }

    fn is_set_anew(&self, lived: Duration) -> bool {
        self.set_after.is_some_and(|after| lived >= after)
    }

    /// Whether it has been set anew in a life that lasted so long.
    pub fn was_set(&self, lived: Duration) -> bool {
        self.set_by_ns != 0 && self.is_set_anew(lived)
    }
}

/// One life of a node: its disk, its network, its clock, its randomness.
pub struct SimNodeWorld {
    node: NodeId,
    disk: SimDisk,
    network: Arc<dyn Network>,
    seed: u64,
    boot: Duration,
    wall: WallClock,
}

impl SimNodeWorld {
    /// A life on `disk` that begins now, with random streams from `seed`. Wall clocks begin with 2024.
    pub fn new(node: NodeId, disk: SimDisk, seed: u64, wall: WallClock) -> Self {
        let network = current().network().of(node);
        Self { node, disk, network, seed, boot: current().now(), wall }
    }
}

impl std::fmt::Debug for SimNodeWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimNodeWorld({:?})", self.node)
    }
}

impl World for SimNodeWorld {
    fn disk(&self) -> &dyn Disk {
        &self.disk
    }

    fn network(&self) -> &dyn Network {
        &*self.network
    }

    fn now(&self) -> Duration {
        current().now()
    }

    fn wall(&self) -> Duration {
        WALL_START + self.wall.reading(self.boot, current().now())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_drift_and_are_set() {
        let seconds = Duration::from_secs;
        let right = WallClock { ahead: seconds(3), ..WallClock::default() };
        assert_eq!(right.reading(seconds(10), seconds(15)), seconds(18));
        let fast = WallClock { drift_ppm: 500, ..right };
        assert_eq!(fast.reading(seconds(10), seconds(14)), seconds(17) + Duration::from_millis(2));
        let set_by_ns = -1_000_000_000;
        let set = WallClock { set_after: Some(seconds(2)), set_by_ns, ..right };
        assert_eq!(set.reading(seconds(10), seconds(11)), seconds(14));
        assert_eq!(set.reading(seconds(10), seconds(12)), seconds(14));
        assert!(!set.was_set(seconds(1)) && set.was_set(seconds(2)));
    }
}
