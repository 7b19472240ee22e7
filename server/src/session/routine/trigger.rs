//! Triggers: their condition, and their function with what it may know.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_executor::{ExecContext, Fired, Firing, TriggerEvent, holds_over};
use driftdb_plpgsql::{Call, Column, Output, Record, Returns};
use driftdb_query::{
    Expr, Object, ObjectKind, Result, SqlError, Trigger, TriggerTime, temporary_schema,
};
use driftdb_sql::{BindContext, bind_trigger_condition};
use driftdb_types::{Array, DataType, SqlState, Value};

use super::host::{Lent, columns};
use super::{KeptTrigger, MOST_KEPT, Runner};

fn trigger_of(object: &Object) -> Result<&Trigger> {
    match &object.kind {
        ObjectKind::Trigger(trigger) => Ok(trigger),
        _ => Err(SqlError::internal("a trigger that is none")),
    }
}

fn operation(event: TriggerEvent) -> &'static str {
    match event {
        TriggerEvent::Insert => "INSERT",
        TriggerEvent::Update => "UPDATE",
        TriggerEvent::Delete => "DELETE",
        TriggerEvent::Truncate => "TRUNCATE",
    }
}

impl Runner<'_> {
    pub(super) fn fire_trigger(
        &self,
        firing: &Firing<'_>,
        cx: &mut ExecContext<'_>,
    ) -> Result<Fired> {
        let trigger = trigger_of(firing.trigger)?;
        let (function, condition) = self.trigger_parts(firing, trigger, cx)?;
        if let Some(condition) = condition {
            let width = firing.table.columns.len();
            let mut row = Vec::with_capacity(2 * width);
            for side in [firing.old, firing.new] {
                match side {
                    Some(side) => row.extend_from_slice(side),
                    None => row.resize(row.len() + width, Value::Null),
                }
            }
            if !holds_over(&condition, &row, cx)? {
                return Ok(Fired::Passed);
            }
        }
        if let ObjectKind::Routine(routine) = &function.kind
            && !routine.settings.is_empty()
        {
            return Err(SqlError::unsupported("SET of a trigger's function"));
        }
        let (program, mut cache) = self.program(&function, &[])?;
        let fields = columns(firing.table);
        let record =
            |row: Option<&[Value]>| Record::of(fields.clone(), row.map(<[Value]>::to_vec), true);
        let records =
            vec![("new".to_owned(), record(firing.new)), ("old".to_owned(), record(firing.old))];
        let returns = Returns {
            columns: if trigger.is_row { fields.clone() } else { Vec::new() },
            is_row: true,
            is_set: false,
            has_out: false,
            is_procedure: false,
            is_trigger: true,
        };
        let signature = format!("{}()", function.name);
        let others = variables(firing, trigger)?;
        let as_owner = self.as_owner(&function, cx)?;
        let eval = as_owner.as_ref().unwrap_or(cx.eval);
        let runner = Runner { ..*self };
        let mut inner = ExecContext {
            txn: &mut *cx.txn,
            store: cx.store,
            system: cx.system,
            eval,
            params: cx.params,
            routines: &runner,
            ddl: &mut *cx.ddl,
            kinds: &mut *cx.kinds,
            cancel: cx.cancel,
            pending: &mut *cx.pending,
            notices: &mut *cx.notices,
            memory_limit_bytes: cx.memory_limit_bytes,
        };
        if as_owner.is_some() {
            self.actions.lend_identity(eval);
        }
        let output = self.within(true, &mut inner, |cx| {
            let mut host = Lent::new(self, cx, true);
            let call = Call {
                program: &program,
                name: &function.name,
                signature: &signature,
                args: Vec::new(),
                out: Vec::new(),
                records,
                others,
                returns,
            };
            driftdb_plpgsql::run(&mut host, call, &mut cache)
        });
        if as_owner.is_some() {
            self.actions.lend_identity(cx.eval);
        }
        self.give_back(function.id.0, &program, cache);
        let row = match output? {
            Output::Row(row) => row,
            Output::Set(_) => {
                let message = "trigger procedure cannot return a set";
                return Err(SqlError::new(SqlState::DatatypeMismatch, message));
            }
        };
        Ok(Fired::Row(row))
    }

    /// A trigger's function, and its condition.
    fn trigger_parts(
        &self,
        firing: &Firing<'_>,
        trigger: &Trigger,
        cx: &mut ExecContext<'_>,
    ) -> Result<(Arc<Object>, Option<Arc<Expr>>)> {
        let id = firing.trigger.id.0;
        let at = cx.ddl.is_none().then(|| cx.txn.snapshot_ts());
        {
            let state = self.kept.state.lock();
            if let Some(kept) = state.triggers.get(&id)
                && kept.changes == state.changes
                && kept.object == *firing.trigger
                && kept.table == *firing.table
                && let (Some(then), Some(now)) = (kept.at, at)
                && self.node.catalog().is_same_at(then, now)
            {
                return Ok((Arc::clone(&kept.function), kept.condition.clone()));
            }
        }
        let function = driftdb_tables::object_by_id(cx.txn, trigger.function, ReadAt::Newest)?;
        let Some(function) = function else {
            let message = format!("function with OID {} does not exist", trigger.function.0);
            return Err(SqlError::new(SqlState::UndefinedFunction, message));
        };
        let condition = match &trigger.condition {
            Some(text) => {
                let own_changes = cx.ddl.is_some();
                let (node, eval) = (self.node, cx.eval);
                let catalog = node.catalog().reader(&mut *cx.txn, node.store(), own_changes);
                let temporary = temporary_schema(eval.backend_pid);
                let catalog = catalog.on_path(&eval.schemas);
                let mut catalog = catalog.with_temporary(Some(&temporary));
                let mut types = Vec::new();
                let mut context = BindContext {
                    catalog: &mut catalog,
                    eval,
                    param_types: &mut types,
                    params: None,
                    variables: None,
                };
                let bound = bind_trigger_condition(firing.table, trigger, text, &mut context)?;
                Some(Arc::new(bound))
            }
            None => None,
        };
        let mut state = self.kept.state.lock();
        if state.triggers.len() >= MOST_KEPT {
            state.triggers.clear();
        }
        let kept = KeptTrigger {
            object: Arc::clone(firing.trigger),
            table: Arc::clone(firing.table),
            function: Arc::clone(&function),
            condition: condition.clone(),
            changes: state.changes,
            at,
        };
        state.triggers.insert(id, kept);
        Ok((function, condition))
    }
}

