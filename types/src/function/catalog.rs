//! Functions of the catalog: what objects are called and how they are defined.
//!
//! Those that need the catalog ask the session ([`CatalogQuestion`]), which answers as of the time of the
//! statement. Where PostgreSQL keeps trees of expressions the catalog here keeps text, which
//! `pg_get_expr` gives as it is.

use super::table::Builder;
use super::{Function, Kernel, arg};
use crate::DataType::{
    self, Array, Bool, Char, Int2, Int4, Int8, Name, Numeric, Oid, Regclass, Regnamespace, Regproc,
    Regprocedure, Regrole, Regtype, Text,
};
use crate::actions::CatalogQuestion;
use crate::{Element, EvalContext, Value, ValueError, type_name_with_typmod};

/// A kernel that asks the session.
macro_rules! ask {
    ($($question:tt)+) => {
        Kernel::Values(|args, ctx| ctx.actions.ask(CatalogQuestion::$($question)+, args))
    };
}

/// The encoding of every database, as PostgreSQL numbers it.
const UTF8: i32 = 6;

/// Functions whose answer depends on the catalog.
const ASKING: &[(&str, &[&[DataType]], DataType, Kernel)] = &[
    ("current_schema", &[&[]], Name, ask!(CurrentSchema)),
    ("pg_my_temp_schema", &[&[]], Oid, ask!(TemporarySchema)),
    ("pg_is_other_temp_schema", &[&[Oid]], Bool, ask!(IsOtherTemporarySchema)),
    ("current_schemas", &[&[Bool]], Array(Element::Name), ask!(CurrentSchemas)),
    ("pg_table_is_visible", &[&[Oid]], Bool, ask!(TableIsVisible)),
    ("pg_type_is_visible", &[&[Oid]], Bool, ask!(TypeIsVisible)),
    ("pg_function_is_visible", &[&[Oid]], Bool, ask!(FunctionIsVisible)),
    ("pg_operator_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_opclass_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_opfamily_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_collation_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_conversion_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_statistics_obj_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_ts_config_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_ts_dict_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_ts_parser_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_ts_template_is_visible", &[&[Oid]], Bool, ask!(OtherIsVisible)),
    ("pg_get_constraintdef", &[&[Oid], &[Oid, Bool]], Text, ask!(ConstraintDefinition)),
    ("pg_get_expr", &[&[Text, Oid], &[Text, Oid, Bool]], Text, ask!(Expression)),
    ("pg_get_indexdef", &[&[Oid], &[Oid, Int4, Bool]], Text, ask!(IndexDefinition)),
    (
        "pg_get_viewdef",
        &[&[Oid], &[Oid, Bool], &[Oid, Int4], &[Text], &[Text, Bool]],
        Text,
        ask!(ViewDefinition),
    ),
    ("pg_get_function_arguments", &[&[Oid]], Text, ask!(FunctionArguments)),
    (
        "pg_get_function_identity_arguments",
        &[&[Oid]],
        Text,
        Kernel::Values(|args, ctx| {
            let args = [args[0].clone(), Value::Bool(false)];
            ctx.actions.ask(CatalogQuestion::FunctionArguments, &args)
        }),
    ),
    ("pg_get_function_result", &[&[Oid]], Text, ask!(FunctionResult)),
    ("pg_get_functiondef", &[&[Oid]], Text, ask!(FunctionDefinition)),
    ("pg_get_triggerdef", &[&[Oid], &[Oid, Bool]], Text, ask!(TriggerDefinition)),
    ("pg_get_userbyid", &[&[Oid]], Name, ask!(UserName)),
    ("obj_description", &[&[Oid], &[Oid, Name]], Text, ask!(Description)),
    ("pg_relation_is_updatable", &[&[Regclass, Bool]], Int4, ask!(IsUpdatable)),
    ("col_description", &[&[Oid, Int4]], Text, ask!(ColumnDescription)),
    ("pg_relation_is_publishable", &[&[Regclass]], Bool, ask!(IsPublishable)),
    ("pg_get_serial_sequence", &[&[Text, Text]], Text, ask!(SerialSequence)),
    ("acldefault", &[&[Char, Oid]], Array(Element::Text), ask!(DefaultPrivileges)),
    (
        "has_column_privilege",
        &[
            &[Text, Text, Text],
            &[Text, Int2, Text],
            &[Oid, Text, Text],
            &[Oid, Int2, Text],
            &[Name, Text, Text, Text],
            &[Name, Text, Int2, Text],
            &[Name, Oid, Text, Text],
            &[Name, Oid, Int2, Text],
            &[Oid, Text, Text, Text],
            &[Oid, Text, Int2, Text],
            &[Oid, Oid, Text, Text],
            &[Oid, Oid, Int2, Text],
        ],
        Bool,
        ask!(ColumnPrivilege),
    ),
    ("to_regclass", &[&[Text]], Regclass, ask!(Find(Regclass))),
    ("to_regtype", &[&[Text]], Regtype, ask!(Find(Regtype))),
    ("to_regproc", &[&[Text]], Regproc, ask!(Find(Regproc))),
    ("to_regprocedure", &[&[Text]], Regprocedure, ask!(Find(Regprocedure))),
    ("to_regnamespace", &[&[Text]], Regnamespace, ask!(Find(Regnamespace))),
    ("to_regrole", &[&[Text]], Regrole, ask!(Find(Regrole))),
];

