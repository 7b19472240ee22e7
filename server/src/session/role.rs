//! Who a session is: the user who is connected, the session's user, and the role whose rights count.
//!
//! `SET SESSION AUTHORIZATION` and `SET ROLE` are settings, so that transactions undo them. What they are
//! set to is a name, of which the identifier is remembered: a role keeps its rights under another name.
//!
//! Source: PostgreSQL 15, commands/variable.c (check_session_authorization, check_role).

use std::collections::BTreeMap;
use std::sync::Arc;

use driftdb_concurrency::{BeginOptions, Transaction};
use driftdb_query::{Acting, BOOTSTRAP_ROLE, ObjectKind, Result, SetScope, SqlError};
use driftdb_tables::{Knowing, role_named};
use driftdb_types::SqlState;

use super::Session;
use crate::Node;

/// SET SESSION AUTHORIZATION
pub(super) const SESSION_USER: &str = "session_authorization";
/// SET ROLE
pub(super) const ROLE: &str = "role";
/// What `role` is unless it is set.
const NO_ROLE: &str = "none";

/// What a session remembers of roles.
#[derive(Debug)]
pub(super) struct Identity {
    /// Who is connected.
    user: Arc<str>,
    /// The role that this is; [`BOOTSTRAP_ROLE`] for a name that is no role's.
    id: u32,
    is_superuser: bool,
    /// Roles that were set: their identifiers, and whether they may do everything.
    seen: BTreeMap<String, (u32, bool)>,
}

impl Identity {
    /// Who connects.
    ///
    /// # Errors
    /// 28000 for a role that may not log in, and for a name that is no role's if the configuration wants one.
    pub(super) fn of(node: &Node, user: &Arc<str>) -> Result<Self> {
        let refused = |message: String| {
            Err(SqlError::new(SqlState::InvalidAuthorizationSpecification, message))
        };
        let found = committed(node, |txn| find(txn, user))?;
        let (id, is_superuser) = match found {
            Some((id, acting, may_log_in)) => {
                if !may_log_in {
                    return refused(format!("role \"{user}\" is not permitted to log in"));
                }
                (id, acting.is_superuser)
            }
            None if node.config().unknown_roles == "refuse" => {
                return refused(format!("role \"{user}\" does not exist"));
            }
            None => (BOOTSTRAP_ROLE, true),
        };
        Ok(Self { user: Arc::clone(user), id, is_superuser, seen: BTreeMap::new() })
    }
}

/// Reads what is committed.
fn committed<T>(node: &Node, read: impl FnOnce(&mut dyn Transaction) -> Result<T>) -> Result<T> {
    let options = BeginOptions { read_only: true, ..BeginOptions::default() };
    let mut txn = node.store().begin(options)?;
    txn.begin_statement()?;
    let result = read(txn.as_mut());
    txn.rollback();
    result
}

/// A role with all that it is, as committed.
pub(super) fn committed_role(node: &Node, role: u32) -> Result<Acting> {
    committed(node, |txn| Acting::of(role, &mut Knowing(txn)))
}

/// A role by name: its identifier, what it is, and whether it may log in.
fn find(txn: &mut dyn Transaction, name: &str) -> Result<Option<(u32, Acting, bool)>> {
    let Some(object) = role_named(txn, name)? else { return Ok(None) };
    let ObjectKind::Role(role) = &object.kind else { return Ok(None) };
    let acting = Acting::of(object.id.0, &mut Knowing(txn))?;
    Ok(Some((object.id.0, acting, role.login)))
}

impl Session {
    /// SET ROLE and SET SESSION AUTHORIZATION; `None`: DEFAULT.
    pub(super) fn set_role(
        &mut self,
        setting: &'static str,
        value: Option<&str>,
        scope: SetScope,
    ) -> Result<()> {
        let value = value.filter(|value| setting != ROLE || *value != NO_ROLE);
        if let Some(name) = value {
            let id = self.look_up_role(name)?;
            let refused =
                |message: String| Err(SqlError::new(SqlState::InsufficientPrivilege, message));
            if setting == SESSION_USER {
                if !self.identity.is_superuser && id != self.identity.id {
                    return refused("permission denied to set session authorization".to_owned());
                }
            } else {
                let of = self.eval.session_role;
                let acting = match &mut self.block.txn {
                    Some(txn) => Acting::of(of, &mut Knowing(txn.as_mut()))?,
                    None => committed_role(&self.node, of)?,
                };
                if !acting.may_be(id) {
                    return refused(format!("permission denied to set role \"{name}\""));
                }
            }
        }
        self.settings.set_role(setting, value, scope);
        if setting == SESSION_USER {
            self.settings.set_role(ROLE, None, scope);
        }
        self.apply_settings();
        Ok(())
    }

    /// Fails unless the current role may make checkpoints.
    pub(super) fn check_may_checkpoint(&self) -> Result<()> {
        let role = self.eval.role;
        if role == BOOTSTRAP_ROLE {
            return Ok(());
        }
        let acting = committed_role(&self.node, role)?;
        if acting.has_all_of(driftdb_query::CHECKPOINT_ROLE) {
            return Ok(());
        }
        let message = "must be superuser or have privileges of pg_checkpoint to do CHECKPOINT";
        Err(SqlError::new(SqlState::InsufficientPrivilege, message))
    }

    /// A role by name, which is remembered.
    fn look_up_role(&mut self, name: &str) -> Result<u32> {
        if *name == *self.identity.user {
            let seen = (self.identity.id, self.identity.is_superuser);
            self.identity.seen.insert(name.to_owned(), seen);
            return Ok(self.identity.id);
        }
        let found = match &mut self.block.txn {
            Some(txn) => find(txn.as_mut(), name)?,
            None => committed(&self.node, |txn| find(txn, name))?,
        };
        let Some((id, acting, _)) = found else {
            let message = format!("role \"{name}\" does not exist");
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        };
        self.identity.seen.insert(name.to_owned(), (id, acting.is_superuser));
        Ok(id)
    }

    /// Who the settings say that the session is.
    pub(super) fn apply_identity(&mut self) {
        let seen = &self.identity.seen;
        let chosen = |setting: &'static str| {
            let name = self.settings.role(setting)?;
            let (id, is_superuser) = seen.get(name)?;
            Some((Arc::<str>::from(name), *id, *is_superuser))
        };
        let own = (Arc::clone(&self.identity.user), self.identity.id, self.identity.is_superuser);
        let session = chosen(SESSION_USER).unwrap_or(own);
        let current = chosen(ROLE).unwrap_or_else(|| session.clone());
        (self.eval.session_user, self.eval.session_role) = (session.0, session.1);
        (self.eval.user, self.eval.role) = (current.0, current.1);
        self.actions.lend_identity(&self.eval);
        self.settings.put_fact("is_superuser", if current.2 { "on" } else { "off" });
    }
}
