//! Messages between sessions: who listens to which channel, and what waits to be told to whom.
//!
//! A transaction's messages are sent when it has committed, in one step, so that every listener is told
//! of commits in the same order. Each listener has a mailbox; whoever talks with its client empties it
//! between statements, or is woken while the client is idle.
//!
//! Sources: PostgreSQL 15, src/backend/commands/async.c, which keeps one queue for all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use driftdb_env::sync::Mutex;

use super::registry::Wake;

/// A message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The sender's session.
    pub pid: i32,
    /// On which channel.
    pub channel: String,
    /// What.
    pub payload: String,
}

/// When so many messages wait for one session, no more are sent.
const MOST_WAITING: usize = 1 << 20;

/// What waits to be told to one session.
#[derive(Default)]
pub(crate) struct Mailbox {
    waiting: Mutex<VecDeque<Notification>>,
    wake: Mutex<Option<Wake>>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox")
            .field("waiting", &self.waiting.lock().len())
            .finish_non_exhaustive()
    }
}

impl Mailbox {
    /// Takes what waits.
    pub(crate) fn take(&self) -> VecDeque<Notification> {
        std::mem::take(&mut self.waiting.lock())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }

    /// Names what to call when something has come.
    pub(crate) fn set_wake(&self, wake: Wake) {
        *self.wake.lock() = Some(wake);
    }

    fn put(&self, message: Notification) {
        self.waiting.lock().push_back(message);
    }

    fn wake(&self) {
        if let Some(wake) = &*self.wake.lock() {
            wake();
        }
    }
}

/// Who listens, in all databases of a process.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    listeners: Mutex<BTreeMap<i32, Listener>>,
}

#[derive(Debug)]
struct Listener {
    database: u32,
    channels: BTreeSet<String>,
    mailbox: Arc<Mailbox>,
}

impl Channels {
    /// A session listens to exactly these channels from now on.
    pub(crate) fn set(
        &self,
        pid: i32,
        database: u32,
        channels: BTreeSet<String>,
        mailbox: &Arc<Mailbox>,
    ) {
        let mut listeners = self.listeners.lock();
        if channels.is_empty() {
            listeners.remove(&pid);
        } else {
            listeners.insert(pid, Listener { database, channels, mailbox: Arc::clone(mailbox) });
        }
    }

    /// A session has ended.
    pub(crate) fn forget(&self, pid: i32) {
        self.listeners.lock().remove(&pid);
    }

    /// Whether every listener of a database can be told more.
    pub(crate) fn has_room(&self, database: u32) -> bool {
        let listeners = self.listeners.lock();
        let mut own = listeners.values().filter(|listener| listener.database == database);
        own.all(|listener| listener.mailbox.waiting.lock().len() < MOST_WAITING)
    }

    /// Tells the listeners of a database.
    pub(crate) fn send(&self, database: u32, messages: Vec<Notification>) {
        let listeners = self.listeners.lock();
        for listener in listeners.values().filter(|listener| listener.database == database) {
            let mut is_told = false;
            for message in &messages {
                if listener.channels.contains(&message.channel) {
                    listener.mailbox.put(message.clone());
                    is_told = true;
                }
            }
            if is_told {
                listener.mailbox.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(channel: &str, payload: &str) -> Notification {
        Notification { pid: 7, channel: channel.into(), payload: payload.into() }
    }

    #[test]
    fn only_listeners_of_the_channel_and_database_are_told() {
        let channels = Channels::default();
        let boxes: [Arc<Mailbox>; 3] = Default::default();
        let to = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        channels.set(1, 5, to(&["a", "b"]), &boxes[0]);
        channels.set(2, 5, to(&["b"]), &boxes[1]);
        channels.set(3, 6, to(&["a", "b"]), &boxes[2]);
        channels.send(5, vec![message("a", "1"), message("b", "2"), message("c", "3")]);
        assert_eq!(boxes[0].take(), [message("a", "1"), message("b", "2")]);
        assert_eq!(boxes[1].take(), [message("b", "2")]);
        assert!(boxes[2].is_empty());
        channels.set(1, 5, BTreeSet::new(), &boxes[0]);
        channels.send(5, vec![message("a", "4")]);
        assert!(boxes[0].is_empty());
    }
}
