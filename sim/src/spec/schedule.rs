//! Every interleaving of the sessions' steps, in lexicographic order of sessions.

use super::Spec;

/// Goes through the interleavings; those whose beginning turned out impossible are skipped.
pub(super) struct Interleavings {
    /// The steps of each session, in order.
    steps: Vec<Vec<usize>>,
    /// The next, as sessions; `None` at the end.
    next: Option<Vec<usize>>,
}

impl Interleavings {
    pub(super) fn new(spec: &Spec) -> Self {
        let of = |session: usize| {
            let own = spec.steps.iter().enumerate().filter(|(_, step)| step.session == session);
            own.map(|(index, _)| index).collect::<Vec<usize>>()
        };
        let steps: Vec<Vec<usize>> = (0..spec.sessions.len()).map(of).collect();
        let counts = steps.iter().enumerate();
        let first = counts.flat_map(|(session, own)| vec![session; own.len()]).collect();
        Self { steps, next: Some(first) }
    }

    /// The next interleaving, as steps.
    pub(super) fn next(&mut self) -> Option<Vec<usize>> {
        let sessions = self.next.as_ref()?;
        let mut taken = vec![0; self.steps.len()];
        let step = |&session: &usize| {
            taken[session] += 1;
            self.steps[session][taken[session] - 1]
        };
        Some(sessions.iter().map(step).collect())
    }

    /// Goes on after one that could be played wholly, or only as far as position `impossible_at`.
    pub(super) fn advance(&mut self, impossible_at: Option<usize>) {
        let Some(sessions) = &mut self.next else { return };
        if let Some(at) = impossible_at {
            // The last one with this beginning: the rest descends.
            sessions[at + 1..].sort_unstable_by(|a, b| b.cmp(a));
        }
        if !next_permutation(sessions) {
            self.next = None;
        }
    }
}

/// The next permutation of a multiset [Knuth11] (algorithm L); false after the last.
pub(super) fn next_permutation(items: &mut [usize]) -> bool {
    let Some(pivot) = items.windows(2).rposition(|pair| pair[0] < pair[1]) else { return false };
    let larger = items.iter().rposition(|item| *item > items[pivot]).expect("its neighbour is");
    items.swap(pivot, larger);
    items[pivot + 1..].reverse();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str =
        "session one step a { 1 } step b { 2 } session two step c { 3 } step d { 4 }";

    fn all(impossible: &dyn Fn(&[usize]) -> Option<usize>) -> Vec<String> {
        let spec = Spec::parse("x", SPEC).unwrap();
        let mut all = Interleavings::new(&spec);
        let mut seen = Vec::new();
        while let Some(steps) = all.next() {
            let at = impossible(&steps);
            if at.is_none() {
                seen.push(spec.names(&steps));
            }
            all.advance(at);
        }
        seen
    }

    #[test]
    fn each_interleaving_comes_once() {
        let seen = all(&|_| None);
        assert_eq!(seen, ["a b c d", "a c b d", "a c d b", "c a b d", "c a d b", "c d a b"]);
    }

    #[test]
    fn what_begins_with_the_impossible_is_skipped() {
        // After a and c, two is blocked.
        let blocked = |steps: &[usize]| (steps[..3] == [0, 2, 3]).then_some(2);
        let seen = all(&blocked);
        assert_eq!(seen, ["a b c d", "a c b d", "c a b d", "c a d b", "c d a b"]);
        assert_eq!(all(&|steps| (steps[0] == 2).then_some(0)).len(), 3);
    }
}
