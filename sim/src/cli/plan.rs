//! `driftdb sim --plan FILE`: plays a kept plan. And `--keep DIRECTORY`, which keeps one.

use std::path::{Path, PathBuf};

use super::print_steps;
use crate::script::{Script, write_script};
use crate::{Scenario, SeedOptions, run_seed};

/// Runs the command line; returns the exit status.
pub(super) fn run(args: &[String]) -> i32 {
    let file = args.iter().enumerate().find_map(|(index, arg)| match arg.as_str() {
        "--plan" => args.get(index + 1).cloned(),
        arg => arg.strip_prefix("--plan=").map(str::to_owned),
    });
    let is_clean = args.iter().any(|arg| arg == "--clean");
    let rest = args.len() - usize::from(is_clean);
    let played = match file {
        Some(file) if rest == 2 || (rest == 1 && args.iter().any(|a| a.contains('='))) => {
            play(Path::new(&file), is_clean)
        }
        _ => Err("--plan needs a file, and goes with --clean only".to_owned()),
    };
    match played {
        Ok(status) => status,
        Err(what) => {
            eprintln!("driftdb sim: {what}");
            2
        }
    }
}

fn play(file: &Path, is_clean: bool) -> Result<i32, String> {
    let text = std::fs::read_to_string(file).map_err(|error| at(file, &error.to_string()))?;
    let script = Script::parse(&text).map_err(|what| at(file, &what))?;
    let options = if is_clean { script.without_bug() } else { script.options.clone() };
    if options.bug.is_some() && !cfg!(debug_assertions) {
        return Err("its bug has no effect in a release build (--clean leaves it out)".into());
    }
    print_steps(script.scenario, script.seed, &options)?;
    let report = run_seed(script.scenario, script.seed, &options)?;
    let (name, seed) = (script.scenario.name(), script.seed);
    let Some(failure) = report.failure else {
        println!("{name} seed {seed}: held, trace {:016x}", report.trace_hash);
        return Ok(0);
    };
    let expected = if script.is_shown_by(&failure) { "as it is to" } else { "in another way" };
    println!("{name} seed {seed} FAILED, {expected}: {failure}");
    Ok(1)
}

fn at(file: &Path, what: &str) -> String {
    format!("{}: {what}", file.display())
}

/// Keeps a failing seed as a file in a directory; its path.
pub(super) fn keep(
    directory: &Path,
    scenario: Scenario,
    seed: u64,
    options: &SeedOptions,
) -> Result<PathBuf, String> {
    let text = write_script(scenario, seed, options)?;
    let bug = options.bug.map(|bug| format!("-{bug}")).unwrap_or_default();
    let file = directory.join(format!("{}-{seed}{bug}.toml", scenario.name()));
    write(&file, &text).map_err(|error| at(&file, &error.to_string()))?;
    Ok(file)
}

#[expect(clippy::disallowed_methods, reason = "a file for people, outside of any simulation")]
pub(super) fn write(file: &Path, text: &str) -> std::io::Result<()> {
    std::fs::write(file, text)
}
