//! What happened when, for people: off unless a seed is run to be told.
//!
//! The trace hashes events; the record keeps them. It is bounded: of more events than fit, the last are
//! kept, since a violation is at the end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use driftdb_sim_disk::SimDisk;

use super::preemption::Place;
use super::state::NodeId;
use crate::fault::{FAULTS, FaultCounts};

/// More events than a page can show.
const MOST_EVENTS: usize = 60_000;

/// Something that a fiber did, or that befell it.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Virtual time, in nanoseconds.
    pub(crate) at_ns: u64,
    /// `u32::MAX` is the machine itself.
    pub(crate) fiber: u32,
    pub(crate) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Passed a yield point, waited, slept, or what a note says.
    Note(String),
    /// Touched the disk.
    Disk { op: &'static str, bytes: u64 },
    /// Was held up or switched away from.
    Preempted,
    /// A fault of the disk struck, at the operation before.
    Fault(&'static str),
}

/// A run's record.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Name and node of each fiber.
    pub(crate) fibers: Vec<(String, NodeId)>,
    pub(crate) events: VecDeque<Event>,
    /// Where fibers were held up or switched away from.
    pub(crate) preemptions: Vec<Place>,
}

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
    static RECORD: RefCell<Record> = RefCell::default();
    static STRUCK: RefCell<FaultCounts> = RefCell::default();
}

/// Whether this thread's simulation is recorded.
pub(crate) fn is_on() -> bool {
    IS_ON.get()
}

/// Records this thread's simulations from now on.
pub(crate) fn start() {
    IS_ON.set(true);
    RECORD.take();
    STRUCK.take();
}

/// The record; no longer.
pub(crate) fn finish() -> Record {
    IS_ON.set(false);
    RECORD.take()
}

pub(super) fn fiber(name: &str, node: NodeId) {
    if is_on() {
        RECORD.with_borrow_mut(|record| record.fibers.push((name.to_owned(), node)));
    }
}

pub(super) fn event(at_ns: u64, fiber: u32, what: impl FnOnce() -> What) {
    if is_on() {
        RECORD.with_borrow_mut(|record| {
            if record.events.len() == MOST_EVENTS {
                record.events.pop_front();
            }
            record.events.push_back(Event { at_ns, fiber, what: what() });
        });
    }
}

pub(super) fn preempted(at_ns: u64, place: Place) {
    event(at_ns, place.0, || What::Preempted);
    if is_on() {
        RECORD.with_borrow_mut(|record| record.preemptions.push(place));
    }
}

/// Looks at a disk before its next operation: what has struck since the last is noted.
pub(super) fn look_at(disk: &SimDisk, at_ns: u64, fiber: u32) {
    let mut counts = FaultCounts::default();
    counts.add_disk(disk);
    let before = STRUCK.replace(counts.clone());
    for kind in FAULTS.iter().filter(|kind| counts.of(kind) > before.of(kind)) {
        event(at_ns, fiber, || What::Fault(kind));
    }
}
