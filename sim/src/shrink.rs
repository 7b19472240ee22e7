//! Shrinking of a failing seed: what can be left out, so that it still fails.
//!
//! A seed's plan is a matter of settings, each drawn from a stream of its own. So a smaller plan is the same
//! seed with more settings fixed. First whole sorts of things go: lives, clients and transactions, damage,
//! trouble, clocks that are wrong, switches ([`LESS`]). Then single ones, by delta debugging ([`ddmin`]): operations
//! of clients, the mischief of each life, preemptions; and sorts again, in turn, until nothing more goes.
//! Whatever is tried is kept if the failure stays of its kind; what is left is needed. The result is a command
//! line, as every replay is, and can be kept as a file ([`crate::script`]).
//!
//! Bounds: [`MOST_RUNS`] runs, [`MOST_TIME`].

mod ddmin;

use std::collections::BTreeSet;
use std::time::Duration;

use driftdb_env::Env;

use crate::cut::place_name;
use crate::scenario::{fault_names, run_recorded};
use crate::{Scenario, SeedOptions, plan_text, run_seed};
use ddmin::ddmin;

/// More runs than this are not spent on a seed.
const MOST_RUNS: u64 = 1500;

/// Nor more time.
const MOST_TIME: Duration = Duration::from_secs(50);

/// What is tried, the most telling first; of several values of a key the first that will do.
const LESS: &[(&str, &[&str])] = &[
    ("sim.lives", &["0", "1", "2"]),
    ("sim.damage", &["off"]),
    ("sim.clients", &["1", "2", "3"]),
    ("sim.transactions", &["1", "2", "3", "6"]),
    ("sim.trouble", &["off"]),
    ("sim.holds", &["off"]),
    ("sim.clocks", &["off"]),
    ("sim.priorities", &["0"]),
    ("sim.delays", &["off"]),
    ("sim.switches", &["off"]),
    ("sim.buggify", &["off"]),
];

/// A failing seed with as much left out as can be.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// What to run it with.
    pub options: SeedOptions,
    /// How it fails then.
    pub failure: String,
    /// How many runs it took.
    pub run_count: u64,
    /// Operations of clients that are left.
    pub operation_count: usize,
    /// Faults that are left.
    pub fault_count: usize,
    /// Preemptions that are left.
    pub preemption_count: usize,
}

/// What sort of failure it is: the words before the first colon, without numbers.
pub(crate) fn kind(failure: &str) -> String {
    let head = failure.lines().next().unwrap_or_default();
    let head = head.split_once(':').map_or(head, |(head, _)| head);
    head.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Shrinks a seed; `None` if it holds.
///
/// # Errors
/// A setting that there is not.
pub fn shrink(
    scenario: Scenario,
    seed: u64,
    options: &SeedOptions,
) -> Result<Option<Shrunk>, String> {
    let Some(failure) = run_seed(scenario, seed, options)?.failure else { return Ok(None) };
    let mut shrinking = Shrinking {
        scenario,
        seed,
        wanted: kind(&failure),
        options: options.clone(),
        failure,
        run_count: 1,
        deadline: Env::os().now() + MOST_TIME,
    };
    shrinking.leave_out_sorts(options)?;
    let mut counts = shrinking.leave_out_pieces()?;
    // Without some preemptions others of the operations may go, and with few pieces left whole sorts.
    loop {
        shrinking.leave_out_sorts(options)?;
        let again = shrinking.leave_out_pieces()?;
        if again == counts {
            break;
        }
        counts = again;
    }
    let Shrinking { options, failure, run_count, .. } = shrinking;
    let [operation_count, fault_count, preemption_count] = counts;
    let shrunk =
        Shrunk { options, failure, run_count, operation_count, fault_count, preemption_count };
    Ok(Some(shrunk))
}

struct Shrinking {
    scenario: Scenario,
    seed: u64,
    /// The kind of failure that must stay.
    wanted: String,
    options: SeedOptions,
    failure: String,
    run_count: u64,
    deadline: Duration,
}

impl Shrinking {
    /// Whether less is enough; then it is what we go on with.
    fn is_enough(&mut self, less: SeedOptions) -> Result<bool, String> {
        if self.run_count >= MOST_RUNS || Env::os().now() >= self.deadline {
            return Ok(false);
        }
        self.run_count += 1;
        let failure = run_seed(self.scenario, self.seed, &less)?.failure;
        let failure = failure.filter(|failure| kind(failure) == self.wanted);
        let is_enough = failure.is_some();
        if let Some(failure) = failure {
            (self.options, self.failure) = (less, failure);
        }
        Ok(is_enough)
    }

    /// Whole sorts of things.
    fn leave_out_sorts(&mut self, given: &SeedOptions) -> Result<(), String> {
        let (scenario, seed) = (self.scenario, self.seed);
        for &(key, values) in LESS {
            // What the user has fixed stays.
            if given.settings.iter().any(|(fixed, _)| fixed == key) {
                continue;
            }
            for value in values {
                let less = with(&self.options, key, value);
                if plan_text(scenario, seed, &less)? == plan_text(scenario, seed, &self.options)? {
                    // Nothing to take out.
                    break;
                }
                if self.is_enough(less)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Operations, faults and preemptions, one by one: how many of each are left.
    fn leave_out_pieces(&mut self) -> Result<[usize; 3], String> {
        // Only what came to pass before the failure can matter.
        let (_, account, _) = run_recorded(self.scenario, self.seed, &self.options)?;
        let begun: BTreeSet<_> = account.begun.into_iter().collect();
        let begun: Vec<String> = begun.iter().map(ToString::to_string).collect();
        let operations = self.leave_out("sim.operations", &begun)?;
        let faults = fault_names(self.scenario, self.seed, &self.options)?;
        let faults: Vec<String> = faults.into_iter().map(|(name, _)| name).collect();
        let faults = self.leave_out("sim.faults", &faults)?;
        let (_, _, record) = run_recorded(self.scenario, self.seed, &self.options)?;
        let places: Vec<String> = record.preemptions.into_iter().map(place_name).collect();
        let preemptions = self.leave_out("sim.preemptions", &places)?;
        Ok([operations, faults, preemptions])
    }

    /// Of a list of pieces, as few as are enough; how many.
    fn leave_out(&mut self, key: &str, pieces: &[String]) -> Result<usize, String> {
        let all = with(&self.options, key, &pieces.join(" "));
        if !self.is_enough(all)? {
            // Out of runs: then the list stays as it is.
            return Ok(pieces.len());
        }
        let left = ddmin(pieces, |part| self.is_enough(with(&self.options, key, &part.join(" "))))?;
        Ok(left.len())
    }
}

/// The options with another value of a setting.
fn with(options: &SeedOptions, key: &str, value: &str) -> SeedOptions {
    let mut options = options.clone();
    options.settings.retain(|(fixed, _)| fixed != key || !key.starts_with("sim."));
    options.settings.push((key.to_owned(), value.to_owned()));
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_leave_out_what_differs() {
        assert_eq!(kind("durability: entry 3 is gone"), kind("durability: list 7"));
        assert_eq!(
            kind("verify finds 3 damages, first: a"),
            kind("verify finds 1 damages, first: b")
        );
        assert_ne!(kind("durability: x"), kind("atomicity: x"));
    }
}
