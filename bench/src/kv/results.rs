//! Samples to ratios, a table and JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Plan;
use super::goals;
use super::measure::Sample;
use super::probe::Probe;

/// One workload on one store in one round.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) size: &'static str,
    pub(crate) workload: &'static str,
    pub(crate) store: &'static str,
    pub(crate) round: usize,
    pub(crate) driver_cpu_ns: f64,
    pub(crate) sample: Sample,
}

impl Cell {
    /// CPU nanoseconds of an operation, without the driver's own.
    pub(crate) fn cpu_ns(&self) -> f64 {
        (self.sample.cpu_ns() - self.driver_cpu_ns).max(0.1)
    }
}

/// One figure of the history set, which has no peers.
#[derive(Debug, Clone)]
pub(crate) struct HistoryCell {
    pub(crate) store: &'static str,
    pub(crate) name: &'static str,
    pub(crate) versions: u64,
    pub(crate) round: usize,
    pub(crate) operations: u64,
    /// What `value` counts.
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
}

/// Everything measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) probes: Vec<Probe>,
    pub(crate) cells: Vec<Cell>,
    pub(crate) history: Vec<HistoryCell>,
    /// Size, round, store, figures of its own.
    pub(crate) figures: Vec<(&'static str, usize, &'static str, Vec<(String, u64)>)>,
}

/// A ratio over the rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of the rounds' values; `None` without any.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            (values[middle - 1] + values[middle]) / 2.0
        } else {
            values[middle]
        };
        Some(Self { median, least, most })
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} [{:.2}, {:.2}]", self.median, self.least, self.most)
    }
}

