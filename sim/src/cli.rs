//! `driftdb sim`: run seeds, count, and print how to replay what failed.

mod ablate;
mod campaign;
mod plan;
mod request;
mod scenario_file;
mod spec;
mod sum;
mod totals;
mod watchdog;

use std::iter::repeat;
use std::path::Path;

use serde_json::{Value, json};

use crate::bugs::{BUGS, CLIENT_BUGS, ISOLATION_BUGS, NETWORK_BUGS};
use crate::kernel::on_host_stack;
use crate::report::campaign_report;
use crate::scenario::run_recorded;
use crate::script::{clipped, operations};
use crate::{FAULTS, SITES, Scenario, SeedOptions, plan_text, run_seed, shrink};
use campaign::{Campaign, Chunk, run_here, told};
use request::{Request, names, parse};
use watchdog::Watchdog;

const USAGE: &str = "\
Runs the database in a world that is made up: virtual time, a virtual disk, and every fault in the book. One
number, the seed, decides settings, schedule, workload and faults, so a failure is found again by its seed.

usage: driftdb sim [SCENARIO] [--seeds COUNT | --time TIME | --seed N] [--jobs N] [--set KEY=VALUE]...
       driftdb sim --plan FILE [--clean]
       driftdb sim --ablate [BUG]... [--report FILE]
       driftdb sim --sum FILE... [--least FIGURE=N]...
       driftdb sim --spec FILE [--permutation STEPS] [--accept] [--set KEY=VALUE]... [--bug NAME]

  SCENARIO         one of them, or several with commas between; all if none is named
  --scenario FILE  what to run, fix and draw, from a file such as sim/scenarios/damage.toml
  --seeds COUNT    run seeds 0 to COUNT - 1 of each scenario (default 100)
  --first N        begin at seed N instead of 0
  --time TIME      run as many seeds as fit in so long (90s, 15m, 3h), of each scenario in turn
  --seed N         run one seed and print its trace hash
  --jobs N         in so many processes at a time (default 1)
  --set KEY=VALUE  fix a setting that seeds otherwise draw, such as storage.engine=btree; one of several values if | is between them
  --shrink         leave out whatever a failing seed does not need: operations, faults, preemptions;
                   print the plan that is left
  --report FILE    write a page (HTML) of the campaign and of the seed that failed, shrunk with --shrink
  --keep DIRECTORY keep a failing seed, shrunk, as a file there
  --plan FILE      play such a file; with --clean without the planted bug that it names
  --recheck        run every 20th seed again in another process: its trace must be the same
  --all-faults     a kind of fault that never struck is a failure
  --all-sites      a place of the product that no seed came to is a failure
  --json           print one JSON document instead of text
  --bug NAME       plant a bug (builds with debug assertions only)
  --ablate         for each planted bug, the faults and the oracle that it takes to find it, as a table
  --sum FILE...    add up what --json printed of several campaigns; fail where a figure (seeds, faults,
                   kinds, judged, rechecked, sites) is less than it must be
  --spec FILE      play an isolation spec and compare with expected/NAME.out beside it; with --set of
                   storage.engine, concurrency.control or sim.isolation only there, and print
  --permutation S  play only this order of steps, and print
  --accept         write expected/NAME.out

examples:
  driftdb sim --time 5m --jobs 2                       a little of everything
  driftdb sim bank --seeds 2000 --set storage.engine=lsm
  driftdb sim isolation --set concurrency.control=ssi --set sim.isolation=serializable
  driftdb sim ledger --seed 13                         what a failure says under \"replay\"
  driftdb sim --spec sim/specs/p4.spec                 lost updates, in every order of steps

exit status: 0 all held, 1 a seed failed, 2 wrong usage";

