//! Plays one order of steps: each step in a fiber of its own on its session, one after the other,
//! the next when everybody has finished or is blocked.
//!
//! Between two steps a millisecond of virtual time passes, so that times of commits differ. Nothing
//! waits for it: whether a step is blocked is known before.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use driftdb_query::SqlError;
use driftdb_server::session::{Answers, TransactionStatus};
use driftdb_server::{Node, Session, SessionOptions};
use driftdb_types::{EvalContext, Value, write_text};

use super::Spec;
use crate::kernel::{FiberId, NodeId, Sim};

/// The node that plays.
pub(super) const NODE: NodeId = NodeId(1);

/// Virtual time within which setup and teardown are over.
const PATIENCE: Duration = Duration::from_secs(60);

const BETWEEN_STEPS: Duration = Duration::from_millis(1);

/// What one step answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Rows, columns with `|` between them.
    pub(super) rows: Vec<String>,
    /// The last command tag.
    pub(super) tag: Option<String>,
    /// SQLSTATE and message.
    pub(super) error: Option<(String, String)>,
    pub(super) notices: Vec<String>,
}

impl Outcome {
    fn of(answers: Answers) -> Self {
        let eval = EvalContext::default();
        let mut outcome = Self::default();
        for answer in answers.finished {
            for row in &answer.rows {
                let cells = row.iter().zip(&answer.fields).map(|(value, field)| {
                    let mut text = Vec::new();
                    match value {
                        Value::Null => text.extend(b"NULL"),
                        value => write_text(value, field.ty, &eval, &mut text),
                    }
                    String::from_utf8_lossy(&text).into_owned()
                });
                outcome.rows.push(cells.collect::<Vec<_>>().join("|"));
            }
            outcome.tag = answer.tag.map(|tag| tag.to_string());
        }
        outcome.error = answers.error.map(|error| sqlstate(&error));
        outcome.notices = answers.notices.into_iter().map(|notice| notice.message).collect();
        outcome
    }

    /// As `seen` names it.
    pub(super) fn compact(&self) -> String {
        match (&self.error, &self.tag) {
            (Some((code, _)), _) => format!("ERROR {code}"),
            (None, Some(tag)) if self.rows.is_empty() => tag.clone(),
            _ => self.rows.join(";"),
        }
    }
}

fn sqlstate(error: &SqlError) -> (String, String) {
    (error.state.code().to_owned(), error.message.to_string())
}

/// What to do when a session is asked for a step while it is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocked {
    /// Stop: such an order cannot be.
    Stop,
    /// Go on with the others' steps; this one comes when the session goes on.
    GoOn,
}

/// What happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A step was done at once.
    Done(usize),
    /// A step is blocked.
    Waits(usize),
    /// A blocked step was done.
    Completed(usize),
    /// Everybody else was rolled back, to see whether the blocked steps end.
    RolledBack,
}

/// What came of an order of steps.
#[derive(Debug, Clone, Default)]
pub(super) struct Played {
    pub(super) events: Vec<Event>,
    pub(super) outcomes: BTreeMap<usize, Outcome>,
    /// For each session, whether it committed.
    pub(super) committed: Vec<bool>,
    /// The state left behind.
    pub(super) check: Option<Outcome>,
    /// Where a session was asked for a step while it was blocked: the rest was not played.
    pub(super) impossible_at: Option<usize>,
    /// What must never be.
    pub(super) violations: Vec<String>,
    /// A step that never ends: the node is of no further use.
    pub(super) is_stuck: bool,
}

struct Running {
    step: usize,
    fiber: FiberId,
    outcome: Rc<RefCell<Option<Outcome>>>,
}

/// A session and its step that has not ended.
struct Seat {
    session: Rc<RefCell<Option<Session>>>,
    running: Option<Running>,
}

/// Plays on one node.
pub(super) struct Player {
    sim: Sim,
    node: Arc<Node>,
    spec: Rc<Spec>,
    options: SessionOptions,
}

impl Player {
    /// A player whose sessions begin transactions at `level`.
    pub(super) fn new(sim: &Sim, node: &Arc<Node>, spec: &Rc<Spec>, level: &str) -> Self {
        let settings = vec![("default_transaction_isolation".to_owned(), level.to_owned())];
        let options = SessionOptions { settings, ..SessionOptions::default() };
        Self { sim: sim.clone(), node: Arc::clone(node), spec: Rc::clone(spec), options }
    }

