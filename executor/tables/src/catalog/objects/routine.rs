//! Functions and triggers as bytes.

use driftdb_query::{
    Argument, ArgumentMode, ColumnId, Deferral, Given, Language, ObjectId, Routine, TableId,
    Trigger, TriggerEvents, TriggerTime,
};
use driftdb_types::Volatility;

use crate::catalog::codec::{Input, number, text};

fn optional(out: &mut Vec<u8>, value: Option<&str>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        text(out, value);
    }
}

fn bits(flags: &[bool]) -> u8 {
    flags.iter().enumerate().map(|(at, flag)| u8::from(*flag) << at).sum()
}

pub(super) fn encode_routine(out: &mut Vec<u8>, routine: &Routine) {
    out.push(bits(&[
        routine.is_procedure,
        routine.is_set,
        routine.is_sql_body,
        routine.is_strict,
        routine.is_definer,
        routine.is_leakproof,
    ]));
    out.push(match routine.language {
        Language::Sql => 0,
        Language::Plpgsql => 1,
    });
    out.push(match routine.volatility {
        Volatility::Immutable => 0,
        Volatility::Stable => 1,
        Volatility::Volatile => 2,
    });
    out.push(routine.parallel as u8);
    number(out, routine.arguments.len() as u32);
    for argument in &routine.arguments {
        text(out, &argument.name);
        out.push(match argument.mode {
            ArgumentMode::In => 0,
            ArgumentMode::Out => 1,
            ArgumentMode::InOut => 2,
            ArgumentMode::Variadic => 3,
            ArgumentMode::Table => 4,
        });
        number(out, argument.ty.oid());
        optional(out, argument.default.as_deref());
    }
    let (code, id) = match routine.given {
        Given::Value(ty) => (0, ty.oid()),
        Given::RowOf(table) => (1, table.0),
        Given::Record => (2, 0),
        Given::Void => (3, 0),
        Given::Trigger => (4, 0),
    };
    out.push(code);
    number(out, id);
    text(out, &routine.body);
    optional(out, routine.cost.as_deref());
    optional(out, routine.rows.as_deref());
    number(out, routine.settings.len() as u32);
    for (name, value) in &routine.settings {
        text(out, name);
        text(out, value);
    }
}

pub(super) fn routine(input: &mut Input<'_>) -> Option<Routine> {
    let flags = input.byte()?;
    let flag = |at: u8| flags & (1 << at) != 0;
    let language = match input.byte()? {
        0 => Language::Sql,
        1 => Language::Plpgsql,
        _ => return None,
    };
    let volatility = match input.byte()? {
        0 => Volatility::Immutable,
        1 => Volatility::Stable,
        2 => Volatility::Volatile,
        _ => return None,
    };
    let parallel = char::from(input.byte()?);
    Some(Routine {
        is_procedure: flag(0),
        is_set: flag(1),
        is_sql_body: flag(2),
        is_strict: flag(3),
        is_definer: flag(4),
        is_leakproof: flag(5),
        language,
        volatility,
        parallel,
        arguments: input.list(argument)?,
        given: given(input)?,
        body: input.text()?,
        cost: input.optional(Input::text)?,
        rows: input.optional(Input::text)?,
        settings: input.list(|input| Some((input.text()?, input.text()?)))?,
    })
}

fn argument(input: &mut Input<'_>) -> Option<Argument> {
    let name = input.text()?;
    let mode = match input.byte()? {
        0 => ArgumentMode::In,
        1 => ArgumentMode::Out,
        2 => ArgumentMode::InOut,
        3 => ArgumentMode::Variadic,
        4 => ArgumentMode::Table,
        _ => return None,
    };
    let ty = input.data_type()?;
    Some(Argument { name, mode, ty, default: input.optional(Input::text)? })
}

fn given(input: &mut Input<'_>) -> Option<Given> {
    let code = input.byte()?;
    if code == 0 {
        return Some(Given::Value(input.data_type()?));
    }
    let id = input.number()?;
    Some(match code {
        1 => Given::RowOf(TableId(id)),
        2 => Given::Record,
        3 => Given::Void,
        4 => Given::Trigger,
        _ => return None,
    })
}

