//! Versions put in order all at once.
//!
//! While the log is replayed nobody reads what it holds. A search of the list for each version would then be the
//! dearest part of opening: about twenty comparisons, most of them in memory that is not in the
//! processor's cache. Versions are gathered instead, in nodes that are filled and not yet linked, and
//! sorted before the first read; each is then linked behind the one before it.
//!
//! Invariant: until [`Gathered::link`] the list is empty, and whoever reads looks for older versions than
//! those gathered.
//!
//! Cost: 16 bytes and about log n comparisons per version, most of them of neighbouring integers.
//! Measured: docs/performance.md.

use std::cmp::Ordering;

use super::list::{List, Writer};
use super::order::Probe;

/// The nodes of a list that are not yet linked.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    nodes: Vec<Node>,
}

/// A node, with what decides most comparisons.
#[derive(Debug, Clone, Copy)]
struct Node {
    prefix: u64,
    space: u32,
    /// Where it lies: those that came later lie further back.
    at: u32,
}

impl Gathered {
    /// Makes the node of a version, to be linked later.
    pub(super) fn add(
        &mut self,
        list: &List,
        writer: &mut Writer,
        probe: Probe<'_>,
        value: Option<&[u8]>,
    ) -> usize {
        let node = list.fill(writer, probe, value);
        let at = u32::try_from(node).expect("positions have 32 bits");
        self.nodes.push(Node { prefix: probe.prefix, space: probe.space as u32, at });
        node
    }

    /// Links them all in order. Of versions with the same key and timestamp the last that came counts.
    pub(super) fn link(mut self, list: &List, writer: &mut Writer) {
        self.nodes.sort_unstable_by(|left, right| {
            left.compare(*right, list).then_with(|| left.at.cmp(&right.at))
        });
        let later = self.nodes.iter().skip(1).map(Some).chain([None]);
        for (node, later) in self.nodes.iter().zip(later) {
            if later.is_none_or(|later| node.compare(*later, list).is_lt()) {
                list.append(writer, node.at as usize);
            }
        }
    }
}

impl Node {
    #[inline]
    fn compare(self, other: Self, list: &List) -> Ordering {
        (self.space, self.prefix)
            .cmp(&(other.space, other.prefix))
            .then_with(|| list.compare_nodes(self.at as usize, other.at as usize))
    }
}
