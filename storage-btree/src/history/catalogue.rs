//! The catalogue: every history page that is in use, and which are no longer promised to anyone.
//!
//! It is kept in memory and written whole, by a checkpoint that changed it: about 20 bytes for a page
//! of history. What it frees, and what reads must not follow, is decided by one function,
//! [`Facts::is_dead`], so that a reference may outlive its page.

use std::collections::BTreeMap;

use driftdb_storage::{KeyspaceId, Result, Timestamp, read_varint, write_varint};

use super::pack::unpack;
use super::slice;
use crate::facts::{Facts, History};
use crate::node::PageRef;
use crate::page::PageKind;
use crate::pager::Pager;

/// One history page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: PageRef,
    /// Nothing in it is needed before this time ...
    pub(crate) low: Timestamp,
    /// ... nor from this one on.
    pub(crate) high: Timestamp,
    /// Whether it is one page that owns no overflow chains: freed without being read.
    pub(crate) is_simple: bool,
}

/// All history pages, by keyspace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Catalogue {
    pub(crate) pages: BTreeMap<u32, Vec<Entry>>,
}

impl Catalogue {
    /// Takes out the pages that are dead by `facts`.
    pub(crate) fn take_dead(&mut self, facts: &Facts) -> Vec<Entry> {
        let mut dead = Vec::new();
        for (space, entries) in &mut self.pages {
            entries.retain(|entry| {
                let is_dead = facts.is_dead(KeyspaceId(*space), entry.low, entry.high);
                dead.extend(is_dead.then_some(*entry));
                !is_dead
            });
        }
        self.pages.retain(|_, entries| !entries.is_empty());
        dead
    }

    pub(crate) fn len(&self) -> usize {
        self.pages.values().map(Vec::len).sum()
    }

    /// Encodes the pages, and how far back `facts` says that pages reach.
    pub(crate) fn encode(&self, facts: &Facts) -> Vec<u8> {
        let mut out = Vec::new();
        write_varint(&mut out, facts.keyspaces.len() as u64);
        for (space, known) in &facts.keyspaces {
            write_varint(&mut out, u64::from(space.0));
            known.pages.encode(&mut out);
        }
        write_varint(&mut out, self.pages.len() as u64);
        for (space, entries) in &self.pages {
            write_varint(&mut out, u64::from(*space));
            write_varint(&mut out, entries.len() as u64);
            for entry in entries {
                out.push(u8::from(entry.is_simple));
                write_varint(&mut out, entry.at.page);
                out.extend_from_slice(&entry.at.crc.to_le_bytes());
                write_varint(&mut out, entry.low.0);
                write_varint(&mut out, entry.high.0);
            }
        }
        out
    }

    /// Decodes what [`Catalogue::encode`] wrote, and completes `facts` by it; `None` if the bytes are
    /// something else.
    pub(crate) fn decode(mut bytes: &[u8], facts: &mut Facts) -> Option<Self> {
        let bytes = &mut bytes;
        for _ in 0..read_varint(bytes)? {
            let space = KeyspaceId(u32::try_from(read_varint(bytes)?).ok()?);
            let pages = History::decode(bytes)?;
            facts.keyspaces.get_mut(&space)?.pages = pages;
        }
        let mut catalogue = Self::default();
        for _ in 0..read_varint(bytes)? {
            let space = u32::try_from(read_varint(bytes)?).ok()?;
            let mut entries = Vec::new();
            for _ in 0..read_varint(bytes)? {
                entries.push(Entry::decode(bytes)?);
            }
            if catalogue.pages.insert(space, entries).is_some() {
                return None;
            }
        }
        bytes.is_empty().then_some(catalogue)
    }
}

impl Entry {
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (&flag, after) = bytes.split_first()?;
        *bytes = after;
        let page = read_varint(bytes)?;
        let (crc, after) = bytes.split_first_chunk::<4>()?;
        *bytes = after;
        let at = PageRef { page, crc: u32::from_le_bytes(*crc) };
        let (low, high) = (Timestamp(read_varint(bytes)?), Timestamp(read_varint(bytes)?));
        (flag <= 1 && page > 0 && low < high).then_some(Self {
            at,
            low,
            high,
            is_simple: flag == 1,
        })
    }

    /// The pages that are freed with this one: its chain, and the overflow chains that it owns.
    ///
    /// # Errors
    /// I/O; damage.
    pub(crate) fn freed_pages(&self, pager: &Pager) -> Result<Vec<u64>> {
        if self.is_simple {
            return Ok(vec![self.at.page]);
        }
        let malformed = || pager.damage(self.at.page, "malformed history page");
        let chain = pager.read_chain(self.at, PageKind::History, u64::MAX)?;
        let mut pages: Vec<u64> = chain.location.pages().collect();
        for bytes in unpack(&chain.payload).ok_or_else(malformed)? {
            let (_, content) = slice::decode(bytes).ok_or_else(malformed)?;
            for overflow in content.owned {
                pages.extend(pager.read_overflow(overflow)?.location.pages());
            }
        }
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comes_back_with_how_far_it_reaches() {
        let mut facts = Facts::default();
        facts.create(KeyspaceId(2), Timestamp(1));
        let mut fresh = facts.clone();
        let since = driftdb_storage::Retention::since(Timestamp(7));
        let known = facts.keyspaces.get_mut(&KeyspaceId(2)).expect("just created");
        known.pages.fold(&since);
        let at = PageRef { page: 9, crc: 8 };
        let (low, high) = (Timestamp(3), Timestamp(20));
        let entry = Entry { at, low, high, is_simple: true };
        let catalogue = Catalogue { pages: BTreeMap::from([(2, vec![entry])]) };
        let again = Catalogue::decode(&catalogue.encode(&facts), &mut fresh);
        assert_eq!(again, Some(catalogue));
        assert_eq!(fresh, facts);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_catalogue_or_not(bytes: Vec<u8>) {
            let _catalogue = Catalogue::decode(&bytes, &mut Facts::default());
        }
    }
}
