//! Saving what verifies of a damaged store into a new one.
//!
//! The engine tells every version that it can still read, and every place that it cannot; the log gives
//! the records after those, in order, up to the first hole. What is saved is loaded into a new engine,
//! and the log's part goes into a new log, which the first open replays. What the store keeps about
//! itself is made whole ([`own`]).

mod own;

use std::collections::BTreeMap;
use std::path::Path;

use driftdb_env::{Env, directory};
use driftdb_storage::{
    Commit, Damage, Entry, FileEngine, Keyspace, KeyspaceId, Loader, Lsn, Result, SalvageSink,
    StorageError, Timestamp,
};
use driftdb_wal::Wal;

use crate::commit::Position;
use crate::erase::{self, Noted};
use crate::record::{CommitRecord, RecordKind};
use crate::{COMMITS, COUNTERS, StoreOptions};
use own::{Commits, counters_jump};

/// Told about a salvage as it goes on.
pub trait SalvageReport {
    /// A place that is lost.
    fn lost(&mut self, damage: Damage);

    /// Bytes of the engine read so far, of about so many in all.
    fn progress(&mut self, done_bytes: u64, total_bytes: u64);
}

/// What was saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Salvaged {
    /// Keyspaces, the store's own included.
    pub keyspaces: u64,
    /// Versions from the engine's files.
    pub versions: u64,
    /// Records from the log.
    pub log_records: u64,
    /// Entries of the index of commits that were filled in.
    pub filled_commits: u64,
    /// Up to here the new store is complete, but for what was reported lost.
    pub at: Timestamp,
}

/// Saves what verifies in `from`, of engine `S`, into the new directory `to`, for engine `T`. Nobody may
/// have `from` open; nothing in it is changed.
///
/// # Errors
/// I/O other than damage; `to` is not empty; nothing at all is to be had.
pub fn salvage<S: FileEngine, T: FileEngine>(
    env: &Env,
    from: &Path,
    to: &Path,
    options: &StoreOptions,
    report: &mut dyn SalvageReport,
) -> Result<Salvaged> {
    directory::create_empty_dir(env.disk(), to)?;
    let mut has_lost_log = false;
    let noted = erase::noted(env, from)?;
    let erasing = if let Noted::Of { commit, .. } = &noted { Some(*commit) } else { None };
    let Logged { commits: logged, in_parts } = logged_commits(env, from, &mut |damage| {
        has_lost_log = true;
        report.lost(damage);
    })?;
    let mut sink = Sink {
        loader: T::loader(env, &to.join("engine"), &options.engine)?,
        report,
        done: Salvaged::default(),
        at: Commit::default(),
        space: None,
        commits: Commits::new(logged, erasing),
        in_parts: &in_parts,
        has_lost: has_lost_log,
    };
    S::salvage(env, &from.join("engine"), &options.engine, &mut sink)?;
    sink.before_keyspace(None)?;
    let Sink { loader, report, mut done, at, mut commits, has_lost, .. } = sink;
    let log = Wal::create_at(env, &to.join("wal"), &options.wal, at.lsn.max(Lsn(1)))?;
    loader.finish(Commit { lsn: log.tail(), ts: at.ts })?;
    done.filled_commits = commits.filled;
    done.at = at.ts;
    let engine = Position { commit: at, sequence: commits.last.0 };
    let mut saved = |sequence, ts| commits.note_saved(sequence, ts);
    let last = save_log(env, from, &log, engine, &in_parts, &mut done, &mut saved, report)?;
    if has_lost || last.is_broken {
        let (header, batch) = counters_jump(last.sequence, done.at.next());
        log.append(&[&header, batch.as_bytes()])?;
    }
    log.wait_durable(log.tail())?;
    let is_saved = commits.erasing.is_some_and(|(_, is_saved)| is_saved);
    carry_note(env, to, noted, is_saved, has_lost || last.is_broken, report)?;
    env.disk().sync_dir(to)?;
    Ok(done)
}

/// Lets who opens the new store finish an erasure that was under way, if its commit is saved.
fn carry_note(
    env: &Env,
    to: &Path,
    noted: Noted,
    is_saved: bool,
    has_lost: bool,
    report: &mut dyn SalvageReport,
) -> Result<()> {
    let what = match noted {
        Noted::Nothing => return Ok(()),
        Noted::Of { bytes, .. } if is_saved => return Ok(erase::write_note(env, to, &bytes)?),
        // It never came to be.
        Noted::Of { .. } if !has_lost => return Ok(()),
        Noted::Of { commit: (sequence, _), .. } => {
            format!("commit {sequence} is lost; if it was made, what it erased is there again")
        }
        Noted::Damaged => "if an erasure was under way, what it erased is there again".to_owned(),
    };
    report.lost(Damage::new("erasing", 0, what));
    Ok(())
}

/// What the log still has.
#[derive(Default)]
struct Logged {
    /// Number and time of every commit.
    commits: Vec<(u64, Timestamp)>,
    in_parts: InParts,
}

/// By time, the commits in parts of which the last part is there, and all from some part on.
type InParts = BTreeMap<Timestamp, Parts>;

#[derive(Debug, Clone, Copy)]
struct Parts {
    /// The first that is there.
    first: u32,
    /// Where the last ends.
    end: Lsn,
}

/// Whether the engine has only some parts of the commit that it is complete up to, and the log the rest.
/// Where its place in the log is lost, it counts as having all.
fn is_amid_parts(at: Commit, in_parts: &InParts) -> bool {
    at.lsn > Lsn(0) && in_parts.get(&at.ts).is_some_and(|parts| parts.end > at.lsn)
}

