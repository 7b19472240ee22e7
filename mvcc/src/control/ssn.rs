//! The serial safety net [Wang17].
//!
//! Each commit T gets a mark π(T): the earliest commit that must come after T in a serial order, along edges
//! to transactions that overwrote what T, or one of those, read; T's own commit if there are none. And
//! η(T) is the latest commit that must come before T. T fails if π(T) ≤ η(T): something that must follow it
//! precedes something that it must follow.
//!
//! What must come before T: whoever wrote what T read or overwrote, which its snapshot bounds from above,
//! and whoever read what T overwrites and committed. The paper keeps the exact commit of each version; the
//! bound fails a transaction only where an overwriter's mark is before its snapshot.
//!
//! It admits what `ssi` refuses: a pivot whose last edge leads to a commit after its first edge's.

use driftdb_env::planted;
use driftdb_storage::Timestamp;

use super::certified::{Candidate, CertifiedControl, Rule};

/// The control `ssn`.
pub type SsnControl = CertifiedControl<Ssn>;

/// See the module.
#[derive(Debug)]
pub struct Ssn;

impl Rule for Ssn {
    const NAME: &'static str = "ssn";

    fn judge(
        candidate: &Candidate,
        latest_reader: impl FnOnce() -> Timestamp,
    ) -> Result<Timestamp, &'static str> {
        let successor = candidate.commit.min(candidate.overwriters_mark);
        if candidate.first_overwriter == Timestamp::MAX {
            return Ok(successor);
        }
        let is_after_reader = !planted!("mvcc.ssn-reader-not-seen") && successor <= latest_reader();
        if successor <= candidate.snapshot || is_after_reader {
            return Err("Canceled at commit: a transaction that must come after it in a serial \
                        order committed before one that must come first.");
        }
        Ok(successor)
    }

    fn reader_bound(candidate: &Candidate) -> Timestamp {
        candidate.commit
    }

    fn looks_ahead() -> bool {
        // Its exclusion windows are known when a transaction ends.
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_must_not_close() {
        let judge = |mark: u64, reader: u64| {
            let candidate = Candidate {
                snapshot: Timestamp(10),
                commit: Timestamp(20),
                is_read_only: false,
                first_overwriter: Timestamp(if mark == u64::MAX { mark } else { 15 }),
                overwriters_mark: Timestamp(mark),
            };
            Ssn::judge(&candidate, || Timestamp(reader))
        };
        assert_eq!(judge(u64::MAX, 19), Ok(Timestamp(20)));
        assert_eq!(judge(15, 14), Ok(Timestamp(15)));
        judge(15, 15).unwrap_err();
        judge(10, 0).unwrap_err();
        assert_eq!(judge(11, 0), Ok(Timestamp(11)), "where ssi fails");
    }
}
