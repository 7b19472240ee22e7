//! What clients do, and what must hold for them.

pub(crate) mod ledger;
