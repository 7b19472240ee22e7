//! Binding: names to identities, types to every expression.
//!
//! A [`Binder`] walks one statement's tree with a stack of [`scope::Scope`]s; a name is looked up from the
//! innermost outwards, so that a correlated column is simply a column of an outer scope. Columns get
//! identities that are unique in the statement. Undecided literals and parameters take the type that
//! their use asks for (`coerce`).
//!
//! Sources: PostgreSQL 15, src/backend/parser (parse_expr.c, parse_clause.c, parse_agg.c,
//! parse_relation.c, parse_coerce.c, analyze.c), whose rules and texts these are.

mod absent;
mod access;
mod aggregate;
mod alter;
pub(crate) mod alter_column;
mod array;
mod as_of;
mod call;
mod case;
pub(crate) mod changes;
mod coerce;
mod comment;
mod compare;
mod conflict;
mod constraint;
mod copy;
mod create;
mod current;
mod delete;
pub(crate) mod diff;
mod digest;
mod element;
mod expr;
mod extension;
mod foreign;
mod from;
mod function_scan;
pub(crate) mod generated;
mod grouping;
mod history;
pub(crate) mod index;
mod index_change;
mod insert;
mod join;
mod keywords;
mod like;
mod literal;
mod lock;
mod materialized;
mod merge;
mod named_arguments;
pub(crate) mod names;
mod order;
mod ordered_set;
mod period;
mod position;
mod predicate;
mod qualified;
pub(crate) mod record;
mod returning;
mod role;
mod routine;
mod routine_call;
mod row_value;
mod sample;
mod schema;
mod scope;
mod select;
mod sequence;
mod set_function;
mod setop;
mod special;
mod stored;
mod subquery;
mod system;
mod target;
mod ties;
mod type_name;
mod updatable;
mod update;
pub(crate) mod user_type;
mod utility;
mod variable;
pub(crate) mod view;
mod whole_row;
mod window;
mod with;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use driftdb_query::{Catalog, ColId, CteId, LogicalPlan, Result, SqlError, Statement, Variables};
use driftdb_storage::Timestamp;
use driftdb_types::{DataType, EvalContext, Field, Value};

pub use index::bind_terms;
pub(crate) use index::bound_term;
pub use routine_call::bind_trigger_condition;
pub use stored::{bind_check, bind_default};
pub(crate) use stored::{bound_default, bound_default_of, bound_generated};
pub use type_name::{parse_type, resolve_type};
pub use updatable::written_through;
pub use user_type::domain_checks;

use crate::ParsedStatement;
use crate::front::limits::{MAX_DEPTH, too_deep, with_room};
use crate::parsed::Content;
use scope::{Cte, Scope};

/// What binding needs besides the statement.
pub struct BindContext<'a> {
    /// Where names are looked up.
    pub catalog: &'a mut dyn Catalog,
    /// Session and time: literals are read and AS OF is evaluated in it.
    pub eval: &'a EvalContext,
    /// The parameters' types: as declared, `Unknown` where not. Binding fills in what it infers, and
    /// makes the list as long as the statement asks for.
    pub param_types: &'a mut Vec<DataType>,
    /// The parameters' values, once known: `AS OF $1` needs them. Without them it is bound with the
    /// schema of now.
    pub params: Option<&'a [Value]>,
    /// Names besides columns: they become parameters.
    pub variables: Option<&'a mut dyn Variables>,
}

/// Binds a statement.
///
/// # Errors
/// Whatever PostgreSQL's parse analysis raises, with position; 0A000 for what this build lacks.
pub fn bind(statement: &ParsedStatement, cx: &mut BindContext<'_>) -> Result<Statement> {
    let has_variables = cx.variables.is_some();
    // Where there are variables, `$n` is one.
    let count = if has_variables { 0 } else { statement.parameter_count() };
    if cx.param_types.len() < count {
        cx.param_types.resize(count, DataType::Unknown);
    }
    with_room(statement.depth(), || {
        let content = statement.content();
        let mut binder =
            Binder::new(&mut *cx.catalog, cx.eval, &mut *cx.param_types, cx.params, Some(content));
        binder.variables = match &mut cx.variables {
            Some(variables) => Some(&mut **variables),
            None => None,
        };
        binder.text = Some((statement.text(), statement.position()));
        binder.watch()?;
        let bound = binder.statement(&content.body)?;
        binder.ask_definition(&bound)?;
        binder.check_times_used()?;
        binder.check_marks()?;
        binder.check_periods_used()?;
        binder.check_parameters(count)?;
        binder.demand_access()?;
        Ok(bound)
    })
    .map_err(|error: SqlError| {
        // The parser forgets where some names stand.
        let position = error.position.filter(|position| *position > 0);
        SqlError { position, ..error }
    })
}

