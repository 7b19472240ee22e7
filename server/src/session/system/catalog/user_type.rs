//! pg_type, pg_enum and the rest of what is said of users' types: of rows of tables, too.

use driftdb_query::{
    Object, ObjectKind, Result, TypeDefinition, TypeOid, object_type, row_type_oid, table_type,
    view_type,
};
use driftdb_types::{DataType, Domain, DomainCheck, TypeCategory, UserKind, UserType, Value};

use super::super::super::ask::domain_default;
use super::super::rows::Rows;
use super::Definitions;

/// Where the identifiers of labels begin: they are told apart by their places among all.
const FIRST_LABEL: u32 = 0xa000_0000;
/// Likewise those of domains' constraints.
const FIRST_CHECK: u32 = 0xb000_0000;

impl Definitions {
    /// The types that are objects.
    pub(in crate::session) fn types(&self) -> impl Iterator<Item = (&Object, &TypeDefinition)> {
        self.objects.iter().filter_map(|object| match &object.kind {
            ObjectKind::Type(definition) => Some((&**object, &**definition)),
            _ => None,
        })
    }

    /// The constraints of domains: each with its identifier, and the domain.
    pub(in crate::session) fn domain_checks(
        &self,
    ) -> impl Iterator<Item = (u32, &Object, &Domain, &DomainCheck)> {
        let checks = self.types().flat_map(|(object, definition)| {
            let domain = match &definition.kind {
                UserKind::Domain(domain) => Some(domain),
                _ => None,
            };
            let checks = domain
                .into_iter()
                .flat_map(|domain| domain.checks.iter().map(move |check| (domain, check)));
            checks.map(move |(domain, check)| (object, domain, check))
        });
        let numbered = (FIRST_CHECK..).zip(checks);
        numbered.map(|(oid, (object, domain, check))| (oid, object, domain, check))
    }

    /// A type by identifier.
    pub(in crate::session) fn data_type(&self, oid: u32) -> Option<DataType> {
        if let Some(known) = DataType::from_oid(oid) {
            return Some(known);
        }
        match TypeOid::of(oid)? {
            TypeOid::ArrayOf(element) => self.data_type(element)?.array(),
            TypeOid::Object(id) => object_type(self.object(id)?),
            TypeOid::RowsOf(id) => match self.table(id) {
                Some(table) => Some(table_type(table)),
                None => {
                    let object = self.object(id)?;
                    match &object.kind {
                        ObjectKind::View(view) => Some(view_type(object, view)),
                        _ => None,
                    }
                }
            },
        }
    }

    /// A type in a schema by its name, or by that of its arrays.
    pub(in crate::session) fn type_named(&self, schema: &str, name: &str) -> Option<DataType> {
        if let Some(element) = name.strip_suffix("[]") {
            return self.type_named(schema, element.trim_end())?.array();
        }
        let is_it = |of: &str, own: &str| of == schema && own == name;
        let mut types = self.types();
        if let Some((object, _)) = types.find(|(object, _)| is_it(&object.schema, &object.name)) {
            return object_type(object);
        }
        let relation = self.named(schema, name).and_then(|oid| self.data_type(row_type_oid(oid)));
        relation.or_else(|| self.type_named(schema, name.strip_prefix('_')?)?.array())
    }

    fn all_types(&self) -> Vec<UserType> {
        let own = self.types().filter_map(|(object, _)| object_type(object));
        let tables = self.tables.iter().map(|table| table_type(table));
        let views = self.objects.iter().filter_map(|object| match &object.kind {
            ObjectKind::View(view) => Some(view_type(object, view)),
            _ => None,
        });
        own.chain(tables).chain(views).filter_map(DataType::user).collect()
    }
}

/// The relation that pg_type names for a type: a composite type is its own.
fn relation_of(user: UserType) -> u32 {
    match &user.definition().kind {
        UserKind::Composite { relation, .. } => relation.unwrap_or(user.oid()),
        _ => 0,
    }
}

