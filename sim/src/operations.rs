//! What clients do, piece by piece: so that a plan may say which pieces are done, and a report what they were.
//!
//! An *operation* is one turn of a client: the how manieth, of which client, in which life. Each draws
//! from a random stream of its own ([`Draws`]), so that leaving one out changes no other; what is left of
//! a failing seed by [`crate::shrink`] is still what it was.
//!
//! All state is of this thread's simulation and begins anew with each ([`begin_run`]).

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use driftdb_env::Rng;

use crate::kernel::{current_fiber, current_ns};

/// Not an operation: before the first of a client, or none of a client.
const NONE: u32 = u32::MAX;

/// One turn of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation {
    /// The first is 1.
    pub(crate) life: u32,
    /// The first is 0, as in the names of fibers.
    pub(crate) client: u32,
    /// The first is 1.
    pub(crate) number: u32,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.life, self.client, self.number)
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[life, client, number]) => Ok(Self { life, client, number }),
            _ => Err(format!("\"{text}\" is not of the form LIFE.CLIENT.NUMBER")),
        }
    }
}

/// When something was, and who did it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Virtual time, in nanoseconds.
    pub(crate) at_ns: u64,
    pub(crate) fiber: u32,
}

/// A line about an operation.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) at_ns: u64,
    pub(crate) operation: Option<Operation>,
    pub(crate) text: String,
}

/// A cycle of dependencies that an oracle found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cycle {
    pub(crate) anomaly: &'static str,
    /// Numbers of transactions; the last depends on the first.
    pub(crate) txns: Vec<usize>,
    /// How each leads to the next.
    pub(crate) edges: Vec<&'static str>,
    /// What each did.
    pub(crate) texts: Vec<String>,
}

/// What a run was, for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    /// In the order in which they began.
    pub(crate) begun: Vec<Operation>,
    /// When, and by which fiber.
    pub(crate) began_at: BTreeMap<Operation, Moment>,
    pub(crate) said: Vec<Said>,
    pub(crate) cycle: Option<Cycle>,
}

#[derive(Default)]
struct Running {
    /// Those that are done; all if nothing is said.
    wanted: Option<BTreeSet<Operation>>,
    life: u32,
    /// By fiber.
    clients: BTreeMap<u32, Operation>,
    is_recorded: bool,
    account: Account,
}

thread_local! {
    static RUNNING: RefCell<Running> = RefCell::default();
}

/// A simulation begins in which only these are done.
pub(crate) fn begin_run(wanted: Option<BTreeSet<Operation>>, is_recorded: bool) {
    RUNNING.set(Running { wanted, is_recorded, ..Running::default() });
}

/// What was noted of the run.
pub(crate) fn account() -> Account {
    RUNNING.with_borrow_mut(|running| std::mem::take(&mut running.account))
}

/// The node begins its life of that number.
pub(crate) fn begin_life(life: u32) {
    RUNNING.with_borrow_mut(|running| {
        running.life = life;
        running.clients.clear();
    });
}

/// The running fiber is that client from now on.
pub(crate) fn begin_client(client: usize) {
    let Some(fiber) = current_fiber() else { return };
    RUNNING.with_borrow_mut(|running| {
        let operation = Operation { life: running.life, client: client as u32, number: NONE };
        running.clients.insert(fiber, operation);
    });
}

/// The running fiber comes to its operation of that index; false if the plan leaves it out.
pub(crate) fn begins(index: usize) -> bool {
    let Some(fiber) = current_fiber() else { return true };
    RUNNING.with_borrow_mut(|running| {
        let Some(at) = running.clients.get_mut(&fiber) else { return true };
        at.number = index as u32 + 1;
        let operation = *at;
        let is_wanted = running.wanted.as_ref().is_none_or(|wanted| wanted.contains(&operation));
        if is_wanted && running.is_recorded {
            running.account.begun.push(operation);
            let moment = Moment { at_ns: current_ns(), fiber };
            running.account.began_at.insert(operation, moment);
        }
        is_wanted
    })
}

/// Notes what the running operation does, for a report.
pub(crate) fn say(text: impl FnOnce() -> String) {
    RUNNING.with_borrow_mut(|running| {
        if !running.is_recorded {
            return;
        }
        let fiber = current_fiber().unwrap_or(NONE);
        let operation = running.clients.get(&fiber).copied().filter(|it| it.number != NONE);
        running.account.said.push(Said { at_ns: current_ns(), operation, text: text() });
    });
}

/// Notes a cycle, with what its transactions did.
pub(crate) fn note_cycle(cycle: impl FnOnce() -> Cycle) {
    RUNNING.with_borrow_mut(|running| {
        if running.is_recorded {
            running.account.cycle.get_or_insert_with(cycle);
        }
    });
}

/// Random numbers of a workload: a stream for each operation, and one for each recovery.
pub(crate) struct Draws {
    seed: u64,
    name: &'static str,
    streams: RefCell<BTreeMap<Operation, Rng>>,
}

impl Draws {
    pub(crate) fn new(seed: u64, name: &'static str) -> Self {
        Self { seed, name, streams: RefCell::default() }
    }

    /// The stream of whoever runs. Not to be held across a call of the database.
    pub(crate) fn borrow_mut(&self) -> RefMut<'_, Rng> {
        let fiber = current_fiber();
        let at = RUNNING.with_borrow(|running| {
            let none = Operation { life: running.life, client: NONE, number: NONE };
            fiber.and_then(|fiber| running.clients.get(&fiber).copied()).unwrap_or(none)
        });
        RefMut::map(self.streams.borrow_mut(), |streams| {
            streams
                .entry(at)
                .or_insert_with(|| Rng::stream(self.seed, &format!("{} {at}", self.name)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_read_as_they_are_written() {
        let operation = Operation { life: 1, client: 0, number: 12 };
        assert_eq!(operation.to_string(), "1.0.12");
        assert_eq!("1.0.12".parse(), Ok(operation));
        for wrong in ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.-3", "1.2.99999999999"] {
            assert!(wrong.parse::<Operation>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_stream_is_the_same_whatever_others_drew() {
        let draws = Draws::new(7, "test");
        let first = draws.borrow_mut().next_u64();
        begin_life(2);
        let second = draws.borrow_mut().next_u64();
        assert_ne!(first, second);
        let again = Draws::new(7, "test");
        assert_eq!(again.borrow_mut().next_u64(), second);
    }
}
