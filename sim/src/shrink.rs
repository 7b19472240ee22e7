//! Shrinking of a failing seed: which settings can be fixed to less, so that it still fails.
//!
//! A seed's plan is a matter of settings, each drawn from a stream of its own. So a smaller plan is the same
//! seed with more settings fixed: fewer lives, clients and transactions, no damage, no trouble, clocks that
//! are right, nobody held up. Each is tried and kept if the failure stays of its kind; what is left is needed.
//! The result is a command line, as every replay is.

use crate::{Scenario, SeedOptions, plan_text, run_seed};

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

/// A failing seed with as much fixed as can be.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// What to run it with.
    pub options: SeedOptions,
    /// How it fails then.
    pub failure: String,
    /// How many runs it took.
    pub run_count: u64,
}

/// What sort of failure it is: the words before the first colon, without numbers.
fn kind(failure: &str) -> String {
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
    let wanted = kind(&failure);
    let mut shrunk = Shrunk { options: options.clone(), failure, run_count: 1 };
    for &(key, values) in LESS {
        // What the user has fixed stays.
        if options.settings.iter().any(|(fixed, _)| fixed == key) {
            continue;
        }
        for value in values {
            let mut less = shrunk.options.clone();
            less.settings.push((key.to_owned(), (*value).to_owned()));
            let is_so =
                plan_text(scenario, seed, &less)? == plan_text(scenario, seed, &shrunk.options)?;
            if is_so {
                // Nothing to take out.
                break;
            }
            shrunk.run_count += 1;
            let failure = run_seed(scenario, seed, &less)?.failure;
            if let Some(failure) = failure.filter(|failure| kind(failure) == wanted) {
                (shrunk.options, shrunk.failure) = (less, failure);
                break;
            }
        }
    }
    Ok(Some(shrunk))
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
