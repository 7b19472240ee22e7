//! Checking a digest that was taken earlier.
//!
//! If the hashes that are kept of commits lead to the digest, they are the ones it was made of, and each
//! commit is compared with its own: what differs is named, and the rest is as it was. If they do not, they
//! were changed too, or lost; then history may still lead to the digest by itself, and if it does not, what
//! differs from the kept hashes is where to look first, though it need not be all.

use driftdb_concurrency::{CancelToken, Store};
use driftdb_query::{Result, SqlError};
use driftdb_types::SqlState;

use super::kept::Kept;
use super::merkle::{Hash, Tree};
use super::sums::Sum;
use super::{Reader, commit, hashes_of};

/// Stretches that are told apart; after them nothing is passed over, but the stretches are less exact.
const MOST_FINDINGS: usize = 10_000;

/// What became of some commits since the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// They are as they were.
    Verified,
    /// They are as they were, but for changes that were erased: of those the hashes are.
    Erased,
    /// Their history is not kept any more. That they were made, when and by whom, is as it was.
    Forgotten,
    /// The digest does not tell, since the kept hashes do not lead to it; they are as the kept hashes say.
    Unproved,
    /// They are not what they were.
    Altered,
    /// They are not there.
    Missing,
}

impl Verdict {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Erased => "erased",
            Self::Forgotten => "forgotten",
            Self::Unproved => "unproved",
            Self::Altered => "altered",
            Self::Missing => "missing",
        }
    }

    /// Whether somebody has changed history.
    pub fn is_damage(self) -> bool {
        self >= Self::Unproved
    }
}

/// What became of the commits `first..=last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub verdict: Verdict,
    /// The first commit.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// How many changes were erased.
    pub erased: u64,
}

