//! Functions of users: whoever calls one gets here, in the middle of a statement.
//!
//! ```text
//! executor: an expression, a FROM item, CALL, DO, a trigger ──► Runner ──► SQL: statement after statement
//!                                                                      └─► PL/pgSQL: driftdb-plpgsql, with a host
//! host: text → bound (sql) → planned (planner) → run (executor), on the statement's own transaction
//! ```
//!
//! A VOLATILE function begins a statement within the calling one for each of its own, so that it sees what
//! was written before; any other reads as its caller does, and must not write. What is parsed, bound and
//! planned is kept by function, while the function is the same and definitions are.
//!
//! Invariants
//! * Each statement that was entered is left, also after an error.
//! * Calls nest [`MAX_DEPTH`] deep at most.

mod host;
mod language;
mod nested;
mod trigger;

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_env::sync::Mutex;
use driftdb_executor::{ExecContext, Fired, Firing, RoutineOutput, Routines, on_deep_stack};
use driftdb_plpgsql::{Cache, Call, Column, Output, Returns, ast::Program};
use driftdb_query::{
    ArgumentMode, Expr, Given, Known, Language, Object, ObjectKind, PhysicalStatement, Result,
    RoutineCall, RoutineColumn, Securable, SetScope, SqlError, Subject, Table, routine_signature,
};
use driftdb_sql::{BindContext, ParsedStatement};
use driftdb_storage::Timestamp;
use driftdb_tables::Knowing;
use driftdb_types::{DataType, EvalContext, SqlState, Value, Volatility};

use super::actions::Actions;
use super::settings::Settings;
use crate::node::Node;
use host::Lent;
use nested::Nested;

/// Calls within each other, at most.
const MAX_DEPTH: u32 = 600;

/// What a session keeps about functions.
#[derive(Default)]
pub(super) struct Kept {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How deep calls are nested.
    depth: u32,
    /// Counts changes of definitions within statements.
    changes: u64,
    programs: BTreeMap<u32, KeptProgram>,
    scripts: BTreeMap<u32, KeptScript>,
    triggers: BTreeMap<u32, KeptTrigger>,
    /// What functions made that is temporary, for the session to know.
    temporary: Vec<Arc<PhysicalStatement>>,
}

impl Kept {
    /// What functions made that is temporary, since the last call.
    pub(super) fn take_temporary(&self) -> Vec<Arc<PhysicalStatement>> {
        std::mem::take(&mut self.state.lock().temporary)
    }
}

/// A function in PL/pgSQL.
struct KeptProgram {
    object: Arc<Object>,
    arg_types: Vec<DataType>,
    program: Arc<Program>,
    /// `None` while a call uses it.
    cache: Option<Cache<Option<Nested>>>,
}

/// A function in SQL.
struct KeptScript {
    object: Arc<Object>,
    arg_types: Vec<DataType>,
    statements: Arc<[ParsedStatement]>,
    nested: Option<Vec<Option<Nested>>>,
}

/// A trigger: its function, and its condition over the old row and the new one.
struct KeptTrigger {
    object: Arc<Object>,
    table: Arc<Table>,
    function: Arc<Object>,
    condition: Option<Arc<Expr>>,
    /// The changes of definitions within statements by then, and the snapshot.
    changes: u64,
    at: Option<Timestamp>,
}

/// So many functions are kept.
const MOST_KEPT: usize = 1000;

/// Runs functions for one session.
pub(super) struct Runner<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) settings: &'a Settings,
    pub(super) actions: &'a Arc<Actions>,
    pub(super) kept: &'a Kept,
}

fn column(column: &RoutineColumn) -> Column {
    Column { name: column.name.clone(), ty: column.ty, typmod: column.typmod }
}

fn too_deep() -> SqlError {
    SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded").with_hint(
        "Increase the configuration parameter \"max_stack_depth\" (currently 2048kB), after ensuring \
         the platform's stack depth limit is adequate.",
    )
}

