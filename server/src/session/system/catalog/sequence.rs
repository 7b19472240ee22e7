//! pg_sequence, and what the other relations say of sequences.

use driftdb_query::Result;
use driftdb_types::{DataType, Value};

use super::super::rows::Rows;
use super::Definitions;

/// The columns that a sequence has.
pub(super) const COLUMNS: [(&str, DataType); 3] =
    [("last_value", DataType::Int8), ("log_cnt", DataType::Int8), ("is_called", DataType::Bool)];

pub(super) fn rows(definitions: &Definitions, rows: &mut Rows<'_>) -> Result<()> {
    let mut columns = rows.columns([
        "seqrelid",
        "seqtypid",
        "seqstart",
        "seqincrement",
        "seqmax",
        "seqmin",
        "seqcache",
        "seqcycle",
    ])?;
    for (object, sequence) in definitions.sequences() {
        columns.add([
            Value::Oid(object.id.0),
            Value::Oid(sequence.ty.oid()),
            Value::Int8(sequence.start),
            Value::Int8(sequence.increment),
            Value::Int8(sequence.max),
            Value::Int8(sequence.min),
            Value::Int8(sequence.cache),
            Value::Bool(sequence.cycle),
        ])?;
    }
    Ok(())
}
