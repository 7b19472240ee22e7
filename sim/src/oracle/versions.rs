//! The exact oracle: from snapshots and commit timestamps it knows what every read must have given.
//!
//! Judged
//! * Snapshot reads (REPEATABLE READ, SERIALIZABLE): each read shows the newest version at or before the
//!   snapshot, and own appends; the snapshot never moves. First committer wins: nobody else committed the
//!   same key between snapshot and commit.
//! * READ COMMITTED: the same for each statement's snapshot, which never goes back.
//! * Reads of the newest version under locks: what was read is still the newest at the commit.
//! * The past: the newest version at or before that time.
//! * Ranges: every key in them, those too that are not there; each row's version is of the commit that
//!   wrote it.
//! * After a crash: what was acknowledged is noted with its time, what failed is not.
//! * Commit timestamps are unique; a transaction that begins after an acknowledged commit sees it.
//! * At SERIALIZABLE dependencies, those by ranges included, have no cycle.

use std::collections::{BTreeMap, BTreeSet};

use driftdb_concurrency::IsolationLevel;
use driftdb_storage::Timestamp;

use super::graph::{Anomaly, Dependencies, Edge};
use super::lists::Fate;

/// What a transaction reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Also what is not committed.
    Dirty,
    /// A snapshot per statement.
    Statement,
    /// One snapshot.
    Snapshot,
    /// The newest version, under locks.
    Newest,
    /// As of a time.
    Past,
}

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) list: Vec<u64>,
    /// The commit that wrote the version, if the store told it.
    pub(crate) ts: Option<Timestamp>,
}

/// One step of a transaction.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Read all keys from `first` to `last`, at a snapshot; those that are not there are not in `rows`.
    Read {
        at: Timestamp,
        first: u64,
        last: u64,
        rows: BTreeMap<u64, Row>,
    },
    Append {
        key: u64,
        value: u64,
    },
}

#[derive(Debug)]
struct Txn {
    reads: Reads,
    /// Its first snapshot.
    begun_at: Timestamp,
    acts: Vec<Act>,
    fate: Fate,
    /// When, if it wrote.
    committed_at: Option<Timestamp>,
}

impl Txn {
    fn is_committed(&self) -> bool {
        self.fate == Fate::Committed
    }

    /// What it did, in lines.
    fn describe(&self) -> String {
        let row = |(key, row): (&u64, &Row)| format!("{key} = {:?}", row.list);
        let line = |act: &Act| match act {
            Act::Read { first, last, rows, .. } => {
                let rows: Vec<String> = rows.iter().map(row).collect();
                let rows = if rows.is_empty() { "nothing".to_owned() } else { rows.join(", ") };
                match first == last {
                    true => format!("reads list {first}: {rows}"),
                    false => format!("reads lists {first} to {last}: {rows}"),
                }
            }
            Act::Append { key, value } => format!("appends {value} to list {key}"),
        };
        self.acts.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// What it appended to each key.
    fn appends(&self) -> BTreeMap<u64, Vec<u64>> {
        let mut appends: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for act in &self.acts {
            if let Act::Append { key, value } = act {
                appends.entry(*key).or_default().push(*value);
            }
        }
        appends
    }
}

/// One version of a list.
#[derive(Debug)]
struct Version {
    ts: Timestamp,
    txn: usize,
    list: Vec<u64>,
}

/// Everything that happened.
#[derive(Default)]
pub(crate) struct Versions {
    txns: Vec<Txn>,
    newest_ack: Timestamp,
}

impl Versions {
    /// The newest acknowledged commit: whoever begins from now on must see it.
    pub(crate) fn newest_ack(&self) -> Timestamp {
        self.newest_ack
    }

    /// Begins a transaction; its number. `newest_ack` is from before its beginning.
    pub(crate) fn begin(
        &mut self,
        reads: Reads,
        begun_at: Timestamp,
        newest_ack: Timestamp,
    ) -> Result<usize, String> {
        if reads != Reads::Past && begun_at < newest_ack {
            return Err(format!(
                "real time: acknowledged at {newest_ack}, but a later transaction reads at {begun_at}"
            ));
        }
        let acts = Vec::new();
        self.txns.push(Txn { reads, begun_at, acts, fate: Fate::InFlight, committed_at: None });
        Ok(self.txns.len() - 1)
    }

    pub(crate) fn act(&mut self, txn: usize, act: Act) {
        self.txns[txn].acts.push(act);
    }

    /// Takes appends back.
    pub(crate) fn undo(&mut self, txn: usize, values: &[u64]) {
        let undone = |act: &Act| matches!(act, Act::Append { value, .. } if values.contains(value));
        self.txns[txn].acts.retain(|act| !undone(act));
    }

