//! Users' types: their names, the statements about them, and the constraints of domains.
//!
//! A type's name means what is built in before anything in the catalog; a table's or view's name means its
//! rows. A domain's CHECK is an expression over one parameter, the value.
//!
//! Source: PostgreSQL 15, src/backend/commands/typecmds.c and parser/parse_type.c, whose texts these are.

use std::sync::Arc;

use driftdb_query::eval::{Constants, eval};
use driftdb_query::{
    Catalog, CatalogAt, Expr, NameSpace, Need, Object, ObjectKind, Result, SqlError, Statement,
    Table, TableId, TypeChange, TypeDefinition, TypeStatement, need_of_type, object_type,
    table_type, view_type,
};
use driftdb_storage::Timestamp;
use driftdb_types::{
    CastContext, DataType, Domain, DomainCheck, DomainChecks, EvalContext, Field, SqlState,
    UserKind, UserType, Value, ValueError,
};
use sqlparser::ast;

use super::Binder;
use super::as_of::qualified;
use super::create::has_subquery;
use super::generated::sequences_in;
use super::scope::{Clause, Named, Scope};
use super::stored::relation;
use crate::front::cursor::QualifiedName;
use crate::front::user_type::{Attribute, Change, DomainConstraint, NewType, TypeBody};

/// What is built in is looked for in this schema.
const SYSTEM: &str = "pg_catalog";

