//! A stable view: the root of one moment, and the facts and promises of that moment.

use std::sync::Arc;

use driftdb_storage::{
    Commit, Keyspace, KeyspaceId, Result, RetentionPolicy, ScanSpec, Snapshot, Timestamp, Visible,
};

use crate::codec::Overflow;
use crate::facts::Facts;
use crate::key::VersionKey;
use crate::node::Leaf;
use crate::pager::Pager;
use crate::position::find;
use crate::scan::BtreeCursor;
use crate::slotted::{Slot, Tag};
use crate::tree::Root;

/// Held by everybody who may read pages of one epoch; see [`crate::free`].
#[derive(Debug)]
pub(crate) struct Pin;

/// A stable view of a [`crate::BtreeEngine`].
#[derive(Clone)]
pub struct BtreeSnapshot {
    pub(crate) view: Arc<View>,
}

/// What a snapshot shares with its copies.
pub(crate) struct View {
    pub(crate) pager: Arc<Pager>,
    pub(crate) root: Root,
    pub(crate) at: Commit,
    pub(crate) facts: Arc<Facts>,
    pub(crate) policy: Arc<RetentionPolicy>,
    pub(crate) _pin: Arc<Pin>,
}

impl std::fmt::Debug for BtreeSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BtreeSnapshot").field("at", &self.view.at).finish_non_exhaustive()
    }
}

/// Appends the value of an entry to `out`; false, with `out` untouched, for a tombstone.
pub(crate) fn copy_value(
    pager: &Pager,
    leaf: &Leaf,
    slot: Slot<'_>,
    out: &mut Vec<u8>,
) -> Result<bool> {
    match slot.tag {
        Tag::Inline => out.extend_from_slice(slot.value),
        Tag::Pending => out.extend_from_slice(&leaf.pending(slot.value).bytes),
        Tag::Overflow | Tag::Borrowed => {
            let chain = pager.read_overflow(Overflow::decode(slot.value))?;
            out.extend_from_slice(&chain.payload);
        }
        Tag::Tombstone | Tag::Child => return Ok(false),
    }
    Ok(true)
}

impl Snapshot for BtreeSnapshot {
    type Cursor<'a> = BtreeCursor<'a>;

    fn at(&self) -> Commit {
        self.view.at
    }

    fn keyspaces(&self) -> Vec<Keyspace> {
        self.view.facts.list(self.view.at.ts)
    }

    fn get(
        &self,
        space: KeyspaceId,
        key: &[u8],
        ts: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Option<Timestamp>> {
        let view = &*self.view;
        view.facts.check(&view.policy, space, ts, view.at.ts)?;
        let key = VersionKey::at(space, key, ts.min(view.at.ts));
        let found = view.find(key, |leaf, slot| {
            Ok(copy_value(&view.pager, leaf, slot, out)?.then(|| slot.key.ts()))
        })?;
        Ok(found.flatten())
    }

    fn newest(&self, space: KeyspaceId, key: &[u8]) -> Result<Option<Timestamp>> {
        let view = &*self.view;
        view.facts.check(&view.policy, space, Timestamp::MAX, view.at.ts)?;
        let key = VersionKey::at(space, key, view.at.ts);
        view.find(key, |_, slot| Ok(slot.key.ts()))
    }

    fn cursor<'a>(&'a self, space: KeyspaceId, spec: &ScanSpec<'_>) -> Result<BtreeCursor<'a>> {
        let view = &*self.view;
        let (facts, policy, end) = (&view.facts, &view.policy, view.at.ts);
        match spec.visible {
            Visible::AsOf(ts) => facts.check(policy, space, ts, end)?,
            Visible::Between { after, up_to } => {
                facts.check_history(policy, space, Some(after), up_to.min(end))?;
            }
            Visible::All => facts.check_history(policy, space, None, end)?,
        }
        Ok(BtreeCursor::new(view, space, spec))
    }
}

impl View {
    fn find<T>(
        &self,
        key: VersionKey<'_>,
        mut found: impl FnMut(&Leaf, Slot<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        find(&self.pager, &self.root.child, self.root.level, key, &mut found)
    }
}
