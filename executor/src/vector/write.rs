//! Values to the wire's two forms, without making a [`Value`] where that would allocate.

use driftdb_types::{EvalContext, Value};

use super::{Data, Vector};

/// Calls `write` with the value of a row that is not NULL; the bytes of strings go to `text`.
fn with_value(
    vector: &Vector,
    row: usize,
    out: &mut Vec<u8>,
    write: impl FnOnce(&Value, &mut Vec<u8>),
) -> bool {
    if vector.is_null(row) {
        return true;
    }
    match vector.data() {
        // Both forms of a string are its bytes.
        Data::Text(data) => out.extend_from_slice(data.get(row).as_bytes()),
        Data::Values(data) => write(&data[row], out),
        Data::Constant(value) => write(value, out),
        Data::Int(_) | Data::Float(_) | Data::Bool(_) => write(&vector.value(row), out),
    }
    false
}

/// Appends the text form of a value; whether it is NULL (then nothing was written).
pub(crate) fn write_text(
    vector: &Vector,
    row: usize,
    ctx: &EvalContext,
    out: &mut Vec<u8>,
) -> bool {
    with_value(vector, row, out, |value, out| {
        driftdb_types::write_text(value, vector.ty(), ctx, out);
    })
}

/// Appends the binary form of a value; whether it is NULL (then nothing was written).
pub(crate) fn write_binary(vector: &Vector, row: usize, out: &mut Vec<u8>) -> bool {
    with_value(vector, row, out, |value, out| {
        driftdb_types::write_binary(value, vector.ty(), out);
    })
}
