//! Answers to what functions ask of the catalog.
//!
//! Functions see the definitions as of their statement, whatever times its tables are read at: they are
//! lent before a statement that asks is bound or run ([`super::actions`]).

mod definition;
mod names;
mod privilege;
mod routine;
mod view;

use std::sync::Arc;

use driftdb_query::{
    CommentSubject, NameSpace, ObjectKind, SYSTEM_SCHEMA, TEMPORARY, Table, is_temporary,
};
use driftdb_types::{Array, CatalogQuestion, DataType, SqlState, Value, ValueError};

use super::system::{
    Constraint, Definitions, USER_OID, default_of, fixed_description, fixed_function,
    relation_named, relation_with_oid,
};
use names::{Qualified, qualified};
pub(super) use routine::setting;

pub(super) use definition::{
    checked_columns, column_name, condition as check_condition, default as default_definition,
    domain_default, index as index_definition, quoted, term as term_definition,
};

/// Whoever answers.
pub(super) struct Answering<'a> {
    pub(super) definitions: &'a Definitions,
    /// The current user, and the role whose rights count.
    pub(super) user: &'a str,
    pub(super) role: u32,
    pub(super) database: &'a str,
    /// The schemas on the search path.
    pub(super) path: &'a [Box<str>],
    /// The schema of the session's temporary tables.
    pub(super) temporary: &'a str,
}