fn logged_commits(env: &Env, from: &Path, lost: &mut dyn FnMut(Damage)) -> Result<Logged> {
    let mut logged = Logged::default();
    // The commit whose parts are being read: its time, the first part, the next.
    let mut parts = (Timestamp::MAX, 0, 0);
    let visit = &mut |end, payload: &[u8]| {
        let record = CommitRecord::decode(end, payload)?;
        if record.kind.is_part() {
            if (parts.0, parts.2) != (record.ts, record.part) {
                parts = (record.ts, record.part, record.part);
            }
            parts.2 += 1;
        }
        if record.kind == RecordKind::LastPart {
            logged.in_parts.insert(record.ts, Parts { first: parts.1, end });
        }
        if record.kind.ends_commit() {
            logged.commits.push((record.sequence, record.ts));
        }
        Ok(())
    };
    Wal::salvage(env, &from.join("wal"), visit, lost)?;
    Ok(logged)
}

/// Where the saved log ends.
struct LogEnd {
    sequence: u64,
    /// Whether commits are missing after it.
    is_broken: bool,
}

/// Copies the records after what the engine had, as long as they follow one another.
fn save_log(
    env: &Env,
    from: &Path,
    log: &Wal,
    engine: Position,
    in_parts: &InParts,
    done: &mut Salvaged,
    saved: &mut dyn FnMut(u64, Timestamp),
    report: &mut dyn SalvageReport,
) -> Result<LogEnd> {
    let Commit { ts: engine_ts, lsn: engine_lsn } = engine.commit;
    let is_amid_parts = is_amid_parts(engine.commit, in_parts);
    let mut last = LogEnd { sequence: engine.sequence, is_broken: false };
    let visit = &mut |end: Lsn, payload: &[u8]| {
        let record = CommitRecord::decode(end, payload)?;
        let goes_on = record.ts == engine_ts && end > engine_lsn && is_amid_parts;
        if record.ts <= engine_ts && !goes_on || last.is_broken {
            return Ok(());
        }
        let parts = in_parts.get(&record.ts);
        if record.kind.is_part() && !parts.is_some_and(|parts| parts.first == 0 || goes_on) {
            // Never committed; or damaged, which the number of the next commit will tell.
            return Ok(());
        }
        let next = last.sequence + u64::from(record.kind != RecordKind::System);
        if record.sequence != next {
            let what = format!(
                "commits {} to {} are in neither engine nor log; all after them are left out",
                last.sequence + 1,
                record.sequence.saturating_sub(1),
            );
            report.lost(Damage::new("the log", end.0, what));
            last.is_broken = true;
            return Ok(());
        }
        if record.kind != RecordKind::Part {
            last.sequence = next;
            done.at = record.ts;
            if record.kind.ends_commit() {
                saved(record.sequence, record.ts);
            }
        }
        done.log_records += 1;
        log.append(&[payload])?;
        Ok(())
    };
    // Its damage was told when it was read the first time.
    Wal::salvage(env, &from.join("wal"), visit, &mut |_| {})?;
    Ok(last)
}

/// Hands on what the engine tells, and makes the store's own keyspaces whole.
struct Sink<'a, L> {
    loader: L,
    report: &'a mut dyn SalvageReport,
    done: Salvaged,
    /// Up to where the engine should be complete.
    at: Commit,
    /// The keyspace under way.
    space: Option<KeyspaceId>,
    commits: Commits,
    in_parts: &'a InParts,
    has_lost: bool,
}

impl<L: Loader> Sink<'_, L> {
    /// Ends the keyspace under way, and makes those of the store's own that should have come before
    /// `next` (at the end: before anything) and did not.
    fn before_keyspace(&mut self, next: Option<KeyspaceId>) -> Result<()> {
        for own in [COMMITS, COUNTERS] {
            let is_under_way = self.space == Some(own);
            let is_missing =
                self.space.is_none_or(|space| space < own) && next.is_none_or(|next| next > own);
            if is_missing {
                let what = format!("the store's own keyspace {own} is missing; it is made anew");
                self.lost(Damage::new("engine", 0, what).with_keys(own, None, None));
                self.start(&Keyspace {
                    id: own,
                    created: Timestamp(1),
                    dropped: None,
                    kept: driftdb_storage::Retention::FOREVER,
                })?;
            }
            if own == COMMITS && (is_under_way || is_missing) {
                let loader = &mut self.loader;
                let is_amid_parts = is_amid_parts(self.at, self.in_parts);
                let ts = Timestamp(self.at.ts.0 - u64::from(is_amid_parts));
                self.commits.end(ts, &mut |entry| loader.add(entry))?;
            }
        }
        Ok(())
    }

    fn start(&mut self, space: &Keyspace) -> Result<()> {
        self.space = Some(space.id);
        self.done.keyspaces += 1;
        self.loader.keyspace(space)
    }
}

impl<L: Loader> SalvageSink for Sink<'_, L> {
    fn begin(&mut self, at: Commit) -> Result<()> {
        self.at = at;
        Ok(())
    }

    fn keyspace(&mut self, space: &Keyspace) -> Result<()> {
        self.before_keyspace(Some(space.id))?;
        self.start(space)
    }

    fn version(&mut self, space: KeyspaceId, entry: Entry<'_>) -> Result<()> {
        if self.space != Some(space) {
            let text = format!("a version of keyspace {space} among those of {:?}", self.space);
            return Err(StorageError::Internal(text));
        }
        self.done.versions += 1;
        let loader = &mut self.loader;
        match space {
            COMMITS => self.commits.take(entry, &mut |entry| loader.add(entry)),
            _ => loader.add(entry),
        }
    }

    fn lost(&mut self, damage: Damage) {
        self.has_lost = true;
        self.report.lost(damage);
    }

    fn progress(&mut self, done_bytes: u64, total_bytes: u64) {
        self.report.progress(done_bytes, total_bytes);
    }
}