    pub(crate) fn commit(&mut self, txn: usize, at: Option<Timestamp>) {
        self.settle(txn, Fate::Committed);
        self.txns[txn].committed_at = at;
        self.newest_ack = self.newest_ack.max(at.unwrap_or_default());
    }

    pub(crate) fn settle(&mut self, txn: usize, fate: Fate) {
        self.txns[txn].fate = fate;
    }

    /// The node died: whatever was in flight has an unknown fate.
    pub(crate) fn crashed(&mut self) {
        for txn in &mut self.txns {
            if txn.fate == Fate::InFlight {
                txn.fate = Fate::Unknown;
            }
        }
    }

    /// Compares fates with the commits that a recovery found, by transaction, and decides the unknown.
    pub(crate) fn decide(&mut self, found: &BTreeMap<usize, Timestamp>) -> Result<(), String> {
        if let Some((txn, ts)) = found.iter().find(|(txn, _)| **txn >= self.txns.len()) {
            return Err(format!("a commit at {ts} is of transaction {txn}, which never began"));
        }
        for number in 0..self.txns.len() {
            let (txn, found) = (&self.txns[number], found.get(&number).copied());
            match txn.fate {
                Fate::Committed if txn.committed_at != found => {
                    return Err(format!(
                        "durability: the commit of transaction {number} is at {found:?}, was at {:?}",
                        txn.committed_at
                    ));
                }
                Fate::Aborted if found.is_some() => {
                    return Err(format!("transaction {number} failed, with a commit at {found:?}"));
                }
                Fate::Committed | Fate::Aborted => {}
                Fate::Unknown | Fate::InFlight if found.is_some() => self.commit(number, found),
                Fate::Unknown | Fate::InFlight => self.settle(number, Fate::Aborted),
            }
        }
        Ok(())
    }

    /// The times of all commits.
    pub(crate) fn commit_times(&self) -> Vec<Timestamp> {
        self.txns.iter().filter_map(|txn| txn.committed_at).collect()
    }

    /// The lists as of a time, those that are there.
    pub(crate) fn as_of(&self, ts: Timestamp) -> BTreeMap<u64, Vec<u64>> {
        let histories = self.histories();
        let found = histories
            .iter()
            .filter_map(|(key, versions)| Some((*key, newest(versions, ts)?.list.clone())));
        found.collect()
    }

    /// Judges everything; the cycles that are there, allowed or not.
    ///
    /// # Errors
    /// What is violated.
    pub(crate) fn judge(
        &self,
        lists: &[Vec<u64>],
        level: IsolationLevel,
    ) -> Result<BTreeSet<Anomaly>, String> {
        let times = self.commit_times();
        let unique: BTreeSet<Timestamp> = times.iter().copied().collect();
        if unique.len() < times.len() {
            return Err(format!("two commits share a time: {times:?}"));
        }
        let histories = self.histories();
        for (key, list) in lists.iter().enumerate() {
            let last = histories.get(&(key as u64)).and_then(|versions| versions.last());
            let expected = last.map_or(&[][..], |version| &version.list);
            if list != expected {
                return Err(format!("list {key} is {list:?}, but commits left {expected:?}"));
            }
        }
        for (number, txn) in self.txns.iter().enumerate() {
            self.judge_reads(number, txn, &histories)?;
            Self::first_committer(number, txn, &histories)?;
        }
        let graph = self.dependencies(&histories);
        graph.judge(level).map_err(|what| {
            graph.note_forbidden(level, |txn| self.txns[txn].describe());
            format!("{what} at {level}, by timestamps")
        })?;
        Ok(graph.anomalies())
    }

    /// All versions of each key, in order of commit.
    fn histories(&self) -> BTreeMap<u64, Vec<Version>> {
        let commits = self.txns.iter().enumerate();
        let mut commits: Vec<(Timestamp, usize)> =
            commits.filter_map(|(number, txn)| Some((txn.committed_at?, number))).collect();
        commits.sort_unstable();
        let mut histories: BTreeMap<u64, Vec<Version>> = BTreeMap::new();
        for (ts, txn) in commits {
            for (key, appended) in self.txns[txn].appends() {
                let versions = histories.entry(key).or_default();
                let mut list = versions.last().map(|last| last.list.clone()).unwrap_or_default();
                list.extend(appended);
                versions.push(Version { ts, txn, list });
            }
        }
        histories
    }

