//! `driftdb sim --ablate`: the matrix of planted bugs and what it takes to find them.

use std::path::{Path, PathBuf};

use super::plan::write;
use crate::ablation::{Ablated, ablate, bugs_found_by_seeds, matrix};
use crate::report::ablation_report;

/// Seeds in which a bug must be found.
const MOST_SEEDS: u64 = 300;

/// Runs the command line; returns the exit status.
pub(super) fn run(args: &[String]) -> i32 {
    if !cfg!(debug_assertions) {
        eprintln!("driftdb sim: planted bugs have no effect in a release build");
        return 2;
    }
    match parse(args).and_then(|(bugs, file)| told(&bugs, file.as_deref())) {
        Ok(()) => 0,
        Err(what) => {
            eprintln!("driftdb sim: {what}");
            2
        }
    }
}

/// The bugs that are asked for, all if none is named, and where the page goes.
fn parse(args: &[String]) -> Result<(Vec<&'static str>, Option<PathBuf>), String> {
    let mut bugs = bugs_found_by_seeds();
    let (mut wanted, mut file) = (Vec::new(), None);
    let mut args = args.iter().filter(|arg| *arg != "--ablate");
    while let Some(arg) = args.next() {
        if arg == "--report" {
            file = Some(PathBuf::from(args.next().ok_or("--report takes a file")?));
        } else if let Some(bug) = bugs.iter().find(|bug| *bug == arg) {
            wanted.push(*bug);
        } else {
            return Err(format!("--ablate takes bugs that seeds find, not \"{arg}\""));
        }
    }
    bugs.retain(|bug| wanted.is_empty() || wanted.contains(bug));
    Ok((bugs, file))
}

fn told(bugs: &[&'static str], file: Option<&Path>) -> Result<(), String> {
    let mut rows: Vec<Ablated> = Vec::new();
    for bug in bugs {
        let row = ablate(bug, MOST_SEEDS)?;
        eprintln!(
            "{bug}: seed {:?}, needs {:?}, seen by {:?}, by nobody but {:?}",
            row.found_by, row.needs, row.seen_by, row.only_by
        );
        rows.push(row);
    }
    print!("{}", matrix(&rows));
    if let Some(file) = file {
        let text = ablation_report(&rows);
        write(file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}
