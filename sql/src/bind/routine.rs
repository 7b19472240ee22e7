//! Functions and triggers: defined, changed, dropped.

use std::sync::Arc;

use driftdb_query::{
    Argument, ArgumentMode, CatalogAt, Given, Language, NameSpace, Object, ObjectKind, Result,
    Routine, RoutineStatement, SqlError, Table, TablePart, Trigger, TriggerTime, routine_signature,
    row_type_oid,
};
use driftdb_types::{DataType, SqlState, Volatility};
use sqlparser::ast;

use super::Binder;
use super::materialized::refuse_operation;
use super::names::{ObjectName, object_name};
use crate::front::cursor::QualifiedName;
use crate::front::routine::{
    AlterRoutine, ArgumentBody, CreateBody, Named, Options, RoutineBody, RoutineWord, TriggerBody,
    TypeRef, language_of,
};

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidFunctionDefinition, message)
}

/// A type that only signatures have.
fn pseudo(name: &ast::DataType) -> Option<Given> {
    let (name, modifiers) = match name {
        ast::DataType::Custom(name, modifiers) => (name, modifiers),
        ast::DataType::Trigger => return Some(Given::Trigger),
        _ => return None,
    };
    let parsed = object_name(name).ok()?;
    if !modifiers.is_empty() || parsed.schema.is_some_and(|schema| schema != "pg_catalog") {
        return None;
    }
    Some(match parsed.name.as_str() {
        "void" => Given::Void,
        "record" => Given::Record,
        "trigger" => Given::Trigger,
        name => Given::Value(DataType::from_name(name).filter(|ty| ty.is_polymorphic())?),
    })
}