/// The kinds of object that functions ask privileges of, after `has_`.
const PRIVILEGES: &[(&str, Kernel)] = &[
    ("has_table_privilege", ask!(TablePrivilege)),
    ("has_any_column_privilege", ask!(AnyColumnPrivilege)),
    ("has_sequence_privilege", ask!(SequencePrivilege)),
    ("has_schema_privilege", ask!(SchemaPrivilege)),
    ("has_database_privilege", ask!(DatabasePrivilege)),
    ("has_function_privilege", ask!(FunctionPrivilege)),
    ("has_language_privilege", ask!(LanguagePrivilege)),
    ("has_tablespace_privilege", ask!(TablespacePrivilege)),
    ("has_type_privilege", ask!(TypePrivilege)),
    ("pg_has_role", ask!(HasRole)),
];

/// Of objects that this build does not have: what is said of any of them.
const ABSENT: &[(&str, &[&[DataType]])] = &[
    ("pg_get_ruledef", &[&[Oid], &[Oid, Bool]]),
    ("pg_get_statisticsobjdef", &[&[Oid]]),
    ("pg_get_statisticsobjdef_columns", &[&[Oid]]),
    ("pg_get_partkeydef", &[&[Oid]]),
    ("pg_get_function_sqlbody", &[&[Oid]]),
    ("pg_get_function_arg_default", &[&[Oid, Int4]]),
    ("shobj_description", &[&[Oid, Name]]),
];

/// Whether a function asks the catalog.
pub fn asks_catalog(function: &Function) -> bool {
    ASKING.iter().any(|entry| entry.0 == function.name)
        || function.name == "format_type"
        || PRIVILEGES.iter().any(|entry| entry.0 == function.name)
        || super::sequence::is_of_sequences(function.name)
}

/// `format_type`
fn format_type(args: &[Value], ctx: &EvalContext) -> Result<Value, ValueError> {
    let oid = match &args[0] {
        Value::Null => return Ok(Value::Null),
        oid => oid.as_int().unwrap_or_default() as u32,
    };
    if oid == 0 {
        return Ok(Value::text("-"));
    }
    let Some(ty) = DataType::from_oid(oid) else {
        // A user's, which has no modifier, or nobody's.
        let name = ctx.actions.ask(CatalogQuestion::Name(Regtype), &[Value::Oid(oid)])?;
        return Ok(if name.is_null() { Value::text("???") } else { name });
    };
    // Without any modifier it is the type by itself, with -1 a column's type: bpchar.
    Ok(Value::text(match &args[1] {
        Value::Null => ty.sql_name().to_owned(),
        typmod => type_name_with_typmod(ty, typmod.as_int().unwrap_or(-1) as i32),
    }))
}

/// `pg_size_pretty`: the largest unit in which it is at least ten.
fn size_pretty(mut size: i128) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    if size.abs() < 10 * 1024 {
        return format!("{size} bytes");
    }
    // Halves are kept until the end, so that they are rounded once.
    size /= 512;
    let mut unit = 1;
    while unit + 1 < UNITS.len() && size.abs() >= 2 * 10 * 1024 - 1 {
        size /= 1024;
        unit += 1;
    }
    let rounded = if size < 0 { (size - 1) / 2 } else { (size + 1) / 2 };
    format!("{rounded} {}", UNITS[unit])
}

