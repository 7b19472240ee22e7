//! Who may do what: asked of the catalog as it is now, whatever time a statement reads at.
//!
//! Source: PostgreSQL 15, executor/execMain.c (ExecCheckRTEPerms) and catalog/aclchk.c
//! (aclcheck_error), whose rules and texts these are.

use std::sync::Arc;

use driftdb_concurrency::{ReadAt, Transaction};
use driftdb_query::{
    Acting, Demand, Known, NameSpace, Named, Object, ObjectId, ObjectKind, Privileges, Result,
    Rights, Role, SqlError, Subject,
};
use driftdb_types::SqlState;

use super::{object_by_id, objects_named};

/// A transaction as one who knows roles and privileges.
pub struct Knowing<'a>(pub &'a mut dyn Transaction);

impl std::fmt::Debug for Knowing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Knowing")
    }
}

impl Known for Knowing<'_> {
    fn role(&mut self, id: u32) -> Result<Option<Role>> {
        let found = object_by_id(self.0, ObjectId(id), ReadAt::Newest)?;
        Ok(found.and_then(|object| match &object.kind {
            ObjectKind::Role(role) => Some((**role).clone()),
            _ => None,
        }))
    }

    fn privileges(&mut self, subject: Subject) -> Result<Option<Privileges>> {
        let (space, name) = (NameSpace::Privileges, subject.name());
        let found = objects_named(self.0, space, "", &name, ReadAt::Newest)?;
        Ok(found.first().and_then(|object| match &object.kind {
            ObjectKind::Privileges(privileges) => Some((**privileges).clone()),
            _ => None,
        }))
    }
}

/// The role of a name, as of now.
///
/// # Errors
/// Storage; a malformed record.
pub fn role_named(txn: &mut dyn Transaction, name: &str) -> Result<Option<Arc<Object>>> {
    Ok(objects_named(txn, NameSpace::Role, "", name, ReadAt::Newest)?.into_iter().next())
}

/// What is so of something now.
pub(crate) fn privileges_of(known: &mut dyn Known, subject: Subject) -> Result<Privileges> {
    Ok(known.privileges(subject)?.unwrap_or_else(|| Privileges::first(subject)))
}

/// 42501
pub(crate) fn denied(what: &Named) -> SqlError {
    let message = format!("permission denied for {} {}", what.word, what.name);
    SqlError::new(SqlState::InsufficientPrivilege, message)
}

/// 42501
pub(crate) fn not_owner(what: &Named) -> SqlError {
    let message = format!("must be owner of {} {}", what.word, what.name);
    SqlError::new(SqlState::InsufficientPrivilege, message)
}

/// Fails unless somebody may do something.
///
/// # Errors
/// 42501; storage.
pub(crate) fn demand(acting: &Acting, demand: &Demand, known: &mut dyn Known) -> Result<()> {
    if acting.is_superuser {
        return Ok(());
    }
    match demand {
        Demand::Superuser(message) => {
            Err(SqlError::new(SqlState::InsufficientPrivilege, message.clone()))
        }
        Demand::Owner(what) => {
            if privileges_of(known, what.subject)?.is_owned_by(acting) {
                return Ok(());
            }
            Err(not_owner(what))
        }
        Demand::Rights(what, rights) => {
            if privileges_of(known, what.subject)?.held(acting).has(*rights) {
                return Ok(());
            }
            Err(denied(what))
        }
        Demand::Columns { table, rights, selected, inserted, updated } => {
            let missing = *rights & !privileges_of(known, table.subject)?.held(acting);
            let by_column =
                [(Rights::SELECT, selected), (Rights::INSERT, inserted), (Rights::UPDATE, updated)];
            let all = by_column.iter().fold(Rights::NONE, |all, (right, _)| all | *right);
            if !(missing & !all).is_none() {
                return Err(denied(table));
            }
            for (right, columns) in by_column {
                if missing.has(right) && !has_columns(acting, table, right, columns, known)? {
                    return Err(denied(table));
                }
            }
            Ok(())
        }
    }
}

/// Whether somebody has a right on some columns; where none is meant, on any.
fn has_columns(
    acting: &Acting,
    table: &Named,
    right: Rights,
    columns: &[u16],
    known: &mut dyn Known,
) -> Result<bool> {
    /// No table has more columns.
    const MOST: u16 = 1600;
    let mut has = |column: u16| -> Result<bool> {
        let found = known.privileges(Subject::column(table.subject.id, column))?;
        Ok(found.is_some_and(|found| found.held(acting).has(right)))
    };
    if columns.is_empty() {
        for column in 1..=MOST {
            if has(column)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    for column in columns {
        if !has(*column)? {
            return Ok(false);
        }
    }
    Ok(true)
}
