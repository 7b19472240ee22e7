//! Functions and triggers of users as text: `pg_get_functiondef` and its kin (ruleutils.c).

use driftdb_query::{
    Argument, ArgumentMode, Deferral, Given, Language, Object, ObjectKind, Routine, Trigger,
    TriggerTime,
};
use driftdb_types::{DataType, Volatility};

use super::definition::{self, quoted};
use crate::session::system::Definitions;

/// A function by its identifier.
pub(in crate::session) fn routine(
    definitions: &Definitions,
    oid: u32,
) -> Option<(&Object, &Routine)> {
    definitions.objects.iter().find_map(|object| match &object.kind {
        ObjectKind::Routine(routine) if object.id.0 == oid => Some((&**object, &**routine)),
        _ => None,
    })
}

/// How a type is named where the text is asked for.
type TypeNames<'a> = &'a dyn Fn(DataType) -> String;

fn argument(
    argument: &Argument,
    with_default: bool,
    is_procedure: bool,
    type_name: TypeNames<'_>,
) -> String {
    let mode = match argument.mode {
        ArgumentMode::In if is_procedure => "IN ",
        ArgumentMode::In | ArgumentMode::Table => "",
        ArgumentMode::Out => "OUT ",
        ArgumentMode::InOut => "INOUT ",
        ArgumentMode::Variadic => "VARIADIC ",
    };
    let name = if argument.name.is_empty() {
        String::new()
    } else {
        format!("{} ", quoted(&argument.name))
    };
    let default = match &argument.default {
        Some(default) if with_default => format!(" DEFAULT {default}"),
        _ => String::new(),
    };
    format!("{mode}{name}{}{default}", type_name(argument.ty))
}

/// The arguments as CREATE FUNCTION takes them.
pub(super) fn arguments(
    routine: &Routine,
    with_defaults: bool,
    type_name: TypeNames<'_>,
) -> String {
    let listed = routine.arguments.iter().filter(|one| one.mode != ArgumentMode::Table);
    let list: Vec<String> =
        listed.map(|one| argument(one, with_defaults, routine.is_procedure, type_name)).collect();
    list.join(", ")
}

/// The result, after RETURNS; `None` of a procedure.
pub(super) fn result(
    routine: &Routine,
    definitions: &Definitions,
    type_name: TypeNames<'_>,
) -> Option<String> {
    if routine.is_procedure {
        return None;
    }
    let table: Vec<String> = routine
        .arguments
        .iter()
        .filter(|one| one.mode == ArgumentMode::Table)
        .map(|one| argument(one, false, false, type_name))
        .collect();
    if !table.is_empty() {
        return Some(format!("TABLE({})", table.join(", ")));
    }
    let given = match routine.given {
        Given::Value(ty) => type_name(ty),
        Given::RowOf(id) => {
            let ty = definitions.data_type(driftdb_query::row_type_oid(id.0));
            ty.map_or_else(|| id.0.to_string(), type_name)
        }
        Given::Record => "record".to_owned(),
        Given::Void => "void".to_owned(),
        Given::Trigger => "trigger".to_owned(),
    };
    Some(if routine.is_set { format!("SETOF {given}") } else { given })
}

/// CREATE OR REPLACE FUNCTION.
pub(super) fn function(
    object: &Object,
    routine: &Routine,
    definitions: &Definitions,
    type_name: TypeNames<'_>,
) -> String {
    let word = routine.word().to_uppercase();
    let mut out = format!(
        "CREATE OR REPLACE {word} {}.{}({})\n",
        quoted(&object.schema),
        quoted(&object.name),
        arguments(routine, true, type_name)
    );
    if let Some(result) = result(routine, definitions, type_name) {
        out.push_str(&format!(" RETURNS {result}\n"));
    }
    out.push_str(&format!(" LANGUAGE {}\n", routine.language.name()));
    let mut words = Vec::new();
    match routine.volatility {
        Volatility::Immutable => words.push("IMMUTABLE".to_owned()),
        Volatility::Stable => words.push("STABLE".to_owned()),
        Volatility::Volatile => {}
    }
    match routine.parallel {
        's' => words.push("PARALLEL SAFE".to_owned()),
        'r' => words.push("PARALLEL RESTRICTED".to_owned()),
        _ => {}
    }
    for (is_so, text) in [
        (routine.is_strict, "STRICT"),
        (routine.is_definer, "SECURITY DEFINER"),
        (routine.is_leakproof, "LEAKPROOF"),
    ] {
        if is_so {
            words.push(text.to_owned());
        }
    }
    words.extend(routine.cost.iter().map(|cost| format!("COST {cost}")));
    words.extend(routine.rows.iter().map(|rows| format!("ROWS {rows}")));
    if !words.is_empty() {
        out.push_str(&format!(" {}\n", words.join(" ")));
    }
    for (name, value) in &routine.settings {
        let values = if is_list(name) { value.split(", ").collect() } else { vec![&**value] };
        let values = values.into_iter().map(|value| format!("'{}'", value.replace('\'', "''")));
        out.push_str(&format!(" SET {name} TO {}\n", values.collect::<Vec<_>>().join(", ")));
    }
    if routine.is_sql_body && routine.language == Language::Sql {
        out.push_str(&format!("BEGIN ATOMIC\n {}\nEND\n", routine.body.trim_end_matches(';')));
        return out;
    }
    let tag = if routine.is_procedure { "$procedure$" } else { "$function$" };
    out.push_str(&format!("AS {tag}{}{tag}\n", routine.body));
    out
}

