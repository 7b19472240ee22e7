//! Roles: who may log in, what they are by themselves, and of which other roles they are members.
//!
//! A role is an object of the catalog like any other, in no schema. Some have no record: the one that
//! every database begins with, which may do everything, and those that PostgreSQL predefines.
//! What a role has through others is computed here ([`Acting`]), over whoever knows roles ([`Known`]).
//!
//! Source: PostgreSQL 15, catalog/pg_authid.dat and utils/adt/acl.c (roles_is_member_of).

use std::collections::BTreeSet;

use crate::{OWNER, Privileges, Result, Subject};

/// The role that a database begins with: it may do everything and owns what belongs to nobody else.
pub const BOOTSTRAP_ROLE: u32 = 10;

/// In lists of privileges: everybody.
pub const EVERYBODY: u32 = 0;

/// The role of whoever owns the database.
pub const DATABASE_OWNER_ROLE: u32 = 6171;

/// May read every table.
pub const READ_ALL_ROLE: u32 = 6181;

/// May write every table.
pub const WRITE_ALL_ROLE: u32 = 6182;

/// May send signals to other sessions.
pub const SIGNAL_ROLE: u32 = 4200;

/// May make checkpoints.
pub const CHECKPOINT_ROLE: u32 = 4544;

/// The roles without a record, by identifier.
pub const FIXED_ROLES: [(u32, &str); 13] = [
    (BOOTSTRAP_ROLE, OWNER),
    (DATABASE_OWNER_ROLE, "pg_database_owner"),
    (READ_ALL_ROLE, "pg_read_all_data"),
    (WRITE_ALL_ROLE, "pg_write_all_data"),
    (3373, "pg_monitor"),
    (3374, "pg_read_all_settings"),
    (3375, "pg_read_all_stats"),
    (3377, "pg_stat_scan_tables"),
    (4569, "pg_read_server_files"),
    (4570, "pg_write_server_files"),
    (4571, "pg_execute_server_program"),
    (SIGNAL_ROLE, "pg_signal_backend"),
    (CHECKPOINT_ROLE, "pg_checkpoint"),
];

/// A role's attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// SUPERUSER
    pub superuser: bool,
    /// INHERIT: has what the roles have of which it is a member.
    pub inherit: bool,
    /// CREATEROLE
    pub create_role: bool,
    /// CREATEDB
    pub create_database: bool,
    /// LOGIN
    pub login: bool,
    /// REPLICATION
    pub replication: bool,
    /// BYPASSRLS
    pub bypass_rls: bool,
    /// CONNECTION LIMIT, or -1.
    pub connection_limit: i32,
    /// VALID UNTIL, as a `timestamptz`.
    pub valid_until: Option<i64>,
    /// The roles of which it is a member.
    pub member_of: Vec<Membership>,
}

/// That a role is a member of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Of which.
    pub role: u32,
    /// Who made it one.
    pub grantor: u32,
    /// WITH ADMIN OPTION
    pub admin: bool,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            superuser: false,
            inherit: true,
            create_role: false,
            create_database: false,
            login: false,
            replication: false,
            bypass_rls: false,
            connection_limit: -1,
            valid_until: None,
            member_of: Vec::new(),
        }
    }
}

impl Role {
    /// A role that has no record.
    pub fn fixed(id: u32) -> Option<Self> {
        FIXED_ROLES.iter().find(|(fixed, _)| *fixed == id)?;
        let all = id == BOOTSTRAP_ROLE;
        let through = |role: u32| Membership { role, grantor: BOOTSTRAP_ROLE, admin: false };
        Some(Self {
            superuser: all,
            create_role: all,
            create_database: all,
            login: all,
            replication: all,
            bypass_rls: all,
            // pg_monitor reads settings and statistics.
            member_of: if id == 3373 { [3374, 3375, 3377].map(through).into() } else { vec![] },
            ..Self::default()
        })
    }
}

/// What CREATE ROLE and ALTER ROLE say; `None`: nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "as the fields of Role")]
pub struct RoleOptions {
    pub superuser: Option<bool>,
    pub inherit: Option<bool>,
    pub create_role: Option<bool>,
    pub create_database: Option<bool>,
    pub login: Option<bool>,
    pub replication: Option<bool>,
    pub bypass_rls: Option<bool>,
    pub connection_limit: Option<i32>,
    pub valid_until: Option<Option<i64>>,
}

