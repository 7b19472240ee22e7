//! The promise about history: what was asked for, and what the engine is told.
//!
//! What the engine is told follows the wall clock (a retention period) and stays below every
//! registered reader and below the newest visible commit.

use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::ConcurrencyControl;
use driftdb_env::sync::RwLock;
use driftdb_storage::{Engine, RetentionPolicy, Timestamp};

use crate::store::Shared;

pub(crate) struct RetentionState {
    period: Option<Duration>,
    policies: RwLock<Policies>,
}

#[derive(Default)]
struct Policies {
    asked: RetentionPolicy,
    told: Arc<RetentionPolicy>,
}

impl RetentionState {
    pub(crate) fn new(period: Option<Duration>) -> Self {
        Self { period, policies: RwLock::default() }
    }

    /// What the engine was told last.
    pub(crate) fn policy(&self) -> Arc<RetentionPolicy> {
        Arc::clone(&self.policies.read().told)
    }
}

impl<E: Engine, C: ConcurrencyControl> Shared<E, C> {
    /// Replaces what is asked for.
    pub(crate) fn ask_retention(&self, policy: RetentionPolicy) {
        let mut policies = self.retention.policies.write();
        policies.asked = policy;
        self.tell_retention(&mut policies);
    }

    /// Lets the promise follow the clock and the readers.
    pub(crate) fn refresh_retention(&self) {
        self.tell_retention(&mut self.retention.policies.write());
    }

    fn tell_retention(&self, policies: &mut Policies) {
        let mut policy = policies.asked.clone();
        if let Some(period) = self.retention.period {
            let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
            let since = Timestamp(self.clock.wall().0.saturating_sub(nanos));
            policy.default.keep_since = policy.default.keep_since.max(since);
        }
        let specific = policy.by_keyspace.values().map(|retention| retention.keep_since);
        let target = specific.fold(policy.default.keep_since, Timestamp::max);
        let floor = self.readers.raise_floor(target.min(self.visible()));
        policy.default.keep_since = policy.default.keep_since.min(floor);
        for retention in policy.by_keyspace.values_mut() {
            retention.keep_since = retention.keep_since.min(floor);
        }
        if policy != *policies.told {
            policies.told = Arc::new(policy);
            self.engine.set_retention(Arc::clone(&policies.told));
        }
    }
}
