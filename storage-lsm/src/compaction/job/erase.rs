//! What a compaction does with keys that an erasure may touch: all versions that the promise keeps are
//! gathered, and what the erasure leaves of them is written.

use driftdb_storage::{Entry, Fold, KeyspaceId, Result, StorageError, Timestamp, Verdict};

use super::{Job, note_drop};
use crate::run::Part;
use crate::table::TableWriter;

impl Job {
    /// Whether the table's bytes must not be kept as they are. Of one that begins later by now nobody
    /// knows what is before.
    pub(super) fn must_rewrite(&self, part: &Part) -> bool {
        let Some(erasure) = &self.erasure else { return false };
        let first = &part.bounds.first;
        part.is_trimmed()
            || part.bounds.last.as_ref().is_none_or(|last| {
                erasure.may_touch((first.space, &first.key), (last.space, &last.key))
            })
    }

    /// Puts what is left of `self.key` into the output. All runs are joined, so that every version is
    /// here. Returns the bytes read.
    pub(super) fn erase_key(
        &mut self,
        space: KeyspaceId,
        mut fold: Fold<'_>,
        create: &mut dyn FnMut() -> Result<TableWriter>,
    ) -> Result<usize> {
        let is_gone = self.horizon.gone.contains_key(&space);
        let mut bytes = 0;
        let mut versions: Vec<(Timestamp, Option<Vec<u8>>)> = Vec::new();
        let mut last: Option<Timestamp> = None;
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
            last = Some(ts);
            if fold.judge(ts, entry.value.is_none()) == Verdict::Drop || is_gone {
                note_drop(&mut self.dropped_in, &mut self.dropped_count, space);
            } else {
                versions.push((ts, entry.value.map(<[u8]>::to_vec)));
            }
            self.inputs[front].advance()?;
            self.replace_front();
        }
        if let Some(erasure) = &self.erasure {
            // No time becomes unreadable for it.
            self.dropped_count += erasure.apply(space, &self.key, &mut versions) as u64;
        }
        for (ts, value) in &versions {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                none => none.insert(create()?),
            };
            writer.add(space, Entry { key: &self.key, ts: *ts, value: value.as_deref() })?;
        }
        Ok(bytes)
    }
}
