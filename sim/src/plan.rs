//! The plan of one seed: every setting is drawn, so that each seed stresses something else (swarm
//! testing, [Groce12]). Each draw has a random stream of its own: a new one shifts no other.

use std::collections::BTreeSet;
use std::time::Duration;

use driftdb_concurrency::IsolationLevel;
use driftdb_env::Rng;
use driftdb_server::{CONTROLS, Config, ENGINES};
use driftdb_sim_disk::CrashMode;
use driftdb_storage::{Compaction, Compression, FilterKind};

use crate::ablation::ORACLES;
use crate::cut::{faults, keep_faults, places};
use crate::fault::damage::Damage;
use crate::fault::draw_crash_mode;
use crate::fault::trouble::{Trouble, draw_clock, draw_hold};
use crate::kernel::{Chance, Hold, KernelSettings, Place, WallClock};
use crate::network::CUTS;
use crate::network::weather::Weather;
use crate::operations::Operation;
use crate::spec::LEVELS;
use crate::without::do_without;

/// What happens between two openings of the node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    /// The first is 1. What names parts of a plan says it, also when others are left out.
    pub(crate) number: u32,
    pub(crate) trouble: Trouble,
    /// What the device does not do as it says, or what changes after the life.
    pub(crate) damage: Option<Damage>,
    /// What takes longer than it should.
    pub(crate) hold: Option<Hold>,
    /// Whether all that begins before the node opens, or when its clients begin.
    pub(crate) in_recovery: bool,
    pub(crate) crash: CrashMode,
    /// Whether a node that survived is closed in order, or killed.
    pub(crate) closes: bool,
    pub(crate) wall: WallClock,
}

impl Life {
    /// One without trouble.
    pub(crate) fn healthy(number: u32) -> Self {
        Self {
            number,
            trouble: Trouble::Nothing,
            damage: None,
            hold: None,
            in_recovery: false,
            crash: CrashMode::LoseAll,
            closes: true,
            wall: WallClock::default(),
        }
    }
}

/// Everything that is decided before a seed runs.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) kernel: KernelSettings,
    pub(crate) config: Config,
    pub(crate) isolation: IsolationLevel,
    /// Judge by another level than the granted one: proves that the checker and the workload would
    /// see what that level forbids.
    pub(crate) judged_as: Option<IsolationLevel>,
    pub(crate) client_count: usize,
    /// Transactions of each client in each life.
    pub(crate) txn_count: usize,
    pub(crate) lives: Vec<Life>,
    /// How links behave, where there are several nodes.
    pub(crate) weather: Weather,
    /// Kinds of fault that are left out where they are drawn on the way: cuts of links, what clients do.
    pub(crate) without: Vec<&'static str>,
    /// Oracles whose complaints are not heard.
    pub(crate) deaf_to: Vec<&'static str>,
    /// Nodes beside the first.
    pub(crate) replica_count: u32,
    /// The operations that are done; all if nothing is said.
    pub(crate) operations: Option<BTreeSet<Operation>>,
    /// The preemptions that are made, of those that the seed draws.
    pub(crate) preemptions: Option<BTreeSet<Place>>,
}

/// A seed of the usual size comes to a few thousand events; after so many it is said never to end.
const EVENTS: u64 = 500_000;

/// How many more a transaction is allowed beyond [`USUAL_TXNS`].
const EVENTS_PER_TXN: u64 = 5_000;

/// Transactions of all clients in a life, at most, unless somebody sets them.
const USUAL_TXNS: u64 = 48;

/// Draws one setting.
fn draw<T: Clone>(seed: u64, name: &str, choices: &[T]) -> T {
    choices[Rng::stream(seed, name).index(choices.len())].clone()
}