impl RoleOptions {
    /// Does to a role what was said.
    pub fn apply(&self, role: &mut Role) {
        let set = |field: &mut bool, said: Option<bool>| *field = said.unwrap_or(*field);
        set(&mut role.superuser, self.superuser);
        set(&mut role.inherit, self.inherit);
        set(&mut role.create_role, self.create_role);
        set(&mut role.create_database, self.create_database);
        set(&mut role.login, self.login);
        set(&mut role.replication, self.replication);
        set(&mut role.bypass_rls, self.bypass_rls);
        role.connection_limit = self.connection_limit.unwrap_or(role.connection_limit);
        role.valid_until = self.valid_until.unwrap_or(role.valid_until);
    }
}

/// Whoever knows roles and what they may do.
pub trait Known {
    /// A role by identity.
    ///
    /// # Errors
    /// Storage.
    fn role(&mut self, id: u32) -> Result<Option<Role>>;

    /// The owner and the privileges of something, where anything is said of them.
    ///
    /// # Errors
    /// Storage.
    fn privileges(&mut self, subject: Subject) -> Result<Option<Privileges>>;
}

/// A role with all that it is through others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acting {
    /// The role itself.
    pub id: u32,
    /// Whether it may do everything.
    pub is_superuser: bool,
    /// CREATEROLE
    pub may_create_roles: bool,
    /// The roles whose privileges it has, itself among them.
    pub has: BTreeSet<u32>,
    /// The roles that it may become, itself among them.
    pub may_become: BTreeSet<u32>,
    /// The roles of which it may make others members.
    pub administers: BTreeSet<u32>,
}

impl Acting {
    /// A role that acts.
    ///
    /// # Errors
    /// Storage.
    pub fn of(id: u32, known: &mut dyn Known) -> Result<Self> {
        let role = known.role(id)?.unwrap_or_default();
        let mut acting = Self {
            id,
            is_superuser: role.superuser,
            may_create_roles: role.superuser || role.create_role,
            ..Self::default()
        };
        let mut ahead = vec![(id, true, true)];
        while let Some((id, inherits, _)) = ahead.pop() {
            let is_new = acting.may_become.insert(id) | (inherits && acting.has.insert(id));
            if !is_new {
                continue;
            }
            let Some(role) = known.role(id)? else { continue };
            for membership in &role.member_of {
                if membership.admin {
                    acting.administers.insert(membership.role);
                }
                ahead.push((membership.role, inherits && role.inherit, false));
            }
            // The database belongs to the role that it began with.
            if id == BOOTSTRAP_ROLE {
                ahead.push((DATABASE_OWNER_ROLE, inherits, false));
            }
        }
        Ok(acting)
    }

    /// Whether it has what another role has.
    pub fn has_all_of(&self, role: u32) -> bool {
        self.is_superuser || self.has.contains(&role)
    }

    /// Whether it may become another role.
    pub fn may_be(&self, role: u32) -> bool {
        self.is_superuser || self.may_become.contains(&role)
    }
}