impl Runner<'_> {
    /// Calls `work` one level deeper, with statements within the running one if the function is volatile.
    fn within<T>(
        &self,
        is_volatile: bool,
        cx: &mut ExecContext<'_>,
        work: impl FnOnce(&mut ExecContext<'_>) -> Result<T>,
    ) -> Result<T> {
        {
            let mut state = self.kept.state.lock();
            if state.depth >= MAX_DEPTH {
                return Err(too_deep());
            }
            state.depth += 1;
        }
        let result = on_deep_stack(|| {
            if !is_volatile {
                return work(cx);
            }
            cx.txn.enter_statement()?;
            let result = work(cx);
            cx.txn.leave_statement();
            result
        });
        self.kept.state.lock().depth -= 1;
        result
    }

    /// Of a function that runs with its owner's rights, the context of that; `None` if it is the same.
    fn as_owner(&self, object: &Object, cx: &mut ExecContext<'_>) -> Result<Option<EvalContext>> {
        let ObjectKind::Routine(routine) = &object.kind else { return Ok(None) };
        if !routine.is_definer {
            return Ok(None);
        }
        let subject = Subject::whole(Securable::Routine, object.id.0);
        let said = Knowing(&mut *cx.txn).privileges(subject)?;
        let owner = said.map_or_else(|| subject.first_owner(), |said| said.owner);
        if owner == cx.eval.role {
            return Ok(None);
        }
        let at = driftdb_concurrency::ReadAt::Newest;
        let found = driftdb_tables::object_by_id(cx.txn, driftdb_query::ObjectId(owner), at)?;
        let Some(role) = found else { return Ok(None) };
        let user = Arc::from(role.name.as_str());
        Ok(Some(EvalContext { user, role: owner, ..cx.eval.clone() }))
    }

    /// A new statement at the top: nothing runs.
    pub(super) fn begin(kept: &Kept) {
        kept.state.lock().depth = 0;
    }

    /// Something was made that may be temporary.
    fn note_made(&self, physical: &Arc<PhysicalStatement>) {
        if super::temporary::schema_of(physical).is_some() {
            self.kept.state.lock().temporary.push(Arc::clone(physical));
        }
    }

    /// Definitions are other ones now.
    fn note_change(&self) {
        self.kept.state.lock().changes += 1;
    }

    fn changes(&self) -> u64 {
        self.kept.state.lock().changes
    }

    /// Calls a function, its settings made.
    fn call_in(
        &self,
        call: &RoutineCall,
        args: Vec<Value>,
        cx: &mut ExecContext<'_>,
    ) -> Result<RoutineOutput> {
        match call.routine().language {
            Language::Plpgsql => self.call_plpgsql(call, args, cx),
            Language::Sql => self.call_sql(call, args, cx),
        }
    }

    fn call_plpgsql(
        &self,
        call: &RoutineCall,
        args: Vec<Value>,
        cx: &mut ExecContext<'_>,
    ) -> Result<RoutineOutput> {
        let routine = call.routine();
        let (program, mut cache) = self.program(&call.object, &call.arg_types)?;
        let mut values = args.into_iter();
        let mut types = call.arg_types.iter();
        let mut outputs = call.columns.iter();
        let mut list = Vec::with_capacity(routine.arguments.len());
        let mut out = Vec::new();
        for (at, argument) in routine.arguments.iter().enumerate() {
            let output = if argument.mode.is_output() { outputs.next() } else { None };
            let (mut ty, mut value) = (output.map_or(argument.ty, |output| output.ty), Value::Null);
            if argument.mode.is_input() {
                ty = types.next().copied().unwrap_or(ty);
                value = values.next().unwrap_or(Value::Null);
            }
            if argument.mode.is_output() {
                out.push(at);
            }
            let name = (!argument.name.is_empty()).then(|| argument.name.clone());
            let unnamed = format!("${}", at + 1);
            let column = Column { name: name.clone().unwrap_or(unnamed), ty, typmod: -1 };
            list.push((name, column, value));
        }
        let returns = Returns {
            columns: call.columns.iter().map(column).collect(),
            is_row: call.is_row,
            is_set: routine.is_set,
            has_out: !out.is_empty(),
            is_procedure: routine.is_procedure,
            is_trigger: false,
        };
        let signature = routine_signature(&call.object.name, &call.arg_types);
        let is_volatile = routine.volatility == Volatility::Volatile;
        let output = self.within(is_volatile, cx, |cx| {
            let mut host = Lent::new(self, cx, is_volatile);
            let call = Call {
                program: &program,
                name: &call.object.name,
                signature: &signature,
                args: list,
                out,
                records: Vec::new(),
                others: Vec::new(),
                returns,
            };
            driftdb_plpgsql::run(&mut host, call, &mut cache)
        });
        self.give_back(call.object.id.0, &program, cache);
        Ok(match output? {
            Output::Row(row) => RoutineOutput::Row(row),
            Output::Set(rows) => RoutineOutput::Set(rows),
        })
    }

    /// The tree of a function's body, and what was prepared for it.
    fn program(
        &self,
        object: &Arc<Object>,
        arg_types: &[DataType],
    ) -> Result<(Arc<Program>, Cache<Option<Nested>>)> {
        let id = object.id.0;
        let mut state = self.kept.state.lock();
        if let Some(kept) = state.programs.get_mut(&id)
            && kept.arg_types == arg_types
            && (Arc::ptr_eq(&kept.object, object) || kept.object == *object)
        {
            return Ok((Arc::clone(&kept.program), kept.cache.take().unwrap_or_default()));
        }
        let body = match &object.kind {
            ObjectKind::Routine(routine) => &routine.body,
            _ => return Err(SqlError::internal("a call of what is no function")),
        };
        let program = Arc::new(driftdb_plpgsql::parse(body)?);
        if state.programs.len() >= MOST_KEPT {
            state.programs.clear();
        }
        let kept = KeptProgram {
            object: Arc::clone(object),
            arg_types: arg_types.to_vec(),
            program: Arc::clone(&program),
            cache: None,
        };
        state.programs.insert(id, kept);
        Ok((program, Cache::default()))
    }

    fn give_back(&self, id: u32, program: &Arc<Program>, cache: Cache<Option<Nested>>) {
        let mut state = self.kept.state.lock();
        if let Some(kept) = state.programs.get_mut(&id)
            && Arc::ptr_eq(&kept.program, program)
        {
            kept.cache = Some(cache);
        }
    }
}