impl Binder<'_> {
    /// A type of the catalog's by name.
    pub(crate) fn user_type_named(
        &mut self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<DataType>> {
        let at = CatalogAt::Statement;
        if let Some(object) = self.type_object(schema, name)? {
            return Ok(object_type(&object));
        }
        if let Some(table) = self.catalog.table(schema, name, at)? {
            return Ok(Some(table_type(&table)));
        }
        if let Some(object) = self.relation_named(schema, name, at)?
            && let ObjectKind::View(view) = &object.kind
        {
            return Ok(Some(view_type(&object, view)));
        }
        // The array of a type is called as the type, after an underscore.
        match name.strip_prefix('_') {
            Some(element) => Ok(self.user_type_named(schema, element)?.and_then(DataType::array)),
            None => Ok(None),
        }
    }

    fn type_object(&mut self, schema: Option<&str>, name: &str) -> Result<Option<Arc<Object>>> {
        let at = CatalogAt::Statement;
        let found = self.catalog.objects_named(NameSpace::Type, schema, name, at)?;
        Ok(found.into_iter().next())
    }

    pub(crate) fn type_statement(&mut self, body: &TypeBody) -> Result<Statement> {
        let bound = match body {
            TypeBody::Create { name, new } => self.create_type(name, new)?,
            TypeBody::Alter { name, is_domain, changes } => {
                self.alter_type(name, *is_domain, changes)?
            }
            TypeBody::Drop { names, is_domain, if_exists, cascade } => {
                self.drop_types(names, *is_domain, *if_exists, *cascade)?
            }
        };
        Ok(Statement::Type(bound))
    }

    fn create_type(&mut self, name: &QualifiedName, new: &NewType) -> Result<TypeStatement> {
        let schema = self.creation_schema(name.schema.as_deref(), &name.name)?;
        let found = self.type_object(Some(&schema), &name.name)?;
        let shell = found.filter(|object| {
            matches!(&object.kind, ObjectKind::Type(found) if found.kind == UserKind::Shell)
        });
        let exists = SqlError::new(
            SqlState::DuplicateObject,
            format!("type \"{}\" already exists", name.name),
        );
        if self.catalog.table(Some(&schema), &name.name, CatalogAt::Statement)?.is_some() {
            let is_composite = matches!(new, NewType::Composite(_));
            return Err(if is_composite {
                let message = format!("relation \"{}\" already exists", name.name);
                SqlError::new(SqlState::DuplicateTable, message)
            } else {
                exists
            });
        }
        let mut needs = Vec::new();
        let kind = match new {
            NewType::Unsupported(what) => return Err(SqlError::unsupported(*what)),
            NewType::Shell if shell.is_some() => return Err(exists),
            NewType::Shell => UserKind::Shell,
            NewType::Enum(labels) => {
                check_labels(labels)?;
                let keyed = labels.iter().zip(1u64..);
                UserKind::Enum(
                    keyed
                        .map(|(label, place)| driftdb_types::EnumLabel::new(label, place))
                        .collect(),
                )
            }
            NewType::Composite(attributes) => {
                let mut fields: Vec<Field> = Vec::new();
                for (attribute, number) in attributes.iter().zip(1..) {
                    if fields.iter().any(|field| *field.name == *attribute.name) {
                        let message =
                            format!("column \"{}\" specified more than once", attribute.name);
                        return Err(SqlError::new(SqlState::DuplicateColumn, message));
                    }
                    fields.push(self.attribute(attribute, number)?);
                }
                needs.extend(fields.iter().filter_map(|field| need_of_type(field.ty)));
                UserKind::Composite { fields: fields.into(), relation: None }
            }
            NewType::Domain { base, constraints } => {
                let (base, typmod) = self.type_name(base)?;
                if base.is_pseudo() || base == DataType::Record {
                    let message = format!("\"{base}\" is not a valid base type for a domain");
                    return Err(SqlError::new(SqlState::DatatypeMismatch, message));
                }
                needs.extend(need_of_type(base));
                let domain =
                    Domain { base, typmod, not_null: false, default: None, checks: vec![] };
                let domain = self.domain(&name.name, domain, constraints)?;
                needs.extend(domain.default.as_deref().map(sequences_in).unwrap_or_default());
                UserKind::Domain(domain)
            }
        };
        let definition = TypeDefinition::new(kind);
        let shell = shell.map(|object| object.id);
        Ok(TypeStatement::Create { schema, name: name.name.clone(), definition, needs, shell })
    }

    fn attribute(&mut self, attribute: &Attribute, number: u16) -> Result<Field> {
        let (ty, typmod) = self.type_name(&attribute.ty)?;
        if ty.is_pseudo() || ty == DataType::Record {
            let message = format!("column \"{}\" has pseudo-type {ty}", attribute.name);
            return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
        }
        Ok(Field { number, name: attribute.name.as_str().into(), ty, typmod })
    }

    /// A domain with its constraints.
    fn domain(
        &mut self,
        name: &str,
        mut domain: Domain,
        constraints: &[DomainConstraint],
    ) -> Result<Domain> {
        let wrong = |message: &str| Err(SqlError::new(SqlState::SyntaxError, message));
        let mut is_nullable: Option<bool> = None;
        for constraint in constraints {
            match constraint {
                DomainConstraint::Default(_) if domain.default.is_some() => {
                    return wrong("multiple default expressions");
                }
                DomainConstraint::Default(expr) => {
                    domain.default = self.domain_default(expr, &domain)?;
                }
                DomainConstraint::NotNull(not_null) => {
                    if is_nullable == Some(*not_null) {
                        return wrong("conflicting NULL/NOT NULL constraints");
                    }
                    is_nullable = Some(!*not_null);
                    domain.not_null = *not_null;
                }
                DomainConstraint::Check { name: own, condition, not_valid } => {
                    let check = self.domain_check(name, &domain, own.as_deref(), condition)?;
                    domain.checks.push(DomainCheck { is_valid: !not_valid, ..check });
                }
            }
        }
        domain.checks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(domain)
    }

    /// A DEFAULT of a domain; NULL is none.
    fn domain_default(&mut self, expr: &ast::Expr, domain: &Domain) -> Result<Option<String>> {
        self.scopes.push(Scope::new(Clause::Default));
        let bound = self.expr(expr);
        self.scopes.pop();
        let bound = bound?;
        if has_subquery(&bound) {
            let message = "cannot use subquery in DEFAULT expression";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        if matches!(&bound, Expr::Const { value: Value::Null, .. }) {
            return Ok(None);
        }
        let qualified = super::qualified::qualified(expr, &bound);
        self.coerce(bound, domain.base, domain.typmod, CastContext::Assignment)?;
        self.stored_text(&qualified).map(Some)
    }

    fn domain_check(
        &mut self,
        domain_name: &str,
        domain: &Domain,
        name: Option<&str>,
        condition: &ast::Expr,
    ) -> Result<DomainCheck> {
        let taken = |name: &str| domain.checks.iter().any(|check| check.name == *name);
        let name = match name {
            Some(name) if taken(name) => {
                let message =
                    format!("constraint \"{name}\" for domain \"{domain_name}\" already exists");
                return Err(SqlError::new(SqlState::DuplicateObject, message));
            }
            Some(name) => name.to_owned(),
            None => {
                let plain = format!("{domain_name}_check");
                let mut numbered = (1..).map(|number| format!("{plain}{number}"));
                if taken(&plain) {
                    numbered.find(|name| !taken(name)).unwrap_or(plain)
                } else {
                    plain
                }
            }
        };
        let scope = value_scope(domain.base);
        self.scopes.push(scope);
        let bound = self.expr(condition).and_then(|bound| self.condition(bound, "CHECK"));
        self.scopes.pop();
        let bound = bound?;
        if has_subquery(&bound) {
            let message = "cannot use subquery in check constraint";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let condition = condition.to_string();
        bind_condition(&condition, domain.base, &EvalContext::default()).map_err(|_| {
            SqlError::unsupported("a domain's CHECK that names functions or types of users")
        })?;
        Ok(DomainCheck { name, condition, is_valid: true })
    }

    fn alter_type(
        &mut self,
        name: &QualifiedName,
        is_domain: bool,
        changes: &[Change],
    ) -> Result<TypeStatement> {
        let object = self.changeable_type(name)?;
        let ObjectKind::Type(definition) = &object.kind else {
            return Err(no_such_type(name));
        };
        let kind = &definition.kind;
        if is_domain && !matches!(kind, UserKind::Domain(_)) {
            return Err(not_a(&object.name, "a domain"));
        }
        let (mut bound, mut needs) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::RenameTo(to) => {
                    let (id, schema) = (object.id, object.schema.clone());
                    return Ok(TypeStatement::Rename { id, schema, name: to.clone(), is_domain });
                }
                Change::SetSchema(to) => {
                    let schema = self.creation_schema(Some(to), &object.name)?;
                    let (id, name) = (object.id, object.name.clone());
                    return Ok(TypeStatement::Rename { id, schema, name, is_domain });
                }
                Change::SetOwner(role) => {
                    self.check_role(role)?;
                    return Ok(TypeStatement::SetOwner { is_domain });
                }
                change => {
                    bound.push(self.type_change(&object, definition, change, &mut needs)?);
                }
            }
        }
        Ok(TypeStatement::Change { id: object.id, changes: bound, needs, is_domain })
    }

    fn type_change(
        &mut self,
        object: &Object,
        definition: &TypeDefinition,
        change: &Change,
        needs: &mut Vec<Need>,
    ) -> Result<TypeChange> {
        let kind = &definition.kind;
        let needed = match change {
            Change::AddValue { .. } | Change::RenameValue { .. } => "an enum",
            Change::AddAttribute(_)
            | Change::DropAttribute { .. }
            | Change::AlterAttribute(_)
            | Change::RenameAttribute { .. } => "a composite type",
            _ => "a domain",
        };
        let is_it = match kind {
            UserKind::Enum(_) => needed == "an enum",
            UserKind::Composite { .. } => needed == "a composite type",
            UserKind::Domain(_) => needed == "a domain",
            UserKind::Shell => false,
        };
        if !is_it {
            return Err(not_a(&object.name, needed));
        }
        Ok(match change {
            Change::AddValue { label, beside, if_not_exists } => {
                check_labels(std::slice::from_ref(label))?;
                TypeChange::AddLabel {
                    label: label.clone(),
                    beside: beside.clone(),
                    if_not_exists: *if_not_exists,
                }
            }
            Change::RenameValue { from, to } => {
                check_labels(std::slice::from_ref(to))?;
                TypeChange::RenameLabel { from: from.clone(), to: to.clone() }
            }
            Change::AddAttribute(attribute) => {
                TypeChange::AddField(self.new_field(object, attribute, needs)?)
            }
            Change::AlterAttribute(attribute) => {
                TypeChange::AlterField(self.new_field(object, attribute, needs)?)
            }
            Change::DropAttribute { name, if_exists } => {
                TypeChange::DropField { name: name.clone(), if_exists: *if_exists }
            }
            Change::RenameAttribute { from, to } => {
                TypeChange::RenameField { from: from.clone(), to: to.clone() }
            }
            Change::DropDefault => TypeChange::SetDefault(None),
            Change::DropConstraint { name, if_exists } => {
                TypeChange::DropCheck { name: name.clone(), if_exists: *if_exists }
            }
            Change::RenameConstraint { from, to } => {
                TypeChange::RenameCheck { from: from.clone(), to: to.clone() }
            }
            Change::ValidateConstraint(name) => TypeChange::ValidateCheck(name.clone()),
            Change::Constraint(constraint) => {
                let UserKind::Domain(domain) = kind else {
                    return Err(not_a(&object.name, "a domain"));
                };
                match constraint {
                    DomainConstraint::NotNull(not_null) => TypeChange::SetNotNull(*not_null),
                    DomainConstraint::Default(expr) => {
                        let default = self.domain_default(expr, domain)?;
                        needs.extend(default.as_deref().map(sequences_in).unwrap_or_default());
                        TypeChange::SetDefault(default)
                    }
                    DomainConstraint::Check { name, condition, not_valid } => {
                        let name = name.as_deref();
                        let check = self.domain_check(&object.name, domain, name, condition)?;
                        TypeChange::AddCheck(DomainCheck { is_valid: !not_valid, ..check })
                    }
                }
            }
            Change::RenameTo(_) | Change::SetSchema(_) | Change::SetOwner(_) => {
                return Err(SqlError::internal("not a change of a type itself"));
            }
        })
    }

    fn new_field(
        &mut self,
        object: &Object,
        attribute: &Attribute,
        needs: &mut Vec<Need>,
    ) -> Result<Field> {
        let field = self.attribute(attribute, 0)?;
        if need_of_type(field.ty).is_some_and(|need| need.id == object.id.0) {
            let name = &object.name;
            let message = format!("composite type {name} cannot be made a member of itself");
            return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
        }
        needs.extend(need_of_type(field.ty));
        Ok(field)
    }

    /// The object of a type that a statement is about.
    fn changeable_type(&mut self, name: &QualifiedName) -> Result<Arc<Object>> {
        let schema = name.schema.as_deref();
        if let Some(object) = self.type_object(schema, &name.name)? {
            return Ok(object);
        }
        if let Some(table) = self.catalog.table(schema, &name.name, CatalogAt::Statement)? {
            let message = format!("{} is a table's row type", table.name);
            return Err(SqlError::new(SqlState::WrongObjectType, message)
                .with_hint("Use ALTER TABLE instead."));
        }
        if schema.is_none_or(|schema| schema == SYSTEM)
            && let Some(ty) = DataType::from_name(&name.name)
        {
            let message = format!("must be owner of type {ty}");
            return Err(SqlError::new(SqlState::InsufficientPrivilege, message));
        }
        if let Some(schema) = self.missing_schema(schema)? {
            return Err(super::schema::no_such_schema(&schema));
        }
        Err(no_such_type(name))
    }

    /// The type that COMMENT ON is about.
    pub(crate) fn commented_type(&mut self, name: &QualifiedName, is_domain: bool) -> Result<u32> {
        let object = self.changeable_type(name)?;
        let is_one = matches!(&object.kind, ObjectKind::Type(definition)
            if matches!(definition.kind, UserKind::Domain(_)));
        if is_domain && !is_one {
            return Err(not_a(&object.name, "a domain"));
        }
        Ok(object.id.0)
    }

    fn drop_types(
        &mut self,
        names: &[QualifiedName],
        is_domain: bool,
        if_exists: bool,
        cascade: bool,
    ) -> Result<TypeStatement> {
        let (mut ids, mut notices) = (Vec::new(), Vec::new());
        for name in names {
            let schema = name.schema.as_deref();
            match self.type_object(schema, &name.name)? {
                Some(object) => {
                    let is_one = matches!(&object.kind, ObjectKind::Type(definition)
                        if matches!(definition.kind, UserKind::Domain(_)));
                    if is_domain && !is_one {
                        return Err(not_a(&object.name, "a domain"));
                    }
                    if !ids.contains(&object.id) {
                        ids.push(object.id);
                    }
                }
                None => match self.undroppable(name)? {
                    Some(error) => return Err(error),
                    None if if_exists => {
                        notices.push(match self.missing_schema(schema)? {
                            Some(schema) => format!("schema \"{schema}\" does not exist, skipping"),
                            None => {
                                let shown = qualified(schema, &name.name);
                                format!("type \"{shown}\" does not exist, skipping")
                            }
                        });
                    }
                    None => {
                        return Err(match self.missing_schema(schema)? {
                            Some(schema) => super::schema::no_such_schema(&schema),
                            None => no_such_type(name),
                        });
                    }
                },
            }
        }
        Ok(TypeStatement::Drop { ids, cascade, notices, is_domain })
    }

    /// The error for a type that no DROP TYPE drops.
    fn undroppable(&mut self, name: &QualifiedName) -> Result<Option<SqlError>> {
        let (schema, at) = (name.schema.as_deref(), CatalogAt::Statement);
        let error = |message| Some(SqlError::new(SqlState::DependentObjectsStillExist, message));
        if let Some(table) = self.catalog.table(schema, &name.name, at)? {
            let what = format!("table {}", table.name);
            let message = format!("cannot drop type {} because {what} requires it", table.name);
            let hint = format!("You can drop {what} instead.");
            return Ok(error(message).map(|error| error.with_hint(hint)));
        }
        let is_system = schema.is_none_or(|schema| schema == SYSTEM);
        Ok(match DataType::from_name(&name.name).filter(|_| is_system) {
            Some(ty) => error(format!(
                "cannot drop type {ty} because it is required by the database system"
            )),
            None => None,
        })
    }
}

