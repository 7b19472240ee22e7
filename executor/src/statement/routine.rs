//! Functions and triggers: defined, changed, dropped; DO.

use std::sync::Arc;

use driftdb_query::{
    Language, Need, Object, ObjectKind, Result, Routine, RoutineCall, RoutineColumn,
    RoutineStatement, SqlError, routine_signature,
};
use driftdb_tables::{Thing, create_object, drop_all, replace_object};
use driftdb_types::{DataType, SqlState};

use super::ddl::{context, notice, tell_cascade};
use super::{CommandTag, Outcome};
use crate::context::Run;

pub(crate) fn run(statement: &RoutineStatement, run: &mut Run<'_, '_>) -> Result<Outcome> {
    let command = match statement {
        RoutineStatement::Create { schema, name, routine, replace } => {
            create(schema, name, routine, *replace, run)?;
            if routine.is_procedure { "CREATE PROCEDURE" } else { "CREATE FUNCTION" }
        }
        RoutineStatement::Drop { objects, notices, cascade, command } => {
            for message in notices {
                notice(message.clone(), SqlState::SuccessfulCompletion, run);
            }
            let going: Vec<Thing> = objects.iter().map(|object| Thing::Object(object.id)).collect();
            if !going.is_empty() {
                let dropped = drop_all(&mut context(run), &going, *cascade)?;
                tell_cascade(&dropped, run);
            }
            command
        }
        RoutineStatement::Alter { object, changed, command } => {
            alter(object, changed, run)?;
            command
        }
        RoutineStatement::CreateTrigger { table, name, trigger, replace } => {
            driftdb_tables::create_trigger(&mut context(run), table, name, trigger, *replace)?;
            "CREATE TRIGGER"
        }
        RoutineStatement::EnableTriggers { table, triggers, enabled } => {
            driftdb_tables::enable_triggers(&mut context(run), table, triggers, *enabled)?;
            "ALTER TABLE"
        }
        RoutineStatement::Do { language, body } => {
            block(*language, body, run)?;
            "DO"
        }
        RoutineStatement::Call { .. } => return Err(SqlError::internal("CALL has a plan")),
    };
    Ok(Outcome::tag(CommandTag::plain(command)))
}

fn block(language: Language, body: &str, run: &mut Run<'_, '_>) -> Result<()> {
    let routines = run.cx.routines;
    routines.block(language, body, run.cx)
}

/// A name that is taken by another kind or by something with another result.
fn cannot_change(before: &Routine, after: &Routine, signature: &str) -> Option<SqlError> {
    let state = SqlState::InvalidFunctionDefinition;
    if before.is_procedure != after.is_procedure {
        let error = SqlError::new(SqlState::WrongObjectType, "cannot change routine kind");
        let word = before.word();
        return Some(error.with_detail(format!("\"{signature}\" is a {word}.")));
    }
    let hint = format!("Use DROP {} {signature} first.", before.word().to_uppercase());
    if before.given != after.given || before.is_set != after.is_set {
        let message = "cannot change return type of existing function";
        return Some(SqlError::new(state, message).with_hint(hint));
    }
    let outputs = |routine: &Routine| -> Vec<(String, DataType)> {
        routine.outputs().map(|output| (output.name.clone(), output.ty)).collect()
    };
    if outputs(before) != outputs(after) {
        let message = "cannot change return type of existing function";
        return Some(
            SqlError::new(state, message)
                .with_detail("Row type defined by OUT parameters is different.")
                .with_hint(hint),
        );
    }
    for (old, new) in before.inputs().zip(after.inputs()) {
        if !old.name.is_empty() && old.name != new.name {
            let message = format!("cannot change name of input parameter \"{}\"", old.name);
            return Some(SqlError::new(state, message).with_hint(hint));
        }
        if old.default.is_some() && new.default.is_none() {
            let message = "cannot remove parameter defaults from existing function";
            return Some(SqlError::new(state, message).with_hint(hint));
        }
    }
    None
}

/// What a function needs.
fn needs(routine: &Routine) -> Vec<Need> {
    match routine.given {
        driftdb_query::Given::RowOf(table) => vec![Need::of(table.0)],
        _ => Vec::new(),
    }
}

fn create(
    schema: &str,
    name: &str,
    routine: &Routine,
    replace: bool,
    run: &mut Run<'_, '_>,
) -> Result<()> {
    let signature = routine_signature(name, &routine.input_types());
    let kind = ObjectKind::Routine(Box::new(routine.clone()));
    let needs = needs(routine);
    let created =
        create_object(&mut context(run), (schema, name), kind.clone(), needs.clone(), replace)?;
    let object = match created {
        Some(object) => object,
        None => {
            let at = driftdb_concurrency::ReadAt::Newest;
            let wanted = kind.signature();
            let found = driftdb_tables::objects(run.cx.txn, at)?.into_iter().find(|object| {
                object.name == name
                    && object.schema == schema
                    && matches!(object.kind, ObjectKind::Routine(_))
                    && object.kind.signature() == wanted
            });
            let Some(found) = found else {
                return Err(SqlError::internal("a name without an object"));
            };
            if let ObjectKind::Routine(before) = &found.kind
                && let Some(error) = cannot_change(before, routine, &signature)
            {
                return Err(error);
            }
            replace_object(&mut context(run), found.id, |object| {
                object.kind = kind;
                object.needs = needs;
                Ok(())
            })?
        }
    };
    check(&object, routine, run)
}

/// Looks at the body.
fn check(object: &Arc<Object>, routine: &Routine, run: &mut Run<'_, '_>) -> Result<()> {
    let columns = routine.outputs().map(|output| RoutineColumn {
        name: output.name.clone(),
        ty: output.ty,
        typmod: -1,
    });
    let mut columns: Vec<RoutineColumn> = columns.collect();
    let mut is_row = columns.len() > 1 || routine.given == driftdb_query::Given::Record;
    if let (true, driftdb_query::Given::Value(ty)) = (columns.is_empty(), routine.given) {
        match ty.fields() {
            Some(fields) => {
                is_row = true;
                columns.extend(fields.iter().map(RoutineColumn::of));
            }
            None => columns.push(RoutineColumn { name: object.name.clone(), ty, typmod: -1 }),
        }
    }
    let call = RoutineCall {
        object: Arc::clone(object),
        arg_types: routine.input_types(),
        columns,
        is_row,
        whole: None,
    };
    let routines = run.cx.routines;
    routines.check(&call, run.cx)
}

fn alter(object: &Object, changed: &Object, run: &mut Run<'_, '_>) -> Result<()> {
    let mut cx = context(run);
    if object.name != changed.name || object.schema != changed.schema {
        driftdb_tables::rename_object(&mut cx, object.id, (&changed.schema, &changed.name))?;
    }
    if object.kind != changed.kind {
        replace_object(&mut cx, object.id, |stored| {
            stored.kind = changed.kind.clone();
            Ok(())
        })?;
    }
    Ok(())
}
