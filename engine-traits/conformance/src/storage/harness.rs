//! An engine under test with the world around it: a disk that fails, a log that survives, a clock.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftdb_env::{Env, Rng};
use driftdb_sim_disk::{CrashMode, SimDisk, sim_env};
use driftdb_storage::{
    Commit, Engine, EngineOptions, KeyspaceId, LogBarrier, Lsn, Maintained, Result,
    RetentionPolicy, StorageError, Timestamp, VerifyDepth, WriteBatch,
};

use super::compare::{Tolerance, compare};
use super::model::Model;

/// The keyspace most cases write into.
pub const SPACE: KeyspaceId = KeyspaceId(7);
/// A second one, beside it in the order of ids.
pub const OTHER: KeyspaceId = KeyspaceId(8);

/// What happens after each commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// Nothing: data stays in memory.
    None,
    /// Maintenance until nothing is due.
    Maintain,
    /// Maintenance, and a checkpoint after every so many commits.
    Checkpoint(usize),
}

/// The log as an engine sees it. The harness keeps every commit; this says how far it is synced.
#[derive(Debug, Default)]
pub struct Barrier {
    granted: Cell<Lsn>,
    end: Cell<Lsn>,
    refuses: Cell<bool>,
}

impl LogBarrier for Barrier {
    fn wait_durable(&self, lsn: Lsn) -> Result<()> {
        assert!(lsn <= self.end.get(), "the engine waits for {lsn:?}, which the log does not hold");
        if self.refuses.get() {
            return Err(StorageError::Poisoned { first: "the log refuses (injected)".to_owned() });
        }
        self.granted.set(self.granted.get().max(lsn));
        Ok(())
    }
}

/// One engine, its disk, and its log.
pub struct Harness<E: Engine> {
    /// The disk.
    pub disk: SimDisk,
    /// Every commit, in order: the log that survives.
    pub log: Vec<(Commit, WriteBatch)>,
    /// How far the log is synced.
    pub barrier: Barrier,
    /// What happens after each commit.
    pub upkeep: Upkeep,
    /// The promise in force; set again at each open.
    pub policy: Arc<RetentionPolicy>,
    /// The settings.
    pub options: EngineOptions,
    /// Draws of the case.
    pub rng: Rng,
    engine: Option<E>,
    seed: u64,
    /// A world and a directory in it that stand in for the virtual disk.
    elsewhere: Option<(Env, PathBuf)>,
}

/// Where the engine lives.
pub fn directory() -> PathBuf {
    PathBuf::from("/data/engine")
}

impl<E: Engine> Harness<E> {
    /// A new, empty, open engine.
    pub fn new(seed: u64) -> Self {
        let mut harness = Self::closed(SimDisk::new(seed), seed);
        harness.open().expect("an empty directory opens");
        harness
    }

    /// A harness over `disk`, not yet open.
    pub fn closed(disk: SimDisk, seed: u64) -> Self {
        Self {
            disk,
            log: Vec::new(),
            barrier: Barrier::default(),
            upkeep: Upkeep::None,
            policy: Arc::default(),
            options: EngineOptions::tiny(),
            rng: Rng::stream(seed, "conformance"),
            engine: None,
            seed,
            elsewhere: None,
        }
    }

    /// A closed harness over a directory of another world, where a crash stops the process only.
    pub fn elsewhere(env: Env, dir: PathBuf, seed: u64) -> Self {
        Self { elsewhere: Some((env, dir)), ..Self::closed(SimDisk::new(seed), seed) }
    }

    /// A closed harness over a fork of the disk, with the same log.
    pub fn fork(&self, seed: u64) -> Self {
        self.over(self.disk.fork(seed), seed)
    }

    /// A closed harness over another disk, with the same log, promise and settings.
    pub fn over(&self, disk: SimDisk, seed: u64) -> Self {
        let mut fork = Self::closed(disk, seed);
        fork.log.clone_from(&self.log);
        fork.barrier.granted.set(self.barrier.granted.get());
        fork.barrier.end.set(self.barrier.end.get());
        fork.policy = Arc::clone(&self.policy);
        fork.options.clone_from(&self.options);
        fork
    }

    /// The world that the engine is opened in. A directory above the engine's is there, as the server
    /// makes it.
    ///
    /// # Errors
    /// Of the disk.
    pub fn env(&self) -> Result<Env> {
        let env = sim_env(&self.disk, self.seed);
        env.disk().create_dir_all(Path::new("/data"))?;
        Ok(env)
    }

