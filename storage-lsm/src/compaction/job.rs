//! A compaction under way.
//!
//! Each input run is walked in order; the key that comes first of all goes through the shared
//! [`Fold`], which decides what history may go, and into the output. The inputs stand in a list in
//! the order of their heads. After a step of one input its place is found from the front: most steps
//! keep it there, which costs one comparison, and there are seldom more than five inputs. A heap
//! would pay log₂ of their number for each.
//!
//! A table that no other input overlaps is *moved*: named in its new run, without being read. So a
//! load in ascending order is never rewritten.
//!
//! A step ends between keys. A piece ends when the output is long enough, and before a table is moved.

mod erase;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use driftdb_env::{planted, sometimes};
use driftdb_storage::{
    Entry, Erasure, Fold, KeyspaceId, Result, RetentionPolicy, StorageError, Timestamp, Verdict,
};

use super::piece::{Piece, Target};
use super::{Horizon, Sizes, keep_since, stale};
use crate::run::{Bounds, Part, Place, SortedRun};
use crate::table::{TableScan, TableWriter};

/// What a table that is moved counts for in the budget of a step.
const MOVE_BYTES: usize = 4 << 10;

/// What to compact.
#[derive(Debug)]
pub(crate) struct Order {
    /// For each run, newest first, the parts that are joined.
    pub(crate) inputs: Vec<Vec<Part>>,
    pub(crate) target: Target,
    /// Runs that are older than all inputs and not joined.
    pub(crate) older: Vec<Arc<SortedRun>>,
    pub(crate) policy: Arc<RetentionPolicy>,
    pub(crate) horizon: Horizon,
    pub(crate) sizes: Sizes,
    /// Whether all that can go must go, as at a checkpoint; else tables with little to drop are moved.
    pub(crate) is_thorough: bool,
    /// What is left out besides. Then all runs are joined.
    pub(crate) erasure: Option<Arc<Erasure>>,
}

/// A compaction under way.
#[derive(Debug)]
pub(crate) struct Job {
    inputs: Vec<Input>,
    /// Inputs that are not at their end, by their heads; the newer first where keys are equal.
    order: Vec<usize>,
    pub(crate) target: Target,
    older: Vec<Arc<SortedRun>>,
    pub(crate) policy: Arc<RetentionPolicy>,
    horizon: Horizon,
    sizes: Sizes,
    is_thorough: bool,
    erasure: Option<Arc<Erasure>>,
    writer: Option<TableWriter>,
    /// Tables moved since the last piece.
    moved: Vec<Part>,
    key: Vec<u8>,
    dropped_in: BTreeSet<KeyspaceId>,
    dropped_count: u64,
}

/// What a step left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    /// The output is complete: put the piece into force, then go on.
    Piece,
    Done,
}

/// The parts of one run that are joined, and where the job is in them.
#[derive(Debug)]
struct Input {
    parts: Vec<Part>,
    position: usize,
    scan: Option<TableScan>,
    /// Whether an entry of the current part was taken.
    is_inside: bool,
}

impl Input {
    fn new(parts: Vec<Part>) -> Result<Self> {
        let mut input = Self { parts, position: 0, scan: None, is_inside: false };
        input.open()?;
        Ok(input)
    }

    fn open(&mut self) -> Result<()> {
        self.is_inside = false;
        self.scan = None;
        let Some(part) = self.parts.get(self.position) else { return Ok(()) };
        let table = Arc::clone(&part.table);
        let scan = if part.is_trimmed() {
            TableScan::starting_at(table, &part.bounds.first)?
        } else {
            TableScan::new(table)?
        };
        if scan.head().is_none() {
            let what = "the table ends before its first key in force";
            return Err(StorageError::corruption(part.table.name(), 0, what));
        }
        self.scan = Some(scan);
        Ok(())
    }

    #[inline]
    fn head(&self) -> Option<(KeyspaceId, Entry<'_>)> {
        self.scan.as_ref()?.head()
    }

    fn advance(&mut self) -> Result<()> {
        let Some(scan) = &mut self.scan else { return Ok(()) };
        scan.advance()?;
        self.is_inside = true;
        if scan.head().is_none() {
            self.next_part()?;
        }
        Ok(())
    }

    fn next_part(&mut self) -> Result<()> {
        self.position += 1;
        self.open()
    }

    /// The part whose first entry in force it stands on.
    fn untouched_part(&self) -> Option<&Part> {
        if self.is_inside { None } else { self.parts.get(self.position) }
    }

