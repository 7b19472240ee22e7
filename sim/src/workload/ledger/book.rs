//! The book: what was asked, what was answered, and what every snapshot must therefore show.
//!
//! Invariants judged
//! * Acknowledged means present: in every later snapshot, through any number of crashes.
//! * Failed means absent, for ever. Seen by anybody means acknowledged.
//! * Unknown means all or nothing, and once decided by a recovery, decided for ever.
//! * Balances are exactly what the present entries make of them (so their sum never changes).
//! * What was read as of a time reads the same ever after.

use std::collections::BTreeMap;

use driftdb_env::Rng;
use driftdb_storage::Timestamp;
use xxhash_rust::xxh3::Xxh3Default;

use super::{account_key, entry_key};

/// What each account starts with.
pub(super) const INITIAL: i64 = 1000;

/// One transfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) amount: i64,
}

impl Entry {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        format!("{} to {}: {:>30}", self.from, self.to, self.amount).into_bytes()
    }
}

/// What is known about a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its client still waits for the answer.
    InFlight,
    /// Acknowledged, or seen: committed at this time.
    Present(Timestamp),
    /// Refused, or found absent by a recovery.
    Absent,
    /// The client was told so, or died while waiting.
    Unknown,
}

/// A row as some snapshot shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) ts: Timestamp,
}

/// All rows as of one time.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) ts: Timestamp,
    pub(super) rows: Vec<Row>,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| match <[u8; 8]>::try_from(bytes) {
            Ok(bytes) => i64::from_le_bytes(bytes).to_string(),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        };
        let rows = self.rows.iter().map(|row| {
            format!("{} = {} @{}", String::from_utf8_lossy(&row.key), text(&row.value), row.ts)
        });
        f.debug_list().entries(rows).finish()
    }
}

impl View {
    pub(super) fn hash(&self) -> u64 {
        let mut hash = Xxh3Default::new();
        for row in &self.rows {
            hash.update(&row.key);
            hash.update(&row.value);
            hash.update(&row.ts.0.to_le_bytes());
        }
        hash.digest()
    }

    fn find(&self, key: &[u8]) -> Option<&Row> {
        let index = self.rows.binary_search_by(|row| row.key[..].cmp(key)).ok()?;
        Some(&self.rows[index])
    }
}

pub(super) struct Book {
    pub(super) account_count: u64,
    pub(super) prepared: bool,
    pub(super) newest_ack: Timestamp,
    pub(super) acknowledged_count: u64,
    entries: Vec<(Entry, Fate)>,
    /// Acknowledged sequence numbers and their times.
    sequences: BTreeMap<u64, Timestamp>,
    /// Times that were read, and the hash of what was there.
    memories: Vec<(Timestamp, u64)>,
}

impl Book {
    pub(super) fn new(account_count: u64) -> Self {
        Self {
            account_count,
            prepared: false,
            newest_ack: Timestamp::MIN,
            acknowledged_count: 0,
            entries: Vec::new(),
            sequences: BTreeMap::new(),
            memories: Vec::new(),
        }
    }

    /// A new transfer, in flight from now on.
    pub(super) fn begin(&mut self, rng: &mut Rng) -> (u64, Entry) {
        let from = rng.below(self.account_count);
        let to = (from + 1 + rng.below(self.account_count - 1)) % self.account_count;
        let entry = Entry { from, to, amount: 1 + rng.below(100) as i64 };
        self.entries.push((entry, Fate::InFlight));
        (self.entries.len() as u64 - 1, entry)
    }

    pub(super) fn settle(&mut self, id: u64, fate: Fate) {
        self.entries[id as usize].1 = fate;
    }

    pub(super) fn acknowledge(
        &mut self,
        id: u64,
        ts: Timestamp,
        sequence: u64,
    ) -> Result<(), String> {
        self.acknowledged_count += 1;
        if let Fate::Present(seen) = self.entries[id as usize].1
            && seen != ts
        {
            return Err(format!("entry {id} was seen at {seen} and is acknowledged at {ts}"));
        }
        self.settle(id, Fate::Present(ts));
        self.newest_ack = self.newest_ack.max(ts);
        if self.sequences.insert(sequence, ts).is_some() {
            return Err(format!("sequence number {sequence} was given out twice"));
        }
        Ok(())
    }

