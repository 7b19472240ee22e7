//! What every transaction did, and whether the lists found after a recovery can explain it.
//!
//! Judged
//! * Durability: a committed append is in its list, an aborted one in none, a transaction of unknown
//!   fate wholly or not at all; and whatever was decided stays.
//! * Every read of others' values is a prefix of the list (else two orders, or a read of what was
//!   never committed: G1a), ends where a transaction ended (G1b), and shows own appends.
//! * Dependencies have no cycle that the level forbids ([`super::graph`]).
//!
//! Reads are judged from READ COMMITTED on.
//!
//! Sources: [Adya99] for the phenomena, [Kingsbury20] for deriving them from lists.

use std::collections::{BTreeMap, BTreeSet};

use driftdb_concurrency::IsolationLevel;

use super::graph::{Anomaly, Dependencies, Edge};

/// One step of a transaction.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Appended, or tried to.
    Append { key: u64, value: u64 },
    /// Read.
    Read { key: u64, list: Vec<u64> },
}

/// What is known about a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its client still waits for an answer.
    InFlight,
    /// Acknowledged, or found by a recovery.
    Committed,
    /// Refused, or not found by a recovery.
    Aborted,
    /// The client was told so, or died while waiting.
    Unknown,
}

#[derive(Debug)]
struct Txn {
    ops: Vec<Op>,
    fate: Fate,
}

impl Txn {
    fn appends(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ops.iter().filter_map(|op| match op {
            Op::Append { key, value } => Some((*key, *value)),
            Op::Read { .. } => None,
        })
    }
}

pub(crate) struct History {
    pub(crate) prepared: bool,
    pub(crate) committed_count: u64,
    txns: Vec<Txn>,
    newest_value: u64,
    /// Who appended a value.
    writers: BTreeMap<u64, usize>,
    /// The lists that the last recovery found.
    lists: Vec<Vec<u64>>,
}

impl History {
    pub(crate) fn new(key_count: u64) -> Self {
        Self {
            prepared: false,
            committed_count: 0,
            txns: Vec::new(),
            newest_value: 0,
            writers: BTreeMap::new(),
            lists: vec![Vec::new(); key_count as usize],
        }
    }

    pub(crate) fn begin(&mut self) -> usize {
        self.txns.push(Txn { ops: Vec::new(), fate: Fate::InFlight });
        self.txns.len() - 1
    }

    /// Notes that a transaction appends a value to a list; the value.
    pub(crate) fn new_value(&mut self, txn: usize, key: u64) -> u64 {
        self.newest_value += 1;
        let value = self.newest_value;
        self.writers.insert(value, txn);
        self.push(txn, Op::Append { key, value });
        value
    }

    pub(crate) fn push(&mut self, txn: usize, op: Op) {
        self.txns[txn].ops.push(op);
    }

    pub(crate) fn settle(&mut self, txn: usize, fate: Fate) {
        self.txns[txn].fate = fate;
        self.committed_count += u64::from(fate == Fate::Committed);
    }

    pub(crate) fn crashed(&mut self) {
        for txn in &mut self.txns {
            if txn.fate == Fate::InFlight {
                txn.fate = Fate::Unknown;
            }
        }
    }

    /// Judges everything so far by the lists that a recovery found. All fates are decided after it.
    pub(crate) fn judge(
        &mut self,
        lists: &[Vec<u64>],
        level: IsolationLevel,
    ) -> Result<(), String> {
        for (key, (before, now)) in self.lists.iter().zip(lists).enumerate() {
            if !now.starts_with(before) {
                return Err(format!("durability: list {key} was {before:?} and is {now:?}"));
            }
        }
        self.decide(lists)?;
        if level >= IsolationLevel::ReadCommitted {
            for (number, txn) in self.txns.iter().enumerate() {
                self.judge_reads(number, txn, lists)?;
            }
        }
        let graph = self.dependencies(lists);
        graph.judge(level).map_err(|what| {
            graph.note_forbidden(level, |txn| self.describe(txn));
            format!("{what} at {level}, lists {lists:?}")
        })?;
        self.lists = lists.to_vec();
        Ok(())
    }

