//! The stores that ours are measured beside.

pub(crate) mod fjall;
pub(crate) mod lmdb;
pub(crate) mod redb;
pub(crate) mod rocksdb;
