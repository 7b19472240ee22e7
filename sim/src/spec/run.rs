//! One spec on one engine, under one control, at one level: a node of its own, all its permutations.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use driftdb_concurrency::IsolationLevel;
use driftdb_env::planted;
use driftdb_server::{Config, Node};
use driftdb_sim_disk::SimDisk;

use super::player::{Blocked, NODE, Outcome, Played, Player, on_node};
use super::report::events;
use super::schedule::Interleavings;
use super::serial::Serial;
use super::{Permutation, Spec};
use crate::kernel::{Chance, KernelSettings, Sim, WallClock, simulate};

/// Where a spec is played.
#[derive(Debug, Clone)]
pub struct SpecOptions {
    /// `storage.engine`
    pub engine: String,
    /// `concurrency.control`
    pub control: String,
    /// The level asked for.
    pub level: IsolationLevel,
    /// Whether `permutation all` is played.
    pub plays_all: bool,
    /// The planted bug.
    pub bug: Option<&'static str>,
}

/// What came of a spec in one place.
#[derive(Debug, Clone)]
pub struct SpecRun {
    /// The level that the control gave.
    pub granted: IsolationLevel,
    /// Each named permutation, and what happened in it.
    pub permutations: Vec<(String, String)>,
    /// What happened in every interleaving.
    pub(super) all: Option<Summary>,
    /// Whether the anomaly was seen.
    pub seen: bool,
    /// What must not be.
    pub violations: Vec<String>,
}

/// What all interleavings came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Played to the end.
    pub(super) played: usize,
    /// By the sessions that committed.
    pub(super) committed: BTreeMap<String, usize>,
    /// Those that showed the anomaly.
    pub(super) seen: usize,
    /// Those that no serial execution explains.
    pub(super) unexplained: usize,
}

/// Plays a spec.
///
/// # Errors
/// The spec's own statements fail, or there is no such engine or control.
pub fn run_spec(spec: &Spec, options: &SpecOptions) -> Result<SpecRun, String> {
    let result = Rc::new(RefCell::new(Err("the simulation ended early".to_owned())));
    let (theirs, spec) = (Rc::clone(&result), Rc::new(spec.clone()));
    let owned = options.clone();
    planted::activate(options.bug);
    // Disks are fast and nobody is held up: only then is blocked exact.
    let settings = KernelSettings {
        delay: Chance::NEVER,
        switch: Chance::NEVER,
        max_disk_ns: 0,
        max_events: 1_000_000_000,
        ..KernelSettings::plain(0)
    };
    let outcome = simulate(settings, move |sim| {
        let run = Stage::open(&sim, &spec, &owned).and_then(Stage::run);
        *theirs.borrow_mut() = run;
    });
    planted::activate(None);
    let mut run = result.replace(Err(String::new()));
    if let Some(failure) = outcome.failure {
        match &mut run {
            Ok(run) => run.violations.push(failure),
            Err(what) => *what = format!("{what}: {failure}"),
        }
    }
    run
}

struct Stage {
    spec: Rc<Spec>,
    asked: IsolationLevel,
    plays_all: bool,
    player: Player,
    serial: Serial,
    run: SpecRun,
}

impl Stage {
    fn open(sim: &Sim, spec: &Rc<Spec>, options: &SpecOptions) -> Result<Self, String> {
        let disk = SimDisk::new(0);
        let env = sim.boot(NODE, &disk, 0, WallClock::default());
        let config = Config {
            data: "/node".into(),
            engine: options.engine.clone(),
            control: options.control.clone(),
            ballast_bytes: 0,
            ..Config::default()
        };
        let node = on_node(sim, "open", move || Node::open(&env, &config))?;
        let node = node.map_err(|error| error.to_string())?;
        let granted = node.store().granted(options.level);
        let player = Player::new(sim, &node, spec, &options.level.to_string());
        let run = SpecRun {
            granted,
            permutations: Vec::new(),
            all: None,
            seen: false,
            violations: Vec::new(),
        };
        let (spec, plays_all, asked) = (Rc::clone(spec), options.plays_all, options.level);
        Ok(Self { spec, asked, plays_all, player, serial: Serial::default(), run })
    }

