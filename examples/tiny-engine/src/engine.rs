//! The engine: a list of numbers, each appended to a file as a record of twelve bytes, number and checksum.
//!
//! All that the simulator asks of an engine: it reaches files, clocks, threads and latches through `driftdb_env`
//! only. In production it is given `Env::os()`, and runs as any other code.

use std::path::Path;
use std::sync::Arc;

use driftdb_env::kernel::preemption_point;
use driftdb_env::{Env, File, FileKind, IoError, OpenHow, planted};

const RECORD_BYTES: usize = 12;

/// The engine.
pub struct Tiny {
    file: Arc<dyn File>,
    numbers: Vec<u64>,
}

impl std::fmt::Debug for Tiny {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tiny({:?})", self.numbers)
    }
}

fn checksum(number: u64) -> u32 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 ^ 0x5eed
}

/// The number in a whole record; `None` if it is torn.
fn decode(record: [u8; RECORD_BYTES]) -> Option<u64> {
    let (number, sum) = record.split_at(8);
    let number = u64::from_le_bytes(number.try_into().ok()?);
    (checksum(number).to_le_bytes() == *sum).then_some(number)
}

impl Tiny {
    /// Opens it: whole records count, the first that is not whole ends the file.
    ///
    /// # Errors
    /// The disk fails.
    pub fn open(env: &Env) -> Result<Self, IoError> {
        let file = env.disk().open("/numbers".as_ref(), OpenHow::OpenOrCreate, FileKind::Log)?;
        if !planted!("tiny.name-not-synced") {
            // A file has a name for good only when its directory is synced.
            env.disk().sync_dir(Path::new("/"))?;
        }
        let (mut numbers, mut record) = (Vec::new(), [0; RECORD_BYTES]);
        while file.read_at((numbers.len() * RECORD_BYTES) as u64, &mut record)? == RECORD_BYTES {
            let Some(number) = decode(record) else { break };
            numbers.push(number);
        }
        // What was read is about to be shown: it must not be lost any more.
        file.sync_data()?;
        Ok(Self { file, numbers })
    }

    /// All numbers.
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// Adds a number: once this returns, it is there for ever.
    ///
    /// # Errors
    /// The disk fails: whether the number is there is seen by opening again.
    pub fn add(&mut self, number: u64) -> Result<(), IoError> {
        let mut record = number.to_le_bytes().to_vec();
        record.extend(checksum(number).to_le_bytes());
        self.file.write_at((self.numbers.len() * RECORD_BYTES) as u64, &record)?;
        // Here the simulator may let somebody else run, or kill the node.
        preemption_point("tiny.written");
        if !planted!("tiny.acknowledged-before-sync") {
            self.file.sync_data()?;
        }
        self.numbers.push(number);
        Ok(())
    }
}
