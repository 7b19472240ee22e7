//! Plans that were kept: with its planted bug each fails as it says, and without it holds.

use std::path::Path;

use driftdb_sim::{Script, run_seed, write_script};

/// What a plan that somebody is to read may have.
const MOST_OPERATIONS: usize = 20;
const MOST_FAULTS: usize = 3;

fn files() -> Vec<(String, Script)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let env = driftdb_env::Env::os();
    let mut entries = env.disk().list(&directory).expect("plans are kept there");
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let read = |name: &String| {
        let text = std::fs::read_to_string(directory.join(name)).expect("a plan is text");
        let script = Script::parse(&text).unwrap_or_else(|what| panic!("{name}: {what}"));
        (name.clone(), script)
    };
    entries.iter().map(|entry| read(&entry.name)).collect()
}

#[test]
fn each_fails_with_its_bug_and_holds_without() {
    let files = files();
    assert!(files.len() >= 4, "only {}", files.len());
    for (name, script) in files {
        let run = |options| run_seed(script.scenario, script.seed, options).unwrap().failure;
        let failure = run(&script.options).unwrap_or_else(|| panic!("{name} holds"));
        assert!(script.is_shown_by(&failure), "{name} fails otherwise: {failure}");
        if script.options.bug.is_some() {
            assert_eq!(run(&script.without_bug()), None, "{name} fails without its bug");
        }
    }
}

#[test]
fn each_is_small_enough_to_read() {
    for (name, script) in files() {
        let count = |key: &str| {
            let of = |(fixed, value): &(String, String)| {
                (fixed == key).then(|| value.split_whitespace().count())
            };
            script.options.settings.iter().find_map(of).unwrap_or(usize::MAX)
        };
        assert!(count("sim.operations") <= MOST_OPERATIONS, "{name}");
        assert!(count("sim.faults") <= MOST_FAULTS, "{name}");
    }
}

#[test]
fn what_is_written_reads_as_the_same_plan() {
    for (name, script) in files() {
        let text = write_script(script.scenario, script.seed, &script.options).unwrap();
        let again = Script::parse(&text).unwrap();
        assert_eq!(again.fails, script.fails, "{name}");
        let trace = |options| run_seed(script.scenario, script.seed, options).unwrap().trace_hash;
        assert_eq!(trace(&again.options), trace(&script.options), "{name}");
    }
}
