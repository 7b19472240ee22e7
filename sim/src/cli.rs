//! `driftdb sim`: run seeds, count, and print how to replay what failed.

mod spec;

use std::time::Duration;

use driftdb_env::Env;

use crate::bugs::{self, BUGS, ISOLATION_BUGS};
use crate::kernel::on_host_stack;
use crate::memory;
use crate::{FaultCounts, Scenario, SeedOptions, SeedReport, run_seed};

const USAGE: &str = "\
usage: driftdb sim [SCENARIO] [--seed N | --seeds COUNT] [--set KEY=VALUE]... [--bug NAME]
       driftdb sim --spec FILE [--permutation STEPS] [--accept] [--set KEY=VALUE]... [--bug NAME]

  SCENARIO         one of them, or several with commas between; all in turn if none is named
  --seed N         run one seed and print its trace hash
  --seeds COUNT    run seeds 0 to COUNT - 1 of each scenario (default 100)
  --first N        begin at seed N instead of 0
  --set KEY=VALUE  fix a setting that seeds otherwise draw, such as storage.engine=btree
  --bug NAME       plant a bug (builds with debug assertions only)
  --spec FILE      play an isolation spec and compare with expected/NAME.out beside it; with --set of
                   storage.engine, concurrency.control or sim.isolation only there, and print
  --permutation S  play only this order of steps, and print
  --accept         write expected/NAME.out

exit status: 0 all held, 1 a seed failed, 2 wrong usage";

struct Request {
    scenarios: Vec<Scenario>,
    first: u64,
    count: u64,
    is_single: bool,
    /// Where a fresh process takes the first scenario over.
    resume_at: Option<u64>,
    options: SeedOptions,
}

/// Runs the command line `driftdb sim ARGS…`; returns the exit status.
pub fn run(args: &[String]) -> i32 {
    let is_spec = |arg: &String| arg == "--spec" || arg.starts_with("--spec=");
    if args.iter().any(is_spec) {
        return on_host_stack(|| spec::run(args));
    }
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        let bugs: Vec<&str> = BUGS.iter().chain(ISOLATION_BUGS).copied().collect();
        println!("{USAGE}\n\nscenarios: {}\nbugs: {}", names().join(", "), bugs.join(", "));
        return 0;
    }
    match parse(args) {
        // Once for all seeds: each would map and unmap the host's stack anew.
        Ok(request) => on_host_stack(|| run_request(&request, args)),
        Err(what) => {
            eprintln!("driftdb sim: {what}\n\n{USAGE}\n\nscenarios: {}", names().join(", "));
            2
        }
    }
}

fn names() -> Vec<&'static str> {
    Scenario::ALL.into_iter().map(Scenario::name).collect()
}