    /// Tells the piece what has become of the parts, and forgets those that are done.
    fn settle(&mut self, piece: &mut Piece) {
        for part in self.parts.drain(..self.position) {
            let file_id = part.meta().file_id;
            if piece.outputs.iter().all(|output| output.meta().file_id != file_id) {
                piece.read_bytes += part.shape().bytes();
            }
            piece.consumed.insert(file_id);
        }
        self.position = 0;
        let mut rest = self.parts.iter_mut();
        if self.is_inside
            && let Some(part) = rest.next()
            && let Some(scan) = &self.scan
            && let Some((space, entry)) = scan.head()
        {
            let last = part.bounds.last.clone();
            // At least one byte: that marks the part as trimmed.
            let skipped_bytes = scan.offset().max(1);
            piece.read_bytes += skipped_bytes.saturating_sub(part.bounds.skipped_bytes);
            part.bounds = Bounds { first: Place::new(space, entry.key), last, skipped_bytes };
            piece.trimmed.insert(part.meta().file_id, part.bounds.clone());
            self.is_inside = false;
            sometimes!("lsm.input-trimmed");
        }
        piece.untouched.extend(rest.map(|part| part.meta().file_id));
    }
}

impl Job {
    /// # Errors
    /// I/O or damage in an input.
    pub(crate) fn start(order: Order) -> Result<Self> {
        let inputs: Result<Vec<_>> = order.inputs.into_iter().map(Input::new).collect();
        let mut job = Self {
            inputs: inputs?,
            order: Vec::new(),
            target: order.target,
            older: order.older,
            policy: order.policy,
            horizon: order.horizon,
            sizes: order.sizes,
            is_thorough: order.is_thorough,
            erasure: order.erasure,
            writer: None,
            moved: Vec::new(),
            key: Vec::new(),
            dropped_in: BTreeSet::new(),
            dropped_count: 0,
        };
        for at in 0..job.inputs.len() {
            job.place(at);
        }
        Ok(job)
    }

    /// The output that a piece is to complete, if anything was written.
    pub(crate) fn take_writer(&mut self) -> Option<TableWriter> {
        self.writer.take()
    }

    /// Removes the output, which nothing refers to.
    pub(crate) fn discard(self) {
        if let Some(writer) = self.writer {
            writer.discard();
        }
    }

    /// The `keep_since` under which outputs were folded.
    pub(crate) fn folded_to(&self) -> Timestamp {
        keep_since(&self.policy)
    }

    /// What was done since the last piece. `output` is what the writer became.
    pub(crate) fn take_piece(&mut self, output: Option<Part>, is_last: bool) -> Piece {
        let mut piece = Piece {
            outputs: std::mem::take(&mut self.moved),
            is_last,
            dropped_in: std::mem::take(&mut self.dropped_in),
            dropped_count: std::mem::take(&mut self.dropped_count),
            ..Piece::default()
        };
        piece.outputs.extend(output);
        for input in &mut self.inputs {
            input.settle(&mut piece);
        }
        piece
    }

    /// Joins the next keys, up to about `step_bytes` of input. `create` makes an output.
    ///
    /// # Errors
    /// I/O or damage: discard the job. Pieces that are in force stay so.
    pub(crate) fn step(
        &mut self,
        step_bytes: usize,
        create: &mut dyn FnMut() -> Result<TableWriter>,
    ) -> Result<Progress> {
        let policy = Arc::clone(&self.policy);
        let mut bytes = 0;
        // A keyspace's promise is looked up once, not for each key.
        let mut retention = None;
        loop {
            if self.order.is_empty() {
                return Ok(Progress::Done);
            }
            if self
                .writer
                .as_ref()
                .is_some_and(|writer| writer.size_bytes() >= self.sizes.table_bytes())
            {
                return Ok(Progress::Piece);
            }
            if self.can_move() {
                if self.writer.is_some() {
                    return Ok(Progress::Piece);
                }
                self.move_part()?;
                bytes += MOVE_BYTES;
            } else {
                let (space, entry) = self.inputs[self.order[0]].head().expect("it is in the order");
                self.key.clear();
                self.key.extend_from_slice(entry.key);
                let known = match retention {
                    Some((known, promise)) if known == space => promise,
                    _ => policy.of(space),
                };
                retention = Some((space, known));
                let erasure = self.erasure.as_ref();
                let may_lose = erasure.is_some_and(|what| what.may_touch_key(space, &self.key));
                bytes += if may_lose {
                    self.erase_key(space, Fold::new(known), create)?
                } else {
                    self.merge_key(space, Fold::new(known), create)?
                };
            }
            if bytes >= step_bytes {
                return Ok(Progress::More);
            }
        }
    }

    /// Whether the input in front stands at the start of a table that can be moved as it is.
    fn can_move(&self) -> bool {
        let [front, others @ ..] = &self.order[..] else { return false };
        let Some(part) = self.inputs[*front].untouched_part() else { return false };
        let shape = part.shape();
        let is_due = if self.is_thorough {
            stale::is_reclaimable(&shape, &self.horizon)
        } else {
            stale::is_stale(part.meta(), &self.horizon)
        };
        let is_alone = others.first().is_none_or(|other| {
            let head = self.inputs[*other].head();
            head.is_some_and(|(space, entry)| part.bounds.is_before(space, entry.key))
        });
        // The last input may have no others beside it, but its bounds must be known all the same.
        is_alone
            && !is_due
            && !self.must_rewrite(part)
            && part.bounds.last.is_some()
            && shape.bytes() >= self.sizes.worth_moving_bytes()
            && self
                .writer
                .as_ref()
                .is_none_or(|writer| writer.size_bytes() >= self.sizes.worth_moving_bytes())
    }

