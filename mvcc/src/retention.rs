//! The promise about history: what was asked for, and what the engine is told.
//!
//! What the engine is told follows the wall clock (a period for the whole store, others for single
//! keyspaces) and stays at or below every registered reader and the newest visible commit.
//!
//! Invariants
//! * No keyspace is told a time above the readers' floor: below the floor, some history may be gone;
//!   above it, none is.
//! * A reader that registered its time and then found the time promised keeps it, also where the floor
//!   has passed it already (it reads keyspaces that keep more than others). Both sides take the latch
//!   of the policies between their two steps: whoever registers before the look at the readers is
//!   respected by it, whoever registers later sees what was told.

use std::sync::Arc;
use std::time::Duration;

use driftdb_concurrency::{ConcurrencyControl, HistoryRules, Keep};
use driftdb_env::sync::RwLock;
use driftdb_env::{planted, sometimes};
use driftdb_storage::{Engine, Retention, RetentionPolicy, Timestamp};

use crate::store::Shared;

pub(crate) struct RetentionState {
    period: Option<Duration>,
    awaits_rules: bool,
    policies: RwLock<Policies>,
}

#[derive(Default)]
struct Policies {
    asked: RetentionPolicy,
    /// `None`: they are to come, and nothing may be forgotten before.
    rules: Option<HistoryRules>,
    told: Arc<RetentionPolicy>,
    /// When keyspaces were made of which the rules do not know yet, ascending.
    unruled: Vec<Timestamp>,
}

impl RetentionState {
    pub(crate) fn new(period: Option<Duration>, awaits_rules: bool) -> Self {
        let rules = (!awaits_rules).then(HistoryRules::default);
        Self {
            period,
            awaits_rules,
            policies: RwLock::new(Policies { rules, ..Policies::default() }),
        }
    }

    /// Keyspaces were made by a commit that is not visible yet: nothing of them may be forgotten before rules
    /// come that know of them. A store to which no rules come keeps its keyspaces as they are asked for.
    pub(crate) fn note_created(&self, ts: Timestamp) {
        if self.awaits_rules {
            self.policies.write().unruled.push(ts);
        }
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

    /// Replaces the exceptions and pins.
    pub(crate) fn set_history_rules(&self, rules: HistoryRules) {
        let mut policies = self.retention.policies.write();
        let known = rules.read_at.unwrap_or(Timestamp::MAX);
        policies.unruled.retain(|made| *made > known);
        policies.rules = Some(rules);
        self.tell_retention(&mut policies);
    }

    /// Lets the promise follow the clock and the readers.
    pub(crate) fn refresh_retention(&self) {
        self.tell_retention(&mut self.retention.policies.write());
    }

    fn tell_retention(&self, policies: &mut Policies) {
        sometimes!("mvcc.retention-awaits-its-rules", policies.rules.is_none());
        let Some(rules) = &policies.rules else { return };
        let mut policy = wanted(&policies.asked, rules, self.retention.period, self.clock.wall());
        if let Some(made) = policies.unruled.first() {
            sometimes!("mvcc.keyspace-without-a-rule-yet");
            // Also that there was nothing before.
            let before = Timestamp(made.0.saturating_sub(1));
            policy.default.keep_since = policy.default.keep_since.min(before);
        }
        let specific = policy.by_keyspace.values().map(|retention| retention.keep_since);
        let target = specific.fold(policy.default.keep_since, Timestamp::max);
        let floor = self.readers.raise_floor(target.min(self.visible()));
        let oldest = self.readers.oldest();
        let oldest = oldest.filter(|_| !planted!("mvcc.retention-passes-low-readers"));
        let most = oldest.map_or(floor, |oldest| floor.min(oldest));
        let told = &policies.told;
        sometimes!("mvcc.floor-held-by-a-reader", floor < target.min(self.visible()));
        // What was told cannot be taken back: whoever registered below it came too late.
        let limit = |retention: &mut Retention, before: &Retention| {
            let most = most.max(before.keep_since).min(floor);
            retention.keep_since = retention.keep_since.min(most);
        };
        limit(&mut policy.default, &told.default);
        for (space, retention) in &mut policy.by_keyspace {
            limit(retention, told.of(*space));
        }
        if policy != **told {
            sometimes!("mvcc.history-let-go", policy.default.keep_since > told.default.keep_since);
            policies.told = Arc::new(policy);
            self.engine.set_retention(Arc::clone(&policies.told));
        }
    }
}

/// What would be told if there were no readers.
fn wanted(
    asked: &RetentionPolicy,
    rules: &HistoryRules,
    period: Option<Duration>,
    now: Timestamp,
) -> RetentionPolicy {
    let since = |period: Duration| {
        let nanos = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Timestamp(now.0.saturating_sub(nanos))
    };
    let mut policy = asked.clone();
    if let Some(period) = period {
        policy.default.keep_since = policy.default.keep_since.max(since(period));
    }
    for (space, keep) in &rules.by_keyspace {
        let retention = policy.by_keyspace.entry(*space).or_insert_with(|| policy.default.clone());
        retention.keep_since = match keep {
            Keep::For(period) => since(*period),
            Keep::Forever => Timestamp::MIN,
        };
    }
    for retention in policy.by_keyspace.values_mut().chain([&mut policy.default]) {
        retention.pins.extend(&rules.pins);
        retention.pins.sort_unstable();
        retention.pins.dedup();
    }
    policy
}

#[cfg(test)]
mod tests {
    use driftdb_storage::KeyspaceId;

    use super::*;

    #[test]
    fn keyspaces_have_periods_of_their_own() {
        let (short, long) = (KeyspaceId(2000), KeyspaceId(2001));
        let rules = HistoryRules {
            by_keyspace: [(short, Keep::For(Duration::from_nanos(10))), (long, Keep::Forever)]
                .into(),
            pins: vec![Timestamp(9), Timestamp(7), Timestamp(9)],
            read_at: None,
        };
        let asked = RetentionPolicy::default();
        let policy = wanted(&asked, &rules, Some(Duration::from_nanos(30)), Timestamp(100));
        let pins = vec![Timestamp(7), Timestamp(9)];
        let since = |ts| Retention { pins: pins.clone(), ..Retention::since(Timestamp(ts)) };
        assert_eq!(policy.default, since(70));
        assert_eq!(*policy.of(short), since(90));
        assert_eq!(*policy.of(long), since(0));
        let none = HistoryRules::default();
        assert_eq!(wanted(&asked, &none, None, Timestamp(100)), asked);
    }
}
