//! What the machine gives at this moment, beside what the stores make of it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::data::mix;
use super::measure::cpu_time;

/// Above this a sync waits for other work than its own, and wall time says nothing of a store.
const BUSY_SYNC_NS: u64 = 1_000_000;
/// Slowest sync that is told apart.
const LATENCY_MAX_NS: u64 = 60_000_000_000;
/// Runnable threads per core above which the machine is busy.
const BUSY_LOAD: f64 = 0.75;

/// One look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    /// 4 KiB written over zeroes and synced.
    pub(crate) sync_p50_ns: u64,
    /// The same in CPU time.
    pub(crate) sync_cpu_ns: f64,
    /// Copying within memory.
    pub(crate) memcpy_gib_s: f64,
    /// A load whose address the load before it gave, out of 64 MiB.
    pub(crate) load_ns: f64,
    /// Threads that want to run, by the minute.
    pub(crate) load_average: f64,
}

impl Probe {
    /// Looks. Takes about a second when the machine is idle.
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        let (sync_p50_ns, sync_cpu_ns) = sync(dir)?;
        Ok(Self {
            sync_p50_ns,
            sync_cpu_ns,
            memcpy_gib_s: memcpy_gib_s(),
            load_ns: dependent_load_ns(),
            load_average: load_average(),
        })
    }

    /// Whether wall time is to be distrusted. The load average counts the benchmark itself, too: one
    /// thread of it is allowed for.
    pub(crate) fn is_busy(&self) -> bool {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        self.sync_p50_ns > BUSY_SYNC_NS || self.load_average > cores * BUSY_LOAD + 1.0
    }

    pub(crate) fn to_json(self) -> Value {
        json!({
            "sync_p50_ns": self.sync_p50_ns, "sync_cpu_ns": self.sync_cpu_ns,
            "memcpy_gib_s": self.memcpy_gib_s, "dependent_load_ns": self.load_ns,
            "load_average": self.load_average, "is_busy": self.is_busy(),
        })
    }
}

fn sync(dir: &Path) -> Result<(u64, f64)> {
    const COUNT: u64 = 300;
    const PAGE: usize = 4096;
    let path = dir.join("probe");
    let file: File = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    file.write_all_at(&vec![0; PAGE * COUNT as usize], 0)?;
    file.sync_all()?;
    let page = [0x5a; PAGE];
    // Bounds are given: a histogram that sizes itself clamps what is recorded "saturating" to nothing.
    let mut latencies = Histogram::<u64>::new_with_bounds(1, LATENCY_MAX_NS, 2)?;
    let cpu = cpu_time();
    for index in 0..COUNT {
        let start = Instant::now();
        file.write_all_at(&page, index * PAGE as u64)?;
        file.sync_data()?;
        latencies.saturating_record(start.elapsed().as_nanos() as u64);
    }
    let cpu_ns = (cpu_time() - cpu).as_nanos() as f64 / COUNT as f64;
    std::fs::remove_file(&path)?;
    Ok((latencies.value_at_quantile(0.5), cpu_ns))
}

fn memcpy_gib_s() -> f64 {
    const BYTES: usize = 64 << 20;
    let from = vec![1u8; BYTES];
    let mut to = vec![0u8; BYTES];
    let start = Instant::now();
    for _ in 0..4 {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&to);
    }
    4.0 * BYTES as f64 / (1u64 << 30) as f64 / start.elapsed().as_secs_f64()
}

fn dependent_load_ns() -> f64 {
    const COUNT: usize = 8 << 20;
    const LOADS: u32 = 1_000_000;
    let table: Vec<u64> = (0..COUNT as u64).map(mix).collect();
    let mut at = 0;
    let start = Instant::now();
    for _ in 0..LOADS {
        at = table[at as usize % COUNT];
    }
    std::hint::black_box(at);
    start.elapsed().as_nanos() as f64 / f64::from(LOADS)
}

/// The minute's load average; 0 where the kernel does not say.
fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_and_sync_takes_at_least_a_system_call() {
        let dir = tempfile::tempdir().unwrap();
        let (p50_ns, cpu_ns) = sync(dir.path()).unwrap();
        assert!(p50_ns > 200, "{p50_ns}");
        assert!(cpu_ns > 200.0, "{cpu_ns}");
    }

    #[test]
    fn a_slow_sync_or_a_long_queue_is_a_busy_machine() {
        let idle = Probe {
            sync_p50_ns: 100_000,
            sync_cpu_ns: 1.0,
            memcpy_gib_s: 1.0,
            load_ns: 1.0,
            load_average: 0.0,
        };
        assert!(!idle.is_busy());
        assert!(Probe { sync_p50_ns: 1_000_001, ..idle }.is_busy());
        assert!(Probe { load_average: 1e6, ..idle }.is_busy());
    }
}