    fn run(mut self) -> Result<SpecRun, String> {
        let spec = Rc::clone(&self.spec);
        if self.run.granted != self.asked {
            // Another place plays it.
            return Ok(self.run);
        }
        for permutation in &spec.permutations {
            let goes_on = match permutation {
                Permutation::Steps(steps) => self.one(steps)?,
                Permutation::All if self.plays_all => self.all()?,
                Permutation::All => true,
            };
            if !goes_on {
                break;
            }
        }
        Ok(self.run)
    }

    /// Plays a named permutation; false if the node is stuck.
    fn one(&mut self, steps: &[usize]) -> Result<bool, String> {
        let played = self.player.play(steps, Blocked::GoOn)?;
        let names = self.spec.names(steps);
        self.judge(steps, &played)?;
        self.run.permutations.push((names, events(&self.spec, &played)));
        Ok(!played.is_stuck)
    }

    /// Plays every interleaving.
    fn all(&mut self) -> Result<bool, String> {
        let mut summary = Summary::default();
        let mut interleavings = Interleavings::new(&self.spec);
        let mut is_stuck = false;
        while let Some(steps) = interleavings.next() {
            let played = self.player.play(&steps, Blocked::Stop)?;
            is_stuck |= played.is_stuck;
            if played.impossible_at.is_none() || played.is_stuck {
                let (is_seen, is_explained) = self.judge(&steps, &played)?;
                summary.played += 1;
                summary.seen += usize::from(is_seen);
                summary.unexplained += usize::from(!is_explained);
                *summary.committed.entry(self.who_committed(&played)).or_default() += 1;
            }
            if is_stuck {
                break;
            }
            interleavings.advance(played.impossible_at);
        }
        self.run.all = Some(summary);
        Ok(!is_stuck)
    }

    /// Notes what must not be; whether the anomaly was seen, and whether some serial execution gives
    /// the same.
    fn judge(&mut self, steps: &[usize], played: &Played) -> Result<(bool, bool), String> {
        for violation in &played.violations {
            self.violate(steps, violation);
        }
        if played.is_stuck || played.impossible_at.is_some() {
            return Ok((false, true));
        }
        let spec = Rc::clone(&self.spec);
        let is_seen = is_seen(&spec, played);
        self.run.seen |= is_seen;
        if let Some(anomaly) = &spec.anomaly
            && is_seen
            && anomaly.forbidden_from.is_some_and(|level| self.run.granted >= level)
        {
            self.violate(steps, &format!("{} is seen", anomaly.name));
        }
        if !spec.is_serial {
            return Ok((is_seen, true));
        }
        let is_explained = self.serial.explains(&self.player, &spec, steps, played)?;
        if !is_explained && self.run.granted == IsolationLevel::Serializable {
            let text = events(&spec, played);
            self.violate(steps, &format!("no serial execution explains this:\n{text}"));
        }
        Ok((is_seen, is_explained))
    }

    fn violate(&mut self, steps: &[usize], what: &str) {
        let names = self.spec.names(steps);
        self.run.violations.push(format!("permutation {names}: {what}"));
    }

    fn who_committed(&self, played: &Played) -> String {
        let sessions = self.spec.sessions.iter().zip(&played.committed);
        let names: Vec<&str> =
            sessions.filter(|(_, did)| **did).map(|(session, _)| session.name.as_str()).collect();
        if names.is_empty() { "nobody".to_owned() } else { names.join(" ") }
    }
}

/// Whether one of the anomaly's signs is there.
fn is_seen(spec: &Spec, played: &Played) -> bool {
    let shows = |(step, rows): &(String, String)| {
        let outcome = match step.as_str() {
            "check" => played.check.as_ref(),
            name => spec.step_of(name).ok().and_then(|step| played.outcomes.get(&step)),
        };
        outcome.map(Outcome::compact).as_deref() == Some(rows)
    };
    let signs = spec.anomaly.iter().flat_map(|anomaly| &anomaly.signs);
    signs.into_iter().any(|sign| sign.iter().all(shows))
}
