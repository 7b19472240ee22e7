//! A durable list of values: records of twelve bytes in a file, value and checksum. A value's number is its place.

use std::path::Path;
use std::sync::Arc;

use driftdb_env::{Env, File, FileKind, IoError, OpenHow};

const RECORD_BYTES: usize = 12;

pub(super) struct Log {
    file: Arc<dyn File>,
    values: Vec<u64>,
}

fn checksum(value: u64) -> u32 {
    (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 ^ 0x5eed
}

impl Log {
    /// Opens it: whole records count, the first that is not whole ends the list. What is there then stays.
    pub(super) fn open(env: &Env) -> Result<Self, IoError> {
        let file = env.disk().open("/log".as_ref(), OpenHow::OpenOrCreate, FileKind::Log)?;
        env.disk().sync_dir(Path::new("/"))?;
        let (mut values, mut record) = (Vec::new(), [0; RECORD_BYTES]);
        while file.read_at((values.len() * RECORD_BYTES) as u64, &mut record)? == RECORD_BYTES {
            let (value, sum) = record.split_at(8);
            let value = value.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
            if checksum(value).to_le_bytes() != *sum {
                break;
            }
            values.push(value);
        }
        file.sync_data()?;
        Ok(Self { file, values })
    }

    pub(super) fn values(&self) -> &[u64] {
        &self.values
    }

    pub(super) fn len(&self) -> u64 {
        self.values.len() as u64
    }

    /// Adds a value, for good if it is synced. After an error the list must be opened anew.
    pub(super) fn add(&mut self, value: u64, is_synced: bool) -> Result<(), IoError> {
        let mut record = value.to_le_bytes().to_vec();
        record.extend(checksum(value).to_le_bytes());
        self.file.write_at((self.values.len() * RECORD_BYTES) as u64, &record)?;
        if is_synced {
            self.file.sync_data()?;
        }
        self.values.push(value);
        Ok(())
    }
}
