//! Many seeds: in this process if they are few, else in chunks by worker processes, several at a time.
//!
//! Chunks are handed out in order, and none after a failure; those before the failing one were handed out
//! already and are waited for. So the failure that is told is the first in order, however many jobs
//! there are. A worker's memory, which killed nodes leak into, ends with its chunk.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use driftdb_env::Env;
use driftdb_env::sync::Mutex;
use serde_json::{Value, json};

use super::replay_command;
use super::request::{Request, worker_args};
use super::totals::{DIGEST_STRIDE, Totals};
use super::watchdog::Watchdog;
use crate::{FaultCounts, Scenario, SeedOptions, SiteCounts, run_seed};

/// Seeds of a worker: a second's work.
const CHUNK_SEEDS: u64 = 200;

/// How often a line of progress is printed.
const PROGRESS: Duration = Duration::from_secs(10);

/// A seed that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) scenario: Scenario,
    pub(super) seed: u64,
    pub(super) what: String,
}

impl Failure {
    pub(super) fn to_json(&self, options: &SeedOptions) -> Value {
        json!({
            "scenario": self.scenario.name(),
            "seed": self.seed,
            "what": self.what,
            "replay": replay_command(self.scenario, self.seed, options),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            scenario: Scenario::of(value.get("scenario")?.as_str()?)?,
            seed: value.get("seed")?.as_u64()?,
            what: value.get("what")?.as_str()?.to_owned(),
        })
    }
}

/// Some seeds of a scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    pub(super) scenario: Scenario,
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) stride: u64,
}

/// What came of a campaign.
#[derive(Debug, Default)]
pub(super) struct Campaign {
    /// By place in the request.
    pub(super) totals: BTreeMap<usize, (Option<Scenario>, Totals)>,
    pub(super) failure: Option<Failure>,
    pub(super) elapsed: Duration,
    /// Seeds that were run again in another process.
    pub(super) rechecked: u64,
}

impl Campaign {
    pub(super) fn faults(&self) -> FaultCounts {
        let mut faults = FaultCounts::default();
        self.totals.values().for_each(|(_, totals)| faults.merge(&totals.faults));
        faults
    }

    pub(super) fn sites(&self) -> SiteCounts {
        let mut sites = SiteCounts::default();
        self.totals.values().for_each(|(_, totals)| sites.merge(&totals.sites));
        sites
    }

    pub(super) fn seeds(&self) -> u64 {
        self.totals.values().map(|(_, totals)| totals.seeds).sum()
    }

    fn count(&mut self, place: usize, scenario: Scenario, totals: &Totals) {
        let entry = self.totals.entry(place).or_default();
        entry.0 = Some(scenario);
        entry.1.merge(totals);
    }
}

/// Runs a chunk here.
///
/// # Errors
/// A setting that there is not.
pub(super) fn run_here(
    chunk: Chunk,
    options: &SeedOptions,
) -> Result<(Totals, Option<Failure>), String> {
    let (clock, Chunk { scenario, .. }) = (Env::os(), chunk);
    let start = clock.now();
    let mut totals = Totals::default();
    let end = chunk.first.saturating_add(chunk.count);
    let first = chunk.first.next_multiple_of(chunk.stride);
    let mut failure = None;
    let watchdog = Watchdog::of(scenario, first);
    for seed in (first..end).step_by(chunk.stride as usize) {
        watchdog.next(seed);
        let report = run_seed(scenario, seed, options)?;
        totals.add(seed, &report);
        failure = report.failure.map(|what| Failure { scenario, seed, what });
        if failure.is_some() {
            break;
        }
    }
    totals.busy = clock.now() - start;
    Ok((totals, failure))
}

/// What a worker tells.
pub(super) fn told(totals: &Totals, failure: Option<&Failure>, options: &SeedOptions) -> String {
    let failure = failure.map(|failure| failure.to_json(options));
    json!({ "totals": totals.to_json(), "failure": failure }).to_string()
}

/// Runs a request.
///
/// # Errors
/// A setting that there is not; workers that do not start.
pub(super) fn run(request: &Request, args: &[String]) -> Result<Campaign, String> {
    let clock = Env::os();
    let start = clock.now();
    let all = request.count.saturating_mul(request.scenarios.len() as u64);
    let is_small = all <= CHUNK_SEEDS && request.time.is_none() && !request.rechecks;
    let mut campaign = if is_small && request.jobs == 1 {
        let mut campaign = Campaign::default();
        for (place, &scenario) in request.scenarios.iter().enumerate() {
            let (first, count) = (request.first, request.count);
            let chunk = Chunk { scenario, first, count, stride: request.stride };
            let (totals, failure) = run_here(chunk, &request.options)?;
            campaign.count(place, scenario, &totals);
            campaign.failure = failure;
            if campaign.failure.is_some() {
                break;
            }
        }
        campaign
    } else {
        run_workers(request, args)?
    };
    campaign.elapsed = clock.now() - start;
    Ok(campaign)
}

/// What the jobs share.
struct Shared {
    request: Request,
    program: std::path::PathBuf,
    /// Arguments of this process before those of the simulator.
    prefix: Vec<std::ffi::OsString>,
    deadline: Option<Duration>,
    start: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Chunks handed out.
    begun: u64,
    campaign: Campaign,
    /// The failure of the earliest chunk so far, by the chunk's number.
    failed: Option<(u64, Failure)>,
    /// Why the workers cannot work.
    broken: Option<String>,
    said: Duration,
}

