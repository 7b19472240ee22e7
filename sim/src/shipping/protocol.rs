//! The protocol: a primary ships its log to replicas over a network that promises nothing.
//!
//! * The primary adds a value to its own log, durably, and sends records that a replica has not acknowledged, a few
//!   at a time, again and again until it does.
//! * A replica takes the record that is next, durably; answers doubles, and records after a gap, with what it has.
//! * A value is safe once a majority of all logs, the primary's included, has it durably. Until then its fate is
//!   open; it stays in the primary's log and is shipped all the same.
//!
//! Invariants
//! * Each replica's log is a prefix of the primary's.
//! * An acknowledgement says what is durable, so it only grows, whichever life of the replica sent it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use driftdb_env::sync::{Condvar, Mutex};
use driftdb_env::{Env, IoError, Mailbox, planted, sometimes};

use super::log::Log;

/// Where every node listens.
pub(super) const PORT: u16 = 7000;

/// Records on their way to one replica, at most.
const WINDOW: u64 = 4;

/// What was not acknowledged by then is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(10);

/// How long a replica waits for the next record before it looks again.
const IDLE: Duration = Duration::from_secs(1);

/// Why a node stops.
#[derive(Debug)]
pub(super) enum Stopped {
    Disk(IoError),
    Network(io::Error),
}

impl From<IoError> for Stopped {
    fn from(error: IoError) -> Self {
        Self::Disk(error)
    }
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Network(error)
    }
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Disk(error) => error.fmt(f),
            Self::Network(error) => write!(f, "the network fails: {error}"),
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// The value with that number; the first is 1.
    Record { number: u64, value: u64 },
    /// So many values are durable here.
    Has(u64),
}

impl Sent {
    fn encode(self) -> Vec<u8> {
        let (kind, numbers) = match self {
            Self::Record { number, value } => (1, vec![number, value]),
            Self::Has(count) => (2, vec![count]),
        };
        let mut bytes = vec![kind];
        numbers.into_iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes
    }

    /// What is not of this protocol is nobody's, and ignored.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (numbers, rest) = rest.as_chunks::<8>();
        match (kind, numbers, rest) {
            (1, [number, value], []) => Some(Self::Record {
                number: u64::from_le_bytes(*number),
                value: u64::from_le_bytes(*value),
            }),
            (2, [count], []) => Some(Self::Has(u64::from_le_bytes(*count))),
            _ => None,
        }
    }
}

/// Takes records until it is killed or its disk fails.
pub(super) fn run_replica(env: &Env) -> Result<(), Stopped> {
    let mut log = Log::open(env)?;
    let mailbox = env.network().open(PORT)?;
    loop {
        let Some(message) = mailbox.receive(IDLE)? else { continue };
        let Some(Sent::Record { number, value }) = Sent::decode(&message.bytes) else { continue };
        let next = log.len() + 1;
        sometimes!("shipping.double-left", number < next);
        sometimes!("shipping.gap-left", number > next);
        let is_taken = number == next
            || number < next && planted!("shipping.double-taken")
            || number > next && planted!("shipping.gap-taken");
        if is_taken {
            log.add(value, !planted!("shipping.acknowledged-before-sync"))?;
        }
        mailbox.send(message.from, &Sent::Has(log.len()).encode())?;
    }
}

/// A primary in one life.
pub(super) struct Primary {
    log: Mutex<Log>,
    mailbox: Arc<dyn Mailbox>,
    replicas: Vec<SocketAddr>,
    /// What each replica has for sure.
    acknowledged: Mutex<Vec<u64>>,
    moved: Condvar,
}

impl Primary {
    pub(super) fn open(env: &Env, replicas: Vec<SocketAddr>) -> Result<Arc<Self>, Stopped> {
        let log = Mutex::new(Log::open(env)?);
        let mailbox = env.network().open(PORT)?;
        let acknowledged = Mutex::new(vec![0; replicas.len()]);
        Ok(Arc::new(Self { log, mailbox, replicas, acknowledged, moved: Condvar::new() }))
    }

    pub(super) fn values(&self) -> Vec<u64> {
        self.log.lock().values().to_vec()
    }

    /// Adds a value to the primary's own log; returns its number.
    pub(super) fn add(&self, value: u64) -> Result<u64, Stopped> {
        let mut log = self.log.lock();
        log.add(value, !planted!("shipping.sent-before-sync"))?;
        Ok(log.len())
    }

    /// Waits until so many values are safe; false if they are not in time.
    pub(super) fn is_safe(&self, count: u64, env: &Env, timeout: Duration) -> bool {
        let until = env.now() + timeout;
        let mut acknowledged = self.acknowledged.lock();
        loop {
            let others = acknowledged.iter().filter(|has| **has >= count).count();
            if (others + 1) * 2 > self.replicas.len() + 1 {
                return true;
            }
            let left = until.saturating_sub(env.now());
            if left.is_zero() {
                return false;
            }
            self.moved.wait_for(&mut acknowledged, left);
        }
    }

    /// Whether every replica has everything.
    pub(super) fn is_everywhere(&self) -> bool {
        let count = self.log.lock().len();
        self.acknowledged.lock().iter().all(|has| *has == count)
    }

    /// Ships until it is killed.
    pub(super) fn ship(&self, env: &Env) -> Result<(), Stopped> {
        loop {
            (0..self.replicas.len()).try_for_each(|replica| self.send_to(replica))?;
            let again = env.now() + AGAIN_AFTER;
            loop {
                let left = again.saturating_sub(env.now());
                let Some(message) = self.mailbox.receive(left)? else { break };
                let from = self.replicas.iter().position(|replica| *replica == message.from);
                let (Some(replica), Some(Sent::Has(count))) = (from, Sent::decode(&message.bytes))
                else {
                    continue;
                };
                if self.learn(replica, count) {
                    self.send_to(replica)?;
                }
            }
        }
    }

    /// Notes what a replica has; false if that is no news.
    fn learn(&self, replica: usize, count: u64) -> bool {
        let mut acknowledged = self.acknowledged.lock();
        sometimes!("shipping.old-news", count < acknowledged[replica]);
        if count <= acknowledged[replica] {
            return false;
        }
        acknowledged[replica] = count;
        self.moved.notify_all();
        true
    }

    /// Sends a replica what comes next.
    fn send_to(&self, replica: usize) -> Result<(), Stopped> {
        let has = self.acknowledged.lock()[replica];
        let records: Vec<Sent> = {
            let log = self.log.lock();
            let next = (has + 1..=log.len()).zip(log.values().iter().skip(has as usize));
            let next = next.take(WINDOW as usize);
            next.map(|(number, value)| Sent::Record { number, value: *value }).collect()
        };
        sometimes!("shipping.several-on-their-way", records.len() > 1);
        for record in records {
            self.mailbox.send(self.replicas[replica], &record.encode())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read_and_nothing_else() {
        for sent in [Sent::Record { number: 1, value: u64::MAX }, Sent::Has(0)] {
            assert_eq!(Sent::decode(&sent.encode()), Some(sent));
            assert_eq!(Sent::decode(&sent.encode()[1..]), None);
            assert_eq!(Sent::decode(&[sent.encode(), vec![0]].concat()), None);
        }
        assert_eq!(Sent::decode(&[]), None);
    }
}
