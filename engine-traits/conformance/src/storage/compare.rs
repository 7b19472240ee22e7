//! Compares everything a snapshot shows with the model.

use std::collections::BTreeSet;

use driftdb_storage::{
    Cursor, ErrorKind, KeyRange, KeyspaceId, Result, Retention, RetentionPolicy, ScanSpec,
    Snapshot, StorageError, Timestamp, Visible,
};

use super::model::{Model, ModelSpace, Version, reversed};

/// Which errors may stand in for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tolerance {
    /// None.
    Strict,
    /// Damage and failed I/O: an error instead of an answer, never a wrong answer.
    Faulty,
}

/// How many times are read per keyspace, beyond the ends.
const SAMPLED_TIMES: usize = 7;
/// How many keys are read singly per time.
const SAMPLED_KEYS: usize = 12;

/// Reads everything in every way. Returns how many reads ended in a tolerated error.
///
/// # Errors
/// The first wrong answer, as a sentence.
pub fn compare<S: Snapshot>(
    snapshot: &S,
    model: &Model,
    policy: &RetentionPolicy,
    tolerance: Tolerance,
) -> std::result::Result<u64, String> {
    let at = snapshot.at();
    let known = at == Default::default() || model.commits.binary_search(&at).is_ok();
    if !known {
        return Err(format!("the snapshot is at {at:?}, which is no commit"));
    }
    keyspaces(snapshot, model, policy)
        .map_err(|what| format!("the keyspaces of a snapshot at {at:?}: {what}"))?;
    let mut reads = Reads { snapshot, tolerance, errors: 0 };
    for (&id, space) in &model.spaces {
        reads
            .space(id, space, model, policy.of(id))
            .map_err(|what| format!("keyspace {id} in a snapshot at {at:?}: {what}"))?;
    }
    Ok(reads.errors)
}

/// The list of keyspaces names each that lives, none that never was, and what it says is so.
fn keyspaces<S: Snapshot>(snapshot: &S, model: &Model, policy: &RetentionPolicy) -> Outcome {
    let at = snapshot.at().ts;
    let listed = snapshot.keyspaces();
    if !listed.is_sorted_by(|a, b| a.id < b.id) {
        return Err("they do not ascend".to_owned());
    }
    for keyspace in &listed {
        let Some(space) = model.spaces.get(&keyspace.id).filter(|space| space.created <= at) else {
            return Err(format!("{} is invented", keyspace.id));
        };
        let dropped = space.dropped.filter(|dropped| *dropped <= at);
        if keyspace.created != space.created || keyspace.dropped != dropped {
            return Err(format!("{keyspace:?}, expected {:?} to {dropped:?}", space.created));
        }
        let promise = policy.of(keyspace.id);
        let covered = promise.pins.iter().chain([&promise.keep_since]);
        let lives = space.lives_at(at);
        if let Some(lost) = covered.filter(|_| lives).find(|ts| !keyspace.kept.covers(**ts)) {
            return Err(format!("{keyspace:?} does not keep {lost:?}, which is promised"));
        }
    }
    let missing = model.spaces.iter().find(|(id, space)| {
        space.lives_at(at) && !listed.iter().any(|keyspace| keyspace.id == **id)
    });
    missing.map_or(Ok(()), |(id, _)| Err(format!("{id} is missing")))
}

struct Reads<'a, S: Snapshot> {
    snapshot: &'a S,
    tolerance: Tolerance,
    errors: u64,
}

type Outcome<T = ()> = std::result::Result<T, String>;