    pub(super) fn crashed(&mut self) {
        for (_, fate) in &mut self.entries {
            if *fate == Fate::InFlight {
                *fate = Fate::Unknown;
            }
        }
    }

    /// Judges what a snapshot shows that was taken when `newest_ack` was acknowledged.
    pub(super) fn judge(&mut self, view: &View, newest_ack: Timestamp) -> Result<(), String> {
        if view.ts < newest_ack {
            return Err(format!(
                "real time: acknowledged at {newest_ack}, but a later reader reads at {}",
                view.ts
            ));
        }
        let mut balances = vec![INITIAL; self.account_count as usize];
        let mut entry_count = 0;
        for (id, (entry, fate)) in self.entries.iter_mut().enumerate() {
            let row = view.find(&entry_key(id as u64));
            judge_entry(id, entry, fate, row, view.ts)?;
            if row.is_some() {
                entry_count += 1;
                balances[entry.from as usize] -= entry.amount;
                balances[entry.to as usize] += entry.amount;
            }
        }
        if view.rows.len() != entry_count + balances.len() {
            return Err(format!("{} rows, of which some are nobody's: {view:?}", view.rows.len()));
        }
        for (account, balance) in balances.iter().enumerate() {
            let found = view.find(&account_key(account as u64)).map(|row| &row.value[..]);
            if found != Some(&balance.to_le_bytes()) {
                return Err(format!(
                    "atomicity: account {account} should have {balance} as of {}: {view:?}",
                    view.ts
                ));
            }
        }
        Ok(())
    }

    /// A recovery has decided every fate; a later one must find the same.
    pub(super) fn settle_after_recovery(&mut self, view: &View) -> Result<(), String> {
        for (id, (_, fate)) in self.entries.iter_mut().enumerate() {
            match fate {
                Fate::Unknown | Fate::InFlight if view.find(&entry_key(id as u64)).is_none() => {
                    *fate = Fate::Absent;
                }
                Fate::Unknown | Fate::InFlight => {
                    return Err(format!("entry {id} is there and was not seen"));
                }
                Fate::Present(_) | Fate::Absent => {}
            }
        }
        Ok(())
    }

    /// Keeps a judged view to compare with later.
    pub(super) fn remember(&mut self, view: &View) {
        self.memories.push((view.ts, view.hash()));
    }

    pub(super) fn draw_memory(&self, rng: &mut Rng) -> Option<(Timestamp, u64)> {
        (!self.memories.is_empty()).then(|| self.memories[rng.index(self.memories.len())])
    }

    pub(super) fn draw_sequence(&self, rng: &mut Rng) -> Option<(u64, Timestamp)> {
        let count = self.sequences.len();
        let mut all = self.sequences.iter();
        (count > 0).then(|| all.nth(rng.index(count)))?.map(|(&sequence, &ts)| (sequence, ts))
    }
}

fn judge_entry(
    id: usize,
    entry: &Entry,
    fate: &mut Fate,
    row: Option<&Row>,
    at: Timestamp,
) -> Result<(), String> {
    let Some(row) = row else {
        return match *fate {
            Fate::Present(ts) if ts <= at => {
                Err(format!("durability: entry {id} of {ts} is not there as of {at}"))
            }
            Fate::Present(_) | Fate::InFlight | Fate::Absent | Fate::Unknown => Ok(()),
        };
    };
    if row.value != entry.to_bytes() {
        return Err(format!("entry {id} has the bytes {:?}", row.value));
    }
    match *fate {
        Fate::Absent => Err(format!("entry {id} failed and is there as of {at}")),
        Fate::Present(ts) if ts != row.ts => {
            Err(format!("entry {id} was committed at {ts} and is now of {}", row.ts))
        }
        _ if row.ts > at => Err(format!("entry {id} of {} shows as of {at}", row.ts)),
        Fate::Present(_) => Ok(()),
        Fate::InFlight | Fate::Unknown => {
            *fate = Fate::Present(row.ts);
            Ok(())
        }
    }
}
