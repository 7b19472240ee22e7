//! One run of one workload on one store, in numbers.
//!
//! CPU time is the process's (user and system, background threads included) by the kernel's own
//! account, to the nanosecond; bytes written are the process's too, as the kernel counts `write`
//! calls — LMDB writes through them as well, since its map is read-only.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Latency over time is gathered in steps of this length.
const BUCKET: Duration = Duration::from_millis(100);
/// A run longer than this many steps keeps its rest in the last one.
const BUCKET_COUNT_MAX: usize = 3000;
/// Slowest latency that is told apart.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) operations: u64,
    /// Operations that found their row, or rows seen: must agree between stores.
    pub(crate) found: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) latencies: Histogram<u64>,
    pub(crate) buckets: Vec<Bucket>,
    /// Keys and values that the workload wrote.
    pub(crate) user_bytes: u64,
    /// What the process wrote to files meanwhile.
    pub(crate) written_bytes: u64,
    /// Length of the store's files afterwards.
    pub(crate) disk_bytes: u64,
}

/// Operations of one step of time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bucket {
    pub(crate) operations: u64,
    pub(crate) sum_ns: u64,
    pub(crate) max_ns: u64,
}

impl Sample {
    /// CPU nanoseconds of one operation.
    pub(crate) fn cpu_ns(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.operations.max(1) as f64
    }

    /// Wall nanoseconds of one operation.
    pub(crate) fn wall_ns(&self) -> f64 {
        self.wall.as_nanos() as f64 / self.operations.max(1) as f64
    }

    pub(crate) fn to_json(&self, driver_cpu_ns: f64) -> Value {
        let quantile = |q: f64| self.latencies.value_at_quantile(q);
        let curve: Vec<Value> = [
            0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999, 1.0,
        ]
        .iter()
        .map(|&q| json!([q, quantile(q)]))
        .collect();
        let buckets: Vec<Value> = self
            .buckets
            .iter()
            .map(|b| json!([b.operations, b.sum_ns / b.operations.max(1), b.max_ns]))
            .collect();
        json!({
            "operations": self.operations, "found": self.found,
            "wall_ns": self.wall_ns(), "cpu_ns": (self.cpu_ns() - driver_cpu_ns).max(0.0),
            "driver_cpu_ns": driver_cpu_ns,
            "p50_ns": quantile(0.5), "p99_ns": quantile(0.99), "p999_ns": quantile(0.999),
            "max_ns": self.latencies.max(), "percentiles": curve, "over_time": buckets,
            "user_bytes": self.user_bytes, "written_bytes": self.written_bytes,
            "disk_bytes": self.disk_bytes,
        })
    }
}

/// Latencies of one thread.
#[derive(Debug)]
pub(crate) struct Recorder {
    begun: Instant,
    latencies: Histogram<u64>,
    buckets: Vec<Bucket>,
    pub(crate) operations: u64,
    pub(crate) found: u64,
    pub(crate) user_bytes: u64,
}

impl Recorder {
    pub(crate) fn new(begun: Instant) -> Self {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX_NS, 2)
            .expect("two digits between fixed bounds");
        Self { begun, latencies, buckets: Vec::new(), operations: 0, found: 0, user_bytes: 0 }
    }

    /// Does `operation`, which counts as `count`, and notes how long it took.
    pub(crate) fn time(
        &mut self,
        count: u64,
        operation: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let start = Instant::now();
        operation(self)?;
        let nanos = start.elapsed().as_nanos() as u64;
        self.operations += count;
        self.latencies.saturating_record(nanos);
        let since = start.duration_since(self.begun).as_nanos() / BUCKET.as_nanos();
        let index = (since as usize).min(BUCKET_COUNT_MAX - 1);
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, Bucket::default());
        }
        let bucket = &mut self.buckets[index];
        bucket.operations += 1;
        bucket.sum_ns += nanos;
        bucket.max_ns = bucket.max_ns.max(nanos);
        Ok(())
    }

    fn merge(&mut self, other: &Self) {
        self.latencies.add(&other.latencies).expect("the same bounds");
        self.operations += other.operations;
        self.found += other.found;
        self.user_bytes += other.user_bytes;
        let len = self.buckets.len().max(other.buckets.len());
        self.buckets.resize(len, Bucket::default());
        for (own, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            own.operations += theirs.operations;
            own.sum_ns += theirs.sum_ns;
            own.max_ns = own.max_ns.max(theirs.max_ns);
        }
    }
}

/// A running measurement.
#[derive(Debug)]
pub(crate) struct Measurement {
    begun: Instant,
    cpu: Duration,
    written_bytes: u64,
}

impl Measurement {
    pub(crate) fn begin() -> Self {
        Self { written_bytes: written_bytes(), cpu: cpu_time(), begun: Instant::now() }
    }

    pub(crate) fn begun(&self) -> Instant {
        self.begun
    }

    /// Ends it. `wall` ends with the last operation; CPU time includes the background work since.
    pub(crate) fn end(self, wall: Duration, threads: Vec<Recorder>, dir: &Path) -> Sample {
        let cpu = cpu_time() - self.cpu;
        let written_bytes = written_bytes() - self.written_bytes;
        let mut all = Recorder::new(self.begun);
        for thread in &threads {
            all.merge(thread);
        }
        Sample {
            operations: all.operations,
            found: all.found,
            wall,
            cpu,
            latencies: all.latencies,
            buckets: all.buckets,
            user_bytes: all.user_bytes,
            written_bytes,
            disk_bytes: disk_bytes(dir),
        }
    }
}

/// CPU time of this process so far, user and system, all threads.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Waits, half a minute at most, until no thread of this process has work: stores do not all say when
/// theirs is done.
#[expect(clippy::disallowed_methods, reason = "other stores' threads are not in the simulator")]
pub(crate) fn wait_until_quiet() {
    const LOOK: Duration = Duration::from_millis(10);
    for _ in 0..3000 {
        let before = cpu_time();
        std::thread::sleep(LOOK);
        if cpu_time() - before < LOOK / 20 {
            return;
        }
    }
}

/// Bytes that this process has given to `write` and its kind; 0 where the kernel does not say.
fn written_bytes() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// What the files below `dir` occupy, in bytes: blocks, not length, since some are sparse.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    #[expect(clippy::disallowed_methods, reason = "looks at other stores' files from outside")]
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_added_up() {
        let measurement = Measurement::begin();
        let threads = (0..2)
            .map(|_| {
                let mut recorder = Recorder::new(measurement.begun());
                recorder
                    .time(3, |recorder| {
                        recorder.found += 2;
                        Ok(())
                    })
                    .unwrap();
                recorder
            })
            .collect();
        let sample = measurement.end(Duration::from_secs(1), threads, Path::new("/nowhere"));
        assert_eq!((sample.operations, sample.found, sample.latencies.len()), (6, 4, 2));
        assert!(sample.cpu > Duration::ZERO);
    }
}