impl Plan {
    /// How much may happen before it is a livelock.
    pub(crate) fn most_events(&self) -> u64 {
        let txns = (self.client_count as u64).saturating_mul(self.txn_count as u64);
        let beyond = txns.saturating_sub(USUAL_TXNS).saturating_mul(EVENTS_PER_TXN);
        self.kernel.max_events.saturating_add(beyond)
    }

    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let lives = draw(seed, "lives", &[1, 1, 2, 3]);
        Self {
            seed,
            kernel: kernel_settings(seed),
            config: config(seed),
            isolation: draw(seed, "isolation", &LEVELS),
            judged_as: None,
            client_count: draw(seed, "clients", &[2, 2, 2, 3, 4]),
            txn_count: draw(seed, "txns", &[3, 6, 12]),
            lives: draw_lives(seed, lives),
            weather: Weather::draw(seed),
            without: Vec::new(),
            deaf_to: Vec::new(),
            replica_count: draw(seed, "replicas", &[1, 2, 2, 3]),
            operations: None,
            preemptions: None,
        }
    }
}

/// Whether a scenario that can do without trouble does.
pub(crate) fn is_calm(seed: u64) -> bool {
    draw(seed, "calm", &[true, false])
}

fn level_of(name: &str) -> Result<IsolationLevel, String> {
    let found = LEVELS.into_iter().find(|level| level.to_string() == name);
    found.ok_or_else(|| format!("no isolation level \"{name}\""))
}

/// Seeds with a damaged disk: one of so many. Most end when the damage is reported.
const DAMAGED_ONE_IN: u64 = 4;

fn draw_lives(seed: u64, count: u64) -> Vec<Life> {
    let mut lives: Vec<Life> = (0..count).map(|life| draw_life(seed, life)).collect();
    if Rng::stream(seed, "damaged").chance(1, DAMAGED_ONE_IN) {
        draw_damage(seed, &mut lives);
    }
    lives
}

fn draw_damage(seed: u64, lives: &mut [Life]) {
    let mut rng = Rng::stream(seed, "damage");
    let damage = Damage::draw(&mut rng);
    let struck = rng.index(lives.len());
    let life = &mut lives[struck];
    life.damage = Some(damage);
    life.in_recovery = rng.chance(1, 2);
    if rng.chance(1, 2) {
        // Otherwise the life may end before the damage strikes.
        life.trouble = Trouble::Nothing;
    }
    // What a lie left unsaved may be lost in a later life too.
    for life in &mut lives[struck..] {
        life.crash = damage.allowed(life.crash);
    }
}

fn draw_life(seed: u64, life: u64) -> Life {
    let mut rng = Rng::stream(seed, &format!("life {life}"));
    let trouble = Trouble::draw(&mut rng);
    let crash = draw_crash_mode(&mut rng);
    let closes = rng.chance(1, 4);
    // Also backwards from life to life: the clock of a node may jump.
    let ahead = Duration::from_millis(rng.below(20_000));
    let in_recovery = rng.chance(3, 8);
    let crash = trouble.worst(crash, &mut Rng::stream(seed, &format!("crash of life {life}")));
    let mut rng = Rng::stream(seed, &format!("time of life {life}"));
    let (hold, wall) = (draw_hold(&mut rng), draw_clock(ahead, &mut rng));
    let number = life as u32 + 1;
    Life { number, trouble, damage: None, hold, in_recovery, crash, closes, wall }
}

fn kernel_settings(seed: u64) -> KernelSettings {
    let delays = [Chance::NEVER, Chance::one_in(4), Chance::one_in(16), Chance::one_in(64)];
    let switches = [Chance::NEVER, Chance::one_in(2), Chance::one_in(8)];
    KernelSettings {
        seed,
        delay: draw(seed, "delay", &delays),
        max_delay_ns: 300_000,
        switch: draw(seed, "switch", &switches),
        max_disk_ns: draw(seed, "disk", &[5_000, 50_000]),
        max_events: EVENTS,
        priority_changes: draw(seed, "priorities", &[None, None, None, Some(2)]),
        buggifies: draw(seed, "buggifies", &[true, true, false]),
    }
}

