//! The rows of the catalog that no statement changes: types, operators, casts, functions.
//!
//! `fixed.txt` and `functions.txt` say which identifiers and properties PostgreSQL 15 gives them. Of
//! those only what this build has is shown: types by the types there are, operators and functions by the
//! one table of functions, casts by what can be converted. What this build has beyond PostgreSQL gets an
//! identifier below the first that users' objects have; that holds for a build only.
//!
//! `fixed.txt` has sections: a relation's name and its columns, then rows, cells between tabs.
//! `functions.txt` has a line `oid name result arguments…` for each function, by name.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use driftdb_query::Result;
use driftdb_types::{
    CastContext, DataType, Function, UserKind, Value, Volatility, aggregates, can_cast, functions,
};

use super::rows::{Rows, vector};

const FIXED: &str = include_str!("fixed.txt");
const FUNCTIONS: &str = include_str!("functions.txt");

/// Where identifiers of functions begin that PostgreSQL does not have.
const FIRST_OWN_FUNCTION: u32 = 10_000;

/// One function of `functions.txt`.
#[derive(Debug)]
pub(in crate::session) struct FixedFunction {
    pub(in crate::session) oid: u32,
    pub(in crate::session) name: &'static str,
    pub(in crate::session) result: u32,
    pub(in crate::session) args: Vec<u32>,
}

/// One section of `fixed.txt`.
struct Section {
    columns: Vec<&'static str>,
    rows: Vec<Vec<&'static str>>,
}

impl Section {
    /// A cell of a row by the column's name.
    fn cell(&self, row: &[&'static str], name: &str) -> &'static str {
        let index = self.columns.iter().position(|column| *column == name);
        index.and_then(|index| row.get(index).copied()).unwrap_or_default()
    }

    fn number(&self, row: &[&'static str], name: &str) -> u32 {
        self.cell(row, name).parse().unwrap_or_default()
    }
}

fn sections() -> &'static BTreeMap<&'static str, Section> {
    static SECTIONS: OnceLock<BTreeMap<&'static str, Section>> = OnceLock::new();
    SECTIONS.get_or_init(|| {
        let mut sections: BTreeMap<&'static str, Section> = BTreeMap::new();
        let mut current = "";
        for line in FIXED.lines() {
            if line.starts_with("pg_") {
                let mut words = line.split(' ');
                current = words.next().unwrap_or_default();
                sections.insert(current, Section { columns: words.collect(), rows: Vec::new() });
            } else if let Some(section) = sections.get_mut(current) {
                section.rows.push(line.split('\t').collect());
            }
        }
        sections
    })
}

/// Every function of PostgreSQL that the file names, and those of this build that are its own.
pub(in crate::session) fn fixed_functions() -> &'static [FixedFunction] {
    static ALL: OnceLock<Vec<FixedFunction>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: Vec<FixedFunction> = FUNCTIONS.lines().filter_map(function_line).collect();
        let known = all.len();
        let mut next = FIRST_OWN_FUNCTION;
        for (name, args, result) in own_functions() {
            if !all[..known].iter().any(|known| known.name == name && known.args == args) {
                all.push(FixedFunction { oid: next, name, result, args });
                next += 1;
            }
        }
        all
    })
}

fn function_line(line: &'static str) -> Option<FixedFunction> {
    let mut words = line.split(' ');
    let oid = words.next()?.parse().ok()?;
    let name = words.next()?;
    let result = words.next()?.parse().ok()?;
    let args = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    Some(FixedFunction { oid, name, result, args })
}

/// The oid of a type that PostgreSQL has, by its short name.
pub(in crate::session) fn fixed_type_named(name: &str) -> Option<u32> {
    let types = &sections()["pg_type"];
    let row = types.rows.iter().find(|row| types.cell(row, "typname") == name)?;
    Some(types.number(row, "oid"))
}

/// The short name of a type that PostgreSQL has.
pub(in crate::session) fn fixed_type_name(oid: u32) -> Option<&'static str> {
    let types = &sections()["pg_type"];
    let row = types.rows.iter().find(|row| types.number(row, "oid") == oid)?;
    Some(types.cell(row, "typname"))
}

