//! Foreign keys: their definitions, and the tables that a statement's changes reach through them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftdb_query::{
    CatalogAt, ColumnId, ConstraintSpec, ForeignKey, ForeignKeySpec, ReferentialAction, Related,
    RelatedTable, Result, RowKey, RowRules, SqlError, Table, TableId, is_temporary,
};
use driftdb_types::SqlState;
use sqlparser::ast;

use super::Binder;
use super::constraint::deferral;
use super::create::Definition;
use super::materialized::refuse;
use super::names::{ident, object_name};

/// What a statement does to its table.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change<'a> {
    Insert,
    /// An insertion that may update these columns, by position, instead.
    Upsert(&'a [usize]),
    /// These columns, by position, get new values.
    Update(&'a [usize]),
    Delete,
    /// A deletion that inserts what is left of the row.
    Split,
    /// MERGE, which may insert, update these columns, and delete.
    Merge {
        inserts: bool,
        updated: &'a [usize],
        deletes: bool,
    },
}

impl Binder<'_> {
    /// A foreign key in a table's definition.
    pub(super) fn foreign_key(
        &mut self,
        definition: &mut Definition,
        name: Option<&ast::Ident>,
        key: &ast::ForeignKeyConstraint,
        columns: Vec<String>,
    ) -> Result<()> {
        let parent = object_name(&key.foreign_table)?;
        let schema = parent.schema.as_deref();
        let is_own = parent.name == definition.table
            && match schema {
                Some(schema) => schema == definition.schema,
                // The first temporary table makes the schema, which then is the first to be looked in.
                None => {
                    is_temporary(&definition.schema)
                        || self.comes_first(&definition.schema, &parent.name)?
                }
            };
        let referenced = if is_own {
            None
        } else {
            let found = self.catalog.table(schema, &parent.name, CatalogAt::Statement)?;
            if found.is_none() && self.catalog.index(schema, &parent.name)?.is_some() {
                let message = format!("referenced relation \"{}\" is not a table", parent.name);
                return Err(SqlError::new(SqlState::WrongObjectType, message));
            }
            // PostgreSQL says no position here.
            Some(match found {
                Some(found) => {
                    refuse(&found, |name| {
                        format!("referenced relation \"{name}\" is not a table")
                    })?;
                    found
                }
                None => return Err(self.missing_table(schema, &parent.name)),
            })
        };
        let is_temporary_parent = match &referenced {
            Some(parent) => is_temporary(&parent.schema),
            None => is_temporary(&definition.schema),
        };
        if is_temporary_parent != is_temporary(&definition.schema) {
            let kind = if is_temporary_parent { "permanent" } else { "temporary" };
            let message = format!("constraints on {kind} tables may reference only {kind} tables");
            return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
        }
        if key.match_kind == Some(ast::ConstraintReferenceMatchKind::Partial) {
            let message = "MATCH PARTIAL not yet implemented";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let lifted = self
            .content
            .and_then(|content| content.lifted.delete_columns.get(&parent.position).cloned());
        let name = self.constraint_name(definition, name, &columns, "fkey")?;
        definition.constraints.push(ConstraintSpec::ForeignKey(ForeignKeySpec {
            name,
            columns,
            referenced,
            referenced_columns: key.referred_columns.iter().map(ident).collect(),
            match_full: key.match_kind == Some(ast::ConstraintReferenceMatchKind::Full),
            on_delete: action(key.on_delete),
            delete_columns: lifted.unwrap_or_default(),
            on_update: action(key.on_update),
            deferral: deferral(key.characteristics.as_ref())?,
            not_valid: false,
        }));
        Ok(())
    }

    /// The tables that a change of a table reaches.
    pub(crate) fn related(
        &mut self,
        table: &Arc<Table>,
        change: Change<'_>,
    ) -> Result<Arc<Related>> {
        if table.foreign_keys.is_empty() && table.referenced_by.is_empty() {
            return Ok(Arc::default());
        }
        let mut reach =
            Reach { target: table, binder: self, found: BTreeMap::new(), changed: BTreeSet::new() };
        reach.change(table, change)?;
        let Reach { found, changed, .. } = reach;
        let tables = found.into_values().map(|table| self.related_table(table, &changed));
        Ok(Arc::new(Related { tables: tables.collect::<Result<_>>()? }))
    }

    fn related_table(
        &mut self,
        table: Arc<Table>,
        changed: &BTreeSet<TableId>,
    ) -> Result<RelatedTable> {
        let (mut checks, mut defaults) = (RowRules::default(), Vec::new());
        let is_changed = changed.contains(&table.id);
        if is_changed {
            checks = self.slot_checks(&table)?;
            let sets_default = |key: &ForeignKey| {
                [key.on_delete, key.on_update].contains(&ReferentialAction::SetDefault)
            };
            if table.foreign_keys.iter().any(sets_default) {
                for column in &table.columns {
                    defaults.push(self.default_of(column)?);
                }
            }
        }
        Ok(RelatedTable { table, is_changed, checks, defaults })
    }
}

fn action(action: Option<ast::ReferentialAction>) -> ReferentialAction {
    match action {
        None | Some(ast::ReferentialAction::NoAction) => ReferentialAction::NoAction,
        Some(ast::ReferentialAction::Restrict) => ReferentialAction::Restrict,
        Some(ast::ReferentialAction::Cascade) => ReferentialAction::Cascade,
        Some(ast::ReferentialAction::SetNull) => ReferentialAction::SetNull,
        Some(ast::ReferentialAction::SetDefault) => ReferentialAction::SetDefault,
    }
}

/// The tables found so far.
struct Reach<'r, 'b> {
    target: &'r Arc<Table>,
    binder: &'r mut Binder<'b>,
    found: BTreeMap<TableId, Arc<Table>>,
    /// Those whose rows a referential action may change.
    changed: BTreeSet<TableId>,
}

impl Reach<'_, '_> {
    fn change(&mut self, table: &Arc<Table>, change: Change<'_>) -> Result<()> {
        let (inserts, updated) = match change {
            Change::Insert => (true, &[][..]),
            Change::Upsert(columns) => (true, columns),
            Change::Update(columns) => (false, columns),
            Change::Delete => (false, &[][..]),
            Change::Split => (true, &[][..]),
            Change::Merge { inserts, updated, .. } => (inserts, updated),
        };
        let touched: Vec<ColumnId> = updated.iter().map(|at| table.columns[*at].id).collect();
        let touches = |ids: &[ColumnId]| ids.iter().any(|id| touched.contains(id));
        // A row that moves is a new one: its parent is held, and a check looks for it where it went.
        let moves = table.key == RowKey::Primary
            && table
                .primary_key()
                .is_some_and(|key| key.columns.iter().any(|c| touches(&[c.column])));
        for key in &table.foreign_keys {
            if inserts || touches(&key.columns) || moves {
                self.find(key.referenced)?;
            }
        }
        let deletes =
            matches!(change, Change::Delete | Change::Split | Change::Merge { deletes: true, .. });
        for id in &table.referenced_by {
            let child = self.look_up(*id)?;
            let referring = child.foreign_keys.iter().filter(|key| key.referenced == table.id);
            for key in referring {
                let updates = touches(&key.referenced_columns);
                if deletes || updates {
                    self.found.insert(child.id, Arc::clone(&child));
                    let acts = deletes && key.on_delete.changes_rows()
                        || updates && key.on_update.changes_rows();
                    if acts {
                        self.changes(&child)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows of a table may be changed in any way: all that refer to it and all that it refers to.
    fn changes(&mut self, table: &Arc<Table>) -> Result<()> {
        let mut waiting = vec![Arc::clone(table)];
        while let Some(table) = waiting.pop() {
            if !self.changed.insert(table.id) {
                continue;
            }
            self.found.insert(table.id, Arc::clone(&table));
            for key in &table.foreign_keys {
                self.find(key.referenced)?;
            }
            for id in &table.referenced_by {
                let child = self.look_up(*id)?;
                let refers = |key: &&ForeignKey| key.referenced == table.id;
                let mut keys = child.foreign_keys.iter().filter(refers);
                let changes =
                    keys.any(|key| key.on_delete.changes_rows() || key.on_update.changes_rows());
                self.found.insert(child.id, Arc::clone(&child));
                if changes {
                    waiting.push(child);
                }
            }
        }
        Ok(())
    }

    fn find(&mut self, id: TableId) -> Result<()> {
        let table = self.look_up(id)?;
        self.found.insert(id, table);
        Ok(())
    }

    fn look_up(&mut self, id: TableId) -> Result<Arc<Table>> {
        if id == self.target.id {
            return Ok(Arc::clone(self.target));
        }
        if let Some(table) = self.found.get(&id) {
            return Ok(Arc::clone(table));
        }
        let found = self.binder.catalog.table_by_id(id)?;
        let gone = || SqlError::internal(format!("table {} of a foreign key is gone", id.0));
        self.binder.with_terms(found.ok_or_else(gone)?)
    }
}
