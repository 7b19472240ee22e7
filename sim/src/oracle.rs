//! Oracles of isolation: what transactions saw, judged by the level that they were promised.
//!
//! Two that trust different things, and a graph that both fill:
//!
//! * [`lists`] is *black-box*: it trusts no timestamp of the store. Values are appended to lists, once
//!   each, so a list that was read shows which versions came before it, and in which order
//!   [Kingsbury20].
//! * [`versions`] is *white-box* and exact: from snapshots and commit timestamps it knows what every read
//!   must have given, also of ranges and of keys that are not there, and also in the past.
//! * [`graph`] holds who depends on whom, finds cycles, and says which level forbids them [Adya99].

pub(crate) mod graph;
pub(crate) mod lists;
pub(crate) mod versions;
