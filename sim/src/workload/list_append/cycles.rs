//! Cycles of dependencies, and which of them a level forbids [Adya99].
//!
//! | Cycle of | is | forbidden from |
//! | --- | --- | --- |
//! | write-write only | G0 | READ COMMITTED |
//! | write-write and write-read | G1c | READ COMMITTED |
//! | these and one read-write | G-single (lost update, read skew) | REPEATABLE READ |
//! | these and several read-write | G2 (write skew) | SERIALIZABLE |

use driftdb_concurrency::IsolationLevel;

/// How one transaction depends on an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Its version follows the other's.
    WriteWrite,
    /// It read the other's version.
    WriteRead,
    /// It wrote the version after the one that the other read.
    ReadWrite,
}

pub(super) struct Dependencies {
    /// For each transaction, those that must come after it.
    later: Vec<Vec<(usize, Edge)>>,
}

impl Dependencies {
    pub(super) fn new(txn_count: usize) -> Self {
        Self { later: vec![Vec::new(); txn_count] }
    }

    pub(super) fn add(&mut self, before: usize, after: usize, edge: Edge) {
        if before != after && !self.later[before].contains(&(after, edge)) {
            self.later[before].push((after, edge));
        }
    }

    /// Looks for the cycles that `level` forbids.
    pub(super) fn judge(&self, level: IsolationLevel) -> Result<(), String> {
        let writes = |edge| edge == Edge::WriteWrite;
        let reads = |edge| edge != Edge::ReadWrite;
        self.forbid("G0", writes, writes)?;
        self.forbid("G1c", |edge| edge == Edge::WriteRead, reads)?;
        if level >= IsolationLevel::RepeatableRead {
            self.forbid("G-single", |edge| edge == Edge::ReadWrite, reads)?;
        }
        if level >= IsolationLevel::Serializable {
            self.forbid("G2", |edge| edge == Edge::ReadWrite, |_| true)?;
        }
        Ok(())
    }

    /// Fails if some edge of the kind `closing` is closed to a cycle by edges of the kind `within`.
    fn forbid(
        &self,
        name: &str,
        closing: impl Fn(Edge) -> bool,
        within: impl Fn(Edge) -> bool + Copy,
    ) -> Result<(), String> {
        for (before, edges) in self.later.iter().enumerate() {
            for &(after, edge) in edges.iter().filter(|(_, edge)| closing(*edge)) {
                if let Some(path) = self.path(after, before, within) {
                    return Err(format!("{name}: {edge:?} from {before}, and back by {path:?}"));
                }
            }
        }
        Ok(())
    }

    /// Some path by edges of the kind `within`, as the transactions on it.
    fn path(&self, from: usize, to: usize, within: impl Fn(Edge) -> bool) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.later.len()];
        came_from[from] = Some(from);
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if at == to {
                let mut path = vec![to];
                let mut at = to;
                while at != from {
                    at = came_from[at]?;
                    path.push(at);
                }
                path.reverse();
                return Some(path);
            }
            for &(next, edge) in &self.later[at] {
                if within(edge) && came_from[next].is_none() {
                    came_from[next] = Some(at);
                    open.push(next);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use IsolationLevel::{ReadCommitted, RepeatableRead, Serializable};

    fn judge(edges: &[(usize, usize, Edge)], level: IsolationLevel) -> Result<(), String> {
        let mut graph = Dependencies::new(4);
        for &(before, after, edge) in edges {
            graph.add(before, after, edge);
        }
        graph.judge(level)
    }

    #[test]
    fn each_level_forbids_its_cycles_and_no_others() {
        use Edge::{ReadWrite, WriteRead, WriteWrite};
        let g0 = [(0, 1, WriteWrite), (1, 0, WriteWrite)];
        let g1c = [(0, 1, WriteWrite), (1, 2, WriteRead), (2, 0, WriteRead)];
        let single = [(0, 1, ReadWrite), (1, 2, WriteWrite), (2, 0, WriteRead)];
        let skew = [(0, 1, ReadWrite), (1, 0, ReadWrite)];
        assert!(judge(&g0, ReadCommitted).unwrap_err().starts_with("G0"));
        assert!(judge(&g1c, ReadCommitted).unwrap_err().starts_with("G1c"));
        assert_eq!(judge(&single, ReadCommitted), Ok(()));
        assert!(judge(&single, RepeatableRead).unwrap_err().starts_with("G-single"));
        assert_eq!(judge(&skew, RepeatableRead), Ok(()));
        assert!(judge(&skew, Serializable).unwrap_err().starts_with("G2"));
        let chain = [(0, 1, ReadWrite), (1, 2, WriteWrite), (0, 3, WriteRead)];
        assert_eq!(judge(&chain, Serializable), Ok(()));
    }
}