fn not_a(name: &str, what: &str) -> SqlError {
    SqlError::new(SqlState::WrongObjectType, format!("\"{name}\" is not {what}"))
}

fn no_such_type(name: &QualifiedName) -> SqlError {
    let shown = qualified(name.schema.as_deref(), &name.name);
    SqlError::new(SqlState::UndefinedObject, format!("type \"{shown}\" does not exist"))
}

/// Labels are names that differ.
fn check_labels(labels: &[String]) -> Result<()> {
    for (place, label) in labels.iter().enumerate() {
        if label.len() > super::names::MAX_NAME_BYTES {
            let message = format!("invalid enum label \"{label}\"");
            return Err(SqlError::new(SqlState::InvalidName, message)
                .with_detail("Labels must be 63 bytes or less."));
        }
        if labels[..place].contains(label) {
            let message =
                "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"";
            return Err(SqlError::new(SqlState::UniqueViolation, message));
        }
    }
    Ok(())
}

/// Where a domain's CHECK is bound: VALUE is the one parameter.
fn value_scope(base: DataType) -> Scope {
    let value = Named { name: "value".into(), expr: Expr::Param { index: 0, ty: base } };
    Scope::with(Clause::Check, vec![relation("", vec![value.clone()])], vec![value])
}

/// Binds the condition of a domain's CHECK, which needs nothing of the catalog.
pub(crate) fn bind_condition(
    condition: &str,
    base: DataType,
    context: &EvalContext,
) -> Result<Expr> {
    let (mut catalog, mut types) = (Nothing, Vec::new());
    let mut binder = Binder::new(&mut catalog, context, &mut types, None, None);
    binder.stored_in(condition, value_scope(base), |binder, tree| {
        let bound = binder.expr(tree)?;
        binder.condition(bound, "CHECK")
    })
}

