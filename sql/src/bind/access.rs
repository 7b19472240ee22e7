//! What a statement asks of who runs it: gathered while it is bound, demanded when it is.
//!
//! Nothing is gathered for a role that may do everything. Relations in a view are asked of the view's
//! owner, whoever runs the statement, in a binder of their own. A plan that is kept was bound for a role
//! and for definitions: when either is another, it is bound again, so that running it asks nothing.
//!
//! Source: PostgreSQL 15, parser/parse_relation.c (markVarForSelectPriv), executor/execMain.c.

use driftdb_query::{
    AlterAction, BOOTSTRAP_ROLE, CatalogAt, ColId, Demand, Expr, HistoryStatement, Named, Object,
    ObjectId, Result, Rights, RoutineStatement, SchemaStatement, Securable, SequenceStatement,
    Statement, Subject, Table, TableId, ViewStatement, is_temporary,
};

use super::Binder;
use super::role::{named_object, named_table};
use super::updatable::Through;

/// What is asked so far.
#[derive(Debug)]
pub(crate) struct Access {
    role: u32,
    relations: Vec<Asked>,
    others: Vec<Demand>,
    /// The columns that were named, in order.
    used: Vec<ColId>,
}

/// What is done with a relation.
#[derive(Debug)]
struct Asked {
    what: Named,
    rights: Rights,
    schema: String,
    /// Its columns' identities and numbers.
    columns: Vec<(ColId, u16)>,
    selected: Vec<u16>,
    inserted: Vec<u16>,
    updated: Vec<u16>,
    /// It is changed, and read only if a column of it is named.
    is_target: bool,
}

/// A relation that is changed, among those that are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskedTarget(usize);

impl Access {
    fn of(role: u32) -> Box<Self> {
        Box::new(Self { role, relations: Vec::new(), others: Vec::new(), used: Vec::new() })
    }
}