    fn judge_reads(
        &self,
        number: usize,
        txn: &Txn,
        histories: &BTreeMap<u64, Vec<Version>>,
    ) -> Result<(), String> {
        let mut own: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let mut before = txn.begun_at;
        for act in &txn.acts {
            let (at, first, last, rows) = match act {
                Act::Append { key, value } => {
                    own.entry(*key).or_default().push(*value);
                    continue;
                }
                Act::Read { at, first, last, rows } => (*at, *first, *last, rows),
            };
            let moved = match txn.reads {
                Reads::Snapshot | Reads::Past => at != txn.begun_at,
                Reads::Dirty | Reads::Statement | Reads::Newest => at < before,
            };
            if moved {
                return Err(format!("transaction {number} read at {before} and then at {at}"));
            }
            before = at;
            for key in first..=last {
                let own = own.get(&key).map_or(&[][..], Vec::as_slice);
                let versions = histories.get(&key).map_or(&[][..], Vec::as_slice);
                let row = rows.get(&key);
                judge_row(txn, at, own, versions, row).map_err(|what| {
                    let reads = txn.reads;
                    format!(
                        "transaction {number} ({reads:?}), key {key}: {what}\n  {txn:?}\n  {versions:?}"
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Nobody else wrote a key between the snapshot and the commit of one who wrote it.
    fn first_committer(
        number: usize,
        txn: &Txn,
        histories: &BTreeMap<u64, Vec<Version>>,
    ) -> Result<(), String> {
        let Some(committed_at) = txn.committed_at.filter(|_| txn.reads == Reads::Snapshot) else {
            return Ok(());
        };
        for key in txn.appends().keys() {
            let between =
                |version: &&Version| version.ts > txn.begun_at && version.ts < committed_at;
            if let Some(other) = histories[key].iter().find(between) {
                return Err(format!(
                    "transaction {number} read at {} and committed key {key} at {committed_at}, but \
                     {} had committed it at {}: a lost update",
                    txn.begun_at, other.txn, other.ts
                ));
            }
        }
        Ok(())
    }

    /// Who must come before whom among the committed.
    fn dependencies(&self, histories: &BTreeMap<u64, Vec<Version>>) -> Dependencies {
        let mut graph = Dependencies::new(self.txns.len());
        for versions in histories.values() {
            for pair in versions.windows(2) {
                graph.add(pair[0].txn, pair[1].txn, Edge::WriteWrite);
            }
        }
        for (reader, txn) in self.txns.iter().enumerate() {
            // Dirty reads are of no version; the past is not in any order with what commits now.
            if !txn.is_committed() || matches!(txn.reads, Reads::Dirty | Reads::Past) {
                continue;
            }
            let mut own = BTreeSet::new();
            for act in &txn.acts {
                match act {
                    Act::Append { key, .. } => {
                        own.insert(*key);
                    }
                    Act::Read { at, first, last, rows } => {
                        let keys = (*first..=*last).filter(|key| !own.contains(key));
                        for key in keys {
                            let versions = histories.get(&key).map_or(&[][..], Vec::as_slice);
                            let seen = match txn.reads {
                                // Under locks it is not known when: the list itself tells.
                                Reads::Newest => {
                                    let list = rows.get(&key).map_or(&[][..], |row| &row.list);
                                    let same = versions.iter().position(|it| it.list == list);
                                    same.map_or(0, |at| at + 1)
                                }
                                _ => versions.partition_point(|it| it.ts <= *at),
                            };
                            if let Some(version) = seen.checked_sub(1).map(|last| &versions[last]) {
                                graph.add(version.txn, reader, Edge::WriteRead);
                            }
                            if let Some(next) = versions.get(seen) {
                                graph.add(reader, next.txn, Edge::ReadWrite);
                            }
                        }
                    }
                }
            }
        }
        graph
    }
}

fn newest(versions: &[Version], at: Timestamp) -> Option<&Version> {
    versions[..versions.partition_point(|version| version.ts <= at)].last()
}

/// Whether one row is what it must be.
fn judge_row(
    txn: &Txn,
    at: Timestamp,
    own: &[u64],
    versions: &[Version],
    row: Option<&Row>,
) -> Result<(), String> {
    let list = row.map_or(&[][..], |row| &row.list);
    let Some(others) = list.strip_suffix(own) else {
        return Err(format!("does not see its own {own:?} in {list:?}"));
    };
    if !own.is_empty() && !txn.is_committed() {
        // Where claims do not wait, others may have committed the key since: that is why it failed.
        return Ok(());
    }
    let version = match (txn.reads, txn.committed_at) {
        (Reads::Dirty, _) => return Ok(()),
        (Reads::Newest, Some(ts)) => versions[..versions.partition_point(|it| it.ts < ts)].last(),
        // Its locks let go when it was aborted: any version that there was.
        (Reads::Newest, None) => {
            match others {
                [] => None,
                others => Some(versions.iter().find(|version| version.list == others).ok_or_else(
                    || format!("read {others:?}, which is no version of {versions:?}"),
                )?),
            }
        }
        (Reads::Statement | Reads::Snapshot | Reads::Past, _) => newest(versions, at),
    };
    let expected = version.map_or(&[][..], |version| &version.list);
    if others != expected {
        return Err(format!("read {others:?} at {at}, which must be {expected:?}"));
    }
    if own.is_empty()
        && let (Some(version), Some(ts)) = (version, row.and_then(|row| row.ts))
        && ts != version.ts
    {
        return Err(format!("its version is said to be of {ts}, and is of {}", version.ts));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transactions that each read key 0 and key 1 at `begun` and append to one of them at `commit`.
    fn history(reads: Reads, txns: &[(u64, u64, u64, [&[u64]; 2])]) -> Versions {
        let mut versions = Versions::default();
        for (number, &(begun, commit, key, lists)) in txns.iter().enumerate() {
            let begun = Timestamp(begun);
            let txn = versions.begin(reads, begun, Timestamp(0)).unwrap();
            let present = lists.iter().enumerate().filter(|(_, list)| !list.is_empty());
            let row = |list: &[u64]| Row { list: list.to_vec(), ts: None };
            let rows = present.map(|(key, list)| (key as u64, row(list))).collect();
            versions.act(txn, Act::Read { at: begun, first: 0, last: 1, rows });
            versions.act(txn, Act::Append { key, value: number as u64 + 1 });
            versions.commit(txn, Some(Timestamp(commit)));
        }
        versions
    }

    #[test]
    fn each_violation_is_named() {
        use IsolationLevel::{RepeatableRead, Serializable};
        let lists = [vec![1], vec![2]];
        // Write skew: allowed, and not at SERIALIZABLE.
        let skew = history(Reads::Snapshot, &[(5, 8, 0, [&[], &[]]), (6, 9, 1, [&[], &[]])]);
        let found = skew.judge(&lists, RepeatableRead).unwrap();
        assert_eq!(found, BTreeSet::from([Anomaly::G2]));
        assert!(skew.judge(&lists, Serializable).unwrap_err().starts_with("G2"));
        // What one wrote before the other began must be read.
        let stale = history(Reads::Snapshot, &[(5, 8, 0, [&[], &[]]), (8, 9, 1, [&[], &[]])]);
        assert!(stale.judge(&lists, RepeatableRead).unwrap_err().contains("must be [1]"));
        let lost = history(Reads::Snapshot, &[(5, 8, 0, [&[], &[]]), (6, 9, 0, [&[], &[]])]);
        let lists = [vec![1, 2], vec![]];
        assert!(lost.judge(&lists, RepeatableRead).unwrap_err().contains("a lost update"));
        let twice = history(Reads::Snapshot, &[(5, 8, 0, [&[], &[]]), (6, 8, 1, [&[], &[]])]);
        assert!(twice.judge(&lists, RepeatableRead).unwrap_err().contains("share a time"));
        let locked = history(Reads::Newest, &[(5, 8, 0, [&[], &[]]), (6, 9, 0, [&[1], &[]])]);
        assert_eq!(locked.judge(&lists, Serializable), Ok(BTreeSet::new()));
    }

    #[test]
    fn a_recovery_decides_what_was_open() {
        let found = |found: &[(usize, u64)]| -> BTreeMap<usize, Timestamp> {
            found.iter().map(|&(txn, ts)| (txn, Timestamp(ts))).collect()
        };
        let acked = || history(Reads::Snapshot, &[(5, 8, 0, [&[], &[]])]);
        assert_eq!(acked().decide(&found(&[(0, 8)])), Ok(()));
        acked().decide(&found(&[])).unwrap_err();
        acked().decide(&found(&[(0, 9)])).unwrap_err();
        acked().decide(&found(&[(0, 8), (1, 9)])).unwrap_err();
        let open = || {
            let mut open = acked();
            open.settle(0, Fate::InFlight);
            open.txns[0].committed_at = None;
            open.crashed();
            open
        };
        let mut kept = open();
        assert_eq!(kept.decide(&found(&[(0, 9)])), Ok(()));
        assert_eq!(kept.commit_times(), [Timestamp(9)]);
        let mut lost = open();
        assert_eq!(lost.decide(&found(&[])), Ok(()));
        lost.decide(&found(&[(0, 9)])).unwrap_err();
    }

    #[test]
    fn who_comes_later_sees_what_was_acknowledged() {
        let mut versions = history(Reads::Snapshot, &[(5, 8, 0, [&[], &[]])]);
        let ack = versions.newest_ack();
        versions.begin(Reads::Snapshot, Timestamp(7), ack).unwrap_err();
        assert_eq!(versions.as_of(Timestamp(7)), BTreeMap::new());
        assert_eq!(versions.as_of(Timestamp(8)), BTreeMap::from([(0, vec![1])]));
    }
}