impl Results {
    /// The cells of a workload on a store, by round.
    pub(crate) fn of<'a>(
        &'a self,
        size: &'a str,
        workload: &'a str,
        store: &'a str,
    ) -> impl Iterator<Item = &'a Cell> {
        self.cells
            .iter()
            .filter(move |c| c.size == size && c.workload == workload && c.store == store)
    }

    /// Ratio of a figure between two stores, taken inside each round.
    pub(crate) fn ratio(
        &self,
        size: &str,
        workload: &str,
        [own, peer]: [&str; 2],
        figure: fn(&Cell) -> f64,
    ) -> Option<Spread> {
        let pairs = self.of(size, workload, own).zip(self.of(size, workload, peer));
        Spread::of(pairs.map(|(own, peer)| figure(own) / figure(peer)).collect())
    }

    /// The values of a figure of the history set, by round.
    pub(crate) fn history_of(&self, store: &str, name: &str, versions: u64) -> Vec<f64> {
        let is_it = |c: &&HistoryCell| c.store == store && c.name == name && c.versions == versions;
        self.history.iter().filter(is_it).map(|c| c.value).collect()
    }

    /// Whether wall time is withheld.
    pub(crate) fn is_busy(&self) -> bool {
        self.probes.iter().any(Probe::is_busy)
    }

    fn combinations(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut all = Vec::new();
        for cell in &self.cells {
            let one = (cell.size, cell.workload, cell.store);
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all
    }

    /// For the terminal, in Markdown.
    pub(crate) fn to_table(&self) -> String {
        let mut out = String::new();
        self.write_table(&mut out).expect("writing to a string");
        out
    }

    fn write_table(&self, out: &mut String) -> std::fmt::Result {
        for probe in &self.probes {
            writeln!(
                out,
                "probe: 4 KiB write+fdatasync {:.0} µs (CPU {:.0}), memcpy {:.1} GiB/s, dependent load \
                 {:.0} ns, load average {:.1}",
                probe.sync_p50_ns as f64 / 1e3,
                probe.sync_cpu_ns / 1e3,
                probe.memcpy_gib_s,
                probe.load_ns,
                probe.load_average,
            )?;
        }
        if self.is_busy() {
            writeln!(out, "The machine was busy: wall time is shown, not judged.")?;
        }
        writeln!(
            out,
            "\n| data | workload | store | ops/s | CPU µs/op | p50 µs | p99 µs | write ampl. | disk MiB \
             | CPU: lsm / it | CPU: btree / it |"
        )?;
        writeln!(out, "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |")?;
        for (size, workload, store) in self.combinations() {
            let of = |figure: fn(&Cell) -> f64| {
                let values = self.of(size, workload, store).map(figure).collect();
                Spread::of(values).map_or(0.0, |spread| spread.median)
            };
            let against = |own: &str| {
                let ratio = self.ratio(size, workload, [own, store], Cell::cpu_ns);
                ratio.filter(|_| own != store).map_or_else(|| "-".into(), |r| r.to_string())
            };
            writeln!(
                out,
                "| {size} | {workload} | {store} | {:.0} | {:.2} | {:.1} | {:.1} | {:.2} | {:.1} | {} | {} |",
                of(|c| 1e9 / c.sample.wall_ns()),
                of(Cell::cpu_ns) / 1e3,
                of(|c| c.sample.latencies.value_at_quantile(0.5) as f64) / 1e3,
                of(|c| c.sample.latencies.value_at_quantile(0.99) as f64) / 1e3,
                of(|c| c.sample.written_bytes as f64 / c.sample.user_bytes.max(1) as f64)
                    * of(|c| f64::from(u8::from(c.sample.user_bytes > 0))),
                of(|c| c.sample.disk_bytes as f64) / f64::from(1 << 20),
                against("lsm"),
                against("btree"),
            )?;
        }
        self.write_history(out)?;
        writeln!(out, "\n| goal | is | bound | verdict |\n| --- | --- | --- | --- |")?;
        for goal in goals::judge(self) {
            writeln!(out, "| {} | {} | {} | {} |", goal.what, goal.is, goal.bound, goal.verdict)?;
        }
        Ok(())
    }

    fn write_history(&self, out: &mut String) -> std::fmt::Result {
        writeln!(
            out,
            "\n| store | history | versions | value | unit |\n| --- | --- | ---: | --- | --- |"
        )?;
        let mut seen = Vec::new();
        for cell in &self.history {
            let one = (cell.store, cell.name, cell.versions);
            if seen.contains(&one) {
                continue;
            }
            seen.push(one);
            let values = self.history_of(cell.store, cell.name, cell.versions);
            if let Some(spread) = Spread::of(values) {
                let (store, name, versions) = one;
                writeln!(out, "| {store} | {name} | {versions} | {spread} | {} |", cell.unit)?;
            }
        }
        Ok(())
    }

    /// Everything.
    pub(crate) fn to_json(&self, plan: &Plan) -> Value {
        let cells: Vec<Value> = self
            .cells
            .iter()
            .map(|cell| {
                let mut value = cell.sample.to_json(cell.driver_cpu_ns);
                value["size"] = cell.size.into();
                value["workload"] = cell.workload.into();
                value["store"] = cell.store.into();
                value["round"] = cell.round.into();
                value
            })
            .collect();
        let history: Vec<Value> = self
            .history
            .iter()
            .map(|c| {
                json!({"store": c.store, "name": c.name, "versions": c.versions, "round": c.round,
                    "operations": c.operations, "unit": c.unit, "value": c.value})
            })
            .collect();
        let figures: Vec<Value> = self
            .figures
            .iter()
            .map(|(size, round, store, figures)| {
                let figures: serde_json::Map<String, Value> =
                    figures.iter().map(|(name, value)| (name.clone(), (*value).into())).collect();
                json!({"size": size, "round": round, "store": store, "figures": figures})
            })
            .collect();
        let goals: Vec<Value> = goals::judge(self)
            .iter()
            .map(|g| json!({"what": g.what, "is": g.is, "bound": g.bound, "verdict": g.verdict}))
            .collect();
        json!({
            "settings": {
                "rows": plan.rows, "value_bytes": plan.value_bytes, "operations": plan.operations,
                "rounds": plan.rounds, "seed": plan.seed, "compressed": plan.is_compressed,
                "write_buffer_bytes": plan.write_buffer_bytes,
                "caches": plan.caches.iter().map(|(n, b)| json!([n, b])).collect::<Vec<_>>(),
            },
            "machine": machine(),
            "is_busy": self.is_busy(),
            "probes": self.probes.iter().map(|probe| probe.to_json()).collect::<Vec<_>>(),
            "cells": cells, "history": history, "figures": figures, "goals": goals,
        })
    }
}

/// Processor, cores and kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{}, {cores} cores, Linux {}",
        model.trim_start_matches([' ', '\t', ':']),
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_the_ends() {
        let spread = Spread::of(vec![3.0, 1.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(Spread::of(vec![1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