    /// What a transaction did, in lines.
    fn describe(&self, txn: usize) -> String {
        let line = |op: &Op| match op {
            Op::Append { key, value } => format!("appends {value} to list {key}"),
            Op::Read { key, list } => format!("reads list {key}: {list:?}"),
        };
        self.txns[txn].ops.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// How many transactions have ended, one way or the other.
    pub(crate) fn ended_count(&self) -> u64 {
        let ended = |txn: &&Txn| matches!(txn.fate, Fate::Committed | Fate::Aborted);
        self.txns.iter().filter(ended).count() as u64
    }

    /// Every kind of cycle that is there, allowed or not.
    pub(crate) fn anomalies(&self, lists: &[Vec<u64>]) -> BTreeSet<Anomaly> {
        self.dependencies(lists).anomalies()
    }

    /// The history as Elle and its kin read it: a line of JSON for each transaction begun and ended,
    /// and at the end a reader of all lists.
    pub(crate) fn for_elle(&self, lists: &[Vec<u64>]) -> String {
        let mut text = String::new();
        let mut line = |kind: &str, process: usize, ops: &[String]| {
            text.push_str(&format!(
                "{{\"type\":\"{kind}\",\"process\":{process},\"value\":[{}]}}\n",
                ops.join(",")
            ));
        };
        for (process, txn) in self.txns.iter().enumerate() {
            let append = |key: u64, value: u64| format!("[\"append\",{key},{value}]");
            let begun = txn.ops.iter().map(|op| match op {
                Op::Append { key, value } => append(*key, *value),
                Op::Read { key, .. } => format!("[\"r\",{key},null]"),
            });
            line("invoke", process, &begun.collect::<Vec<_>>());
            let ended = txn.ops.iter().map(|op| match op {
                Op::Append { key, value } => append(*key, *value),
                Op::Read { key, list } => format!("[\"r\",{key},{list:?}]"),
            });
            let kind = if txn.fate == Fate::Committed { "ok" } else { "fail" };
            line(kind, process, &ended.collect::<Vec<_>>());
        }
        let keys = lists.iter().enumerate();
        let unread: Vec<String> =
            (0..lists.len()).map(|key| format!("[\"r\",{key},null]")).collect();
        let read: Vec<String> = keys.map(|(key, list)| format!("[\"r\",{key},{list:?}]")).collect();
        line("invoke", self.txns.len(), &unread);
        line("ok", self.txns.len(), &read);
        text
    }

    /// Takes appends back: a rollback to a savepoint undid them. They must stay out of all lists.
    pub(crate) fn undo(&mut self, txn: usize, values: &[u64]) {
        let undone = |op: &Op| matches!(op, Op::Append { value, .. } if values.contains(value));
        self.txns[txn].ops.retain(|op| !undone(op));
        for value in values {
            self.writers.remove(value);
        }
    }

    /// Compares appends with the lists, and decides unknown fates.
    fn decide(&mut self, lists: &[Vec<u64>]) -> Result<(), String> {
        let mut found = BTreeSet::new();
        for (key, list) in lists.iter().enumerate() {
            for value in list {
                if !found.insert(*value) {
                    return Err(format!("list {key} has {value} twice: {list:?}"));
                }
                if !self.writers.contains_key(value) {
                    return Err(format!("list {key} has {value}, which nobody appended"));
                }
            }
        }
        for (number, txn) in self.txns.iter_mut().enumerate() {
            let mut present =
                txn.appends().map(|(key, value)| lists[key as usize].contains(&value));
            let first = present.next();
            let is_partial = present.any(|is_there| Some(is_there) != first);
            drop(present);
            if is_partial {
                return Err(format!("atomicity: transaction {number} is there in part: {txn:?}"));
            }
            match (txn.fate, first) {
                (Fate::Committed, Some(false)) => {
                    return Err(format!("durability: transaction {number} is lost: {txn:?}"));
                }
                (Fate::Aborted, Some(true)) => {
                    return Err(format!("transaction {number} failed and is there: {txn:?}"));
                }
                (Fate::Unknown | Fate::InFlight, Some(true)) => txn.fate = Fate::Committed,
                // Without appends there is nothing that could have stayed.
                (Fate::Unknown | Fate::InFlight, _) => txn.fate = Fate::Aborted,
                (Fate::Committed | Fate::Aborted, _) => {}
            }
        }
        Ok(())
    }

    /// Every read, also of aborted transactions: what it shows of others must be committed.
    fn judge_reads(&self, number: usize, txn: &Txn, lists: &[Vec<u64>]) -> Result<(), String> {
        let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for op in &txn.ops {
            match op {
                Op::Append { key, value } => own.entry(*key).or_default().push(*value),
                Op::Read { key, list } => {
                    let own = own.get(key).map_or(&[][..], Vec::as_slice);
                    let Some(others) = list.strip_suffix(own) else {
                        return Err(format!(
                            "transaction {number} does not see its own {own:?} in {list:?} of {key}"
                        ));
                    };
                    let whole = &lists[*key as usize];
                    if !whole.starts_with(others) {
                        return Err(format!(
                            "G1a: transaction {number} read {list:?} of {key}, which is {whole:?}"
                        ));
                    }
                    let (Some(last), next) = (others.last(), whole.get(others.len())) else {
                        continue;
                    };
                    let writer = self.writers[last];
                    if writer != number && next.is_some_and(|next| self.writers[next] == writer) {
                        return Err(format!(
                            "G1b: transaction {number} read {list:?} of {key}, in the middle of {writer}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Who must come before whom among the committed.
    fn dependencies(&self, lists: &[Vec<u64>]) -> Dependencies {
        let mut graph = Dependencies::new(self.txns.len());
        for list in lists {
            for pair in list.windows(2) {
                graph.add(self.writers[&pair[0]], self.writers[&pair[1]], Edge::WriteWrite);
            }
        }
        for (reader, txn) in self.txns.iter().enumerate() {
            if txn.fate != Fate::Committed {
                continue;
            }
            for op in &txn.ops {
                let Op::Read { key, list } = op else { continue };
                let writer = |value: &u64| self.writers.get(value).copied();
                let whole = &lists[*key as usize];
                let others = list.iter().take_while(|value| writer(value) != Some(reader)).count();
                if !whole.starts_with(&list[..others]) {
                    // A dirty read: of no version.
                    continue;
                }
                if let Some(last) = list[..others].last() {
                    graph.add(self.writers[last], reader, Edge::WriteRead);
                }
                if let Some(next) = whole.get(others) {
                    graph.add(reader, self.writers[next], Edge::ReadWrite);
                }
            }
        }
        graph
    }
}
