//! What clients do, and what must hold for them.

pub(crate) mod bank;
pub(crate) mod ddl;
pub(crate) mod feed;
pub(crate) mod isolation;
pub(crate) mod ledger;
pub(crate) mod list_append;
pub(crate) mod query;
pub(crate) mod queue;
pub(crate) mod tpcc;
pub(crate) mod wire;