/// Sizes so small that a few dozen transactions reach every part.
fn config(seed: u64) -> Config {
    // The memory engine keeps nothing, so it has little to get wrong: only on request.
    let durable: Vec<&str> = ENGINES.iter().copied().filter(|name| *name != "memory").collect();
    Config {
        data: "/node".into(),
        engine: draw(seed, "engine", &durable).to_owned(),
        control: draw(seed, "control", CONTROLS).to_owned(),
        write_buffer_bytes: draw(seed, "write buffer", &[1 << 10, 2 << 10, 4 << 10, 16 << 10]),
        cache_bytes: draw(seed, "cache", &[4 << 10, 64 << 10]),
        block_size_bytes: draw(seed, "block", &[256, 512, 1024]),
        filter_bits_per_key: draw(seed, "filter", &[0, 10]),
        filter: draw(seed, "filter kind", &[FilterKind::Bloom, FilterKind::Fuse]),
        compression: draw(
            seed,
            "compression",
            &[Compression::None, Compression::Lz4, Compression::Zstd],
        ),
        dictionary_sample_bytes: draw(seed, "dictionary", &DICTIONARY_SAMPLES),
        compaction: draw(seed, "compaction", &[Compaction::Leveled, Compaction::Tiered]),
        step_bytes: draw(seed, "step", &[1, 512, 8 << 10, 4 << 20]),
        transaction_memory_bytes: draw(seed, "transaction memory", &TRANSACTION_MEMORY),
        // A large one would be most of what the simulated disk writes.
        ballast_bytes: draw(seed, "ballast", &[0, 4 << 10, 64 << 10]),
        checkpoint_log_bytes: draw(seed, "checkpoint", &[1 << 10, 4 << 10, 16 << 10]),
        maintain_log_bytes: draw(seed, "maintain", &[256, 1 << 10, 4 << 10]),
        wal_segment_bytes: draw(seed, "segment", &[1 << 10, 2 << 10, 4 << 10, 16 << 10]),
        wal_buffer_bytes: draw(seed, "log buffer", &[512, 2 << 10, 8 << 10]),
        wal_spare_segments: draw(seed, "spares", &[0, 1, 2]),
        retention: draw(seed, "retention", &RETENTION),
        statement_memory_bytes: draw(seed, "statement memory", &[1 << 20, 1 << 30]),
        ..Config::default()
    }
}

/// Sometimes so little that one write or a few go to disk.
const TRANSACTION_MEMORY: [usize; 6] = [1, 300, 1 << 10, 64 << 20, 64 << 20, 64 << 20];

/// Seldom so little that tables have dictionaries: to train one takes longer than a seed.
const DICTIONARY_SAMPLES: [usize; 8] =
    [0, 1 << 10, 4 << 20, 4 << 20, 4 << 20, 4 << 20, 4 << 20, 4 << 20];

/// Mostly for ever; sometimes about as long as a life lasts in virtual time.
const RETENTION: [Option<Duration>; 4] =
    [None, None, Some(Duration::from_millis(1)), Some(Duration::from_millis(10))];

