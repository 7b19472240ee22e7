//! What a node must not keep when nobody wants anything of it any more.
//!
//! While it is open and all clients are gone: locks, waiters, readers that hold history, sessions. After it was closed: fibers, and
//! open files, those without a name among them. What takes a moment, a background task for instance, has [`PATIENCE`].
//!
//! Dead nodes are no matter: their fibers vanished where they stood, and what these had open stays so; hence the number of
//! files before the node opened is what must be there after it closed.

use std::time::Duration;

use driftdb_server::Node;

/// Virtual time in which whatever ends by itself has ended.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What an open node still holds for somebody.
pub(crate) fn held(node: &Node) -> Option<String> {
    let store = node.store();
    if let Some(lock) = store.locks().first() {
        return Some(format!("leak: a lock: {lock:?}"));
    }
    if let Some(wait) = store.waits().first() {
        return Some(format!("leak: a waiter: {wait:?}"));
    }
    let mut figures = None;
    store.stats(&mut |name, value| {
        if matches!(name, "long_reader_count" | "lock_wait_count") && value > 0 {
            figures = Some(format!("leak: {name} is {value}"));
        }
    });
    let sessions = || {
        let count = node.session_count();
        (count > 0).then(|| format!("leak: {count} sessions"))
    };
    figures.or_else(sessions)
}