/// The CHECK constraints of a domain, ready to be looked at.
///
/// # Errors
/// A condition does not parse or bind.
pub fn domain_checks(domain: UserType) -> Result<Arc<dyn DomainChecks>> {
    let mut bound = Vec::new();
    if let Some(domain) = domain.domain() {
        for check in &domain.checks {
            let condition = bind_condition(&check.condition, domain.base, &EvalContext::default())?;
            bound.push((check.name.clone(), condition));
        }
    }
    Ok(Arc::new(BoundChecks(bound)))
}

/// Names and conditions.
struct BoundChecks(Vec<(String, Expr)>);

impl DomainChecks for BoundChecks {
    fn violated(
        &self,
        value: &Value,
        context: &EvalContext,
    ) -> std::result::Result<Option<&str>, ValueError> {
        let scope = Constants { context, params: std::slice::from_ref(value) };
        for (name, condition) in &self.0 {
            let held = eval(condition, &scope).map_err(|error| {
                let mut value = ValueError::new(error.state, error.message);
                value.detail = error.detail.map(Into::into);
                value.hint = error.hint.map(Into::into);
                value
            })?;
            // NULL is no violation.
            if held == Value::Bool(false) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }
}

/// A catalog in which there is nothing.
struct Nothing;

impl Catalog for Nothing {
    fn table(&mut self, _: Option<&str>, _: &str, _: CatalogAt) -> Result<Option<Arc<Table>>> {
        Ok(None)
    }

    fn table_by_id(&mut self, _: TableId) -> Result<Option<Arc<Table>>> {
        Ok(None)
    }

    fn index(
        &mut self,
        _: Option<&str>,
        _: &str,
    ) -> Result<Option<(Arc<Table>, driftdb_query::IndexId)>> {
        Ok(None)
    }

    fn tables(&mut self, _: CatalogAt) -> Result<Vec<Arc<Table>>> {
        Ok(Vec::new())
    }

    fn time_of_sequence(&mut self, _: u64) -> Result<Timestamp> {
        Err(SqlError::unsupported("a time in a domain's CHECK"))
    }
}