impl Plan {
    /// Fixes a setting. Keys are those of the configuration, and `sim.…` for the harness.
    ///
    /// # Errors
    /// No such key, or not a value of it.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number = || {
            let parsed: Result<usize, _> = value.parse();
            parsed.map_err(|_| format!("{key} cannot be \"{value}\": it must be a number"))
        };
        match key {
            "sim.isolation" => self.isolation = level_of(value)?,
            "sim.judge" => self.judged_as = Some(level_of(value)?),
            "sim.clients" => self.client_count = number()?.clamp(1, 16),
            "sim.transactions" => self.txn_count = number()?,
            "sim.without" => {
                // Twice: one kind of loss gives way to another, which may be left out too.
                for kind in value.split_whitespace().chain(value.split_whitespace()) {
                    do_without(self, kind)?;
                }
            }
            "sim.deaf" => {
                for name in value.split_whitespace() {
                    let known = ORACLES.iter().find(|oracle| **oracle == name);
                    self.deaf_to.push(known.ok_or_else(|| format!("no oracle \"{name}\""))?);
                }
            }
            "sim.faults" => keep_faults(&mut self.lives, value)?,
            "sim.operations" => {
                let wanted: Result<_, _> = value.split_whitespace().map(str::parse).collect();
                self.operations = Some(wanted?);
            }
            "sim.preemptions" => self.preemptions = Some(places(value)?),
            "sim.lives" => self.lives.truncate(number()?),
            "sim.damage" => match value {
                "off" => self.lives.iter_mut().for_each(|life| life.damage = None),
                "on" if self.lives.is_empty() => {}
                "on" => draw_damage(self.seed, &mut self.lives),
                _ => return Err(format!("{key} can be \"on\" or \"off\", not \"{value}\"")),
            },
            "sim.trouble" | "sim.holds" | "sim.clocks" | "sim.delays" | "sim.switches"
            | "sim.buggify" => {
                if value != "off" {
                    return Err(format!("{key} can only be \"off\", not \"{value}\""));
                }
                self.do_without(key);
            }
            "sim.weather" if value == "fair" => {
                self.weather = Weather::default();
                self.without.extend(CUTS);
            }
            "sim.weather" => return Err(format!("{key} can only be \"fair\", not \"{value}\"")),
            "sim.priorities" => {
                let count = u32::try_from(number()?).unwrap_or(u32::MAX).min(1000);
                self.kernel.priority_changes = Some(count).filter(|count| *count > 0);
            }
            _ => self.config.set(key, value).map_err(|error| error.to_string())?,
        }
        Ok(())
    }

    /// Whether a life is of any use: a plan of which parts are left out may have left out all of it.
    pub(crate) fn lives_through(&self, life: &Life) -> bool {
        let Some(operations) = &self.operations else { return true };
        let is_quiet = faults(std::slice::from_ref(life)).is_empty();
        !is_quiet || operations.iter().any(|operation| operation.life == life.number)
    }

    /// Takes a sort of mischief out.
    fn do_without(&mut self, key: &str) {
        match key {
            "sim.delays" => self.kernel.delay = Chance::NEVER,
            "sim.switches" => self.kernel.switch = Chance::NEVER,
            "sim.buggify" => self.kernel.buggifies = false,
            _ => {}
        }
        for life in &mut self.lives {
            match key {
                "sim.trouble" => life.trouble = Trouble::Nothing,
                "sim.holds" => life.hold = None,
                "sim.clocks" => life.wall = WallClock::default(),
                _ => {}
            }
        }
    }

    /// The plan, to be read.
    pub(crate) fn describe(&self) -> String {
        let Self { config, kernel, .. } = self;
        let chance = |chance: Chance| match chance.numerator {
            0 => "never".to_owned(),
            numerator => format!("{numerator} in {}", chance.denominator),
        };
        let schedule = match kernel.priority_changes {
            Some(count) => format!("by priorities that change {count} times"),
            None => format!("switched {}", chance(kernel.switch)),
        };
        let mut text = format!(
            "{} with {}, {}; {} clients, {} transactions each in each life; {schedule}, held up {}{}",
            config.engine,
            config.control,
            self.isolation,
            self.client_count,
            self.txn_count,
            chance(kernel.delay),
            if kernel.buggifies { "; makes mischief" } else { "" },
        );
        for (number, life) in self.lives.iter().enumerate() {
            let Life { number: _, trouble, damage, hold, in_recovery, crash, closes, wall } = life;
            let when = if *in_recovery { "as it opens" } else { "as clients begin" };
            let end = if *closes { "closed if it lives" } else { "never closed" };
            let mut parts = vec![format!("{trouble:?} {when}"), end.to_owned()];
            parts.extend(damage.map(|damage| format!("{damage:?}")));
            parts.extend(hold.map(|hold| format!("{hold:?}")));
            parts.push(format!("{wall:?}"));
            parts.push(format!("crash {crash:?}"));
            text.push_str(&format!("\nlife {}: {}", number + 1, parts.join("; ")));
        }
        text.push_str(&format!("\nlife {}: healthy", self.lives.len() + 1));
        text
    }
}