fn parse(args: &[String]) -> Result<Request, String> {
    let mut request = Request {
        scenarios: Scenario::ALL.to_vec(),
        first: 0,
        count: 100,
        is_single: false,
        resume_at: None,
        options: SeedOptions::default(),
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let (flag, inline) = match arg.split_once('=') {
            Some((flag, value)) if arg.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let mut value = || {
            let next = inline.clone().or_else(|| args.next().cloned());
            next.ok_or_else(|| format!("{flag} needs a value"))
        };
        let number = |text: String| {
            text.parse::<u64>().map_err(|_| format!("{flag} needs a number, not \"{text}\""))
        };
        match flag {
            "--seed" => {
                request.first = number(value()?)?;
                request.count = 1;
                request.is_single = true;
            }
            "--seeds" => request.count = number(value()?)?,
            "--first" => request.first = number(value()?)?,
            "--set" => {
                let text = value()?;
                let (key, value) = text
                    .split_once('=')
                    .ok_or_else(|| format!("\"{text}\" is not of the form KEY=VALUE"))?;
                request.options.settings.push((key.trim().to_owned(), value.trim().to_owned()));
            }
            "--bug" => {
                let name = value()?;
                request.options.bug =
                    Some(bugs::bug(&name).ok_or_else(|| format!("no bug \"{name}\""))?);
                if !cfg!(debug_assertions) {
                    return Err("--bug has no effect in a release build".into());
                }
            }
            // Not in the usage: how a fresh process is told where to go on.
            "--resume-at" => request.resume_at = Some(number(value()?)?),
            name if !name.starts_with('-') => {
                let scenario = |name: &str| {
                    Scenario::of(name).ok_or_else(|| format!("no scenario \"{name}\""))
                };
                request.scenarios = name.split(',').map(scenario).collect::<Result<_, _>>()?;
            }
            flag => return Err(format!("no option \"{flag}\"")),
        }
    }
    // Before anything runs: a wrong setting is a wrong command line.
    crate::scenario::check_settings(&request.options)?;
    Ok(request)
}

impl Request {
    /// The arguments for a process that does the rest: from `seed` of `scenario` on.
    fn rest(&self, scenario: Scenario, seed: u64, end: u64) -> Vec<String> {
        let left = self.scenarios.iter().skip_while(|other| **other != scenario);
        let names: Vec<&str> = left.map(|scenario| scenario.name()).collect();
        let mut args = vec![
            names.join(","),
            format!("--first={}", self.first),
            format!("--seeds={}", end - self.first),
            format!("--resume-at={seed}"),
        ];
        args.extend(
            self.options.settings.iter().map(|(key, value)| format!("--set={key}={value}")),
        );
        args.extend(self.options.bug.map(|bug| format!("--bug={bug}")));
        args
    }
}

/// What many seeds came to.
#[derive(Default)]
struct Totals {
    seeds: u64,
    committed: u64,
    disk_ops: u64,
    virtual_time: Duration,
    faults: FaultCounts,
}

impl Totals {
    fn add(&mut self, report: &SeedReport) {
        self.seeds += 1;
        self.committed += report.committed_count;
        self.disk_ops += report.disk_op_count;
        self.virtual_time += report.virtual_time;
        self.faults.merge(&report.faults);
    }

    fn print(&self, scenario: Scenario, elapsed: Duration) {
        println!(
            "{}: {} seeds held, {:.0} seeds/s, {} commits, {} disk operations, {:.0} s virtual",
            scenario.name(),
            self.seeds,
            self.seeds as f64 / elapsed.as_secs_f64().max(1e-9),
            self.committed,
            self.disk_ops,
            self.virtual_time.as_secs_f64(),
        );
        println!("  faults: {}", self.faults);
    }
}

fn run_request(request: &Request, args: &[String]) -> i32 {
    let clock = Env::os();
    for (index, &scenario) in request.scenarios.iter().enumerate() {
        let start = clock.now();
        let mut said = start;
        let mut totals = Totals::default();
        // Only the first scenario may begin later: a fresh process takes over in its middle.
        let first = request.resume_at.filter(|_| index == 0).unwrap_or(request.first);
        let end = request.first.saturating_add(request.count);
        for seed in first..end {
            let report = match run_seed(scenario, seed, &request.options) {
                Ok(report) => report,
                Err(what) => {
                    eprintln!("driftdb sim: {what}");
                    return 2;
                }
            };
            if request.is_single {
                let (name, hash) = (scenario.name(), report.trace_hash);
                println!("{name} seed {seed}: trace {hash:016x}, {} steps", report.step_count);
            }
            if let Some(failure) = &report.failure {
                println!("{} seed {seed} FAILED: {failure}", scenario.name());
                println!("replay: {}", replay_command(scenario, seed, &request.options));
                return 1;
            }
            totals.add(&report);
            if memory::is_large() && seed + 1 < end {
                totals.print(scenario, clock.now() - start);
                println!("  (goes on in a fresh process)");
                let rest = request.rest(scenario, seed + 1, end);
                eprintln!("driftdb sim: {}", memory::start_afresh(args, &rest));
                return 2;
            }
            let now = clock.now();
            if now - said > Duration::from_secs(10) {
                said = now;
                totals.print(scenario, now - start);
            }
        }
        totals.print(scenario, clock.now() - start);
    }
    0
}

/// The command that runs the same seed again.
pub fn replay_command(scenario: Scenario, seed: u64, options: &SeedOptions) -> String {
    let mut command = format!("driftdb sim {} --seed {seed}", scenario.name());
    for (key, value) in &options.settings {
        // Levels of isolation have a space in their names.
        let quote = if value.contains(' ') { "'" } else { "" };
        command.push_str(&format!(" --set {quote}{key}={value}{quote}"));
    }
    if let Some(bug) = options.bug {
        command.push_str(&format!(" --bug {bug}"));
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(args: &str) -> i32 {
        run(&args.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_exit_status_says_how_it_went() {
        assert_eq!(status("ledger --seeds 3"), 0);
        assert_eq!(status("bank,list-append --seed=1 --set storage.engine=btree"), 0);
        assert_eq!(status("ledger --seeds 20 --bug wal.ack-before-sync"), 1);
        for wrong in [
            "nothing-of-that-name",
            "--sed 1",
            "--seed",
            "--seed x",
            "--seeds -1",
            "--set storage.engine",
            "--set storage.engine=floppy",
            "--set sim.clients=many",
            "--bug none",
            "--spec",
            "--spec nothing.spec",
            "--spec specs/g0.spec --permutation nothing",
            "--spec specs/g0.spec --seeds 3",
            "--spec specs/g0.spec --set storage.engine=floppy",
        ] {
            assert_eq!(status(wrong), 2, "{wrong}");
        }
    }

    #[test]
    fn a_spec_is_played_where_it_is_asked_for() {
        let place = "--set concurrency.control=ssi --set storage.engine=memory";
        assert_eq!(status(&format!("--spec specs/p4.spec {place}")), 0);
        assert_eq!(status(&format!("--spec specs/p4.spec --permutation=w1 {place}")), 0);
        let bug = "--bug mvcc.no-first-updater-check";
        assert_eq!(status(&format!("--spec specs/p4.spec {place} {bug}")), 1);
    }

    #[test]
    fn a_failure_names_the_command_that_replays_it() {
        let settings = vec![
            ("storage.engine".to_owned(), "lsm".to_owned()),
            ("sim.isolation".to_owned(), "read committed".to_owned()),
        ];
        let options = SeedOptions { settings, bug: None };
        assert_eq!(
            replay_command(Scenario::Bank, 17, &options),
            "driftdb sim bank --seed 17 --set storage.engine=lsm --set 'sim.isolation=read committed'"
        );
    }

    #[test]
    fn a_fresh_process_is_asked_for_the_rest() {
        let args = "bank,list-append --first 5 --seeds 10 --set storage.engine=lsm";
        let parsed = |args: &[String]| parse(args).expect("a right command line");
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let request = parsed(&args);
        let rest = parsed(&request.rest(Scenario::ListAppend, 9, 15));
        assert_eq!(rest.scenarios, [Scenario::ListAppend]);
        assert_eq!((rest.first, rest.count, rest.resume_at), (5, 10, Some(9)));
        assert_eq!(rest.options.settings, request.options.settings);
    }
}