/// `TG_NAME` and its kin.
fn variables(firing: &Firing<'_>, trigger: &Trigger) -> Result<Vec<(Column, Value)>> {
    let table = firing.table;
    let time = match trigger.time {
        TriggerTime::Before => "BEFORE",
        TriggerTime::After => "AFTER",
        TriggerTime::InsteadOf => "INSTEAD OF",
    };
    let level = if trigger.is_row { "ROW" } else { "STATEMENT" };
    let variable = |name: &str, ty: DataType, value: Value| {
        (Column { name: name.to_owned(), ty, typmod: -1 }, value)
    };
    let text = |text: &str| Value::Text(text.into());
    let arguments = trigger.arguments.iter().map(|argument| text(argument)).collect();
    let arguments = Array::vector(DataType::Text, arguments)?;
    Ok(vec![
        variable("tg_name", DataType::Name, text(&firing.trigger.name)),
        variable("tg_when", DataType::Text, text(time)),
        variable("tg_level", DataType::Text, text(level)),
        variable("tg_op", DataType::Text, text(operation(firing.event))),
        variable("tg_relid", DataType::Oid, Value::Oid(table.id.0)),
        variable("tg_relname", DataType::Name, text(&table.name)),
        variable("tg_table_name", DataType::Name, text(&table.name)),
        variable("tg_table_schema", DataType::Name, text(&table.schema)),
        variable("tg_nargs", DataType::Int4, Value::Int4(trigger.arguments.len() as i32)),
        variable(
            "tg_argv",
            DataType::Text.array().unwrap_or(DataType::Text),
            Value::array(arguments),
        ),
    ])
}
