//! Types of users change: labels come, columns come and go, constraints come and go.
//!
//! A label's key is where it stands among the others for ever, so that values, and indexes over them, need
//! not be written again: a label between two others gets a key between theirs.
//!
//! Source: PostgreSQL 15, src/backend/catalog/pg_enum.c and commands/typecmds.c, whose texts these are.

use std::sync::Arc;

use driftdb_concurrency::ReadAt;
use driftdb_query::{
    Need, Object, ObjectId, ObjectKind, Result, SqlError, Table, TableNeed, TablePart, TypeChange,
    TypeDefinition, need_of_type, object_type, table_type,
};
use driftdb_types::{DataType, Domain, EnumLabel, Field, SqlState, UserKind, check_domains};

use super::DdlContext;
use super::object::replace_object;
use super::rewrite::for_each_row;
use crate::catalog::tables;

/// What a change that IF (NOT) EXISTS was said of left undone.
pub(super) type Skipped = Option<(String, SqlState)>;

/// Changes a type; gives the notices.
///
/// # Errors
/// PostgreSQL's, with its texts; storage.
pub fn change_type(
    cx: &mut DdlContext<'_>,
    id: ObjectId,
    changes: &[TypeChange],
    needs: &[Need],
) -> Result<Vec<(String, SqlState)>> {
    let mut skipped = Vec::new();
    let object = replace_object(cx, id, |object| {
        let name = object.name.clone();
        let ObjectKind::Type(definition) = &mut object.kind else { return Err(no_type(&name)) };
        for one in changes {
            skipped.extend(change(&name, definition, one)?);
        }
        for need in needs {
            if !object.needs.contains(need) {
                object.needs.push(*need);
            }
        }
        retain_needed(object);
        refuse_itself(object)
    })?;
    for one in changes {
        match one {
            TypeChange::AlterField(_) => refuse_columns(cx, &object)?,
            TypeChange::SetNotNull(true) | TypeChange::ValidateCheck(_) => {
                check_values(cx, &object)?;
            }
            TypeChange::AddCheck(check) if check.is_valid => check_values(cx, &object)?,
            _ => {}
        }
    }
    Ok(skipped)
}

fn no_type(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedObject, format!("type \"{name}\" does not exist"))
}

/// 42P16 for a composite type that would have itself in it.
fn refuse_itself(object: &Object) -> Result<()> {
    let ObjectKind::Type(definition) = &object.kind else { return Ok(()) };
    let (UserKind::Composite { fields, .. }, Some(own)) = (&definition.kind, object_type(object))
    else {
        return Ok(());
    };
    if fields.iter().any(|field| contains(field.ty, own)) {
        return Err(member_of_itself(&object.name));
    }
    Ok(())
}

fn member_of_itself(name: &str) -> SqlError {
    let message = format!("composite type {name} cannot be made a member of itself");
    SqlError::new(SqlState::InvalidTableDefinition, message)
}

/// 42P16 for a table whose rows would have rows of it in them.
pub(crate) fn refuse_own_rows(table: &Table) -> Result<()> {
    if !table.columns.iter().any(|column| column.ty.user().is_some()) {
        return Ok(());
    }
    let own = table_type(table);
    if table.columns.iter().any(|column| contains(column.ty, own)) {
        return Err(member_of_itself(&table.name));
    }
    Ok(())
}

/// What a composite type needs is what its columns need.
fn retain_needed(object: &mut Object) {
    let ObjectKind::Type(definition) = &object.kind else { return };
    if let UserKind::Composite { fields, .. } = &definition.kind {
        let needed: Vec<u32> =
            fields.iter().filter_map(|field| need_of_type(field.ty)).map(|need| need.id).collect();
        object.needs.retain(|need| needed.contains(&need.id));
    }
}

fn change(name: &str, definition: &mut TypeDefinition, change: &TypeChange) -> Result<Skipped> {
    let highest = &mut definition.highest;
    match (&mut definition.kind, change) {
        (UserKind::Enum(labels), TypeChange::AddLabel { label, beside, if_not_exists }) => {
            if labels.iter().any(|known| known.label == *label) {
                let message = format!("enum label \"{label}\" already exists");
                if *if_not_exists {
                    let message = format!("{message}, skipping");
                    return Ok(Some((message, SqlState::DuplicateObject)));
                }
                return Err(SqlError::new(SqlState::DuplicateObject, message));
            }
            add_label(labels, label, beside.as_ref())?;
        }
        (UserKind::Enum(labels), TypeChange::RenameLabel { from, to }) => {
            let place = labels.iter().position(|known| known.label == *from);
            let Some(place) = place else { return Err(no_label(from)) };
            if labels.iter().any(|known| known.label == *to) {
                let message = format!("enum label \"{to}\" already exists");
                return Err(SqlError::new(SqlState::DuplicateObject, message));
            }
            labels[place].label.clone_from(to);
        }
        (UserKind::Composite { fields, .. }, change) => {
            let mut changed = fields.to_vec();
            let skipped = change_fields(name, &mut changed, highest, change)?;
            *fields = changed.into();
            return Ok(skipped);
        }
        (UserKind::Domain(domain), change) => return change_domain(name, domain, change),
        _ => return Err(SqlError::internal(format!("type {name} cannot be changed so"))),
    }
    Ok(None)
}