impl<S: Snapshot> Reads<'_, S> {
    fn space(
        &mut self,
        id: KeyspaceId,
        space: &ModelSpace,
        model: &Model,
        promise: &Retention,
    ) -> Outcome {
        let sampled_times = match self.tolerance {
            Tolerance::Strict => SAMPLED_TIMES,
            // Sweeps compare thousands of times: fewer times each, not fewer cases.
            Tolerance::Faulty => SAMPLED_TIMES / 3,
        };
        let times = times(model, sampled_times, space, promise, self.snapshot.at().ts);
        for &ts in &times {
            self.as_of(id, space, ts, promise)?;
        }
        let sampled: Vec<Timestamp> = times.iter().copied().collect();
        for pair in sampled.windows(2) {
            self.between(id, space, pair[0], pair[1], promise)?;
        }
        self.between(id, space, promise.keep_since, Timestamp::MAX, promise)?;
        self.all(id, space, promise)?;
        self.newest(id, space)
    }

    /// Whether an error may stand in for an answer.
    fn tolerates(&mut self, error: &StorageError) -> bool {
        let tolerated = self.tolerance == Tolerance::Faulty
            && matches!(error.kind(), ErrorKind::Corruption | ErrorKind::Unavailable);
        self.errors += u64::from(tolerated);
        tolerated
    }

    fn as_of(
        &mut self,
        id: KeyspaceId,
        space: &ModelSpace,
        ts: Timestamp,
        promise: &Retention,
    ) -> Outcome {
        let at = ts.min(self.snapshot.at().ts);
        let mut out = Vec::new();
        if !promise.covers(ts) || !space.lives_at(at) {
            let got = self.snapshot.get(id, b"any", ts, &mut out);
            let scanned = scan(self.snapshot, id, Visible::AsOf(ts), false);
            let lives = space.lives_at(at);
            self.refused(got.map(|_| ()), ts, promise, lives)?;
            return self.refused(scanned.map(|_| ()), ts, promise, lives);
        }
        let expected = space.as_of(at);
        self.same(id, Visible::AsOf(ts), &expected)?;
        let step = space.keys.len() / SAMPLED_KEYS + 1;
        // Other keys at each time.
        let present = space.keys.keys().skip(ts.0 as usize % step).step_by(step);
        let absent: Vec<Vec<u8>> =
            present.clone().take(3).map(|key| [key.as_slice(), b"\0"].concat()).collect();
        for key in present.chain(&absent) {
            out.clear();
            out.extend_from_slice(b"kept");
            let expected = space.get(key, at);
            match self.snapshot.get(id, key, ts, &mut out) {
                Err(error) if self.tolerates(&error) => {}
                Err(error) => return Err(format!("get {key:?} as of {ts:?} fails: {error}")),
                Ok(found) => {
                    let value = expected.map_or(&b""[..], |(_, value)| value);
                    if found != expected.map(|(ts, _)| ts) || out != [b"kept", value].concat() {
                        return Err(format!(
                            "get {key:?} as of {ts:?} finds {found:?} with {} bytes, expected {:?} \
                             with {} bytes",
                            out.len().wrapping_sub(4),
                            expected.map(|(ts, _)| ts),
                            value.len()
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// A read that must be refused, and for the right reason.
    fn refused(
        &mut self,
        result: Result<()>,
        ts: Timestamp,
        promise: &Retention,
        lives: bool,
    ) -> Outcome {
        match result {
            Err(StorageError::SnapshotTooOld { .. }) if !promise.covers(ts) => Ok(()),
            // Once a dropped keyspace is reclaimed, an engine may not know any more when it lived.
            Err(StorageError::SnapshotTooOld { .. } | StorageError::UnknownKeyspace { .. })
                if !lives =>
            {
                Ok(())
            }
            Err(error) if self.tolerates(&error) => Ok(()),
            other => Err(format!("a read as of {ts:?}, which must be refused, gives {other:?}")),
        }
    }

    fn between(
        &mut self,
        id: KeyspaceId,
        space: &ModelSpace,
        after: Timestamp,
        up_to: Timestamp,
        promise: &Retention,
    ) -> Outcome {
        let last = up_to.min(self.snapshot.at().ts);
        // What engines say about a stretch in which the keyspace does not live all the time is
        // left to them.
        if after < promise.keep_since || !space.lives_at(last) {
            return Ok(());
        }
        let expected = space.between(Some(after), last);
        self.same(id, Visible::Between { after, up_to }, &expected)
    }

    fn all(&mut self, id: KeyspaceId, space: &ModelSpace, promise: &Retention) -> Outcome {
        let at = self.snapshot.at().ts;
        if !space.lives_at(at) {
            return Ok(());
        }
        let every = space.between(None, at);
        if *promise == Retention::FOREVER {
            return self.same(id, Visible::All, &every);
        }
        // Old versions may or may not be gone already; nothing may be invented, and what came
        // after the promise's start must be there.
        for reverse in [false, true] {
            let shown = match scan(self.snapshot, id, Visible::All, reverse) {
                Err(error) if self.tolerates(&error) => continue,
                Err(error) => return Err(format!("a scan of all versions fails: {error}")),
                Ok(shown) => {
                    if reverse {
                        reversed(&shown)
                    } else {
                        shown
                    }
                }
            };
            let every: BTreeSet<&Version> = every.iter().collect();
            if let Some(invented) = shown.iter().find(|version| !every.contains(version)) {
                return Err(format!("a scan of all versions invents {}", brief(invented)));
            }
            let shown: BTreeSet<&Version> = shown.iter().collect();
            let recent = every
                .iter()
                .find(|version| version.1 > promise.keep_since && !shown.contains(*version));
            if let Some(missing) = recent {
                return Err(format!("a scan of all versions misses {}", brief(missing)));
            }
        }
        Ok(())
    }

    fn newest(&mut self, id: KeyspaceId, space: &ModelSpace) -> Outcome {
        let at = self.snapshot.at().ts;
        if !space.lives_at(at) {
            return Ok(());
        }
        let step = space.keys.len() / SAMPLED_KEYS + 1;
        for (key, versions) in space.keys.iter().step_by(step) {
            let expected = space.newest(key, at);
            let is_tombstone =
                expected.and_then(|ts| versions.get(&ts)).is_some_and(Option::is_none);
            match self.snapshot.newest(id, key) {
                Err(error) if self.tolerates(&error) => {}
                Err(error) => return Err(format!("newest of {key:?} fails: {error}")),
                // A tombstone that hides nothing any more may be gone.
                Ok(None) if is_tombstone => {}
                Ok(found) if found == expected => {}
                Ok(found) => {
                    return Err(format!("newest of {key:?} is {found:?}, expected {expected:?}"));
                }
            }
        }
        Ok(())
    }

    /// A scan both ways shows exactly `expected`.
    fn same(&mut self, id: KeyspaceId, visible: Visible, expected: &[Version]) -> Outcome {
        for reverse in [false, true] {
            let backwards;
            let expected = if reverse {
                backwards = reversed(expected);
                &backwards
            } else {
                expected
            };
            let what = if reverse { "reverse scan" } else { "scan" };
            match scan(self.snapshot, id, visible, reverse) {
                Err(error) if self.tolerates(&error) => {}
                Err(error) => return Err(format!("a {what} of {visible:?} fails: {error}")),
                Ok(shown) => {
                    if let Some(wrong) = difference(&shown, expected) {
                        return Err(format!("a {what} of {visible:?} {wrong}"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The times worth reading: the ends, the edges of the promise, and commits in between with their
/// neighbours.
fn times(
    model: &Model,
    sampled_times: usize,
    space: &ModelSpace,
    promise: &Retention,
    at: Timestamp,
) -> BTreeSet<Timestamp> {
    let mut times = BTreeSet::from([Timestamp::MIN, at, Timestamp::MAX, promise.keep_since]);
    times.extend(promise.pins.iter().copied());
    for edge in [Some(space.created), space.dropped].into_iter().flatten() {
        times.extend([Timestamp(edge.0.saturating_sub(1)), edge]);
    }
    let step = model.commits.len() / sampled_times + 1;
    for commit in model.commits.iter().step_by(step) {
        times.extend([Timestamp(commit.ts.0.saturating_sub(1)), commit.ts]);
    }
    times.insert(Timestamp(promise.keep_since.0.saturating_sub(1)));
    times
}

/// Everything a cursor over the whole keyspace shows.
///
/// # Errors
/// As the cursor.
pub fn scan<S: Snapshot>(
    snapshot: &S,
    space: KeyspaceId,
    visible: Visible,
    reverse: bool,
) -> Result<Vec<Version>> {
    scan_range(snapshot, space, ScanSpec { range: KeyRange::ALL, visible, reverse })
}

/// Everything a cursor over `spec` shows.
///
/// # Errors
/// As the cursor.
pub fn scan_range<S: Snapshot>(
    snapshot: &S,
    space: KeyspaceId,
    spec: ScanSpec<'_>,
) -> Result<Vec<Version>> {
    let mut cursor = snapshot.cursor(space, &spec)?;
    let mut shown = Vec::new();
    while cursor.next()? {
        shown.push(entry(&cursor));
    }
    Ok(shown)
}

/// The entry a cursor is on, as the model writes it.
pub fn entry(cursor: &impl Cursor) -> Version {
    let entry = cursor.entry();
    (entry.key.to_vec(), entry.ts, entry.value.map(<[u8]>::to_vec))
}

/// How two lists differ, as the end of a sentence.
pub fn difference(shown: &[Version], expected: &[Version]) -> Option<String> {
    let index = shown.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let name = |list: &[Version]| list.get(index).map_or("the end".to_owned(), brief);
    (shown != expected)
        .then(|| format!("shows {} at entry {index}, expected {}", name(shown), name(expected)))
}

fn brief((key, ts, value): &Version) -> String {
    let key = String::from_utf8_lossy(key);
    let value = value.as_ref().map_or("a tombstone".to_owned(), |value| {
        let start = String::from_utf8_lossy(&value[..value.len().min(16)]).into_owned();
        format!("{} bytes {start:?}", value.len())
    });
    format!("{key:?}@{} = {value}", ts.0)
}
