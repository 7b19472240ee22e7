//! Panics inside a simulation: kept with their backtrace instead of printed.
//!
//! A panic that some layer catches and answers politely is still a bug of ours, so every one counts.

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static FIRST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the panics of this thread until [`take`].
pub(crate) fn listen() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if LISTENING.get() {
                let text = format!("{info}\n{}", Backtrace::force_capture());
                FIRST.with_borrow_mut(|first| first.get_or_insert(text).len());
            } else {
                print(info);
            }
        }));
    });
    LISTENING.set(true);
    FIRST.set(None);
}

/// The first panic since [`listen`], if any.
pub(crate) fn first() -> Option<String> {
    FIRST.with_borrow(Clone::clone)
}

/// Goes back to printing.
pub(crate) fn stop_listening() {
    LISTENING.set(false);
}