/// What is said of an object; of which relation, if that is known.
pub(in crate::session) fn fixed_description(oid: u32, class: Option<u32>) -> Option<&'static str> {
    let all = &sections()["pg_description"];
    let row = all.rows.iter().find(|row| {
        all.number(row, "objoid") == oid
            && class.is_none_or(|class| all.number(row, "classoid") == class)
    })?;
    Some(all.cell(row, "description"))
}

/// A function by its oid.
pub(in crate::session) fn fixed_function(oid: u32) -> Option<&'static FixedFunction> {
    fixed_functions().iter().find(|function| function.oid == oid)
}

/// A type in signatures, where `Unknown` stands for any.
fn signature_oid(ty: DataType) -> u32 {
    const ANY: u32 = 2276;
    if ty == DataType::Unknown { ANY } else { ty.oid() }
}

fn function_args(function: &Function) -> Vec<u32> {
    function.args.iter().copied().chain(function.variadic).map(signature_oid).collect()
}

/// Name, arguments and result of the functions and aggregates of this build.
fn own_functions() -> impl Iterator<Item = (&'static str, Vec<u32>, u32)> {
    let plain = functions().filter(|function| !function.is_operator());
    let plain = plain
        .map(|function| (function.name, function_args(function), signature_oid(function.result)));
    let aggregates = aggregates().map(|aggregate| {
        let args = aggregate.args.iter().map(|ty| signature_oid(*ty)).collect();
        (aggregate.name, args, signature_oid(aggregate.result))
    });
    plain.chain(aggregates)
}

fn oid_of(name: &str, args: &[u32]) -> u32 {
    let all = fixed_functions();
    // PostgreSQL's are in order of their names, ours come after them.
    let (known, own) =
        all.split_at(all.partition_point(|function| function.oid < FIRST_OWN_FUNCTION));
    let from = known.partition_point(|function| function.name < name);
    let near = known[from..].iter().take_while(|function| function.name == name);
    near.chain(own)
        .find(|function| function.name == name && function.args == args)
        .map_or(0, |function| function.oid)
}

/// What an attribute takes from its type.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypeFacts {
    pub(super) len: &'static str,
    pub(super) by_value: &'static str,
    pub(super) align: &'static str,
    pub(super) storage: &'static str,
    pub(super) collation: u32,
    /// The operator class of an index on it.
    pub(super) operator_class: u32,
}

/// The facts of every type that this build has.
pub(super) fn type_facts(ty: DataType) -> TypeFacts {
    static FACTS: OnceLock<BTreeMap<u32, TypeFacts>> = OnceLock::new();
    let facts = FACTS.get_or_init(|| {
        let (types, classes) = (&sections()["pg_type"], &sections()["pg_opclass"]);
        let class_of = |oid: u32| {
            let input = match oid {
                1043 => 25,
                _ if types.rows.iter().any(|row| {
                    types.number(row, "oid") == oid && types.cell(row, "typcategory") == "A"
                }) =>
                {
                    2277
                }
                oid => oid,
            };
            let class = classes.rows.iter().find(|row| classes.number(row, "opcintype") == input);
            class.map_or(0, |row| classes.number(row, "oid"))
        };
        let facts = types.rows.iter().map(|row| {
            let oid = types.number(row, "oid");
            let facts = TypeFacts {
                len: types.cell(row, "typlen"),
                by_value: types.cell(row, "typbyval"),
                align: types.cell(row, "typalign"),
                storage: types.cell(row, "typstorage"),
                collation: types.number(row, "typcollation"),
                operator_class: class_of(oid),
            };
            (oid, facts)
        });
        facts.collect()
    });
    if matches!(ty.user().map(|user| &user.definition().kind), Some(UserKind::Enum(_)))
        && ty.element().is_none()
    {
        let (len, by_value, align, storage) = ("4", "t", "i", "p");
        return TypeFacts { len, by_value, align, storage, collation: 0, operator_class: 0 };
    }
    facts.get(&ty.base().oid()).copied().unwrap_or(TypeFacts {
        len: "-1",
        by_value: "f",
        align: "i",
        storage: "x",
        collation: 0,
        operator_class: 0,
    })
}

