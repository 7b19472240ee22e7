//! Up to when commits are visible.

use std::fmt;
use std::sync::Arc;

use driftdb_env::sync::atomic::{AtomicU64, Ordering};
use driftdb_storage::Timestamp;

/// The timestamp of the newest visible commit. The store moves it forward, once a commit is durable;
/// its control and its transactions read it. Clones share it.
#[derive(Clone)]
pub struct VisibleClock {
    ts: Arc<AtomicU64>,
}

impl VisibleClock {
    /// A clock that starts at a commit.
    pub fn new(ts: Timestamp) -> Self {
        Self { ts: Arc::new(AtomicU64::new(ts.0)) }
    }

    /// The newest visible commit.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.ts.load(Ordering::SeqCst))
    }

    /// Makes everything up to a commit visible; what is visible already stays so.
    pub fn advance(&self, ts: Timestamp) {
        self.ts.fetch_max(ts.0, Ordering::SeqCst);
    }
}

impl fmt::Debug for VisibleClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VisibleClock").field(&self.now()).finish()
    }
}
