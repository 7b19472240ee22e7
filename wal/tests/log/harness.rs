//! A log in a scratch directory, and surgery on its files.
#![expect(clippy::unwrap_used, reason = "test code; clippy exempts only functions marked as tests")]

use std::path::PathBuf;

use driftdb_env::Env;
use driftdb_storage::{Lsn, Result};
use driftdb_wal::{Wal, WalOptions};

pub(crate) struct Scratch {
    pub(crate) env: Env,
    pub(crate) options: WalOptions,
    dir: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { env: Env::os(), options: WalOptions::tiny(), dir }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.path().join("wal")
    }

    pub(crate) fn try_open(&self) -> Result<Wal> {
        Wal::open(&self.env, &self.dir(), &self.options)
    }

    pub(crate) fn open(&self) -> Wal {
        self.try_open().unwrap()
    }
}

/// Appends one record and waits for it.
pub(crate) fn commit(wal: &Wal, payload: &[u8]) -> Lsn {
    let lsn = wal.append(&[payload]).unwrap();
    wal.wait_durable(lsn).unwrap();
    lsn
}

/// All records after a position.
pub(crate) fn records(wal: &Wal, after: Lsn) -> Vec<(Lsn, Vec<u8>)> {
    let mut records = Vec::new();
    let visit = &mut |end, payload: &[u8]| {
        records.push((end, payload.to_vec()));
        Ok(())
    };
    wal.replay(after, visit).unwrap();
    records
}