    fn move_part(&mut self) -> Result<()> {
        sometimes!("lsm.table-moved-without-reading");
        let front = self.order.remove(0);
        let input = &mut self.inputs[front];
        self.moved.push(input.parts[input.position].clone());
        input.next_part()?;
        self.place(front);
        Ok(())
    }

    /// Puts all versions of `self.key` through the fold. Returns the bytes read.
    fn merge_key(
        &mut self,
        space: KeyspaceId,
        mut fold: Fold<'_>,
        create: &mut dyn FnMut() -> Result<TableWriter>,
    ) -> Result<usize> {
        let is_gone = self.horizon.gone.contains_key(&space);
        let mut bytes = 0;
        let mut last: Option<Timestamp> = None;
        // Tombstones that go unless something older stays.
        let mut bottoms: Vec<Timestamp> = Vec::new();
        while let Some(&front) = self.order.first() {
            let Some((head_space, entry)) = self.inputs[front].head() else { break };
            if entry.key != self.key || head_space != space {
                break;
            }
            let ts = entry.ts;
            bytes += entry.key.len() + entry.value.map_or(0, <[u8]>::len) + 16;
            if last.is_some_and(|last| ts >= last) {
                let input = &self.inputs[front];
                let name = input.parts[input.position].table.name();
                let what = "versions of a key are out of order between tables";
                return Err(StorageError::corruption(name, 0, what));
            }
            let mut verdict = fold.judge(ts, entry.value.is_none());
            if planted!("lsm.compaction-drops-newest") && last.is_none() && self.inputs.len() > 1 {
                verdict = Verdict::Drop;
            }
            last = Some(ts);
            match verdict {
                Verdict::Keep | Verdict::DropIfBottom if is_gone => {
                    sometimes!("lsm.version-of-a-dropped-keyspace");
                    note_drop(&mut self.dropped_in, &mut self.dropped_count, space);
                }
                Verdict::Drop => {
                    sometimes!("lsm.version-let-go");
                    note_drop(&mut self.dropped_in, &mut self.dropped_count, space);
                }
                Verdict::DropIfBottom if is_bottom(&self.older, space, entry.key) => {
                    sometimes!("lsm.tombstone-at-the-bottom");
                    bottoms.push(ts);
                }
                Verdict::Keep | Verdict::DropIfBottom => {
                    let writer = match &mut self.writer {
                        Some(writer) => writer,
                        none => none.insert(create()?),
                    };
                    sometimes!("lsm.tombstone-kept-for-an-older-version", !bottoms.is_empty());
                    for ts in bottoms.drain(..) {
                        writer.add(space, Entry { key: &self.key, ts, value: None })?;
                    }
                    writer.add(space, entry)?;
                }
            }
            self.inputs[front].advance()?;
            self.replace_front();
        }
        for _ in bottoms {
            note_drop(&mut self.dropped_in, &mut self.dropped_count, space);
        }
        Ok(bytes)
    }

    /// Puts an input into the order, if it is not at its end.
    fn place(&mut self, at: usize) {
        if self.inputs[at].head().is_none() {
            return;
        }
        let inputs = &self.inputs;
        let position = self.order.iter().position(|&other| precedes(inputs, at, other));
        self.order.insert(position.unwrap_or(self.order.len()), at);
    }

    /// Finds the place of the input in front anew, after it was advanced.
    fn replace_front(&mut self) {
        let front = self.order[0];
        if self.inputs[front].head().is_none() {
            self.order.remove(0);
            return;
        }
        let mut position = 0;
        while let Some(&next) = self.order.get(position + 1)
            && !precedes(&self.inputs, front, next)
        {
            self.order[position] = next;
            position += 1;
        }
        self.order[position] = front;
    }
}

/// Whether the head of input `a` comes before that of `b`. Inputs are newest first.
fn precedes(inputs: &[Input], a: usize, b: usize) -> bool {
    let (Some((a_space, a_head)), Some((b_space, b_head))) = (inputs[a].head(), inputs[b].head())
    else {
        return inputs[b].head().is_none();
    };
    let by_key = a_space.cmp(&b_space).then_with(|| a_head.key.cmp(b_head.key));
    by_key.then(a.cmp(&b)) == Ordering::Less
}

/// Whether no older run may hold the key, so that nothing hides behind a tombstone.
fn is_bottom(older: &[Arc<SortedRun>], space: KeyspaceId, key: &[u8]) -> bool {
    older.iter().all(|run| run.find(space, key).is_none())
}

fn note_drop(dropped_in: &mut BTreeSet<KeyspaceId>, count: &mut u64, space: KeyspaceId) {
    dropped_in.insert(space);
    *count += 1;
}
