//! GRANT and REVOKE of privileges.
//!
//! Source: PostgreSQL 15, catalog/aclchk.c (restrict_and_check_grant, ExecGrant_Relation).

use driftdb_query::{
    Acting, EVERYBODY, Named, Privileges, Result, Rights, RoleRef, RoleStatement, Securable,
    SqlError, Subject,
};
use driftdb_types::SqlState;

use super::{DdlContext, INVALID_GRANT, acting, all_privileges, existing, privileges_of, write};
use crate::catalog::denied;

/// What a statement does to each list.
struct Deed {
    is_grant: bool,
    grantees: Vec<u32>,
    option: bool,
    cascade: bool,
    is_all: bool,
    by: Acting,
}

pub(super) fn run(
    cx: &mut DdlContext<'_>,
    statement: &RoleStatement,
    told: &mut Vec<SqlError>,
) -> Result<()> {
    let RoleStatement::Privileges { is_grant, on, grantees, option, cascade, grantor, is_all } =
        statement
    else {
        return Err(SqlError::internal("a grant that is none"));
    };
    if let Some(grantor) = grantor
        && existing(cx, grantor)?.id != cx.eval.role
    {
        let message = "grantor must be current user";
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let to = |role: &RoleRef, cx: &mut DdlContext<'_>| existing(cx, role).map(|found| found.id);
    let grantees = grantees.iter().map(|role| to(role, cx)).collect::<Result<Vec<_>>>()?;
    if *is_grant && *option && grantees.contains(&EVERYBODY) {
        return Err(SqlError::new(INVALID_GRANT, "grant options can only be granted to roles"));
    }
    let deed = Deed {
        is_grant: *is_grant,
        grantees,
        option: *option,
        cascade: *cascade,
        is_all: *is_all,
        by: acting(cx)?,
    };
    for (what, rights) in on {
        deed.apply(cx, what, *rights, told)?;
    }
    Ok(())
}

impl Deed {
    fn apply(
        &self,
        cx: &mut DdlContext<'_>,
        what: &Named,
        rights: Rights,
        told: &mut Vec<SqlError>,
    ) -> Result<()> {
        let subject = what.subject;
        let mut privileges = privileges_of(cx, subject)?;
        // A column belongs to its table's owner, and whoever may give a right on that may give it on this.
        let (mut grantable, mut held) = (privileges.grantable(&self.by), privileges.held(&self.by));
        if subject.kind == Securable::Column {
            let table = privileges_of(cx, Subject::whole(Securable::Table, subject.id))?;
            privileges.owner = table.owner;
            grantable = grantable | table.grantable(&self.by);
            held = held | table.held(&self.by);
            if table.is_owned_by(&self.by) {
                grantable = Securable::Column.all();
            }
        }
        if grantable.is_none() && held.is_none() {
            return Err(denied(what));
        }
        let given = rights & grantable;
        self.warn(&what.name, given, rights, told);
        if given.is_none() {
            return Ok(());
        }
        let grantor = privileges.grantor(&self.by, given);
        self.change(&mut privileges, grantor, given)?;
        write(cx, &privileges)?;
        if !self.is_grant && subject.kind == Securable::Table {
            self.revoke_of_columns(cx, subject.id, grantor, given)?;
        }
        Ok(())
    }

    fn change(&self, privileges: &mut Privileges, grantor: u32, rights: Rights) -> Result<()> {
        for grantee in &self.grantees {
            if self.is_grant {
                privileges.grant(grantor, *grantee, rights, self.option);
            } else if !privileges.revoke((grantor, *grantee), rights, self.option, self.cascade) {
                let message = "dependent privileges exist";
                return Err(SqlError::new(SqlState::DependentObjectsStillExist, message)
                    .with_hint("Use CASCADE to revoke them too."));
            }
        }
        Ok(())
    }

    /// What is taken back on a table is taken back on its columns.
    fn revoke_of_columns(
        &self,
        cx: &mut DdlContext<'_>,
        table: u32,
        grantor: u32,
        rights: Rights,
    ) -> Result<()> {
        for (_, mut privileges) in all_privileges(cx)? {
            let subject = privileges.subject;
            if (subject.kind, subject.id) == (Securable::Column, table) {
                self.change(&mut privileges, grantor, rights & Securable::Column.all())?;
                write(cx, &privileges)?;
            }
        }
        Ok(())
    }

    fn warn(&self, name: &str, given: Rights, rights: Rights, told: &mut Vec<SqlError>) {
        let (state, verb) = if self.is_grant {
            (SqlState::Other(*b"01007"), "were granted")
        } else {
            (SqlState::Other(*b"01006"), "could be revoked")
        };
        if given.is_none() {
            told.push(SqlError::new(state, format!("no privileges {verb} for \"{name}\"")));
        } else if given != rights && !self.is_all {
            told.push(SqlError::new(state, format!("not all privileges {verb} for \"{name}\"")));
        }
    }
}
