//! The command line, taken apart.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scenario_file;
use crate::bugs;
use crate::{Scenario, SeedOptions};

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) scenarios: Vec<Scenario>,
    pub(super) first: u64,
    /// Seeds of each scenario; for ever, where time is the limit.
    pub(super) count: u64,
    /// Every how manieth seed.
    pub(super) stride: u64,
    pub(super) is_single: bool,
    pub(super) time: Option<Duration>,
    pub(super) jobs: usize,
    pub(super) is_json: bool,
    /// Whether a kind of fault that never struck is a failure.
    pub(super) wants_all_faults: bool,
    /// Whether a place of the product that nobody saw is a failure.
    pub(super) wants_all_sites: bool,
    /// Whether some seeds are run again in another process.
    pub(super) rechecks: bool,
    /// Whether a failure is made smaller before it is told.
    pub(super) shrinks: bool,
    /// Where the page of the campaign goes.
    pub(super) report: Option<PathBuf>,
    /// Where a failure, made smaller, is kept.
    pub(super) keeps_in: Option<PathBuf>,
    /// Whether this process runs one chunk for another, and tells it in JSON.
    pub(super) is_worker: bool,
    pub(super) options: SeedOptions,
}

/// The names of all scenarios.
pub(super) fn names() -> Vec<&'static str> {
    Scenario::ALL.into_iter().map(Scenario::name).collect()
}

/// `90`, `90s`, `15m`, `3h`.
fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        _ => (text, 1),
    };
    let count: u64 = digits.parse().ok()?;
    Some(Duration::from_secs(count.checked_mul(unit)?))
}

/// Takes a command line apart.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(args: &[String]) -> Result<Request, String> {
    let mut request = Request {
        scenarios: Scenario::ALL.to_vec(),
        first: 0,
        count: 100,
        stride: 1,
        is_single: false,
        time: None,
        jobs: 1,
        is_json: false,
        wants_all_faults: false,
        wants_all_sites: false,
        rechecks: false,
        shrinks: false,
        report: None,
        keeps_in: None,
        is_worker: false,
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
            "--scenario" => scenario_file::apply(Path::new(&value()?), &mut request)?,
            "--first" => request.first = number(value()?)?,
            "--time" => {
                let text = value()?;
                let time = duration(&text).ok_or_else(|| {
                    format!("--time needs a time such as 90s or 15m, not \"{text}\"")
                })?;
                request.time = Some(time);
            }
            "--jobs" => request.jobs = number(value()?)?.clamp(1, 256) as usize,
            "--json" => request.is_json = true,
            "--all-faults" => request.wants_all_faults = true,
            "--all-sites" => request.wants_all_sites = true,
            "--shrink" => request.shrinks = true,
            "--report" => request.report = Some(value()?.into()),
            "--keep" => {
                request.keeps_in = Some(value()?.into());
                request.shrinks = true;
            }
            "--recheck" => request.rechecks = true,
            "--set" => set(&mut request.options, &value()?)?,
            "--bug" => request.options.bug = Some(planted(&value()?)?),
            // Not in the usage: how one process asks another.
            "--worker" => request.is_worker = true,
            "--stride" => request.stride = number(value()?)?.max(1),
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

fn set(options: &mut SeedOptions, text: &str) -> Result<(), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("\"{text}\" is not of the form KEY=VALUE"))?;
    options.settings.push((key.trim().to_owned(), value.trim().to_owned()));
    Ok(())
}

fn planted(name: &str) -> Result<&'static str, String> {
    if !cfg!(debug_assertions) {
        return Err("--bug has no effect in a release build".into());
    }
    bugs::bug(name).ok_or_else(|| format!("no bug \"{name}\""))
}

/// The arguments for a process that runs some seeds of a scenario.
pub(super) fn worker_args(
    scenario: Scenario,
    first: u64,
    count: u64,
    stride: u64,
    options: &SeedOptions,
) -> Vec<String> {
    let mut args = vec![
        scenario.name().to_owned(),
        format!("--first={first}"),
        format!("--seeds={count}"),
        format!("--stride={stride}"),
        "--worker".to_owned(),
    ];
    args.extend(options.settings.iter().map(|(key, value)| format!("--set={key}={value}")));
    args.extend(options.bug.map(|bug| format!("--bug={bug}")));
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        let seconds = |count| Some(Duration::from_secs(count));
        assert_eq!(duration("90"), seconds(90));
        assert_eq!(duration("90s"), seconds(90));
        assert_eq!(duration("15m"), seconds(900));
        assert_eq!(duration("3h"), seconds(10_800));
        for wrong in ["", "s", "-1", "1d", "1.5m", "ä"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_worker_is_asked_for_the_same() {
        let args = "bank --first 5 --seeds 10 --set sim.isolation=serializable";
        let parsed = |args: &[String]| parse(args).expect("a right command line");
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let request = parsed(&args);
        let worker = parsed(&worker_args(Scenario::Bank, 5, 10, 20, &request.options));
        assert_eq!(worker.scenarios, [Scenario::Bank]);
        assert_eq!((worker.first, worker.count, worker.stride), (5, 10, 20));
        assert!(worker.is_worker && !request.is_worker);
        assert_eq!(worker.options.settings, request.options.settings);
    }
}
