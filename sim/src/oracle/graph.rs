//! Cycles of dependencies, and which of them a level forbids [Adya99].
//!
//! | Cycle of | is | forbidden from |
//! | --- | --- | --- |
//! | write-write only | G0 | READ UNCOMMITTED |
//! | write-write and write-read | G1c | READ COMMITTED |
//! | these and one read-write | G-single (lost update, read skew) | REPEATABLE READ |
//! | these and any number of read-write | G2 (write skew) | SERIALIZABLE |
//!
//! A cycle lies inside of one strongly connected component [Tarjan72], and nearly always there is none
//! with more than one transaction. Only inside of these are paths searched.

use std::collections::BTreeSet;

use driftdb_concurrency::IsolationLevel;

use crate::operations::{Cycle, note_cycle};

/// How one transaction depends on an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// Its version follows the other's.
    WriteWrite,
    /// It read the other's version.
    WriteRead,
    /// It wrote the version after the one that the other read.
    ReadWrite,
}

impl Edge {
    fn name(self) -> &'static str {
        match self {
            Self::WriteWrite => "ww",
            Self::WriteRead => "wr",
            Self::ReadWrite => "rw",
        }
    }
}

/// A kind of cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Anomaly {
    G0,
    G1c,
    GSingle,
    G2,
}

impl Anomaly {
    pub(crate) const ALL: [Self; 4] = [Self::G0, Self::G1c, Self::GSingle, Self::G2];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::G0 => "G0",
            Self::G1c => "G1c",
            Self::GSingle => "G-single",
            Self::G2 => "G2",
        }
    }

    /// The weakest level without it.
    fn forbidden_from(self) -> IsolationLevel {
        match self {
            Self::G0 => IsolationLevel::ReadUncommitted,
            Self::G1c => IsolationLevel::ReadCommitted,
            Self::GSingle => IsolationLevel::RepeatableRead,
            Self::G2 => IsolationLevel::Serializable,
        }
    }

    /// The edge that a cycle of this kind has, and the others it may have.
    fn is_closed_by(self, edge: Edge) -> bool {
        edge == match self {
            Self::G0 => Edge::WriteWrite,
            Self::G1c => Edge::WriteRead,
            Self::GSingle | Self::G2 => Edge::ReadWrite,
        }
    }

    fn may_have(self, edge: Edge) -> bool {
        match self {
            Self::G0 => edge == Edge::WriteWrite,
            Self::G1c | Self::GSingle => edge != Edge::ReadWrite,
            Self::G2 => true,
        }
    }
}

pub(crate) struct Dependencies {
    /// For each transaction, those that must come after it.
    later: Vec<Vec<(usize, Edge)>>,
}

impl Dependencies {
    pub(crate) fn new(txn_count: usize) -> Self {
        Self { later: vec![Vec::new(); txn_count] }
    }

    pub(crate) fn add(&mut self, before: usize, after: usize, edge: Edge) {
        if before != after && !self.later[before].contains(&(after, edge)) {
            self.later[before].push((after, edge));
        }
    }

    /// Notes the cycle that [`Dependencies::judge`] complains of, with what its transactions did.
    pub(crate) fn note_forbidden(&self, level: IsolationLevel, text: impl Fn(usize) -> String) {
        let forbidden = Anomaly::ALL.into_iter().filter(|it| level >= it.forbidden_from());
        let found = forbidden.filter_map(|it| Some((it, self.cycle(it)?))).next();
        let Some((anomaly, (closing, path))) = found else { return };
        note_cycle(|| {
            let next = |at: usize| path.get(at + 1);
            let edge = |at: usize| match next(at) {
                None => closing,
                Some(next) => {
                    let edges = self.later[path[at]].iter().filter(|(to, _)| to == next);
                    let mut allowed = edges.filter(|(_, edge)| anomaly.may_have(*edge));
                    allowed.next().map_or(closing, |(_, edge)| *edge)
                }
            };
            Cycle {
                anomaly: anomaly.name(),
                edges: (0..path.len()).map(|at| edge(at).name()).collect(),
                texts: path.iter().map(|txn| text(*txn)).collect(),
                txns: path.clone(),
            }
        });
    }

    /// Looks for the cycles that `level` forbids.
    pub(crate) fn judge(&self, level: IsolationLevel) -> Result<(), String> {
        let forbidden = Anomaly::ALL.into_iter().filter(|it| level >= it.forbidden_from());
        for anomaly in forbidden {
            if let Some((edge, path)) = self.cycle(anomaly) {
                let from = path.last().expect("a path has an end");
                let name = anomaly.name();
                return Err(format!("{name}: {edge:?} from {from}, and back by {path:?}"));
            }
        }
        Ok(())
    }

    /// Every kind of cycle that is there.
    pub(crate) fn anomalies(&self) -> BTreeSet<Anomaly> {
        Anomaly::ALL.into_iter().filter(|anomaly| self.cycle(*anomaly).is_some()).collect()
    }

    /// A cycle of a kind: the edge that closes it, and the path back from its end to its start.
    fn cycle(&self, anomaly: Anomaly) -> Option<(Edge, Vec<usize>)> {
        // Inside of one component there is a way back: only G-single, whose cycles have an edge of a
        // kind that they have once, may search in vain.
        let components =
            self.components(|edge| anomaly.may_have(edge) || anomaly.is_closed_by(edge));
        for (before, edges) in self.later.iter().enumerate() {
            for &(after, edge) in edges {
                if components[before] == components[after]
                    && anomaly.is_closed_by(edge)
                    && let Some(path) =
                        self.path(after, before, &components, |edge| anomaly.may_have(edge))
                {
                    return Some((edge, path));
                }
            }
        }
        None
    }