pub(super) fn encode_trigger(out: &mut Vec<u8>, trigger: &Trigger) {
    number(out, trigger.table.0);
    number(out, trigger.function.0);
    out.push(match trigger.time {
        TriggerTime::Before => 0,
        TriggerTime::After => 1,
        TriggerTime::InsteadOf => 2,
    });
    let events = trigger.events;
    let flags = [events.insert, events.update, events.delete, events.truncate, trigger.is_row];
    out.push(bits(&flags));
    number(out, trigger.columns.len() as u32);
    trigger.columns.iter().for_each(|id| number(out, u32::from(id.0)));
    optional(out, trigger.condition.as_deref());
    number(out, trigger.arguments.len() as u32);
    trigger.arguments.iter().for_each(|argument| text(out, argument));
    optional(out, trigger.old_table.as_deref());
    optional(out, trigger.new_table.as_deref());
    out.push(trigger.enabled as u8);
    out.push(match trigger.constraint {
        None => 0,
        Some(Deferral::Never) => 1,
        Some(Deferral::Immediate) => 2,
        Some(Deferral::Deferred) => 3,
    });
}

pub(super) fn trigger(input: &mut Input<'_>) -> Option<Trigger> {
    let table = TableId(input.number()?);
    let function = ObjectId(input.number()?);
    let time = match input.byte()? {
        0 => TriggerTime::Before,
        1 => TriggerTime::After,
        2 => TriggerTime::InsteadOf,
        _ => return None,
    };
    let flags = input.byte()?;
    let flag = |at: u8| flags & (1 << at) != 0;
    let events =
        TriggerEvents { insert: flag(0), update: flag(1), delete: flag(2), truncate: flag(3) };
    Some(Trigger {
        table,
        function,
        time,
        events,
        is_row: flag(4),
        columns: input.list(|input| Some(ColumnId(u16::try_from(input.number()?).ok()?)))?,
        condition: input.optional(Input::text)?,
        arguments: input.list(Input::text)?,
        old_table: input.optional(Input::text)?,
        new_table: input.optional(Input::text)?,
        enabled: char::from(input.byte()?),
        constraint: match input.byte()? {
            0 => None,
            1 => Some(Deferral::Never),
            2 => Some(Deferral::Immediate),
            3 => Some(Deferral::Deferred),
            _ => return None,
        },
    })
}

/// One of each, for tests.
#[cfg(test)]
pub(super) fn samples() -> (Routine, Trigger) {
    let argument = |name: &str, mode, default: Option<&str>| Argument {
        name: name.into(),
        mode,
        ty: driftdb_types::DataType::Int4,
        default: default.map(str::to_owned),
    };
    let routine = Routine {
        is_procedure: false,
        language: Language::Plpgsql,
        arguments: vec![
            argument("a", ArgumentMode::In, None),
            argument("", ArgumentMode::InOut, Some("1 + 1")),
        ],
        given: Given::RowOf(TableId(16_390)),
        is_set: true,
        body: "BEGIN END".into(),
        is_sql_body: false,
        volatility: Volatility::Stable,
        is_strict: true,
        is_definer: false,
        is_leakproof: true,
        parallel: 's',
        cost: Some("10".into()),
        rows: None,
        settings: vec![("search_path".into(), "public".into())],
    };
    let trigger = Trigger {
        table: TableId(16_390),
        function: ObjectId(16_400),
        time: TriggerTime::After,
        events: TriggerEvents { insert: true, update: true, delete: false, truncate: false },
        columns: vec![ColumnId(2)],
        is_row: true,
        condition: Some("new.a > 1".into()),
        arguments: vec!["x".into(), String::new()],
        old_table: Some("o".into()),
        new_table: None,
        enabled: 'O',
        constraint: Some(Deferral::Deferred),
    };
    (routine, trigger)
}
