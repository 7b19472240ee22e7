//! Telling the host runtime before a thread really blocks.
//!
//! Sessions run on the network runtime's worker threads. When one must wait for a lock or a sync,
//! the runtime has to move its other tasks elsewhere first. The server installs its hook once
//! (tokio's `block_in_place`); without a hook the closure simply runs.

use std::sync::OnceLock;

/// Runs its argument exactly once, after making the thread safe to block.
pub type Hook = fn(&mut dyn FnMut());

static HOOK: OnceLock<Hook> = OnceLock::new();

/// Installs the hook of this process; later calls have no effect.
pub fn set_hook(hook: Hook) {
    HOOK.get_or_init(|| hook);
}

/// Runs `wait`, which may block the thread for long.
pub fn blocking<T>(wait: impl FnOnce() -> T) -> T {
    let Some(hook) = HOOK.get() else { return wait() };
    let mut wait = Some(wait);
    let mut result = None;
    hook(&mut || result = wait.take().map(|wait| wait()));
    result.expect("the hook runs its argument once")
}