impl Answering<'_> {
    /// As `SessionActions::ask`.
    #[expect(clippy::too_many_lines, reason = "one arm for each question")]
    pub(super) fn answer(
        &self,
        question: CatalogQuestion,
        args: &[Value],
    ) -> Result<Value, ValueError> {
        let oid = args.first().and_then(Value::as_int).unwrap_or_default() as u32;
        let wanted = |name: Option<String>| Ok(name.map_or(Value::Null, Value::text));
        match question {
            CatalogQuestion::Read(kind) => self.read(kind, text(args, 0)?),
            CatalogQuestion::Find(kind) => match self.read(kind, text(args, 0)?) {
                Err(error) if is_missing(error.state) => Ok(Value::Null),
                found => found,
            },
            CatalogQuestion::Name(kind) => wanted(self.name(kind, oid)),
            CatalogQuestion::CurrentSchema => {
                wanted(self.existing_path().next().map(str::to_owned))
            }
            CatalogQuestion::CurrentSchemas => {
                let is_named = self.path.iter().any(|schema| **schema == *SYSTEM_SCHEMA);
                let with_implicit = args.first() == Some(&Value::Bool(true));
                let implicit = (with_implicit && !is_named).then_some(SYSTEM_SCHEMA);
                let temporary = self.definitions.schema(self.temporary);
                let temporary = temporary.filter(|_| with_implicit).map(|_| self.temporary);
                let path = temporary.into_iter().chain(implicit).chain(self.existing_path());
                let path = path.map(Value::text).collect();
                Ok(Value::array(Array::from_values(DataType::Name, path)?))
            }
            CatalogQuestion::TemporarySchema => {
                let own = self.definitions.schema(self.temporary);
                Ok(Value::Oid(own.map_or(0, |schema| schema.id)))
            }
            CatalogQuestion::IsOtherTemporarySchema => {
                let mut schemas = self.definitions.schemas.iter();
                let schema = schemas.find(|schema| schema.id == oid);
                Ok(Value::Bool(schema.is_some_and(|schema| {
                    is_temporary(&schema.name) && schema.name != self.temporary
                })))
            }
            CatalogQuestion::TableIsVisible => Ok(self.relation_is_visible(oid)),
            CatalogQuestion::TypeIsVisible => Ok(match self.definitions.data_type(oid) {
                Some(ty) => match ty.user() {
                    Some(user) => {
                        let schema = &user.definition().schema;
                        Value::Bool(self.path.iter().any(|on| **on == **schema))
                    }
                    None => Value::Bool(true),
                },
                None => Value::Null,
            }),
            CatalogQuestion::FunctionIsVisible => {
                let of_user = routine::routine(self.definitions, oid);
                let is_on_path = |schema: &str| self.path.iter().any(|on| **on == *schema);
                Ok(match of_user {
                    Some((object, _)) => Value::Bool(is_on_path(&object.schema)),
                    None => known(fixed_function(oid).is_some()),
                })
            }
            CatalogQuestion::OtherIsVisible => Ok(Value::Bool(true)),
            CatalogQuestion::ConstraintDefinition => {
                let pretty = args.get(1) == Some(&Value::Bool(true));
                wanted(self.constraint(oid, pretty))
            }
            CatalogQuestion::Expression => {
                let relation = args.get(1).and_then(Value::as_int).unwrap_or_default() as u32;
                let pretty = args.get(2) == Some(&Value::Bool(true));
                let shown = text(args, 0)?;
                let shown = if pretty { self.pretty(shown, relation) } else { shown.to_owned() };
                let name_of = |oid| self.name(DataType::Regclass, oid);
                Ok(Value::text(definition::with_names(&shown, &name_of)))
            }
            CatalogQuestion::IndexDefinition => {
                let column = args.get(1).and_then(Value::as_int).unwrap_or_default();
                let pretty = args.get(2) == Some(&Value::Bool(true));
                wanted(self.index(oid, column, pretty))
            }
            CatalogQuestion::ViewDefinition => self.view_definition(args),
            CatalogQuestion::IsUpdatable => Ok(Value::Int4(self.updatable(oid, 0))),
            CatalogQuestion::FunctionArguments
            | CatalogQuestion::FunctionResult
            | CatalogQuestion::FunctionDefinition
            | CatalogQuestion::TriggerDefinition => Ok(self.routine_answer(question, oid, args)),
            CatalogQuestion::IsPublishable => match self.relation_name(oid) {
                Some(_) => Ok(Value::Bool(self.definitions.table(oid).is_some())),
                None => Ok(Value::Null),
            },
            CatalogQuestion::Description => {
                let class = match args.get(1).and_then(Value::as_str) {
                    Some(name) => match relation_named(None, name) {
                        Some(relation) => Some(relation.oid),
                        None => return Ok(Value::Null),
                    },
                    None => None,
                };
                let mut comments = self.definitions.comments().filter(|said| {
                    said.1 == oid && said.2 == 0 && class.is_none_or(|class| class == said.0)
                });
                let own = comments.next().map(|said| said.3);
                wanted(own.or_else(|| fixed_description(oid, class)).map(str::to_owned))
            }
            CatalogQuestion::ColumnDescription => {
                let column = args.get(1).and_then(Value::as_int).unwrap_or_default();
                let mut comments = self.definitions.comments().filter(|said| {
                    said.0 == CommentSubject::RELATIONS
                        && said.1 == oid
                        && i64::from(said.2) == column
                });
                wanted(comments.next().map(|said| said.3.to_owned()))
            }
            CatalogQuestion::UserName => {
                let found = self.role_name(oid).map(str::to_owned);
                Ok(Value::text(found.unwrap_or_else(|| format!("unknown (OID={oid})"))))
            }
            CatalogQuestion::SerialSequence => {
                let (table, column) = (text(args, 0)?, text(args, 1)?);
                let oid = self.relation_oid(table)?;
                let exists = match self.definitions.table(oid) {
                    Some(table) => table.column(column).is_some(),
                    None => true,
                };
                if exists {
                    return Ok(self.sequence_of(oid, column));
                }
                let message = format!("column \"{column}\" of relation \"{table}\" does not exist");
                Err(ValueError::new(SqlState::UndefinedColumn, message))
            }
            CatalogQuestion::ColumnPrivilege => self.column_privilege(args),
            CatalogQuestion::DefaultPrivileges => self.default_list(args),
            CatalogQuestion::TablePrivilege
            | CatalogQuestion::AnyColumnPrivilege
            | CatalogQuestion::SequencePrivilege
            | CatalogQuestion::SchemaPrivilege
            | CatalogQuestion::DatabasePrivilege
            | CatalogQuestion::FunctionPrivilege
            | CatalogQuestion::TypePrivilege
            | CatalogQuestion::LanguagePrivilege
            | CatalogQuestion::TablespacePrivilege
            | CatalogQuestion::HasRole => self.privilege(question, args),
        }
    }

    /// The object that a text names.
    fn read(&self, kind: DataType, text: &str) -> Result<Value, ValueError> {
        let missing = |state, what: &str, name: &str| {
            Err(ValueError::new(state, format!("{what} \"{name}\" does not exist")))
        };
        match kind {
            DataType::Regclass => self.relation_oid(text).map(Value::Oid),
            DataType::Regnamespace => {
                let name = qualified(text)?.name;
                match self.definitions.schema(&name) {
                    Some(schema) => Ok(Value::Oid(schema.id)),
                    None => missing(SqlState::InvalidSchemaName, "schema", &name),
                }
            }
            DataType::Regrole => {
                let name = qualified(text)?.name;
                match self.role_named(&name) {
                    Some(role) => Ok(Value::Oid(role)),
                    None => missing(SqlState::UndefinedObject, "role", &name),
                }
            }
            DataType::Regtype => match names::type_oid(text).or_else(|| self.type_oid(text)) {
                Some(oid) => Ok(Value::Oid(oid)),
                None => missing(SqlState::UndefinedObject, "type", text),
            },
            DataType::Regproc | DataType::Regprocedure => match self.routine_oid(text) {
                Some(oid) => Ok(Value::Oid(oid)),
                None if kind == DataType::Regproc => names::function_oid(text),
                None => names::procedure_oid(text),
            },
            _ => missing(SqlState::UndefinedObject, kind.name(), text),
        }
    }

    /// What is asked of a function or trigger.
    fn routine_answer(&self, question: CatalogQuestion, oid: u32, args: &[Value]) -> Value {
        let of_user = routine::routine(self.definitions, oid);
        let of_system = fixed_function(oid);
        let is_second = |truth| args.get(1) == Some(&Value::Bool(truth));
        let type_name: &dyn Fn(DataType) -> String = &|ty| self.type_name(ty);
        let text = match (question, of_user) {
            (CatalogQuestion::FunctionArguments, Some((_, found))) => {
                Some(routine::arguments(found, !is_second(false), type_name))
            }
            (CatalogQuestion::FunctionArguments, None) => {
                of_system.map(|function| names::type_list(&function.args))
            }
            (CatalogQuestion::FunctionResult, Some((_, found))) => {
                routine::result(found, self.definitions, type_name)
            }
            (CatalogQuestion::FunctionResult, None) => {
                of_system.map(|function| names::type_name(function.result))
            }
            (CatalogQuestion::FunctionDefinition, of_user) => of_user.map(|(object, found)| {
                routine::function(object, found, self.definitions, type_name)
            }),
            _ => routine::trigger(self.definitions, oid, is_second(true)),
        };
        text.map_or(Value::Null, Value::text)
    }

    /// A user's function that a text names, with its arguments or without.
    fn routine_oid(&self, text: &str) -> Option<u32> {
        let (name, arguments) = match text.split_once('(') {
            Some((name, arguments)) => (name, Some(arguments.trim_end().strip_suffix(')')?)),
            None => (text, None),
        };
        let name = qualified(name).ok()?;
        let mut found = self.definitions.objects.iter().filter(|object| {
            let ObjectKind::Routine(found) = &object.kind else { return false };
            let is_named = object.name == name.name
                && match &name.schema {
                    Some(schema) => object.schema == *schema,
                    None => self.path.iter().any(|on| **on == *object.schema),
                };
            let types: Option<Vec<u32>> = arguments.map(|list| {
                let types = list.split(',').map(str::trim).filter(|one| !one.is_empty());
                types.filter_map(names::type_oid).collect()
            });
            let own: Vec<u32> = found.input_types().iter().map(|ty| ty.oid()).collect();
            is_named && types.is_none_or(|types| types == own)
        });
        let first = found.next()?;
        found.next().is_none().then_some(first.id.0)
    }

    /// An object's name, qualified where the search path does not lead to it.
    fn name(&self, kind: DataType, oid: u32) -> Option<String> {
        match kind {
            DataType::Regclass => {
                let (schema, name) = self.relation_name(oid)?;
                let is_visible = self.relation_is_visible(oid) == Value::Bool(true);
                let name = quoted(name);
                Some(if is_visible { name } else { format!("{}.{name}", quoted(schema)) })
            }
            DataType::Regnamespace => {
                let mut schemas = self.definitions.schemas.iter();
                let schema = schemas.find(|schema| schema.id == oid)?;
                Some(quoted(&schema.name))
            }
            DataType::Regrole => Some(quoted(self.role_name(oid)?)),
            DataType::Regtype => match self.definitions.data_type(oid) {
                Some(ty) => Some(self.type_name(ty)),
                None => names::other_type_name(oid).map(str::to_owned),
            },
            DataType::Regproc if routine::routine(self.definitions, oid).is_some() => {
                self.routine_name(oid)
            }
            DataType::Regprocedure if routine::routine(self.definitions, oid).is_some() => {
                let (_, found) = routine::routine(self.definitions, oid)?;
                let types = found.input_types().into_iter().map(|ty| self.type_name(ty));
                let types: Vec<String> = types.collect();
                Some(format!("{}({})", self.routine_name(oid)?, types.join(",")))
            }
            DataType::Regproc => Some(names::function_name(oid)?),
            DataType::Regprocedure => {
                let function = fixed_function(oid)?;
                let name = quoted(function.name);
                Some(format!("{name}({})", names::type_list_tight(&function.args)))
            }
            _ => None,
        }
    }

    /// A user's function's name, qualified where the search path does not lead to it.
    fn routine_name(&self, oid: u32) -> Option<String> {
        let (object, _) = routine::routine(self.definitions, oid)?;
        let (schema, name) = (&object.schema, quoted(&object.name));
        let is_visible = self.path.iter().any(|on| **on == **schema);
        let qualified = || format!("{}.{name}", quoted(schema));
        Some(if is_visible { name.clone() } else { qualified() })
    }

    /// A user's type that a text names.
    fn type_oid(&self, text: &str) -> Option<u32> {
        let (text, is_array) = match text.trim().strip_suffix("[]") {
            Some(element) => (element, true),
            None => (text, false),
        };
        let name = qualified(text).ok()?;
        let found = match &name.schema {
            Some(schema) => self.definitions.type_named(schema, &name.name),
            None => self.path.iter().find_map(|on| self.definitions.type_named(on, &name.name)),
        }?;
        Some(if is_array { found.array()? } else { found }.oid())
    }

    /// A type's name, qualified where the search path does not lead to it.
    fn type_name(&self, ty: DataType) -> String {
        let Some(user) = ty.user() else { return ty.sql_name().to_owned() };
        let definition = user.definition();
        let mut name = quoted(&definition.name);
        if !self.path.iter().any(|on| **on == *definition.schema) {
            name = format!("{}.{name}", quoted(&definition.schema));
        }
        if ty.element().is_some() { format!("{name}[]") } else { name }
    }

    /// Whether a name without a schema means this relation.
    fn relation_is_visible(&self, oid: u32) -> Value {
        match self.relation_name(oid) {
            Some((_, name)) => {
                let name = Qualified { schema: None, name: name.to_owned() };
                Value::Bool(self.find_relation(&name) == Some(oid))
            }
            None => Value::Null,
        }
    }

    /// A role's name; of who is connected under one that is no role's, that.
    fn role_name(&self, oid: u32) -> Option<&str> {
        let own = (oid == USER_OID).then_some(self.user);
        own.or_else(|| self.definitions.role_name(oid))
    }

    /// Schema and name of a table, index or system relation.
    fn relation_name(&self, oid: u32) -> Option<(&str, &str)> {
        if let Some(relation) = relation_with_oid(oid) {
            return Some((relation.schema, relation.name));
        }
        if let Some(table) = self.definitions.table(oid) {
            return Some((&table.schema, &table.name));
        }
        if let Some(object) = self.definitions.object(oid) {
            let is_relation = object.kind.name_space() == NameSpace::Relation;
            return is_relation.then_some((&object.schema, &object.name));
        }
        let (table, index) = self.definitions.index(oid)?;
        Some((&table.schema, &index.name))
    }

    /// The sequence that belongs to a column, with its schema.
    fn sequence_of(&self, table: u32, column: &str) -> Value {
        let id = self.definitions.table(table).and_then(|table| table.column(column));
        let id = id.map(|(_, column)| column.id);
        let owned = self.definitions.objects.iter().find(|object| {
            let mut needs = object.needs.iter();
            matches!(object.kind, ObjectKind::Sequence(_))
                && needs.any(|need| need.is_part && need.id == table && need.column == id)
        });
        owned.map_or(Value::Null, |object| {
            Value::text(format!("{}.{}", quoted(&object.schema), quoted(&object.name)))
        })
    }

    /// The relation that a text names.
    fn relation_oid(&self, text: &str) -> Result<u32, ValueError> {
        let name = qualified(text)?;
        self.find_relation(&name).ok_or_else(|| {
            let message = format!("relation \"{}\" does not exist", name.display());
            ValueError::new(SqlState::UndefinedTable, message)
        })
    }

    fn find_relation(&self, name: &Qualified) -> Option<u32> {
        let in_schema = |schema: &str| {
            let of_system = relation_named(Some(schema), &name.name);
            let of_system = of_system.map(|relation| relation.oid);
            of_system.or_else(|| self.definitions.named(schema, &name.name))
        };
        match &name.schema {
            Some(schema) if schema == TEMPORARY => in_schema(self.temporary),
            Some(schema) => in_schema(schema),
            None => self.whole_path().find_map(in_schema),
        }
    }

    /// The search path with the system's schema.
    fn whole_path(&self) -> impl Iterator<Item = &str> {
        let has_temporary = self.path.iter().any(|schema| **schema == *TEMPORARY);
        let temporary = (!has_temporary).then_some(self.temporary);
        let is_named = self.path.iter().any(|schema| **schema == *SYSTEM_SCHEMA);
        let implicit = (!is_named).then_some(SYSTEM_SCHEMA);
        let path = self.path.iter().map(|schema| match &**schema {
            TEMPORARY => self.temporary,
            schema => schema,
        });
        temporary.into_iter().chain(implicit).chain(path)
    }

    /// The schemas of the search path that exist.
    fn existing_path(&self) -> impl Iterator<Item = &str> {
        let path = self.path.iter().map(|schema| &**schema);
        path.filter(|schema| self.definitions.schema(schema).is_some())
    }

    fn constraint(&self, oid: u32, pretty: bool) -> Option<String> {
        if let Some((_, _, domain, check)) =
            self.definitions.domain_checks().find(|found| found.0 == oid)
        {
            return Some(definition::domain_check(domain, check, pretty));
        }
        let (table, constraint) = self.definitions.constraint(oid)?;
        Some(match constraint {
            Constraint::Key(index) => definition::key(table, index),
            Constraint::Check(check) => definition::check(self.definitions, table, check, pretty),
            Constraint::Foreign(key) => {
                let referenced = self.definitions.table(key.referenced.0)?;
                let name = self.name(DataType::Regclass, key.referenced.0)?;
                definition::foreign_key(table, key, referenced, &name)
            }
        })
    }

    /// A relation's expression with fewer brackets.
    fn pretty(&self, shown: &str, relation: u32) -> String {
        let table = self.definitions.table(relation);
        let columns = table
            .into_iter()
            .flat_map(|table| table.columns.iter().map(move |column| (table, column)));
        let defaults = columns.filter_map(|(table, column)| {
            let stored = default_of(column)?;
            let is_meant =
                definition::default(self.definitions, table, column, stored, false) == shown;
            is_meant.then(|| definition::default(self.definitions, table, column, stored, true))
        });
        let mut defaults = defaults;
        defaults.next().unwrap_or_else(|| definition::without_brackets(shown).to_owned())
    }

    fn index(&self, oid: u32, column: i64, pretty: bool) -> Option<String> {
        let (table, index): (&Arc<Table>, _) = self.definitions.index(oid)?;
        if column == 0 {
            // Pretty, the table is named as the search path asks for.
            let name = self.name(DataType::Regclass, table.id.0).filter(|_| pretty);
            return Some(definition::index(self.definitions, table, index, name, pretty));
        }
        let place = usize::try_from(column).ok()?.checked_sub(1)?;
        Some(definition::index_column(self.definitions, table, index, place, pretty))
    }
}

/// Whether an error says that there is no such object.
fn is_missing(state: SqlState) -> bool {
    matches!(
        state,
        SqlState::UndefinedTable
            | SqlState::UndefinedObject
            | SqlState::UndefinedFunction
            | SqlState::AmbiguousFunction
            | SqlState::InvalidSchemaName
    )
}

fn known(exists: bool) -> Value {
    if exists { Value::Bool(true) } else { Value::Null }
}

fn text(args: &[Value], index: usize) -> Result<&str, ValueError> {
    args.get(index).and_then(Value::as_str).ok_or_else(|| {
        ValueError::new(SqlState::InternalError, "a question about the catalog without a name")
    })
}
