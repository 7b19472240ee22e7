//! A seed replays: the same trace in this process and in another.

use std::process::Command;

use driftdb_sim::{Scenario, SeedOptions, run_seed};

/// Set for the child, which prints traces instead of comparing.
const CHILD: &str = "DRIFTDB_SIM_REPLAY_CHILD";

fn traces() -> Vec<String> {
    let run = |scenario: Scenario, seed| {
        let report =
            run_seed(scenario, seed, &SeedOptions::default()).expect("no settings are fixed");
        assert_eq!(report.failure, None);
        format!("trace {} {seed} {:016x}", scenario.name(), report.trace_hash)
    };
    let scenarios = Scenario::ALL.into_iter();
    scenarios.flat_map(|scenario| (0..6).map(move |seed| run(scenario, seed))).collect()
}

#[test]
fn traces_are_equal_here_and_in_another_process() {
    let here = traces();
    if std::env::var_os(CHILD).is_some() {
        println!("\n{}", here.join("\n"));
        return;
    }
    assert_eq!(here, traces(), "in the same process");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "traces_are_equal_here_and_in_another_process", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stdout).into_owned();
    let there: Vec<&str> = printed.lines().filter(|line| line.starts_with("trace ")).collect();
    assert_eq!(here, there, "in another process");
}

/// On a disk that stayed full, the background task tried again at once, for ever.
#[test]
fn seeds_that_once_never_ended_do() {
    for seed in [1812, 2003, 2259] {
        let report = run_seed(Scenario::Feed, seed, &SeedOptions::default()).expect("no settings");
        assert_eq!(report.failure, None, "seed {seed}");
    }
}