/// Runs the command line `driftdb sim ARGS…`; returns the exit status.
pub fn run(args: &[String]) -> i32 {
    if args.iter().any(|arg| arg == "--ablate") {
        return on_host_stack(|| ablate::run(args));
    }
    if args.first().is_some_and(|arg| arg == "--sum") {
        return sum::run(&args[1..]);
    }
    if args.iter().any(|arg| arg == "--plan" || arg.starts_with("--plan=")) {
        return on_host_stack(|| plan::run(args));
    }
    let is_spec = |arg: &String| arg == "--spec" || arg.starts_with("--spec=");
    if args.iter().any(is_spec) {
        return on_host_stack(|| spec::run(args));
    }
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        let bugs: Vec<&str> = [BUGS, ISOLATION_BUGS, CLIENT_BUGS, NETWORK_BUGS].concat();
        println!("{USAGE}\n\nscenarios: {}", names().join(", "));
        println!("\nfaults: {}\n\nbugs: {}", FAULTS.join(", "), bugs.join(", "));
        return 0;
    }
    let ran = parse(args).map(|request| {
        // Once for all seeds: each would map and unmap the host's stack anew.
        on_host_stack(|| run_request(&request, args))
    });
    match ran {
        Ok(Ok(status)) => status,
        Ok(Err(what)) => {
            eprintln!("driftdb sim: {what}");
            2
        }
        Err(what) => {
            eprintln!("driftdb sim: {what}\n\n{USAGE}\n\nscenarios: {}", names().join(", "));
            2
        }
    }
}

fn run_request(request: &Request, args: &[String]) -> Result<i32, String> {
    if request.is_single && !request.is_json && request.report.is_none() {
        return run_single(request);
    }
    if request.is_worker {
        let Request { first, count, stride, .. } = *request;
        let chunk = Chunk { scenario: request.scenarios[0], first, count, stride };
        let (totals, failure) = run_here(chunk, &request.options)?;
        println!("{}", told(&totals, failure.as_ref(), &request.options));
        return Ok(i32::from(failure.is_some()));
    }
    let campaign = campaign::run(request, args)?;
    let missing = match request.wants_all_faults {
        true => campaign.faults().missing(),
        false => Vec::new(),
    };
    let unseen = match request.wants_all_sites {
        true => campaign.sites().demanded(),
        false => Vec::new(),
    };
    let is_short = !missing.is_empty() || !unseen.is_empty();
    if let Some(file) = &request.report {
        report_on(file, request, &campaign, !is_short)?;
    }
    if request.is_json {
        println!("{:#}", document(request, &campaign, !is_short));
    } else {
        print(request, &campaign, &missing, &unseen)?;
    }
    Ok(i32::from(campaign.failure.is_some() || is_short))
}

/// One seed of each scenario, told with its trace.
fn run_single(request: &Request) -> Result<i32, String> {
    for &scenario in &request.scenarios {
        let seed = request.first;
        let _watchdog = Watchdog::of(scenario, seed);
        let report = run_seed(scenario, seed, &request.options)?;
        let (name, hash) = (scenario.name(), report.trace_hash);
        println!("{name} seed {seed}: trace {hash:016x}, {} steps", report.step_count);
        println!("  faults: {}", report.faults);
        if let Some(what) = report.failure {
            print_failure(scenario, seed, &what, request)?;
            return Ok(1);
        }
    }
    Ok(0)
}

fn print_failure(
    scenario: Scenario,
    seed: u64,
    what: &str,
    request: &Request,
) -> Result<(), String> {
    let options = &request.options;
    println!("{} seed {seed} FAILED: {what}", scenario.name());
    println!("replay: {}", replay_command(scenario, seed, options));
    if request.shrinks
        && let Some(shrunk) = shrink(scenario, seed, options)?
    {
        println!(
            "shrunk in {} runs to {} operations, {} faults, {} preemptions: {}",
            shrunk.run_count,
            shrunk.operation_count,
            shrunk.fault_count,
            shrunk.preemption_count,
            shrunk.failure
        );
        println!("{}", plan_text(scenario, seed, &shrunk.options)?);
        print_steps(scenario, seed, &shrunk.options)?;
        println!("replay: {}", replay_command(scenario, seed, &shrunk.options));
        if let Some(directory) = &request.keeps_in {
            let file = plan::keep(directory, scenario, seed, &shrunk.options)?;
            println!("kept: driftdb sim --plan {}", file.display());
        }
    }
    Ok(())
}

/// What clients do in a seed, step by step.
fn print_steps(scenario: Scenario, seed: u64, options: &SeedOptions) -> Result<(), String> {
    let (_, account, _) = run_recorded(scenario, seed, options)?;
    for (operation, said) in operations(&account) {
        for (line, mark) in said.lines().zip(std::iter::once(&*operation).chain(repeat(""))) {
            println!("  {mark:8} {}", clipped(line, 160));
        }
    }
    Ok(())
}