    /// Some path inside of one component by edges of the kind `within`, as the transactions on it.
    fn path(
        &self,
        from: usize,
        to: usize,
        components: &[usize],
        within: impl Fn(Edge) -> bool,
    ) -> Option<Vec<usize>> {
        let mut came_from = std::collections::BTreeMap::from([(from, from)]);
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if at == to {
                let mut path = vec![to];
                let mut at = to;
                while at != from {
                    at = came_from[&at];
                    path.push(at);
                }
                path.reverse();
                return Some(path);
            }
            for &(next, edge) in &self.later[at] {
                if within(edge)
                    && components[next] == components[to]
                    && !came_from.contains_key(&next)
                {
                    came_from.insert(next, at);
                    open.push(next);
                }
            }
        }
        None
    }

    /// The strongly connected component of each transaction [Tarjan72], without recursion: a history
    /// may be a chain of a million.
    fn components(&self, within: impl Fn(Edge) -> bool) -> Vec<usize> {
        const NEVER: usize = usize::MAX;
        let count = self.later.len();
        let (mut order, mut lowest) = (vec![NEVER; count], vec![NEVER; count]);
        let mut component = vec![NEVER; count];
        let (mut visited, mut found) = (0, 0);
        let mut open = Vec::new();
        for start in 0..count {
            if order[start] != NEVER {
                continue;
            }
            let mut path = vec![(start, 0)];
            while let Some(&mut (at, ref mut next)) = path.last_mut() {
                if order[at] == NEVER {
                    (order[at], lowest[at]) = (visited, visited);
                    visited += 1;
                    open.push(at);
                }
                if let Some(&(after, edge)) = self.later[at].get(*next) {
                    *next += 1;
                    if !within(edge) {
                        continue;
                    }
                    if order[after] == NEVER {
                        path.push((after, 0));
                    } else if component[after] == NEVER {
                        lowest[at] = lowest[at].min(order[after]);
                    }
                    continue;
                }
                path.pop();
                if let Some(&(parent, _)) = path.last() {
                    lowest[parent] = lowest[parent].min(lowest[at]);
                }
                if lowest[at] == order[at] {
                    let begin = open.iter().rposition(|it| *it == at).expect("it was opened");
                    open.drain(begin..).for_each(|member| component[member] = found);
                    found += 1;
                }
            }
        }
        component
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use IsolationLevel::{ReadCommitted, ReadUncommitted, RepeatableRead, Serializable};

    fn graph(edges: &[(usize, usize, Edge)]) -> Dependencies {
        let mut graph = Dependencies::new(4);
        for &(before, after, edge) in edges {
            graph.add(before, after, edge);
        }
        graph
    }

    #[test]
    fn each_level_forbids_its_cycles_and_no_others() {
        use Edge::{ReadWrite, WriteRead, WriteWrite};
        let judge = |edges: &[(usize, usize, Edge)], level| graph(edges).judge(level);
        let g0 = [(0, 1, WriteWrite), (1, 0, WriteWrite)];
        let g1c = [(0, 1, WriteWrite), (1, 2, WriteRead), (2, 0, WriteRead)];
        let single = [(0, 1, ReadWrite), (1, 2, WriteWrite), (2, 0, WriteRead)];
        let skew = [(0, 1, ReadWrite), (1, 0, ReadWrite)];
        assert!(judge(&g0, ReadUncommitted).unwrap_err().starts_with("G0"));
        assert_eq!(judge(&g1c, ReadUncommitted), Ok(()));
        assert!(judge(&g1c, ReadCommitted).unwrap_err().starts_with("G1c"));
        assert_eq!(judge(&single, ReadCommitted), Ok(()));
        assert!(judge(&single, RepeatableRead).unwrap_err().starts_with("G-single"));
        assert_eq!(judge(&skew, RepeatableRead), Ok(()));
        assert!(judge(&skew, Serializable).unwrap_err().starts_with("G2"));
        let chain = [(0, 1, ReadWrite), (1, 2, WriteWrite), (0, 3, WriteRead)];
        assert_eq!(judge(&chain, Serializable), Ok(()));
    }

    #[test]
    fn components_are_those_who_reach_each_other() {
        use Edge::WriteRead;
        let two =
            graph(&[(0, 1, WriteRead), (1, 0, WriteRead), (1, 2, WriteRead), (2, 3, WriteRead)]);
        let found = two.components(|_| true);
        assert_eq!(found[0], found[1]);
        assert_eq!(BTreeSet::from_iter(found).len(), 3);
        // Each component is exactly what a search finds, on random graphs.
        let mut rng = driftdb_env::Rng::stream(7, "graphs");
        for _ in 0..300 {
            let edges: Vec<(usize, usize, Edge)> =
                (0..rng.below(9)).map(|_| (rng.index(4), rng.index(4), WriteRead)).collect();
            let graph = graph(&edges);
            let found = graph.components(|_| true);
            let reaches = |from, to| graph.path(from, to, &[0; 4], |_| true).is_some();
            for a in 0..4 {
                for b in 0..4 {
                    let together = reaches(a, b) && reaches(b, a);
                    assert_eq!(found[a] == found[b], together, "{a} and {b} in {edges:?}");
                }
            }
        }
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let mut long = Dependencies::new(200_000);
        (1..200_000).for_each(|txn| long.add(txn - 1, txn, Edge::WriteRead));
        assert_eq!(long.judge(Serializable), Ok(()));
        long.add(199_999, 0, Edge::ReadWrite);
        assert_eq!(long.anomalies(), BTreeSet::from([Anomaly::GSingle, Anomaly::G2]));
    }
}
