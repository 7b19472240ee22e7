//! What only engines with files can do: be filled from outside, and be read in spite of damage.

use std::path::Path;

use driftdb_env::Env;

use crate::{Commit, Damage, Engine, EngineOptions, Entry, Keyspace, KeyspaceId, Result};

/// An engine that keeps files.
pub trait FileEngine: Engine {
    /// What fills a new engine.
    type Loader: Loader;

    /// Begins a new engine in `dir`, which is made and must be empty or absent.
    ///
    /// # Errors
    /// I/O; the directory is not empty.
    fn loader(env: &Env, dir: &Path, options: &EngineOptions) -> Result<Self::Loader>;

    /// Reads everything that verifies out of a directory that nobody has open, changes nothing there,
    /// and tells `sink`: first up to which commit it should be complete, then each keyspace, ascending,
    /// with its versions in the order of [`Loader::add`]; and each lost place as it is met. A lost place
    /// never hides another, and never makes an older version pass for a newer one *silently*: its keys
    /// are reported.
    ///
    /// # Errors
    /// Those of `sink`; I/O errors other than damage; nothing at all is to be had (a foreign
    /// directory, a newer format).
    fn salvage(
        env: &Env,
        dir: &Path,
        options: &EngineOptions,
        sink: &mut dyn SalvageSink,
    ) -> Result<()>;
}

/// Fills a new engine. Nothing can be opened before [`Loader::finish`] has returned; dropped before,
/// it leaves a directory that [`Engine::open`] refuses or takes for empty.
pub trait Loader {
    /// Begins a keyspace. Ids ascend.
    ///
    /// # Errors
    /// I/O; [`crate::StorageError::Internal`] if the order is broken.
    fn keyspace(&mut self, space: &Keyspace) -> Result<()>;

    /// Adds a version of the keyspace begun last. Keys ascend; versions of a key come newest first.
    ///
    /// # Errors
    /// I/O; an entry that the engine does not take; [`crate::StorageError::Internal`] if the order is
    /// broken, or no keyspace was begun. After an error the loader is good for nothing but to be dropped.
    fn add(&mut self, entry: Entry<'_>) -> Result<()>;

    /// Makes everything durable, as complete up to `at`.
    ///
    /// # Errors
    /// I/O.
    fn finish(self, at: Commit) -> Result<()>;
}

/// Takes what a salvage finds.
pub trait SalvageSink {
    /// The commit up to which everything should be there. Its log position is 0 where that is not
    /// known any more.
    ///
    /// # Errors
    /// Of the sink: they end the salvage.
    fn begin(&mut self, at: Commit) -> Result<()>;

    /// A keyspace; its versions follow.
    ///
    /// # Errors
    /// Of the sink: they end the salvage.
    fn keyspace(&mut self, space: &Keyspace) -> Result<()>;

    /// A version that verifies.
    ///
    /// # Errors
    /// Of the sink: they end the salvage.
    fn version(&mut self, space: KeyspaceId, entry: Entry<'_>) -> Result<()>;

    /// A place that is lost.
    fn lost(&mut self, damage: Damage);

    /// Bytes read so far, of about so many in all.
    fn progress(&mut self, done_bytes: u64, total_bytes: u64);
}