impl Binder<'_> {
    /// Begins to gather, if anything is asked of who acts.
    pub(crate) fn watch(&mut self) -> Result<()> {
        self.access = self.catalog.acting()?.map(Access::of);
        Ok(())
    }

    /// Begins to gather what is asked of a view's owner.
    pub(crate) fn watch_for(&mut self, owner: u32) {
        self.access = (owner != BOOTSTRAP_ROLE).then(|| Access::of(owner));
    }

    /// Who owns a view, whose rights count for what is in it.
    pub(crate) fn owner_of_view(&mut self, object: &Object) -> Result<u32> {
        self.catalog.owner_of(Subject::whole(Securable::Table, object.id.0))
    }

    /// The columns of an expression were named.
    pub(crate) fn note_used(&mut self, expr: &Expr) {
        let Some(access) = &mut self.access else { return };
        note_columns(expr, &mut access.used);
    }

    /// A table is read.
    pub(crate) fn ask_read(&mut self, table: &Table, columns: impl Iterator<Item = (ColId, u16)>) {
        self.ask(named_table(table), &table.schema, Rights::SELECT, columns.collect(), false);
    }

    /// All of a table is read.
    pub(crate) fn ask_read_whole(&mut self, table: &Table) {
        let numbers = table.columns.iter().map(|column| column.id.0).collect();
        if let Some(at) = self.ask(named_table(table), &table.schema, Rights::SELECT, vec![], false)
            && let Some(access) = &mut self.access
        {
            access.relations[at.0].selected = numbers;
        }
    }

    /// Another relation is read.
    pub(crate) fn ask_read_object(&mut self, object: &Object, columns: Vec<(ColId, u16)>) {
        if let Some(named) = named_object(object) {
            self.ask(named, &object.schema, Rights::SELECT, columns, false);
        }
    }

    /// Rows of a table are locked.
    pub(crate) fn ask_lock(&mut self, table: &Table) {
        self.ask(named_table(table), &table.schema, Rights::UPDATE, Vec::new(), false);
    }

    /// A table, or the view that is written through, is changed; `old`: its columns as they are.
    pub(crate) fn ask_change(
        &mut self,
        table: &Table,
        through: Option<&Through>,
        rights: Rights,
        old: &[ColId],
    ) -> Option<AskedTarget> {
        self.access.as_ref()?;
        match through {
            None => {
                let columns = numbered(table, old);
                self.ask(named_table(table), &table.schema, rights, columns, true)
            }
            Some(through) => {
                let of_table = |position: usize| old.get(position).copied();
                let columns = through.columns.iter().zip(1u16..);
                let columns = columns
                    .filter_map(|((_, position), number)| Some((of_table((*position)?)?, number)));
                let columns = columns.collect();
                let object = &through.object;
                self.ask(named_object(object)?, &object.schema, rights, columns, true)
            }
        }
    }

    /// A view below a view is changed.
    pub(crate) fn ask_change_of_view(&mut self, object: &Object, rights: Rights) {
        if let Some(named) = named_object(object) {
            self.ask(named, &object.schema, rights, Vec::new(), true);
        }
    }

    /// The columns that a target's rows are inserted with or changed in, by position in the table.
    pub(crate) fn ask_columns(
        &mut self,
        target: Option<AskedTarget>,
        table: &Table,
        through: Option<&Through>,
        right: Rights,
        positions: impl Iterator<Item = usize>,
    ) {
        let (Some(access), Some(target)) = (&mut self.access, target) else { return };
        let number = |position: usize| match through {
            None => table.columns.get(position).map(|column| column.id.0),
            Some(through) => {
                let place = through.columns.iter().position(|(_, at)| *at == Some(position))?;
                u16::try_from(place + 1).ok()
            }
        };
        let asked = &mut access.relations[target.0];
        asked.rights = asked.rights | right;
        let numbers = positions.filter_map(number);
        if right == Rights::INSERT {
            asked.inserted.extend(numbers);
        } else {
            asked.updated.extend(numbers);
        }
    }

    /// Where the columns that come to be named begin.
    pub(crate) fn named_so_far(&self) -> usize {
        self.access.as_ref().map_or(0, |access| access.used.len())
    }

    /// What was named since then of a target's new row is read.
    pub(crate) fn ask_named_since(
        &mut self,
        target: Option<AskedTarget>,
        table: &Table,
        since: usize,
        row: &[ColId],
    ) {
        let (Some(access), Some(target)) = (&mut self.access, target) else { return };
        let used = &access.used[since..];
        let columns = numbered(table, row).into_iter().filter(|(id, _)| used.contains(id));
        let selected: Vec<u16> = columns.map(|(_, number)| number).collect();
        access.relations[target.0].selected.extend(selected);
    }

    /// Something is called.
    pub(crate) fn ask_call(&mut self, object: &Object) {
        let Some(access) = &mut self.access else { return };
        if let Some(named) = named_object(object) {
            access.others.push(Demand::Rights(named, Rights::EXECUTE));
        }
    }

    /// Something is made in a schema.
    pub(crate) fn ask_create_in(&mut self, schema: &str) -> Result<()> {
        if self.access.is_none() || is_temporary(schema) {
            return Ok(());
        }
        if let Some(named) = self.schema_named(schema)? {
            self.ask_other(Demand::Rights(named, Rights::CREATE));
        }
        Ok(())
    }

    fn schema_named(&mut self, name: &str) -> Result<Option<Named>> {
        let found = self.catalog.schema(name, CatalogAt::Statement)?;
        Ok(found.filter(|schema| !schema.is_of_system()).map(|schema| {
            let subject = Subject::whole(Securable::Schema, schema.id);
            Named { subject, word: "schema", name: name.to_owned() }
        }))
    }

    pub(crate) fn ask_other(&mut self, demand: Demand) {
        if let Some(access) = &mut self.access {
            access.others.push(demand);
        }
    }

    fn ask(
        &mut self,
        what: Named,
        schema: &str,
        rights: Rights,
        columns: Vec<(ColId, u16)>,
        is_target: bool,
    ) -> Option<AskedTarget> {
        let access = self.access.as_mut()?;
        access.relations.push(Asked {
            what,
            rights,
            schema: schema.to_owned(),
            columns,
            selected: Vec::new(),
            inserted: Vec::new(),
            updated: Vec::new(),
            is_target,
        });
        Some(AskedTarget(access.relations.len() - 1))
    }

    /// Demands all that was gathered.
    ///
    /// # Errors
    /// 42501
    pub(crate) fn demand_access(&mut self) -> Result<()> {
        let Some(access) = self.access.take() else { return Ok(()) };
        let used: std::collections::BTreeSet<ColId> = access.used.iter().copied().collect();
        let mut schemas: Vec<&str> = Vec::new();
        for asked in &access.relations {
            if !schemas.contains(&&*asked.schema) && !is_temporary(&asked.schema) {
                schemas.push(&asked.schema);
            }
        }
        for schema in schemas {
            if let Some(named) = self.schema_named(schema)? {
                self.catalog.demand(access.role, &Demand::Rights(named, Rights::USAGE))?;
            }
        }
        for asked in &access.relations {
            let named = asked.columns.iter().filter(|(id, _)| used.contains(id));
            let mut selected = asked.selected.clone();
            selected.extend(named.map(|(_, number)| *number));
            let mut rights = asked.rights;
            if asked.is_target && !selected.is_empty() {
                rights = rights | Rights::SELECT;
            }
            let demand = Demand::Columns {
                table: asked.what.clone(),
                rights,
                selected,
                inserted: asked.inserted.clone(),
                updated: asked.updated.clone(),
            };
            self.catalog.demand(access.role, &demand)?;
        }
        access.others.iter().try_for_each(|demand| self.catalog.demand(access.role, demand))
    }

    /// What a statement that defines something asks.
    pub(crate) fn ask_definition(&mut self, statement: &Statement) -> Result<()> {
        if self.access.is_none() {
            return Ok(());
        }
        match statement {
            Statement::Explain(explain) => return self.ask_definition(&explain.statement),
            Statement::Refresh(refresh, _) => self.ask_owner(named_table(&refresh.table)),
            Statement::CreateIndex(index) => self.ask_owner(named_table(&index.table)),
            Statement::Drop(objects) => {
                for table in &objects.tables {
                    self.ask_owner_or_schema(named_table(table), &table.schema)?;
                }
                for (table, index) in &objects.indexes {
                    let name = table.index(*index).map_or("", |index| index.name.as_str());
                    let named = named_table(table);
                    self.ask_owner(Named { word: "index", name: name.to_owned(), ..named });
                }
            }
            Statement::AlterTable { table, actions } => {
                self.ask_owner(named_table(table));
                let renames = |action: &AlterAction| matches!(action, AlterAction::RenameTable(_));
                if actions.iter().any(|(action, _)| renames(action)) {
                    self.ask_create_in(&table.schema)?;
                }
            }
            Statement::Truncate { tables, .. } => {
                for table in tables {
                    self.ask(named_table(table), &table.schema, Rights::TRUNCATE, vec![], false);
                }
            }
            Statement::LockTable(lock) => {
                for table in &lock.tables {
                    let is_read = lock.mode == driftdb_concurrency::LockMode::AccessShare;
                    let rights = [Rights::UPDATE, Rights::DELETE, Rights::TRUNCATE];
                    // One of several suffices.
                    self.ask_any(table, if is_read { &[Rights::SELECT] } else { &rights })?;
                }
            }
            Statement::Vacuum { tables, .. } | Statement::Analyze(tables) => {
                tables.iter().for_each(|table| self.ask_owner(named_table(table)));
            }
            Statement::Comment(comment) => self.ask_owner_of(comment.need.id)?,
            Statement::Schema(statement) => self.ask_schema_statement(statement)?,
            Statement::View(statement) => match statement {
                ViewStatement::Create { replaced: Some(id), .. }
                | ViewStatement::Rename { view: id, .. }
                | ViewStatement::Change { id, .. } => self.ask_owner_of(id.0)?,
                ViewStatement::Drop { views, .. } => {
                    views.iter().try_for_each(|id| self.ask_owner_of(id.0))?;
                }
                ViewStatement::Create { .. } | ViewStatement::Nothing { .. } => {}
            },
            Statement::Sequence(statement) => match statement {
                SequenceStatement::Alter { id, .. } | SequenceStatement::Rename { id, .. } => {
                    self.ask_owner_of(id.0)?;
                }
                SequenceStatement::Drop { ids, .. } => {
                    ids.iter().try_for_each(|id| self.ask_owner_of(id.0))?;
                }
                SequenceStatement::Create { .. } | SequenceStatement::Skipped { .. } => {}
            },
            Statement::Routine(statement) => self.ask_routine_statement(statement)?,
            Statement::History(statement) => self.ask_history(statement),
            Statement::Branch(_) => {
                self.ask_other(Demand::Superuser("permission denied to create branch".into()));
            }
            _ => {}
        }
        Ok(())
    }

    fn ask_schema_statement(&mut self, statement: &SchemaStatement) -> Result<()> {
        let schema = |schema: &driftdb_query::Schema| Named {
            subject: Subject::whole(Securable::Schema, schema.id),
            word: "schema",
            name: schema.name.clone(),
        };
        match statement {
            SchemaStatement::Create { .. } => {
                let subject = Subject::whole(Securable::Database, 0);
                let name = self.eval.database.to_string();
                let named = Named { subject, word: "database", name };
                self.ask_other(Demand::Rights(named, Rights::CREATE));
            }
            SchemaStatement::Drop { schemas, .. } => {
                schemas.iter().for_each(|one| self.ask_owner(schema(one)));
            }
            SchemaStatement::Rename { schema: one, .. }
            | SchemaStatement::SetOwner { schema: one } => self.ask_owner(schema(one)),
            SchemaStatement::DropTemporary { .. } => {}
            SchemaStatement::MoveTable { table, to } => {
                self.ask_owner(named_table(table));
                self.ask_create_in(to)?;
            }
        }
        Ok(())
    }

    fn ask_routine_statement(&mut self, statement: &RoutineStatement) -> Result<()> {
        match statement {
            RoutineStatement::Drop { objects, .. } => {
                for object in objects {
                    match &object.kind {
                        driftdb_query::ObjectKind::Trigger(trigger) => {
                            self.ask_owner_of(trigger.table.0)?;
                        }
                        _ => self.ask_owner_of(object.id.0)?,
                    }
                }
            }
            RoutineStatement::Alter { object, .. } => match &object.kind {
                driftdb_query::ObjectKind::Trigger(trigger) => {
                    self.ask_owner_of(trigger.table.0)?;
                }
                _ => self.ask_owner_of(object.id.0)?,
            },
            RoutineStatement::CreateTrigger { table, trigger, .. } => {
                self.ask(named_table(table), &table.schema, Rights::TRIGGER, vec![], false);
                let function = self.catalog.object_by_id(trigger.function, CatalogAt::Statement)?;
                if let Some(function) = function {
                    self.ask_call(&function);
                }
            }
            RoutineStatement::EnableTriggers { table, .. } => self.ask_owner(named_table(table)),
            RoutineStatement::Create { schema, name, routine, replace } => {
                if *replace {
                    let space = driftdb_query::NameSpace::Routine;
                    let at = CatalogAt::Statement;
                    let types = routine.input_types();
                    let found = self.catalog.objects_named(space, Some(schema), name, at)?;
                    for object in found {
                        if let driftdb_query::ObjectKind::Routine(known) = &object.kind
                            && known.input_types() == types
                        {
                            self.ask_owner_of(object.id.0)?;
                        }
                    }
                }
            }
            RoutineStatement::Do { .. } | RoutineStatement::Call { .. } => {}
        }
        Ok(())
    }

    fn ask_history(&mut self, statement: &HistoryStatement) {
        match statement {
            HistoryStatement::Erase { table, .. } => self.ask_owner(named_table(table)),
            HistoryStatement::Restore { tables, is_database: false, .. } => {
                for (restored, _) in tables {
                    self.ask_owner(named_table(&restored.table));
                }
            }
            other => {
                let message = format!("must be superuser to use {}", other.command());
                self.ask_other(Demand::Superuser(message));
            }
        }
    }

    fn ask_owner(&mut self, what: Named) {
        self.ask_other(Demand::Owner(what));
    }

    /// What a schema's owner may drop, too.
    fn ask_owner_or_schema(&mut self, what: Named, schema: &str) -> Result<()> {
        let owner = self.schema_named(schema)?.map(Demand::Owner);
        if let (Some(access), Some(owner)) = (&self.access, owner)
            && self.catalog.demand(access.role, &owner).is_ok()
        {
            return Ok(());
        }
        self.ask_owner(what);
        Ok(())
    }

    /// The owner of a table or other object.
    fn ask_owner_of(&mut self, id: u32) -> Result<()> {
        if let Some(table) = self.catalog.table_by_id(TableId(id))? {
            self.ask_owner(named_table(&table));
        } else if let Some(object) =
            self.catalog.object_by_id(ObjectId(id), CatalogAt::Statement)?
            && let Some(named) = named_object(&object)
        {
            self.ask_owner_or_schema(named, &object.schema)?;
        }
        Ok(())
    }

    /// One of some rights on a table.
    fn ask_any(&mut self, table: &Table, rights: &[Rights]) -> Result<()> {
        let Some(access) = &self.access else { return Ok(()) };
        let mut last = None;
        for right in rights {
            let demand = Demand::Rights(named_table(table), *right);
            match self.catalog.demand(access.role, &demand) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        last.map_or(Ok(()), Err)
    }
}

fn numbered(table: &Table, ids: &[ColId]) -> Vec<(ColId, u16)> {
    ids.iter().zip(&table.columns).map(|(id, column)| (*id, column.id.0)).collect()
}

fn note_columns(expr: &Expr, used: &mut Vec<ColId>) {
    if let Expr::Column { id, .. } = expr {
        used.push(*id);
    }
    expr.for_each_child(&mut |child| note_columns(child, used));
}