fn print(
    request: &Request,
    campaign: &Campaign,
    missing: &[&str],
    unseen: &[&str],
) -> Result<(), String> {
    for (scenario, totals) in campaign.totals.values() {
        let Some(scenario) = *scenario else { continue };
        let has_failed =
            campaign.failure.as_ref().is_some_and(|failure| failure.scenario == scenario);
        totals.print(scenario, has_failed);
    }
    let (faults, seconds) = (campaign.faults(), campaign.elapsed.as_secs_f64());
    println!(
        "all: {} seeds in {seconds:.1} s, {:.0} seeds/s, {} faults of {} kinds",
        campaign.seeds(),
        campaign.seeds() as f64 / seconds.max(1e-9),
        faults.total(),
        faults.kind_count(),
    );
    println!("  faults: {faults}");
    let sites = campaign.sites();
    let never = sites.missing();
    let never =
        if never.is_empty() { String::new() } else { format!("; never: {}", never.join(", ")) };
    println!("  sites: {} of {} seen{never}", sites.seen_count(), SITES.len());
    if request.rechecks {
        println!("  {} seeds run again in another process, with equal traces", campaign.rechecked);
    }
    if let Some(failure) = &campaign.failure {
        print_failure(failure.scenario, failure.seed, &failure.what, request)?;
    }
    if !missing.is_empty() {
        println!("FAILED: never struck: {}", missing.join(", "));
    }
    if !unseen.is_empty() {
        println!("FAILED: never seen: {}", unseen.join(", "));
    }
    Ok(())
}

/// Writes the page of a campaign.
fn report_on(
    file: &Path,
    request: &Request,
    campaign: &Campaign,
    is_complete: bool,
) -> Result<(), String> {
    let mut failed = campaign.failure.as_ref().map(|it| (it.scenario, it.seed, &request.options));
    let shrunk = match failed {
        Some((scenario, seed, options)) if request.shrinks => shrink(scenario, seed, options)?,
        _ => None,
    };
    if let (Some(failed), Some(shrunk)) = (&mut failed, &shrunk) {
        failed.2 = &shrunk.options;
    }
    if failed.is_none() && request.is_single {
        failed = Some((request.scenarios[0], request.first, &request.options));
    }
    let text = campaign_report(&document(request, campaign, is_complete), failed)?;
    plan::write(file, &text).map_err(|error| format!("{}: {error}", file.display()))
}

/// A campaign as JSON.
fn document(request: &Request, campaign: &Campaign, is_complete: bool) -> Value {
    let scenarios = campaign.totals.values().filter_map(|(scenario, totals)| {
        let mut value = totals.to_json();
        value["scenario"] = (*scenario)?.name().into();
        Some(value)
    });
    let failure = campaign.failure.as_ref().map(|failure| failure.to_json(&request.options));
    json!({
        "held": campaign.failure.is_none() && is_complete,
        "seeds": campaign.seeds(),
        "elapsed_ms": campaign.elapsed.as_millis() as u64,
        "jobs": request.jobs,
        "scenarios": scenarios.collect::<Vec<_>>(),
        "faults_that_never_struck": campaign.faults().missing(),
        "sites_never_seen": campaign.sites().missing(),
        "rechecked": campaign.rechecked,
        "failure": failure,
    })
}

/// The command that runs the same seed again.
pub fn replay_command(scenario: Scenario, seed: u64, options: &SeedOptions) -> String {
    let mut command = format!("driftdb sim {} --seed {seed}", scenario.name());
    for (key, value) in &options.settings {
        // Levels of isolation have a space in their names; a shell reads | too.
        let quote = if value.contains([' ', '|']) { "'" } else { "" };
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
        assert_eq!(status("ledger --seeds 3 --json"), 0);
        assert_eq!(status("ledger --seeds 1 --all-faults"), 1);
        assert_eq!(status("ledger --seeds 20 --shrink --bug wal.ack-before-sync"), 1);
        for wrong in [
            "nothing-of-that-name",
            "--sed 1",
            "--seed",
            "--seed x",
            "--seeds -1",
            "--set storage.engine",
            "--set storage.engine=floppy",
            "--set sim.clients=many",
            "--time soon",
            "--jobs many",
            "--bug none",
            "--spec",
            "--plan",
            "--plan nothing.toml",
            "--plan regressions --seeds 3",
            "--keep",
            "--ablate mvcc.waited-row-not-rechecked",
            "--ablate --report",
            "--scenario nothing.toml",
            "--sum nothing.json",
            "--sum --least",
            "--sum --least luck=7",
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
}