impl Binder<'_> {
    pub(crate) fn routine_statement(&mut self, body: &RoutineBody) -> Result<RoutineStatement> {
        Ok(match body {
            RoutineBody::Create(create) => self.create_routine(create)?,
            RoutineBody::Drop { word, if_exists, names, cascade } => {
                self.drop_routines(*word, *if_exists, names, *cascade)?
            }
            RoutineBody::Alter { word, named, change } => {
                self.alter_routine(*word, named, change)?
            }
            RoutineBody::CreateTrigger(trigger) => self.create_trigger(trigger)?,
            RoutineBody::DropTrigger { if_exists, name, table, cascade } => {
                self.drop_trigger(*if_exists, name, table, *cascade)?
            }
            RoutineBody::RenameTrigger { name, table, new } => {
                let (_, object) = self.trigger_named(table, name)?;
                let mut changed = Object::clone(&object);
                changed.name.clone_from(new);
                RoutineStatement::Alter {
                    object,
                    changed: Box::new(changed),
                    command: "ALTER TRIGGER",
                }
            }
            RoutineBody::EnableTrigger { table, name, enabled } => {
                self.enable_trigger(table, name.as_deref(), *enabled)?
            }
            RoutineBody::Do { language, body } => {
                RoutineStatement::Do { language: *language, body: body.clone() }
            }
            RoutineBody::Call(function) => {
                let (query, has_output) = self.call_statement(function)?;
                RoutineStatement::Call { query: Box::new(query), has_output }
            }
        })
    }

    fn object_name_of(name: &QualifiedName) -> ObjectName {
        ObjectName {
            schema: name.schema.clone(),
            name: name.name.clone(),
            position: name.position,
            last: name.position,
        }
    }

    /// What a type in a signature is.
    fn signature_type(&mut self, ty: &TypeRef) -> Result<Given> {
        match ty {
            TypeRef::Like(names, position) => {
                let [table @ .., column] = &names[..] else {
                    return Err(SqlError::internal("a type like nothing"));
                };
                let [rest @ .., table] = table else {
                    let message = format!("%TYPE reference: improper type name \"{column}\"");
                    return Err(SqlError::new(SqlState::SyntaxError, message).at(*position));
                };
                let name = ObjectName {
                    schema: rest.last().cloned(),
                    name: table.clone(),
                    position: *position,
                    last: *position,
                };
                let table = self.table_now(&name)?;
                let Some((_, found)) = table.column(column) else {
                    let message = format!(
                        "column \"{column}\" of relation \"{}\" does not exist",
                        table.name
                    );
                    return Err(SqlError::new(SqlState::UndefinedColumn, message).at(*position));
                };
                Ok(Given::Value(found.ty))
            }
            TypeRef::Name(name, position) => {
                if let Some(given) = pseudo(name) {
                    return Ok(given);
                }
                match self.type_name(name) {
                    Ok((ty, _)) if ty.element().is_none() && ty.fields().is_some() => {
                        // The rows of a table are given as rows.
                        let table = match self.row_type_named(name)? {
                            Some(table) if row_type_oid(table.id.0) == ty.oid() => Some(table),
                            _ => None,
                        };
                        Ok(table.map_or(Given::Value(ty), |table| Given::RowOf(table.id)))
                    }
                    Ok((ty, _)) => Ok(Given::Value(ty)),
                    Err(error) => Err(error.at(*position)),
                }
            }
        }
    }

    /// The table whose rows a type's name means.
    fn row_type_named(&mut self, name: &ast::DataType) -> Result<Option<Arc<Table>>> {
        let ast::DataType::Custom(name, _) = name else { return Ok(None) };
        let name = object_name(name)?;
        self.catalog.table(name.schema.as_deref(), &name.name, CatalogAt::Statement)
    }

    fn arguments(&mut self, bodies: &[ArgumentBody]) -> Result<Vec<Argument>> {
        let mut arguments: Vec<Argument> = Vec::with_capacity(bodies.len());
        for body in bodies {
            let ty = match self.signature_type(&body.ty)? {
                Given::Value(ty) => ty,
                Given::RowOf(id) => match self.catalog.table_by_id(id)? {
                    Some(table) => driftdb_query::table_type(&table),
                    None => return Err(SqlError::internal("a row of no table")),
                },
                Given::Record => {
                    return Err(SqlError::unsupported("an argument of type record"));
                }
                Given::Void | Given::Trigger => {
                    let what = if body.mode.is_input() { "accept" } else { "return" };
                    return Err(invalid(format!("SQL function cannot {what} such a type")));
                }
            };
            if body.mode == ArgumentMode::Variadic
                && ty.element().is_none()
                && !matches!(ty, DataType::AnyArray | DataType::AnyCompatibleArray)
            {
                return Err(invalid("VARIADIC parameter must be an array"));
            }
            let clashes = |other: &Argument| {
                !body.name.is_empty()
                    && other.name == body.name
                    && (other.mode.is_input() == body.mode.is_input()
                        || other.mode.is_output() == body.mode.is_output()
                        || body.mode == ArgumentMode::Table)
            };
            if arguments.iter().any(clashes) {
                return Err(invalid(format!(
                    "parameter name \"{}\" used more than once",
                    body.name
                )));
            }
            if body.mode.is_input() {
                let last = arguments.iter().rev().find(|other| other.mode.is_input());
                if last.is_some_and(|last| last.mode == ArgumentMode::Variadic) {
                    return Err(invalid("VARIADIC parameter must be the last input parameter"));
                }
                if body.default.is_none()
                    && last.is_some_and(|last| last.default.is_some())
                    && body.mode != ArgumentMode::Variadic
                {
                    let message =
                        "input parameters after one with a default value must also have defaults";
                    return Err(invalid(message));
                }
            } else if body.default.is_some() {
                return Err(invalid("only input parameters can have default values"));
            }
            if let Some(default) = &body.default {
                self.argument_default(default, ty)?;
            }
            arguments.push(Argument {
                name: body.name.clone(),
                mode: body.mode,
                ty,
                default: body.default.clone(),
            });
        }
        Ok(arguments)
    }

    fn create_routine(&mut self, body: &CreateBody) -> Result<RoutineStatement> {
        let language = language_of(
            body.options.language.as_deref().or_else(|| body.options.is_sql_body.then_some("sql")),
        )?;
        let arguments = self.arguments(&body.arguments)?;
        let outputs: Vec<&Argument> =
            arguments.iter().filter(|argument| argument.mode.is_output()).collect();
        let implied = match &outputs[..] {
            [] => None,
            [one] => Some(Given::Value(one.ty)),
            _ => Some(Given::Record),
        };
        let given = match (&body.returns, implied) {
            (Some(ty), implied) => {
                let given = self.signature_type(ty)?;
                if implied.is_some_and(|implied| implied != given) {
                    let wanted = match implied {
                        Some(Given::Value(ty)) => ty.sql_name(),
                        _ => "record",
                    };
                    return Err(invalid(format!(
                        "function result type must be {wanted} because of OUT parameters"
                    )));
                }
                given
            }
            (None, Some(implied)) => implied,
            (None, None) if body.is_procedure => Given::Void,
            (None, None) => return Err(invalid("function result type must be specified")),
        };
        let inputs: Vec<DataType> = arguments
            .iter()
            .filter(|argument| argument.mode.is_input())
            .map(|argument| argument.ty)
            .collect();
        check_polymorphic(&inputs, given, &outputs)?;
        if given == Given::Trigger && !arguments.is_empty() {
            return Err(invalid("trigger functions cannot have declared arguments").with_hint(
                "The arguments of the trigger can be accessed through TG_NARGS and TG_ARGV instead.",
            ));
        }
        if given == Given::Trigger && language == Language::Sql {
            return Err(invalid("SQL functions cannot return type trigger"));
        }
        let Some(text) = body.options.body.clone() else {
            return Err(invalid("no function body specified"));
        };
        let mut routine = Routine {
            is_procedure: body.is_procedure,
            language,
            arguments,
            given,
            is_set: body.is_set,
            body: text,
            is_sql_body: body.options.is_sql_body,
            volatility: Volatility::Volatile,
            is_strict: false,
            is_definer: false,
            is_leakproof: false,
            parallel: 'u',
            cost: None,
            rows: None,
            settings: Vec::new(),
        };
        apply(&body.options, &mut routine);
        let schema = self.creation_schema(body.name.schema.as_deref(), &body.name.name)?;
        Ok(RoutineStatement::Create {
            schema,
            name: body.name.name.clone(),
            routine: Box::new(routine),
            replace: body.replace,
        })
    }

    /// The one function that a name, and perhaps arguments, stand for.
    pub(crate) fn routine_named(
        &mut self,
        word: RoutineWord,
        named: &Named,
    ) -> Result<Option<Arc<Object>>> {
        let name = &named.name;
        let found = self.catalog.objects_named(
            NameSpace::Routine,
            name.schema.as_deref(),
            &name.name,
            CatalogAt::Statement,
        )?;
        let is_kind = |object: &Arc<Object>| match &object.kind {
            ObjectKind::Routine(routine) => match word {
                RoutineWord::Function => !routine.is_procedure,
                RoutineWord::Procedure => routine.is_procedure,
                RoutineWord::Routine => true,
            },
            _ => false,
        };
        let Some(arguments) = &named.arguments else {
            let fitting: Vec<Arc<Object>> = found.into_iter().filter(is_kind).collect();
            return match &fitting[..] {
                [] => Ok(None),
                [one] => Ok(Some(Arc::clone(one))),
                _ => {
                    let message = format!("{} name \"{}\" is not unique", word.name(), name.name);
                    Err(SqlError::new(SqlState::AmbiguousFunction, message).with_hint(format!(
                        "Specify the argument list to select the {} unambiguously.",
                        word.name()
                    )))
                }
            };
        };
        let mut types = Vec::new();
        for argument in arguments.iter().filter(|argument| argument.mode.is_input()) {
            match self.signature_type(&argument.ty)? {
                Given::Value(ty) => types.push(ty),
                Given::RowOf(id) => match self.catalog.table_by_id(id)? {
                    Some(table) => types.push(driftdb_query::table_type(&table)),
                    None => return Ok(None),
                },
                _ => return Ok(None),
            }
        }
        let object = found.into_iter().find(|object| match &object.kind {
            ObjectKind::Routine(routine) => routine.input_types() == types,
            _ => false,
        });
        match object {
            Some(object) if !is_kind(&object) => {
                let signature = routine_signature(&name.name, &types);
                let message = format!("{signature} is not a {}", word.name());
                Err(SqlError::new(SqlState::WrongObjectType, message))
            }
            object => Ok(object),
        }
    }

    pub(crate) fn missing(&mut self, word: RoutineWord, named: &Named) -> Result<String> {
        let name = super::as_of::qualified(named.name.schema.as_deref(), &named.name.name);
        let Some(arguments) = &named.arguments else { return Ok(format!("{name}()")) };
        let mut types = Vec::new();
        for argument in arguments.iter().filter(|argument| argument.mode.is_input()) {
            types.push(match self.signature_type(&argument.ty)? {
                Given::Value(ty) => ty.sql_name().to_owned(),
                _ => "record".to_owned(),
            });
        }
        let _ = word;
        Ok(format!("{name}({})", types.join(",")))
    }

    fn drop_routines(
        &mut self,
        word: RoutineWord,
        if_exists: bool,
        names: &[Named],
        cascade: bool,
    ) -> Result<RoutineStatement> {
        let (mut objects, mut notices) = (Vec::new(), Vec::new());
        for named in names {
            match self.routine_named(word, named)? {
                Some(object) => objects.push(object),
                None => {
                    let shown = self.missing(word, named)?;
                    let message = match &named.arguments {
                        Some(_) => format!("{} {shown} does not exist", word.name()),
                        None if if_exists => format!("{} {shown} does not exist", word.name()),
                        None => format!(
                            "could not find a {} named \"{}\"",
                            word.name(),
                            named.name.name
                        ),
                    };
                    if !if_exists {
                        return Err(SqlError::new(SqlState::UndefinedFunction, message));
                    }
                    notices.push(format!("{message}, skipping"));
                }
            }
        }
        Ok(RoutineStatement::Drop { objects, notices, cascade, command: word.tag(true) })
    }

    fn alter_routine(
        &mut self,
        word: RoutineWord,
        named: &Named,
        change: &AlterRoutine,
    ) -> Result<RoutineStatement> {
        let Some(object) = self.routine_named(word, named)? else {
            let shown = self.missing(word, named)?;
            let message = format!("{} {shown} does not exist", word.name());
            return Err(SqlError::new(SqlState::UndefinedFunction, message));
        };
        let mut changed = Object::clone(&object);
        match change {
            AlterRoutine::Rename(name) => changed.name.clone_from(name),
            AlterRoutine::SetSchema(schema) => changed.schema.clone_from(schema),
            AlterRoutine::Nothing => {}
            AlterRoutine::Options(options) => {
                if let ObjectKind::Routine(routine) = &mut changed.kind {
                    apply(options, routine);
                }
            }
        }
        let changed = Box::new(changed);
        Ok(RoutineStatement::Alter { object, changed, command: word.tag(false) })
    }

    /// A table and its trigger of a name.
    pub(crate) fn trigger_named(
        &mut self,
        table: &QualifiedName,
        name: &str,
    ) -> Result<(Arc<Table>, Arc<Object>)> {
        let table = self.table_now(&Self::object_name_of(table))?;
        let found = self.triggers(&table)?.into_iter().find(|object| object.name == name);
        match found {
            Some(object) => Ok((table, object)),
            None => {
                let message =
                    format!("trigger \"{name}\" for table \"{}\" does not exist", table.name);
                Err(SqlError::new(SqlState::UndefinedObject, message))
            }
        }
    }

    /// The triggers of a table, in the order of their names.
    pub(crate) fn triggers(&mut self, table: &Table) -> Result<Vec<Arc<Object>>> {
        let mut found = Vec::new();
        for needing in table.needs.iter().filter(|needing| needing.part == TablePart::Trigger) {
            let id = driftdb_query::ObjectId(needing.need.id);
            found.extend(self.catalog.object_by_id(id, CatalogAt::Statement)?);
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    fn drop_trigger(
        &mut self,
        if_exists: bool,
        name: &str,
        table: &QualifiedName,
        cascade: bool,
    ) -> Result<RoutineStatement> {
        let command = "DROP TRIGGER";
        let drop = |objects, notices| RoutineStatement::Drop { objects, notices, cascade, command };
        match self.trigger_named(table, name) {
            Ok((_, object)) => Ok(drop(vec![object], Vec::new())),
            Err(error)
                if if_exists
                    && matches!(
                        error.state,
                        SqlState::UndefinedObject | SqlState::UndefinedTable
                    ) =>
            {
                let message = match error.state {
                    SqlState::UndefinedTable => error.message,
                    _ => {
                        format!("trigger \"{name}\" for relation \"{}\" does not exist", table.name)
                    }
                };
                Ok(drop(Vec::new(), vec![format!("{message}, skipping")]))
            }
            Err(error) => Err(error),
        }
    }

    fn enable_trigger(
        &mut self,
        table: &QualifiedName,
        name: Option<&str>,
        enabled: char,
    ) -> Result<RoutineStatement> {
        let (table, triggers) = match name {
            Some(name) => {
                let (table, object) = self.trigger_named(table, name)?;
                (table, vec![object.id])
            }
            None => {
                let table = self.table_now(&Self::object_name_of(table))?;
                let all = self.triggers(&table)?;
                (table, all.iter().map(|object| object.id).collect())
            }
        };
        Ok(RoutineStatement::EnableTriggers { table, triggers, enabled })
    }

    fn create_trigger(&mut self, body: &TriggerBody) -> Result<RoutineStatement> {
        let table = self.table_now(&Self::object_name_of(&body.table))?;
        refuse_operation(&table, |name| format!("relation \"{name}\" cannot have triggers"))?;
        let refused = |message: String| SqlError::new(SqlState::FeatureNotSupported, message);
        let wrong = |message: &str| SqlError::new(SqlState::WrongObjectType, message);
        if body.time == TriggerTime::InsteadOf {
            return Err(wrong(&format!("\"{}\" is a table", table.name))
                .with_detail("Tables cannot have INSTEAD OF triggers."));
        }
        if body.events.truncate && body.is_row {
            return Err(refused("TRUNCATE FOR EACH ROW triggers are not supported".to_owned()));
        }
        if body.constraint.is_some() && (body.time != TriggerTime::After || !body.is_row) {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "constraint triggers can only be specified AFTER ... FOR EACH ROW",
            ));
        }
        let has_tables = body.old_table.is_some() || body.new_table.is_some();
        if has_tables {
            return Err(SqlError::unsupported("a transition table of a trigger"));
        }
        if body.constraint.is_some_and(|deferral| deferral != driftdb_query::Deferral::Never) {
            return Err(SqlError::unsupported("a deferrable trigger"));
        }
        let mut columns = Vec::new();
        for name in &body.columns {
            let Some((_, column)) = table.column(name) else {
                let message =
                    format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
                return Err(SqlError::new(SqlState::UndefinedColumn, message));
            };
            if columns.contains(&column.id) {
                let message = format!("column \"{name}\" specified more than once");
                return Err(SqlError::new(SqlState::DuplicateColumn, message));
            }
            columns.push(column.id);
        }
        let name = &body.function;
        let found = self.catalog.objects_named(
            NameSpace::Routine,
            name.schema.as_deref(),
            &name.name,
            CatalogAt::Statement,
        )?;
        let function = found.into_iter().find_map(|object| match &object.kind {
            ObjectKind::Routine(routine) if routine.arguments.is_empty() => {
                Some((object.id, routine.given))
            }
            _ => None,
        });
        let Some((function, given)) = function else {
            let shown = super::as_of::qualified(name.schema.as_deref(), &name.name);
            let message = format!("function {shown}() does not exist");
            return Err(SqlError::new(SqlState::UndefinedFunction, message));
        };
        if given != Given::Trigger {
            let message = format!("function {} must return type trigger", name.name);
            return Err(invalid(message));
        }
        let mut trigger = Trigger {
            table: table.id,
            function,
            time: body.time,
            events: body.events,
            columns,
            is_row: body.is_row,
            condition: body.condition.clone(),
            arguments: body.arguments.clone(),
            old_table: body.old_table.clone(),
            new_table: body.new_table.clone(),
            enabled: 'O',
            constraint: body.constraint,
        };
        if let Some(condition) = &body.condition {
            let (_, _, bound) = self.trigger_condition(&table, &trigger, condition)?;
            trigger.condition = Some(super::qualified::qualified_text(condition, &bound)?);
        }
        Ok(RoutineStatement::CreateTrigger {
            table,
            name: body.name.clone(),
            trigger: Box::new(trigger),
            replace: body.replace,
        })
    }

    /// WHEN of a trigger, over the old row and then the new one.
    pub(crate) fn trigger_condition(
        &mut self,
        table: &Arc<Table>,
        trigger: &Trigger,
        condition: &str,
    ) -> Result<(Vec<driftdb_query::ColId>, Vec<driftdb_query::ColId>, driftdb_query::Expr)> {
        use super::scope::{Clause, Scope};
        use super::stored::{named_row, relation};
        let (old, new) = (self.row_ids(table), self.row_ids(table));
        let mut relations = Vec::new();
        if trigger.is_row && !trigger.events.insert {
            relations.push(relation("old", named_row(table, &old)));
        }
        if trigger.is_row && !trigger.events.delete {
            relations.push(relation("new", named_row(table, &new)));
        }
        let scope = Scope::with(Clause::Other, relations, Vec::new());
        let bound = self.stored_in(condition, scope, |binder, tree| binder.predicate(tree, "WHEN"));
        let bound = bound.map_err(|error| match error.state {
            SqlState::UndefinedTable => {
                let (row, event) =
                    if trigger.events.insert { ("OLD", "INSERT") } else { ("NEW", "DELETE") };
                let message =
                    format!("{event} trigger's WHEN condition cannot reference {row} values");
                SqlError::new(SqlState::InvalidObjectDefinition, message)
            }
            _ => error,
        })?;
        Ok((old, new, bound))
    }
}