pub(super) fn add(t: &mut Builder) {
    for (name, signatures, result, kernel) in ASKING {
        signatures.iter().for_each(|args| t.stable(name, args, *result, *kernel));
    }
    for (name, kernel) in PRIVILEGES {
        const BY: &[&[DataType]] = &[
            &[Text, Text],
            &[Oid, Text],
            &[Name, Text, Text],
            &[Name, Oid, Text],
            &[Oid, Text, Text],
            &[Oid, Oid, Text],
        ];
        BY.iter().for_each(|args| t.stable(name, args, Bool, *kernel));
    }
    for (name, signatures) in ABSENT {
        let nothing = Kernel::Values(|_, _| Ok(Value::Null));
        signatures.iter().for_each(|args| t.stable(name, args, Text, nothing));
    }
    // Engines keep tables together and know the size of none; nobody counts scans.
    let unknown = Kernel::Values(|_, _| Ok(Value::Null));
    for name in ["pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size"] {
        t.stable(name, &[Regclass], Int8, unknown);
    }
    t.stable("pg_relation_size", &[Regclass, Text], Int8, unknown);
    t.stable("pg_stat_get_numscans", &[Oid], Int8, unknown);
    for name in ["pg_database_size", "pg_tablespace_size"] {
        t.stable(name, &[Oid], Int8, unknown);
        t.stable(name, &[Name], Int8, unknown);
    }
    // The tablespaces are the data directory.
    let inside = Kernel::Values(|_, _| Ok(Value::text("")));
    t.stable("pg_tablespace_location", &[Oid], Text, inside);
    let format = t.add("format_type", &[Oid, Int4], Text, Kernel::Values(format_type));
    format.strict = false;
    t.add("pg_encoding_to_char", &[Int4], Name, {
        Kernel::Values(|args, _| {
            Ok(Value::text(if args[0] == Value::Int4(UTF8) { "UTF8" } else { "" }))
        })
    });
    t.add("pg_char_to_encoding", &[Name], Int4, {
        Kernel::Values(|args, _| {
            let name = arg::text(args, 0)?.to_ascii_lowercase().replace('-', "");
            Ok(Value::Int4(if matches!(&*name, "utf8" | "unicode") { UTF8 } else { -1 }))
        })
    });
    for name in ["getdatabaseencoding", "pg_client_encoding"] {
        t.stable(name, &[], Name, Kernel::Values(|_, _| Ok(Value::text("UTF8"))));
    }
    t.stable("pg_is_in_recovery", &[], Bool, Kernel::Values(|_, _| Ok(Value::Bool(false))));
    t.add("pg_size_pretty", &[Int8], Text, {
        Kernel::Values(|args, _| Ok(Value::text(size_pretty(arg::int(args, 0)?.into()))))
    });
    t.add("pg_size_pretty", &[Numeric], Text, {
        Kernel::Values(|args, _| {
            let size = arg::numeric(args, 0)?.to_f64();
            Ok(Value::text(size_pretty(size as i128)))
        })
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{function, resolve_function};

    #[test]
    fn types_are_formatted_as_in_postgres() {
        let format = |oid: u32, typmod: Value| match format_type(
            &[Value::Oid(oid), typmod],
            &EvalContext::default(),
        )
        .unwrap()
        {
            Value::Text(text) => text.into_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(format(1043, Value::Int4(14)), "character varying(10)");
        assert_eq!(format(1042, Value::Null), "character");
        assert_eq!(format(1042, Value::Int4(-1)), "bpchar");
        assert_eq!(format(1700, Value::Int4(655_366)), "numeric(10,2)");
        assert_eq!(format(0, Value::Null), "-");
    }

    #[test]
    fn sizes_are_pretty_as_in_postgres() {
        let all = [
            (0, "0 bytes"),
            (10_239, "10239 bytes"),
            (10_240, "10 kB"),
            (10_485_247, "10239 kB"),
            (10_485_248, "10 MB"),
            (-10_240, "-10 kB"),
            (1 << 40, "1024 GB"),
        ];
        for (size, text) in all {
            assert_eq!(size_pretty(size), text);
        }
    }

    #[test]
    fn without_a_session_nobody_answers() {
        let resolved = resolve_function("pg_table_is_visible", &[Oid]).unwrap();
        let visible = function(resolved.id);
        assert!(asks_catalog(visible));
        let error = visible.eval(&[Value::Oid(1)], &EvalContext::default()).unwrap_err();
        assert_eq!(error.state.code(), "0A000");
    }
}
