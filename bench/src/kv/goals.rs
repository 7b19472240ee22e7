//! What we set out to reach, and whether we did: CPU ratios, each judged on the median over the rounds.

use super::results::{Cell, Results, Spread};

/// One goal with its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) is: String,
    pub(crate) bound: String,
    pub(crate) verdict: &'static str,
}

/// Ours, the peer, the workloads, and the most that the CPU ratio may be.
const BESIDE_PEERS: &[(&str, &str, &[&str], f64)] = &[
    ("lsm", "rocksdb", &["fillrandom", "overwrite", "readmissing"], 1.2),
    ("lsm", "rocksdb", &["readrandom", "seekrandom", "scan"], 1.0),
    (
        "lsm",
        "fjall",
        &["fillrandom", "overwrite", "readrandom", "readmissing", "seekrandom", "scan"],
        0.8,
    ),
    ("btree", "lmdb", &["readrandom", "seekrandom"], 1.6),
    ("btree", "lmdb", &["scan"], 2.0),
    ("btree", "redb", &["readrandom", "seekrandom"], 0.6),
    ("btree", "redb", &["fillrandom"], 0.5),
];

/// Figures of the history set: what, the figure and its versions, over which, and the most.
const OF_HISTORY: &[(&str, (&str, u64), (&str, u64), f64)] = &[
    ("newest get, 100 versions / 1", ("get newest", 100), ("get newest", 1), 1.15),
    ("AS OF at median age / newest, 100 versions", ("get median", 100), ("get newest", 100), 2.0),
    ("writes that keep history / that drop it", ("write keeping", 10), ("write dropping", 10), 1.1),
    ("disk of 10 versions / user bytes", ("disk", 10), ("user bytes", 10), 0.6),
    ("open after a crash / reading the log", ("open", 1), ("read log", 1), 1.5),
];

/// All goals for which there are measurements.
pub(crate) fn judge(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    for size in ["inside", "beyond"] {
        for &(own, peer, workloads, most) in BESIDE_PEERS {
            for workload in workloads {
                let ratio = results.ratio(size, workload, [own, peer], Cell::cpu_ns);
                let what = format!("{own} {workload} / {peer}, CPU, data {size}");
                goals.extend(ratio.map(|ratio| at_most(what, ratio, most)));
            }
        }
    }
    for own in ["lsm", "btree"] {
        goals.extend(commits(results, own));
        for &(what, top, bottom, most) in OF_HISTORY {
            let tops = results.history_of(own, top.0, top.1);
            let bottoms = results.history_of(own, bottom.0, bottom.1);
            let ratios = tops.iter().zip(&bottoms).map(|(top, bottom)| top / bottom).collect();
            let ratio = Spread::of(ratios);
            goals.extend(ratio.map(|ratio| at_most(format!("{own}: {what}"), ratio, most)));
        }
    }
    goals
}

/// Commits are stated in wall time: it is the device's, unless the machine is busy.
fn commits(results: &Results, own: &str) -> Vec<Goal> {
    let p50 = |c: &Cell| c.sample.latencies.value_at_quantile(0.5) as f64;
    let rate = |c: &Cell| 1e9 / c.sample.wall_ns();
    let one = || results.of("inside", "commit-1", own);
    let many = || results.of("inside", "commit-16", own);
    let to_probe = one().zip(&results.probes).map(|(c, p)| p50(c) / p.sync_p50_ns.max(1) as f64);
    let scaling = many().zip(one()).map(|(many, one)| rate(many) / rate(one));
    let mut goals = Vec::new();
    if let Some(ratio) = Spread::of(to_probe.collect()) {
        goals.push(at_most(format!("{own} commit-1 p50 / raw write+fdatasync p50"), ratio, 1.15));
    }
    if let Some(ratio) = Spread::of(scaling.collect()) {
        let what = format!("{own} commits/s of 16 clients / 1 client");
        goals.push(goal(what, ratio, "≥ 8.00".into(), ratio.median >= 8.0));
    }
    if results.is_busy() {
        for goal in &mut goals {
            goal.verdict = "withheld: busy machine";
        }
    }
    goals
}

fn at_most(what: String, ratio: Spread, most: f64) -> Goal {
    goal(what, ratio, format!("≤ {most:.2}"), ratio.median <= most)
}

fn goal(what: String, ratio: Spread, bound: String, is_met: bool) -> Goal {
    Goal { what, is: ratio.to_string(), bound, verdict: if is_met { "met" } else { "missed" } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::results::HistoryCell;

    #[test]
    fn a_goal_is_met_or_missed_by_its_median() {
        let mut results = Results::default();
        let mut add = |name, versions, value| {
            let (store, unit) = ("lsm", "ns");
            let cell = HistoryCell { store, name, versions, round: 0, operations: 1, unit, value };
            results.history.push(cell);
        };
        add("get newest", 1, 100.0);
        add("get newest", 100, 110.0);
        add("get median", 100, 330.0);
        let goals = judge(&results);
        let verdicts: Vec<_> = goals.iter().map(|goal| (&goal.is[..4], goal.verdict)).collect();
        assert_eq!(verdicts, [("1.10", "met"), ("3.00", "missed")]);
    }
}
