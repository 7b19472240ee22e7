//! Tables, indexes and the catalog, laid out on keys.
//!
//! A row is one key of its table's keyspace: the primary key's columns encoded in order, or a hidden
//! number. An index entry is one key of the index's keyspace, whose value is the row's key. The
//! catalog is two more keyspaces, so that DDL is transactional and travels in time like any write.
//! Bytes: `docs/formats/row.md`, `docs/formats/catalog.md`.
//!
//! Invariants
//! * Every row has exactly one entry in every index of its table, in the same transaction.
//! * A statement that changes rows holds a share of its table's definition (`lock_table`), and DDL
//!   holds it alone: no row is written into a keyspace that another transaction is about to drop.

mod catalog;
mod ddl;
mod diff;
mod digest;
mod feed;
mod key;
mod reference;
mod row;
mod sequence;
mod uniqueness;
mod writer;

pub use catalog::{
    CatalogReader, CatalogStore, DdlGuard, Generation, Knowing, RestorePoint, create_restore_point,
    drop_restore_point, generations, history_rules, index_keyspaces, lock_table, object_by_id,
    objects, oldest_definitions, restore_point, restore_points, role_named, seen_from, table_by_id,
    table_retentions, tables, type_by_oid,
};
pub use ddl::{
    DdlContext, NoTerms, Terms, Thing, alter_sequence, alter_table, change_type, create_index,
    create_object, create_sequence, create_table, create_trigger, drop_all, drop_objects,
    drop_schemas, empty_materialized, enable_triggers, move_table, rename_object, rename_schema,
    replace_object, run_role_statement, set_comment, set_row_count, tables_in, told, triggers_of,
    truncate, undrop_references, undrop_table,
};
pub use diff::{Change, Mapping, TableDiff, check_comparable, check_same_types};
pub use digest::{
    Digest, Finding, Hash, Verdict, check as check_digest, digest, from_hex, hex, note_erased,
};
pub use feed::{Feed, FeedChange, FeedOp};
pub use key::{
    ByteRange, ValueBound, index_entry, index_range, point_key, primary_range, row_id_key,
};
pub use reference::{ChildScan, FoundRow, Reference, Referral};
pub use row::{Cell, RowReader, encode_row};
pub use sequence::{Sequences, Taken};
pub use uniqueness::{bare_key, claim_key, find_repeated, repeated};
pub use writer::{
    Conflict, Inserted, Recheck, RowState, TableWriter, fetch_row, row_detail, row_identity,
};
