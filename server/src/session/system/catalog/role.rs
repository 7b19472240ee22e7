//! pg_authid and pg_auth_members, and whose things are: owners and lists of privileges.

use driftdb_query::{
    FIXED_ROLES, Known, Object, ObjectKind, Privileges, Result, Role, Securable, Subject,
};
use driftdb_types::{Array, DataType, EvalContext, Value};

use super::super::rows::Rows;
use super::Definitions;
use crate::session::system::running::{OWNER_OID, USER_OID};

impl Definitions {
    /// The roles, by identifier.
    pub(in crate::session) fn roles(&self) -> impl Iterator<Item = (u32, &str, Role)> {
        let fixed = FIXED_ROLES.iter();
        let fixed = fixed.filter_map(|(id, name)| Some((*id, *name, Role::fixed(*id)?)));
        let of_users = self.objects.iter().filter_map(|object| match &object.kind {
            ObjectKind::Role(role) => Some((object.id.0, &*object.name, (**role).clone())),
            _ => None,
        });
        fixed.chain(of_users)
    }

    /// A role's name.
    pub(in crate::session) fn role_name(&self, id: u32) -> Option<&str> {
        self.roles().find(|role| role.0 == id).map(|role| role.1)
    }

    /// A role by name.
    pub(in crate::session) fn role_named(&self, name: &str) -> Option<u32> {
        self.roles().find(|role| role.1 == name).map(|role| role.0)
    }

    /// What is so of something.
    pub(in crate::session) fn privileges_of(&self, subject: Subject) -> Privileges {
        self.said_of(subject).cloned().unwrap_or_else(|| Privileges::first(subject))
    }

    fn said_of(&self, subject: Subject) -> Option<&Privileges> {
        let said = self.said.get_or_init(|| {
            let of = |(place, object): (usize, &std::sync::Arc<Object>)| match &object.kind {
                ObjectKind::Privileges(privileges) => Some((privileges.subject, place)),
                _ => None,
            };
            self.objects.iter().enumerate().filter_map(of).collect()
        });
        match &self.objects[*said.get(&subject)?].kind {
            ObjectKind::Privileges(privileges) => Some(privileges),
            _ => None,
        }
    }

    /// Who owns something.
    pub(in crate::session) fn owner_of(&self, subject: Subject) -> Value {
        let said = self.said_of(subject).map(|said| said.owner);
        Value::Oid(said.unwrap_or_else(|| subject.first_owner()))
    }

    /// A list of privileges as `aclitem[]`; NULL where nothing is said.
    pub(in crate::session) fn list_of(&self, subject: Subject) -> Result<Value> {
        let is_public = subject == Subject::whole(Securable::Schema, driftdb_query::PUBLIC_ID);
        match self.said_of(subject) {
            Some(said) if said.list.is_some() || is_public => self.shown_list(said),
            None if is_public => self.shown_list(&Privileges::first(subject)),
            _ => Ok(Value::Null),
        }
    }

    /// A list of privileges as it is shown.
    pub(in crate::session) fn shown_list(&self, privileges: &Privileges) -> Result<Value> {
        let name = |role: u32| self.role_name(role).map_or_else(|| role.to_string(), str::to_owned);
        let items = privileges.list();
        let texts = items.iter().map(|item| Value::text(item.text(&name))).collect();
        Ok(Value::array(Array::from_values(DataType::Text, texts)?))
    }
}

impl Known for &Definitions {
    fn role(&mut self, id: u32) -> Result<Option<Role>> {
        Ok(match self.object(id).map(|object| &object.kind) {
            Some(ObjectKind::Role(role)) => Some((**role).clone()),
            _ => Role::fixed(id),
        })
    }

    fn privileges(&mut self, subject: Subject) -> Result<Option<Privileges>> {
        Ok(self.said_of(subject).cloned())
    }
}

/// pg_authid: with the name that somebody is connected under who is no role.
pub(in crate::session::system) fn roles(
    definitions: &Definitions,
    eval: &EvalContext,
    rows: &mut Rows<'_>,
) -> Result<()> {
    let mut columns = rows.columns([
        "oid",
        "rolname",
        "rolsuper",
        "rolinherit",
        "rolcreaterole",
        "rolcreatedb",
        "rolcanlogin",
        "rolreplication",
        "rolbypassrls",
        "rolconnlimit",
        "rolvaliduntil",
    ])?;
    let connected = is_nobodys(definitions, eval).then(|| {
        let everything = Role::fixed(OWNER_OID).unwrap_or_default();
        (USER_OID, &*eval.session_user, everything)
    });
    for (id, name, role) in definitions.roles().chain(connected) {
        columns.add([
            Value::Oid(id),
            Value::text(name),
            Value::Bool(role.superuser),
            Value::Bool(role.inherit),
            Value::Bool(role.create_role),
            Value::Bool(role.create_database),
            Value::Bool(role.login),
            Value::Bool(role.replication),
            Value::Bool(role.bypass_rls),
            Value::Int4(role.connection_limit),
            role.valid_until.map_or(Value::Null, Value::Timestamptz),
        ])?;
    }
    Ok(())
}

/// Whether the session's user is no role.
fn is_nobodys(definitions: &Definitions, eval: &EvalContext) -> bool {
    eval.session_role == OWNER_OID && definitions.role_named(&eval.session_user).is_none()
}

pub(super) fn members(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns(["roleid", "member", "grantor", "admin_option"])?;
    for (id, _, role) in definitions.roles() {
        for membership in &role.member_of {
            columns.add([
                Value::Oid(membership.role),
                Value::Oid(id),
                Value::Oid(membership.grantor),
                Value::Bool(membership.admin),
            ])?;
        }
    }
    Ok(())
}