/// Whether a setting is a list of names.
fn is_list(name: &str) -> bool {
    matches!(
        name,
        "search_path"
            | "temp_tablespaces"
            | "local_preload_libraries"
            | "session_preload_libraries"
            | "shared_preload_libraries"
    )
}

/// What a function sets, as `pg_proc.proconfig` has it.
pub(in crate::session) fn setting(name: &str, value: &str) -> String {
    if !is_list(name) {
        return format!("{name}={value}");
    }
    let names: Vec<String> = value.split(", ").map(quoted).collect();
    format!("{name}={}", names.join(", "))
}

/// A trigger by its identifier.
fn trigger_named(definitions: &Definitions, oid: u32) -> Option<(&Object, &Trigger)> {
    definitions.objects.iter().find_map(|object| match &object.kind {
        ObjectKind::Trigger(trigger) if object.id.0 == oid => Some((&**object, &**trigger)),
        _ => None,
    })
}

/// CREATE TRIGGER.
pub(super) fn trigger(definitions: &Definitions, oid: u32, pretty: bool) -> Option<String> {
    let (object, trigger) = trigger_named(definitions, oid)?;
    let table = definitions.table(trigger.table.0)?;
    let (function, _) = routine(definitions, trigger.function.0)?;
    let time = match trigger.time {
        TriggerTime::Before => "BEFORE",
        TriggerTime::After => "AFTER",
        TriggerTime::InsteadOf => "INSTEAD OF",
    };
    let mut events = Vec::new();
    if trigger.events.insert {
        events.push("INSERT".to_owned());
    }
    if trigger.events.delete {
        events.push("DELETE".to_owned());
    }
    if trigger.events.update {
        let names = trigger
            .columns
            .iter()
            .filter_map(|id| table.position(*id).map(|at| quoted(&table.columns[at].name)));
        let names: Vec<String> = names.collect();
        events.push(if names.is_empty() {
            "UPDATE".to_owned()
        } else {
            format!("UPDATE OF {}", names.join(", "))
        });
    }
    if trigger.events.truncate {
        events.push("TRUNCATE".to_owned());
    }
    let qualified = |schema: &str, name: &str| {
        if pretty { quoted(name) } else { format!("{}.{}", quoted(schema), quoted(name)) }
    };
    let mut out = format!(
        "CREATE {}TRIGGER {} {time} {} ON {} ",
        if trigger.constraint.is_some() { "CONSTRAINT " } else { "" },
        quoted(&object.name),
        events.join(" OR "),
        qualified(&table.schema, &table.name)
    );
    match trigger.constraint {
        Some(Deferral::Never) => out.push_str("NOT DEFERRABLE INITIALLY IMMEDIATE "),
        Some(Deferral::Immediate) => out.push_str("DEFERRABLE INITIALLY IMMEDIATE "),
        Some(Deferral::Deferred) => out.push_str("DEFERRABLE INITIALLY DEFERRED "),
        None => {}
    }
    out.push_str(if trigger.is_row { "FOR EACH ROW " } else { "FOR EACH STATEMENT " });
    if let Some(condition) = &trigger.condition {
        let shown = definition::trigger_condition(definitions, table, trigger, condition, pretty);
        out.push_str(&format!("WHEN ({shown}) "));
    }
    let arguments: Vec<String> =
        trigger.arguments.iter().map(|text| format!("'{}'", text.replace('\'', "''"))).collect();
    let function = if function.schema == "public" {
        quoted(&function.name)
    } else {
        qualified(&function.schema, &function.name)
    };
    out.push_str(&format!("EXECUTE FUNCTION {function}({})", arguments.join(", ")));
    Some(out)
}
