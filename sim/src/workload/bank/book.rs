//! What was asked, what was answered, and what every snapshot must therefore show.
//!
//! As the ledger's book, but without timestamps, which SQL does not show: what was acknowledged
//! before a reader began must be in its snapshot; what others do meanwhile may be.

use driftdb_env::Rng;

use super::INITIAL;

/// One transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) source: u64,
    pub(super) target: u64,
    pub(super) amount: i64,
}

/// What is known about a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its client still waits for the answer.
    InFlight,
    /// Acknowledged, or seen by somebody, at this tick.
    Present(u64),
    /// Refused, or found absent by a recovery.
    Absent,
    /// The client was told so, or died while waiting.
    Unknown,
}

/// Both tables in one snapshot, as rows of numbers in the order of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) accounts: Vec<Vec<i64>>,
    pub(super) transfers: Vec<Vec<i64>>,
    /// How many columns accounts have, where that is asked.
    pub(super) columns: Option<usize>,
}

pub(super) struct Book {
    pub(super) account_count: u64,
    pub(super) prepared: bool,
    pub(super) acknowledged_count: u64,
    /// Numbers what happens, so that before and after can be told.
    clock: u64,
    transfers: Vec<(Transfer, Fate)>,
    memories: Vec<(u64, View)>,
}

impl Book {
    pub(super) fn new(account_count: u64) -> Self {
        Self {
            account_count,
            prepared: false,
            acknowledged_count: 0,
            clock: 0,
            transfers: Vec::new(),
            memories: Vec::new(),
        }
    }

    /// A new transfer, in flight from now on.
    pub(super) fn begin(&mut self, rng: &mut Rng) -> (usize, Transfer) {
        let source = rng.below(self.account_count);
        let target = (source + 1 + rng.below(self.account_count - 1)) % self.account_count;
        let transfer = Transfer { source, target, amount: 1 + rng.below(100) as i64 };
        self.transfers.push((transfer, Fate::InFlight));
        (self.transfers.len() - 1, transfer)
    }

    pub(super) fn settle(&mut self, id: usize, fate: Fate) {
        // Somebody may have seen it before its client heard of it.
        if !matches!(self.transfers[id].1, Fate::Present(_)) || fate == Fate::Absent {
            self.transfers[id].1 = fate;
        }
    }

    pub(super) fn acknowledge(&mut self, id: usize) {
        self.acknowledged_count += 1;
        let fate = Fate::Present(self.tick());
        self.settle(id, fate);
    }

    /// The next tick.
    pub(super) fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn crashed(&mut self) {
        for (_, fate) in &mut self.transfers {
            if *fate == Fate::InFlight {
                *fate = Fate::Unknown;
            }
        }
    }

    /// Judges a snapshot that was begun after the tick `began`.
    pub(super) fn judge(&mut self, view: &View, began: u64) -> Result<(), String> {
        let now = self.tick();
        let mut balances = vec![INITIAL; self.account_count as usize];
        let mut rows = view.transfers.iter().peekable();
        for (id, (transfer, fate)) in self.transfers.iter_mut().enumerate() {
            let Transfer { source, target, amount } = *transfer;
            let is_there = rows.next_if(|row| row[0] == id as i64);
            let Some(row) = is_there else {
                match *fate {
                    Fate::Present(tick) if tick <= began => {
                        return Err(format!("durability: transfer {id} is not there"));
                    }
                    _ => continue,
                }
            };
            if row[1..] != [source as i64, target as i64, amount] {
                return Err(format!("transfer {id} is {row:?} instead of {transfer:?}"));
            }
            match fate {
                Fate::Absent => return Err(format!("transfer {id} failed and is there")),
                Fate::InFlight | Fate::Unknown => *fate = Fate::Present(now),
                Fate::Present(_) => {}
            }
            balances[source as usize] -= amount;
            balances[target as usize] += amount;
        }
        if let Some(row) = rows.next() {
            return Err(format!("a transfer that nobody made, or twice: {row:?}"));
        }
        let expected: Vec<Vec<i64>> =
            balances.iter().enumerate().map(|(id, &balance)| vec![id as i64, balance]).collect();
        if view.accounts != expected {
            return Err(format!(
                "atomicity: balances are {:?}, the transfers make {expected:?}",
                view.accounts
            ));
        }
        Ok(())
    }

    /// A recovery has decided every fate: what it did not show is absent for ever.
    pub(super) fn settle_after_recovery(&mut self) {
        for (_, fate) in &mut self.transfers {
            if matches!(fate, Fate::Unknown | Fate::InFlight) {
                *fate = Fate::Absent;
            }
        }
    }

    pub(super) fn remember(&mut self, sequence: u64, view: View) {
        self.memories.push((sequence, view));
    }

    pub(super) fn draw_memory(&self, rng: &mut Rng) -> Option<(u64, View)> {
        let count = self.memories.len();
        (count > 0).then(|| self.memories[rng.index(count)].clone())
    }
}
