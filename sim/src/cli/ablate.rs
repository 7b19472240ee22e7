//! `driftdb sim --ablate`: the matrix of planted bugs and what it takes to find them.

use crate::ablation::{bugs_found_by_seeds, matrix};

/// Seeds in which a bug must be found.
const MOST_SEEDS: u64 = 300;

/// Runs the command line; returns the exit status.
pub(super) fn run(args: &[String]) -> i32 {
    if !cfg!(debug_assertions) {
        eprintln!("driftdb sim: planted bugs have no effect in a release build");
        return 2;
    }
    let mut bugs = bugs_found_by_seeds();
    let mut wanted: Vec<&str> = Vec::new();
    for arg in args.iter().filter(|arg| *arg != "--ablate") {
        match bugs.iter().find(|bug| *bug == arg) {
            Some(bug) => wanted.push(bug),
            None => {
                eprintln!("driftdb sim: --ablate takes bugs that seeds find, not \"{arg}\"");
                return 2;
            }
        }
    }
    bugs.retain(|bug| wanted.is_empty() || wanted.contains(bug));
    let told = matrix(&bugs, MOST_SEEDS, |row| {
        eprintln!("{}: seed {:?}, needs {:?}", row.bug, row.found_by, row.needs);
    });
    match told {
        Ok(text) => {
            print!("{text}");
            0
        }
        Err(what) => {
            eprintln!("driftdb sim: {what}");
            2
        }
    }
}
