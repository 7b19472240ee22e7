//! What many seeds came to: added up, told in words, told in JSON, and read from the JSON of a worker.

use std::time::Duration;

use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::{FAULTS, FaultCounts, RESULTS, Scenario, SeedReport, SiteCounts};

/// Every so manieth seed counts for the digest of traces.
pub(super) const DIGEST_STRIDE: u64 = 20;

/// Sums over seeds of one scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) seeds: u64,
    pub(super) committed: u64,
    /// Transactions that both oracles of isolation judged.
    pub(super) checked: u64,
    pub(super) disk_ops: u64,
    pub(super) steps: u64,
    pub(super) virtual_time: Duration,
    /// Real time, of all jobs together.
    pub(super) busy: Duration,
    pub(super) faults: FaultCounts,
    pub(super) sites: SiteCounts,
    /// Over the traces of some seeds, whatever their order.
    pub(super) digest: u64,
}

impl Totals {
    pub(super) fn add(&mut self, seed: u64, report: &SeedReport) {
        self.seeds += 1;
        self.committed += report.committed_count;
        self.checked += report.checked_count;
        self.disk_ops += report.disk_op_count;
        self.steps += report.step_count;
        self.virtual_time += report.virtual_time;
        self.faults.merge(&report.faults);
        self.sites.merge(&report.sites);
        if seed.is_multiple_of(DIGEST_STRIDE) {
            self.digest ^= xxh3_64_with_seed(&report.trace_hash.to_le_bytes(), seed);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.committed += other.committed;
        self.checked += other.checked;
        self.disk_ops += other.disk_ops;
        self.steps += other.steps;
        self.virtual_time += other.virtual_time;
        self.busy += other.busy;
        self.faults.merge(&other.faults);
        self.sites.merge(&other.sites);
        self.digest ^= other.digest;
    }

    /// Seeds a second, of one job.
    pub(super) fn rate(&self) -> f64 {
        self.seeds as f64 / self.busy.as_secs_f64().max(1e-9)
    }

    pub(super) fn print(&self, scenario: Scenario, has_failed: bool) {
        let checked = match self.checked {
            0 => String::new(),
            checked => format!(", {checked} transactions judged by both oracles"),
        };
        println!(
            "{}: {} seeds {}, {:.0} seeds/s per job, {} commits{checked}, {} disk operations, {:.0} s virtual",
            scenario.name(),
            self.seeds,
            if has_failed { "run" } else { "held" },
            self.rate(),
            self.committed,
            self.disk_ops,
            self.virtual_time.as_secs_f64(),
        );
    }

    pub(super) fn to_json(&self) -> Value {
        let faults: Map<String, Value> = FAULTS
            .iter()
            .chain(RESULTS)
            .map(|kind| ((*kind).to_owned(), self.faults.of(kind).into()))
            .collect();
        let sites: Map<String, Value> =
            self.sites.iter().map(|(site, count)| (site.to_owned(), count.into())).collect();
        json!({
            "seeds": self.seeds,
            "commits": self.committed,
            "judged_by_both_oracles": self.checked,
            "disk_operations": self.disk_ops,
            "yield_points": self.steps,
            "virtual_ms": self.virtual_time.as_millis() as u64,
            "busy_ms": self.busy.as_millis() as u64,
            "faults": faults,
            "sites": sites,
            "digest": format!("{:016x}", self.digest),
        })
    }

    /// What [`Totals::to_json`] wrote; `None` for anything else.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let number = |key: &str| value.get(key)?.as_u64();
        let mut faults = FaultCounts::default();
        for kind in FAULTS.iter().chain(RESULTS) {
            faults.add(kind, value.get("faults")?.get(kind)?.as_u64()?);
        }
        let mut sites = SiteCounts::default();
        for (site, count) in value.get("sites")?.as_object()? {
            sites.add(site, count.as_u64()?);
        }
        Some(Self {
            seeds: number("seeds")?,
            committed: number("commits")?,
            checked: number("judged_by_both_oracles")?,
            disk_ops: number("disk_operations")?,
            steps: number("yield_points")?,
            virtual_time: Duration::from_millis(number("virtual_ms")?),
            busy: Duration::from_millis(number("busy_ms")?),
            faults,
            sites,
            digest: u64::from_str_radix(value.get("digest")?.as_str()?, 16).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut faults = FaultCounts::default();
        faults.add("bit-rot", 3);
        let mut sites = SiteCounts::default();
        sites.add(crate::SITES[0], 8);
        let totals = Totals {
            seeds: 1,
            committed: 2,
            checked: 3,
            disk_ops: 4,
            steps: 5,
            virtual_time: Duration::from_millis(6),
            busy: Duration::from_millis(7),
            faults,
            sites,
            digest: u64::MAX,
        };
        let text = totals.to_json().to_string();
        let value = serde_json::from_str(&text).expect("JSON is JSON");
        assert_eq!(Totals::from_json(&value), Some(totals));
        assert_eq!(Totals::from_json(&json!({ "seeds": 1 })), None);
    }
}
