//! pg_proc and pg_trigger: users' functions and triggers.

use driftdb_query::{
    ArgumentMode, Deferral, Given, Language, ObjectKind, Result, Routine, Securable, Subject,
    TriggerTime,
};
use driftdb_types::{Array, DataType, Element, Value, Volatility};

use super::super::super::ask::setting;
use super::super::rows::{Rows, vector};
use super::{Definitions, small};

fn letter(letter: char) -> Value {
    Value::Char(letter as u8)
}

fn array(element: Element, values: Vec<Value>) -> Result<Value> {
    Ok(Value::array(Array::from_values(element.data_type(), values)?))
}

/// pg_proc.prorettype
fn result_oid(given: &Given) -> u32 {
    match given {
        Given::Value(ty) => ty.oid(),
        Given::RowOf(_) | Given::Record => 2249,
        Given::Void => DataType::Void.oid(),
        Given::Trigger => 2279,
    }
}

pub(super) fn functions(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "oid",
        "proname",
        "pronamespace",
        "prolang",
        "provariadic",
        "prokind",
        "prosecdef",
        "proleakproof",
        "proisstrict",
        "proretset",
        "provolatile",
        "proparallel",
        "pronargs",
        "pronargdefaults",
        "prorettype",
        "proargtypes",
        "proallargtypes",
        "proargmodes",
        "proargnames",
        "prosrc",
        "procost",
        "prorows",
        "proowner",
        "proacl",
        "proconfig",
    ])?;
    for object in &definitions.objects {
        let ObjectKind::Routine(routine) = &object.kind else { continue };
        let inputs: Vec<_> = routine.inputs().collect();
        let all = &routine.arguments;
        let has_modes = all.iter().any(|one| one.mode != ArgumentMode::In);
        let has_names = all.iter().any(|one| !one.name.is_empty());
        let modes = all.iter().map(|one| {
            letter(match one.mode {
                ArgumentMode::In => 'i',
                ArgumentMode::Out => 'o',
                ArgumentMode::InOut => 'b',
                ArgumentMode::Variadic => 'v',
                ArgumentMode::Table => 't',
            })
        });
        let (types, modes) = if has_modes {
            let types = all.iter().map(|one| Value::Oid(one.ty.oid())).collect();
            (array(Element::Oid, types)?, array(Element::Char, modes.collect())?)
        } else {
            (Value::Null, Value::Null)
        };
        let names = if has_names {
            let names = all.iter().map(|one| Value::text(one.name.as_str())).collect();
            array(Element::Text, names)?
        } else {
            Value::Null
        };
        let variadic = inputs.iter().find(|one| one.mode == ArgumentMode::Variadic);
        let variadic = variadic.and_then(|one| one.ty.element()).map_or(0, DataType::oid);
        let number = |text: &Option<String>, otherwise: f64| {
            Value::Float4(
                text.as_ref().and_then(|text| text.parse().ok()).unwrap_or(otherwise) as f32
            )
        };
        columns.add([
            Value::Oid(object.id.0),
            Value::text(object.name.as_str()),
            Value::Oid(definitions.schema_oid(&object.schema)),
            Value::Oid(match routine.language {
                Language::Sql => 14,
                Language::Plpgsql => PLPGSQL,
            }),
            Value::Oid(variadic),
            letter(if routine.is_procedure { 'p' } else { 'f' }),
            Value::Bool(routine.is_definer),
            Value::Bool(routine.is_leakproof),
            Value::Bool(routine.is_strict),
            Value::Bool(routine.is_set),
            letter(match routine.volatility {
                Volatility::Immutable => 'i',
                Volatility::Stable => 's',
                Volatility::Volatile => 'v',
            }),
            letter(routine.parallel),
            small(inputs.len()),
            small(inputs.iter().filter(|one| one.default.is_some()).count()),
            Value::Oid(result_oid(&routine.given)),
            vector(inputs.iter().map(|one| one.ty.oid())),
            types,
            modes,
            names,
            Value::text(routine.body.as_str()),
            number(&routine.cost, 100.0),
            number(&routine.rows, if routine.is_set { 1000.0 } else { 0.0 }),
            definitions.owner_of(Subject::whole(Securable::Routine, object.id.0)),
            definitions.list_of(Subject::whole(Securable::Routine, object.id.0))?,
            settings(routine)?,
        ])?;
    }
    Ok(())
}

/// pg_proc.proconfig
fn settings(routine: &Routine) -> Result<Value> {
    if routine.settings.is_empty() {
        return Ok(Value::Null);
    }
    let settings = routine.settings.iter();
    let settings = settings.map(|(name, value)| Value::text(setting(name, value)));
    array(Element::Text, settings.collect())
}

/// The language's identifier.
const PLPGSQL: u32 = 13_576;

pub(super) fn triggers(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "oid",
        "tgrelid",
        "tgparentid",
        "tgname",
        "tgfoid",
        "tgtype",
        "tgenabled",
        "tgisinternal",
        "tgconstrrelid",
        "tgconstrindid",
        "tgconstraint",
        "tgdeferrable",
        "tginitdeferred",
        "tgnargs",
        "tgattr",
        "tgargs",
    ])?;
    for object in &definitions.objects {
        let ObjectKind::Trigger(trigger) = &object.kind else { continue };
        let events = trigger.events;
        let flags = [
            trigger.is_row,
            trigger.time == TriggerTime::Before,
            events.insert,
            events.delete,
            events.update,
            events.truncate,
            trigger.time == TriggerTime::InsteadOf,
        ];
        let kind: i16 = flags.iter().enumerate().map(|(at, flag)| i16::from(*flag) << at).sum();
        let arguments: Vec<u8> =
            trigger.arguments.iter().flat_map(|text| text.bytes().chain([0])).collect();
        columns.add([
            Value::Oid(object.id.0),
            Value::Oid(trigger.table.0),
            Value::Oid(0),
            Value::text(object.name.as_str()),
            Value::Oid(trigger.function.0),
            Value::Int2(kind),
            letter(trigger.enabled),
            Value::Bool(false),
            Value::Oid(0),
            Value::Oid(0),
            Value::Oid(0),
            Value::Bool(trigger.constraint.is_some_and(|one| one != Deferral::Never)),
            Value::Bool(trigger.constraint == Some(Deferral::Deferred)),
            small(trigger.arguments.len()),
            vector(trigger.columns.iter().map(|id| id.0)),
            Value::Bytea(arguments.into()),
        ])?;
    }
    Ok(())
}