/// The rows of a relation that is the same at all times; none if nothing is said of it.
pub(super) fn rows(name: &str, rows: &mut Rows<'_>) -> Result<()> {
    match name {
        "pg_proc" => procedures(rows),
        "pg_aggregate" => aggregate_rows(rows),
        _ => {
            let Some(section) = sections().get(name) else { return Ok(()) };
            for row in section.rows.iter().filter(|row| exists(name, section, row)) {
                rows.add_texts(&section.columns, row)?;
            }
            Ok(())
        }
    }
}

/// Whether this build has what a row stands for.
fn exists(name: &str, section: &Section, row: &[&'static str]) -> bool {
    let ty = |column: &str| DataType::from_oid(section.number(row, column));
    match name {
        "pg_type" => ty("oid").is_some(),
        "pg_range" => ty("rngtypid").is_some(),
        "pg_opclass" => ty("opcintype").is_some(),
        "pg_amop" => ty("amoplefttype").is_some() && ty("amoprighttype").is_some(),
        "pg_amproc" => ty("amproclefttype").is_some() && ty("amprocrighttype").is_some(),
        "pg_cast" => {
            let context = match section.cell(row, "castcontext") {
                "i" => CastContext::Implicit,
                "a" => CastContext::Assignment,
                _ => CastContext::Explicit,
            };
            match (ty("castsource"), ty("casttarget")) {
                (Some(from), Some(to)) => can_cast(from, to, context),
                _ => false,
            }
        }
        "pg_operator" => {
            let unary = section.number(row, "oprleft") == 0;
            let (Some(right), left) = (ty("oprright"), ty("oprleft")) else { return false };
            let symbol = section.cell(row, "oprname");
            let mut all = functions();
            match (unary, left) {
                (true, _) => all.any(|f| f.name == symbol && f.args == [right]),
                (false, Some(left)) => all.any(|f| f.name == symbol && f.args == [left, right]),
                (false, None) => false,
            }
        }
        _ => true,
    }
}

fn procedures(rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "oid",
        "proname",
        "provariadic",
        "prokind",
        "proisstrict",
        "provolatile",
        "pronargs",
        "prorettype",
        "proargtypes",
        "prosrc",
    ])?;
    let count = |args: &[u32]| Value::Int2(i16::try_from(args.len()).unwrap_or(i16::MAX));
    for function in functions().filter(|function| !function.is_operator()) {
        let args = function_args(function);
        columns.add([
            Value::Oid(oid_of(function.name, &args)),
            Value::text(function.name),
            Value::Oid(function.variadic.map_or(0, signature_oid)),
            Value::text("f"),
            Value::Bool(function.strict),
            Value::text(match function.volatility {
                Volatility::Immutable => "i",
                Volatility::Stable => "s",
                Volatility::Volatile => "v",
            }),
            count(&args),
            Value::Oid(signature_oid(function.result)),
            vector(&args),
            Value::text(function.name),
        ])?;
    }
    for aggregate in aggregates() {
        let args: Vec<u32> = aggregate.args.iter().map(|ty| signature_oid(*ty)).collect();
        columns.add([
            Value::Oid(oid_of(aggregate.name, &args)),
            Value::text(aggregate.name),
            Value::Oid(0),
            Value::text("a"),
            Value::Bool(false),
            Value::text("i"),
            count(&args),
            Value::Oid(signature_oid(aggregate.result)),
            vector(&args),
            Value::text("aggregate_dummy"),
        ])?;
    }
    Ok(())
}

fn aggregate_rows(rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns(["aggfnoid"])?;
    for aggregate in aggregates() {
        let args: Vec<u32> = aggregate.args.iter().map(|ty| signature_oid(*ty)).collect();
        columns.add([Value::Oid(oid_of(aggregate.name, &args))])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_row() {
        let types = &sections()["pg_type"];
        for ty in DataType::all() {
            let is_there = types.rows.iter().any(|row| types.number(row, "oid") == ty.oid());
            assert!(is_there, "pg_type lacks {} ({})", ty.name(), ty.oid());
        }
    }
}