    /// Plays one order.
    ///
    /// # Errors
    /// The spec's own statements fail.
    pub(super) fn play(&self, order: &[usize], blocked: Blocked) -> Result<Played, String> {
        let control = self.session(&SessionOptions::default())?;
        for sql in &self.spec.setup {
            self.must(&control, "setup", sql)?;
        }
        // What transactions begin after is in the past of them.
        self.sim.sleep(BETWEEN_STEPS);
        let mut seats = Vec::new();
        for session in &self.spec.sessions {
            let seat = Seat { session: self.session(&self.options)?, running: None };
            for sql in &session.setup {
                self.must(&seat.session, &session.name, sql)?;
            }
            seats.push(seat);
        }
        self.sim.sleep(BETWEEN_STEPS);
        let mut played = Played::default();
        self.steps(order, blocked, &mut seats, &mut played);
        self.end(&mut seats, &mut played);
        if played.is_stuck {
            // Their fibers go with the simulation.
            std::mem::forget(seats);
            return Ok(played);
        }
        played.committed = self.committed(order, &played);
        let sessions: Vec<_> = seats.into_iter().map(|seat| seat.session).collect();
        self.on_node("leave", move || drop(sessions))?;
        if let Some(sql) = &self.spec.check {
            played.check = Some(self.must(&control, "check", sql)?);
        }
        for sql in &self.spec.always {
            let outcome = self.must(&control, "always", sql)?;
            if outcome.rows != ["t"] {
                played.violations.push(format!("not always: {sql}: {}", outcome.compact()));
            }
        }
        for sql in &self.spec.teardown {
            self.must(&control, "teardown", sql)?;
        }
        self.on_node("leave", move || drop(control))?;
        Ok(played)
    }

    fn steps(&self, order: &[usize], blocked: Blocked, seats: &mut [Seat], played: &mut Played) {
        let mut left = order.to_vec();
        while let Some(&first) = left.first() {
            let at = self.spec.steps[first].session;
            let is_free = seats[at].running.is_none() || self.is_freed(at, seats, played);
            if !is_free && blocked == Blocked::Stop {
                played.impossible_at = Some(order.len() - left.len());
                return;
            }
            let can_run = |step: &usize| seats[self.spec.steps[*step].session].running.is_none();
            let Some(next) = left.iter().position(can_run) else { break };
            self.step(left.remove(next), seats, played);
        }
        for at in 0..seats.len() {
            if seats[at].running.is_some() {
                self.is_freed(at, seats, played);
            }
        }
    }

    fn step(&self, step: usize, seats: &mut [Seat], played: &mut Played) {
        let seat = &mut seats[self.spec.steps[step].session];
        seat.running = Some(self.launch(step, Rc::clone(&seat.session)));
        self.settle(seats);
        match collect(&mut seats[self.spec.steps[step].session], played) {
            true => played.events.push(Event::Done(step)),
            false => played.events.push(Event::Waits(step)),
        }
        collect_all(seats, played);
        self.sim.sleep(BETWEEN_STEPS);
    }

    /// Lets time pass, as much as the spec allows, until a session's step has ended.
    fn is_freed(&self, at: usize, seats: &mut [Seat], played: &mut Played) -> bool {
        let until = self.sim.now() + self.spec.patience;
        while seats[at].running.is_some() && self.sim.now() < until {
            self.sim.sleep(BETWEEN_STEPS);
            self.settle(seats);
            collect_all(seats, played);
        }
        seats[at].running.is_none()
    }

    /// Rolls back whoever can, until nobody has a step left.
    fn end(&self, seats: &mut [Seat], played: &mut Played) {
        loop {
            let mut rolled_back = false;
            for seat in seats.iter().filter(|seat| seat.running.is_none()) {
                let is_open =
                    seat.session.borrow().as_ref().is_some_and(|session| {
                        session.transaction_status() != TransactionStatus::Idle
                    });
                if is_open && self.run(&seat.session, "ROLLBACK").is_ok() {
                    rolled_back = true;
                }
            }
            let waiting = seats.iter().filter_map(|seat| seat.running.as_ref());
            let waiting: Vec<usize> = waiting.map(|running| running.step).collect();
            if waiting.is_empty() {
                return;
            }
            if !rolled_back {
                let names = self.spec.names(&waiting);
                played
                    .violations
                    .push(format!("stuck: nobody is left to wait for, but {names} waits"));
                played.is_stuck = true;
                return;
            }
            played.events.push(Event::RolledBack);
            self.settle(seats);
            collect_all(seats, played);
        }
    }

    fn launch(&self, step: usize, session: Rc<RefCell<Option<Session>>>) -> Running {
        let outcome = Rc::new(RefCell::new(None));
        let theirs = Rc::clone(&outcome);
        let Spec { steps, .. } = &*self.spec;
        let sql = steps[step].sql.clone();
        let fiber = self.sim.spawn(NODE, &steps[step].name, move || {
            let mut own = session.borrow_mut().take().expect("a session runs one step at a time");
            let answer = query(&mut own, &sql);
            session.replace(Some(own));
            theirs.replace(Some(answer));
        });
        Running { step, fiber, outcome }
    }

