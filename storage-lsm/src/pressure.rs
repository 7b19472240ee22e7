//! How far the background work is behind the writers.

use driftdb_storage::Compaction;

use crate::compaction;
use crate::engine::LsmEngine;

/// From where a figure slows writers down, and where it stops them.
#[derive(Debug, Clone, Copy)]
struct Range {
    soft: u64,
    hard: u64,
}

impl Range {
    /// 0 up to `soft`, 1000 from `hard` on, in proportion between.
    fn per_mille(self, figure: u64) -> u32 {
        let over = figure.saturating_sub(self.soft).saturating_mul(1000);
        (over / (self.hard - self.soft)).min(1000) as u32
    }
}

/// Memtables that wait to be flushed: memory.
const FROZEN: Range = Range { soft: 2, hard: 12 };
/// Runs that a read asks: what a tiered compaction leaves, and some beyond.
const RUNS: Range = Range { soft: 16, hard: 48 };
/// Memtables' worth of bytes to be compacted.
const DEBT: Range = Range { soft: 64, hard: 512 };

impl LsmEngine {
    /// Reckons anew what compactions have to read, after the runs changed.
    pub(crate) fn note_debt(&self) {
        let version = self.present.version();
        let shapes = compaction::shapes(&version.runs);
        let debt_bytes = compaction::debt_bytes(self.options.compaction, &shapes, self.sizes());
        self.context.stats.debt_bytes.set(debt_bytes);
    }

    /// The worst of the three.
    pub(crate) fn pressure(&self) -> u32 {
        let version = self.present.version();
        let frozen = FROZEN.per_mille(version.frozen.len() as u64);
        let runs = RUNS.per_mille(version.runs.len() as u64);
        // A tiered tree pays its debt a window at a time, however large: its runs tell more.
        let debt = match self.options.compaction {
            Compaction::Leveled => {
                let buffer_bytes = self.sizes().write_buffer_bytes.max(1);
                DEBT.per_mille(self.context.stats.debt_bytes.get() / buffer_bytes)
            }
            Compaction::Tiered => 0,
        };
        frozen.max(runs).max(debt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_rises_evenly() {
        let range = Range { soft: 2, hard: 12 };
        let at = |figure| range.per_mille(figure);
        assert_eq!([at(0), at(2), at(3), at(11), at(12), at(99)], [0, 0, 100, 900, 1000, 1000]);
    }
}
