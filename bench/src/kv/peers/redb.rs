//! redb: its own cache, no durability where the workload asks for none.

use std::path::Path;

use anyhow::Result;
use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use crate::kv::data::Rows;
use crate::kv::store::{Reader, Settings, Store};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

struct Redb {
    db: Database,
}

pub(crate) fn open(dir: &Path, settings: &Settings) -> Result<Box<dyn Store>> {
    let mut builder = Database::builder();
    builder.set_cache_size(settings.cache_bytes);
    let store = Redb { db: builder.create(dir.join("rows.redb"))? };
    store.write(&Rows::new(0), true)?;
    Ok(Box::new(store))
}

impl Store for Redb {
    fn write(&self, rows: &Rows, is_durable: bool) -> Result<()> {
        let mut txn = self.db.begin_write()?;
        txn.set_durability(if is_durable { Durability::Immediate } else { Durability::None })?;
        {
            let mut table = txn.open_table(ROWS)?;
            for (key, value) in rows.iter() {
                table.insert(key, value)?;
            }
        }
        Ok(txn.commit()?)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(View { table: self.db.begin_read()?.open_table(ROWS)? }))
    }

    /// An empty durable commit: it makes the ones before it durable and their free pages usable.
    fn settle(&self) -> Result<()> {
        Ok(self.db.begin_write()?.commit()?)
    }
}

struct View {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Reader for View {
    fn get(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let value = self.table.get(key)?;
        if let Some(value) = &value {
            out.extend_from_slice(value.value());
        }
        Ok(value.is_some())
    }

    fn scan(&mut self, from: &[u8], limit: usize) -> Result<usize> {
        let mut count = 0;
        for row in self.table.range(from..)?.take(limit) {
            let (key, value) = row?;
            std::hint::black_box((key.value(), value.value()));
            count += 1;
        }
        Ok(count)
    }
}
