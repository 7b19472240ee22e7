//! Serializable snapshot isolation [Cahill08], [Ports12].
//!
//! Every execution under snapshots that is not serializable has two edges in a row,
//! T1 → T2 → T3, where each reads what the next one overwrites, and T3 is the first of the three to
//! commit [Fekete05] (T1 and T3 may be one). Whoever would complete such a pattern by committing fails:
//!
//! * as T2: what it read was overwritten by T3, and T1, which read what it overwrites, committed later
//!   than T3 (a T1 that wrote nothing counts as of its snapshot: if that is before T3's commit, T1 comes
//!   first in every serial order);
//! * as T1: what it read was overwritten by T2, and T2 itself has such an edge to an earlier commit (if
//!   T1 wrote nothing, to one that T1 saw).
//!
//! As T3 nobody fails: the pattern is completed by a later commit.
//!
//! The mark of a commit is the first commit that overwrote what it read.

use driftdb_env::planted;
use driftdb_storage::Timestamp;

use super::certified::{Candidate, CertifiedControl, Rule};

/// The control `ssi`.
pub type SsiControl = CertifiedControl<Ssi>;

/// See the module.
#[derive(Debug)]
pub struct Ssi;

impl Rule for Ssi {
    const NAME: &'static str = "ssi";

    fn judge(
        candidate: &Candidate,
        latest_reader: impl FnOnce() -> Timestamp,
    ) -> Result<Timestamp, &'static str> {
        let first = candidate.first_overwriter;
        if first == Timestamp::MAX {
            return Ok(first);
        }
        let seen = if candidate.is_read_only { candidate.snapshot } else { candidate.commit };
        let has_first = candidate.overwriters_mark <= seen;
        if has_first && !planted!("mvcc.ssi-first-of-three-not-seen") {
            return Err("Canceled at commit: identification as the first of three transactions, \
                        with conflict out to a pivot that committed.");
        }
        let is_pivot = !candidate.is_read_only && latest_reader() >= first;
        if is_pivot && !planted!("mvcc.ssi-pivot-not-seen") {
            return Err("Canceled at commit: identification as a pivot, with conflict out to and \
                        conflict in from transactions that committed.");
        }
        Ok(first)
    }

    fn reader_bound(candidate: &Candidate) -> Timestamp {
        if candidate.is_read_only { candidate.snapshot } else { candidate.commit }
    }

    fn looks_ahead() -> bool {
        // What is planted in the rule must not be made good before.
        !planted!("mvcc.ssi-first-of-three-not-seen") && !planted!("mvcc.ssi-pivot-not-seen")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(is_read_only: bool, first: u64, mark: u64) -> Candidate {
        Candidate {
            snapshot: Timestamp(10),
            commit: Timestamp(20),
            is_read_only,
            first_overwriter: Timestamp(first),
            overwriters_mark: Timestamp(mark),
        }
    }

    #[test]
    fn two_edges_in_a_row_fail_where_the_last_committed_first() {
        let max = u64::MAX;
        let judge =
            |candidate: Candidate, reader: u64| Ssi::judge(&candidate, || Timestamp(reader));
        assert_eq!(
            judge(candidate(false, max, max), 99),
            Ok(Timestamp::MAX),
            "nothing overwritten"
        );
        assert_eq!(
            judge(candidate(false, 12, max), 11),
            Ok(Timestamp(12)),
            "the reader came first"
        );
        judge(candidate(false, 12, max), 12).unwrap_err();
        judge(candidate(false, 12, max), 15).unwrap_err();
        judge(candidate(false, 12, 11), 0).unwrap_err();
        assert_eq!(judge(candidate(true, 12, 11), 0), Ok(Timestamp(12)), "not seen by the reader");
        judge(candidate(true, 12, 10), 0).unwrap_err();
    }
}
