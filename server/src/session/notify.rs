//! LISTEN, UNLISTEN and NOTIFY: what they ask for is gathered, and done when the transaction commits.

use std::collections::BTreeSet;
use std::sync::Arc;

use driftdb_executor::CommandTag;
use driftdb_query::{ChannelStatement, Result, SqlError};
use driftdb_types::{SqlState, ValueError};

use super::run::Ran;
use super::{Session, TransactionStatus};
use crate::node::{Mailbox, Notification};

/// Longer names of channels are refused.
const LONGEST_CHANNEL_BYTES: usize = 63;
/// Longer payloads are refused.
const LONGEST_PAYLOAD_BYTES: usize = 7999;

/// What a session listens to, and what its transaction has asked for.
#[derive(Default)]
pub(super) struct Listening {
    channels: BTreeSet<String>,
    mailbox: Arc<Mailbox>,
    asked: Vec<Asked>,
}

enum Asked {
    Listen(String),
    Unlisten(Option<String>),
    Notify { channel: String, payload: String },
}

/// A channel and a payload that can be sent.
///
/// # Errors
/// 22023
pub(super) fn check_message(channel: &str, payload: &str) -> std::result::Result<(), ValueError> {
    let message = if channel.is_empty() {
        "channel name cannot be empty"
    } else if channel.len() > LONGEST_CHANNEL_BYTES {
        "channel name too long"
    } else if payload.len() > LONGEST_PAYLOAD_BYTES {
        "payload string too long"
    } else {
        return Ok(());
    };
    Err(ValueError::new(SqlState::InvalidParameterValue, message))
}

impl Listening {
    pub(super) fn unlisten_all(&mut self) {
        self.asked.push(Asked::Unlisten(None));
    }

    pub(super) fn mark(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn rollback_to(&mut self, mark: usize) {
        self.asked.truncate(mark);
    }

    pub(super) fn forget(&mut self) {
        self.asked.clear();
    }

    /// Asks for a message, once for each that is the same.
    pub(super) fn notify(&mut self, channel: String, payload: String) {
        let is_same = |asked: &Asked| {
            matches!(asked, Asked::Notify { channel: c, payload: p }
                if *c == channel && *p == payload)
        };
        if !self.asked.iter().any(is_same) {
            self.asked.push(Asked::Notify { channel, payload });
        }
    }
}

impl Session {
    pub(super) fn run_channel_statement(&mut self, statement: &ChannelStatement) -> Result<Ran> {
        let command = match statement {
            ChannelStatement::Listen(channel) => {
                self.listening.asked.push(Asked::Listen(channel.clone()));
                "LISTEN"
            }
            ChannelStatement::Unlisten(channel) => {
                self.listening.asked.push(Asked::Unlisten(channel.clone()));
                "UNLISTEN"
            }
            ChannelStatement::Notify { channel, payload } => {
                check_message(channel, payload)?;
                self.listening.notify(channel.clone(), payload.clone());
                "NOTIFY"
            }
        };
        Ok(Ran::Complete(CommandTag { command, rows: None }))
    }

    /// Before a commit: whether there is room for its messages.
    pub(super) fn check_notifications(&self) -> Result<()> {
        let sends = |asked: &Asked| matches!(asked, Asked::Notify { .. });
        if !self.listening.asked.iter().any(sends)
            || self.node.registry().channels().has_room(self.node.database_id())
        {
            return Ok(());
        }
        let message = "too many notifications in the NOTIFY queue";
        Err(SqlError::new(SqlState::ProgramLimitExceeded, message))
    }

    /// After a commit: does what its statements asked for.
    pub(super) fn send_notifications(&mut self) {
        if self.listening.asked.is_empty() {
            return;
        }
        let pid = self.registered.key().pid;
        let mut messages = Vec::new();
        let before = self.listening.channels.clone();
        for asked in std::mem::take(&mut self.listening.asked) {
            match asked {
                Asked::Listen(channel) => {
                    self.listening.channels.insert(channel);
                }
                Asked::Unlisten(Some(channel)) => {
                    self.listening.channels.remove(&channel);
                }
                Asked::Unlisten(None) => self.listening.channels.clear(),
                Asked::Notify { channel, payload } => {
                    messages.push(Notification { pid, channel, payload });
                }
            }
        }
        let (channels, database) = (self.node.registry().channels(), self.node.database_id());
        if self.listening.channels != before {
            let mailbox = &self.listening.mailbox;
            channels.set(pid, database, self.listening.channels.clone(), mailbox);
            self.actions.lend_channels(&self.listening.channels);
        }
        if !messages.is_empty() {
            channels.send(database, messages);
        }
    }

    /// What the client is to be told now: nothing while it is within a transaction.
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        if self.transaction_status() != TransactionStatus::Idle {
            return Vec::new();
        }
        self.listening.mailbox.take().into()
    }

    /// Where messages for this session come in, if it listens.
    pub(crate) fn mailbox(&self) -> Option<&Arc<Mailbox>> {
        (!self.listening.channels.is_empty()).then_some(&self.listening.mailbox)
    }
}
