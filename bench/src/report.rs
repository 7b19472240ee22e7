//! Samples to a table: medians, and ratios to PostgreSQL taken round by round.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::pgbench::{Level, Plan};

/// One row of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) workload: &'static str,
    pub(crate) clients: u32,
    pub(crate) level: Level,
}

/// One run of one system.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    pub(crate) tps: f64,
    pub(crate) latency_ms: f64,
    /// CPU time of the server per transaction.
    pub(crate) cpu_micros: f64,
    /// How often a transaction was run again.
    pub(crate) retries: f64,
}

/// All samples, in the order of their rounds.
#[derive(Debug, Default)]
pub(crate) struct Report {
    cells: Vec<Cell>,
    systems: Vec<String>,
    samples: BTreeMap<(Cell, String), Vec<Sample>>,
}

/// The peer that ratios are taken to.
const PEER: &str = "postgres";

impl Report {
    pub(crate) fn add(&mut self, cell: Cell, system: &str, sample: Sample) {
        if !self.cells.contains(&cell) {
            self.cells.push(cell);
        }
        if !self.systems.iter().any(|known| known == system) {
            self.systems.push(system.to_owned());
        }
        self.samples.entry((cell, system.to_owned())).or_default().push(sample);
    }

    fn of(&self, cell: Cell, system: &str) -> &[Sample] {
        self.samples.get(&(cell, system.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The system's throughput over the peer's, within each round.
    fn ratios(&self, cell: Cell, system: &str) -> Vec<f64> {
        let pairs = self.of(cell, system).iter().zip(self.of(cell, PEER));
        pairs.map(|(own, peer)| own.tps / peer.tps).collect()
    }

    pub(crate) fn to_table(&self, plan: &Plan) -> String {
        let mut out = String::new();
        let seconds = plan.time.as_secs();
        writeln!(
            out,
            "\npgbench scale {}, mode {}, {} rounds of {seconds} s; ratio = tps / postgres' tps of the \
             same round, median [least, most]\n",
            plan.scale,
            plan.mode.name(),
            plan.rounds
        )
        .expect("writing to a string");
        out.push_str(
            "| workload | clients | level | system | tps | latency ms | CPU µs/txn | retries | ratio |\n",
        );
        out.push_str("| --- | ---: | --- | --- | ---: | ---: | ---: | ---: | --- |\n");
        for &cell in &self.cells {
            for system in &self.systems {
                let of = |figure: fn(&Sample) -> f64| {
                    median(&self.of(cell, system).iter().map(figure).collect::<Vec<_>>())
                };
                writeln!(
                    out,
                    "| {} | {} | {} | {system} | {:.0} | {:.3} | {:.1} | {:.3} | {} |",
                    cell.workload,
                    cell.clients,
                    cell.level.name(),
                    of(|s| s.tps),
                    of(|s| s.latency_ms),
                    of(|s| s.cpu_micros),
                    of(|s| s.retries),
                    spread(&self.ratios(cell, system)),
                )
                .expect("writing to a string");
            }
        }
        out
    }

    pub(crate) fn to_json(&self, plan: &Plan) -> Value {
        let rows: Vec<Value> = self
            .cells
            .iter()
            .flat_map(|&cell| self.systems.iter().map(move |system| (cell, system)))
            .map(|(cell, system)| {
                let samples: Vec<Value> = self
                    .of(cell, system)
                    .iter()
                    .map(|s| {
                        json!({
                            "tps": s.tps, "latency_ms": s.latency_ms, "cpu_us": s.cpu_micros,
                            "retries": s.retries,
                        })
                    })
                    .collect();
                json!({
                    "workload": cell.workload, "clients": cell.clients,
                    "level": cell.level.name(), "system": system,
                    "samples": samples, "ratios": self.ratios(cell, system),
                })
            })
            .collect();
        json!({"scale": plan.scale, "mode": plan.mode.name(), "rows": rows})
    }
}

/// The middle value, within 0.1 %.
fn median(values: &[f64]) -> f64 {
    /// Figures are counted in thousandths.
    const UNIT: f64 = 1000.0;
    /// Far above any figure.
    const MOST: u64 = 1 << 50;
    let mut histogram =
        Histogram::<u64>::new_with_max(MOST, 3).expect("three digits up to a fixed maximum");
    for value in values {
        histogram.saturating_record((value * UNIT) as u64);
    }
    histogram.value_at_quantile(0.5) as f64 / UNIT
}

fn spread(ratios: &[f64]) -> String {
    if ratios.is_empty() {
        return "-".into();
    }
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    format!("{:.2} [{least:.2}, {most:.2}]", median(ratios))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let cell = Cell { workload: "tpcb", clients: 4, level: Level::ReadCommitted };
        let mut report = Report::default();
        // The machine halves its speed in the second round; the ratio does not notice.
        for (peer, own) in [(1000.0, 1500.0), (500.0, 750.0)] {
            for (system, tps) in [(PEER, peer), ("driftdb lsm", own)] {
                report.add(
                    cell,
                    system,
                    Sample { tps, latency_ms: 1.0, cpu_micros: 10.0, retries: 0.0 },
                );
            }
        }
        assert_eq!(report.ratios(cell, "driftdb lsm"), [1.5, 1.5]);
        let table = report.to_table(&Plan::default());
        // Of two samples the median is the lower; three digits are kept.
        assert!(table.contains("| tpcb | 4 | read committed | driftdb lsm | 750 |"), "{table}");
        assert!(table.contains("| 1.50 [1.50, 1.50] |"), "{table}");
    }
}