    /// Until every step has ended or waits for somebody.
    fn settle(&self, seats: &[Seat]) {
        loop {
            self.sim.wait_until_idle();
            let goes_on = |running: &Running| {
                running.outcome.borrow().is_none() && !self.sim.is_waiting(running.fiber)
            };
            if !seats.iter().filter_map(|seat| seat.running.as_ref()).any(goes_on) {
                return;
            }
            self.sim.sleep(BETWEEN_STEPS);
        }
    }

    /// Whether each session's last step committed it.
    fn committed(&self, order: &[usize], played: &Played) -> Vec<bool> {
        let of = |session: usize| {
            let own = || order.iter().filter(|step| self.spec.steps[**step].session == session);
            let setup = self.spec.sessions[session].setup.iter();
            let texts = setup.chain(own().map(|step| &self.spec.steps[*step].sql));
            let has_block = texts.map(|sql| sql.to_uppercase()).any(|sql| sql.contains("BEGIN"));
            let outcomes = || own().map(|step| played.outcomes.get(step));
            match has_block {
                true => {
                    let last = outcomes().next_back().flatten();
                    last.is_some_and(|last| last.tag.as_deref() == Some("COMMIT"))
                }
                false => outcomes().all(|outcome| outcome.is_some_and(|it| it.error.is_none())),
            }
        };
        (0..self.spec.sessions.len()).map(of).collect()
    }

    fn session(&self, options: &SessionOptions) -> Result<Rc<RefCell<Option<Session>>>, String> {
        let (node, options) = (Arc::clone(&self.node), options.clone());
        let session = self.on_node("connect", move || Session::new(&node, &options))?;
        Ok(Rc::new(RefCell::new(Some(session.map_err(|error| error.to_string())?))))
    }

    /// Runs what the spec needs to succeed.
    fn must(
        &self,
        session: &Rc<RefCell<Option<Session>>>,
        what: &str,
        sql: &str,
    ) -> Result<Outcome, String> {
        let outcome = self.run(session, sql)?;
        match outcome.error {
            Some((code, message)) => Err(format!("{what} fails: {code}: {message}: {sql}")),
            None => Ok(outcome),
        }
    }

    fn run(&self, session: &Rc<RefCell<Option<Session>>>, sql: &str) -> Result<Outcome, String> {
        let (session, sql) = (Rc::clone(session), sql.to_owned());
        self.on_node("statement", move || {
            let mut own = session.borrow_mut().take().expect("nobody else runs on it");
            let answer = query(&mut own, &sql);
            session.replace(Some(own));
            answer
        })
    }

    fn on_node<T: 'static>(
        &self,
        what: &str,
        body: impl FnOnce() -> T + 'static,
    ) -> Result<T, String> {
        on_node(&self.sim, what, body)
    }
}

/// Runs something on the node to its end.
pub(super) fn on_node<T: 'static>(
    sim: &Sim,
    what: &str,
    body: impl FnOnce() -> T + 'static,
) -> Result<T, String> {
    let result = Rc::new(RefCell::new(None));
    let theirs = Rc::clone(&result);
    sim.spawn(NODE, what, move || {
        let value = body();
        theirs.replace(Some(value));
    });
    if !sim.wait_until(PATIENCE, || result.borrow().is_some()) {
        return Err(format!("{what} does not end"));
    }
    Ok(result.borrow_mut().take().expect("waited for"))
}

fn query(session: &mut Session, sql: &str) -> Outcome {
    let mut answers = Answers::default();
    if session.simple_query(sql, &mut answers).is_copy_in() {
        session.copy_fail("COPY from stdin failed: nobody sends its bytes", &mut answers);
    }
    Outcome::of(answers)
}

/// Notes what a session's step answered, if it has ended; false if it has not.
fn collect(seat: &mut Seat, played: &mut Played) -> bool {
    let has_ended = |running: &mut Running| running.outcome.borrow().is_some();
    let Some(ended) = seat.running.take_if(has_ended) else { return false };
    let outcome = ended.outcome.borrow_mut().take().expect("looked at just now");
    played.outcomes.insert(ended.step, outcome);
    true
}

/// Notes the blocked steps that have ended, in order of sessions.
fn collect_all(seats: &mut [Seat], played: &mut Played) {
    for seat in seats {
        let step = seat.running.as_ref().map(|running| running.step);
        if let Some(step) = step
            && collect(seat, played)
        {
            played.events.push(Event::Completed(step));
        }
    }
}