/// Compares history with the digest of the commits up to `sequence`. The findings ascend and cover all of
/// them.
///
/// # Errors
/// 0A000 in a branch; 22023 for commit 0; storage; canceled.
pub fn check(
    store: &dyn Store,
    sequence: u64,
    digest: &Hash,
    cancel: &CancelToken,
) -> Result<Vec<Finding>> {
    let hashes = hashes_of(store)?;
    if sequence == 0 {
        let message = "a digest covers one commit at least";
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    let newest = store.sequence_at(store.newest())?;
    let (mut tree, mut kept) = (Tree::default(), Kept::new(hashes, sequence));
    while let Some(hash) = kept.next()? {
        if cancel.is_canceled() {
            return Err(driftdb_concurrency::TxnError::Canceled.into());
        }
        tree.push(hash);
    }
    let is_proved = tree.count() == sequence && tree.root() == *digest;
    let mut compared = Compared { is_proved, tree: Tree::default(), findings: Vec::new() };
    let mut kept = Kept::new(hashes, sequence);
    let mut reader = Reader::new(store, cancel)?;
    let there = sequence.min(newest);
    let mut done = 0;
    while done < there {
        for (note, sum) in reader.sums(store, done + 1, there)? {
            compared.commit(note.sequence, &sum, kept.next()?, &commit::forgotten(&note));
            done = note.sequence;
        }
    }
    if sequence > newest {
        let missing = Verdict::Missing;
        compared.add(Finding { verdict: missing, first: newest + 1, last: sequence, erased: 0 });
    }
    Ok(compared.finish(sequence, digest))
}

struct Compared {
    /// Whether the kept hashes are those of the digest.
    is_proved: bool,
    /// Over what was computed.
    tree: Tree,
    findings: Vec<Finding>,
}

impl Compared {
    fn commit(&mut self, sequence: u64, sum: &Sum, kept: Option<Hash>, forgotten: &Hash) {
        let (computed, erased) = match sum {
            Sum::Whole { hash, erased } => (Some(hash), *erased),
            Sum::Forgotten => (None, 0),
        };
        let is_same = computed.is_some() && computed == kept.as_ref();
        let verdict = match (is_same, computed, kept) {
            (true, ..) if !self.is_proved => Verdict::Unproved,
            (true, ..) if erased > 0 => Verdict::Erased,
            (true, ..) => Verdict::Verified,
            // It was forgotten before a digest covered it, or has been since.
            (_, _, Some(kept)) if kept == *forgotten => Verdict::Forgotten,
            (_, None, Some(_)) => Verdict::Forgotten,
            (_, _, None) => Verdict::Unproved,
            (_, Some(_), Some(_)) => Verdict::Altered,
        };
        self.tree.push(match (computed, kept) {
            (_, Some(kept)) if kept == *forgotten => kept,
            (Some(computed), _) => *computed,
            (None, kept) => kept.unwrap_or(*forgotten),
        });
        self.add(Finding { verdict, first: sequence, last: sequence, erased });
    }

    fn add(&mut self, finding: Finding) {
        let is_full = self.findings.len() >= MOST_FINDINGS;
        match self.findings.last_mut() {
            Some(last) if last.verdict == finding.verdict || is_full => {
                last.verdict = last.verdict.max(finding.verdict);
                last.last = finding.last;
                last.erased += finding.erased;
            }
            _ => self.findings.push(finding),
        }
    }

    fn finish(mut self, sequence: u64, digest: &Hash) -> Vec<Finding> {
        if self.is_proved {
            return self.findings;
        }
        let is_right = self.tree.count() == sequence && self.tree.root() == *digest;
        for finding in &mut self.findings {
            finding.verdict = match finding.verdict {
                // What was kept is wrong, or lost; history is not.
                Verdict::Altered | Verdict::Unproved if is_right && finding.erased > 0 => {
                    Verdict::Erased
                }
                Verdict::Altered | Verdict::Unproved if is_right => Verdict::Verified,
                other => other,
            };
        }
        // Neighbours may have become alike.
        for finding in std::mem::take(&mut self.findings) {
            self.add(finding);
        }
        self.findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> Hash {
        let mut hash = [9; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    /// The findings as text, for commits that history has (`None`: forgotten) and of which something is kept.
    fn compare(computed: &[Option<u64>], kept: &[Option<u64>], digest: &[u64]) -> String {
        let tree = |hashes: &mut dyn Iterator<Item = Hash>| {
            let mut tree = Tree::default();
            hashes.for_each(|hash| tree.push(hash));
            tree
        };
        let digest = tree(&mut digest.iter().map(|number| hash(*number)));
        let known = tree(&mut kept.iter().map_while(|kept| kept.map(hash)));
        let mut compared =
            Compared { is_proved: known == digest, tree: Tree::default(), findings: Vec::new() };
        for (sequence, (computed, kept)) in (1..).zip(computed.iter().zip(kept)) {
            let sum = match computed {
                Some(number) => {
                    Sum::Whole { hash: hash(*number), erased: u64::from(*number == 50) }
                }
                None => Sum::Forgotten,
            };
            compared.commit(sequence, &sum, kept.map(hash), &hash(99));
        }
        let findings = compared.finish(digest.count(), &digest.root());
        let text = |finding: &Finding| {
            format!("{} {}-{}", finding.verdict.name(), finding.first, finding.last)
        };
        findings.iter().map(text).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_differs_is_named() {
        let some = |numbers: &[u64]| numbers.iter().map(|number| Some(*number)).collect::<Vec<_>>();
        let (was, lost) = (some(&[1, 2, 3, 4]), vec![None; 4]);
        assert_eq!(compare(&was, &was, &[1, 2, 3, 4]), "verified 1-4");
        let changed = some(&[1, 7, 3, 4]);
        assert_eq!(
            compare(&changed, &was, &[1, 2, 3, 4]),
            "verified 1-1, altered 2-2, verified 3-4"
        );
        assert_eq!(compare(&was, &lost, &[1, 2, 3, 4]), "verified 1-4", "what was kept is lost");
        assert_eq!(compare(&was, &changed, &[1, 2, 3, 4]), "verified 1-4", "or was changed");
        assert_eq!(compare(&changed, &lost, &[1, 2, 3, 4]), "unproved 1-4");
        assert_eq!(compare(&changed, &changed, &[1, 2, 3, 4]), "unproved 1-4", "both were");
        let other = some(&[1, 2, 3, 8]);
        assert_eq!(
            compare(&changed, &other, &[1, 2, 3, 4]),
            "unproved 1-1, altered 2-2, unproved 3-3, altered 4-4"
        );
        let forgotten = [None, Some(2), Some(3), Some(4)];
        assert_eq!(compare(&forgotten, &was, &[1, 2, 3, 4]), "forgotten 1-1, verified 2-4");
        let early = some(&[99, 2, 50, 4]);
        assert_eq!(
            compare(&some(&[1, 2, 50, 4]), &early, &[99, 2, 50, 4]),
            "forgotten 1-1, verified 2-2, erased 3-3, verified 4-4"
        );
    }
}