fn no_label(label: &str) -> SqlError {
    let message = format!("\"{label}\" is not an existing enum label");
    SqlError::new(SqlState::InvalidParameterValue, message)
}

fn add_label(
    labels: &mut Vec<EnumLabel>,
    label: &str,
    beside: Option<&(bool, String)>,
) -> Result<()> {
    let place = match beside {
        None => labels.len(),
        Some((is_before, other)) => {
            let place = labels.iter().position(|known| known.label == *other);
            let place = place.ok_or_else(|| no_label(other))?;
            if *is_before { place } else { place + 1 }
        }
    };
    let below = place.checked_sub(1).map(|before| &labels[before]);
    let above = labels.get(place);
    let low = below.map_or(0, |label| label.key);
    let key = match above {
        None => low.checked_add(EnumLabel::APART),
        Some(above) => Some(low + (above.key - low) / 2).filter(|key| *key > low),
    };
    let Some(key) = key else {
        let message = "too many labels were added between two labels of an enum";
        return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
    };
    let order = match (below, above) {
        (None, None) => 1.0,
        (Some(below), None) => below.order + 1.0,
        (None, Some(above)) => above.order - 1.0,
        (Some(below), Some(above)) => (below.order + above.order) / 2.0,
    };
    let is_new = [below, above].iter().flatten().all(|other| other.order != order);
    labels.insert(place, EnumLabel { key, order, label: label.to_owned() });
    if !is_new {
        labels.iter_mut().zip(1u16..).for_each(|(label, place)| label.order = f32::from(place));
    }
    Ok(())
}

fn change_fields(
    name: &str,
    fields: &mut Vec<Field>,
    highest: &mut u16,
    change: &TypeChange,
) -> Result<Skipped> {
    let place = |fields: &[Field], column: &str| {
        let place = fields.iter().position(|field| *field.name == *column);
        place.ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{name}\" does not exist");
            SqlError::new(SqlState::UndefinedColumn, message)
        })
    };
    let duplicate = |column: &str| {
        let message = format!("column \"{column}\" of relation \"{name}\" already exists");
        Err(SqlError::new(SqlState::DuplicateColumn, message))
    };
    match change {
        TypeChange::AddField(field) => {
            if place(fields, &field.name).is_ok() {
                return duplicate(&field.name);
            }
            *highest += 1;
            fields.push(Field { number: *highest, ..field.clone() });
        }
        TypeChange::DropField { name: column, if_exists } => match place(fields, column) {
            Ok(place) => drop(fields.remove(place)),
            Err(error) if *if_exists => {
                return Ok(Some((
                    format!("{}, skipping", error.message),
                    SqlState::SuccessfulCompletion,
                )));
            }
            Err(error) => return Err(error),
        },
        TypeChange::AlterField(field) => {
            let place = place(fields, &field.name)?;
            (fields[place].ty, fields[place].typmod) = (field.ty, field.typmod);
        }
        TypeChange::RenameField { from, to } => {
            let at = place(fields, from)?;
            if place(fields, to).is_ok() {
                return duplicate(to);
            }
            fields[at].name = to.as_str().into();
        }
        _ => return Err(SqlError::internal(format!("type {name} cannot be changed so"))),
    }
    Ok(None)
}