impl Routines for Runner<'_> {
    fn call(
        &self,
        call: &RoutineCall,
        args: Vec<Value>,
        cx: &mut ExecContext<'_>,
    ) -> Result<RoutineOutput> {
        let as_owner = self.as_owner(&call.object, cx)?;
        if call.routine().settings.is_empty() && as_owner.is_none() {
            return self.call_in(call, args, cx);
        }
        let mut settings = self.settings.clone();
        for (name, value) in &call.routine().settings {
            settings.set(name, Some(value), SetScope::Local)?;
        }
        let mut eval = as_owner.unwrap_or_else(|| cx.eval.clone());
        settings.apply(&mut eval);
        self.actions.lend_identity(&eval);
        let runner = Runner { settings: &settings, ..*self };
        let mut inner = ExecContext {
            txn: &mut *cx.txn,
            store: cx.store,
            system: cx.system,
            eval: &eval,
            params: cx.params,
            routines: &runner,
            ddl: &mut *cx.ddl,
            kinds: &mut *cx.kinds,
            cancel: cx.cancel,
            pending: &mut *cx.pending,
            notices: &mut *cx.notices,
            memory_limit_bytes: cx.memory_limit_bytes,
        };
        let result = runner.call_in(call, args, &mut inner);
        self.actions.lend_identity(cx.eval);
        result
    }

    fn fire(&self, firing: &Firing<'_>, cx: &mut ExecContext<'_>) -> Result<Fired> {
        self.fire_trigger(firing, cx)
    }

    fn block(&self, _language: Language, body: &str, cx: &mut ExecContext<'_>) -> Result<()> {
        let program = driftdb_plpgsql::parse(body)?;
        self.within(true, cx, |cx| {
            let mut host = Lent::new(self, cx, true);
            let returns = Returns {
                columns: Vec::new(),
                is_row: false,
                is_set: false,
                has_out: false,
                is_procedure: false,
                is_trigger: false,
            };
            let call = Call {
                program: &program,
                name: "inline_code_block",
                signature: "inline_code_block",
                args: Vec::new(),
                out: Vec::new(),
                records: Vec::new(),
                others: Vec::new(),
                returns,
            };
            driftdb_plpgsql::run(&mut host, call, &mut Cache::default()).map(drop)
        })
    }

    fn check(&self, call: &RoutineCall, cx: &mut ExecContext<'_>) -> Result<()> {
        if self.settings.show("check_function_bodies").is_ok_and(|value| value == "off") {
            return Ok(());
        }
        let routine = call.routine();
        match routine.language {
            Language::Plpgsql => driftdb_plpgsql::parse(&routine.body).map(drop).map_err(|error| {
                let name = &call.object.name;
                error.with_context(format!("compilation of PL/pgSQL function \"{name}\""))
            }),
            Language::Sql => self.check_sql(call, cx),
        }
    }

    fn terms(&self, table: &Table, cx: &mut ExecContext<'_>) -> Result<Vec<Arc<Expr>>> {
        let own_changes = cx.ddl.is_some();
        let (node, eval) = (self.node, cx.eval);
        let catalog = node.catalog().reader(&mut *cx.txn, node.store(), own_changes);
        let mut catalog = catalog.on_path(&eval.schemas);
        let mut types = Vec::new();
        let mut context = BindContext {
            catalog: &mut catalog,
            eval,
            param_types: &mut types,
            params: None,
            variables: None,
        };
        driftdb_sql::bind_terms(table, &mut context)
    }
}

/// Whether a function's types are all decided.
fn is_decided(call: &RoutineCall) -> bool {
    let is_open = |ty: &DataType| ty.is_polymorphic();
    let result = match call.routine().given {
        Given::Value(ty) => ty.is_polymorphic(),
        _ => false,
    };
    !result
        && !call.arg_types.iter().any(is_open)
        && call.routine().arguments.iter().all(|argument| {
            !argument.ty.is_polymorphic() || argument.mode == ArgumentMode::Variadic
        })
}