    /// The open engine.
    ///
    /// # Panics
    /// If it is closed.
    pub fn engine(&self) -> &E {
        self.engine.as_ref().expect("the case opened the engine")
    }

    /// Whether an engine is open.
    pub fn is_open(&self) -> bool {
        self.engine.is_some()
    }

    /// Opens without replay.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open(&mut self) -> Result<()> {
        self.engine = None;
        let engine = match &self.elsewhere {
            Some((env, dir)) => E::open(env, dir, &self.options)?,
            None => E::open(&self.env()?, &directory(), &self.options)?,
        };
        engine.set_retention(Arc::clone(&self.policy));
        self.engine = Some(engine);
        Ok(())
    }

    /// Closes: the engine is dropped, nothing crashes.
    pub fn close(&mut self) {
        self.engine = None;
    }

    /// Feeds the log to the engine from `from` (excluded) on.
    ///
    /// # Errors
    /// As [`Engine::apply`].
    pub fn replay_after(&self, from: Commit) -> Result<()> {
        for (at, batch) in self.log.iter().filter(|(at, _)| *at > from) {
            self.engine().apply(batch, *at)?;
        }
        Ok(())
    }

    /// Opens and replays from where the engine says.
    ///
    /// # Errors
    /// As [`Engine::open`] and [`Engine::apply`].
    pub fn reopen(&mut self) -> Result<()> {
        self.open()?;
        let durable = self.engine().durable();
        let known = durable == Commit::default() || self.log.iter().any(|(at, _)| *at == durable);
        if !known {
            let text = format!("durable {durable:?} is no commit of the log");
            return Err(StorageError::Internal(text));
        }
        self.replay_after(durable)
    }

    /// A crash of the machine. If `loses_log`, the part of the log that nobody waited for is lost
    /// from a random commit on, as a crash would do to a log.
    pub fn crash(&mut self, mode: CrashMode, loses_log: bool) {
        // The engine dies without its destructor having any effect on the disk.
        self.disk.crash_with(mode);
        self.engine = None;
        self.disk.clear_faults();
        self.barrier.refuses.set(false);
        if loses_log {
            let synced = self.log.partition_point(|(at, _)| at.lsn <= self.barrier.granted.get());
            let keep = synced + self.rng.index(self.log.len() - synced + 1);
            self.log.truncate(keep);
            let end = self.log.last().map_or(Lsn(0), |(at, _)| at.lsn);
            self.barrier.end.set(end);
            self.barrier.granted.set(end);
        }
    }

    /// The last commit of the log.
    pub fn last(&self) -> Commit {
        self.log.last().map_or(Commit::default(), |(at, _)| *at)
    }

    /// Logs a batch at the next commit, applies it, and does the upkeep.
    ///
    /// # Errors
    /// Of any of these. The batch is in the log in any case.
    pub fn commit(&mut self, batch: WriteBatch) -> Result<Commit> {
        let last = self.last();
        let at = Commit {
            lsn: Lsn(last.lsn.0 + 24 + batch.as_bytes().len() as u64),
            ts: Timestamp(last.ts.0 + 10),
        };
        self.commit_at(batch, at)?;
        Ok(at)
    }

    /// As [`Harness::commit`], at a given commit.
    ///
    /// # Errors
    /// As [`Harness::commit`].
    pub fn commit_at(&mut self, batch: WriteBatch, at: Commit) -> Result<()> {
        self.log.push((at, batch));
        self.barrier.end.set(at.lsn);
        let (at, batch) = self.log.last().expect("pushed above");
        self.engine().apply(batch, *at)?;
        self.do_upkeep()
    }

    fn do_upkeep(&self) -> Result<()> {
        match self.upkeep {
            Upkeep::None => Ok(()),
            Upkeep::Maintain => self.maintain(),
            Upkeep::Checkpoint(every) => {
                self.maintain()?;
                if self.log.len().is_multiple_of(every) {
                    self.checkpoint()?;
                }
                Ok(())
            }
        }
    }

    /// Maintains until nothing is due.
    ///
    /// # Errors
    /// As [`Engine::maintain`].
    ///
    /// # Panics
    /// If work never ends, or the engine became durable beyond what the log had granted.
    pub fn maintain(&self) -> Result<()> {
        for _ in 0..10_000 {
            if self.engine().maintain(&self.barrier)? == Maintained::Idle {
                self.check_barrier();
                return Ok(());
            }
        }
        panic!("maintenance does not come to an end");
    }

    /// Takes a checkpoint.
    ///
    /// # Errors
    /// As [`Engine::checkpoint`].
    ///
    /// # Panics
    /// If the engine became durable beyond what the log had granted, or did not say so.
    pub fn checkpoint(&self) -> Result<Commit> {
        let durable = self.engine().checkpoint(&self.barrier)?;
        assert_eq!(durable, self.engine().durable(), "checkpoint returns the new durable()");
        self.check_barrier();
        Ok(durable)
    }

    fn check_barrier(&self) {
        let (durable, granted) = (self.engine().durable().lsn, self.barrier.granted.get());
        assert!(durable <= granted, "durable up to {durable:?}, the log up to {granted:?}");
    }

    /// Lets the log refuse every wait from now on, or grant again.
    pub fn refuse_barrier(&self, refuses: bool) {
        self.barrier.refuses.set(refuses);
    }

    /// How far the log has promised durability.
    pub fn granted(&self) -> Lsn {
        self.barrier.granted.get()
    }

    /// Writes puts (`Some`) and deletes (`None`) into a keyspace as one commit.
    ///
    /// # Panics
    /// If the engine refuses.
    pub fn write(&mut self, space: KeyspaceId, changes: &[(&[u8], Option<&[u8]>)]) -> Commit {
        let mut batch = WriteBatch::new();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(space, key, value),
                None => batch.delete(space, key),
            }
        }
        self.commit(batch).expect("a healthy engine takes writes")
    }

    /// Creates a keyspace as one commit.
    ///
    /// # Panics
    /// If the engine refuses.
    pub fn create(&mut self, space: KeyspaceId) -> Commit {
        let mut batch = WriteBatch::new();
        batch.create_keyspace(space);
        self.commit(batch).expect("a healthy engine creates keyspaces")
    }

    /// Drops a keyspace as one commit.
    ///
    /// # Panics
    /// If the engine refuses.
    pub fn drop_space(&mut self, space: KeyspaceId) -> Commit {
        let mut batch = WriteBatch::new();
        batch.drop_keyspace(space);
        self.commit(batch).expect("a healthy engine drops keyspaces")
    }

    /// Sets the promise, in the engine and for later opens.
    pub fn retain(&mut self, policy: RetentionPolicy) {
        self.policy = Arc::new(policy);
        self.engine().set_retention(Arc::clone(&self.policy));
    }

    /// Everything the engine shows is what the log says, without a single error.
    ///
    /// # Panics
    /// If it is not; the message begins with `context`.
    pub fn check(&self, context: &str) {
        let model = Model::of(&self.log);
        let snapshot = self.engine().snapshot();
        if let Err(wrong) = compare(&snapshot, &model, &self.policy, Tolerance::Strict) {
            panic!("{context}: {wrong}");
        }
    }

    /// As [`Harness::check`], and everything in the log is there, and the files are sound.
    ///
    /// # Panics
    /// As [`Harness::check`].
    pub fn check_whole(&self, context: &str) {
        assert_eq!(self.engine().applied(), self.last(), "{context}: applied() lags the log");
        self.check(context);
        let mut damages = Vec::new();
        let verified = self.engine().verify(VerifyDepth::Full, &mut |damage| damages.push(damage));
        assert!(verified.is_ok(), "{context}: verify fails: {verified:?}");
        assert!(damages.is_empty(), "{context}: verify finds {damages:?}");
    }
}

/// Runs `check` over the same data in each state an engine can be in: in memory, flushed, both,
/// merged, reopened from disk and from the log. `check` gets the name of the state for messages.
pub fn in_every_state<E: Engine>(
    seed: u64,
    fill: impl Fn(&mut Harness<E>),
    check: impl Fn(&mut Harness<E>, &str),
) {
    let upkeeps = [Upkeep::None, Upkeep::Maintain, Upkeep::Checkpoint(1), Upkeep::Checkpoint(5)];
    for upkeep in upkeeps {
        let mut harness = Harness::<E>::new(seed);
        harness.upkeep = upkeep;
        fill(&mut harness);
        check(&mut harness, &format!("upkeep {upkeep:?}"));
        harness.reopen().expect("a closed engine reopens");
        check(&mut harness, &format!("upkeep {upkeep:?}, reopened"));
        harness.checkpoint().expect("a healthy engine checkpoints");
        check(&mut harness, &format!("upkeep {upkeep:?}, reopened, checkpoint"));
        harness.reopen().expect("a closed engine reopens");
        harness.check_whole(&format!("upkeep {upkeep:?}, reopened after a checkpoint"));
        check(&mut harness, &format!("upkeep {upkeep:?}, reopened after a checkpoint"));
    }
}
