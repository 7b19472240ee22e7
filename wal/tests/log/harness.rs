//! A log on a virtual disk, and what must be in it.
#![expect(clippy::unwrap_used, reason = "test code; clippy exempts only functions marked as tests")]

use std::path::{Path, PathBuf};

use driftdb_env::{Env, Rng};
use driftdb_sim_disk::{SimDisk, sim_env};
use driftdb_storage::{Damage, Lsn, Result};
use driftdb_wal::{Wal, WalOptions};

pub(crate) const DIR: &str = "/wal";

pub(crate) struct Scratch {
    pub(crate) disk: SimDisk,
    pub(crate) env: Env,
    pub(crate) options: WalOptions,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self::on(SimDisk::new(1))
    }

    pub(crate) fn on(disk: SimDisk) -> Self {
        let env = sim_env(&disk, 1);
        Self { disk, env, options: WalOptions::tiny() }
    }

    /// The same files, to be damaged apart.
    pub(crate) fn fork(&self) -> Self {
        Self::on(self.disk.fork(1))
    }

    pub(crate) fn try_open(&self) -> Result<Wal> {
        Wal::open(&self.env, Path::new(DIR), &self.options)
    }

    pub(crate) fn open(&self) -> Wal {
        self.try_open().unwrap()
    }

    pub(crate) fn verify(&self) -> Vec<Damage> {
        let mut found = Vec::new();
        let dir = Path::new(DIR);
        Wal::verify(&self.env, dir, &self.options, &mut |damage| found.push(damage)).unwrap();
        found
    }

    /// The files with this ending, in order of their names.
    pub(crate) fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let files = self.disk.files();
        files.into_iter().filter(|path| path.to_string_lossy().ends_with(suffix)).collect()
    }
}

/// Appends one record and waits for it.
pub(crate) fn commit(wal: &Wal, payload: &[u8]) -> Lsn {
    let lsn = wal.append(&[payload]).unwrap();
    wal.wait_durable(lsn).unwrap();
    lsn
}

pub(crate) type Records = Vec<(Lsn, Vec<u8>)>;

/// All records after a position.
pub(crate) fn try_records(wal: &Wal, after: Lsn) -> Result<Records> {
    let mut records = Vec::new();
    let visit = &mut |end, payload: &[u8]| {
        records.push((end, payload.to_vec()));
        Ok(())
    };
    wal.replay(after, visit).map(|()| records)
}

/// All records after a position, which must be readable.
pub(crate) fn records(wal: &Wal, after: Lsn) -> Records {
    try_records(wal, after).unwrap()
}

pub(crate) fn stat(wal: &Wal, name: &str) -> u64 {
    let mut value = None;
    wal.stats(&mut |stat, figure| {
        if stat == name {
            value = Some(figure);
        }
    });
    value.unwrap()
}

/// What was appended, and how much of it must be there after a crash.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) appended: Records,
    pub(crate) acknowledged_count: usize,
    pub(crate) released: Lsn,
}

impl Model {
    /// Appends, commits and releases until done or until the disk fails.
    pub(crate) fn work(&mut self, wal: &Wal, rng: &mut Rng, count: usize) -> Result<()> {
        for _ in 0..count {
            let mut payload = vec![0; rng.index(700)];
            rng.fill(&mut payload);
            let end = wal.append(&[&payload])?;
            self.appended.push((end, payload));
            if rng.chance(1, 3) {
                wal.wait_durable(end)?;
                self.acknowledged_count = self.appended.len();
            }
            if rng.chance(1, 8) && self.acknowledged_count > 0 {
                self.released =
                    self.appended[rng.index(self.acknowledged_count)].0.max(self.released);
                wal.release_before(self.released)?;
            }
        }
        Ok(())
    }

    /// Says what is wrong with a log that was opened again; takes over what is there.
    pub(crate) fn check(&mut self, wal: &Wal) -> std::result::Result<(), String> {
        let found = try_records(wal, self.released).map_err(|error| error.to_string())?;
        let gone = self.appended.iter().filter(|(end, _)| *end <= self.released).count();
        let expected = &self.appended[gone..];
        if found.len() + gone < self.acknowledged_count {
            return Err(format!(
                "{} records acknowledged, {} found",
                self.acknowledged_count,
                found.len() + gone
            ));
        }
        if expected.len() < found.len() || found != expected[..found.len()] {
            return Err("the log holds what was not appended".to_owned());
        }
        if wal.tail() != wal.durable() {
            return Err("a log that was just opened has nothing to flush".to_owned());
        }
        self.appended.truncate(gone + found.len());
        self.acknowledged_count = self.appended.len();
        Ok(())
    }
}