/// Statements about roles and privileges.
#[derive(Debug, Clone, PartialEq)]
pub enum RoleStatement {
    /// CREATE ROLE
    Create {
        /// Its name.
        name: String,
        /// What it is.
        options: RoleOptions,
        /// IN ROLE
        member_of: Vec<RoleRef>,
        /// ROLE, and with ADMIN
        members: Vec<(RoleRef, bool)>,
        /// What is not kept.
        notices: Vec<String>,
    },
    /// ALTER ROLE
    Alter {
        /// Which.
        role: RoleRef,
        /// What changes.
        options: RoleOptions,
        /// What is not kept.
        notices: Vec<String>,
    },
    /// ALTER ROLE … RENAME TO
    Rename {
        /// Which.
        role: RoleRef,
        /// Its new name.
        to: String,
    },
    /// DROP ROLE
    Drop {
        /// Which.
        roles: Vec<RoleRef>,
        /// IF EXISTS
        if_exists: bool,
    },
    /// GRANT and REVOKE of roles
    Member {
        /// GRANT
        is_grant: bool,
        /// Of which.
        roles: Vec<RoleRef>,
        /// Who.
        members: Vec<RoleRef>,
        /// WITH ADMIN OPTION, or only that is taken back.
        admin: bool,
    },
    /// GRANT and REVOKE of privileges
    Privileges {
        /// GRANT
        is_grant: bool,
        /// On what, each with its rights.
        on: Vec<(Named, crate::Rights)>,
        /// Whom.
        grantees: Vec<RoleRef>,
        /// WITH GRANT OPTION, or only that is taken back.
        option: bool,
        /// CASCADE
        cascade: bool,
        /// GRANTED BY
        grantor: Option<RoleRef>,
        /// ALL PRIVILEGES: where only some can be given, these are.
        is_all: bool,
    },
    /// ALTER … OWNER TO
    SetOwner {
        /// Of what.
        of: Vec<Named>,
        /// Who.
        owner: RoleRef,
        /// The command.
        command: &'static str,
    },
    /// REASSIGN OWNED
    Reassign {
        /// Whose.
        from: Vec<RoleRef>,
        /// To whom.
        to: RoleRef,
    },
    /// DROP OWNED
    DropOwned {
        /// Whose.
        roles: Vec<RoleRef>,
        /// CASCADE
        cascade: bool,
    },
    /// ALTER … OWNER TO of what is not there, with IF EXISTS.
    Nothing {
        /// The texts of notices.
        notices: Vec<String>,
        /// The command.
        command: &'static str,
    },
}

/// Something as a statement means it: what it is, and what messages call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// What.
    pub subject: Subject,
    /// PostgreSQL's word for its kind.
    pub word: &'static str,
    /// Its name.
    pub name: String,
}

/// A role as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleRef {
    /// CURRENT_USER, CURRENT_ROLE
    Current,
    /// SESSION_USER
    Session,
    /// PUBLIC
    Everybody,
    /// By name.
    Name(String),
}

impl RoleStatement {
    /// The command tag.
    pub fn command(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE ROLE",
            Self::Alter { .. } | Self::Rename { .. } => "ALTER ROLE",
            Self::Drop { .. } => "DROP ROLE",
            Self::Member { is_grant: true, .. } => "GRANT ROLE",
            Self::Member { .. } => "REVOKE ROLE",
            Self::Privileges { is_grant: true, .. } => "GRANT",
            Self::Privileges { .. } => "REVOKE",
            Self::SetOwner { command, .. } | Self::Nothing { command, .. } => command,
            Self::Reassign { .. } => "REASSIGN OWNED",
            Self::DropOwned { .. } => "DROP OWNED",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Some_(BTreeMap<u32, Role>);

    impl Known for Some_ {
        fn role(&mut self, id: u32) -> Result<Option<Role>> {
            Ok(self.0.get(&id).cloned().or_else(|| Role::fixed(id)))
        }

        fn privileges(&mut self, _: Subject) -> Result<Option<Privileges>> {
            Ok(None)
        }
    }

    #[test]
    fn a_role_is_what_its_roles_are_as_far_as_it_inherits() {
        let of = |roles: &[u32], inherit: bool| Role {
            inherit,
            member_of: roles
                .iter()
                .map(|role| Membership { role: *role, grantor: 10, admin: *role == 4 })
                .collect(),
            ..Role::default()
        };
        // 1 is a member of 2, that of 3, that of 4 without inheriting; and in a circle.
        let roles = [(1, of(&[2], true)), (2, of(&[3], true)), (3, of(&[4, 1], false))];
        let mut known = Some_(roles.into_iter().chain([(4, of(&[], true))]).collect());
        let acting = Acting::of(1, &mut known).unwrap();
        assert_eq!(acting.has.iter().copied().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(acting.may_become.iter().copied().collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert!(acting.administers.contains(&4) && !acting.is_superuser);
        let all = Acting::of(BOOTSTRAP_ROLE, &mut known).unwrap();
        assert!(all.is_superuser && all.has_all_of(4) && all.has.contains(&DATABASE_OWNER_ROLE));
    }
}