/// What is known of a column besides its type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meta {
    pub(crate) typmod: i32,
    pub(crate) origin: (u32, u16),
}

/// The state of binding one statement.
pub(crate) struct Binder<'a> {
    catalog: &'a mut dyn Catalog,
    eval: &'a EvalContext,
    param_types: &'a mut Vec<DataType>,
    params: Option<&'a [Value]>,
    variables: Option<&'a mut dyn Variables>,
    /// What was lifted out of the statement; `None` for stored expressions.
    content: Option<&'a Content>,
    /// The statement's text and where it begins.
    text: Option<(&'a str, u32)>,
    /// When tables are read that name no time; `None`: now.
    default_time: Option<Timestamp>,
    next_column: u32,
    next_cte: u32,
    /// Scans with system columns so far.
    next_scan: u32,
    scopes: Vec<Scope>,
    ctes: Vec<Cte>,
    depth: u32,
    meta: BTreeMap<ColId, Meta>,
    used_times: Vec<u32>,
    used_periods: Vec<u32>,
    used_ctes: BTreeSet<CteId>,
    /// Whether the next WITH may change something: it is a whole statement's.
    may_change: bool,
    /// The expressions of a WITH RECURSIVE that are being bound, and the plans of those that are.
    binding: Vec<usize>,
    bound_ctes: Vec<(CteId, LogicalPlan)>,
    /// The columns that are the one value of a function in FROM.
    function_values: BTreeSet<ColId>,
    /// The columns of rows of no named type, by the column that the row is.
    shapes: BTreeMap<ColId, Arc<[Field]>>,
    /// The marks that whole rows need and no plan has yet, and how many there were.
    marks: Vec<whole_row::Mark>,
    marked: u32,
    /// While a stored text is renamed: the names met in it.
    named_parts: Option<Vec<stored::NamedPart>>,
    /// While a view's query is bound: what its names mean.
    recorder: Option<Box<record::Recorder>>,
    /// What is asked of who runs the statement; `None`: nothing.
    access: Option<Box<access::Access>>,
    /// The views that are being bound, each within the one before.
    views: Vec<driftdb_query::ObjectId>,
    /// Whose rights count in the view that is bound next.
    inner_role: Option<u32>,
    /// Where the subquery of one value is that was bound last, and its column's name.
    asked: Option<(usize, String)>,
    /// The lock clauses of the SELECT whose FROM is being bound.
    locking: Vec<lock::Locking<'a>>,
    /// Those that the next query to be bound inherits.
    handed_down: Vec<lock::Locking<'a>>,
}

impl<'a> Binder<'a> {
    pub(crate) fn new(
        catalog: &'a mut dyn Catalog,
        eval: &'a EvalContext,
        param_types: &'a mut Vec<DataType>,
        params: Option<&'a [Value]>,
        content: Option<&'a Content>,
    ) -> Self {
        Self {
            catalog,
            eval,
            param_types,
            params,
            variables: None,
            content,
            text: None,
            default_time: None,
            next_column: 0,
            next_cte: 0,
            next_scan: 0,
            scopes: Vec::new(),
            ctes: Vec::new(),
            depth: 0,
            meta: BTreeMap::new(),
            used_times: Vec::new(),
            used_periods: Vec::new(),
            used_ctes: BTreeSet::new(),
            may_change: false,
            binding: Vec::new(),
            bound_ctes: Vec::new(),
            function_values: BTreeSet::new(),
            shapes: BTreeMap::new(),
            marks: Vec::new(),
            marked: 0,
            named_parts: None,
            recorder: None,
            access: None,
            inner_role: None,
            views: Vec::new(),
            asked: None,
            locking: Vec::new(),
            handed_down: Vec::new(),
        }
    }

    /// A new identity.
    fn column_id(&mut self) -> ColId {
        self.next_column += 1;
        ColId(self.next_column)
    }

    fn cte_id(&mut self) -> CteId {
        self.next_cte += 1;
        CteId(self.next_cte)
    }

    /// Runs `work` so many levels deeper in the tree; beyond the limit it is an error.
    fn deeper<T>(&mut self, levels: u32, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth + levels > MAX_DEPTH {
            return Err(too_deep());
        }
        self.depth += levels;
        let result = work(self);
        self.depth -= levels;
        result
    }

    /// A parameter that nothing gave a type to cannot be sent.
    fn check_parameters(&mut self, count: usize) -> Result<()> {
        for index in 0..count {
            if self.param_types[index] == DataType::Unknown {
                return Err(SqlError::new(
                    driftdb_types::SqlState::IndeterminateDatatype,
                    format!("could not determine data type of parameter ${}", index + 1),
                ));
            }
        }
        Ok(())
    }
}
