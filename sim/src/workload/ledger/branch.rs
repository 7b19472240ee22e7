//! The ledger in a branch: what one database acknowledges, another must not see.
//!
//! In some seeds the accounts are made in the main database, and everything else happens in a branch
//! of it. The main database must show the accounts as they were made, for ever; and the branch, once it
//! was there, must be there.

use std::cell::Cell;
use std::sync::Arc;

use driftdb_concurrency::BeginOptions;
use driftdb_env::Rng;
use driftdb_server::{Node, Session, SessionOptions};
use driftdb_storage::ErrorKind;
use driftdb_types::SqlState;

use super::{book, must_not_happen, read_all};
use crate::node::Finding;
use crate::plan::Plan;
use crate::sql::Refusal;

const NAME: &str = "ledger";

/// Where the ledger is.
pub(super) struct InBranch {
    is_wanted: bool,
    is_there: Cell<bool>,
}

impl InBranch {
    pub(super) fn new(plan: &Plan) -> Self {
        let is_wanted = Rng::stream(plan.seed, "ledger in a branch").below(4) == 0;
        Self { is_wanted, is_there: Cell::new(false) }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// The database of the ledger, which is made if it is not there; `None` if the node refuses.
    pub(super) fn database(&self, node: &Arc<Node>) -> Result<Option<Arc<Node>>, Finding> {
        if !self.is_wanted {
            return Ok(Some(Arc::clone(node)));
        }
        match self.open(node) {
            Ok(database) => Ok(Some(database)),
            Err(Refusal::Violation(what)) => Err(what.into()),
            Err(_) => Ok(None),
        }
    }

    fn open(&self, node: &Arc<Node>) -> Result<Arc<Node>, Refusal> {
        match node.database(NAME) {
            Err(error) if error.state == SqlState::InvalidCatalogName => {}
            opened => {
                let opened = opened?;
                self.is_there.set(true);
                return Ok(opened);
            }
        }
        if self.is_there.get() {
            let what = "durability: the branch was acknowledged and is gone";
            return Err(Refusal::Violation(what.into()));
        }
        let mut session = Session::new(node, &SessionOptions::default())?;
        session.query(&format!("CREATE BRANCH {NAME}"))?;
        self.is_there.set(true);
        Ok(node.database(NAME)?)
    }

    /// Looks whether the main database is as it was made.
    pub(super) fn judge_main(&self, node: &Arc<Node>, accounts: u64) -> Result<bool, Finding> {
        if !self.is_there.get() {
            return Ok(true);
        }
        let view = match read_all(node.store(), BeginOptions::default()) {
            Ok(view) => view,
            Err(error) => {
                return match must_not_happen(&error) {
                    Some(what) => Err(what),
                    None => Ok(error.kind() != ErrorKind::Unavailable),
                };
            }
        };
        let is_as_made = |row: &book::Row| row.value == book::INITIAL.to_le_bytes();
        if view.rows.len() as u64 != accounts || !view.rows.iter().all(is_as_made) {
            return Err(format!("branches: the main database shows {view:?}").into());
        }
        Ok(true)
    }
}
