//! Temporary tables: tables of a schema of the session's own, which go with it.
//!
//! They are tables like any other, so that transactions, savepoints and constraints are what they are. The
//! session drops their schema when it ends; what a crash leaves, the next start drops
//! (`driftdb_tables::CatalogStore::open`). Other sessions cannot name them, and they have no past.

use std::ops::Bound;

use driftdb_concurrency::{BeginOptions, ReadAt, RowBatch, ScanRequest};
use driftdb_query::{
    Catalog, CatalogAt, CreateTable, OnCommit, PhysicalStatement, Result, SequenceStatement,
    TableId, ViewStatement, is_temporary, temporary_schema,
};
use driftdb_storage::KeyRange;
use driftdb_tables::{
    DdlContext, NoTerms, Thing, drop_all, drop_schemas, table_by_id, tables_in, truncate,
};

use super::Session;

/// What a session knows of its temporary tables.
#[derive(Debug, Default)]
pub(super) struct Temporary {
    /// Their schema, once there may be any.
    schema: Option<Box<str>>,
    /// Those to which something happens at every commit.
    on_commit: Vec<(TableId, OnCommit)>,
}

impl Temporary {
    /// Their schema, if there may be any.
    pub(super) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }
}

/// The schema in which a statement makes something temporary.
pub(super) fn schema_of(physical: &PhysicalStatement) -> Option<&str> {
    let schema = match physical {
        PhysicalStatement::CreateTable(CreateTable { schema, .. }, _)
        | PhysicalStatement::View(ViewStatement::Create { schema, .. })
        | PhysicalStatement::Sequence(SequenceStatement::Create { schema, .. }) => schema,
        _ => return None,
    };
    is_temporary(schema).then_some(schema)
}

impl Session {
    /// After a statement whose functions may have made something temporary.
    pub(super) fn adopt_temporary(&mut self) -> Result<()> {
        for physical in self.routines.take_temporary() {
            self.expect_temporary(&physical);
            self.note_temporary(&physical)?;
        }
        Ok(())
    }

    /// Before a statement runs that may make a temporary table.
    pub(super) fn expect_temporary(&mut self, physical: &PhysicalStatement) {
        if schema_of(physical).is_some() && self.temporary.schema.is_none() {
            self.temporary.schema = Some(temporary_schema(self.eval.backend_pid).into());
        }
    }

    /// After a statement that may have made one.
    pub(super) fn note_temporary(&mut self, physical: &PhysicalStatement) -> Result<()> {
        let PhysicalStatement::CreateTable(CreateTable { schema, name, on_commit, .. }, _) =
            physical
        else {
            return Ok(());
        };
        let Some(txn) = &mut self.block.txn else { return Ok(()) };
        if *on_commit == OnCommit::PreserveRows {
            return Ok(());
        }
        let store = self.node.store();
        let cx = &mut DdlContext {
            txn: txn.as_mut(),
            store,
            eval: &self.eval,
            terms: Box::new(NoTerms),
        };
        let mut tables = tables_in(cx, schema)?.into_iter();
        if let Some(table) = tables.find(|table| table.name == *name)
            && self.temporary.on_commit.iter().all(|(id, _)| *id != table.id)
        {
            self.temporary.on_commit.push((table.id, *on_commit));
        }
        Ok(())
    }

    /// ON COMMIT, before the block is committed.
    pub(super) fn end_temporary(&mut self) -> Result<()> {
        if self.temporary.on_commit.is_empty() {
            return Ok(());
        }
        let Some(txn) = &mut self.block.txn else { return Ok(()) };
        let (mut emptied, mut dropped) = (Vec::new(), Vec::new());
        let mut kept = Vec::new();
        for (id, on_commit) in std::mem::take(&mut self.temporary.on_commit) {
            let Some(table) = table_by_id(txn.as_mut(), id, ReadAt::Newest)? else { continue };
            if on_commit == OnCommit::Drop {
                dropped.push(Thing::Table(id));
                continue;
            }
            kept.push((id, on_commit));
            let range = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
            let request = ScanRequest { range, at: ReadAt::Newest, reverse: false, max_rows: 1 };
            let mut rows = RowBatch::new();
            txn.scan(table.keyspace, &request, &mut rows)?;
            if !rows.is_empty() {
                emptied.push(table);
            }
        }
        self.temporary.on_commit = kept;
        if emptied.is_empty() && dropped.is_empty() {
            return Ok(());
        }
        self.begin_ddl();
        let Some(txn) = &mut self.block.txn else { return Ok(()) };
        let store = self.node.store();
        let cx = &mut DdlContext {
            txn: txn.as_mut(),
            store,
            eval: &self.eval,
            terms: Box::new(NoTerms),
        };
        if !dropped.is_empty() {
            drop_all(cx, &dropped, true)?;
        }
        if !emptied.is_empty() {
            truncate(cx, &emptied, true, false)?;
        }
        Ok(())
    }

    /// Drops them, in a transaction of their own.
    pub(super) fn drop_temporary(&mut self) -> Result<()> {
        let Some(name) = self.temporary.schema.take() else { return Ok(()) };
        self.temporary.on_commit.clear();
        let mut txn = self.node.store().begin(BeginOptions::default())?;
        let ddl = self.node.catalog().begin_ddl();
        let node = &self.node;
        let found = node
            .catalog()
            .reader(txn.as_mut(), node.store(), true)
            .schema(&name, CatalogAt::Statement)?;
        let schemas = found.as_slice();
        let store = self.node.store();
        drop_schemas(
            &mut DdlContext {
                txn: txn.as_mut(),
                store,
                eval: &self.eval,
                terms: Box::new(NoTerms),
            },
            schemas,
            true,
        )?;
        let committed = if txn.has_writes() {
            txn.commit()?.commit.map(|commit| commit.ts)
        } else {
            txn.rollback();
            None
        };
        ddl.finish(committed);
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.temporary.schema.is_none() || std::thread::panicking() {
            return;
        }
        self.rollback_block();
        self.cancel.reset();
        // If it fails, the next start does it.
        drop(self.drop_temporary());
    }
}
