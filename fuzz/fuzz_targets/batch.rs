//! Any bytes are a batch or an error; a batch written again is the same batch.
#![no_main]

use driftdb_fuzz as _; // Limits allocations.
use driftdb_storage::{Operation, WriteBatch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let batch = match WriteBatch::from_bytes(bytes) {
        Ok(batch) => batch,
        Err(error) => {
            assert!(error.offset < bytes.len());
            return;
        }
    };
    let mut again = WriteBatch::new();
    for operation in batch.operations() {
        match operation {
            Operation::Put { space, key, value } => again.put(space, key, value),
            Operation::Delete { space, key } => again.delete(space, key),
            Operation::DeleteRange { space, start, end } => again.delete_range(space, start, end),
            Operation::CreateKeyspace(space) => again.create_keyspace(space),
            Operation::DropKeyspace(space) => again.drop_keyspace(space),
        }
    }
    // Numbers may come in longer forms than we write.
    assert!(again.as_bytes().len() <= bytes.len());
    let again = WriteBatch::from_bytes(again.as_bytes()).expect("what was written is a batch");
    assert_eq!(again.len(), batch.len());
    assert!(again.operations().eq(batch.operations()));
});