fn change_domain(name: &str, domain: &mut Domain, change: &TypeChange) -> Result<Skipped> {
    let undefined = |check: &str| {
        let message = format!("constraint \"{check}\" of domain \"{name}\" does not exist");
        SqlError::new(SqlState::UndefinedObject, message)
    };
    let duplicate = |check: &str| {
        let message = format!("constraint \"{check}\" for domain \"{name}\" already exists");
        Err(SqlError::new(SqlState::DuplicateObject, message))
    };
    let place =
        |domain: &Domain, check: &str| domain.checks.iter().position(|known| known.name == *check);
    match change {
        TypeChange::SetDefault(default) => domain.default.clone_from(default),
        TypeChange::SetNotNull(not_null) => domain.not_null = *not_null,
        TypeChange::AddCheck(check) => {
            if place(domain, &check.name).is_some() {
                return duplicate(&check.name);
            }
            domain.checks.push(check.clone());
            // In the order of their names, as PostgreSQL has it.
            domain.checks.sort_by(|a, b| a.name.cmp(&b.name));
        }
        TypeChange::DropCheck { name: check, if_exists } => match place(domain, check) {
            Some(place) => drop(domain.checks.remove(place)),
            None if *if_exists => {
                let message = format!("{}, skipping", undefined(check).message);
                return Ok(Some((message, SqlState::SuccessfulCompletion)));
            }
            None => return Err(undefined(check)),
        },
        TypeChange::RenameCheck { from, to } => {
            let at = place(domain, from).ok_or_else(|| undefined(from))?;
            if place(domain, to).is_some() {
                return duplicate(to);
            }
            domain.checks[at].name.clone_from(to);
        }
        TypeChange::ValidateCheck(check) => {
            let at = place(domain, check).ok_or_else(|| undefined(check))?;
            domain.checks[at].is_valid = true;
        }
        _ => return Err(SqlError::internal(format!("domain {name} cannot be changed so"))),
    }
    Ok(None)
}

/// The tables with a column of a type, and the columns' places.
fn columns_of(cx: &mut DdlContext<'_>, ty: DataType) -> Result<Vec<(Arc<Table>, Vec<usize>)>> {
    let mut found = Vec::new();
    for table in tables(cx.txn, ReadAt::Newest)? {
        let places: Vec<usize> = table
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| contains(column.ty, ty))
            .map(|(place, _)| place)
            .collect();
        if !places.is_empty() {
            found.push((table, places));
        }
    }
    Ok(found)
}

/// Whether values of a type have values of another in them.
fn contains(outer: DataType, ty: DataType) -> bool {
    if outer == ty {
        return true;
    }
    if let Some(element) = outer.element() {
        return contains(element, ty);
    }
    match outer {
        DataType::User(user) => {
            user.domain().is_some_and(|domain| contains(domain.base, ty))
                || user
                    .fields()
                    .is_some_and(|fields| fields.iter().any(|field| contains(field.ty, ty)))
        }
        _ => false,
    }
}

/// 0A000 if a table has a column of a composite type whose columns change their types.
fn refuse_columns(cx: &mut DdlContext<'_>, object: &Object) -> Result<()> {
    let Some(ty) = object_type(object) else { return Ok(()) };
    match columns_of(cx, ty)?.first() {
        None => Ok(()),
        Some((table, places)) => {
            let message = format!(
                "cannot alter type \"{}\" because column \"{}.{}\" uses it",
                object.name, table.name, table.columns[places[0]].name
            );
            Err(SqlError::new(SqlState::FeatureNotSupported, message))
        }
    }
}

/// Holds all values of a domain in tables against its constraints as they are now.
fn check_values(cx: &mut DdlContext<'_>, object: &Object) -> Result<()> {
    let Some(ty) = object_type(object) else { return Ok(()) };
    for (table, places) in columns_of(cx, ty)? {
        let table = cx.take(&table)?;
        let name = table.name.clone();
        for place in places {
            let column = table.columns[place].clone();
            for_each_row(cx, &table, &mut |cx, _, row| {
                check_domains(column.ty, &row[place], cx.eval).map_err(|error| {
                    let error = SqlError::from(error);
                    let values = match error.state {
                        SqlState::NotNullViolation => "null values",
                        SqlState::CheckViolation => "values that violate the new constraint",
                        _ => return error,
                    };
                    let message =
                        format!("column \"{}\" of table \"{name}\" contains {values}", column.name);
                    SqlError::new(error.state, message)
                })
            })?;
        }
    }
    Ok(())
}

/// Makes a table's needs those that its columns' types say.
pub(crate) fn note_types(table: &mut Table) {
    let types: Vec<TableNeed> = table
        .columns
        .iter()
        .filter_map(|column| {
            let need = need_of_type(column.ty)?;
            Some(TableNeed { part: TablePart::Column(column.id), need })
        })
        .filter(|needing| needing.need.id != table.id.0)
        .collect();
    table.needs.retain(|needing| {
        !matches!(needing.part, TablePart::Column(_))
            || needing.need.column.is_some()
            || types.contains(needing)
    });
    for needing in types {
        if !table.needs.contains(&needing) {
            table.needs.push(needing);
        }
    }
}
