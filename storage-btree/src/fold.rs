//! Forgetting: finds the versions that no promise covers any more, by the shared fold.

use driftdb_storage::{Fold, KeyspaceId, Result, RetentionPolicy, Verdict};

use crate::codec::Overflow;
use crate::facts::Facts;
use crate::history::Era;
use crate::key::{OwnedKey, VersionKey};
use crate::node::{Body, Child, Leaf, Location};
use crate::pager::Pager;
use crate::position::load;
use crate::slotted::{Slot, Tag};
use crate::tree::Root;

/// Versions are handed on in groups of about this many.
const GROUP: usize = 256;

/// A version to remove.
#[derive(Debug)]
pub(crate) struct Doomed {
    pub(crate) key: OwnedKey,
    /// The pages of its overflow chain, if it has one on disk.
    pub(crate) chain: Vec<u64>,
}

/// Which leaves to judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Those in memory, which the next checkpoint writes anyway.
    Dirty,
    /// All of them.
    Everything,
}

/// Walks a tree in key order and judges every version.
pub(crate) struct Judge<'a> {
    pager: &'a Pager,
    policy: &'a RetentionPolicy,
    /// Keyspaces of which nothing is kept.
    gone: &'a [KeyspaceId],
    /// Says which history is dead.
    facts: &'a Facts,
    reach: Reach,
    /// The key being judged, and its fold.
    current: Option<(OwnedKey, Fold<'a>)>,
    /// Tombstones of the current key that may go if nothing older of the key stays.
    bottoms: Vec<OwnedKey>,
    doomed: Vec<Doomed>,
    remove: &'a mut dyn FnMut(Vec<Doomed>) -> Result<()>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(
        pager: &'a Pager,
        policy: &'a RetentionPolicy,
        gone: &'a [KeyspaceId],
        facts: &'a Facts,
        reach: Reach,
        remove: &'a mut dyn FnMut(Vec<Doomed>) -> Result<()>,
    ) -> Self {
        let (current, bottoms, doomed) = (None, Vec::new(), Vec::new());
        Self { pager, policy, gone, facts, reach, current, bottoms, doomed, remove }
    }

    /// Judges the whole tree.
    pub(crate) fn run(mut self, root: &Root) -> Result<()> {
        self.walk(&root.child, root.level, None)?;
        self.end_key();
        self.hand_on(1)
    }

    /// Judges what `child` leads to, whose versions are not below `low`.
    fn walk(&mut self, child: &Child, level: u8, low: Option<VersionKey<'_>>) -> Result<()> {
        if self.reach == Reach::Dirty && matches!(child, Child::Disk(_)) {
            // Older versions of the key may lie in there, unseen: its tombstones stay. And what comes
            // after has newer versions in there, so that its fold starts anew.
            self.bottoms.clear();
            self.current = None;
            return Ok(());
        }
        let node = load(self.pager, child, level)?;
        match &node.body {
            Body::Leaf(leaf) => {
                self.go_on(leaf, low);
                self.leaf(leaf)?;
                self.hand_on(GROUP)
            }
            Body::Branch(branch) => (0..branch.children.len()).try_for_each(|index| {
                let low = if index == 0 { low } else { Some(branch.separator(index)) };
                self.walk(&branch.children[index], level - 1, low)
            }),
        }
    }

    /// The versions of a key that end one leaf may go on in the next, `leaf`, or may have gone on there
    /// and now lie in its history only: then the tombstones above them stay.
    fn go_on(&mut self, leaf: &Leaf, low: Option<VersionKey<'_>>) {
        let Some((current, _)) = &self.current else { return };
        if let Some(low) = low
            && low.same_key(&current.borrow())
            && self.has_history(leaf, KeyspaceId(low.space))
        {
            self.bottoms.clear();
        }
    }

    fn leaf(&mut self, leaf: &Leaf) -> Result<()> {
        for slot in leaf.entries.iter() {
            let space = KeyspaceId(slot.key.space);
            if self.gone.contains(&space) {
                self.doom(leaf, slot)?;
                continue;
            }
            let same = |(key, _): &(OwnedKey, _)| key.borrow().same_key(&slot.key);
            if !self.current.as_ref().is_some_and(same) {
                self.end_key();
                self.current = Some((slot.key.to_owned(), Fold::new(self.policy.of(space))));
            }
            let Some((_, fold)) = &mut self.current else { continue };
            match fold.judge(slot.key.ts(), slot.tag == Tag::Tombstone) {
                // What is older than a version that stays must stay hidden by the tombstones above.
                Verdict::Keep => self.bottoms.clear(),
                Verdict::Drop => self.doom(leaf, slot)?,
                // Older versions are in history, and scans of all versions show them.
                Verdict::DropIfBottom if self.has_history(leaf, space) => self.bottoms.clear(),
                Verdict::DropIfBottom => self.bottoms.push(slot.key.to_owned()),
            }
        }
        Ok(())
    }

    /// Whether versions of `space` that left the leaf may still be shown.
    fn has_history(&self, leaf: &Leaf, space: KeyspaceId) -> bool {
        let is_live =
            |era: &Era| era.space == space.0 && !self.facts.is_dead(space, era.low, era.high);
        leaf.past.eras().iter().any(is_live)
    }

    fn end_key(&mut self) {
        let bottoms = self.bottoms.drain(..).map(|key| Doomed { key, chain: Vec::new() });
        self.doomed.extend(bottoms);
        self.current = None;
    }

    fn doom(&mut self, leaf: &Leaf, slot: Slot<'_>) -> Result<()> {
        let chain = match slot.tag {
            Tag::Overflow => {
                self.pager.read_overflow(Overflow::decode(slot.value))?.location.into()
            }
            // Written since this leaf was made; another copy of the leaf may refer to the chain.
            Tag::Pending => leaf.pending(slot.value).location.get().cloned(),
            Tag::Tombstone | Tag::Inline | Tag::Child | Tag::Borrowed => None,
        };
        let chain = chain.iter().flat_map(Location::pages).collect();
        self.doomed.push(Doomed { key: slot.key.to_owned(), chain });
        Ok(())
    }

    fn hand_on(&mut self, at_least: usize) -> Result<()> {
        if self.doomed.len() < at_least {
            return Ok(());
        }
        (self.remove)(std::mem::take(&mut self.doomed))
    }
}
