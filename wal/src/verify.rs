//! Checking a log without opening it.

use std::path::Path;

use driftdb_env::{Env, OpenHow};
use driftdb_storage::{Damage, Result};

use crate::recovery::{self, Extent};
use crate::{Wal, WalOptions};

impl Wal {
    /// Reads the log in `dir` from end to end, changes nothing, and calls `found` for each damage.
    /// A torn tail is none: the next open cuts it. Nobody may have the log open for writing.
    ///
    /// # Errors
    /// I/O errors other than damage; a newer format.
    pub fn verify(
        env: &Env,
        dir: &Path,
        _options: &WalOptions,
        found: &mut dyn FnMut(Damage),
    ) -> Result<()> {
        let report = &mut |damage| {
            found(damage);
            Ok(())
        };
        recovery::inspect(env, dir, OpenHow::Read, Extent::Whole, report)?;
        Ok(())
    }
}
