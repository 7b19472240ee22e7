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
//! A node is sorted as one integer: keyspace, the key's prefix, position. Where keyspace and prefix are
//! equal, keys and times are compared afterwards.
//!
//! Cost: 16 bytes and about log n comparisons of integers per version.
//! Measured: docs/performance.md.

use super::list::{List, Writer};
use super::order::Probe;

/// Nodes that are fetched together: their first cache lines fit the smallest cache.
const NODES_AT_ONCE: usize = 64;

/// The nodes of a list that are not yet linked.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    nodes: Vec<Node>,
}

/// A node by what decides most comparisons: keyspace, prefix, and where it lies. Those that came later
/// lie further back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Node(u128);

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
        self.nodes.push(Node::new(probe, at));
        node
    }

    /// Links them all in order. Of versions with the same key and timestamp the last that came counts.
    pub(super) fn link(mut self, list: &List, writer: &mut Writer) {
        self.nodes.sort_unstable();
        for alike in self.nodes.chunk_by_mut(|left, right| left.is_alike(*right)) {
            // Stable: equal versions stay in the order in which they came.
            alike.sort_by(|left, right| list.compare_nodes(left.at(), right.at()));
        }
        self.nodes.dedup_by(|later, kept| {
            let is_same =
                later.is_alike(*kept) && list.compare_nodes(later.at(), kept.at()).is_eq();
            if is_same {
                *kept = *later;
            }
            is_same
        });
        let mut heights = Vec::with_capacity(NODES_AT_ONCE);
        for nodes in self.nodes.chunks(NODES_AT_ONCE) {
            // The nodes lie anywhere. Looked at in a row, before anything depends on what they say, their
            // memory is fetched all at once; linked one by one, each would be waited for.
            heights.clear();
            heights.extend(nodes.iter().map(|node| list.height(node.at())));
            for (node, &height) in nodes.iter().zip(&heights) {
                list.append(writer, node.at(), height);
            }
        }
    }
}

impl Node {
    fn new(probe: Probe<'_>, at: u32) -> Self {
        Self(u128::from(probe.space) << 96 | u128::from(probe.prefix) << 32 | u128::from(at))
    }

    fn at(self) -> usize {
        self.0 as u32 as usize
    }

    /// Whether keyspace and prefix are equal.
    fn is_alike(self, other: Self) -> bool {
        self.0 >> 32 == other.0 >> 32
    }
}