pub(super) fn types(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "oid",
        "typname",
        "typnamespace",
        "typlen",
        "typbyval",
        "typtype",
        "typcategory",
        "typispreferred",
        "typisdefined",
        "typdelim",
        "typrelid",
        "typsubscript",
        "typelem",
        "typarray",
        "typinput",
        "typoutput",
        "typreceive",
        "typsend",
        "typmodin",
        "typmodout",
        "typanalyze",
        "typalign",
        "typstorage",
        "typnotnull",
        "typbasetype",
        "typtypmod",
        "typcollation",
        "typdefault",
        "typdefaultbin",
    ])?;
    for user in definitions.all_types() {
        let (ty, definition) = (DataType::User(user), user.definition());
        let schema = Value::Oid(definitions.schema_oid(&definition.schema));
        let facts = super::super::fixed::type_facts(ty.base());
        let domain = user.domain();
        let (letter, functions, is_defined) = match &definition.kind {
            UserKind::Enum(_) => ("e", ["3504", "3505", "3532", "3533"], true),
            UserKind::Domain(_) => ("d", ["2597", "0", "2598", "0"], true),
            UserKind::Composite { .. } => ("c", ["2290", "2291", "2402", "2403"], true),
            UserKind::Shell => ("p", ["0", "0", "0", "0"], false),
        };
        let (len, by_value, align, storage, collation) = match &definition.kind {
            UserKind::Domain(_) => {
                (facts.len, facts.by_value, facts.align, facts.storage, facts.collation)
            }
            UserKind::Enum(_) => ("4", "t", "i", "p", 0),
            UserKind::Composite { .. } => ("-1", "f", "d", "x", 0),
            UserKind::Shell => ("4", "t", "i", "p", 0),
        };
        let array = match definition.kind {
            UserKind::Shell => 0,
            _ => definition.array_oid,
        };
        let default = domain.and_then(|domain| {
            let stored = domain.default.as_deref()?;
            Some(Value::text(domain_default(definitions, domain, stored)))
        });
        let default = default.unwrap_or(Value::Null);
        let [input, output, receive, send] = functions.map(Value::text);
        columns.add([
            Value::Oid(user.oid()),
            Value::text(definition.name.as_str()),
            schema.clone(),
            Value::text(len),
            Value::text(by_value),
            Value::text(letter),
            Value::text(ty.category().letter().to_string()),
            Value::Bool(false),
            Value::Bool(is_defined),
            Value::text(","),
            Value::Oid(relation_of(user)),
            Value::text("0"),
            Value::Oid(0),
            Value::Oid(array),
            input,
            output,
            receive,
            send,
            Value::text("0"),
            Value::text("0"),
            Value::text("0"),
            Value::text(align),
            Value::text(storage),
            Value::Bool(domain.is_some_and(|domain| domain.not_null)),
            Value::Oid(domain.map_or(0, |domain| domain.base.oid())),
            Value::Int4(domain.map_or(-1, |domain| domain.typmod)),
            Value::Oid(collation),
            default.clone(),
            default,
        ])?;
        if array != 0 {
            let name = format!("_{}", definition.name);
            let align = if align == "d" { "d" } else { "i" };
            columns.add(array_type(array, name, schema, user.oid(), align, collation))?;
        }
    }
    Ok(())
}

/// The row of pg_type of an array of a user's type.
fn array_type(
    oid: u32,
    name: String,
    schema: Value,
    element: u32,
    align: &'static str,
    collation: u32,
) -> [Value; 29] {
    [
        Value::Oid(oid),
        Value::text(name),
        schema,
        Value::text("-1"),
        Value::text("f"),
        Value::text("b"),
        Value::text(TypeCategory::Array.letter().to_string()),
        Value::Bool(false),
        Value::Bool(true),
        Value::text(","),
        Value::Oid(0),
        Value::text("6179"),
        Value::Oid(element),
        Value::Oid(0),
        Value::text("750"),
        Value::text("751"),
        Value::text("2400"),
        Value::text("2401"),
        Value::text("0"),
        Value::text("0"),
        Value::text("3816"),
        Value::text(align),
        Value::text("x"),
        Value::Bool(false),
        Value::Oid(0),
        Value::Int4(-1),
        Value::Oid(collation),
        Value::Null,
        Value::Null,
    ]
}

pub(super) fn labels(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns(["oid", "enumtypid", "enumsortorder", "enumlabel"])?;
    let all = definitions.types().flat_map(|(object, definition)| {
        let labels = match &definition.kind {
            UserKind::Enum(labels) => &labels[..],
            _ => &[],
        };
        labels.iter().map(|label| (object.id.0, label))
    });
    for ((ty, label), oid) in all.zip(FIRST_LABEL..) {
        columns.add([
            Value::Oid(oid),
            Value::Oid(ty),
            Value::Float4(label.order),
            Value::text(label.label.as_str()),
        ])?;
    }
    Ok(())
}

/// The composite types, each with its columns, and its highest number.
pub(super) fn composites(
    definitions: &Definitions,
) -> impl Iterator<Item = (&Object, &[driftdb_types::Field], usize)> {
    definitions.types().filter_map(|(object, definition)| match &definition.kind {
        UserKind::Composite { fields, .. } => {
            Some((object, &fields[..], definition.highest.into()))
        }
        _ => None,
    })
}