/// What was said, into a definition.
fn apply(options: &Options, routine: &mut Routine) {
    if let Some(volatility) = options.volatility {
        routine.volatility = volatility;
    }
    if let Some(is_strict) = options.is_strict {
        routine.is_strict = is_strict;
    }
    if let Some(is_definer) = options.is_definer {
        routine.is_definer = is_definer;
    }
    if let Some(is_leakproof) = options.is_leakproof {
        routine.is_leakproof = is_leakproof;
    }
    if let Some(parallel) = options.parallel {
        routine.parallel = parallel;
    }
    if options.cost.is_some() {
        routine.cost.clone_from(&options.cost);
    }
    if options.rows.is_some() {
        routine.rows.clone_from(&options.rows);
    }
    for (name, value) in &options.settings {
        match name {
            None => routine.settings.clear(),
            Some(name) => {
                routine.settings.retain(|setting| setting.0 != *name);
                if let Some(value) = value {
                    routine.settings.push((name.clone(), value.clone()));
                }
            }
        }
    }
}

/// A polymorphic result needs an argument that says what it is.
fn check_polymorphic(inputs: &[DataType], given: Given, outputs: &[&Argument]) -> Result<()> {
    let mut results: Vec<DataType> = outputs.iter().map(|output| output.ty).collect();
    if let Given::Value(ty) = given {
        results.push(ty);
    }
    let is_compatible =
        |ty: &DataType| matches!(ty, DataType::AnyCompatible | DataType::AnyCompatibleArray);
    for result in results.into_iter().filter(|ty| ty.is_polymorphic()) {
        let wanted = is_compatible(&result);
        let is_said = inputs.iter().any(|ty| ty.is_polymorphic() && is_compatible(ty) == wanted);
        if !is_said {
            let family = if wanted {
                "anycompatible, anycompatiblearray, anycompatiblenonarray, anycompatiblerange, or anycompatiblemultirange"
            } else {
                "anyelement, anyarray, anynonarray, anyenum, anyrange, or anymultirange"
            };
            return Err(invalid("cannot determine result data type").with_detail(format!(
                "A result of type {result} requires at least one input of type {family}."
            )));
        }
    }
    Ok(())
}