fn run_workers(request: &Request, args: &[String]) -> Result<Campaign, String> {
    let env = Env::os();
    let all: Vec<_> = std::env::args_os().collect();
    let before = all.len().saturating_sub(args.len()).max(1);
    let now = env.now();
    let shared = Arc::new(Shared {
        request: request.clone(),
        program: std::env::current_exe().map_err(|error| error.to_string())?,
        prefix: all[1..before].to_vec(),
        deadline: request.time.map(|time| now + time),
        start: now,
        state: Mutex::new(State { said: now, ..State::default() }),
    });
    let tasks: Vec<_> = (0..request.jobs)
        .map(|_| {
            let shared = Arc::clone(&shared);
            env.spawn("job", move || shared.work())
        })
        .collect();
    tasks.into_iter().for_each(driftdb_env::Task::join);
    let mut state = shared.state.lock();
    if let Some(what) = state.broken.take() {
        return Err(what);
    }
    let mut campaign = std::mem::take(&mut state.campaign);
    campaign.failure = state.failed.take().map(|(_, failure)| failure);
    Ok(campaign)
}

impl Shared {
    fn work(&self) {
        while let Some((number, place, chunk)) = self.next() {
            let ran = self.run(chunk).and_then(|(totals, failure)| {
                let failure = match failure {
                    None if self.request.rechecks => self.recheck(chunk, &totals)?,
                    failure => failure,
                };
                Ok((totals, failure))
            });
            let mut state = self.state.lock();
            match ran {
                Ok((totals, failure)) => {
                    state.campaign.count(place, chunk.scenario, &totals);
                    let is_first = state.failed.as_ref().is_none_or(|(first, _)| number < *first);
                    if let Some(failure) = failure.filter(|_| is_first) {
                        state.failed = Some((number, failure));
                    }
                    if self.request.rechecks {
                        state.campaign.rechecked += chunk.count / DIGEST_STRIDE;
                    }
                }
                Err(what) => state.broken = Some(what),
            }
            self.say(&mut state);
        }
    }

    /// The next chunk: scenarios in turn if time is the limit, else one after the other.
    fn next(&self) -> Option<(u64, usize, Chunk)> {
        let request = &self.request;
        let mut state = self.state.lock();
        if state.failed.is_some() || state.broken.is_some() {
            return None;
        }
        let number = state.begun;
        let scenario_count = request.scenarios.len() as u64;
        let (place, part) = match self.deadline {
            Some(deadline) if Env::os().now() >= deadline => return None,
            Some(_) => (number % scenario_count, number / scenario_count),
            None => {
                let parts = request.count.div_ceil(CHUNK_SEEDS);
                if number >= parts.saturating_mul(scenario_count) {
                    return None;
                }
                (number / parts, number % parts)
            }
        };
        state.begun += 1;
        let skipped = part * CHUNK_SEEDS;
        let count = match self.deadline {
            Some(_) => CHUNK_SEEDS,
            None => CHUNK_SEEDS.min(request.count - skipped),
        };
        let first = request.first.saturating_add(skipped);
        let scenario = request.scenarios[place as usize];
        Some((number, place as usize, Chunk { scenario, first, count, stride: request.stride }))
    }

    /// Runs a chunk in a process of its own.
    fn run(&self, chunk: Chunk) -> Result<(Totals, Option<Failure>), String> {
        let Chunk { scenario, first, count, stride } = chunk;
        let args = worker_args(scenario, first, count, stride, &self.request.options);
        let mut command = Command::new(&self.program);
        let output = command.args(&self.prefix).args(args).output();
        let output = output.map_err(|error| format!("a worker does not start: {error}"))?;
        let told = String::from_utf8_lossy(&output.stdout);
        let told: Option<Value> =
            told.lines().last().and_then(|line| serde_json::from_str(line).ok());
        let read = told.as_ref().and_then(|told| {
            let totals = Totals::from_json(told.get("totals")?)?;
            Some((totals, told.get("failure").and_then(Failure::from_json)))
        });
        Ok(read.unwrap_or_else(|| {
            // A stack that overflows, an abort: no seed of it is known, the first is as good as any.
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            let what = format!(
                "the process that ran seeds {first} to {} ended with {}: {said}",
                first + count - 1,
                output.status
            );
            (Totals::default(), Some(Failure { scenario, seed: first, what }))
        }))
    }

    /// Runs some seeds of a chunk again: their traces must be the same.
    fn recheck(&self, chunk: Chunk, totals: &Totals) -> Result<Option<Failure>, String> {
        let (again, failure) = self.run(Chunk { stride: DIGEST_STRIDE, ..chunk })?;
        if failure.is_some() || again.digest == totals.digest {
            return Ok(failure);
        }
        let Chunk { scenario, first, count, .. } = chunk;
        let what = format!(
            "traces differ in another process: every {DIGEST_STRIDE}th of seeds {first} to {}",
            first + count - 1
        );
        Ok(Some(Failure { scenario, seed: first.next_multiple_of(DIGEST_STRIDE), what }))
    }

    fn say(&self, state: &mut State) {
        let now = Env::os().now();
        if now - state.said < PROGRESS || self.request.is_json {
            return;
        }
        state.said = now;
        let seconds = (now - self.start).as_secs_f64();
        let campaign = &state.campaign;
        let (seeds, faults) = (campaign.seeds(), campaign.faults());
        let done: Vec<String> = campaign
            .totals
            .values()
            .filter_map(|(scenario, totals)| {
                Some(format!("{} {}", (*scenario)?.name(), totals.seeds))
            })
            .collect();
        eprintln!(
            "{seconds:.0} s: {seeds} seeds held ({}), {:.0} seeds/s, {} faults of {} kinds",
            done.join(", "),
            seeds as f64 / seconds.max(1e-9),
            faults.total(),
            faults.kind_count(),
        );
    }
}
